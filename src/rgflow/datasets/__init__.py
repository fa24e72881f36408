"""Bundled and user data, read into one record: inputs, targets, task, axes and provenance.

A data set is named by one text, see `load`; arrays and tensors enter through `as_dataset`.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "arrays": ["as_dataset"],
        "bundled": ["BUNDLED"],
        "census": ["FeatureCensus", "feature_census"],
        "load": ["load"],
        "sampling": ["Splits", "batch_of", "splits"],
    },
)

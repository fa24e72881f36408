"""Bundled and user data, read into one record: inputs, targets, task, axes and provenance.

One text names one data set, see `load`; arrays and tensors enter through `as_dataset`.
"""

from typing import TYPE_CHECKING

import lazy_loader as _lazy

if TYPE_CHECKING:
    from rgflow.datasets.arrays import as_dataset as as_dataset
    from rgflow.datasets.bundled import BUNDLED as BUNDLED
    from rgflow.datasets.census import FeatureCensus as FeatureCensus
    from rgflow.datasets.census import feature_census as feature_census
    from rgflow.datasets.named import load as load
    from rgflow.datasets.sampling import Splits as Splits
    from rgflow.datasets.sampling import batch_of as batch_of
    from rgflow.datasets.sampling import splits as splits

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "arrays": ["as_dataset"],
        "bundled": ["BUNDLED"],
        "census": ["FeatureCensus", "feature_census"],
        "named": ["load"],
        "sampling": ["Splits", "batch_of", "splits"],
    },
)

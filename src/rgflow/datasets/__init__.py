"""Bundled and user data, read into one record: inputs, targets, task, axes and provenance.

One text names one data set, see `load`; arrays and tensors enter through `as_dataset`.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

"""The physics of deep learning as a tool: forecast, check and repair a network before it is trained."""

import lazy_loader as _lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

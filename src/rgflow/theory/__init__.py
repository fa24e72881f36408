"""The effective theory of networks at initialisation: kernels, their fluctuations over seeds, tangent kernels, gradients."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

"""From polynomials and Hamiltonians to small ordinary networks, with error bounds and certified width bounds."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

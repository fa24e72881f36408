"""Lattices and graphs, statistical models on them, samplers with honest errors, and exact references.

Convention: p(x) = exp(-H(x)) / Z; temperatures are inside the couplings, which are pure numbers (nats).
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

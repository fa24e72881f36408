"""Experiments on ensembles: many small networks trained at once, each on its own minibatches and at its own rate."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

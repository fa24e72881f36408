"""Ordinary PyTorch models: loading, drawing, reading by running, measuring, and writing weights back."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

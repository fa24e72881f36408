"""Frozen nouns that the rooms hand to each other; validation only, no knowledge of how they are made."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

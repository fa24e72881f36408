"""The jobs a user asks for, one file each: the only place where rooms meet."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

"""Records in, text table, JSON (schema rgflow.check/1) and one self-contained HTML page out."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)

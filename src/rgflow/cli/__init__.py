"""The command line: one file per verb, each reads its arguments, calls one study, prints, and picks the exit code.

Exit codes: 0 healthy or done, 1 findings, 2 bad usage or bad input (one sentence on stderr), 130 interrupted.
"""

from typing import TYPE_CHECKING

import lazy_loader as _lazy

if TYPE_CHECKING:
    from rgflow.cli.application import main as main

__getattr__, __dir__, __all__ = _lazy.attach(__name__, submod_attrs={"application": ["main"]})

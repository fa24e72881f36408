"""How a verb ends: its work is run, and whatever happens becomes an exit code and at most one line on stderr."""

import sys
import traceback
import warnings
from collections.abc import Callable

from rgflow.errors import RgflowError

__all__ = ["DONE", "FINDINGS", "INTERRUPTED", "USAGE", "complain", "ended"]

DONE = 0
FINDINGS = 1
USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def complain(sentence: str) -> None:
    """Print one line on stderr that begins with the program's name."""
    print(f"rgflow: {sentence}", file=sys.stderr)


def ended(work: Callable[[], int], *, debug: bool) -> int:
    """Return the exit code of `work`; a traceback and Python's warnings are shown only with `debug`."""
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
        try:
            return work()
        except KeyboardInterrupt:
            complain("interrupted")
            return INTERRUPTED
        except BrokenPipeError:
            raise
        except RgflowError as error:
            return _failed(str(error), debug=debug)
        except Exception as error:
            detail = " ".join(str(error).split())
            reason = f"{type(error).__name__}: {detail}" if detail else type(error).__name__
            return _failed(f"unexpected {reason}; run again with --debug for the traceback", debug=debug)


def _failed(sentence: str, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    complain(" ".join(sentence.split()))
    return USAGE

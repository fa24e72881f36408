"""How a verb ends: its work is run, and whatever happens becomes an exit code and at most one line on stderr."""

import os
import sys
import traceback
import warnings
from collections.abc import Callable

from rgflow.errors import RgflowError

__all__ = ["DONE", "FINDINGS", "INTERRUPTED", "USAGE", "complain", "ended", "reader_left"]

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
            code = work()
            sys.stdout.flush()  # here, where a reader that has gone away can still be answered
            return code
        except KeyboardInterrupt:
            complain("interrupted")
            return INTERRUPTED
        except BrokenPipeError:
            return reader_left()
        except RgflowError as error:
            return _failed(str(error), debug=debug)
        except Exception as error:
            detail = " ".join(str(error).split())
            reason = f"{type(error).__name__}: {detail}" if detail else type(error).__name__
            return _failed(f"unexpected {reason}; run again with --debug for the traceback", debug=debug)


def reader_left() -> int:
    """Return the code of a process ended by SIGPIPE; stdout goes to the null device so that closing it stays silent."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    return 128 + 13  # 13 is SIGPIPE, which has no name on every platform


def _failed(sentence: str, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    complain(" ".join(sentence.split()))
    return USAGE

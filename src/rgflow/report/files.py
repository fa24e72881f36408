"""Writing a result so that its file appears only when it is complete.

The text goes to a hidden neighbour first and is renamed in one step; an interrupted run leaves nothing behind.
"""

import contextlib
import os
import secrets
from pathlib import Path

from rgflow.errors import OutputError

__all__ = ["check_writable", "write_complete"]


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Return `path`, links followed, if a file can be created or replaced there; nothing is written.

    Raises: OutputError where the folder is missing or closed, or `path` is a folder, a device or a pipe.
    """
    try:
        target = Path(os.path.realpath(path))
    except ValueError as error:  # a NUL character
        raise OutputError(f"cannot write {path!r}: {error}; give another path") from error
    folder = target.parent
    if not os.path.isdir(folder):  # unlike Path.is_dir, False for a name that is too long
        raise OutputError(f"cannot write {target}: there is no folder {folder}; create it or give another path")
    if os.path.isdir(target):
        raise OutputError(f"cannot write {target}: it is a folder; give the name of a file in it")
    if os.path.exists(target) and not os.path.isfile(target):
        raise OutputError(f"cannot write {target}: it is a device or pipe, not an ordinary file; give another path")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {target}: no permission to write in {folder}; give another path")
    return target


def write_complete(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` in UTF-8 under `path`; a file of that name is replaced only by the whole new one.

    Raises: OutputError, one sentence, if the file cannot be written.
    """
    target = check_writable(path)
    partial = target.parent / f".rgflow-{secrets.token_hex(8)}.partial"
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, target)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise OutputError(f"cannot write {target}: {reason}; give another path") from error
    finally:
        with contextlib.suppress(OSError, ValueError):  # already renamed in the good case
            partial.unlink()

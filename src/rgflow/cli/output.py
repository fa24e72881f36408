"""Files that a command writes: judged before any work, visible under their final name only when complete."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rgflow.errors import OutputError
from rgflow.report.files import check_writable

__all__ = ["distinct", "json_output", "output_path", "write_state"]


def output_path(option: str, path: str | None) -> Path | None:
    """Return the file that `path` stands for (links followed) if a whole file can be put there, None if not wanted.

    Raises: OutputError for a folder, a device or pipe, or a place where no file can be made.
    """
    if path is None:
        return None
    if not path.strip():
        raise OutputError(f"{option} is empty; give the name of a file")
    target = check_writable(path)
    if target.exists() and not os.access(target, os.W_OK):
        raise OutputError(f"cannot write {path}: the file is write-protected; give another path")
    _try(target, path=path)
    return target


def json_output(path: str | None) -> Path | None:
    """Return the file for `--json`, or None where nothing or `-` (standard output) is wanted."""
    return None if path == "-" else output_path("--json", path)


def distinct(*paths: Path | None) -> None:
    """Raise OutputError if two outputs go to one file."""
    given = [path for path in paths if path is not None]
    for path in given:
        if given.count(path) > 1:
            raise OutputError(f"two outputs would go to {path}; give each a file of its own")


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state_dict that plain PyTorch loads (`torch.load(path, weights_only=True)`)."""
    import torch

    partial = path.parent / f".rgflow-{secrets.token_hex(8)}.partial"
    try:
        with partial.open("xb") as file:
            torch.save(dict(state), file)
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; give another path") from error
    finally:
        with contextlib.suppress(OSError):  # already renamed in the good case
            partial.unlink()


def _try(target: Path, *, path: str) -> None:
    """Make and remove an empty neighbour: permissions alone do not tell of full, read-only or virtual file systems."""
    probe = target.parent / f".rgflow-{secrets.token_hex(8)}.partial"
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; give another path") from error

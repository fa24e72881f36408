"""Importing a user's Python file or module, with every failure said in one sentence.

A file gets a private module name, so that it can shadow nothing; neighbours that it imports are forgotten afterwards,
so that two files with equally named neighbours each see their own.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from rgflow.errors import ModelError

__all__ = ["import_file", "import_named", "importable", "says"]


def import_file(path: Path) -> ModuleType:
    """Return the module that the Python file `path` defines, executed anew.

    Raises: ModelError if there is no such file, or if it raises on import.
    """
    if path.is_dir():
        raise ModelError(f"{path} is a directory, not a Python file; write {path}/file.py:factory")
    if not path.is_file():
        raise ModelError(f"there is no file {path}; write path/file.py:factory with a file that exists")
    location = path.resolve()
    name = f"_rgflow_{sha256(str(location).encode()).hexdigest()[:12]}_{location.stem}"
    loader = importlib.machinery.SourceFileLoader(name, str(location))
    spec = importlib.util.spec_from_file_location(name, location, loader=loader)
    if spec is None:
        raise ModelError(f"{path} cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up there
    try:
        with importable(location.parent):
            loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise ModelError(f"importing {path} raised {says(error)}") from error
    return module


def import_named(name: str) -> ModuleType:
    """Return the module `name`, found where the process runs or among the installed packages.

    Raises: ModelError if there is no such module, or if it raises on import.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise ModelError(f"{name!r} is neither a Python file nor a module; write path/file.py:factory")
    try:
        with importable(Path.cwd(), forget=False):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise ModelError(
                f"there is no module {name} in the current directory or among the installed packages; "
                "write package.module:factory or path/file.py:factory"
            ) from error
        raise ModelError(f"importing {name} raised {says(error)}") from error
    except (Exception, SystemExit) as error:
        raise ModelError(f"importing {name} raised {says(error)}") from error


@contextmanager
def importable(folder: Path, *, forget: bool = True) -> Iterator[None]:
    """Return a context in which modules of `folder` can be imported, and no bytecode is written.

    `forget`: modules of that folder that were first imported inside are taken out of `sys.modules` on exit.
    """
    path, bytecode, known = list(sys.path), sys.dont_write_bytecode, set(sys.modules)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = bytecode
        for name in set(sys.modules) - known if forget else ():
            if name.partition(".")[0] not in known and _is_neighbour(name.partition(".")[0], folder=folder):
                del sys.modules[name]


def _is_neighbour(name: str, *, folder: Path) -> bool:
    """Whether the top-level module `name` is `folder/name.py` or the package `folder/name/`."""
    return any((folder / place).exists() for place in (f"{name}.py", name)) and name != __name__.partition(".")[0]


def says(error: BaseException) -> str:
    """Return the type and message of an exception on one line."""
    detail = " ".join(str(error).split())
    return f"{type(error).__name__}: {detail}" if detail else type(error).__name__

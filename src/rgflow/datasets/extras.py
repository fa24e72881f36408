"""The sentence that a user reads when an optional library is missing."""

from rgflow.errors import DataError

__all__ = ["needs_extra"]


def needs_extra(what: str, *, library: str) -> DataError:
    """Return the error that says which optional library `what` needs and how to install it."""
    return DataError(f"reading {what} needs {library}, which is not installed; run: pip install 'rgflow[io]'")

"""Children that can be interrupted even where the test run itself was started in the background."""

import signal

__all__ = ["interruptible"]


def interruptible() -> None:
    """Give SIGINT its default meaning: a shell lets background jobs, and what they start, ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)

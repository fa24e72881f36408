"""The static checks of the command line: every setting is judged before any work, and before torch is loaded."""

import math
from collections.abc import Sequence

from rgflow.errors import DeviceError, SettingError

__all__ = ["at_least", "available_device", "number_list", "one_of", "positive", "seed_in_range"]


def at_least(name: str, value: int | None, *, least: int, why: str) -> None:
    """Raise SettingError if `value` is given and below `least`; `why` completes "it must be >= least, ..."."""
    if value is not None and value < least:
        raise SettingError(f"{name} is {value}; it must be >= {least}, {why}")


def seed_in_range(value: int) -> None:
    """Raise SettingError if `value` is no seed for every generator in use (numpy's take 32 bits)."""
    if not 0 <= value < 2**32:
        raise SettingError(f"--seed is {value}; it must be >= 0 and below 2^32")


def positive(name: str, value: float | None) -> None:
    """Raise SettingError if `value` is given and not a finite number above 0."""
    if value is not None and not (math.isfinite(value) and value > 0.0):
        raise SettingError(f"{name} is {value}; it must be a finite number > 0")


def one_of(name: str, value: str, *, allowed: Sequence[str]) -> None:
    """Raise SettingError if `value` is not one of `allowed`."""
    if value not in allowed:
        raise SettingError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")


def number_list(name: str, text: str | None) -> tuple[float, ...] | None:
    """Return the numbers > 0 in a comma-separated text such as "0.01,0.1,1", or None if there is no text."""
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise SettingError(f"{name} is {text!r}; give numbers separated by commas, such as 0.01,0.1,1") from error
    for number in numbers:
        positive(name, number)
    return numbers


def available_device(device: str) -> None:
    """Raise DeviceError if torch cannot put a tensor on `device`; the CPU is known without loading torch."""
    if device == "cpu":
        return
    import torch

    try:
        torch.ones(1, device=torch.device(device)).item()  # item: a device without numbers, such as meta, fails too
    except Exception as error:
        have = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise DeviceError(f"device {device!r} is not available; this machine has {', '.join(have)}") from error

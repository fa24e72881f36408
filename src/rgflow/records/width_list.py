"""Widths of a network as people write them: "64-64x12-10" or "784,128x10,10"."""

import re

from rgflow.errors import SettingError

__all__ = ["width_list"]


def width_list(text: str) -> tuple[int, ...]:
    """Return (n_0, ..., n_L); `64x12` stands for twelve layers of width 64, parts are separated by "-" or ",".

    Raises: SettingError for a part that is no whole number >= 1, or fewer than two widths.

    Example:
    >>> width_list("784,128x3,10")
    (784, 128, 128, 128, 10)
    """
    widths: list[int] = []
    for token in re.split("[-,]", text):
        match = re.fullmatch(r"\s*(\d+)(?:x(\d+))?\s*", token)
        if match is None or int(match[1]) < 1 or int(match[2] or 1) < 1:
            raise SettingError(f"{text!r} has the width {token!r}; write whole numbers >= 1, as in 784,128x10,10")
        widths += [int(match[1])] * int(match[2] or 1)
    if len(widths) < 2:
        raise SettingError(f"{text!r} has {len(widths)} width; at least an input and an output width are needed")
    return tuple(widths)

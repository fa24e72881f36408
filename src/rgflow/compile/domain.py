"""The box of inputs for which a network is made: a half-width for every variable."""

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from rgflow.errors import SettingError

__all__ = ["half_widths"]


def half_widths(domain: Any, variables: tuple[str, ...]) -> tuple[float, ...]:
    """Return R_v with |x_v| <= R_v: from one number for all, a number or (low, high) a variable, or a mapping by name.

    Raises: SettingError for a number of bounds that does not fit, names missing, or widths that are not finite and > 0.
    """
    if isinstance(domain, Mapping):
        missing = [name for name in variables if name not in domain]
        if missing:
            raise SettingError(
                f"the domain has no bounds for {missing[0]}; give one for each of {', '.join(variables)}"
            )
        given = [domain[name] for name in variables]
    elif isinstance(domain, Iterable) and not isinstance(domain, str):
        given = list(domain)
        if len(given) != len(variables):
            raise SettingError(
                f"the domain has {len(given)} bounds for {len(variables)} variables; give one number, or one a variable"
            )
    else:
        given = [domain] * len(variables)
    return tuple(_half_width(bound, name) for bound, name in zip(given, variables, strict=True))


def _half_width(bound: Any, name: str) -> float:
    if isinstance(bound, list | tuple) and len(bound) == 2 and all(isinstance(end, Real) for end in bound):
        width = max(abs(float(bound[0])), abs(float(bound[1])))
    elif isinstance(bound, Real):
        width = float(bound)
    else:
        raise SettingError(f"the domain of {name} is {bound!r}; give its half-width, or (low, high)")
    if not (math.isfinite(width) and width > 0.0):
        raise SettingError(f"the half-width of the domain of {name} is {width:g}; it must be finite and > 0")
    return width

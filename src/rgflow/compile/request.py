"""What is to be compiled, and how, after every setting was judged."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import torch

from rgflow.compile.domain import half_widths
from rgflow.compile.smooth import activation_name
from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import Kind, SparsePolynomial

__all__ = ["GATES", "Request", "checked_request"]

GATES = ("automatic", "taylor", "least-squares")


@dataclass(frozen=True)
class Request:
    """Polynomials and settings; `domain` holds a half-width a variable."""

    polynomials: tuple[SparsePolynomial, ...]
    activation: str
    tolerance: float
    domain: tuple[float, ...]
    dtype: torch.dtype
    layers: int | None
    gates: str
    kind: Kind

    def alternatives(self) -> Iterator["Request"]:
        """Return the same request with a setting or two changed, the mildest change first."""
        for layers in dict.fromkeys((self.layers, None)):
            for dtype in dict.fromkeys((self.dtype, torch.float64)):
                for name in dict.fromkeys((self.activation, "squared_relu" if self.kind == "real" else "relu")):
                    other = replace(self, activation=name, dtype=dtype, layers=layers, gates="automatic")
                    if other != self:
                        yield other

    def differences(self, other: "Request") -> str:
        """Return the settings in which this request differs, as one types them."""
        words = {
            "activation": repr(self.activation),
            "dtype": str(self.dtype),
            "layers": str(self.layers),
            "gates": repr(self.gates),
        }
        return ", ".join(f"{key}={word}" for key, word in words.items() if getattr(self, key) != getattr(other, key))


def checked_request(polynomials: tuple[SparsePolynomial, ...], *, domain: Any, **settings: Any) -> Request:
    """Return the request, every setting checked.

    Raises: SettingError, one sentence, for a setting outside its range or values beyond the range of the dtype.
    """
    tolerance, dtype, layers = settings["tolerance"], settings["dtype"], settings["layers"]
    if not (isinstance(tolerance, int | float) and math.isfinite(tolerance) and tolerance > 0.0):
        raise SettingError(f"tolerance is {tolerance!r}; it must be a finite number > 0")
    if dtype not in (torch.float32, torch.float64):
        raise SettingError(f"dtype is {dtype}; it must be torch.float32 or torch.float64")
    if layers is not None and (not isinstance(layers, Integral) or isinstance(layers, bool) or layers < 1):
        raise SettingError(f"layers is {layers!r}; it must be a whole number >= 1, or None for the product tree")
    if settings["gates"] not in GATES:
        raise SettingError(f"gates is {settings['gates']!r}; it must be one of {', '.join(GATES)}")
    names = polynomials[0].variables
    widths = (1.0,) * len(names) if settings["kind"] != "real" else half_widths(domain, names)
    largest = max(p.size(widths) for p in polynomials)
    if not largest < torch.finfo(dtype).max / 16.0:  # 16: sums on the way to a product exceed it by less
        raise SettingError(
            f"the polynomial reaches {largest:.3g} on this domain, beyond the range of {dtype}; use a smaller domain"
        )
    return Request(
        polynomials,
        activation_name(settings["activation"]),
        float(tolerance),
        widths,
        dtype,
        None if layers is None else int(layers),
        settings["gates"],
        settings["kind"],
    )

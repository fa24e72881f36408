"""Products of bits (0, 1) and spins (-1, 1) in one hidden layer, exactly: one neuron a product of bits, n for n spins.

A product of n bits is the hinge max(S, 0) at S = sum x - n + 1 <= 1. A product of n spins with t minus signs is
1 - 2 h(t) + 4 sum_(j=1..n-1) (-1)^(j+1) h(t - j), h the hinge, or 1 + 2 sum_(j=1..n) (-1)^j step(t - j + 1/2). Smooth
activations become hinges or steps on whole numbers when their argument is scaled up; what they miss is in the bound.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rgflow.compile.accuracy import read_out_error
from rgflow.compile.assembly import Block
from rgflow.compile.candidate import Candidate
from rgflow.compile.plan import Form, Monomial, Output, label_of, monomials_of
from rgflow.compile.unit import gamma, rounding_unit
from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import Kind, SparsePolynomial

__all__ = ["TWO_VALUED", "two_valued_candidate"]


@dataclass(frozen=True)
class _Profile:
    """A hinge (height z at z >= 0) or a step of an activation at whole numbers: gain * s(scale * z) + lift, off by `miss`.

    `half` is where a step is centred: 1/2 below the first whole number at which it is up.
    """

    hinge: bool
    scale: float
    gain: float
    lift: float
    miss: float
    rounding: float


# The scale makes the miss at |z| = 1 (hinges) or 1/2 (steps) far smaller than the rounding of float64.
_PROFILES = {
    "relu": _Profile(True, 1.0, 1.0, 0.0, 0.0, 0.0),
    "gelu": _Profile(True, 16.0, 1.0 / 16.0, 0.0, math.exp(-128.0), 6.0),  # |z - gelu(z)| <= exp(-z^2/2)
    "silu": _Profile(True, 64.0, 1.0 / 64.0, 0.0, math.exp(-64.0), 6.0),  # |z - silu(z)| <= z exp(-z)
    "sigmoid": _Profile(False, 128.0, 1.0, 0.0, math.exp(-64.0), 6.0),  # 1 - sigmoid(z) <= exp(-z)
    "tanh": _Profile(False, 64.0, 0.5, 0.5, math.exp(-64.0), 6.0),  # (1 - tanh(z)) / 2 <= exp(-2z)
    "erf": _Profile(False, 16.0, 0.5, 0.5, math.exp(-64.0), 6.0),  # erfc(z) <= exp(-z^2)
}
TWO_VALUED = tuple(_PROFILES)


def two_valued_candidate(
    polynomials: Sequence[SparsePolynomial], name: str, *, kind: Kind, dtype: torch.dtype
) -> Candidate:
    """Return the network of one hidden layer for polynomials of bits or spins, powers already reduced.

    Raises: SettingError for an activation that is neither a hinge nor a step when scaled up.
    """
    if name not in _PROFILES:
        raise SettingError(f"{name} makes no exact products of bits or spins; use one of {', '.join(TWO_VALUED)}")
    profile, targets = _PROFILES[name], [dict(monomials_of(p)) for p in polynomials]
    monomials = sorted({m for terms in targets for m in terms if m})
    names = polynomials[0].variables
    make = _bits if kind == "bit" else _spins
    outputs = tuple(_output(terms, monomials) for terms in targets)
    errors = np.array([_error(make(m, profile, names), profile, len(m), dtype) for m in monomials])
    found = np.array([read_out_error(output, errors, dtype) for output in outputs])
    return Candidate(
        "hinges" if profile.hinge else "steps",
        sum(1 if kind == "bit" else len(m) for m in monomials),
        len(monomials),
        found,
        outputs,
        (profile.scale,),
        lambda: (tuple(make(m, profile, names) for m in monomials),) if monomials else (),
    )


def _output(terms: dict[Monomial, float], monomials: list[Monomial]) -> Output:
    place = {monomial: index for index, monomial in enumerate(monomials)}
    used = [(place[m], c) for m, c in terms.items() if m]
    return Output(Form(tuple(i for i, _ in used), tuple(c for _, c in used)), terms.get((), 0.0))


def _bits(monomial: Monomial, profile: _Profile, names: Sequence[str]) -> Block:
    n = len(monomial)
    centre = n - 1.0 if profile.hinge else n - 0.5
    return _block(monomial, profile, names, slope=1.0, starts=np.array([centre]), heights=np.ones(1), constant=0.0)


def _spins(monomial: Monomial, profile: _Profile, names: Sequence[str]) -> Block:
    n = len(monomial)
    j = np.arange(n) if profile.hinge else np.arange(1, n + 1) - 0.5
    heights = np.where(np.arange(n) % 2, 1.0, -1.0) * np.where((np.arange(n) > 0) & profile.hinge, 4.0, 2.0)
    # t = (n - sum s) / 2, so t - j = -sum s / 2 - (j - n/2)
    return _block(monomial, profile, names, slope=-0.5, starts=j - n / 2.0, heights=heights, constant=1.0)


def _block(
    monomial: Monomial,
    profile: _Profile,
    names: Sequence[str],
    *,
    slope: float,
    starts: np.ndarray,
    heights: np.ndarray,
    constant: float,
) -> Block:
    """Return constant + sum_i heights[i] * profile(slope * sum x - starts[i])."""
    form = Form(tuple(v for v, _ in monomial), (1.0,) * len(monomial))
    rows = np.full((len(starts), 1), profile.scale * slope)
    offset = np.array([constant + profile.lift * float(heights.sum())])
    weights = (profile.gain * heights)[None, :]
    return Block((form,), rows, -profile.scale * starts, weights, offset, label_of(monomial, names), "product")


def _error(block: Block, profile: _Profile, factors: int, dtype: torch.dtype) -> float:
    """Return the error of a product; its preactivations are whole numbers times powers of two and carry none."""
    heights = np.abs(block.weights[0]) / profile.gain
    if profile.rounding == 0.0:
        return 0.0  # ReLU of whole numbers, weights whole numbers: no rounding at all
    u, sizes = rounding_unit(dtype), heights * (factors if profile.hinge else 1.0)
    rounding = profile.rounding * u + gamma(len(heights) + 2, u)
    return float(heights.sum()) * profile.miss + rounding * (float(sizes.sum()) + float(np.abs(block.offset).sum()))

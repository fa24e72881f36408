"""First and second derivatives of the kernel map F_ab(K) = <s_a s_b>, as linear and quadratic maps on pair space.

Convention: F_ab depends on (K_aa, K_ab, K_bb) alone, dF = T20/2 dK_aa + T11 dK_ab + T02/2 dK_bb, T_pq = <s^(p)_a s^(q)_b>
in the sense of distributions (`pair_derivatives`). On the diagonal T11 + T20 = <z s s'> / K and
2 T40 + 8 T31 + 6 T22 = <(s^2)''''> = <s^2 He4(z / sqrt K)> / K^2 are exact even where their parts are not defined one by
one; there T40, T31 and T22 hold a sixteenth of the latter each, so that one formula serves all pairs.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.closed_derivatives import ClosedDerivatives, closed_derivatives
from rgflow.numerics.derivative_series import ORDERS, DerivativeSeries, derivative_series
from rgflow.numerics.feature_covariance import checked_kernel
from rgflow.numerics.gaussian import PROMISED, Moments, moments
from rgflow.numerics.pair_derivatives import PairDerivatives, pair_derivatives
from rgflow.numerics.pair_space import pair_count, pair_inputs, pair_vector
from rgflow.numerics.pointwise import Activation

__all__ = ["CurvatureShift", "KernelCurvature", "KernelResponse", "kernel_curvature", "kernel_response"]

# Rounding of a contraction of six terms, relative to the sum of their sizes.
_ROUNDING = 2e-15
# Fluctuations of the squared distance of two inputs are at most this many times larger, relative to its square, than
# those of K relative to K^2 (five-fold growth per layer of relu, initialisation sheet; four layers).
_STRETCH = 1e3
# Inputs from which the series pays: it costs one Hermite expansion for each input, the rule 5000 nodes for each pair.
_SERIES_FROM = 8
_SECOND = ("t22", "t31", "t13", "t40", "t04")
_PROPORTIONAL = 4e-16  # 1 - rho^2 is known to this in float64


@dataclass(frozen=True)
class KernelResponse:
    """`slope` T11 = <s'_a s'_b> and `bend` T20 = <s''_a s_b> (row a, column b), (N, N), and bounds `error` (N, N).

    Where K_aa = 0 the input is constantly 0 and its derivatives are the values at 0.
    """

    slope: Tensor
    bend: Tensor
    error: Tensor

    def apply(self, change: Tensor, *, weight_variance: float) -> Tensor:
        """Return M change, the first-order change of C_W <s_a s_b>; (P, ...) to (P, ...)."""
        rows = _rows(len(self.slope))
        if change.shape[:1] != rows.middle.shape:
            raise SettingError(
                f"a change over pairs has shape {tuple(change.shape)}; its first axis must be {len(rows.middle)}"
            )
        shape = (-1,) + (1,) * (change.ndim - 1)
        left, middle, right = (part.reshape(shape) for part in self._entries(weight_variance))
        return left * change[rows.left] + middle * change[rows.middle] + right * change[rows.right]

    def propagate(self, vertex: Tensor, *, weight_variance: float) -> Tensor:
        """Return M V M^T for a symmetric V; (P, P) to (P, P)."""
        half = self.apply(vertex, weight_variance=weight_variance)
        return self.apply(half.T.contiguous(), weight_variance=weight_variance)

    def matrix(self, weight_variance: float) -> Tensor:
        """Return the Jacobian M (P, P) of C_W <s_a s_b> on pair space."""
        pairs = pair_count(len(self.slope))
        return self.apply(torch.eye(pairs, dtype=torch.float64), weight_variance=weight_variance)

    def _entries(self, weight_variance: float) -> tuple[Tensor, ...]:
        half = 0.5 * weight_variance
        return half * pair_vector(self.bend), weight_variance * pair_vector(self.slope), half * pair_vector(self.bend.T)


@dataclass(frozen=True)
class CurvatureShift:
    """H_ab = F''[V] / 2 over pairs, (P,), and a bound `error` (P,) on its absolute error for the V given."""

    value: Tensor
    error: Tensor


@dataclass(frozen=True)
class KernelCurvature:
    """T40, T31, T22 (row a carries the first index; T04 and T13 are the transposes) without contacts, (N, N).

    `contact` (N, N) is the part of T22 from two delta functions, which grows like 1/distance between inputs; it adds
    -(K_ab / K_aa) contact to T31 and (K_ab / K_aa)^2 contact to T40. `errors` (3, N, N) bound T40, T31, T22.
    """

    t40: Tensor
    t31: Tensor
    t22: Tensor
    contact: Tensor
    errors: Tensor
    kernel: Tensor

    def contract(self, vertex: Tensor, *, weight_variance: float = 1.0) -> CurvatureShift:
        """Return H = (C_W / 8) sum V_(ef)(gh) <d_e d_f d_g d_h (s_a s_b)>; vertex (P, P) to (P,).

        Errors: rounding of V counts 1/distance-fold through the contacts; where that exceeds what the contacts can
        contribute at all (inputs closer than an angle of about 1e-4) they are left out, and `error` says so.
        """
        blocks = _Blocks.of(vertex, len(self.t22))
        a, b = pair_inputs(len(self.t22)).unbind(1)
        factors = (
            self.t40[a, b] / 8.0,
            self.t40[b, a] / 8.0,
            self.t22[a, b] / 2.0,
            self.t31[a, b] / 2.0,
            self.t31[b, a] / 2.0,
            self.t22[a, b] / 4.0,
        )
        slack = tuple(
            error + _ROUNDING * factor.abs()
            for factor, error in zip(
                factors,
                (
                    self.errors[0][a, b] / 8.0,
                    self.errors[0][b, a] / 8.0,
                    self.errors[2][a, b] / 2.0,
                    self.errors[1][a, b] / 2.0,
                    self.errors[1][b, a] / 2.0,
                    self.errors[2][a, b] / 4.0,
                ),
                strict=True,
            )
        )
        near = self._contacts(blocks, a, b)
        value, error = blocks.dot(factors) + near.value, blocks.absolute().dot(slack) + near.error
        return CurvatureShift(weight_variance * value, abs(weight_variance) * error)

    def _contacts(self, blocks: "_Blocks", a: Tensor, b: Tensor) -> CurvatureShift:
        contact, kernel = self.contact[a, b], self.kernel
        x, y, w = kernel[a, a], kernel[a, b], kernel[b, b]
        first, second = (y / torch.where(v > 0, v, 1.0) for v in (x, w))
        ratio = y * y / torch.where(contact != 0, x * w, 1.0)
        sine = (1.0 - ratio).clamp(min=_PROPORTIONAL)
        half = torch.full_like(y, 0.5)
        # Half the variance of dK_ab - K_ab (dK_aa / K_aa + dK_bb / K_bb) / 2, which vanishes with the distance.
        factors = (first**2 / 8.0, second**2 / 8.0, half, -0.5 * first, -0.5 * second, 0.25 * ratio)
        square = blocks.dot(factors)
        size = blocks.absolute().dot(tuple(factor.abs() for factor in factors))
        # The determinant of the pair is known to rounding of K, the contact to half its relative error.
        blurred = contact.abs() * (_ROUNDING * size + 0.5 * square.abs() * _PROPORTIONAL / sine)
        left_out = contact.abs() * _STRETCH * sine**2 * size
        keep = blurred <= left_out
        # The rest of the last term carries the determinant itself and stays harmless.
        rest = 0.25 * contact * sine * blocks.entries[5]
        value = torch.where(keep, contact * square, 0.0) + rest
        error = torch.where(keep, blurred, left_out) + 2.0 * rest.abs() * _PROPORTIONAL / sine
        return CurvatureShift(value, error)


def kernel_response(activation: Activation, kernel: Tensor, *, tolerance: float = 1e-11) -> KernelResponse:
    """Return the first derivatives of <s_a s_b> with respect to the kernel, jumps of s' and steps of s included.

    Shapes: kernel (N, N), symmetric positive semi-definite.
    `tolerance`, relative, is what a series over all pairs may leave out; closer pairs are integrated one by one.
    Errors: those reported, about 1e-12 relative to <|s'_a s'_b|> by integration and closed forms.
    Raises: SettingError if the kernel is no covariance.
    """
    matrix = checked_kernel(kernel)
    found = _Diagonal.of(activation, matrix.diagonal())
    off = _off_diagonal(activation, matrix, tolerance)
    return KernelResponse(
        _filled(found.slope, off.t11, off.t11),
        _filled(found.bend, off.t20, off.t02),
        _filled(found.first_error, off.first_error, off.first_error),
    )


def kernel_curvature(activation: Activation, kernel: Tensor, *, tolerance: float = 1e-11) -> KernelCurvature:
    """Return the second derivatives of <s_a s_b> with respect to the kernel, as averages of products of derivatives.

    Shapes: kernel (N, N), symmetric positive semi-definite.
    `tolerance` as in `kernel_response`. Errors: those reported; nearly coincident inputs are finite.
    Raises: SettingError if the kernel is no covariance.
    """
    matrix = checked_kernel(kernel)
    found = _Diagonal.of(activation, matrix.diagonal())
    off = _off_diagonal(activation, matrix, tolerance)
    share, error = found.fourth / 16.0, found.fourth_error / 16.0
    errors = torch.stack(
        [
            _filled(error, off.t40_error, off.t04_error),
            _filled(error, off.t31_error, off.t13_error),
            _filled(error, off.t22_error, off.t22_error),
        ]
    )
    return KernelCurvature(
        _filled(share, off.t40, off.t04),
        _filled(share, off.t31, off.t13),
        _filled(share, off.t22, off.t22),
        _filled(torch.zeros_like(share), off.contact, off.contact),
        errors,
        matrix,
    )


@dataclass(frozen=True)
class _Rows:
    """Positions of (aa), (ab), (bb) in pair space for every pair, (P,) each."""

    left: Tensor
    middle: Tensor
    right: Tensor


def _rows(inputs: int) -> _Rows:
    a, b = pair_inputs(inputs).unbind(1)
    start = torch.arange(inputs) * inputs - torch.arange(inputs) * (torch.arange(inputs) - 1) // 2
    return _Rows(start[a], torch.arange(len(a)), start[b])


@dataclass(frozen=True)
class _Blocks:
    """Entries of a vertex that one pair needs: (aa)(aa), (bb)(bb), (ab)(ab), (aa)(ab), (ab)(bb), (aa)(bb), (P,) each."""

    entries: tuple[Tensor, ...]

    @staticmethod
    def of(vertex: Tensor, inputs: int) -> "_Blocks":
        rows, pairs = _rows(inputs), pair_count(inputs)
        if vertex.shape != (pairs, pairs):
            raise SettingError(
                f"the vertex has shape {tuple(vertex.shape)}; for {inputs} inputs it is ({pairs}, {pairs})"
            )
        i, j, k = rows.left, rows.middle, rows.right
        return _Blocks(tuple(vertex[p, q] for p, q in ((i, i), (k, k), (j, j), (i, j), (j, k), (i, k))))

    def dot(self, factors: tuple[Tensor, ...]) -> Tensor:
        return sum((f * e for f, e in zip(factors, self.entries, strict=True)), torch.zeros_like(self.entries[0]))

    def absolute(self) -> "_Blocks":
        return _Blocks(tuple(entry.abs() for entry in self.entries))


@dataclass(frozen=True)
class _Diagonal:
    """T11, T20 and <(s^2)''''> of single inputs (N,) with bounds on their errors."""

    slope: Tensor
    bend: Tensor
    fourth: Tensor
    first_error: Tensor
    fourth_error: Tensor

    @staticmethod
    def of(activation: Activation, variance: Tensor) -> "_Diagonal":
        moving = variance > 0
        safe = torch.where(moving, variance, 1.0)
        found: Moments = moments(activation, safe)
        still = torch.zeros_like(variance)
        at_rest = activation.derivative(still) ** 2
        slope = torch.where(moving, found.slope_square, at_rest)
        response = torch.where(moving, found.response / safe, at_rest + _product_at_rest(activation, still))
        fourth = torch.where(moving, found.bend / safe**2, 0.0)
        first_error = torch.where(moving, 0.01 * PROMISED * (slope + found.square / safe), 0.0)
        fourth_error = torch.where(moving, 0.01 * PROMISED * (found.square / safe**2), 0.0)
        return _Diagonal(slope, response - slope, fourth, first_error, fourth_error)


def _product_at_rest(activation: Activation, still: Tensor) -> Tensor:
    return activation.second_derivative(still) * activation.function(still)


def _off_diagonal(activation: Activation, kernel: Tensor, tolerance: float) -> PairDerivatives:
    """Closed forms, else Mehler's series where it leaves less than `tolerance`, and the two-dimensional rule for the rest."""
    a, b = torch.triu_indices(len(kernel), len(kernel), offset=1)
    x, y, w = kernel[a, a], kernel[a, b], kernel[b, b]
    closed = closed_derivatives(activation, x, y, w=w)
    if closed is not None:
        return _with_errors(closed)
    if len(kernel) < _SERIES_FROM or float(kernel.diagonal().min()) <= 0.0:
        return pair_derivatives(activation, x, y, w=w)
    series = derivative_series(activation, kernel)
    found = _of_series(series)
    (missed,) = (~(series.errors <= tolerance * series.sizes)).any(0).nonzero(as_tuple=True)
    if len(missed):
        exact = pair_derivatives(activation, x[missed], y[missed], w=w[missed])
        for field in fields(PairDerivatives):
            getattr(found, field.name)[missed] = getattr(exact, field.name)
    return found


def _with_errors(closed: ClosedDerivatives) -> PairDerivatives:
    """Closed forms with the rounding of a dozen operations as their errors, and what rounding of K leaves unknown."""
    parts = {field.name: getattr(closed, field.name) for field in fields(closed) if field.name != "blur"}
    errors = {f"{name}_error": _ROUNDING * parts[name].abs() for name in _SECOND}
    for name, blur in zip(("t22_error", "t40_error", "t04_error"), closed.blur.unbind(-1), strict=True):
        errors[name] = errors[name] + blur
    first = _ROUNDING * torch.stack([parts[name].abs() for name in ("t11", "t20", "t02")]).amax(0)
    return PairDerivatives(**parts, **errors, first_error=first)


def _of_series(series: DerivativeSeries) -> PairDerivatives:
    """The series as averages whose contacts are summed with the rest, (8, P) in the order of `ORDERS`."""
    names = [f"t{p}{q}" for p, q in ORDERS]
    errors = dict(zip(names, series.errors + _ROUNDING * series.sizes, strict=True))
    first = torch.stack([errors[name] for name in ("t11", "t20", "t02")]).amax(0)
    seconds = {f"{name}_error": errors[name] for name in _SECOND}
    values = dict(zip(names, series.values, strict=True))
    return PairDerivatives(**values, **seconds, contact=torch.zeros_like(first), first_error=first)


def _filled(diagonal: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    """The matrix with that diagonal, `upper` at a < b and `lower` at the transposed places."""
    size = len(diagonal)
    a, b = torch.triu_indices(size, size, offset=1)
    matrix = torch.diag(diagonal)
    matrix[a, b] = upper
    matrix[b, a] = lower
    return matrix

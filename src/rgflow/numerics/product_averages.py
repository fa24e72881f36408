"""Averages <s_a s_b s_c s_d> and <s_a s_b> for lists of inputs, by closed forms or nested rules, each with its own error.

Convention: a row of input numbers holds up to four of them in ascending order, -1 for none. Errors are absolute: a floor
of rounding, table and tail relative to the product of <s_i^4>^(1/4), which bounds |<s s s s>|; and for rules the difference
of two of them, of which the better is returned.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rgflow.numerics.closed_fourth_moments import erf_moments, scale_invariant_moments, sine_moments
from rgflow.numerics.function_table import FunctionTable, function_table
from rgflow.numerics.gaussian import mesh_of, moments
from rgflow.numerics.group_factors import factor_groups
from rgflow.numerics.lattice_rules import lattice_averages
from rgflow.numerics.panel_rules import panel_averages
from rgflow.numerics.panels import legendre
from rgflow.numerics.pointwise import Activation

__all__ = ["Averages", "closed_averages", "input_sizes", "product_averages", "product_cost"]

# Rounding of closed forms and of nested sums, their factors and dropped null directions, in units of the bound on
# |<s s s s>| (measured: closed forms 5e-14 near coincident inputs, rules 5e-15 to 1e-13).
_CLOSED, _FLOOR = 2e-13, 3e-13
_EVALUATION, _TINY = 2e-15, 1e-30
_DROPPED = 2e-6  # steps: four jumps of twice the size, P(sign change) = sqrt(1e-13) / pi
_SINE = 1e-15  # rounding of exponentials of size one that cancel
# Nearest complex pole per finest feature: tanh has its pole at pi/2 and features of length 1.
_POLE = 0.5 * math.pi
# Above this ratio of standard deviation to feature length panels need fewer nodes than the trapezoid rule.
_WIDEST = 4.0
_OSCILLATING, _POLYNOMIAL = 2.5, 1e4
# Accuracies aimed at by one lattice, from best to worst; the mean of both is better by orders of magnitude.
_TARGETS = (1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
# Rows that miss the aim (entire functions grow off the real axis in their own ways) get finer lattices, thrice at most.
_REFINED = (1.5, 2.25, 3.4)
_ORDERS = (24, 20, 16, 14, 12, 10, 8)
_LUXURY = 12  # orders above this may spend a fiftieth of the budget, a quarter of a second: they are for few inputs
_TRIAL = 2  # order of the rule that counts the panels
_AIM = 1e-13  # tail that panels may leave out
# Panels of neighbouring orders may err alike: their difference counts several times (measured: never above 2.2).
_SAFETY = 5.0
# Share of the cube of side two radii that its ball fills, in one to three dimensions.
_BALL = np.array([1.0, math.pi / 4.0, math.pi / 6.0])
_RADII = (4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0, 10.0, 11.0, 12.0, 13.0)


@dataclass(frozen=True)
class Averages:
    """Values (Q,) and bounds on their absolute errors (Q,); `method` says how."""

    value: Tensor
    error: Tensor
    method: str


@dataclass(frozen=True)
class _Rows:
    """Factors (Q, 4, 4), powers (Q, 4), bounds on the averages and on their rounding (Q,), the tails beyond `_RADII`."""

    factors: np.ndarray
    powers: np.ndarray
    sizes: Tensor
    floor: Tensor
    tails: tuple[float, ...]

    def selected(self, index: np.ndarray) -> "_Rows":
        """Return some of the rows."""
        return replace(
            self,
            factors=self.factors[index],
            powers=self.powers[index],
            sizes=self.sizes[index],
            floor=self.floor[index],
        )

    def radius(self, target: float) -> float:
        """Return the smallest radius beyond which no more than the target lies, or the largest."""
        return next((r for r, tail in zip(_RADII, self.tails, strict=True) if tail <= target), _RADII[-1])

    def tail(self, radius: float) -> float:
        """Return what lies beyond the radius, relative to the size of the average."""
        return self.tails[_RADII.index(radius)]

    @property
    def axes(self) -> np.ndarray:
        """Number of axes of each row."""
        return (np.einsum("qii->qi", self.factors) > 0.0).sum(1)


def input_sizes(activation: Activation, variance: Tensor) -> Tensor:
    """Return <s^4>^(1/4) for every variance (N,), |s(0)| where the variance is 0; infinite where it does not exist."""
    moving = variance > 0
    fourth = moments(activation, torch.where(moving, variance, 1.0)).fourth
    still = activation.function(torch.zeros_like(variance)) ** 4
    return torch.where(moving, fourth, still).nan_to_num(nan=math.inf) ** 0.25


def closed_averages(activation: Activation, kernel: Tensor, *, rows: Tensor) -> Averages | None:
    """Return <s_a s_b s_c s_d> in closed form for every row (Q, 4), or None if the activation has none."""
    slopes = activation.scale_invariant if activation.family == "scale-invariant" else None
    matrix, quadruples = kernel.contiguous().numpy(), rows.contiguous().numpy()
    if slopes is not None:
        found, extra = scale_invariant_moments(matrix, quadruples, *slopes), 0.0
    elif activation.family == "erf":
        found, extra = erf_moments(matrix, quadruples), 0.0
    elif activation.family == "sin":
        found, extra = sine_moments(matrix, quadruples), _SINE
    else:
        return None
    sizes = input_sizes(activation, kernel.diagonal())[rows].prod(1)
    return Averages(torch.from_numpy(found), _CLOSED * sizes + extra * (sizes > 0), "closed form")


def product_averages(activation: Activation, kernel: Tensor, *, rows: Tensor, budget: float) -> Averages:
    """Return <prod_k s(z_rows[k])> for every row by nested rules, spending about `budget` evaluations of s.

    Shapes: kernel (N, N) positive semi-definite, rows (Q, up to 4) of input numbers.
    Errors: those reported; singular kernels are no special case.
    """
    prepared = _prepared(activation, kernel, rows)
    reach = 1.05 * _RADII[-1] * float(kernel.diagonal().max().sqrt()) + 1e-30
    table = function_table(activation, reach=reach)
    points = _points(activation, kernel, reach)
    found = (
        _latticed(activation, prepared, table, budget) if points is None else _panelled(prepared, table, points, budget)
    )
    floor = prepared.floor + 4.0 * table.error * prepared.sizes
    return Averages(found.value, (found.error + floor).nan_to_num(nan=math.inf), found.method)


def product_cost(activation: Activation, kernel: Tensor, *, rows: Tensor, budget: float) -> float:
    """Return how many evaluations of s the rule chosen for `budget` takes; the coarsest may take more."""
    prepared = _prepared(activation, kernel, rows)
    reach = 1.05 * _RADII[-1] * float(kernel.diagonal().max().sqrt()) + 1e-30
    points = _points(activation, kernel, reach)
    if points is None:
        return _lattice(activation, prepared, budget).cost
    trial = _on_panels(prepared, function_table(activation, reach=reach), points, _TRIAL)
    counts, axes = trial[:, 1].numpy(), prepared.axes.astype(float)
    return min(_panel_cost(counts, axes, order) for order in _ORDERS)


def _prepared(activation: Activation, kernel: Tensor, rows: Tensor) -> _Rows:
    factors, powers = np.zeros((len(rows), 4, 4)), np.zeros((len(rows), 4), dtype=np.int64)
    padded = torch.full((len(rows), 4), -1, dtype=torch.int64)
    padded[:, : rows.shape[1]] = rows
    factor_groups(kernel.contiguous().numpy(), padded.numpy(), factors, powers)
    variance = kernel.diagonal()
    size = input_sizes(activation, variance)
    # s is evaluated to rounding of its argument and of its largest values, which counts where s itself is far smaller.
    noise = _EVALUATION * (variance.sqrt() + size.max()) + _TINY
    sizes, floor = (
        torch.where(padded >= 0, each[padded.clamp(min=0)], 1.0).prod(1) for each in (size, size + noise / _FLOOR)
    )
    floor = _FLOOR * floor
    if any(step != 0.0 for step in activation.steps):
        # A step feels a dropped direction by its standard deviation, not by its variance.
        groups = torch.from_numpy(((powers > 0).sum(1) > (np.einsum("qii->qi", factors) > 0.0).sum(1)).astype(float))
        floor = floor + _DROPPED * groups * sizes
    return _Rows(factors, powers, sizes, floor, tuple(_tail(activation, variance, size, radius) for radius in _RADII))


def _tail(activation: Activation, variance: Tensor, size: Tensor, radius: float) -> float:
    """What the whitened integrand may weigh beyond the radius, relative to its size."""
    ends = radius * torch.stack([variance.sqrt(), -variance.sqrt()])
    ratio = activation.function(ends).abs().amax(0) / size.clamp(min=1e-300)
    largest = max(float(ratio.nan_to_num(nan=math.inf).max()), 1.0)
    # P(|x| > r) in four dimensions is (1 + r^2/2) exp(-r^2/2).
    return (1.0 + 0.5 * radius**2) * math.exp(-0.5 * radius**2) * largest**4


def _points(activation: Activation, kernel: Tensor, reach: float) -> np.ndarray | None:
    """Where panels must break, or None if the trapezoid rule is the better one."""
    mesh = mesh_of(activation)
    wide = float(kernel.diagonal().max().sqrt()) > _WIDEST * mesh.length
    if not activation.kinks and not wide:
        return None
    known = {*activation.kinks, *(mesh.edges if wide else ())}
    return np.array(sorted(point for point in known if abs(point) < reach))


def _even(activation: Activation) -> bool:
    """Whether s is even or odd, so that any product of four is even."""
    z = torch.linspace(0.01, 20.0, 401, dtype=torch.float64)
    upper, lower = activation.function(z), activation.function(-z)
    return bool(torch.equal(upper, lower) or torch.equal(upper, -lower))


@dataclass(frozen=True)
class _Lattice:
    """Steps (Q, 4) of each axis (0: no axis) and of the grid of means, the radius, the accuracy, and the evaluations."""

    steps: np.ndarray
    grid: float
    radius: float
    target: float
    cost: float


def _lattice(activation: Activation, rows: _Rows, budget: float, *, targets: tuple[float, ...] = _TARGETS) -> _Lattice:
    """The finest lattice within the budget."""
    pole = _POLE * _width(activation)
    halves = 1.0 if _even(activation) else 2.0
    lattice = _Lattice(np.zeros_like(rows.powers, dtype=np.float64), 1.0, 0.0, 1.0, 0.0)
    for target in targets:
        radius, steps = rows.radius(target), _steps(rows.factors, pole=pole, exponent=-math.log(target))
        # Quintic interpolation of a function with a pole at distance d errs by (step / d)^6 / 64 (6! / 46080).
        grid = pole * (64.0 * target) ** (1.0 / 6.0)
        cost = halves * _lattice_cost(rows, steps, radius, grid)
        lattice = _Lattice(steps, grid, radius, target, cost)
        if cost <= budget:
            break
    return lattice


def _width(activation: Activation) -> float:
    """Finest feature; entire functions that grow exponentially off the real axis count as ones of length 1.

    The panels of sin and exp are 4 long, but |sin(x + 2 pi i)|^4 is 5e9: cosh(pi/2)^4 = 40 at length 1 does no harm.
    """
    length = mesh_of(activation).length
    return 1.0 if _OSCILLATING < length < _POLYNOMIAL else length


def _lattice_cost(rows: _Rows, steps: np.ndarray, radius: float, grid: float) -> float:
    """Evaluations that the rows take, half of them on each lattice, for an even integrand."""
    counts = np.where(steps > 0.0, 2.0 * radius / np.where(steps > 0.0, steps, 1.0) + 1.0, 1.0)
    folded = steps[:, 3] > 0.0
    means = 2.0 * radius * np.sqrt((rows.factors[:, 3, :3] ** 2).sum(1)) / grid + 12.0
    nested = np.where(folded, counts[:, :3].prod(1), counts.prod(1)) * _BALL[rows.axes.clip(1, 3) - 1]
    return float((nested + np.where(folded, 2.0 * means * counts[:, 3], 0.0)).sum())


def _steps(factors: np.ndarray, *, pole: float, exponent: float) -> np.ndarray:
    """Step of each axis (Q, 4), 0 where there is no axis.

    A shift of the contour by y off the real axis bounds the error by exp(y^2/2 - 2 pi y / step); y is limited by the
    pole over the largest coefficient of that axis, and by the Gaussian's own best value, sqrt(2 exponent).
    """
    largest = np.abs(factors).max(1)
    free = math.sqrt(2.0 * exponent)
    shift = np.minimum(pole / np.maximum(largest, 1e-300), free)
    steps = 2.0 * math.pi * shift / (exponent + 0.5 * shift**2)
    return np.where(np.einsum("qii->qi", factors) > 0.0, steps, 0.0)


def _latticed(activation: Activation, rows: _Rows, table: FunctionTable, budget: float) -> Averages:
    even = _even(activation)
    # Half is kept back for rows that turn out to need more.
    lattice = _lattice(activation, rows, 0.5 * budget)
    both = _on_lattice(rows, lattice, table, even)
    slack = (lattice.target + rows.tail(lattice.radius)) * rows.sizes
    left = budget - lattice.cost
    for factor in _REFINED:
        short = (both[:, 0] - both[:, 1]).abs() > 10.0 * lattice.target * rows.sizes
        index = short.nonzero().squeeze(1).numpy()
        part = rows.selected(index)
        finer = _lattice(activation, part, left, targets=(lattice.target**factor,))
        if not len(index) or finer.cost > left:
            break
        both[index] = _on_lattice(part, finer, table, even)
        slack[index] = (finer.target + rows.tail(finer.radius)) * part.sizes
        left -= finer.cost
    # Errors of the same sign on both lattices are not seen by their difference: the accuracy aimed at stands for them.
    return Averages(both.mean(1), (both[:, 0] - both[:, 1]).abs() + slack, "lattice")


def _on_lattice(rows: _Rows, lattice: _Lattice, table: FunctionTable, even: bool) -> Tensor:
    grid = np.full(len(rows.powers), lattice.grid)
    found = lattice_averages(rows.factors, rows.powers, lattice.steps, lattice.radius, even, grid, table.pieces)
    return torch.from_numpy(found)


def _panelled(rows: _Rows, table: FunctionTable, points: np.ndarray, budget: float) -> Averages:
    # The number of panels depends on where breaks fall: the coarsest rule counts them.
    trial = _on_panels(rows, table, points, _TRIAL)
    counts, axes = trial[:, 1].numpy(), rows.axes.astype(float)
    affordable = (
        order for order in _ORDERS if _panel_cost(counts, axes, order) <= budget * (0.02 if order > _LUXURY else 1.0)
    )
    best = next(affordable, _ORDERS[-1])
    values, lesser = (_on_panels(rows, table, points, order)[:, 0] for order in (best, best - 2))
    return Averages(values, _SAFETY * (values - lesser).abs() + rows.tail(rows.radius(_AIM)) * rows.sizes, "panels")


def _on_panels(rows: _Rows, table: FunctionTable, points: np.ndarray, order: int) -> Tensor:
    rule, weights = (part.numpy() for part in legendre(order))
    radius = rows.radius(_AIM)
    found = panel_averages(rows.factors, rows.powers, rule, weights, radius, points, table.pieces)
    return torch.from_numpy(found)


def _panel_cost(counts: np.ndarray, axes: np.ndarray, order: int) -> float:
    return float((counts * ((order / _TRIAL) ** axes + ((order - 2.0) / _TRIAL) ** axes)).sum())

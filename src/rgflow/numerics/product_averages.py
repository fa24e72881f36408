"""Averages <s_a s_b s_c s_d> and <s_a s_b> for lists of input numbers, by nested rules, each with its own error.

Convention: a row of input numbers holds up to four of them, repeats allowed, -1 for none. Errors are absolute: the
difference of two rules of which the better is returned (smooth s: two interleaved lattices and their mean; kinked s: two
orders), and a floor of rounding, table and tail relative to the product of <s_i^4>^(1/4), which bounds <|s s s s|>.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rgflow.numerics.function_table import FunctionTable, function_table
from rgflow.numerics.gaussian import mesh_of, moments
from rgflow.numerics.nested_rules import factor_groups, panel_averages, trapezoid_averages
from rgflow.numerics.panels import legendre
from rgflow.numerics.pointwise import Activation

__all__ = ["Averages", "input_sizes", "product_averages", "product_cost"]

# Rounding of the nested sums, their factors and the merged null directions, in units of the bound on <|s s s s|>.
_FLOOR = 3e-13
# Nearest complex pole per finest feature: tanh has its pole at pi/2 and features of length 1.
_POLE = 0.5 * math.pi
# Targets of one lattice, from best to worst; the mean of both lattices is better by orders of magnitude.
_TARGETS = (1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
_ORDERS = (14, 12, 10, 8, 6)
# Share of the cube of side two radii that its ball fills, in one to four dimensions.
_BALL = np.array([1.0, math.pi / 4.0, math.pi / 6.0, math.pi**2 / 32.0])
_RADII = (6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0, 10.0, 11.0, 12.0, 13.0)


@dataclass(frozen=True)
class Averages:
    """Values (Q,) and bounds on their absolute errors (Q,); `method` says how."""

    value: Tensor
    error: Tensor
    method: str


@dataclass(frozen=True)
class _Plan:
    """Factors and powers of every row, and the rule that fits the budget."""

    factors: np.ndarray
    powers: np.ndarray
    sizes: Tensor
    radius: float
    tail: float
    cost: float
    steps: np.ndarray | None = None
    order: int = 0


def input_sizes(activation: Activation, variance: Tensor) -> Tensor:
    """Return <s^4>^(1/4) for every variance (N,), |s(0)| where the variance is 0; infinite where it does not exist."""
    fourth = moments(activation, variance.clamp(min=1e-300)).fourth
    still = activation.function(torch.zeros_like(variance)) ** 4
    return torch.where(variance > 0, fourth, still).nan_to_num(nan=math.inf) ** 0.25


def product_averages(activation: Activation, kernel: Tensor, *, rows: Tensor, budget: float) -> Averages:
    """Return <prod_k s(z_rows[k])> for every row, spending about `budget` evaluations of s.

    Shapes: kernel (N, N) positive semi-definite, rows (Q, up to 4) of input numbers.
    Errors: those reported; singular kernels are no special case.
    """
    plan = _plan(activation, kernel, rows=rows, budget=budget)
    reach = plan.radius * 1.05 * float(kernel.diagonal().max().sqrt()) + 1e-30
    table = function_table(activation, reach=reach)
    floor = (_FLOOR + 4.0 * table.error + plan.tail) * plan.sizes
    if activation.kinks:
        return _panelled(plan, table, floor)
    return _latticed(plan, table, floor, even=_parity(activation))


def product_cost(activation: Activation, kernel: Tensor, *, rows: Tensor, budget: float) -> float:
    """Return how many evaluations of s the rule chosen for `budget` takes; the coarsest may take more."""
    return _plan(activation, kernel, rows=rows, budget=budget).cost


def _plan(activation: Activation, kernel: Tensor, *, rows: Tensor, budget: float) -> _Plan:
    factors, powers = np.zeros((len(rows), 4, 4)), np.zeros((len(rows), 4), dtype=np.int64)
    padded = torch.full((len(rows), 4), -1, dtype=torch.int64)
    padded[:, : rows.shape[1]] = rows
    factor_groups(kernel.contiguous().numpy(), padded.numpy(), factors, powers)
    variance = kernel.diagonal()
    size = input_sizes(activation, variance)
    sizes = torch.where(padded >= 0, size[padded.clamp(min=0)], 1.0).prod(1)
    choose = _panel_rule if activation.kinks else _lattice_rule
    radius, tail = _radius(activation, variance, size)
    return choose(activation, _Plan(factors, powers, sizes, radius, tail, 0.0), budget)


def _radius(activation: Activation, variance: Tensor, size: Tensor) -> tuple[float, float]:
    """Smallest radius beyond which the whitened integrand weighs nothing, and what it may weigh, relative to its size."""
    tail = math.inf
    for radius in _RADII:
        ends = radius * torch.stack([variance.sqrt(), -variance.sqrt()])
        ratio = float((activation.function(ends).abs().amax(0) / size.clamp(min=1e-300)).nan_to_num(nan=math.inf).max())
        # P(|x| > r) in four dimensions is (1 + r^2/2) exp(-r^2/2).
        tail = (1.0 + 0.5 * radius**2) * math.exp(-0.5 * radius**2) * max(ratio, 1.0) ** 4
        if tail <= 1e-13:
            break
    return radius, tail


def _parity(activation: Activation) -> bool:
    """Whether s is even or odd, so that any product of four is even."""
    z = torch.linspace(0.01, 20.0, 401, dtype=torch.float64)
    upper, lower = activation.function(z), activation.function(-z)
    return bool(torch.equal(upper, lower) or torch.equal(upper, -lower))


def _lattice_rule(activation: Activation, plan: _Plan, budget: float) -> _Plan:
    pole = _POLE * mesh_of(activation).length
    halves = 1.0 if _parity(activation) else 2.0
    for target in _TARGETS:
        steps = _steps(plan.factors, pole=pole, exponent=-math.log(target))
        counts = np.where(steps > 0.0, 2.0 * plan.radius / np.where(steps > 0.0, steps, 1.0) + 1.0, 1.0)
        axes = (steps > 0.0).sum(1).clip(min=1)
        cost = float(halves * (counts.prod(1) * _BALL[axes - 1]).sum())
        if cost <= budget:
            break
    return _Plan(plan.factors, plan.powers, plan.sizes, plan.radius, plan.tail, cost, steps=steps)


def _steps(factors: np.ndarray, *, pole: float, exponent: float) -> np.ndarray:
    """Step of each axis (Q, 4), 0 where there is no axis.

    A shift of the contour by y off the real axis bounds the error by exp(y^2/2 - 2 pi y / step); y is limited by the
    pole over the largest coefficient of that axis, and by the Gaussian's own best value, sqrt(2 exponent).
    """
    largest = np.abs(factors).max(1)
    free = math.sqrt(2.0 * exponent)
    shift = np.minimum(pole / np.maximum(largest, 1e-300), free)
    steps = 2.0 * math.pi * shift / (exponent + 0.5 * shift**2)
    exists = np.einsum("qii->qi", factors) > 0.0
    return np.where(exists, steps, 0.0)


def _panel_rule(activation: Activation, plan: _Plan, budget: float) -> _Plan:
    axes = (np.einsum("qii->qi", plan.factors) > 0.0).sum(1)
    panels = 2.0 + len(activation.kinks)
    for order in _ORDERS:
        cost = float(((panels * order) ** axes.astype(float)).sum() * (1.0 + (1.0 - 2.0 / order) ** 3))
        if cost <= budget:
            break
    return _Plan(plan.factors, plan.powers, plan.sizes, plan.radius, plan.tail, cost, order=order)


def _arrays(table: FunctionTable) -> tuple[np.ndarray, ...]:
    return table.kinks, table.starts, table.inverse, table.first, table.count, table.coefficients


def _latticed(plan: _Plan, table: FunctionTable, floor: Tensor, *, even: bool) -> Averages:
    found = trapezoid_averages(plan.factors, plan.powers, plan.steps, plan.radius, even, *_arrays(table))
    both = torch.from_numpy(found)
    return Averages(both.mean(1), (both[:, 0] - both[:, 1]).abs() + floor, "lattice")


def _panelled(plan: _Plan, table: FunctionTable, floor: Tensor) -> Averages:
    found: list[Tensor] = []
    most = 16 + 24 * (1 + len(table.kinks))
    for order in (plan.order, plan.order - 2):
        rule, weights = (part.numpy() for part in legendre(order))
        values = panel_averages(plan.factors, plan.powers, rule, weights, plan.radius, *_arrays(table), most)
        found.append(torch.from_numpy(values))
    return Averages(found[0], (found[0] - found[1]).abs() + floor, "panels")

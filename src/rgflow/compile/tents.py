"""Products from ReLU: squares by iterated tent maps, one iteration a hidden layer.

x^2 = x - sum_(s >= 1) g_s(x) / 4^s on [0, 1], g_s the tent map iterated s times; m terms leave an error in [0, 2^(-2m-2)].
u v = sq(|u+v|/2) - sq(|u-v|/2) has the same bound, since both errors have one sign.
Source: Yarotsky 2017, arXiv:1610.01145, proposition 2.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch

from rgflow.compile.accuracy import read_out_error
from rgflow.compile.assembly import Block
from rgflow.compile.candidate import Candidate
from rgflow.compile.plan import Form, Gate, Level, Plan
from rgflow.compile.unit import REACH, gamma, rounding_unit

__all__ = ["ITERATIONS_AT_MOST", "tent_bound", "tent_candidates"]

ITERATIONS_AT_MOST = 28  # 2^-58, beyond the rounding of float64
_SHIFT = 2.0  # values in [-1, 1] plus what they err: made positive, so that ReLU lets them pass


def tent_bound(iterations: int) -> float:
    """Return 2^(-2m-2), the largest error of the square on [0, 1] after m iterations."""
    return 2.0 ** (-2 * iterations - 2)


def tent_candidates(plan: Plan, dtype: torch.dtype, *, layers: int | None) -> Iterator[Candidate]:
    """Return one arrangement for every number of iterations that fits into `layers` hidden layers."""
    depth = len(plan.levels)
    most = ITERATIONS_AT_MOST if layers is None or not depth else min(ITERATIONS_AT_MOST, layers // depth)
    for m in range(1, most + 1):
        errors = _errors(plan, m, dtype)
        found = np.array([read_out_error(output, errors, dtype) for output in plan.outputs])
        neurons = sum(_neurons(level, m) for level in plan.levels)
        yield Candidate(
            f"tent maps, {m} iterations", neurons, plan.products, found, plan.outputs, (1.0,) * (m * depth),
            lambda m=m: tuple(layer for level in plan.levels for layer in _layers(level, m)),
        )  # fmt: skip


def _neurons(level: Level, m: int) -> int:
    first = sum(4 * len(_halves(gate)) for gate in level.products)
    later = sum(2 * len(_halves(gate)) + 1 for gate in level.products)
    return first + (m - 1) * later + m * len(level.carried)


def _errors(plan: Plan, m: int, dtype: torch.dtype) -> np.ndarray:
    """Return the errors of the last level's values.

    The interpolated square has slopes at most 2 p + 2^-m, so a product's error grows by (1 + 2^(1-m)) (d_u + d_v). A tent
    doubles the rounding error of its argument and adds four roundings of numbers <= 4; divided by 4^s they sum to less
    than 32 u. Every layer adds the shift of a running value, six roundings of numbers <= 4.
    """
    u, errors = rounding_unit(dtype), np.zeros(plan.inputs)
    for level in plan.levels:
        if not errors.max(initial=0.0) <= REACH - 1.0:
            return np.full(len(plan.levels[-1].gates), math.inf)
        found = []
        for gate in level.gates:
            form_errors = [
                (float(np.abs(f.coefficients) @ errors[list(f.indices)]) + gamma(len(f.indices) + 2, u) * REACH) * power
                for f, power in zip(gate.forms, gate.powers, strict=True)
            ]
            growth = 1.0 if gate.degree == 1 else 1.0 + 2.0 ** (1 - m)
            own = 0.0 if gate.degree == 1 else tent_bound(m) + 32.0 * u
            found.append(growth * sum(form_errors) + own + 24.0 * m * u)
        errors = np.array(found)
    return errors


def _halves(gate: Gate) -> list[np.ndarray]:
    """Return the combinations whose squares make the product: (u+v)/2 and (u-v)/2, or u alone."""
    return [np.array([1.0])] if gate.powers == (2,) else [np.array([0.5, 0.5]), np.array([0.5, -0.5])]


def _layers(level: Level, m: int) -> list[tuple[Block, ...]]:
    """Return the m hidden layers of one level."""
    layers = []
    for s in range(1, m + 1):
        blocks, place = [], 0
        for gate in level.products:
            halves = _halves(gate)
            block = _first(gate, halves, last=m == 1) if s == 1 else _later(gate, len(halves), place, s, last=s == m)
            blocks.append(block)
            place += len(halves) + 1
        for gate in level.carried:
            form = gate.forms[0] if s == 1 else Form((place,), (1.0,))
            one = np.ones((1, 1))
            shift = np.array([_SHIFT])
            blocks.append(Block((form,), one, shift, one, -shift, gate.label, "pass"))
            place += 1
        layers.append(tuple(blocks))
    return layers


def _first(gate: Gate, halves: list[np.ndarray], *, last: bool) -> Block:
    """Return the layer from the factors to tents g_1 of |p| (of both halves) and the running value |p| - g_1 / 4."""
    rows = np.concatenate([np.stack([half, -half, half, -half]) for half in halves])
    bias = np.tile([0.0, 0.0, -0.5, -0.5], len(halves))
    tents = np.kron(np.eye(len(halves)), [[2.0, 2.0, -4.0, -4.0]])
    sizes = np.kron(np.eye(len(halves)), [[1.0, 1.0, 0.0, 0.0]])
    running = _signs(len(halves)) @ (sizes - tents / 4.0)
    return Block(gate.forms, rows, bias, *_read(tents, running, 0.0, last=last), gate.label, "product")


def _later(gate: Gate, halves: int, place: int, iteration: int, *, last: bool) -> Block:
    """Return a layer from tents g_(s-1) and the running value to g_s and the running value less g_s / 4^s."""
    forms = tuple(Form((place + i,), (1.0,)) for i in range(halves + 1))
    rows = np.zeros((2 * halves + 1, halves + 1))
    rows[np.arange(2 * halves), np.repeat(np.arange(halves), 2)] = 1.0
    rows[-1, -1] = 1.0
    bias = np.array([0.0, -0.5] * halves + [_SHIFT])
    tents = np.hstack([np.kron(np.eye(halves), [[2.0, -4.0]]), np.zeros((halves, 1))])
    running = -_signs(halves) @ tents / 4.0**iteration
    running[-1] = 1.0
    return Block(forms, rows, bias, *_read(tents, running, -_SHIFT, last=last), gate.label, "product")


def _signs(halves: int) -> np.ndarray:
    return np.array([1.0, -1.0])[:halves]


def _read(tents: np.ndarray, running: np.ndarray, shift: float, *, last: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and offset: the tents and the running value, or in the last layer the running value alone."""
    if last:
        return running[None, :], np.array([shift])
    return np.vstack([tents, running]), np.array([*([0.0] * len(tents)), shift])

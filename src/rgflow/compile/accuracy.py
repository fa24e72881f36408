"""The a-priori error bound: truncation and rounding of every unit, and their growth through the levels.

With factors u_i in error by d_i, |u_i| <= 1, a product of them is in error by at most prod(1 + d_i) - 1 plus the unit's own
error; a sum of values adds theirs. Rounding follows Higham 2002, ch. 3, without any assumption on the order of sums.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from rgflow.compile.kit import Kit
from rgflow.compile.plan import Form, Gate, Level, Output, Plan
from rgflow.compile.unit import REACH, Unit, gamma, rounding_unit

__all__ = ["chosen_units", "output_errors", "read_out_error"]


def chosen_units(plan: Plan, kit: Kit, *, thrifty: bool) -> tuple[tuple[Unit, ...], ...]:
    """Return the unit of every gate of every level.

    `thrifty` pays for carried values: as many products of two factors as there are neurons that carry take three neurons
    instead of four, from the last level on, so that a network has four neurons a product, carrying included.
    """
    owed = sum(kit.passing.neurons for level in plan.levels for _ in level.carried) if thrifty and kit.corner else 0
    levels = []
    for level in reversed(plan.levels):
        units = []
        for gate in level.gates:
            pays = owed > 0 and gate.powers == (1, 1)
            owed -= pays
            units.append(_unit(kit, gate, pays=pays))
        levels.append(tuple(units))
    return tuple(reversed(levels))


def _unit(kit: Kit, gate: Gate, *, pays: bool) -> Unit:
    if gate.degree == 1:
        return kit.passing
    return kit.corner if pays and kit.corner is not None else kit.product(gate.powers)


def output_errors(plan: Plan, units: Sequence[Sequence[Unit]], dtype: torch.dtype) -> np.ndarray:
    """Return the error bound of every output, infinite where an intermediate error exceeds what the units allow."""
    errors = np.zeros(plan.inputs)
    for level, chosen in zip(plan.levels, units, strict=True):
        if not errors.max(initial=0.0) <= REACH - 1.0:  # the units of this level allow no larger factors
            return np.full(len(plan.outputs), math.inf)
        errors = _level_errors(level, chosen, errors, dtype)
    return np.array([read_out_error(output, errors, dtype) for output in plan.outputs])


def _level_errors(level: Level, units: Sequence[Unit], errors: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    u, found = rounding_unit(dtype), []
    for gate, unit in zip(level.gates, units, strict=True):
        growth = math.fsum(
            power * math.log1p(_carried_error(form, errors))
            for form, power in zip(gate.forms, gate.powers, strict=True)
        )
        added = sum(len(form.indices) for form in gate.forms)
        found.append(math.expm1(growth) + unit.error(added=added, roundoff=u))
    return np.array(found)


def _carried_error(form: Form, errors: np.ndarray) -> float:
    return float(np.abs(form.coefficients) @ errors[list(form.indices)]) if form.indices else 0.0


def read_out_error(output: Output, errors: np.ndarray, dtype: torch.dtype) -> float:
    """Return the error of one output: those of its values, and the rounding of their sum."""
    size = float(np.abs(output.form.coefficients).sum()) * REACH + abs(output.constant)
    rounding = gamma(len(output.form.indices) + 3, rounding_unit(dtype)) * size
    return _carried_error(output.form, errors) + rounding + float(torch.finfo(dtype).tiny)

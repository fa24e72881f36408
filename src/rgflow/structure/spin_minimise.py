"""Minimisers of a convex sum of site losses with a square penalty: Newton's method, and L-BFGS where Hessians are too large.

Units: the objective is the mean over samples of the loss summed over sites, plus regularisation / 2 times the square of theta.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

from rgflow.structure.spin_designs import Design
from rgflow.structure.spin_losses import SiteLoss

__all__ = ["Minimum", "Problem", "minimised_by_lbfgs", "minimised_by_newton"]

_NEWTON_STEPS = 60  # a regular problem takes 6 to 10
_DRIFT = 1e-3  # a last step larger than this has not settled: separable data without a penalty drift by 1/2 a step
_HALVINGS = 30
_LBFGS_STEPS = 1000
_MEMORY = 15  # pairs of steps that L-BFGS keeps
_DECREMENT = 1e-14  # expected gain below which Newton stops, nats a sample: far below 1/M for any M that fits
_GRADIENT = 5e-6  # largest slope at which L-BFGS stops, nats a sample: the slopes' own noise is some 1 / sqrt(samples)
_FLAT = 1e-10  # relative fall of the objective in one step at which it stops: rounding of float32 products hides less


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a minimiser stopped."""

    theta: np.ndarray
    steps: int
    converged: bool


@dataclass(frozen=True, eq=False)
class Problem:
    """The objective of one fit with its first two derivatives."""

    design: Design
    loss: SiteLoss
    regularisation: float

    def value(self, theta: np.ndarray) -> float:
        """Return the objective."""
        return self._value(self.design.margins(theta), theta)

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Return the gradient (parameters,)."""
        return self._gradient(self.design.margins(theta), theta)

    def both(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return objective and gradient, from one pass over the margins."""
        margins = self.design.margins(theta)
        return self._value(margins, theta), self._gradient(margins, theta)

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Return the second derivatives (parameters, parameters), penalty included."""
        weights = self.loss.curvature(self.design.margins(theta)) * self.design.weights
        return self.design.curvature(weights) + self.regularisation * np.eye(self.design.parameters)

    def _value(self, margins: np.ndarray, theta: np.ndarray) -> float:
        loss = self.loss.value(margins).sum(0, dtype=np.float64) @ self.design.weights
        return float(loss + 0.5 * self.regularisation * theta @ theta)

    def _gradient(self, margins: np.ndarray, theta: np.ndarray) -> np.ndarray:
        slopes = self.loss.slope(margins)
        slopes *= self.design.weights.astype(slopes.dtype)
        return self.design.pulled(slopes) + self.regularisation * theta


def minimised_by_newton(problem: Problem, start: np.ndarray) -> Minimum:
    """Return the minimum by damped Newton steps."""
    theta, (value, gradient) = start.copy(), problem.both(start)
    for step in range(_NEWTON_STEPS):
        direction = _newton_direction(problem.hessian(theta), gradient)
        gain = -float(gradient @ direction)
        if gain <= _DECREMENT:
            settled = float(np.abs(direction).max()) < _DRIFT  # without a penalty separable data drift on and on
            return Minimum(theta + direction, step, settled)  # the last step costs nothing: it squares the error
        length = 1.0
        for _ in range(_HALVINGS):
            trial = problem.value(theta + length * direction)
            if trial <= value - 1e-4 * length * gain:  # Armijo's constant, Nocedal and Wright 2006, ch. 3
                break
            length /= 2.0
        else:
            return Minimum(theta, step, gain <= 1e-10)  # rounding stops the descent before the last digits
        theta = theta + length * direction
        value, gradient = problem.both(theta)
    return Minimum(theta, _NEWTON_STEPS, False)


def minimised_by_lbfgs(problem: Problem, start: np.ndarray) -> Minimum:
    """Return the minimum by L-BFGS, for problems whose Hessian is too large."""
    settings = {
        "maxiter": _LBFGS_STEPS,
        "maxfun": 2 * _LBFGS_STEPS,
        "maxcor": _MEMORY,
        "gtol": _GRADIENT,
        "ftol": _FLAT,
    }
    found = minimize(problem.both, start, jac=True, method="L-BFGS-B", options=settings)
    return Minimum(np.asarray(found.x), int(found.nit), bool(found.success))


def _newton_direction(hessian: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    ridge = 0.0
    for _ in range(8):  # a singular Hessian (no penalty, a constant spin) gets a growing ridge
        try:
            return -cho_solve(cho_factor(hessian + ridge * np.eye(len(hessian)), check_finite=False), gradient)
        except LinAlgError:
            ridge = max(10.0 * ridge, 1e-12 * max(float(np.trace(hessian)), 1e-300))  # grows from rounding
    return -gradient

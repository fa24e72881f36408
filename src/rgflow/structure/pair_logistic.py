"""All conditional laws of discrete variables at once: one multinomial logistic regression a site, fitted together.

Convention: site i has levels_i - 1 indicator columns (the first level is the reference); the field of column c is
X theta[:, c], theta has no entry between two columns of one site. X carries a last column of ones. Units: nats.
"""

import itertools
from dataclasses import dataclass

import numpy as np

__all__ = ["ConditionalFit", "fit_conditionals"]

_NEWTON_STEPS = 12  # quadratic convergence: 5 suffice from a start at 0, the rest is for damped steps
_CONJUGATE_STEPS = 8  # each gains a digit with the preconditioner below (measured on Ising data at T_c)
_RELATIVE_GRADIENT = 1e-3  # of one standard error of the score: far below the statistical error
_HALVINGS = 6
_BIAS_STEPS = 3  # the correction is a factor of about columns / samples: what is left falls by it at every step


@dataclass(frozen=True, eq=False)
class ConditionalFit:
    """Coefficients theta (columns + 1, columns), residuals (samples, columns) and mean weights (columns, columns).

    `precision` (columns + 1, columns + 1) is the inverse of the second moments of X, `starts` the first column of every site.
    """

    theta: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray
    precision: np.ndarray
    starts: np.ndarray


def fit_conditionals(indicators: np.ndarray, *, levels: np.ndarray, penalty: float) -> ConditionalFit:
    """Return the maximum of sum_i ln p(x_i | rest) - penalty / (2 samples) |theta|^2, every site on its own.

    Shapes: `indicators` (samples, sum(levels - 1)), 0 or 1, no constant column; `levels` (sites,).
    Errors: solved until the gradient is below 1e-3 of its own standard error.
    """
    samples, columns = indicators.shape
    starts = np.concatenate([[0], np.cumsum(levels - 1)])
    design = np.concatenate([indicators, np.ones((samples, 1))], axis=1)
    moments = design.T @ design / samples + np.eye(columns + 1) * max(penalty / samples, 1e-10)
    precision = np.linalg.inv(moments)
    theta = np.zeros((columns + 1, columns))
    state = _State(design, indicators, starts, penalty / samples, _own_site(starts))
    fields = np.zeros((samples, columns))
    for _ in range(_NEWTON_STEPS):
        chances = state.chances(fields)
        gradient = state.gradient(chances, theta)
        if np.abs(gradient).max() * np.sqrt(samples) < _RELATIVE_GRADIENT:
            break
        step = state.newton_step(gradient, chances, precision)
        theta, fields = state.damped(theta, fields, step)
    if (levels == 2).all():
        theta, fields = state.less_biased(theta, fields, precision)
    chances = state.chances(fields)
    weights = _mean_weights(chances, starts)
    return ConditionalFit(theta, indicators - chances, weights, precision, starts)


@dataclass(frozen=True, eq=False)
class _State:
    design: np.ndarray
    indicators: np.ndarray
    starts: np.ndarray
    ridge: float
    own: np.ndarray

    def chances(self, fields: np.ndarray) -> np.ndarray:
        """Return p(level | rest) of every column by the softmax of its site, reference level of field 0."""
        top = np.maximum(np.maximum.reduceat(fields, self.starts[:-1], axis=1), 0.0)
        spread = np.repeat(top, np.diff(self.starts), axis=1)
        raised = np.exp(fields - spread)
        total = np.exp(-top) + np.add.reduceat(raised, self.starts[:-1], axis=1)
        return raised / np.repeat(total, np.diff(self.starts), axis=1)

    def gradient(self, chances: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return the gradient of the penalised mean log-likelihood, without entries inside a site."""
        found = self.design.T @ (self.indicators - chances) / len(self.design) - self.ridge * self._slopes(theta)
        found[:-1][self.own] = 0.0
        return found

    def curved(self, direction: np.ndarray, chances: np.ndarray) -> np.ndarray:
        """Return minus the Hessian times `direction`."""
        moved = chances * (self.design @ direction)
        shared = np.add.reduceat(moved, self.starts[:-1], axis=1)
        moved -= chances * np.repeat(shared, np.diff(self.starts), axis=1)
        found = self.design.T @ moved / len(self.design) + self.ridge * self._slopes(direction)
        found[:-1][self.own] = 0.0
        return found

    def newton_step(self, gradient: np.ndarray, chances: np.ndarray, precision: np.ndarray) -> np.ndarray:
        """Return an approximate Newton step of every site by preconditioned conjugate gradients."""
        weights = _mean_weights(chances, self.starts)
        step, rest = np.zeros_like(gradient), gradient.copy()
        ready = _preconditioned(rest, precision=precision, weights=weights, starts=self.starts)
        direction, size = ready, self._site_sums(rest * ready)
        first = size.copy()
        for _ in range(_CONJUGATE_STEPS):
            curved = self.curved(direction, chances)
            length = np.repeat(size / np.maximum(self._site_sums(direction * curved), 1e-300), np.diff(self.starts))
            step += length * direction
            rest -= length * curved
            ready = _preconditioned(rest, precision=precision, weights=weights, starts=self.starts)
            fresh = self._site_sums(rest * ready)
            if (fresh < 1e-4 * first).all():  # the step is then right to 1 %, a Newton step needs no more
                break
            direction = ready + np.repeat(fresh / np.maximum(size, 1e-300), np.diff(self.starts)) * direction
            size = fresh
        return step

    def less_biased(
        self, theta: np.ndarray, fields: np.ndarray, precision: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return theta without its bias of order columns / samples (two-valued sites alone), and the fields.

        The score gains leverage x (1/2 - p); the leverage of a sample is taken as (columns / samples) x its weight over
        the mean weight. Source: Firth 1993, Biometrika 80, 27.
        """
        for _ in range(_BIAS_STEPS):
            chances = self.chances(fields)
            weights = chances * (1.0 - chances)
            leverage = weights / np.maximum(weights.mean(0), 1e-9) * (theta.shape[0] / len(fields))
            push = self.design.T @ (leverage * (0.5 - chances)) / len(fields)
            push[:-1][self.own] = 0.0
            step = self.newton_step(self.gradient(chances, theta) + push, chances, precision)
            theta, fields = theta + step, fields + self.design @ step
        return theta, fields

    def damped(self, theta: np.ndarray, fields: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return theta and fields after the step, halved for each site until its objective rises."""
        moved = self.design @ step
        length = np.ones(len(self.starts) - 1)
        before = self._objective(fields, theta)
        for _ in range(_HALVINGS):
            wide = np.repeat(length, np.diff(self.starts))
            worse = self._objective(fields + wide * moved, theta + wide * step) < before - 1e-12
            if not worse.any():
                break
            length = np.where(worse, length / 2.0, length)
        wide = np.repeat(length, np.diff(self.starts))
        return theta + wide * step, fields + wide * moved

    def _objective(self, fields: np.ndarray, theta: np.ndarray) -> np.ndarray:
        top = np.maximum(np.maximum.reduceat(fields, self.starts[:-1], axis=1), 0.0)
        raised = np.exp(fields - np.repeat(top, np.diff(self.starts), axis=1))
        partition = top + np.log(np.exp(-top) + np.add.reduceat(raised, self.starts[:-1], axis=1))
        likelihood = np.add.reduceat(self.indicators * fields, self.starts[:-1], axis=1) - partition
        return likelihood.mean(0) - 0.5 * self.ridge * self._site_sums(self._slopes(theta) ** 2)

    def _slopes(self, theta: np.ndarray) -> np.ndarray:
        kept = theta.copy()
        kept[-1] = 0.0
        return kept

    def _site_sums(self, values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values.sum(0), self.starts[:-1])


def _own_site(starts: np.ndarray) -> np.ndarray:
    """Return the mask (columns, columns) of pairs of columns of one site."""
    site = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    return site[:, None] == site[None, :]


def _mean_weights(chances: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the mean of diag(p) - p p' within every site, a block-diagonal matrix (columns, columns)."""
    found = np.zeros((chances.shape[1],) * 2)
    for first, last in itertools.pairwise(starts.tolist()):
        part = chances[:, first:last]
        found[first:last, first:last] = np.diag(part.mean(0)) - part.T @ part / len(part)
    return found


def _preconditioned(
    gradient: np.ndarray, *, precision: np.ndarray, weights: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """Return (second moments of the other sites)^-1 gradient (mean weight)^-1 of every site."""
    raw = precision @ gradient
    if len(starts) - 1 == weights.shape[0]:  # one column a site: the block inverses are numbers
        return _scalar_preconditioned(raw, precision=precision, weights=np.diag(weights))
    for first, last in itertools.pairwise(starts.tolist()):
        block = precision[:, first:last]
        raw[:, first:last] -= block @ np.linalg.solve(block[first:last], raw[first:last, first:last])
        raw[:, first:last] = np.linalg.solve(
            weights[first:last, first:last] + _tiny(last - first), raw[:, first:last].T
        ).T
        raw[first:last, first:last] = 0.0
    return raw


def _scalar_preconditioned(raw: np.ndarray, *, precision: np.ndarray, weights: np.ndarray) -> np.ndarray:
    inner = np.diagonal(raw) / np.diagonal(precision)[:-1]
    found = (raw - precision[:, :-1] * inner) / np.maximum(weights, 1e-9)
    np.fill_diagonal(found, 0.0)
    return found


def _tiny(size: int) -> np.ndarray:
    return np.eye(size) * 1e-9

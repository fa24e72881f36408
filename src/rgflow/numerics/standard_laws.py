"""Laws of one random number with mean 0 and variance 1: their draws, skewness and excess kurtosis, exactly.

Convention: skewness E x^3, excess kurtosis E x^4 - 3, of the standardised number x.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from rgflow.errors import SettingError

__all__ = ["StandardLaw", "TruncatedNormal", "exponential", "standard_law", "truncated_normal", "two_point"]

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class StandardLaw:
    """A law with mean 0 and variance 1; `draw(generator, shape)` returns float64 numbers drawn from it."""

    name: str
    skewness: float
    kurtosis: float
    draw: Draw


@dataclass(frozen=True)
class TruncatedNormal:
    """A standard normal number kept only within (lower, upper): its mean, variance, skewness and excess kurtosis.

    An initialiser that is told the standard deviation before truncation draws weights of variance std^2 * variance.
    """

    lower: float
    upper: float
    mean: float
    variance: float
    skewness: float
    kurtosis: float

    def standardised(self) -> StandardLaw:
        """Return the law of (x - mean) / sqrt(variance)."""
        edges = ndtr(self.lower), ndtr(self.upper)

        def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
            inside = ndtri(edges[0] + (edges[1] - edges[0]) * generator.random(shape))
            return (np.clip(inside, self.lower, self.upper) - self.mean) / math.sqrt(self.variance)

        return StandardLaw(f"truncated normal ({self.lower:g}, {self.upper:g})", self.skewness, self.kurtosis, draw)


def truncated_normal(lower: float, upper: float) -> TruncatedNormal:
    """Return the law of a standard normal number kept within (lower, upper), in standard deviations before truncation.

    Moments follow by parts, m_k = (k - 1) m_{k-2} - [x^{k-1} phi(x)] / (Phi(upper) - Phi(lower)). For symmetric cuts
    the variance is 1 - 2 c phi(c) / (2 Phi(c) - 1): 0.77374 at c = 2, with excess kurtosis -0.6344.
    Errors: rounding.
    Raises: SettingError unless lower < upper, the law has weight above 1e-3, and the two lie at least 0.1 apart.

    Example:
    >>> round(truncated_normal(-2.0, 2.0).variance, 9)
    0.773741318
    """
    if not upper - lower >= 0.1 or ndtr(upper) - ndtr(lower) < 1e-3:
        raise SettingError(
            f"cuts are {lower} and {upper} standard deviations; they must lie 0.1 apart and keep a weight above 1e-3"
        )
    m = _moments(lower, upper)
    variance = m[2] - m[1] ** 2
    third = m[3] - 3 * m[1] * m[2] + 2 * m[1] ** 3
    fourth = m[4] - 4 * m[1] * m[3] + 6 * m[1] ** 2 * m[2] - 3 * m[1] ** 4
    return TruncatedNormal(lower, upper, m[1], variance, third / variance**1.5, fourth / variance**2 - 3.0)


def _moments(lower: float, upper: float) -> list[float]:
    weight = float(ndtr(upper) - ndtr(lower))

    def edge(x: float, power: int) -> float:
        return x**power * math.exp(-x * x / 2) / math.sqrt(2 * math.pi) if math.isfinite(x) else 0.0

    moments = [1.0, -(edge(upper, 0) - edge(lower, 0)) / weight]
    for k in range(2, 5):
        moments.append((k - 1) * moments[k - 2] - (edge(upper, k - 1) - edge(lower, k - 1)) / weight)
    return moments


def two_point(probability: float) -> StandardLaw:
    """Return the law of the standardised indicator that is 1 with this probability: the most skewed for its kurtosis.

    Skewness (1 - 2p) / sqrt(p (1-p)); kurtosis = skewness^2 - 2, the least possible (Pearson's inequality).
    """
    if not 0.0 < probability < 1.0:
        raise SettingError(f"the probability is {probability}; it must lie between 0 and 1")
    spread = math.sqrt(probability * (1 - probability))
    skewness = (1 - 2 * probability) / spread

    def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return ((generator.random(shape) < probability) - probability) / spread

    return StandardLaw(f"two points ({probability:g})", skewness, skewness**2 - 2.0, draw)


def exponential() -> StandardLaw:
    """Return the law of an exponential number minus its mean: skewness 2, kurtosis 6."""
    return StandardLaw("exponential", 2.0, 6.0, lambda generator, shape: generator.standard_exponential(shape) - 1.0)


def standard_law(law: "str | StandardLaw") -> StandardLaw:
    """Return the law of that name: "gaussian", "uniform", "sign", "exponential" or "truncated_normal" (cut at 2).

    Raises: SettingError for another name.
    """
    if isinstance(law, StandardLaw):
        return law
    named = {
        "gaussian": lambda: StandardLaw(
            "gaussian", 0.0, 0.0, lambda generator, shape: generator.standard_normal(shape)
        ),
        "uniform": lambda: StandardLaw("uniform", 0.0, -6.0 / 5.0, _uniform),
        "sign": lambda: StandardLaw("sign", 0.0, -2.0, _sign),
        "exponential": exponential,
        "truncated_normal": lambda: truncated_normal(-2.0, 2.0).standardised(),
    }
    if law not in named:
        raise SettingError(f"the law is {law!r}; it must be a StandardLaw or one of {', '.join(named)}")
    return named[law]()


def _uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (2 * generator.random(shape) - 1) * math.sqrt(3.0)  # Var = range^2 / 3


def _sign(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return 2.0 * generator.integers(0, 2, shape) - 1.0

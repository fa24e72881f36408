"""What the ladder asks of a model: parameters from samples, and a held-out score for every sample.

A score is in nats a variable and sample: the mean log-probability of a variable given all others (spins, categories), or
minus the score-matching objective (continuous variables). Larger is better.
"""

from typing import Protocol

import numpy as np

__all__ = ["RungModel"]


class RungModel(Protocol):
    """A model that can be fitted to some samples (samples, sites) and scored on others."""

    def fit(self, samples: np.ndarray) -> np.ndarray:
        """Return the parameters that fit the samples best."""
        ...

    def score(self, samples: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Return one score for each sample."""
        ...

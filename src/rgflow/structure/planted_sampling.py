"""Independent samples of planted laws, without a Markov chain where the law allows: enumeration, Gaussians, one chain of phi^4.

-H = sum of theta times products, in nats; every function takes a generator and returns samples (samples, sites).
"""

import numpy as np

from rgflow.errors import SettingError
from rgflow.structure.terms import Terms

__all__ = ["MOST_STATES", "all_spins", "drawn_spins", "drawn_states", "log_weights"]

MOST_STATES = 2**17  # states of an enumeration: 17 spins, a megabyte of weights


def all_spins(sites: int) -> np.ndarray:
    """Return all 2^sites configurations of spins, (states, sites) int8; bit i of the row number is site i."""
    if 2**sites > MOST_STATES:
        raise SettingError(f"{sites} spins have 2^{sites} states; enumeration takes at most {MOST_STATES:,}")
    return (((np.arange(2**sites)[:, None] >> np.arange(sites)) & 1) * 2 - 1).astype(np.int8)


def log_weights(terms: Terms, theta: np.ndarray) -> np.ndarray:
    """Return -H of all configurations of `all_spins`, (states,)."""
    states = all_spins(terms.sites)
    values, start = np.zeros(len(states)), 0
    for group in terms.groups:
        for row, parameter in zip(group, terms.tie[start : start + len(group)], strict=True):
            values += theta[parameter] * np.prod(states[:, row], axis=1)
        start += len(group)
    return values


def drawn_states(weights: np.ndarray, samples: int, *, generator: np.random.Generator) -> np.ndarray:
    """Return the numbers of independent states drawn with probability proportional to exp(weights)."""
    probabilities = np.exp(weights - weights.max())
    return generator.choice(len(weights), size=samples, p=probabilities / probabilities.sum())


def drawn_spins(terms: Terms, theta: np.ndarray, samples: int, *, generator: np.random.Generator) -> np.ndarray:
    """Return independent samples (samples, sites) int8 of the law of these terms."""
    return all_spins(terms.sites)[drawn_states(log_weights(terms, theta), samples, generator=generator)]

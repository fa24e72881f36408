"""Probabilities as whole words, to be compared with random words.

An event of probability p happens where a random word is below p 2^64; p = 1 becomes 2^64 - 1, off by 2^-64.
"""

import numpy as np

__all__ = ["probability_words"]

_WORDS = 2.0**64
_LARGEST = 2.0**64 - 2.0**11  # the float64 below 2^64


def probability_words(probabilities: np.ndarray) -> np.ndarray:
    """Return uint64 words w with w / 2^64 = p to 2^-53, elementwise."""
    scaled = np.asarray(probabilities, dtype=np.float64) * _WORDS
    words = np.minimum(scaled, _LARGEST).astype(np.uint64)
    return np.where(scaled >= _WORDS, np.uint64(2**64 - 1), words)

"""Independent streams of random words for compiled loops: xoroshiro128++, one stream a chain, seeded by NumPy.

A stream is two uint64 words; `advance` returns the next random word with the words that follow. Uniform numbers are the top
53 bits, so that a probability is met to 2^-53. Seeds go through `SeedSequence`, which spreads neighbouring seeds.
"""

import numpy as np
from numba import njit

# Also for compiled loops, which take no keyword-only arguments: `advance`, `uniform`.
__all__ = ["streams"]

_U17, _U21, _U28, _U49 = np.uint64(17), np.uint64(21), np.uint64(28), np.uint64(49)  # Blackman and Vigna 2021, table 1
_COMPLEMENT_17, _COMPLEMENT_28, _COMPLEMENT_49 = np.uint64(47), np.uint64(36), np.uint64(15)  # 64 - rotation
_U11 = np.uint64(11)  # 64 - 53 bits of a float64
_UNIT = 2.0**-53


def streams(seed: int, *, count: int, use: int = 0) -> np.ndarray:
    """Return the starting words (count, 2) uint64 of independent streams; `use` separates purposes under one seed.

    Errors: two of n streams overlap within their first 2^40 words with probability below n^2 2^-87.
    Source: Blackman and Vigna 2021, ACM Trans. Math. Software 47, 36, arXiv:1805.01407 (xoroshiro128++).
    """
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(use,))
    return sequence.generate_state(2 * count, np.uint64).reshape(count, 2) | np.array([1, 0], dtype=np.uint64)


@njit(cache=True)
def advance(a, b):
    """Return (random word, next a, next b)."""
    total = a + b
    word = ((total << _U17) | (total >> _COMPLEMENT_17)) + a
    b ^= a
    return word, ((a << _U49) | (a >> _COMPLEMENT_49)) ^ b ^ (b << _U21), (b << _U28) | (b >> _COMPLEMENT_28)


@njit(cache=True)
def uniform(word):
    """Return the number in [0, 1) of a random word, a multiple of 2^-53."""
    return np.int64(word >> _U11) * _UNIT

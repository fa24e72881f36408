"""Heat bath of 64 chains in the bits of one word a site, compiled; imported only where it runs.

Bit c of `words[i]` is 1 where spin i of chain c is 1. The neighbours that pull up are counted in three bit planes (at most 7
neighbours). Each chain compares random bits of its own with the bits of its probability, most significant first, until they
differ: chains share no randomness, and a probability is met to 2^-53.
"""

import numpy as np
from numba import njit

from rgflow.lattice.random_streams import advance

# For `bit_coding` alone: compiled functions take no keyword-only arguments.
__all__: list[str] = []

_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}
_ZERO, _ONE, _FULL = np.uint64(0), np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(**_OPTIONS)
def bit_coded(words, starts, neighbours, inversions, thresholds, stream, discard, every, out):
    """Sweep all sites in order; `thresholds[degree, pulling up]` = 2^64 P(1); out (records, sites) receives words."""
    a, b = stream[0], stream[1]
    masks = np.empty(8, np.uint64)
    for sweep in range(discard + every * out.shape[0]):
        for i in range(words.shape[0]):
            ones, twos, fours = _ZERO, _ZERO, _ZERO
            for k in range(starts[i], starts[i + 1]):
                up = words[neighbours[k]] ^ inversions[k]
                carry = ones & up
                ones ^= up
                fours ^= twos & carry
                twos ^= carry
            degree = starts[i + 1] - starts[i]
            for n in range(degree + 1):
                mask = ones if n & 1 else ~ones
                mask &= twos if n & 2 else ~twos
                masks[n] = mask & (fours if n & 4 else ~fours)
            undecided, result = _FULL, _ZERO
            bit = np.uint64(64)
            while undecided != _ZERO and bit > _ZERO:
                bit -= _ONE
                wanted = _ZERO
                for n in range(degree + 1):
                    wanted |= masks[n] & (_ZERO - ((thresholds[degree, n] >> bit) & _ONE))
                word, a, b = advance(a, b)
                result |= undecided & wanted & ~word
                undecided &= ~(word ^ wanted)
            words[i] = result
        done = sweep + 1 - discard
        if done > 0 and done % every == 0:
            out[done // every - 1] = words
    stream[0], stream[1] = a, b


@njit(**_OPTIONS)
def unpacked(words, states):
    """Fill states (chains, records, sites) with the spins of the words (records, sites), chain c from bit c."""
    for c in range(states.shape[0]):
        for r in range(words.shape[0]):
            for i in range(words.shape[1]):
                states[c, r, i] = np.int8(2) * np.int8((words[r, i] >> np.uint64(c)) & _ONE) - np.int8(1)

"""Replica exchange of spins with pair couplings or terms, compiled; imported only where it runs.

One ladder: `spins` (temperatures, sites); `holder[t]` is the replica at temperature t. After each sweep of heat bath at every
temperature, neighbours (t, t + 1), t even and odd in turn, exchange replicas with probability
min(1, exp(H_t(x) + H_u(y) - H_t(y) - H_u(x))), x the state at t and y that at u = t + 1.
"""

import math

import numpy as np
from numba import njit

from rgflow.lattice.local_loops import heat_bath_sweep
from rgflow.lattice.random_streams import advance, uniform

# For `tempering` alone: compiled functions take no keyword-only arguments.
__all__: list[str] = []

_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}


@njit(**_OPTIONS)
def _minus_energy(spins, starts, neighbours, couplings, fields):
    """Return -H; the table holds every pair twice."""
    total = 0.0
    for i in range(spins.shape[0]):
        pull = 0.0
        for k in range(starts[i], starts[i + 1]):
            pull += couplings[k] * spins[neighbours[k]]
        total += spins[i] * (0.5 * pull + fields[i])
    return total


@njit(**_OPTIONS)
def _count_trips(holder, last_end, trips):
    """A round trip: from the first temperature (end 1) to the last (end 2) and back."""
    first, last = holder[0], holder[holder.shape[0] - 1]
    if last_end[first] == 2:
        trips[first] += 1
    last_end[first] = 1
    if last_end[last] == 1:
        last_end[last] = 2


@njit(**_OPTIONS)
def temper_pairs(spins, starts, neighbours, couplings, fields, stream, discard, every, out, accepted, trips):
    """Move one ladder; fills out (temperatures, records, sites), accepted (temperatures - 1,) and trips (temperatures,)."""
    a, b = stream[0], stream[1]
    count = spins.shape[0]
    holder = np.arange(count)
    last_end = np.zeros(count, np.int8)
    for sweep in range(discard + every * out.shape[1]):
        for t in range(count):
            a, b = heat_bath_sweep(spins[holder[t]], starts, neighbours, couplings[t], fields[t], a, b)
        for t in range(sweep % 2, count - 1, 2):
            x, y = spins[holder[t]], spins[holder[t + 1]]
            gain = _minus_energy(y, starts, neighbours, couplings[t], fields[t])
            gain += _minus_energy(x, starts, neighbours, couplings[t + 1], fields[t + 1])
            gain -= _minus_energy(x, starts, neighbours, couplings[t], fields[t])
            gain -= _minus_energy(y, starts, neighbours, couplings[t + 1], fields[t + 1])
            word, a, b = advance(a, b)
            if gain >= 0.0 or uniform(word) < math.exp(gain):
                holder[t], holder[t + 1] = holder[t + 1], holder[t]
                accepted[t] += sweep >= discard
        if sweep >= discard and count > 1:
            _count_trips(holder, last_end, trips)
        done = sweep + 1 - discard
        if done > 0 and done % every == 0:
            for t in range(count):
                out[t, done // every - 1] = spins[holder[t]]
    stream[0], stream[1] = a, b

"""Replica exchange of spins with pair couplings or terms, compiled; imported only where it runs.

One ladder: `spins` (temperatures, sites); `holder[t]` is the replica at temperature t. After each sweep of heat bath at every
temperature, neighbours (t, t + 1), t even and odd in turn, exchange replicas with probability
min(1, exp(H_t(x) + H_u(y) - H_t(y) - H_u(x))), x the state at t and y that at u = t + 1.
"""

import math

import numpy as np
from numba import njit

from rgflow.lattice.local_loops import counted_heat_bath_sweep, heat_bath_sweep
from rgflow.lattice.random_streams import advance, uniform
from rgflow.lattice.term_loops import heat_bath_terms_sweep, multiply

# For `tempering` alone: compiled functions take no keyword-only arguments.
__all__: list[str] = []

_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}


@njit(**_OPTIONS)
def _exchange_gain(x, y, first, second, hot, cold, hot_fields, cold_fields):
    """Return H_t(x) + H_u(y) - H_t(y) - H_u(x) for couplings `hot` at t and `cold` at u."""
    gain = 0.0
    for e in range(first.shape[0]):
        i, j = first[e], second[e]
        gain += (hot[e] - cold[e]) * (np.int64(y[i]) * np.int64(y[j]) - np.int64(x[i]) * np.int64(x[j]))
    for i in range(x.shape[0]):
        gain += (hot_fields[i] - cold_fields[i]) * (np.int64(y[i]) - np.int64(x[i]))
    return gain


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
def temper_pairs(
    spins, table, strengths, signs, thresholds, edges, couplings, fields, stream, discard, every, out, accepted, trips
):
    """Move one ladder; fills out (temperatures, records, sites), accepted (temperatures - 1,) and trips (temperatures,).

    `table` (starts, neighbours) with `strengths` (temperatures, places); `thresholds` (temperatures, 8, 8) if couplings have
    one size, else (0, 8, 8); `edges` (first, second) with `couplings` (temperatures, edges).
    """
    a, b = stream[0], stream[1]
    count = spins.shape[0]
    starts, neighbours = table
    first, second = edges
    holder, last_end = np.arange(count), np.zeros(count, np.int8)
    for sweep in range(discard + every * out.shape[1]):
        for t in range(count):
            x = spins[holder[t]]
            if thresholds.shape[0] > 0:
                a, b = counted_heat_bath_sweep(x, starts, neighbours, signs, thresholds[t], a, b)
            else:
                a, b = heat_bath_sweep(x, starts, neighbours, strengths[t], fields[t], a, b)
        for t in range(sweep % 2, count - 1, 2):
            x, y = spins[holder[t]], spins[holder[t + 1]]
            u = t + 1
            gain = _exchange_gain(x, y, first, second, couplings[t], couplings[u], fields[t], fields[u])
            word, a, b = advance(a, b)
            if gain >= 0.0 or uniform(word) < math.exp(gain):
                holder[t], holder[u] = holder[u], holder[t]
                accepted[t] += sweep >= discard
        _finish_sweep(spins, holder, last_end, trips, sweep + 1 - discard, every, out)
    stream[0], stream[1] = a, b


@njit(**_OPTIONS)
def temper_terms(
    spins, member_starts, members, starts, terms, strengths, couplings, stream, discard, every, out, accepted, trips
):
    """The same for terms of any order; couplings (temperatures, terms), and as `strengths` in the order of `terms`."""
    a, b = stream[0], stream[1]
    count = spins.shape[0]
    holder, last_end = np.arange(count), np.zeros(count, np.int8)
    products = np.empty((count, couplings.shape[1]), np.int8)
    for replica in range(count):
        multiply(products[replica], spins[replica], member_starts, members)
    for sweep in range(discard + every * out.shape[1]):
        for t in range(count):
            r = holder[t]
            a, b = heat_bath_terms_sweep(spins[r], products[r], starts, terms, strengths[t], a, b)
        for t in range(sweep % 2, count - 1, 2):
            x, y = products[holder[t]], products[holder[t + 1]]
            gain = 0.0
            for k in range(couplings.shape[1]):
                gain += (couplings[t, k] - couplings[t + 1, k]) * (np.int64(y[k]) - np.int64(x[k]))
            word, a, b = advance(a, b)
            if gain >= 0.0 or uniform(word) < math.exp(gain):
                holder[t], holder[t + 1] = holder[t + 1], holder[t]
                accepted[t] += sweep >= discard
        _finish_sweep(spins, holder, last_end, trips, sweep + 1 - discard, every, out)
    stream[0], stream[1] = a, b


@njit(**_OPTIONS)
def _finish_sweep(spins, holder, last_end, trips, done, every, out):
    """Count round trips and record every `every`-th sweep, once the discarded ones are over (done > 0)."""
    if done <= 0:
        return
    if holder.shape[0] > 1:
        _count_trips(holder, last_end, trips)
    if done % every == 0:
        for t in range(holder.shape[0]):
            out[t, done // every - 1] = spins[holder[t]]

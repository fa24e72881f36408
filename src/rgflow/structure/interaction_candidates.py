"""Sets of sites whose joint coupling is worth a test: all of them where they are few, else those that hang together.

Sets are rows of sorted sites. Spins are held as bits, 64 samples a word, so that moments of all triples are counted quickly.
"""

import itertools
import math

import numba
import numpy as np

__all__ = ["candidate_sets", "set_scores"]

SETS_AT_MOST = 60_000  # scores of as many sets on 2,500 samples take a second
_SCREENED = 2_000  # triples with the largest moments that join those that hang together


def candidate_sets(spins: np.ndarray, *, order: int, edges: np.ndarray) -> np.ndarray:
    """Return the sets of `order` sites to test, (sets, order): all, or connected ones and triples with large moments.

    Shapes: `spins` (samples, sites) of -1 and 1; `edges` (edges, 2), pairs that hang together.
    """
    sites = spins.shape[1]
    if math.comb(sites, order) <= SETS_AT_MOST:
        return np.array(list(itertools.combinations(range(sites), order)), dtype=np.int64).reshape(-1, order)
    found = connected_sets(edges, sites=sites, order=order)
    if order == 3:
        found = np.unique(np.concatenate([found, _screened_triples(spins)]), axis=0)
    return found[:SETS_AT_MOST]


def connected_sets(edges: np.ndarray, *, sites: int, order: int) -> np.ndarray:
    """Return the connected sets of `order` sites of a graph, cut off at twice `SETS_AT_MOST`."""
    neighbours: list[list[int]] = [[] for _ in range(sites)]
    for first, second in edges.tolist():
        neighbours[first].append(second)
        neighbours[second].append(first)
    sets = {tuple(sorted(edge)) for edge in edges.tolist()}
    for _ in range(order - 2):
        grown: set[tuple[int, ...]] = set()
        for members in sorted(sets):
            around = {site for member in members for site in neighbours[member]} - set(members)
            grown.update(tuple(sorted((*members, site))) for site in around)
            if len(grown) > 2 * SETS_AT_MOST:
                break
        sets = grown
    return np.array(sorted(sets), dtype=np.int64).reshape(-1, order)


def set_scores(spins: np.ndarray, missed: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Return the z-score of the coupling of every set: of mean prod_S s sum_(i in S) missed_i over samples.

    `missed` (samples, sites) is 1 - s_i tanh(h_i), so that the mean is the slope of the log-pseudo-likelihood.
    """
    columns = np.ascontiguousarray(spins.T.astype(np.float32))
    slopes = np.ascontiguousarray(missed.T.astype(np.float32))
    return _scores(columns, slopes, np.ascontiguousarray(sets))


@numba.njit(cache=True)
def _scores(columns, slopes, sets):  # pragma: no cover - compiled
    samples = columns.shape[1]
    found = np.zeros(len(sets))
    product = np.empty(samples, dtype=np.float32)
    total = np.empty(samples, dtype=np.float32)
    for row in range(len(sets)):
        product[:] = 1.0
        total[:] = 0.0
        for site in sets[row]:
            product *= columns[site]
            total += slopes[site]
        first, second = 0.0, 0.0
        for m in range(samples):
            value = product[m] * total[m]
            first += value
            second += value * value
        mean = first / samples
        spread = second / samples - mean * mean
        found[row] = mean * np.sqrt(samples / spread) if spread > 0 else 0.0
    return found


def _screened_triples(spins: np.ndarray) -> np.ndarray:
    """Return the triples with the largest |<s_i s_j s_k>|, magnetisations taken out of single spins by majority signs."""
    words = _packed(spins)
    sizes, triples = _largest_moments(words, spins.shape[0], _SCREENED)
    return np.sort(triples[sizes >= 0], axis=1)


def _packed(spins: np.ndarray) -> np.ndarray:
    """Return the samples as bits, (sites, words) uint64; the last word is filled up with zeros."""
    bits = (spins.T > 0).astype(np.uint8)
    padded = np.zeros((bits.shape[0], -(-bits.shape[1] // 64) * 64), dtype=np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1).view(np.uint64)


@numba.njit(cache=True)
def _count(word):  # pragma: no cover - compiled
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@numba.njit(cache=True)
def _largest_moments(words, samples, kept):  # pragma: no cover - compiled
    """Parity of bits is the product of spins; keeps the `kept` largest |2 ones - samples| by a growing threshold."""
    sites, length = words.shape
    sizes = np.full(kept, -1, dtype=np.int64)
    triples = np.zeros((kept, 3), dtype=np.int64)
    pair = np.empty(length, dtype=np.uint64)
    filled, least = 0, -1
    for i in range(sites):
        for j in range(i + 1, sites):
            for w in range(length):
                pair[w] = words[i, w] ^ words[j, w]
            for k in range(j + 1, sites):
                ones = 0
                for w in range(length):
                    ones += int(_count(pair[w] ^ words[k, w]))
                size = abs(2 * ones - samples)
                if size <= least:
                    continue
                place = filled if filled < kept else int(np.argmin(sizes))
                sizes[place] = size
                triples[place, 0], triples[place, 1], triples[place, 2] = i, j, k
                filled = min(filled + 1, kept)
                if filled == kept:
                    least = int(sizes.min())
    return sizes, triples

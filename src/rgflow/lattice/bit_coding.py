"""Multi-spin coding: 64 chains in the bits of one word a site, each chain with randomness of its own.

Valid for couplings of one size (either sign), one field, at most 7 neighbours a site. Errors: a heat-bath probability is met to
2^-53. Chains beyond a multiple of 64 cost as much as 64.
"""

import numpy as np

from rgflow.lattice import bit_loops
from rgflow.lattice.chain_running import run_side_by_side, spin_starts
from rgflow.lattice.methods import SamplingPlan
from rgflow.lattice.random_streams import streams
from rgflow.lattice.spin_systems import PairSystem
from rgflow.lattice.thresholds import probability_words

__all__ = ["bit_coded_refusal", "bit_coded_states", "pull_words"]

_BITS = 64
_MOST_NEIGHBOURS = 7  # three bit planes count to 7


def bit_coded_refusal(system: PairSystem) -> str:
    """Return "" where the system can be bit-coded, else the reason in a clause."""
    sizes = np.abs(system.couplings)
    if sizes.size and (sizes != sizes[0]).any():
        return "it compares one probability for each number of neighbours, so all couplings must have one size; use heat-bath"
    if (system.fields != system.fields[0]).any():
        return "it needs one field for all sites; use heat-bath"
    degree = int(np.diff(system.table.starts).max())
    if degree > _MOST_NEIGHBOURS:
        return f"a site has {degree} neighbours, and three bit planes count to {_MOST_NEIGHBOURS}; use heat-bath"
    return ""


def pull_words(system: PairSystem) -> np.ndarray:
    """Return 2^64 P(s = 1) by number of neighbours (0..7) and how many of them pull up, where couplings have one size."""
    size = abs(float(system.couplings[0])) if len(system.couplings) else 0.0
    counts = np.arange(_MOST_NEIGHBOURS + 1)
    pull = size * (2.0 * counts[None, :] - counts[:, None]) + float(system.fields[0])
    return probability_words(1.0 / (1.0 + np.exp(-2.0 * pull)))


def bit_coded_states(system: PairSystem, *, plan: SamplingPlan) -> np.ndarray:
    """Return the states (chains, records, sites) int8 of a plan, 64 chains at a time.

    Source: Jacobs and Rebbi 1981, J. Comput. Phys. 41, 203 (multi-spin coding); random bits independent in every chain.
    """
    table = system.table
    inversions = np.where(table.couplings < 0.0, np.uint64(2**64 - 1), np.uint64(0))
    thresholds = pull_words(system)
    groups = -(-plan.chains // _BITS)
    words = _packed(spin_starts(groups * _BITS, sites=system.sites, seed=plan.seed))
    stream = streams(plan.seed, count=groups)
    states = np.empty((plan.chains, plan.records, system.sites), dtype=np.int8)

    def run(group: int) -> None:
        records = np.empty((plan.records, system.sites), dtype=np.uint64)
        tables = (table.starts, table.neighbours, inversions, thresholds)
        bit_loops.bit_coded(words[group], *tables, stream[group], plan.discard, plan.every, records)
        bit_loops.unpacked(records, states[group * _BITS : (group + 1) * _BITS])

    run_side_by_side(run, count=groups)
    return states


def _packed(spins: np.ndarray) -> np.ndarray:
    """Return words (groups, sites) of the spins (64 groups, sites)."""
    bits = (spins.reshape(-1, _BITS, spins.shape[1]) > 0).astype(np.uint64)
    return np.bitwise_or.reduce(bits << np.arange(_BITS, dtype=np.uint64)[:, None], axis=1)

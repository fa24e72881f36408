"""Three ways to sample wrongly: shared random numbers, stopping at a number of flips, correlated samples as independent ones.

For each, ours does not fall in, and the wrong way is built here to show that the test would see it.
"""

import numpy as np
import pytest

from lattice.small_systems import averages, torus_terms
from rgflow.lattice import Ising, cluster_loops, random_streams, sample, spin_methods
from rgflow.lattice.spin_models import pair_system
from rgflow.lattice.thresholds import probability_words
from tests.tolerances import ROUNDING, z_limit

KAUFMAN_16 = -1.1313180  # energy per spin of the 16 x 16 torus at T = 2.5, Kaufman 1949, Phys. Rev. 76, 1232


def mean_overlap_score(spins: np.ndarray) -> float:
    """Return the z-score of the mean overlap of two replicas (records, replicas, sites) against 0, its value by symmetry."""
    _, replicas, sites = spins.shape
    total = spins.sum(1)
    overlap = ((total**2).sum(1) / sites - replicas) / (replicas * (replicas - 1))
    return float(overlap.mean() / (overlap.std(ddof=1) / np.sqrt(len(overlap))))


def test_bit_coded_replicas_stay_distinct_and_uncorrelated():
    found = sample(
        Ising(temperature=3.0),
        shape=(12, 12),
        chains=64,
        sweeps=6000,
        seed=0,
        method="bit-coded",
        discard=300,
        every=60,
    )
    spins = found.values.flatten(2).transpose(0, 1).numpy()
    assert all(len(np.unique(record, axis=0)) == 64 for record in spins)
    assert abs(mean_overlap_score(spins)) < z_limit(1)


def test_replicas_that_share_random_numbers_coalesce_and_the_test_would_see_it():
    generator = np.random.default_rng(0)
    spins = generator.integers(0, 2, size=(64, 6, 6)) * 2 - 1
    records = []
    for sweep in range(150):
        for row in range(6):
            for column in range(6):
                field = spins[:, row - 1, column] + spins[:, (row + 1) % 6, column]
                field = field + spins[:, row, column - 1] + spins[:, row, (column + 1) % 6]
                shared = generator.random()
                spins[:, row, column] = np.where(shared < 1.0 / (1.0 + np.exp(-2.0 * field / 3.0)), 1, -1)
        if sweep >= 100:
            records.append(spins.reshape(64, 36).copy())
    assert len(np.unique(records[-1], axis=0)) <= 2
    overlaps = np.einsum("ras,rbs->rab", np.stack(records), np.stack(records)) / 36.0
    assert overlaps.mean() > 0.9  # of independent replicas it is 1 / 64, each with itself


def wolff_energies(*, stop_at_flips: bool, records: int, seed: int) -> np.ndarray:
    """Return energies per spin at T = 2.5, recorded after 16 clusters, or after clusters that flip a lattice's worth."""
    system = pair_system(Ising(temperature=2.5), shape=(16, 16))
    table = system.table
    tables = (table.starts, table.neighbours, *spin_methods._cluster_tables(table.couplings))
    spins, stream = np.ones(256, dtype=np.int8), random_streams.streams(seed, count=1)[0]
    nothing, states = np.empty((0, 256), dtype=np.int8), np.empty((1, records, 256), dtype=np.int8)
    cluster_loops.wolff(spins, *tables, stream, 500, 1, nothing)
    for record in range(records):
        flips = 0
        if stop_at_flips:
            while flips < 256:
                flips += cluster_loops.wolff(spins, *tables, stream, 1, 1, nothing)
        else:
            cluster_loops.wolff(spins, *tables, stream, 16, 1, nothing)
        states[0, record] = spins
    return 2.5 * spin_methods.pair_observables(states, system=system)[0].series[0]


def score(energies: np.ndarray) -> float:
    means = energies.reshape(50, -1).mean(1)
    return float((means.mean() - KAUFMAN_16) / (means.std(ddof=1) / np.sqrt(50)))


def test_a_fixed_number_of_clusters_is_unbiased_and_stopping_at_a_number_of_flips_is_not():
    assert abs(score(wolff_energies(stop_at_flips=False, records=4000, seed=1))) < z_limit(1)
    biased = wolff_energies(stop_at_flips=True, records=4000, seed=1)
    assert score(biased) < -3.0 * z_limit(1)
    assert biased.mean() == pytest.approx(-1.21, abs=0.02)


def test_errors_of_short_correlated_chains_are_honest():
    exact = averages(12, torus_terms(3, 4, coupling=0.4)).energy
    repeats = 250
    runs = [
        sample(Ising(coupling=0.4), shape=(3, 4), chains=4, sweeps=400, seed=seed, method="metropolis", discard=100)
        for seed in range(repeats)
    ]
    scores = np.array([(run.energy.value - exact) / run.energy.error for run in runs])
    assert np.mean([run.observables[0].statistics.autocorrelation_time for run in runs]) > 3.0
    # 250 normal scores: the variance has the standard error sqrt(2 / 250)
    assert abs((scores**2).mean() - 1.0) < z_limit(1) * np.sqrt(2.0 / repeats)
    naive = np.array([(run.energy.value - exact) / (_spread(run) / np.sqrt(1600)) for run in runs])
    assert (naive**2).mean() - 1.0 > z_limit(1) * np.sqrt(2.0 / repeats)


def _spread(run) -> float:
    found = run.observables[0]
    return found.estimate.error * np.sqrt(found.statistics.effective_samples)


def test_random_words_are_those_of_the_published_generator():
    a, b, found = 1, 2, []
    for _ in range(4):
        word, a, b = random_streams.advance(np.uint64(a), np.uint64(b))
        found.append(int(word))
    # xoroshiro128++ from the state (1, 2): the test vector of the rand_xoshiro crate, made with the authors' C code
    assert found == [393217, 669327710093319, 1732421326133921491, 11394790081659126983]


def test_streams_differ_between_chains_seeds_and_purposes():
    drawn = [random_streams.streams(seed, count=100, use=use) for seed in range(3) for use in range(2)]
    assert len(np.unique(np.concatenate(drawn), axis=0)) == 600


@pytest.mark.parametrize("probability", [0.0, 2.0**-64, 4.5e-5, 0.5, 1.0 - 2.0**-53, 1.0])
def test_probabilities_become_words_without_losing_digits(probability):
    word = int(probability_words(np.array([probability]))[0])
    assert word / 2.0**64 == pytest.approx(probability, rel=ROUNDING, abs=2.0**-64)

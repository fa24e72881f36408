"""The order of planted Hamiltonians: independent, pairs, triples, quartic fields, and honest refusals."""

import itertools

import numpy as np
import pytest

from rgflow.lattice import Phi4, sample
from rgflow.structure import find_order
from rgflow.structure.interaction_candidates import _screened_triples, candidate_sets, connected_sets, set_scores
from rgflow.structure.interaction_gains import spin_gain
from rgflow.structure.interaction_whitened import gaussian_excess, whitened
from structure.planted_lattices import gaussian_rows, ising_rows, square, triple_rows
from tolerances import ROUNDING


def order_of(rows, kind, *, draws=0, **more):
    return find_order(rows, kind=kind, seed=0, draws=draws, **more)


def test_scores_of_sets_are_the_slopes_of_the_pseudo_likelihood():
    generator = np.random.default_rng(0)
    spins = generator.choice([-1.0, 1.0], size=(200, 6))
    missed = generator.random((200, 6))
    sets = np.array([[0, 1, 2], [1, 3, 5]])
    rows = np.stack([spins[:, s].prod(1) * missed[:, s].sum(1) for s in sets], axis=1)
    expected = rows.mean(0) / rows.std(0) * np.sqrt(200)
    assert set_scores(spins, missed, sets) == pytest.approx(expected, rel=1e-4)  # single precision within


def test_connected_sets_are_those_of_brute_force():
    edges = np.array([[0, 1], [1, 2], [2, 3], [0, 4]])
    found = {tuple(row) for row in connected_sets(edges, sites=6, order=3).tolist()}
    linked = {tuple(edge) for edge in edges.tolist()}
    expected = {
        three
        for three in itertools.combinations(range(6), 3)
        if sum(pair in linked for pair in itertools.combinations(three, 2)) >= 2
    }
    assert found == expected


def test_the_largest_moments_of_triples_are_found_among_all():
    rows = triple_rows(4, samples=500, seed=1)
    found = {tuple(row) for row in _screened_triples(rows).tolist()}
    moments = {three: abs(rows[:, three].prod(1).mean()) for three in itertools.combinations(range(12), 3)}
    assert {three for three, size in moments.items() if size > 0.5} == {(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)}
    assert found == set(moments)  # fewer triples than are kept: all of them


def test_large_triples_of_many_spins_are_candidates_without_any_pair():
    rows = triple_rows(30, samples=600, seed=1)
    sets = candidate_sets(rows, order=3, edges=np.zeros((0, 2), dtype=np.int64))
    found = {tuple(row) for row in sets.tolist()}
    assert len(found) < 5000
    assert {(3 * t, 3 * t + 1, 3 * t + 2) for t in range(30)} <= found


def test_products_of_three_spins_have_order_three():
    rows = triple_rows(6, samples=1200, seed=0)
    found = order_of(rows, "spin")
    assert found.estimate is not None
    assert (found.estimate.value, found.verdict) == (3.0, "yes")
    gain = spin_gain(rows, order=3, edges=np.zeros((0, 2), dtype=np.int64))
    # log 2 less the entropy of the flips is what each of three spins of a triple gains
    flips = -(0.2 * np.log(0.2) + 0.8 * np.log(0.8))
    assert abs(gain.gain.value - 18 * (np.log(2) - flips)) < 5 * gain.gain.error + 0.02 * gain.gain.value
    assert len(gain.sets) == 6


def test_ising_spins_have_order_two_and_their_nulls_one_and_two():
    found = order_of(ising_rows(6, temperature=2.5, samples=1500, seed=0), "spin", lattice=square(6), draws=3)
    assert found.estimate is not None
    assert (found.estimate.value, found.verdict) == (2.0, "yes")
    assert {null.name: null.mean for null in found.nulls} == {"shuffled": 1.0, "phase-randomised": 2.0}


@pytest.mark.parametrize("kind", ["spin", "continuous"])
def test_noise_has_order_one(kind):
    generator = np.random.default_rng(0)
    rows = generator.choice([-1.0, 1.0], size=(1500, 16)) if kind == "spin" else generator.standard_normal((1500, 16))
    found = order_of(rows, kind)
    assert found.estimate is not None
    assert (found.estimate.value, found.verdict) == (1.0, "no")


def test_gaussian_fields_have_order_two_and_quartic_fields_four():
    rows = gaussian_rows(square(5).bonds, nodes=25, samples=1500, seed=0)
    pairs = order_of(rows, "continuous")
    model = Phi4(mass_squared=-1.0, quartic=1.0, coupling=0.5)
    field = np.asarray(sample(model, shape=(5, 5), chains=20, sweeps=750, every=10, seed=0).values, dtype=np.float64)
    four = order_of(field.reshape(-1, 25), "continuous")
    assert pairs.estimate is not None
    assert four.estimate is not None
    assert (pairs.estimate.value, four.estimate.value) == (2.0, 4.0)


def test_odd_powers_have_order_three_at_least():
    skewed = np.random.default_rng(0).standard_gamma(4.0, size=(2000, 6)) @ np.array(np.triu(np.ones((6, 6))))
    found = order_of(skewed, "continuous")
    assert found.estimate is not None
    assert found.estimate.value >= 3.0


def test_sums_of_categories_modulo_three_have_order_three():
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 3, size=(1500, 8))
    codes[:, 0] = (codes[:, 1] + codes[:, 2] + (generator.random(1500) < 0.3)) % 3
    found = order_of(codes, "categorical")
    assert found.estimate is not None
    assert found.estimate.value == 3.0


def test_heavy_tails_that_no_term_resolves_are_undetermined_not_order_two():
    generator = np.random.default_rng(0)
    scale = np.exp(1.5 * generator.standard_normal((800, 1)))
    found = order_of(scale * generator.standard_normal((800, 10)), "continuous")
    assert found.verdict != "no"
    assert found.estimate is None or found.estimate.value > 2.0


def test_too_few_samples_have_no_order():
    found = order_of(np.random.default_rng(0).standard_normal((80, 70)), "continuous")
    assert (found.estimate, found.verdict) == (None, "undetermined")


def test_whitened_coordinates_are_uncorrelated_and_near_the_given_ones():
    rows = gaussian_rows(square(4).bonds, nodes=16, samples=500, seed=0)
    white = whitened(rows)
    assert np.cov(white, rowvar=False, bias=True) == pytest.approx(np.eye(16), abs=1e3 * ROUNDING)
    assert (np.abs(np.corrcoef(white.T, rows.T)[:16, 16:]).argmax(1) == np.arange(16)).all()


def test_gaussian_samples_have_no_excess_and_uniform_ones_have():
    generator = np.random.default_rng(0)
    none = gaussian_excess(generator.standard_normal((1500, 10)), seed=1)
    flat = gaussian_excess(generator.random((1500, 10)), seed=1)
    assert abs(none.value) < 4.0 * none.error
    assert flat.value > 10.0 * flat.error


def test_the_same_seed_gives_the_same_order_and_nulls():
    rows = gaussian_rows(square(4).bonds, nodes=16, samples=200, seed=0)
    first, second = (order_of(rows, "continuous", lattice=square(4), draws=3, max_order=3) for _ in range(2))
    assert first == second

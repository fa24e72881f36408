"""The ladder against exact laws, reference values, invariances and its traps."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rgflow.errors import DataError, SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.records.ladder import Ladder
from rgflow.structure import Terms, ladder, planted_problems
from rgflow.structure.ladder_spin_models import LookUpTable, Magnetisation, SpinTerms
from rgflow.structure.planted_sampling import all_spins, drawn_spins, drawn_states, log_weights
from rgflow.structure.rungs_lattice import lattice_terms, shapes_within
from rgflow.structure.rungs_spin import spin_rungs
from rgflow.structure.terms import all_terms, tied_by
from tolerances import ROUNDING, z_limit

TORUS = Lattice((3, 4))
REFERENCE = {
    case["id"]: case for case in json.loads((Path(__file__).parents[1] / "reference" / "ladder.json").read_text())
}
NAMES = {
    "2-local": "2-local",
    "3-local": "3-local",
    "4-local": "4-local",
    "spatial_local": "order 2, reach 1, local",
    "translation": "order 2, reach 1, translation",
    "+rotation": "order 2, reach 1, translation+rotation",
    "+Z2": "order 2, reach 1, translation+rotation+flip",
    "generic_table": "look-up table",
    "wrong:independent": "independent, fields",
}


BONDS = Terms(12, (np.sort(TORUS.bonds, axis=1),), np.zeros(24, dtype=int))
TRIPLES = Terms(10, (np.sort((np.arange(10)[:, None] + np.arange(3)) % 10, axis=1),), np.zeros(10, dtype=int))


def ising(samples: int, *, seed: int, coupling: float = 0.3) -> np.ndarray:
    return drawn_spins(BONDS, np.array([coupling]), samples, generator=np.random.default_rng(seed))


def probabilities(terms: Terms, theta: list[float]) -> np.ndarray:
    weights = np.exp(log_weights(terms, np.array(theta)))
    return weights / weights.sum()


@pytest.mark.parametrize("name", [name for name in REFERENCE if name.startswith("B.ladder3x4.M")])
def test_held_out_scores_equal_the_reference(name: str) -> None:
    case = REFERENCE[name]
    size, rung = name.removeprefix("B.ladder3x4.M").removesuffix(".test").split(".", 1)
    model = next(item for item in spin_rungs(12, lattice=TORUS, max_order=4) if item.name == NAMES[rung]).build()
    parameters = model.fit(ising(int(size), seed=int(size)))
    exact = model.score(all_spins(12), parameters) @ probabilities(BONDS, [0.3])
    assert abs(exact - case["value"]) < case["tol"]


def test_the_true_law_has_the_reference_score() -> None:
    case = REFERENCE["B.ladder3x4.exact_true"]
    exact = SpinTerms(BONDS).score(all_spins(12), np.array([0.3])) @ probabilities(BONDS, [0.3])
    assert abs(exact - case["value"]) < case["tol"]
    case = REFERENCE["B.3spin.true_pl"]
    exact = SpinTerms(TRIPLES).score(all_spins(10), np.array([0.5])) @ probabilities(TRIPLES, [0.5])
    assert abs(exact - case["value"]) < case["tol"]


def test_a_law_of_triples_is_found_to_be_of_order_three_and_the_same_everywhere() -> None:
    samples = drawn_spins(TRIPLES, np.array([0.5]), 1000, generator=np.random.default_rng(1))
    found = ladder(samples, lattice=(10,), seed=0)
    assert found.chosen is not None
    rung = found.rung(found.chosen)
    assert rung.order == 3
    assert "translation" in rung.symmetries
    assert ladder(samples, seed=0).chosen == "3-local"
    below = ladder(samples, lattice=(10,), seed=0, max_order=2)
    assert all(item.order <= 2 for item in below.rungs if item.name != "look-up table")


def test_noise_is_independent_and_too_little_of_it_is_undetermined() -> None:
    noise = np.random.default_rng(4).choice([-1, 1], size=(800, 9))
    assert ladder(noise, lattice=(3, 3), seed=0).chosen == "independent"
    few = ladder(noise[:30], lattice=(3, 3), seed=0)
    assert few.chosen is None
    assert few.verdict == "undetermined"
    assert few.needed_samples is not None
    assert few.needed_samples > 30


def test_the_same_seed_gives_the_same_ladder_and_another_seed_other_folds() -> None:
    samples = ising(300, seed=5)
    first, again, other = (ladder(samples, lattice=(3, 4), max_order=2, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def scores(found: Ladder) -> dict[str, float]:
    return {rung.name: rung.score.value for rung in found.rungs if rung.score is not None}


def test_without_a_lattice_the_names_of_sites_do_not_matter() -> None:
    samples = ising(300, seed=6)
    shuffled = samples[:, np.random.default_rng(1).permutation(12)]
    plain, moved = (scores(ladder(item, max_order=2, seed=1)) for item in (samples, shuffled))
    assert plain.keys() == moved.keys()
    for name, value in plain.items():
        assert moved[name] == pytest.approx(value, rel=1e-6)  # the slope of a search that stops, not rounding


def test_a_change_of_sign_of_some_sites_moves_no_rung_that_ties_nothing() -> None:
    samples = ising(300, seed=6)
    flipped = samples * np.where(np.arange(12) % 3 == 0, -1, 1).astype(np.int8)
    plain, moved = (scores(ladder(item, lattice=(3, 4), max_order=2, seed=1)) for item in (samples, flipped))
    untied_rungs = ["2-local", "order 2, reach 1, local", "order 2, reach 2, local+flip", "independent, fields"]
    for name in untied_rungs:
        assert moved[name] == pytest.approx(plain[name], rel=1e-6)
    assert moved["order 2, reach 1, translation"] < plain["order 2, reach 1, translation"] - 0.05


def test_bits_and_spins_are_the_same() -> None:
    samples = ising(300, seed=7)
    spins = ladder(samples, lattice=(3, 4), max_order=2, seed=1)
    bits = ladder(torch.as_tensor((samples + 1) // 2), lattice=(3, 4), max_order=2, seed=1)
    assert spins == bits


def test_a_slow_markov_chain_does_not_look_like_a_richer_law() -> None:
    """Each configuration stays for 8 samples: folds that split them would reward a memory of configurations."""
    samples = np.repeat(ising(400, seed=8), 8, axis=0)
    found = ladder(samples, lattice=(3, 4), max_order=2, seed=0)
    assert found.chosen == "order 2, reach 1, translation+rotation+flip"
    table = found.rung("look-up table")
    true = found.rung(found.chosen)
    assert table.score is not None
    assert true.score is not None
    assert table.score.value < true.score.value - 0.02
    independent = ladder(ising(400, seed=8), lattice=(3, 4), max_order=2, seed=0).rung(found.chosen)
    assert independent.score is not None
    assert true.score.error == pytest.approx(independent.score.error, rel=0.5)


def test_rungs_out_of_reach_say_why() -> None:
    samples = np.random.default_rng(1).choice([-1, 1], size=(60, 100))
    found = ladder(samples, seed=0)
    assert found.rung("look-up table").score is None
    assert "2^100 - 1" in found.rung("look-up table").reason
    assert found.generic_parameters == "2^100 - 1"
    assert "too many for 60 samples" in found.rung("2-local").reason
    assert found.rung("4-local").reason
    with pytest.raises(KeyError, match="no rung"):
        found.rung("nothing")


def test_shapes_of_a_square_lattice_are_those_that_one_counts_by_hand() -> None:
    assert len(shapes_within(2, 1.0, order=2)) == 2
    assert len(shapes_within(2, 1.5, order=2)) == 4
    assert len(shapes_within(2, 1.5, order=3)) == 4
    assert len(shapes_within(2, 1.5, order=4)) == 1
    assert len(shapes_within(1, 3.0, order=4)) == 1
    assert len(shapes_within(3, 1.0, order=2)) == 3


def test_sharing_by_translation_is_the_orbit_under_translations() -> None:
    lattice = Lattice((5, 5))
    free = lattice_terms(lattice, 1.5, order=4, sharing="none", even=False)
    tied = lattice_terms(lattice, 1.5, order=4, sharing="translation", even=False)
    orbits = tied_by(free, lattice.translations)
    assert np.array_equal(orbits.tie, tied.tie)
    turned = lattice_terms(lattice, 1.5, order=4, sharing="rotation", even=False)
    square = tied_by(orbits, np.concatenate([lattice.quarter_turns, lattice.reflections]))
    assert np.array_equal(turned.tie, square.tie)


def test_an_open_lattice_has_fewer_copies_and_as_many_parameters() -> None:
    closed, opened = (
        lattice_terms(Lattice((4, 5), periodic=periodic), 1.5, order=2, sharing="translation", even=False)
        for periodic in (True, False)
    )
    assert closed.parameters == opened.parameters == 5
    assert len(closed) == 20 + 40 + 40
    assert len(opened) == 20 + 31 + 24


def test_a_polynomial_of_the_magnetisation_is_the_tie_under_all_permutations() -> None:
    terms = all_terms(6, 3)
    swaps = np.array([[1, 0, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
    tied = SpinTerms(tied_by(terms, swaps))
    alike = Magnetisation((1, 2, 3))
    theta = np.array([0.2, -0.1, 0.15])
    states = all_spins(6)
    assert tied.terms.parameters == 3
    np.testing.assert_allclose(alike.score(states, theta), tied.score(states, theta), rtol=ROUNDING)
    samples = states[drawn_states(log_weights(tied.terms, theta), 4000, generator=np.random.default_rng(1))]
    found = alike.fit(samples)
    np.testing.assert_allclose(
        found, tied.fit(samples), atol=2e-3
    )  # penalties differ: 10 theta / (information of 24,000 spins)


def test_the_table_counts_states() -> None:
    states = np.array([[1, 1], [1, 1], [1, -1], [-1, -1]])
    table = LookUpTable(2)
    counts = table.fit(states)
    assert counts.tolist() == [1.0, 1.0, 0.0, 2.0]
    first = np.log(2.5 / 3.0)  # both spins up: 2 + 1/2 against the states with one flipped, 0 + 1/2 and 1 + 1/2
    second = np.log(2.5 / 4.0)
    assert table.score(np.array([[1, 1]]), counts)[0] == pytest.approx((first + second) / 2, rel=ROUNDING)


@pytest.mark.parametrize(
    ("samples", "settings", "message"),
    [
        (np.ones((5, 4)), {}, "at least 20 samples"),
        (np.ones(50), {}, "is needed"),
        (np.full((50, 3), np.nan), {}, "NaN"),
        (np.ones((50, 4)), {"lattice": (5, 3)}, "15 sites"),
        (np.arange(150.0).reshape(50, 3), {"kind": "spin"}, "two values"),
        (np.full((50, 3), -1.5), {"kind": "categorical"}, "whole number"),
        (np.full((50, 3), 7.0), {}, "constant"),
    ],
)
def test_samples_that_do_not_fit_are_refused_in_one_sentence(samples: np.ndarray, settings: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ladder(samples, seed=0, **settings)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(SettingError, match="max_order"):
        ladder(ising(50, seed=1), max_order=7, seed=0)
    with pytest.raises(SettingError, match="kind is"):
        ladder(ising(50, seed=1), kind="text", seed=0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(SettingError, match="problems"):
        planted_problems(0, seed=1)


def test_enumeration_draws_have_the_moments_of_the_law() -> None:
    exact = probabilities(BONDS, [0.3]) @ np.prod(all_spins(12)[:, TORUS.bonds[0]], axis=1)
    drawn = np.prod(ising(20_000, seed=3)[:, TORUS.bonds[0]], axis=1)
    assert abs(drawn.mean() - exact) < z_limit(1) * drawn.std() / np.sqrt(20_000)

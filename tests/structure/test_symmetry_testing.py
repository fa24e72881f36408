from functools import cache

import numpy as np
import pytest
from scipy.signal import lfilter
from sklearn.datasets import load_digits

from rgflow.errors import DataError, SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.structure.symmetry_chains import interleaved_chains
from rgflow.structure.symmetry_testing import symmetry_tests
from tests.structure.ising_samples import ising_samples

SQUARE = Lattice((6, 6))


@cache
def spins_of(horizontal, vertical, field, *, samples=1500, side=6):
    """Heat bath from random starts, 40 sweeps: high temperature, so every chain has long forgotten its start."""
    generator = np.random.default_rng(0)
    spins = generator.choice([-1.0, 1.0], size=(samples, side, side))
    checker = np.add.outer(np.arange(side), np.arange(side)) % 2
    for _ in range(40):
        for colour in (0, 1):
            local = field + vertical * (np.roll(spins, 1, 1) + np.roll(spins, -1, 1))
            local += horizontal * (np.roll(spins, 1, 2) + np.roll(spins, -1, 2))
            fresh = np.where(generator.random(spins.shape) < 1 / (1 + np.exp(-2 * local)), 1.0, -1.0)
            spins = np.where(checker == colour, fresh, spins)
    return spins.reshape(samples, -1)


@cache
def ising():
    return ising_samples(6, 2.7, samples=1500, seed=0)


def verdicts(samples, **settings):
    return {test.name: test.verdict for test in symmetry_tests(samples, seed=0, **settings)}


LATTICE_TESTS = (
    "translation along axis 0",
    "translation along axis 1",
    "translation",
    "reflection of axis 0",
    "reflection of axis 1",
    "quarter turn",
)


def test_the_ising_model_has_the_symmetries_of_its_lattice_and_the_flip_but_no_permutation():
    found = verdicts(ising(), lattice=SQUARE, kind="spin")
    assert {name: found[name] for name in (*LATTICE_TESTS, "sign flip")} == dict.fromkeys(
        (*LATTICE_TESTS, "sign flip"), "yes"
    )
    assert found["permutation"] == "no"


def test_an_anisotropic_coupling_breaks_quarter_turns_and_nothing_else():
    found = verdicts(spins_of(0.3, 0.2, 0.0), lattice=SQUARE, kind="spin")
    assert found["quarter turn"] == "no"
    assert all(found[name] == "yes" for name in (*LATTICE_TESTS[:5], "sign flip"))


def test_a_field_breaks_the_flip_and_nothing_else():
    found = verdicts(spins_of(0.25, 0.25, 0.03), lattice=SQUARE, kind="spin")
    assert found["sign flip"] == "no"
    assert all(found[name] == "yes" for name in LATTICE_TESTS)


def test_one_site_with_a_field_breaks_translation():
    spins = spins_of(0.25, 0.25, 0.0).copy()
    flipped = np.random.default_rng(1).random(len(spins)) < 0.3
    spins[flipped, 15] = 1.0
    found = verdicts(spins, lattice=SQUARE, kind="spin")
    assert found["translation"] == found["reflection of axis 0"] == found["quarter turn"] == "no"


def test_digits_have_no_symmetry_of_the_square():
    found = verdicts(load_digits().data[:900], lattice=Lattice((8, 8), periodic=False))
    assert {found[name] for name in (*LATTICE_TESTS, "sign flip", "permutation")} == {"no"}


def test_photographs_are_not_their_own_negatives():
    datasets = pytest.importorskip("rgflow.datasets")
    photos = datasets.load("photos").inputs
    middle = photos.reshape(-1, 16, 16)[:, 4:12, 4:12].reshape(len(photos), -1)
    found = verdicts(middle, lattice=Lattice((8, 8), periodic=False))
    assert found["sign flip"] == "no"


def test_windows_of_a_torus_agree_and_those_of_a_gradient_do_not():
    open_square = Lattice((4, 8), periodic=False)
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((3000, 32))
    assert verdicts(noise, lattice=open_square)["translation along axis 1"] == "yes"
    tilted = noise + 0.1 * np.tile(np.arange(8), 4)
    found = verdicts(tilted, lattice=open_square)
    assert found["translation along axis 1"] == "no"
    assert found["translation along axis 0"] == "yes"


def test_skewed_data_have_no_flip_about_any_centre_and_shifted_symmetric_data_have():
    generator = np.random.default_rng(0)
    assert verdicts(generator.exponential(size=(2000, 5)))["sign flip"] == "no"
    found = verdicts(7.0 + generator.laplace(size=(2000, 5)) ** 3)
    assert found["sign flip"] == found["reflection of single variables"] == "yes"


def test_reflecting_one_of_two_correlated_variables_is_seen():
    generator = np.random.default_rng(0)
    pair = generator.standard_normal((2000, 4))
    pair[:, 1] += 0.3 * pair[:, 0]
    found = verdicts(pair)
    assert found["reflection of single variables"] == "no"
    assert found["sign flip"] == "yes"


def test_exchangeable_blocks_are_found_in_mixed_columns():
    generator = np.random.default_rng(0)
    shared = np.repeat(generator.standard_normal((3000, 3)), 4, axis=1)
    noise = np.repeat([0.5, 1.0, 2.0], 4) * generator.standard_normal((3000, 12))
    tests = {test.name: test for test in symmetry_tests((shared + noise)[:, generator.permutation(12)], seed=0)}
    assert tests["permutation"].verdict == "no"
    classes = tests["permutation classes"]
    assert (classes.verdict, classes.orbits) == ("yes", 3)
    assert "sizes 4, 4, 4" in classes.meaning


def test_orbits_of_variables_are_counted_for_each_group():
    tests = {test.name: test.orbits for test in symmetry_tests(ising(), lattice=SQUARE, kind="spin", seed=0)}
    expected = {"translation along axis 0": 6, "translation": 1, "reflection of axis 1": 18, "quarter turn": 9}
    expected |= {"sign flip": 36, "permutation": 1}
    assert {name: tests[name] for name in expected} == expected
    opened = symmetry_tests(np.random.default_rng(0).random((20, 12)), lattice=Lattice((4, 3), periodic=False), seed=0)
    assert {t.name: t.orbits for t in opened}["translation along axis 0"] == 3


def test_transformations_of_the_user_are_tested_under_their_names():
    generator = np.random.default_rng(0)
    samples = generator.standard_normal((3000, 4))
    samples[:, 3] += 0.5
    tests = symmetry_tests(
        samples,
        seed=0,
        transformations=[
            ("swap 0 and 1", np.array([1, 0, 2, 3])),
            ("swap 2 and 3", np.array([0, 1, 3, 2])),
            ("signs of 0 to 2", np.array([-1, -1, -1, 1])),
            ("sign of 3", np.array([1, 1, 1, -1])),
            ("turn of the plane 0, 1", lambda x: np.column_stack([x[:, 1], -x[:, 0], x[:, 2:]])),
            ("stretch of 2", lambda x: x * np.array([1.0, 1.0, 1.3, 1.0])),
            np.array([1, 2, 0, 3]),
        ],
    )
    found = {test.name: test.verdict for test in tests}
    assert found["swap 0 and 1"] == found["signs of 0 to 2"] == found["turn of the plane 0, 1"] == "yes"
    assert found["swap 2 and 3"] == found["sign of 3"] == found["stretch of 2"] == "no"
    assert found["transformation 6"] == "yes"


def test_three_channels_move_together():
    generator = np.random.default_rng(0)
    field = generator.standard_normal((2000, 3, 6))
    field[:, 1] += np.roll(field[:, 0], 1, axis=1)
    tests = {t.name: t for t in symmetry_tests(field.reshape(2000, -1), lattice=Lattice((6,)), seed=0)}
    assert tests["translation along axis 0"].verdict == "yes"
    assert tests["translation along axis 0"].orbits == 3
    assert tests["reflection of axis 0"].verdict == "no"


def test_few_samples_are_undetermined_and_say_what_they_could_see():
    tests = symmetry_tests(ising()[:60], lattice=SQUARE, kind="spin", seed=0)
    translation = next(test for test in tests if test.name == "translation")
    assert translation.verdict == "undetermined"
    assert translation.detectable > 0.3
    assert "too few" in translation.sentence


def test_a_chain_that_moves_too_slowly_is_undetermined():
    generator = np.random.default_rng(0)
    slow = lfilter([1], [1, -0.999], generator.standard_normal((6000, 4)), axis=0)[5000:]
    test = symmetry_tests(slow, seed=0)[0]
    assert (test.name, test.verdict) == ("sign flip", "undetermined")
    assert "further apart" in test.sentence


def test_interleaved_chains_are_found_by_their_lag():
    generator = np.random.default_rng(0)
    chains = lfilter([1], [1, -0.8], generator.standard_normal((70, 25, 6)), axis=0)[20:]
    assert interleaved_chains(chains.reshape(-1, 6).T, seed=0) == 25
    assert interleaved_chains(chains[:, 0].T, seed=0) == 1
    assert interleaved_chains(generator.standard_normal((6, 1250)), seed=0) == 1


def test_what_changes_nothing_is_not_applicable():
    constant = np.ones((50, 4))
    assert {test.verdict for test in symmetry_tests(constant, lattice=Lattice((4,)), kind="spin", seed=0)} <= {
        "not applicable",
        "no",
        "undetermined",
    }
    same = symmetry_tests(ising()[:200], kind="spin", seed=0, transformations=[("nothing", lambda x: x)])
    assert next(test for test in same if test.name == "nothing").verdict == "not applicable"


def test_a_seed_fixes_the_tests_and_another_changes_them():
    samples = ising()[:300]
    first, again, other = (symmetry_tests(samples, lattice=SQUARE, kind="spin", seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_categories_are_translated_and_permuted_but_not_flipped():
    states = np.random.default_rng(0).integers(0, 3, size=(1000, 9))
    found = verdicts(states, lattice=Lattice((3, 3)), kind="categorical")
    assert "sign flip" not in found
    assert {found[name] for name in (*LATTICE_TESTS, "permutation")} == {"yes"}


@pytest.mark.parametrize(
    ("samples", "settings", "error", "words"),
    [
        (np.zeros((5, 3)), {}, DataError, "at least 16"),
        (np.full((20, 3), np.nan), {}, DataError, "NaN"),
        (np.arange(60.0).reshape(20, 3), {"kind": "spin"}, DataError, "two values"),
        (np.zeros((20, 3)), {"kind": "other"}, SettingError, "kind is 'other'"),
        (np.zeros((20, 3)), {"level": 2.0}, SettingError, "level is 2.0"),
        (np.zeros((20, 3)), {"chains": 0}, SettingError, "chains is 0"),
        (np.zeros((20, 5)), {"lattice": Lattice((3,))}, SettingError, "do not fill"),
        (np.ones((20, 3)), {"transformations": [[0, 0, 1]]}, SettingError, "neither a permutation"),
        (np.ones((20, 3)), {"transformations": [lambda x: x[:, :2]]}, SettingError, "returned shape"),
    ],
)
def test_what_cannot_be_tested_is_refused(samples, settings, error, words):
    with pytest.raises(error, match=words):
        symmetry_tests(samples, seed=0, **settings)

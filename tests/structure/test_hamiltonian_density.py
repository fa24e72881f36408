"""The density estimator: normalised, honest about Z, drawing from what it scores, and refusing what has no density."""

import itertools
import warnings

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.utils.estimator_checks import check_estimator

from rgflow.errors import DataError, SettingError
from rgflow.lattice import Lattice
from rgflow.structure import HamiltonianDensity
from rgflow.structure.continuous_monomials import ContinuousTerms, monomials
from rgflow.structure.density_annealing import annealed_log_partition
from rgflow.structure.density_integrable import integrability
from rgflow.structure.density_sampling import annealed_draws
from tests.structure.continuous_samples import grid_samples
from tests.tolerances import ROUNDING, z_limit


def spins(*, samples: int, sites: int, seed: int) -> np.ndarray:
    """A chain of spins, each the last one with probability 0.7, and the last the product of the first two."""
    generator = np.random.default_rng(seed)
    found = np.ones((samples, sites))
    for site in range(sites):
        before = found[:, site - 1] if site else 1.0
        found[:, site] = np.where(generator.random(samples) < 0.7, before, -1.0) * np.where(
            generator.random(samples) < 0.5, 1.0, before
        )
    found[:, -1] = found[:, 0] * found[:, 1] * np.where(generator.random(samples) < 0.8, 1.0, -1.0)
    return found


def well(x, y):
    return -0.5 * (x**2 + y**2) + 0.25 * (x**4 + y**4) - 0.3 * x * y


def integral(model: HamiltonianDensity, *, variables: int, half_width: float, points: int) -> float:
    axis = np.linspace(-half_width, half_width, points)
    grid = np.stack(np.meshgrid(*[axis] * variables, indexing="ij"), axis=-1).reshape(-1, variables)
    return float(np.exp(model.score_samples(grid)).sum() * (axis[1] - axis[0]) ** variables)


def test_the_estimator_keeps_the_contract_of_scikit_learn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(HamiltonianDensity(), on_fail=None, on_skip=None)
    assert [f"{r['check_name']}: {r['exception']}" for r in results if r["status"] not in ("passed", "skipped")] == []
    assert len([r for r in results if r["status"] == "passed"]) > 35


@pytest.mark.slow
def test_the_estimator_keeps_the_contract_of_scikit_learn_at_order_four():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(HamiltonianDensity(order=4), on_fail=None, on_skip=None)
    assert [f"{r['check_name']}: {r['exception']}" for r in results if r["status"] not in ("passed", "skipped")] == []


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("values", [(-1.0, 1.0), (0.0, 1.0)], ids=["spins", "bits"])
def test_probabilities_of_all_states_add_up_to_one(order, values):
    x = np.where(spins(samples=500, sites=6, seed=0) > 0, values[1], values[0])
    model = HamiltonianDensity(order=order).fit(x)
    states = np.array(list(itertools.product(values, repeat=6)))
    assert model.kind_ == ("spin" if values[0] < 0 else "bit")
    assert np.exp(model.score_samples(states)).sum() == pytest.approx(1.0, rel=1e-10)
    assert model.log_partition_.kind == "rounding"


def test_probabilities_of_categories_add_up_to_one():
    x = np.random.default_rng(1).integers(0, (2, 3, 4), size=(400, 3)).astype(float)
    model = HamiltonianDensity().fit(x)
    states = np.array(list(itertools.product(range(2), range(3), range(4))), dtype=float)
    assert model.kind_ == "categorical"
    assert np.exp(model.score_samples(states)).sum() == pytest.approx(1.0, rel=1e-10)
    frequencies = np.exp(model.score_samples(np.array([[0.0, 1.0, 2.0]])))[0]
    assert frequencies == pytest.approx(1.0 / 24.0, rel=0.5)


def test_order_two_of_real_variables_is_the_normal_density_in_their_units():
    x = np.random.default_rng(2).normal(loc=50.0, scale=7.0, size=(500, 1))
    model = HamiltonianDensity().fit(x)
    expected = norm(x.mean(), x.std()).logpdf([20.0, 50.0, 70.0])
    np.testing.assert_allclose(model.score_samples([[20.0], [50.0], [70.0]]), expected, rtol=1e-10)
    assert model.score(x) == pytest.approx(-0.5 * np.log(2.0 * np.pi * x.var()) - 0.5, rel=ROUNDING * 100)
    scaled = HamiltonianDensity().fit(10.0 * x)
    assert scaled.score(10.0 * x) == pytest.approx(model.score(x) - np.log(10.0), rel=1e-10)


def test_a_normal_density_of_two_variables_integrates_to_one_smoothed_or_not():
    x = np.random.default_rng(3).normal(size=(400, 2)) @ np.array([[1.0, 0.5], [0.0, 0.7]])
    assert integral(HamiltonianDensity().fit(x), variables=2, half_width=6.0, points=161) == pytest.approx(
        1.0, abs=1e-6
    )
    smoothed = HamiltonianDensity(smoothing=0.5).fit(x)
    assert integral(smoothed, variables=2, half_width=7.0, points=161) == pytest.approx(1.0, abs=1e-6)


def test_a_double_well_integrates_to_one_within_the_error_of_annealing():
    x = grid_samples(well, samples=3000, seed=4)
    model = HamiltonianDensity(order=4).fit(x)
    total = integral(model, variables=2, half_width=4.0, points=161)
    assert model.log_partition_.kind == "statistical"
    assert 0.0 < model.log_partition_.error <= 0.05
    assert abs(np.log(total)) < z_limit(1) * model.log_partition_.error
    assert model.score(x) > HamiltonianDensity(order=2).fit(x).score(x) + 0.05


@pytest.mark.parametrize("kind", ["spin", "categorical"])
def test_annealing_agrees_with_all_states(kind):
    if kind == "spin":
        x, settings = spins(samples=800, sites=9, seed=5), {"order": 3}
    else:
        x, settings = np.random.default_rng(6).integers(0, 3, size=(600, 5)).astype(float), {}
        x[:, 1] = x[:, 0]
        x[:60, 1] = 2 - x[:60, 0]
    model = HamiltonianDensity(**settings).fit(x)
    z = []
    for seed in range(12):
        found = annealed_log_partition(model._density._annealing(np.random.default_rng(seed)))
        z.append((found.value - model.log_partition_.value) / found.error)
    assert np.abs(z).max() < z_limit(12)
    assert np.mean(np.square(z)) == pytest.approx(1.0, abs=5.0 * np.sqrt(2.0 / 12.0))


def test_annealing_of_real_variables_agrees_with_the_gaussian_formula():
    x = np.random.default_rng(7).normal(size=(300, 4)) @ np.random.default_rng(8).normal(size=(4, 4))
    density = HamiltonianDensity().fit(x)._density
    exact = density.law.gaussian_log_partition()
    found = annealed_log_partition(density.law.annealing(np.random.default_rng(0)))
    assert abs(found.value - exact.value) < z_limit(1) * found.error + 1e-8  # p_0 is the law itself: no scatter
    wide = type(density.law)(
        density.law.alone, density.law.couplings, density.law.mean + 1.0, 2.0 * density.law.covariance
    )
    found = annealed_log_partition(wide.annealing(np.random.default_rng(0)))
    assert abs(found.value - exact.value) < z_limit(1) * found.error


def test_exact_draws_have_the_probabilities_of_the_states():
    model = HamiltonianDensity(order=2).fit(spins(samples=500, sites=4, seed=9))
    draws = model.sample(20_000, random_state=1)
    states = np.array(list(itertools.product((-1.0, 1.0), repeat=4)))
    expected = np.exp(model.score_samples(states))
    counted = np.array([(draws == state).all(axis=1).mean() for state in states])
    z = (counted - expected) / np.sqrt(expected * (1.0 - expected) / 20_000)
    assert np.abs(z).max() < z_limit(len(states))
    assert model.effective_draws_ == 20_000


@pytest.mark.parametrize("kind", ["spin", "categorical"])
def test_chains_of_heat_bath_draw_what_is_scored(kind):
    """The chains that serve large systems, on one that is small enough to know."""
    if kind == "spin":
        x, order = spins(samples=600, sites=5, seed=10), 3
    else:
        x, order = np.random.default_rng(11).integers(0, 3, size=(500, 3)).astype(float), 2
        x[:200, 1] = x[:200, 0]
    model = HamiltonianDensity(order=order).fit(x)
    density, generator = model._density, np.random.default_rng(3)
    found = annealed_draws(
        density._annealing(generator), count=6400, statistics=lambda codes: codes.T.astype(float), generator=generator
    )
    levels = density.law.levels
    states = np.array(list(itertools.product(*(range(q) for q in levels))))
    chances = np.exp(-density.law.energy(states) - model.log_partition_.value)
    for i, j in itertools.combinations(range(len(levels)), 2):
        expected = float(chances @ (states[:, i] == states[:, j]))
        counted = (found.values[:, i] == found.values[:, j]).mean()
        assert abs(counted - expected) < z_limit(10) * np.sqrt(expected * (1.0 - expected) / found.effective)
    assert found.effective > 640
    assert found.disagreement < 1.1


def test_draws_of_a_double_well_have_its_moments():
    model = HamiltonianDensity(order=4).fit(grid_samples(well, samples=3000, seed=12))
    draws = model.sample(4000, random_state=2)
    axis = np.linspace(-4.0, 4.0, 161)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    weight = np.exp(model.score_samples(grid))
    weight /= weight.sum()
    for statistic in (lambda x: x[:, 0], lambda x: x[:, 0] ** 2, lambda x: x[:, 0] * x[:, 1], lambda x: x[:, 1] ** 4):
        mean = float(weight @ statistic(grid))
        spread = np.sqrt(float(weight @ statistic(grid) ** 2) - mean**2)
        assert abs(statistic(draws).mean() - mean) < z_limit(4) * spread / np.sqrt(model.effective_draws_)
    assert 200 < model.effective_draws_ <= 4000


def test_more_than_twenty_spins_are_annealed_and_agree_with_the_transfer_matrix():
    generator = np.random.default_rng(13)
    x = generator.choice((-1.0, 1.0), size=(400, 24))
    model = HamiltonianDensity(support="translation", lattice=Lattice((24,))).fit(x)
    field, bond = (float(model.hamiltonian_.couplings[k]) for k in (0, -1))
    s = np.array([1.0, -1.0])
    transfer = np.exp(-bond * np.outer(s, s) - field * (s[:, None] + s) / 2.0)
    exact = float(np.log((np.linalg.eigvalsh(transfer) ** 24).sum()))
    assert model.log_partition_.kind == "statistical"
    assert abs(model.log_partition_.value - exact) < z_limit(1) * model.log_partition_.error + 1e-9
    assert model.sample(50).shape == (50, 24)


def test_a_heavy_tail_has_no_quartic_density_and_stays_at_order_two():
    x = np.random.default_rng(14).standard_t(3, size=(2000, 1))
    model = HamiltonianDensity(order=4, smoothing=0.0).fit(x)
    assert any("order 2" in note for note in model.notes_)
    assert integral(model, variables=1, half_width=60.0, points=4001) == pytest.approx(1.0, abs=1e-3)


def test_a_fit_without_density_is_refused():
    """Waves of one length on a ring: bonds alone then give a slowest mode of negative weight (sum of S c (1 - c) > 0)."""
    generator = np.random.default_rng(15)
    phase = generator.uniform(0.0, 2.0 * np.pi, size=(500, 1))
    x = np.cos(np.pi / 4.0 * np.arange(8) + phase) + 0.1 * generator.normal(size=(500, 8))
    ring = Lattice((8,))
    with pytest.raises(DataError, match="no normalisable density"):
        HamiltonianDensity(support="translation", lattice=ring, smoothing=0.0).fit(x)
    HamiltonianDensity(support="translation", lattice=ring, reach=4.0, smoothing=0.0).fit(x)
    with pytest.raises(SettingError, match="even highest order"):
        HamiltonianDensity("continuous", order=3).fit(x)


@pytest.mark.parametrize(
    ("powers", "coefficients", "proper"),
    [
        ([[2, 0], [0, 2], [1, 1]], [1.0, 1.0, 1.9], True),
        ([[2, 0], [0, 2], [1, 1]], [1.0, 1.0, 2.1], False),
        ([[4, 0], [0, 4], [1, 1], [2, 0]], [0.1, 0.1, -9.0, -9.0], True),
        ([[4, 0], [0, 4], [3, 1]], [1.0, 1.0, 1.2], True),
        ([[4, 0], [0, 4], [3, 1]], [1.0, 1.0, 1.4], False),
        ([[4, 0], [0, 4]], [1.0, -0.1], False),
        ([[4, 0], [0, 2], [1, 1]], [1.0, 1.0, 5.0], True),
        ([[4, 0], [0, 2], [1, 2]], [1.0, 1.0, 0.1], False),
        ([[4, 0], [1, 1]], [1.0, 1.0], False),
        ([[3, 0], [0, 2]], [1.0, 1.0], False),
    ],
)
def test_integrability_is_decided_by_the_highest_terms(powers, coefficients, proper):
    table = np.array(powers)
    members = np.where(table[:, :1] > 0, [[0, 1]], [[1, 0]])
    raised = np.where(table[:, :1] > 0, table, table[:, ::-1])
    members[raised == 0] = 0
    terms = ContinuousTerms(2, members, raised, np.arange(len(table)))
    found = integrability(terms, np.array(coefficients))
    assert found.proper is proper
    assert bool(found.reason) is not proper


def test_what_passes_as_integrable_grows_in_every_direction():
    terms = monomials(3, order=4)
    generator = np.random.default_rng(16)
    directions = generator.normal(size=(2000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    leading = terms.powers.sum(1) == 4
    passed = 0
    for _ in range(300):
        theta = generator.normal(size=len(terms)) * 0.4
        theta[(terms.bodies == 1) & leading] += 1.5
        if integrability(terms, theta).proper:
            passed += 1
            padded = directions[:, terms.members[leading]] ** terms.powers[leading]
            assert (padded.prod(axis=2) @ theta[leading]).min() > 0.0
    assert 10 < passed < 290


def test_the_seed_decides_annealing_and_draws():
    x = grid_samples(well, samples=300, seed=17)
    one, same, other = (HamiltonianDensity(order=4, seed=seed).fit(x) for seed in (0, 0, 1))
    assert one.log_partition_ == same.log_partition_
    assert one.log_partition_ != other.log_partition_
    assert np.array_equal(one.sample(5), same.sample(5))
    assert not np.array_equal(one.sample(5, random_state=1), one.sample(5, random_state=2))


@pytest.mark.parametrize(
    ("kind", "wrong"), [("spin", [[0.0, 1.0]]), ("bit", [[-1.0, 1.0]]), ("categorical", [[0.0, 7.0]])]
)
def test_values_that_a_kind_does_not_have_are_refused(kind, wrong):
    x = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]] * 5)
    x = 2.0 * x - 1.0 if kind == "spin" else x
    model = HamiltonianDensity(kind).fit(x)
    with pytest.raises(DataError, match="value"):
        model.score_samples(wrong)


def test_unknown_kinds_are_refused():
    with pytest.raises(SettingError, match="kind"):
        HamiltonianDensity("photons").fit(np.zeros((5, 2)))
    with pytest.raises(DataError, match="value"):
        HamiltonianDensity("spin").fit(np.full((5, 2), 0.5))
    with pytest.raises(SettingError, match="n_samples"):
        HamiltonianDensity().fit(np.random.default_rng(0).normal(size=(20, 2))).sample(0)

"""Score matching recovers planted Hamiltonians of real variables, with errors that hold, and says what it cannot see."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from rgflow.errors import DataError, SettingError
from rgflow.lattice import Lattice
from rgflow.numerics.sparse_polynomial import SparsePolynomial
from rgflow.structure import continuous_terms, fit_continuous, score_rows, standardisation
from rgflow.structure.continuous_fit import terms_of
from rgflow.structure.score_features import energy_slopes, power_table
from tests.structure.continuous_samples import gaussian_field, grid_samples, phi4_samples, ring_precision
from tests.tolerances import ROUNDING, z_limit

SQUARE = Lattice((8, 8))
FIELD = {"support": "rotation", "lattice": SQUARE, "even": True, "standardise": False}


def correlated(*, samples: int, variables: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(samples, variables)) @ generator.normal(size=(variables, variables)) + 3.0


def precision_of(hamiltonian) -> np.ndarray:
    """The matrix Q of z Q z / 2."""
    n = len(hamiltonian.variables)
    found = np.zeros((n, n))
    powers = hamiltonian.polynomial.exponents
    for row, value in zip(powers, hamiltonian.couplings.tolist(), strict=True):
        if row.sum() == 2:
            members = np.repeat(np.arange(n), row)
            found[members[0], members[1]] += value
            found[members[1], members[0]] += value
    return found


def test_all_pairs_of_order_two_are_the_inverse_covariance():
    x = correlated(samples=300, variables=5, seed=0)
    found = fit_continuous(x, standardise=False)
    expected = np.linalg.inv(np.cov(x.T, bias=True))
    assert np.abs(precision_of(found) - expected).max() <= ROUNDING * np.linalg.cond(expected) * np.abs(expected).max()
    linear = [value for row, value in found.polynomial.terms() if sum(row) == 1]
    np.testing.assert_allclose(linear, -expected @ x.mean(axis=0), rtol=1e-9)


def test_the_route_by_normal_equations_gives_the_same_parameters_errors_and_rows():
    x = correlated(samples=400, variables=4, seed=1)
    terms = continuous_terms(4)
    turned = replace(terms, tie=terms.tie[::-1].copy())  # the same model, no longer recognised as all pairs
    one, other = (fit_continuous(x, terms=t, standardise=False) for t in (terms, turned))
    np.testing.assert_allclose(one.fit.parameters.numpy(), other.fit.parameters.numpy()[::-1], rtol=1e-8)
    np.testing.assert_allclose(one.fit.errors.numpy(), other.fit.errors.numpy()[::-1], rtol=1e-6)
    assert one.fit.objective == pytest.approx(other.fit.objective, rel=1e-9)


def test_the_normal_equations_are_those_of_the_derivatives():
    """Against the derivatives of each feature as a polynomial, with a tie and powers up to four."""
    x = np.random.default_rng(2).normal(size=(12, 4))
    ring = Lattice((4,))
    fitted = fit_continuous(x, order=4, support="translation", lattice=ring, standardise=False, regularisation=0.1)
    terms = continuous_terms(4, order=4, support="translation", lattice=ring)
    names = ("a", "b", "c", "d")
    features = [SparsePolynomial(names, np.zeros((0, 4), dtype=int), []) for _ in range(terms.parameters)]
    for parameter, members, powers in zip(terms.tie, terms.members, terms.powers, strict=True):
        row = np.zeros((1, 4), dtype=int)
        np.add.at(row[0], members, powers)
        features[parameter] = features[parameter] + SparsePolynomial(names, row, [1.0])
    slopes = np.array([[feature.partial(name)(x) for name in names] for feature in features])
    bent = np.array([sum(feature.partial(name).partial(name)(x) for name in names) for feature in features])
    gram = np.einsum("aim,bim->ab", slopes, slopes) / len(x) + 0.1 * np.eye(terms.parameters)
    expected = np.linalg.solve(gram, bent.mean(axis=1))
    np.testing.assert_allclose(-fitted.fit.parameters.numpy(), expected, rtol=1e-8, atol=1e-10)


def test_gradient_and_laplacian_are_those_of_the_polynomial():
    x = correlated(samples=200, variables=4, seed=3)
    fitted = fit_continuous(x, order=4, regularisation=1.0)
    point = torch.as_tensor(np.random.default_rng(4).normal(size=4))
    terms, theta = terms_of(fitted.polynomial)
    slopes, curvature = energy_slopes(terms, theta, power_table(point[None].numpy(), terms.order))
    expected = torch.autograd.functional.jacobian(lambda p: fitted.polynomial(p[None])[0], point)
    second = torch.autograd.functional.hessian(lambda p: fitted.polynomial(p[None])[0], point)
    np.testing.assert_allclose(slopes[:, 0], expected.numpy(), rtol=1e-10)
    assert curvature[0] == pytest.approx(float(torch.trace(second)), rel=1e-10)


def test_a_gaussian_field_gives_its_mass_and_stiffness():
    x = gaussian_field(8, mass=0.5, stiffness=1.0, samples=10_000, seed=4)
    fit = fit_continuous(x, **FIELD).fit
    own, bond = (-fit.parameters).tolist()
    stiffness, mass = -bond, 2.0 * own + 4.0 * bond
    spread = fit.covariance.numpy()
    mass_error = np.sqrt(4.0 * spread[0, 0] + 16.0 * spread[1, 1] + 16.0 * spread[0, 1])
    assert abs(stiffness - 1.0) < z_limit(2) * float(fit.errors[1])
    assert abs(mass - 0.5) < z_limit(2) * mass_error
    assert mass_error < 0.01  # a bar that wide would hide the half of the mass


def test_the_error_of_a_generic_precision_matrix_is_the_one_of_theory():
    """Relative error sqrt((tr^2 Q + tr Q^2) / (M tr Q^2)), to first order in variables / samples = 0.6 %."""
    samples = 10_000
    x = gaussian_field(8, mass=0.5, stiffness=1.0, samples=samples, seed=5)
    k = 2.0 * np.pi * np.fft.fftfreq(8)
    modes = 0.5 + (4.0 - 2.0 * np.cos(k)[:, None] - 2.0 * np.cos(k)[None])
    kernel = np.fft.ifft2(modes).real
    sites = SQUARE.positions
    shift = (sites[:, None] - sites[None]) % 8
    truth = kernel[shift[..., 0], shift[..., 1]]
    fitted = fit_continuous(x, standardise=False)
    found = np.linalg.norm(precision_of(fitted) - truth) / np.linalg.norm(truth)
    theory = np.sqrt((modes.sum() ** 2 + (modes**2).sum()) / (samples * (modes**2).sum()))
    assert found == pytest.approx(theory, rel=0.1)  # 2,080 numbers: their scatter leaves some 3 %
    pairs = np.triu_indices(64)
    factor = np.where(pairs[0] == pairs[1], 0.5, 1.0)
    named = dict(
        zip(fitted.fit.names, zip(fitted.fit.parameters.tolist(), fitted.fit.errors.tolist(), strict=True), strict=True)
    )
    z = []
    for i, j, f in zip(*pairs, factor, strict=True):
        value, error = named[f"x{i}**2" if i == j else f"x{i}*x{j}"]
        z.append((-value - f * truth[i, j]) / error)
    assert np.sqrt(np.mean(np.square(z))) == pytest.approx(1.0, abs=0.1)


@pytest.fixture(scope="module")
def phi4() -> np.ndarray:
    return phi4_samples(8, chains=200, draws=20, seed=6)


def test_phi4_gives_its_three_couplings_and_order_four(phi4):
    kept, held = phi4[:3000], phi4[3000:]
    fits = {order: fit_continuous(kept, order=order, coupled_order=2, chains=150, **FIELD) for order in (2, 4, 6)}
    four = fits[4].fit
    truth = np.array([-0.5 + 2.0 * 0.5, -0.5, 0.25])  # x^2: m2/2 + 2 kappa; bond: -kappa; x^4: lambda/4
    z = (-four.parameters.numpy() - truth) / four.errors.numpy()
    assert four.names == ("x0**2", "x0*x1", "x0**4")
    assert np.abs(z).max() < z_limit(3)
    assert four.errors.numpy().max() < 0.02
    assert abs(float(fits[6].fit.parameters[3] / fits[6].fit.errors[3])) < z_limit(1)
    assert fits[2].fit.objective == pytest.approx(-1.170, abs=0.01)
    assert four.objective == pytest.approx(-1.3752, abs=0.01)
    rows = {order: score_rows(fit, held).numpy() for order, fit in fits.items()}
    gained, more = rows[4] - rows[2], rows[6] - rows[4]
    assert gained.mean() > 5.0 * gained.std() / np.sqrt(len(held))
    assert more.mean() < 2.0 * more.std() / np.sqrt(len(held))


def test_standard_errors_are_the_scatter_of_a_coupled_quartic_law():
    energy = lambda x, y: 0.1 * (x**2 + y**2) + 0.25 * (x**4 + y**4) - 0.6 * x * y  # noqa: E731
    truth = {"x0": 0.0, "x0**2": 0.1, "x0**3": 0.0, "x0**4": 0.25, "x0*x1": -0.6}
    z = []
    for seed in range(60):
        x = grid_samples(energy, samples=800, seed=seed)
        fit = fit_continuous(x, order=4, coupled_order=2, support="permutation", standardise=False).fit
        z.append(
            [
                (-v - truth[n]) / e
                for n, v, e in zip(fit.names, fit.parameters.tolist(), fit.errors.tolist(), strict=True)
            ]
        )
    squares = np.square(z).mean(axis=0)
    assert np.all(np.abs(squares - 1.0) < 5.0 * np.sqrt(2.0 / 60.0))
    assert squares.mean() == pytest.approx(1.0, abs=0.3)


def test_repeating_every_sample_leaves_the_errors_and_the_effective_number_as_they_were():
    x = correlated(samples=600, variables=3, seed=7)
    for settings in ({"order": 2}, {"order": 4, "coupled_order": 2}):
        once = fit_continuous(x, **settings).fit
        often = fit_continuous(np.repeat(x, 6, axis=0), **settings).fit
        ratio = (often.errors / once.errors).numpy()
        assert ratio.min() > 0.75  # without the correction: 1/sqrt(6) = 0.41
        assert ratio.max() < 1.35
        assert often.effective_samples < 2.0 * len(x)


def test_held_out_rows_average_to_the_objective_and_prefer_the_truth():
    precision = ring_precision(10, own=1.0, bond=-0.3)
    root = np.linalg.inv(np.linalg.cholesky(precision))
    x = np.random.default_rng(8).normal(size=(3000, 10)) @ root
    ring = Lattice((10,))
    scale = standardisation(x[:2000], pooled=True)
    kept, held = scale.apply(x[:2000]), scale.apply(x[2000:])
    supports = {"independent": None, "translation": ring, "all": None}
    fits = {s: fit_continuous(kept, support=s, lattice=l, standardise=False) for s, l in supports.items()}
    assert float(score_rows(fits["all"], kept).mean()) == pytest.approx(-fits["all"].fit.objective, rel=1e-10)
    rows = {name: score_rows(fit, held).numpy() for name, fit in fits.items()}
    for worse in ("independent", "all"):
        gain = rows["translation"] - rows[worse]
        assert gain.mean() > 2.0 * gain.std() / np.sqrt(len(held))


@pytest.mark.parametrize(
    ("draw", "rough"),
    [
        (lambda g: g.normal(size=4000), False),
        (lambda g: np.round(g.normal(size=4000), 2), False),
        (lambda g: np.maximum(g.normal(size=4000), 0.0), True),
        (lambda g: g.normal(size=4000) * (g.random(4000) < 0.8), True),
        (lambda g: g.integers(0, 5, size=4000).astype(float), True),
        (lambda g: g.uniform(size=4000), True),
        (lambda g: g.exponential(size=4000), True),
        (lambda g: g.beta(3.0, 3.0, size=4000), False),
    ],
    ids=["normal", "two decimals", "clipped", "spike", "counts", "uniform", "exponential", "smooth edges"],
)
def test_atoms_and_edges_are_smoothed_and_said(draw, rough):
    x = np.stack([draw(np.random.default_rng(9)), np.random.default_rng(10).normal(size=4000)], axis=1)
    fitted = fit_continuous(x)
    assert (fitted.fit.standardisation.smoothing > 0.0).tolist() == [rough, False]
    assert any("smoothed" in note for note in fitted.fit.notes) is rough


def test_the_seed_draws_the_smoothing():
    x = np.maximum(np.random.default_rng(11).normal(size=(500, 2)), 0.0)
    one, same, other = (fit_continuous(x, seed=seed).couplings for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_smoothing_takes_a_clipped_law_to_the_smoothed_one():
    """The variance after smoothing is 1, and the coupling that of the correlation r / 1.09."""
    x = correlated(samples=4000, variables=2, seed=12)
    fitted = fit_continuous(x, smoothing=0.3)
    r = np.corrcoef(x.T)[0, 1] / 1.09
    pair = next(value for row, value in fitted.polynomial.terms() if sum(row) == 2 and max(row) == 1)
    assert pair == pytest.approx(-r / (1.0 - r**2), rel=0.05)


def test_ties_count_the_classes_of_a_lattice():
    square = Lattice((4, 4))
    count = lambda **settings: continuous_terms(16, lattice=square, **settings).parameters  # noqa: E731
    assert count(support="local") == 16 + 16 + 32
    assert count(support="translation") == 4  # linear, square, two bonds
    assert count(support="rotation") == 3
    assert count(support="rotation", even=True, order=4) == 2 + 3  # x^2, bond; x^4, x y^3, x^2 y^2
    assert count(support="permutation") == 3
    open_chain = Lattice((5,), periodic=False)
    assert continuous_terms(5, support="translation", lattice=open_chain, order=3).parameters == 3 + 1 + 2
    assert continuous_terms(5, support="translation", lattice=open_chain, order=3, reach=2).parameters == 3 + 6 + 1
    assert continuous_terms(5, support="reflection", lattice=open_chain, order=3).parameters == 3 + 1 + 1


def test_selection_finds_the_bonds_and_few_others():
    precision = ring_precision(20, own=1.0, bond=-0.25)
    root = np.linalg.inv(np.linalg.cholesky(precision))
    bonds = {f"x{i}*x{j}" for i, j in Lattice((20,)).bonds.tolist() for i, j in [sorted((i, j))]}
    false, found = 0, 0
    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=(2000, 20)) @ root
        fit = fit_continuous(x, false_discoveries=0.1).fit
        kept = {name for name, stays in zip(fit.names, fit.selected.tolist(), strict=True) if stays and "*x" in name}
        assert float(fit.parameters[~fit.selected].abs().max()) == 0.0
        false += len(kept - bonds)
        found += len(kept)
        assert bonds <= kept
    assert false <= 0.25 * found  # expected 10 %, of some 90 kept


def test_collinear_variables_are_said_and_a_ridge_is_stated():
    x = np.random.default_rng(13).normal(size=(200, 3))
    fit = fit_continuous(np.column_stack([x, x[:, 0]])).fit
    assert fit.regularisation == 10.0 / 200
    assert any("ridge" in note for note in fit.notes)
    assert fit_continuous(x).fit.regularisation == 0.0


@pytest.mark.parametrize(
    ("samples", "settings", "error", "word"),
    [
        (np.ones((50, 2)), {}, DataError, "constant"),
        (np.full((50, 2), np.nan), {}, DataError, "NaN"),
        (np.zeros(5), {}, DataError, "shape"),
        (None, {"order": 1}, SettingError, "order 2 or more"),
        (None, {"support": "local"}, SettingError, "lattice"),
        (None, {"support": "nearby"}, SettingError, "support"),
        (None, {"regularisation": -1.0}, SettingError, "regularisation"),
        (None, {"false_discoveries": 2.0}, SettingError, "false_discoveries"),
        (None, {"names": ("a",)}, SettingError, "names"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_sentence(samples, settings, error, word):
    given = np.random.default_rng(0).normal(size=(50, 3)) if samples is None else samples
    with pytest.raises(error, match=word):
        fit_continuous(given, **settings)


def test_256_variables_with_all_pairs_take_less_than_five_seconds():
    x = np.random.default_rng(14).normal(size=(5000, 256))
    before = time.process_time()
    fitted = fit_continuous(x)
    assert time.process_time() - before < 5.0
    assert len(fitted.fit.names) == 256 + 256 * 257 // 2

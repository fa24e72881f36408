"""The shortest checks of width certificates, flattening and Hamiltonians, as functions of a room of modules.

`test_planted_bugs_certify` builds rooms with one line changed and expects one of these to object.
"""

import importlib
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from scipy.stats import multivariate_normal

from tests.tolerances import ROUNDING

__all__ = ["CHECKS", "MODULES", "REFERENCE", "load_room"]

MODULES = (
    "numerics.exact_rank",
    "records.hamiltonian",
    "compile.jets",
    "compile.exact_terms",
    "compile.moment_matrix",
    "compile.completion_rank",
    "compile.width_bound",
    "compile.weight_trade_off",
    "compile.flattening",
    "compile.bilinear",
    "compile.class_hamiltonians",
    "compile.monomials",
    "compile.monomial_selection",
    "compile.posterior_network",
)
REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "width_bounds.json").read_text(encoding="utf-8"))


def load_room() -> SimpleNamespace:
    """Import the modules as they are now, under their last names."""
    return SimpleNamespace(**{n.split(".")[-1]: importlib.import_module(f"rgflow.{n}") for n in MODULES})


def _rank(room: SimpleNamespace, matrix: list[list[object]], generic: tuple[tuple[int, int], ...] = ()) -> int:
    entry = room.exact_rank.Entry
    return room.exact_rank.exact_rank(
        [
            entry(i, j, Fraction(value), (i, j) in generic)  # type: ignore[arg-type]
            for i, row in enumerate(matrix)
            for j, value in enumerate(row)
            if value
        ]
    )


def ranks_of_rational_matrices_are_exact(room: SimpleNamespace) -> None:
    assert _rank(room, []) == 0
    assert _rank(room, [[Fraction(1, 3), 1], [1, 3]]) == 1
    # Determinant 1, entries of 2^80: floating point sees rank 1.
    big = 2**80
    assert _rank(room, [[big + 1, big], [big, big - 1]]) == 2
    assert _rank(room, [[big, big], [big, big]]) == 1
    # The determinant is the first prime of the elimination: rank 1 modulo it, 2 in truth.
    prime = 2**31 - 1
    assert _rank(room, [[1, 1], [1, 1 + prime]]) == 2
    # Singular 5 x 5 of rank 3 in two blocks that do not touch.
    block = [[1, 2, 3, 0, 0], [4, 5, 6, 0, 0], [7, 8, 9, 0, 0], [0, 0, 0, 2, 4], [0, 0, 0, 1, 2]]
    assert _rank(room, block) == 3


def ranks_of_generic_entries_are_those_of_a_transcendental_number(room: SimpleNamespace) -> None:
    assert _rank(room, [[1, 1], [1, 1]], generic=((0, 0),)) == 2
    assert _rank(room, [[1, 1], [1, 1]], generic=((0, 0), (0, 1))) == 1
    # t * t - 4 * 1 is no zero polynomial, though it vanishes at t = 2.
    assert _rank(room, [[1, 4], [1, 1]], generic=((0, 0), (1, 1))) == 2
    # Rows t, 2 and t, 2: equal whatever t is.
    assert _rank(room, [[1, 2, 3], [1, 2, 3], [0, 1, 1]], generic=((0, 0), (1, 0))) == 2


def derivatives_at_zero_are_those_of_the_functions(room: SimpleNamespace) -> None:
    known = {
        "exp": [1, 1, 1, 1, 1],
        "tanh": [0, 1, 0, -2, 0],
        "sigmoid": [Fraction(1, 2), Fraction(1, 4), 0, Fraction(-1, 8), 0],
        "softplus": [1, Fraction(1, 2), Fraction(1, 4), 0, Fraction(-1, 8)],
        "gelu": [0, Fraction(1, 2), 2, 0, -4],
        "silu": [0, Fraction(1, 2), Fraction(1, 2), 0, Fraction(-1, 2)],
        "erf": [0, 1, 0, -2, 0],
        "arctan": [0, 1, 0, -2, 0],
    }
    for name, values in known.items():
        assert list(room.jets.jet_of(name, degree=4).rational) == values, name
    assert abs(room.jets.jet_of("gelu", degree=4).number(2) - 2.0 / np.sqrt(2.0 * np.pi)) < ROUNDING
    assert abs(room.jets.jet_of("softplus", degree=4).number(0) - np.log(2.0)) < ROUNDING


def the_bounds_of_the_verified_sheet_are_reached_or_passed(room: SimpleNamespace) -> None:
    for text, families in REFERENCE["bounds"].items():
        degree = room.exact_terms.exact_polynomials(text).degree
        for family, bound in families.items():
            name = ("even", "odd")[degree % 2] if family == "parity" else family
            found = room.width_bound.shallow_width_bound(text, family=name)
            assert found.neurons == sum(block.sign * block.rank for block in found.certificate)
            # One entry of the sheet is sharpened here: see test_width_bound.
            sharper = 1 if (text.startswith("(x**2 + y**2)/2") and family == "output-bias") else 0
            assert found.neurons == bound + sharper, (text, family)


def bounds_follow_the_derivatives(room: SimpleNamespace) -> None:
    bound = room.width_bound.shallow_width_bound
    series = "1 + x + x**2/2 + x**3/6"
    assert bound(series, derivatives="exp").neurons == 1
    assert bound(series, derivatives=[1, 2, 3, 5]).neurons == 2
    assert bound("x*y + x", derivatives="softplus").neurons == 2
    # ln 2 + z/2 + z^2/8 at z = x is softplus itself through degree 3; the constant 1 is not ln 2 times anything rational.
    assert bound("x/2 + x**2/8", derivatives="softplus", family="output-bias").neurons == 1
    assert bound("1 + x/2 + x**2/8", derivatives="softplus").neurons == 2
    # In tanh the even degrees are free; in GELU the degrees 0, 3, 5, ..., so that it counts as with an output bias.
    assert bound("x - x**3/3", derivatives="tanh").neurons == 1
    assert bound("x*y", derivatives="gelu").neurons == 3


def several_outputs_share_their_neurons(room: SimpleNamespace) -> None:
    bound = room.width_bound.shallow_width_bound
    assert bound("x*y, 2*x*y").neurons == 4
    assert bound("x*y, x*z").neurons == 6
    assert bound(["x**2", "y**2"], family="hidden-bias").neurons == 2


def coefficients_are_read_as_typed(room: SimpleNamespace) -> None:
    bound = room.width_bound.shallow_width_bound
    assert bound("(0.1*x + 0.3*y)**2").neurons == 3
    assert bound("0.01*x**2 + 0.06*x*y + 0.09*y**2").neurons == 3
    assert bound("(x/3 + y/7)^3", family="hidden-bias").neurons == 1
    # The rank-1 square, off by one part in 10^30: two more neurons.
    assert bound("x**2 + 2*x*y + (1 + 1e-30)*y**2").neurons == 4


def the_trade_off_finds_the_network_at_the_bound_and_none_below(room: SimpleNamespace) -> None:
    trade = room.weight_trade_off.trade_off
    assert trade("x*y", 4, [10.0], starts=5).residuals[0] < 1e-13
    # 2.1e-2 in the verified sheet
    assert 2.2e-2 > trade("x*y", 3, [5.0], starts=2).residuals[0] > 1.9e-2
    # With sigma_2 = 2 and a skip connection x^2 is one neuron of weights 1; sigma_2 = 1 needs w a^2 = 2 > 1.2^3.
    assert trade("x**2", 1, [1.2], derivatives=[1, 1, 2], family="linear-skip", starts=3).residuals[0] < 1e-9
    assert trade("x**2", 1, [1.2], derivatives=[1, 1, 1], family="linear-skip", starts=3).residuals[0] > 0.2


def factors_multiply_to_their_map(room: SimpleNamespace) -> None:
    fft = room.flattening.linear_factors("fft", 64)
    assert (fft.nonzeros_deep, fft.nonzeros_flat, len(fft.factors)) == (768, 4096, 6)
    assert fft.error < ROUNDING
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(3, 64, dtype=torch.complex128, generator=generator)
    with torch.no_grad():
        found = fft.module(torch.cat([signal.real, signal.imag], dim=1))
    exact = torch.fft.fft(signal)
    assert float((found - torch.cat([exact.real, exact.imag], dim=1)).abs().max()) < 64 * ROUNDING
    hadamard = room.flattening.linear_factors("hadamard", 16)
    assert hadamard.error == 0.0
    assert torch.equal(hadamard.matrix @ hadamard.matrix.T, 16.0 * torch.eye(16, dtype=torch.float64))
    assert (hadamard.weights_deep, hadamard.weights_flat) == (128, 256)
    thin = torch.randn(20, 2, dtype=torch.float64, generator=generator)
    low = room.flattening.linear_factors(thin @ thin.T)
    assert low.error < ROUNDING
    assert (low.weights_deep, low.weights_flat) == (80, 400)


def strassen_is_exact_and_its_certificate_weak(room: SimpleNamespace) -> None:
    scheme = room.bilinear.strassen()
    assert scheme.exact
    assert (scheme.multiplications, scheme.neurons, scheme.naive_neurons) == (7, 28, 32)
    assert (scheme.flattening_ranks, scheme.certified) == ((4, 4, 4), 4)
    first, second = np.array([[3, -1], [4, 2]]), np.array([[5, 7], [-6, 1]])
    products = (scheme.left.numpy() @ first.ravel()) * (scheme.right.numpy() @ second.ravel())
    assert ((scheme.combine.numpy() @ products).reshape(2, 2) == first @ second).all()


def hamiltonians_have_their_energy_and_refuse_other_values(room: SimpleNamespace) -> None:
    from rgflow.errors import DataError, SettingError
    from rgflow.numerics.sparse_polynomial import from_terms

    record = room.hamiltonian.Hamiltonian
    pair = from_terms({(1, 1): -0.5, (1, 0): 0.25}, variables=("a", "b"))
    assert record("spin", pair).energy([[1, 1], [-1, 1]]).tolist() == [-0.25, 0.25]
    assert record("spin", pair, errors=[0.1, 0.1]).order == 2
    potts = from_terms({(1, 0, 0, 1, 0): -1.0, (0, 0, 1, 0, 1): 2.0}, variables=("a=0", "a=1", "a=2", "b=0", "b=1"))
    energies = record("categorical", potts, levels=(3, 2)).energy([[0, 0], [2, 1], [1, 1]])
    assert energies.tolist() == [-1.0, 2.0, 0.0]
    for kind, value in (("spin", 0.0), ("bit", -1.0), ("real", float("nan"))):
        assert _refused(DataError, lambda k=kind, v=value: record(k, pair).energy([[1.0, v]]))
    assert _refused(DataError, lambda: record("categorical", potts, levels=(3, 2)).energy([[0, 2]]))
    assert _refused(SettingError, lambda: record("spin", from_terms({(2,): 1.0}, variables=("a",))))
    assert _refused(SettingError, lambda: record("categorical", potts, levels=(3, 3)))
    both = from_terms({(1, 1): 1.0}, variables=("a=0", "a=1"))
    assert _refused(SettingError, lambda: record("categorical", both, levels=(2,)))
    assert _refused(SettingError, lambda: record("real", pair, levels=(1, 1)))
    assert _refused(SettingError, lambda: record("real", pair, errors=[0.1, -0.1]))
    assert _refused(SettingError, lambda: record("spins", pair))


def _refused(error: type[Exception], call: Callable[[], object]) -> bool:
    try:
        call()
    except error:
        return True
    return False


def gaussian_classes_are_bayes_and_so_is_their_network(room: SimpleNamespace) -> None:
    means, priors = [[-1.0, 0.5], [1.5, 0.0]], [0.25, 0.75]
    covariances = [[[1.0, 0.4], [0.4, 2.0]], [[2.0, -0.3], [-0.3, 0.5]]]
    points = np.random.default_rng(0).uniform(-2.0, 2.0, size=(40, 2))
    logs = [multivariate_normal(m, c).logpdf(points) for m, c in zip(means, covariances, strict=True)]
    exact = torch.softmax(torch.from_numpy(np.stack(logs, axis=1) + np.log(priors)), dim=1)
    classes = room.class_hamiltonians.gaussian_hamiltonians(means, covariances, priors)
    assert float((classes.posterior(points) - exact).abs().max()) < 1e-14
    network = room.posterior_network.posterior_network(
        classes, mean=[10.0, -3.0], scale=[2.0, 5.0], domain=2.0, activation="squared_relu"
    )
    found = network.posterior(points * [2.0, 5.0] + [10.0, -3.0])
    assert float((found - exact).abs().max()) <= network.probability_bound < 1e-6


def inputs_that_no_class_uses_do_not_reach_the_network(room: SimpleNamespace) -> None:
    from rgflow.numerics.sparse_polynomial import from_terms

    record = room.hamiltonian.Hamiltonian
    terms = [from_terms({(0, 1): sign}, variables=("a", "b")) for sign in (1.0, -1.0)]
    classes = room.class_hamiltonians.ClassHamiltonians(tuple(record("real", p) for p in terms), torch.zeros(2))
    network = room.posterior_network.posterior_network(classes)
    points = torch.tensor([[0.9, -0.2], [-0.5, 0.7]], dtype=torch.float64)
    assert torch.allclose(network.posterior(points), classes.posterior(points), rtol=ROUNDING)


def monomials_and_their_selection_are_as_told(room: SimpleNamespace) -> None:
    exponents = room.monomials.monomial_exponents(2, 3)
    assert exponents.tolist() == [[1, 0], [0, 1], [2, 0], [1, 1], [0, 2], [3, 0], [2, 1], [1, 2], [0, 3]]
    values = room.monomials.monomial_values(np.array([[2.0, 3.0]]), exponents)
    assert values.tolist() == [[2.0, 3.0, 4.0, 6.0, 9.0, 8.0, 12.0, 18.0, 27.0]]
    rung = room.monomial_selection.Rung
    rungs = [rung(1, 0.1, -0.9, 0.1), rung(3, 0.1, -0.55, 0.1), rung(9, 0.1, -0.5, 0.1)]
    assert room.monomial_selection.chosen_rung(rungs).monomials == 3
    generator = np.random.default_rng(0)
    raw = generator.normal(size=(200, 1))
    labels = (generator.uniform(size=200) < 1.0 / (1.0 + np.exp(-2.0 * raw[:, 0]))).astype(int)
    scores = room.monomial_selection.ladder(raw, labels, linear=1, penalties=(0.01,), folds=4, seed=0)
    # The truth's own log-likelihood is about -0.45; guessing gives -ln 2.
    assert -0.6 < scores[0].score < -0.35


CHECKS = (
    gaussian_classes_are_bayes_and_so_is_their_network,
    inputs_that_no_class_uses_do_not_reach_the_network,
    monomials_and_their_selection_are_as_told,
    ranks_of_rational_matrices_are_exact,
    ranks_of_generic_entries_are_those_of_a_transcendental_number,
    derivatives_at_zero_are_those_of_the_functions,
    the_bounds_of_the_verified_sheet_are_reached_or_passed,
    bounds_follow_the_derivatives,
    several_outputs_share_their_neurons,
    coefficients_are_read_as_typed,
    the_trade_off_finds_the_network_at_the_bound_and_none_below,
    factors_multiply_to_their_map,
    strassen_is_exact_and_its_certificate_weak,
    hamiltonians_have_their_energy_and_refuse_other_values,
)

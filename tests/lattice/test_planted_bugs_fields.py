"""One-line bugs planted in exact references and in the samplers of fields; a named check must fail for each."""

from collections.abc import Callable

import pytest

from lattice import test_exact_references as exact
from lattice import test_field_samplers as fields
from tests.lattice.compiled_bugs import planted_in_loop
from tests.planting import planted

TC = exact.CRITICAL_TEMPERATURE


def torus(shape: tuple[int, int], temperature: float) -> Callable[[], None]:
    return lambda: exact.test_a_torus_of_any_shape_has_the_partition_function_and_energy_of_its_states(
        shape, temperature
    )


def ising_ring() -> None:
    exact.test_an_ising_ring_by_transfer_matrix_is_the_sum_over_its_states(0.2)


def inverse() -> None:
    exact.test_the_covariance_on_a_torus_inverts_the_precision((3, 4))


def potts(method: str, field: tuple = (0.3, 0.0, -0.2)) -> Callable[[], None]:
    return lambda: fields.test_potts_samples_have_the_energy_states_and_pairs_of_the_sum_over_all_states(method, field)


def xy(method: str) -> Callable[[], None]:
    return lambda: fields.test_an_xy_ring_has_the_energy_and_correlations_of_the_transfer_matrix(method, 1.4)


def phi4(method: str) -> Callable[[], None]:
    return lambda: fields.test_a_phi4_ring_has_the_energy_and_correlations_of_the_transfer_matrix(method)


def gaussian(method: str) -> Callable[[], None]:
    return lambda: fields.test_gaussian_fields_have_the_covariance_of_the_torus(method, (4, 5))


OPEN = fields.test_gaussian_fields_on_an_open_lattice_come_from_its_precision
GAUSSIAN_RING = exact.test_a_gaussian_ring_has_the_covariance_of_the_field
BITS = exact.test_bits_and_terms_of_order_three_are_enumerated_as_written
POTTS_RING = exact.test_a_potts_ring_with_fields_is_the_sum_over_its_states
BESSEL = exact.test_an_xy_ring_is_the_sum_of_bessel_functions
ONSAGER = exact.test_onsager_agrees_with_the_textbook_elliptic_integral
MAGNET = exact.test_the_spontaneous_magnetisation_has_its_published_values_and_vanishes_above
INTEGRAL = exact.test_a_phi4_ring_without_coupling_is_a_single_integral

BUGS = [
    ("exact_square_ising", "2.0 * tangent**2 - 1.0", "2.0 * tangent**2 + 1.0", ONSAGER),
    ("exact_square_ising", "** -4) ** 0.125", "** -4) ** 0.25", MAGNET),
    ("exact_square_ising", "slope[0] = 2.0 + 2.0 / sine", "slope[0] = 2.0 - 2.0 / sine", torus((4, 4), TC)),
    ("exact_square_ising", "+ math.log(math.tanh(coupling))", "- math.log(math.tanh(coupling))", torus((3, 5), 3.0)),
    ("exact_square_ising", "np.arange(1, 2 * columns, 2)", "np.arange(1, 2 * rows, 2)", torus((3, 5), 1.5)),
    ("exact_square_ising", "ratio * rest", "rest", torus((4, 4), 3.0)),
    ("exact_enumeration", "digits[:, first] == digits[:, second]", "digits[:, first] != digits[:, second]", POTTS_RING),
    ("exact_enumeration", "-float(probabilities @ logarithms)", "float(probabilities @ logarithms)", BITS),
    ("exact_rings", "(self.sites - steps), ratios**steps", "(self.sites - steps), ratios ** (steps + 1)", ising_ring),
    ("exact_rings", "ratios ** (self.sites - 1)", "ratios**self.sites", ising_ring),
    ("exact_rings", "math.log(self.spacing * self", "math.log(self", BESSEL),
    ("exact_rings", "quartic * points**4 / 4.0)", "quartic * points**4 / 2.0)", INTEGRAL),
    (
        "exact_rings",
        "-coupling * (points[:, None] - points[None, :]) ** 2 / 2.0",
        "-coupling * (points[:, None] - points[None, :]) ** 2",
        GAUSSIAN_RING,
    ),
    ("exact_gaussian", "mass_squared + 4.0 * coupling * total", "mass_squared + 2.0 * coupling * total", inverse),
    ("exact_gaussian", "np.add.at(matrix, (second, second), coupling)", "pass", inverse),
    ("gaussian_methods", "1.0 / np.sqrt(spectrum.numpy())", "1.0 / spectrum.numpy()", gaussian("fourier")),
    ("gaussian_methods", "factor.T, torch.from_numpy", "factor.T.diag().diag(), torch.from_numpy", OPEN),
    ("gaussian_methods", "coupling / 2.0 * np.stack", "coupling * np.stack", gaussian("fourier")),
    ("field_methods", "sums / states.shape[-1] + local", "sums + local", phi4("embedded-clusters")),
    (
        "field_models",
        "return 1.0 / temperature",
        "return temperature",
        lambda: fields.test_an_xy_lattice_obeys_the_identity_of_its_first_and_second_derivatives("embedded-clusters"),
    ),
]

LOOP_BUGS = [
    (
        "potts_loops",
        "levels[states[neighbours[k]]] += couplings[k]",
        "levels[states[neighbours[k]]] += 0.9 * couplings[k]",
        potts("heat-bath"),
    ),
    ("potts_loops", "-math.expm1(-couplings[edge])", "-math.expm1(-2.0 * couplings[edge])", potts("swendsen-wang")),
    ("potts_loops", "drawn_level(sizes[site] * field", "drawn_level(1.0 * field", potts("swendsen-wang")),
    ("xy_loops", "strength = 2.0 * couplings", "strength = couplings", xy("embedded-clusters")),
    ("xy_loops", "factor = 2.0 * (across", "factor = 1.8 * (across", xy("metropolis")),
    ("xy_loops", "uniform(word) < math.exp(gain)", "uniform(word) < math.exp(0.9 * gain)", xy("metropolis")),
    ("phi4_loops", "quartic / 4.0 * (new_square", "quartic / 2.0 * (new_square", phi4("metropolis")),
    ("phi4_loops", "stiffness += couplings[k]", "stiffness += 0.8 * couplings[k]", phi4("metropolis")),
    ("phi4_loops", "strength = 2.0 * couplings", "strength = 4.0 * couplings", phi4("embedded-clusters")),
]


@pytest.mark.parametrize(("module", "sound", "broken", "check"), BUGS, ids=[f"{b[0]}: {b[2][:40]}" for b in BUGS])
def test_a_planted_bug_is_caught(module: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    with planted(f"lattice.{module}", sound, broken), pytest.raises(AssertionError):
        check()


# Every bug means another compilation: those of which a near relation is caught by default run apart.
APART = ("1.8 * (across", "exp(0.9 * gain)", "quartic / 2.0", "-math.expm1(-2.0", "strength = 4.0")
MARKED = [pytest.param(*b, marks=pytest.mark.slow) if any(part in b[2] for part in APART) else b for b in LOOP_BUGS]


@pytest.mark.parametrize(
    ("module", "sound", "broken", "check"), MARKED, ids=[f"{b[0]}: {b[2][:40]}" for b in LOOP_BUGS]
)
def test_a_bug_planted_in_a_compiled_loop_is_caught(
    module: str, sound: str, broken: str, check: Callable[[], None]
) -> None:
    with planted_in_loop(module, sound, broken), pytest.raises(AssertionError):
        check()


@pytest.mark.slow
def test_a_loop_compiled_afresh_without_a_bug_passes() -> None:
    with planted_in_loop("xy_loops", "part[site] = cosine", "part[site] = 1.0 * cosine"):
        xy("embedded-clusters")()

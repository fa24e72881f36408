"""One-line bugs planted in score matching, Potts fits and densities; a named check must fail for each (they pass without)."""

from collections.abc import Callable

import pytest

from tests.planting import planted
from tests.structure import test_categorical_fit as categories
from tests.structure import test_continuous_fit as real
from tests.structure import test_hamiltonian_density as density


def quartic() -> None:
    density.test_integrability_is_decided_by_the_highest_terms([[4, 0], [0, 4], [3, 1]], [1.0, 1.0, 1.4], False)


def quadratic() -> None:
    density.test_integrability_is_decided_by_the_highest_terms([[2, 0], [0, 2], [1, 1]], [1.0, 1.0, 2.1], False)


def spike() -> None:
    real.test_atoms_and_edges_are_smoothed_and_said(lambda g: g.normal(size=4000) * (g.random(4000) < 0.8), True)


def uniform() -> None:
    real.test_atoms_and_edges_are_smoothed_and_said(lambda g: g.uniform(size=4000), True)


def states() -> None:
    density.test_probabilities_of_all_states_add_up_to_one(3, (-1.0, 1.0))


def annealed_spins() -> None:
    density.test_annealing_agrees_with_all_states("spin")


def chains() -> None:
    density.test_chains_of_heat_bath_draw_what_is_scored("categorical")


BUGS: list[tuple[str, str, str, Callable[[], None]]] = [
    # derivatives of monomials
    (
        "structure.score_features",
        "    factor = float(power) if times == 1 else float(power * (power - 1))",
        "    factor = float(power) if times == 1 else float(power * power)",
        real.test_the_normal_equations_are_those_of_the_derivatives,
    ),
    (
        "structure.score_features",
        "        curvature += q * (q - 1) * np.einsum",
        "        curvature += q * q * np.einsum",
        real.test_gradient_and_laplacian_are_those_of_the_polynomial,
    ),
    (
        "structure.score_features",
        "    slopes += p * table[p - 1] * second + q * table[q - 1] * first",
        "    slopes += p * table[p - 1] * second",
        real.test_gradient_and_laplacian_are_those_of_the_polynomial,
    ),
    (
        "structure.score_features",
        "    return (curvature - 0.5 * (slopes**2).sum(axis=0)) / len(slopes)",
        "    return (curvature - (slopes**2).sum(axis=0)) / len(slopes)",
        real.test_held_out_rows_average_to_the_objective_and_prefer_the_truth,
    ),
    # the estimate and its errors
    (
        "structure.score_matching",
        "    covariance = deviations.T @ deviations / len(z)",
        "    covariance = deviations.T @ deviations / (len(z) - 1)",
        real.test_all_pairs_of_order_two_are_the_inverse_covariance,
    ),
    (
        "structure.score_matching",
        "    shift = u * (u @ mean)[:, None] - centre @ mean - u",
        "    shift = -u",
        real.test_the_route_by_normal_equations_gives_the_same_parameters_errors_and_rows,
    ),
    (
        "structure.score_sandwich",
        "    scale = np.sqrt(times / samples)",
        "    scale = np.sqrt(1.0 / samples) * np.ones_like(times)",
        real.test_repeating_every_sample_leaves_the_errors_and_the_effective_number_as_they_were,
    ),
    (
        "structure.score_sandwich",
        "    influence = inverse @ sampled",
        "    influence = inverse @ sampled * 1.6",
        real.test_standard_errors_are_the_scatter_of_a_coupled_quartic_law,
    ),
    # terms, scale
    (
        "structure.continuous_monomials",
        "        moves[terms.powers == 0] = 0",
        "        moves[terms.powers >= 0] = 0",
        real.test_ties_count_the_classes_of_a_lattice,
    ),
    ("structure.continuous_standard", "    return atoms | (", "    return (", spike),
    ("structure.continuous_standard", "    return atoms | (", "    return atoms & (", uniform),
    (
        "structure.continuous_standard",
        "        return float(np.log(self.unit * np.sqrt(1.0 + self.smoothing**2)).sum())",
        "        return float(np.log(self.unit).sum())",
        density.test_a_normal_density_of_two_variables_integrates_to_one_smoothed_or_not,
    ),
    # categories
    (
        "structure.categorical_terms",
        "    crossed = (starts[turned][:, None] + (rows % shape[1]) * width + rows // shape[1]).ravel()",
        "    crossed = (starts[turned][:, None] + rows).ravel()",
        categories.test_a_law_that_turns_one_way_keeps_its_direction,
    ),
    (
        "structure.categorical_terms",
        "    return table * np.sqrt(levels / np.maximum((table**2).sum(axis=0), 1.0))",
        "    return table",
        categories.test_contrasts_are_orthogonal_to_each_other_and_to_constants,
    ),
    (
        "structure.categorical_likelihood",
        "            covariance = (table[:, k] * table[:, m]) @ chances - mean[k] * mean[m]",
        "            covariance = (table[:, k] * table[:, m]) @ chances",
        categories.test_slope_and_curvature_are_derivatives_of_the_likelihood,
    ),
    (
        "structure.categorical_likelihood",
        "        block += given[j] * error[i]",
        "        block += given[i] * error[j]",
        categories.test_slope_and_curvature_are_derivatives_of_the_likelihood,
    ),
    (
        "structure.categorical_fit",
        "    logits = -np.asarray(couplings @ chosen).T - fields",
        "    logits = -np.asarray(couplings @ chosen).T",
        categories.test_rows_are_the_conditionals_of_the_energy,
    ),
    # densities
    (
        "structure.density_integrable",
        "    used = np.abs(weights[tight])[:, None]",
        "    used = 0.0 * weights[tight][:, None]",
        quartic,
    ),
    ("structure.density_integrable", "    form = np.diag(2.0 * rest)", "    form = np.diag(4.0 * rest)", quadratic),
    (
        "structure.density_continuous",
        "        value = 0.5 * len(half) * np.log(2.0 * np.pi) - np.log(np.diag(factor)).sum() + 0.5 * half @ half",
        "        value = 0.5 * len(half) * np.log(2.0 * np.pi) + np.log(np.diag(factor)).sum() + 0.5 * half @ half",
        density.test_a_normal_density_of_two_variables_integrates_to_one_smoothed_or_not,
    ),
    (
        "structure.density_continuous",
        "            momentum = momentum - (step if leap < _LEAPS - 1 else 0.5 * step) * self._gradient(y, share)",
        "            momentum = momentum - step * self._gradient(y, share)",
        density.test_draws_of_a_double_well_have_its_moments,
    ),
    (
        "structure.density_continuous",
        "        accepted = self._generator.uniform(size=len(y)) < chance",
        "        accepted = self._generator.uniform(size=len(y)) < 2.0",
        density.test_draws_of_a_double_well_have_its_moments,
    ),
    (
        "structure.density_annealing",
        "        weights += (share - before) * annealing.gain(states)",
        "        weights += share / steps * annealing.gain(states)",
        annealed_spins,
    ),
    (
        "structure.density_finite",
        "            x[:, mine] = chosen[:, None] == np.arange(levels)",
        "            x[:, mine] = x[:, mine]",
        chains,
    ),
    (
        "structure.density_finite",
        "            found += x[:, group].prod(axis=2) @ strength",
        "            found += x[:, group[:, :2]].prod(axis=2) @ strength",
        annealed_spins,
    ),
]


@pytest.mark.parametrize(
    ("module", "sound", "broken", "check"), BUGS, ids=[f"{n}-{bug[0]}" for n, bug in enumerate(BUGS)]
)
def test_a_planted_bug_is_caught(module, sound, broken, check):
    with planted(module, sound, broken), pytest.raises(Exception):  # noqa: B017, PT011
        check()

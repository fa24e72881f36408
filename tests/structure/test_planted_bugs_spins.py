"""One-line bugs planted in the fits of spins; a named check must fail for each, and pass without it.

Compiled loops are not replaced in place: their mutants would keep the compiled code, so that the checks of their results
against the definition stand in `test_pseudo_likelihood`.
"""

from collections.abc import Callable

import pytest

from planting import planted
from rgflow.structure.spin_losses import PSEUDO_LIKELIHOOD, SCREENING
from structure import test_pseudo_likelihood as likelihood
from structure import test_spin_fits as fits


def derivatives(loss=PSEUDO_LIKELIHOOD) -> Callable[[], None]:
    return lambda: likelihood.test_gradient_and_hessian_are_the_differences_of_the_objective(
        loss, likelihood.drawn_terms(6)
    )


def site_errors() -> None:
    fits.test_z_scores_of_independent_samples_have_unit_variance(2000, "sites")


TABLE = likelihood.test_a_table_of_neighbourhoods_gives_the_fit_of_the_loops
DENSE = likelihood.test_matrix_products_agree_with_the_loops_in_single_precision
SEPARABLE = likelihood.test_a_penalty_keeps_separable_data_finite_and_without_one_it_is_said
EXACT_COUPLINGS = likelihood.test_all_states_with_their_probabilities_give_the_true_couplings
CORRELATED = fits.test_z_scores_of_a_correlated_chain_have_unit_variance_and_shuffling_it_loses_that
INFLATION = fits.test_inflation_of_an_autoregression_is_its_exact_value
LEVERAGE = fits.test_leverage_keeps_errors_honest_with_few_samples_for_each_parameter
CONSTANT = fits.test_a_spin_that_never_changes_is_said_and_its_couplings_are_unknown
OPINION = fits.test_the_second_opinion_agrees_on_the_right_terms_and_disagrees_on_wrong_ones
BY_HAND = fits.test_benjamini_and_hochberg_as_by_hand
KEPT = fits.test_kept_terms_keep_ties_and_order
CANONICAL = fits.test_the_hamiltonian_gives_the_conditionals_of_the_fit_and_its_errors_in_its_own_order
SELECTED = fits.test_a_selected_fit_holds_the_kept_terms_alone
COUNTS = fits.test_supports_have_as_many_parameters_as_the_count_ladder_says
LARGE = fits.test_translation_fits_a_large_lattice_from_few_counts
MEMORY = fits.test_memory_is_forecast_before_work_and_refused_above_the_limit


BUGS = [
    ("spin_losses", "return -2 * torch", "return -1 * torch", derivatives()),
    ("spin_losses", "return 4 * chance", "return 2 * chance", derivatives()),
    ("spin_losses", "return -_exponential(margin)", "return _exponential(margin)", derivatives(SCREENING)),
    ("spin_losses", "softplus(torch.from_numpy(-2 * margin)", "softplus(torch.from_numpy(-margin)", derivatives()),
    ("spin_minimise", "+ self.regularisation * theta", "+ 0 * theta", derivatives()),
    ("spin_minimise", "0.5 * self.regularisation", "self.regularisation", derivatives()),
    ("spin_minimise", "+ self.regularisation * np.eye", "+ 0 * np.eye", derivatives()),
    ("pseudo_likelihood", "return _PENALTY / samples", "return 0.0 * samples", SEPARABLE),
    ("spin_designs", "% sizes - reach", "% sizes", TABLE),
    ("spin_designs", "np.cumprod(sizes[:-1])", "np.cumsum(sizes[:-1])", TABLE),
    ("spin_designs", "(products + products.T)[self._upper]", "(2 * products)[self._upper]", DENSE),
    ("spin_designs", "fields *= self._spins", "fields *= 1", DENSE),
    ("spin_designs", "low * (2 * sites - low - 1) // 2", "low * (2 * sites - low + 1) // 2", DENSE),
    ("spin_samples", "repeats / count", "np.full(len(fresh), 1.0 / len(fresh))", EXACT_COUPLINGS),
    ("series_errors", "2 * (int(stops[0]) if", "0 * (int(stops[0]) if", INFLATION),
    ("spin_influence", "slopes /= 1.0 - _leverages", "slopes *= 1.0 + 0 * _leverages", LEVERAGE),
    ("fit_errors", "/ samples / (samples - 1) * found.factors", "/ samples / samples * 2 * found.factors", site_errors),
    ("fit_errors", "scale = np.sqrt(found.factors)", "scale = np.ones(len(found.factors))", CORRELATED),
    ("fit_errors", "weighted / precision", "weighted", site_errors),
    ("fit_errors", "constant[group].any(1)", "constant[group].all(1)", CONSTANT),
    ("fit_errors", "0.5 / len(spins))", "-1.0 / len(spins))", CONSTANT),
    ("series_errors", "factors[rows] = 2.0 *", "factors[rows] = 1.0 *", INFLATION),
    ("interaction_screening", "spread = difference_errors", "spread = 9 * difference_errors", OPINION),
    ("selection", "torch.arange(1, len(ordered) + 1", "torch.arange(2, len(ordered) + 2", BY_HAND),
    ("selection", "ordered[below[-1, 0]]", "ordered[below[0, 0]]", BY_HAND),
    ("selection", "number[terms.tie[chosen[terms.tie]]]", "terms.tie[chosen[terms.tie]]", KEPT),
    ("spin_fit", "couplings = -record", "couplings = +record", CANONICAL),
    ("spin_fit", "[terms.tie][order]", "[terms.tie]", CANONICAL),
    ("spin_fit", "rest.masked_scatter(selected, values)", "rest", SELECTED),
    ("supports", "placed - placed[:, :1]", "placed", COUNTS),
    ("supports", "group.shape[1] % 2 == 0", "group.shape[1] % 2 == 1", LARGE),
    ("supports", "set.intersection(*(ahead", "set.union(*(ahead", COUNTS),
    ("fit_memory", "if forecast > bound:", "if forecast < 0:", MEMORY),
]


@pytest.mark.parametrize(("module", "sound", "broken", "check"), BUGS, ids=[f"{bug[0]}: {bug[2][:40]}" for bug in BUGS])
def test_a_planted_bug_is_caught(module: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    with planted(f"structure.{module}", sound, broken), pytest.raises((Exception, pytest.fail.Exception)):
        check()


@pytest.mark.parametrize("check", list(dict.fromkeys(bug[3] for bug in BUGS if bug[3].__name__ == "<lambda>")))
def test_the_checks_pass_without_a_bug(check: Callable[[], None]) -> None:
    check()

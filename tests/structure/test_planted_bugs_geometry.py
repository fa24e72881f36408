"""One-line bugs planted in couplings, range, geometry, locality, order, scales and card; a named check must fail for each."""

from collections.abc import Callable

import pytest

from planting import planted
from structure import test_card as cards
from structure import test_coupling_range as ranges
from structure import test_graph_geometry as geometry
from structure import test_interaction_order as orders
from structure import test_locality_and_scales as scales
from structure import test_pair_couplings as pairs

BUGS = [
    (
        "structure.pair_couplings",
        "shrink = max(freedom - 1, 1) / samples if freedom > 1 else 1.0",
        "shrink = 1.0",
        pairs.test_couplings_of_real_variables_are_minus_the_unbiased_inverse_of_their_correlations,
    ),
    (
        "structure.pair_couplings",
        "    return max((ratio * freedom + _PRIOR_FREEDOM) / (freedom + _PRIOR_FREEDOM), 1.0)",
        "    return 1.0",
        pairs.test_a_pair_that_repeats_every_sample_four_times_has_twice_the_errors,
    ),
    (
        "structure.pair_couplings",
        "np.sqrt(np.maximum(robust, gaussian) * inflation",
        "np.sqrt(gaussian * inflation",
        pairs.test_heavy_tails_widen_the_errors_beyond_the_gaussian_ones,
    ),
    (
        "structure.pair_couplings",
        "matrix, errors = theta / 4.0, np.sqrt(noise / 4.0 * inflation)",
        "matrix, errors = theta / 2.0, np.sqrt(noise / 4.0 * inflation)",
        pairs.test_two_spins_have_the_coupling_of_their_contingency_table,
    ),
    (
        "structure.pair_logistic",
        "moved -= chances * np.repeat(shared, np.diff(self.starts), axis=1)",
        "moved += chances * np.repeat(shared, np.diff(self.starts), axis=1)",
        pairs.test_the_conditional_fit_of_categories_has_no_slope_left,
    ),
    (
        "structure.pair_site_errors",
        "noise[others], wald[others] = variances / 4.0, theta[:-1, 0] ** 2 / variances",
        "noise[others], wald[others] = variances / 8.0, theta[:-1, 0] ** 2 / variances",
        pairs.test_couplings_of_the_ising_lattice_are_unbiased_and_their_errors_hold,
    ),
    (
        "structure.graph_growth",
        "found = 2.0 * np.maximum(1.0 - steps / side, 0.0)",
        "found = 2.0 * np.maximum(1.0 - steps / (side + 1), 0.0)",
        lambda: geometry.test_the_growth_law_of_whole_dimensions_is_that_of_the_lattice((8, 8), False),
    ),
    (
        "structure.graph_growth",
        "spheres[r] = ((k * dimension - (r - k)) * line[k] * spheres[r - k]).sum() / r",
        "spheres[r] = ((k * dimension + (r - k)) * line[k] * spheres[r - k]).sum() / r",
        lambda: geometry.test_the_growth_law_of_whole_dimensions_is_that_of_the_lattice((8, 8), True),
    ),
    (
        "structure.graph_geometry",
        "    if fit.misfit > _MISFIT_AT_MOST or fit.step < _STEP_AT_LEAST:",
        "    if False:",
        geometry.test_random_and_complete_graphs_answer_no_dimension,
    ),
    (
        "structure.graph_geometry",
        "    if couplings.detectable < _DETECTABLE:",
        "    if True:",
        geometry.test_noise_has_no_geometry_where_couplings_would_have_been_seen,
    ),
    (
        "structure.coupling_range",
        "return float(chi2.sf(float((scores**2).sum()), len(scores))) < _LEVEL / shells",
        "return float(chi2.sf(float((scores**2).sum()), len(scores))) < 0.5",
        ranges.test_noise_has_no_reach_but_for_the_stated_rate_of_false_alarms,
    ),
    (
        "structure.coupling_range",
        "return Estimate(1.0 / float(rate),",
        "return Estimate(float(rate),",
        ranges.test_the_decay_length_of_an_exponential_is_found_within_its_error,
    ),
    (
        "structure.locality_index",
        "near = (np.abs(lattice.separation(i, j)) <= 1).all(-1)",
        "near = (np.abs(lattice.separation(i, j)) <= 1).any(-1)",
        scales.test_the_spatial_index_of_a_planted_matrix_is_the_share_in_the_nearest_cells,
    ),
    (
        "structure.locality_index",
        "    if total <= floor:",
        "    if total <= -floor:",
        scales.test_noise_is_drawn_to_no_locality,
    ),
    (
        "structure.interaction_gains",
        "chosen = sets[np.abs(scores) > _screen(len(sets))]",
        "chosen = sets[np.abs(scores) < _screen(len(sets))]",
        orders.test_products_of_three_spins_have_order_three,
    ),
    (
        "structure.interaction_order",
        "        above = gain.z > _GAIN_LEVEL",
        "        above = gain.z > -1e9",
        lambda: orders.test_noise_has_order_one("continuous"),
    ),
    (
        "structure.scales",
        "used = step.values if step.lattice is not None else step.values[1::2]",
        "used = step.values if step.lattice is not None else step.values[::2]",
        scales.test_pairs_matched_in_noise_show_no_coupling_though_they_were_the_strongest,
    ),
    (
        "structure.scales",
        "(m[2] - m[1] ** 2).mean(-1)) / (step.size * single)",
        "(m[2] - m[1] ** 2).mean(-1)) / single",
        scales.test_white_noise_has_the_variance_and_kurtosis_of_white_noise_on_every_scale,
    ),
    (
        "structure.card_input",
        "    return np.where(values == high, 1.0, -1.0)",
        "    return np.where(values == high, -1.0, 1.0)",
        lambda: cards.test_the_kind_follows_from_the_values([0.0, 1.0], "spin"),
    ),
    (
        "structure.implications",
        "    if not _coupled(parts):",
        "    if False:",
        cards.test_noise_suggests_nothing,
    ),
]


@pytest.mark.parametrize(("module", "sound", "broken", "check"), BUGS, ids=[f"{b[0]}-{k}" for k, b in enumerate(BUGS)])
def test_a_planted_bug_is_caught(module: str, sound: str, broken: str, check: Callable[[], None]):
    with planted(module, sound, broken), pytest.raises((AssertionError, ValueError, ArithmeticError, IndexError)):
        check()

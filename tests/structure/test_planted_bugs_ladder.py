"""One-line bugs planted in the ladder; a named check must fail for each, and pass without it."""

from collections.abc import Callable

import pytest

from planting import planted
from structure import test_ladder as climbed
from structure import test_ladder_kinds as kinds
from structure import test_ladder_rule as rule


def between() -> None:
    rule.test_between_one_and_a_half_and_two_standard_errors_the_verdict_is_open(1.55, True)


def local_scores() -> None:
    climbed.test_held_out_scores_equal_the_reference("B.ladder3x4.M1000.spatial_local.test")


PASSED_OVER = rule.test_a_rung_above_two_standard_errors_is_passed_over
RIVALS = rule.test_two_rungs_that_do_not_contain_each_other_leave_the_question_open
CORRELATED = rule.test_errors_of_correlated_differences_count_effective_samples
SLOW = rule.test_a_longer_autocorrelation_time_asks_for_more_samples
NEEDED = rule.test_the_needed_samples_follow_the_formula
RESOLVED = rule.test_the_samples_that_resolve_a_deficit_are_those_at_which_it_is_two_standard_errors
CONTAINED = rule.test_one_rung_contains_another_with_fewer_terms_and_more_symmetry
BLOCKS = rule.test_folds_are_blocks_that_make_up_all_samples
SIGNS = rule.test_a_global_sign_drawn_afresh_does_not_hide_the_autocorrelation
NOISE = climbed.test_noise_is_independent_and_too_little_of_it_is_undetermined
CHAIN = climbed.test_a_slow_markov_chain_does_not_look_like_a_richer_law
ORBITS = climbed.test_sharing_by_translation_is_the_orbit_under_translations
OPEN = climbed.test_an_open_lattice_has_fewer_copies_and_as_many_parameters
ALIKE = climbed.test_a_polynomial_of_the_magnetisation_is_the_tie_under_all_permutations
TABLE = climbed.test_the_table_counts_states
PAIRS = kinds.test_score_matching_of_all_pairs_is_the_inverse_covariance
GAUSSIAN = kinds.test_the_score_of_a_gaussian_is_what_its_precision_says
TWO = kinds.test_categories_with_two_levels_are_spins
TERMS = kinds.test_powers_and_pairs_make_the_terms_of_phi_4
UNITS = kinds.test_units_and_origin_of_real_variables_do_not_matter
WELLS = kinds.test_drawn_double_wells_obey_the_virial_theorem
POWER = kinds.test_the_need_is_the_fewest_samples_from_which_on_most_answers_are_right
POTTS = kinds.test_rungs_of_categories_have_the_parameters_that_one_counts_by_hand
SPECTRUM = kinds.test_a_spectrum_is_the_polynomial_with_all_displacements

BUGS = [
    ("ladder_rule", "if _z(deficit) < ACCEPTED", "if _z(deficit) < 9.0 * ACCEPTED", PASSED_OVER),
    ("ladder_rule", "if _z(deficit) < UNCLEAR:", "if _z(deficit) < 9.0 * UNCLEAR:", between),
    ("ladder_rule", "if len(simplest) < 2:", "if len(simplest) < 9:", RIVALS),
    ("ladder_rule", "math.sqrt(effective_samples(torch.as_tensor(difference)))", "math.sqrt(len(difference))", CORRELATED),
    ("ladder_rule", "if needed * whole.time <= whole.samples:", "if needed <= whole.samples:", SLOW),
    ("ladder_rule", "ACCEPTED**2 + 2.0 * parameters", "ACCEPTED**2 + parameters", NEEDED),
    ("ladder_rule", "gap = deficit.value + overfit / whole.samples", "gap = deficit.value / 2.0", RESOLVED),
    ("rungs", "larger.symmetries <= smaller.symmetries", "larger.symmetries >= smaller.symmetries", CONTAINED),
    ("rungs", "smaller.reach <= larger.reach", "True", CONTAINED),
    ("ladder_folds", "length = min(math.ceil(BLOCK * time), ", "length = min(1, ", CHAIN),
    ("ladder_folds", "math.ceil(BLOCK * time)", "math.ceil(time)", BLOCKS),
    ("ladder_folds", "np.concatenate([series, series**2], axis=1)", "series", SIGNS),
    ("ladder_scores", "seen[fold] = False", "seen[fold] = True", NOISE),
    ("rungs_lattice", "& (targets < sides)", "& (targets < sides - 1)", OPEN),
    ("rungs_lattice", "return min(images)", "return images[0]", ORBITS),
    ("ladder_spin_models", "down, up = -np.logaddexp(0.0, -2.0 *", "down, up = -np.logaddexp(0.0, -1.0 *", ALIKE),
    ("ladder_spin_models", "max(plus - (spin == 1), 0)", "max(plus, 0)", ALIKE),
    ("ladder_spin_models", "regularisation=PENALTY / len(samples)", "regularisation=PENALTY", local_scores),
    ("ladder_spin_models", "codes ^ (1 << site)", "codes ^ site", TABLE),
    ("ladder_variables", "scale.apply(values, seed=seed)", "values", UNITS),
    ("ladder_real_models", "(len(part) / len(samples))", "(len(part) / len(samples) / 2)", PAIRS),
    ("ladder_real_models", "- 0.5 * (slopes**2).sum(1)", "- (slopes**2).sum(1)", GAUSSIAN),
    ("ladder_real_models", "1, axis=axis)", "2, axis=axis)", SPECTRUM),
    ("ladder_category_models", "return matrix + matrix.T", "return matrix", TWO),
    ("rungs_real", "own.append(first + pairs.tie)", "own.append(pairs.tie)", TERMS),
    ("rungs_categories", 'fields=coupling != "Potts, no fields"', "fields=True", POTTS),
    ("planted_reals", "(1.0 - strength) * grid**2", "grid**2", WELLS),
    ("power_curves", "if point.correct.value < share:", "if point.correct.value > share:", POWER),
]  # fmt: skip


@pytest.mark.parametrize(("module", "sound", "broken", "check"), BUGS, ids=[f"{bug[0]}: {bug[2][:40]}" for bug in BUGS])
def test_a_planted_bug_is_caught(module: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    with planted(f"structure.{module}", sound, broken), pytest.raises(AssertionError):
        check()

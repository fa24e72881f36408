"""One-line bugs planted in symmetry, orbits, nulls, compression, dimension and basis; a named check must fail for each."""

from collections.abc import Callable

import pytest

from tests.planting import planted
from tests.structure import test_basis_preference as basis
from tests.structure import test_compression as compression
from tests.structure import test_null_data as nulls
from tests.structure import test_orbits as orbits
from tests.structure import test_symmetry_calibration as calibration
from tests.structure import test_symmetry_testing as symmetry


def fresh_alarms() -> None:
    calibration.nulls.cache_clear()
    try:
        calibration.test_no_symmetry_that_holds_is_rejected_more_often_than_the_level_says("heavy tails")
    finally:
        calibration.nulls.cache_clear()


def ring_states() -> None:
    orbits.test_a_spin_flip_halves_states_as_enumeration_finds((5,))


def phases() -> None:
    nulls.test_phases_are_lost_and_amplitudes_kept_exactly((5, 6))


SPLIT = compression.test_noise_is_called_compressible_no_more_often_than_the_level_says
SKEWED = symmetry.test_skewed_data_have_no_flip_about_any_centre_and_shifted_symmetric_data_have
USERS = symmetry.test_transformations_of_the_user_are_tested_under_their_names
CHANNELS = symmetry.test_three_channels_move_together
CLASSES = symmetry.test_exchangeable_blocks_are_found_in_mixed_columns
HAAR = nulls.test_a_rotation_is_orthogonal_and_haar
FLIPPED = orbits.test_a_rotation_that_flips_one_spin_is_counted_as_enumeration_finds
SPECTRUM = nulls.test_the_ensemble_keeps_the_mean_spectrum_and_becomes_gaussian
ORDER = compression.test_the_code_without_a_grid_does_not_depend_on_the_order_of_columns
LOG_DETERMINANT = compression.test_the_saving_of_a_gaussian_is_its_log_determinant
COINS = basis.test_non_gaussianity_is_zero_for_gaussians_and_known_for_coins
RESTORED = basis.test_a_rotation_destroys_the_sparsity_and_the_search_restores_it
SPARSITY = basis.test_sparsity_has_its_known_values
INTERLEAVED = symmetry.test_interleaved_chains_are_found_by_their_lag
FEW = symmetry.test_few_samples_are_undetermined_and_say_what_they_could_see

BUGS = [
    ("orbits", "values**even * (values % 2) ** odd", "values ** (even + odd)", ring_states),
    ("orbits", "elements[:, sites:] * generator[sites + where]", "elements[:, sites:] * generator[sites:]", FLIPPED),
    ("orbits", "return total // len(group)", "return total // (len(group) + 1)", ring_states),
    ("null_data", "np.where(np.diag(triangular) < 0, -1.0, 1.0)", "1.0", HAAR),
    ("null_data", "fresh[zero] = spectrum[zero]", "fresh[zero] = 0 * spectrum[zero]", phases),
    ("null_data", ".mean(0) / math.prod(sides))", ".mean(0))", SPECTRUM),
    ("symmetry_testing", "runs.mean(2, keepdims=True)", "runs.mean((1, 2), keepdims=True)", fresh_alarms),
    ("symmetry_testing", "if outcome.p_value < level:", "if outcome.p_value < 1e-9:", USERS),
    ("symmetry_testing", "outcome.detectable <= _COARSE", "outcome.detectable >= 0", FEW),
    ("symmetry_features", "np.array([0, lattice.sites])", "np.array([0, 0])", CHANNELS),
    ("symmetry_candidates", "return CandidatePair(first, self._image(second)", "return CandidatePair(first, (second)", USERS),
    ("symmetry_features", "(square - 3) * values", "(square - square) * values", SKEWED),
    ("symmetry_chains", "best.argmax()) + 1", "best.argmax())", INTERLEAVED),
    ("symmetry_classes", "(sites + 1), false_alarm)", "(sites + 1), 0.9999999)", CLASSES),
    ("symmetry_randomisation", "signs[0] = 1.0", "signs[:] = 1.0", USERS),
    ("compression", "all(below)", "any(tail < 1 for tail in tails)", SPLIT),
    ("compression", "(2 * math.log(2) * variables)", "(math.log(2) * variables)", LOG_DETERMINANT),
    ("compression", "float(np.mean(entropies)) - gaussian_saving", "float(entropies[0]) - gaussian_saving", ORDER),
    ("basis_preference", "- error).mean())", ").mean())", COINS),
    ("basis_preference", "np.sqrt(kept)) @ axes.T", "np.sqrt(kept))", RESTORED),
    ("basis_preference", "/ size) / (root - 1)", "/ size) / root", SPARSITY),
]  # fmt: skip


@pytest.mark.parametrize(("room", "sound", "broken", "check"), BUGS, ids=[f"{bug[0]}: {bug[2]}" for bug in BUGS])
def test_a_planted_bug_is_caught(room: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    with planted(f"structure.{room}", sound, broken), pytest.raises(AssertionError):
        check()

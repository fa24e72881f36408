"""One-line bugs planted in samplers and in the judgement of chains; a named check must fail for each, and pass without."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest

from lattice import sampler_checks, test_sample_verdicts, test_sampling_traps, test_spin_samplers
from lattice.compiled_bugs import planted_in_loop
from numerics import test_chain_statistics
from tests.planting import planted
from tests.tolerances import z_limit


@lru_cache
def exact(name: str, method: str) -> Callable[[], None]:
    def check() -> None:
        scores = sampler_checks.exact_scores(name, method, sweeps=200)
        assert np.abs(scores).max() < z_limit(len(scores))

    return check


def checkerboard() -> None:
    test_spin_samplers.test_the_checkerboard_in_torch_matches_the_sum_over_all_states()


def tempering() -> None:
    test_spin_samplers.test_tempering_matches_the_sum_over_all_states_at_every_temperature_and_its_exchange_rate(
        sampler_checks.glass
    )


def kaufman() -> None:
    test_spin_samplers.test_the_energy_of_a_larger_lattice_is_kaufmans("swendsen-wang")


def autoregression() -> None:
    test_chain_statistics.test_the_autocorrelation_time_of_an_autoregression_is_found(0.9, 4)


def honest() -> None:
    test_chain_statistics.test_errors_of_short_correlated_chains_are_honest_over_many_repetitions(0.8, 4)


WORDS = test_sampling_traps.test_random_words_are_those_of_the_published_generator
DISTINCT = test_sampling_traps.test_bit_coded_replicas_stay_distinct_and_uncorrelated
WELLS = test_sample_verdicts.test_chains_stuck_in_one_of_two_wells_are_flagged_and_cluster_moves_cross
GLASS = test_spin_samplers.test_the_disorder_of_a_glass_depends_on_its_own_seed_alone_and_scales_with_temperature
VARIANCE = test_spin_samplers.test_couplings_of_a_complete_p_spin_model_have_their_variance
R_HAT = test_chain_statistics.test_r_hat_equals_its_formula
START = test_sample_verdicts.test_a_start_that_is_not_forgotten_is_said_and_the_discard_asked_for_suffices
SLOWEST = test_sample_verdicts.test_the_slowest_observable_decides
SHAPES = test_sample_verdicts.test_shapes_records_and_metadata_are_those_asked_for
PICKED = test_spin_samplers.test_the_best_valid_method_is_picked

BUGS = [
    (
        "lattice.spin_methods",
        "-np.expm1(-2.0 * np.abs(couplings))",
        "-np.expm1(-np.abs(couplings))",
        exact("torus", "swendsen-wang"),
    ),
    (
        "lattice.spin_methods",
        "np.where(couplings < 0.0, -1, 1)",
        "np.where(couplings < 0.0, 1, 1)",
        exact("unfrustrated graph", "wolff"),
    ),
    (
        "lattice.spin_methods",
        "model.coupling * total + model.field",
        "model.coupling * total",
        exact("torus in a field", "heat-bath"),
    ),
    ("lattice.spin_methods", "if system.has_field:", "if False:", PICKED),
    ("lattice.spin_methods", "if system.gauge is None:\n        return (\n", "if False:\n        return (\n", PICKED),
    (
        "lattice.bit_coding",
        "2.0 * counts[None, :] - counts[:, None]",
        "2.0 * counts[None, :] - counts[:, None] + 1",
        exact("torus", "bit-coded"),
    ),
    (
        "lattice.bit_coding",
        "table.couplings < 0.0, np.uint64",
        "table.couplings < -9.0, np.uint64",
        exact("couplings of both signs", "bit-coded"),
    ),
    ("lattice.checkerboard", "for half in (even, ~even)", "for half in (even, even)", checkerboard),
    ("lattice.checkerboard", "add_(2.0 * field)", "add_(0.0 * field)", checkerboard),
    (
        "lattice.spin_systems",
        "order = np.lexsort((ends[:, 1], ends[:, 0]))",
        "order = np.lexsort((ends[:, 0], ends[:, 1]))",
        exact("random graph", "heat-bath"),
    ),
    (
        "lattice.spin_systems",
        "self.couplings[term[order]]",
        "self.couplings[term]",
        exact("terms of many orders", "heat-bath"),
    ),
    (
        "lattice.spin_models",
        "coupling = 1.0 / _positive(self.temperature",
        "coupling = 1.01 / _positive(self.temperature",
        kaufman,
    ),
    (
        "lattice.spin_models",
        "couplings.append(-model.polynomial",
        "couplings.append(model.polynomial",
        exact("terms of many orders", "heat-bath"),
    ),
    ("lattice.spin_models", "drawn * deviation / model.temperature", "drawn * deviation * model.temperature", GLASS),
    ("lattice.spin_models", "(2.0 * sites ** (model.order - 1))", "(sites ** (model.order - 1))", VARIANCE),
    ("lattice.chain_running", "spins[1::3], spins[2::3] = 1, -1", "spins[:] = 1", WELLS),
    (
        "lattice.samples",
        "min(measured, key=lambda one: one.statistics.effective_samples)\n    times",
        "measured[0]\n    times",
        SLOWEST,
    ),
    ("lattice.samples", "plan.every / -math.log(correlation)", "plan.every / -math.log(correlation) * 0", START),
    ("lattice.samples", "self.states.transpose(0, 1).flatten", "self.states.flatten", SHAPES),
    ("numerics.chain_statistics", "return (records - 1) / records *", "return (records + 1) / records *", R_HAT),
    ("numerics.chain_statistics", "math.sqrt(variance / effective)", "math.sqrt(variance / values.size)", honest),
    ("numerics.chain_statistics", "time = 2.0 * float(", "time = 1.0 * float(", autoregression),
]

LOOP_BUGS = [
    ("local_loops", "(1.0 + math.exp(-2.0 * h))", "(1.0 + math.exp(-h))", exact("random graph", "heat-bath")),
    ("local_loops", "if cost > 0.0:", "if cost > 0.5:", exact("random graph", "metropolis")),
    ("local_loops", "left = spins[here + width - 1]", "left = spins[here]", exact("torus", "heat-bath")),
    ("cluster_loops", "parent[max(i, j)] = min(i, j)", "parent[i] = min(i, j)", exact("torus", "swendsen-wang")),
    ("cluster_loops", "if spins[j] == old * signs[k]:", "if spins[j] == old:", exact("unfrustrated graph", "wolff")),
    ("bit_loops", "fours ^= twos & carry", "fours ^= twos ^ carry", exact("torus", "bit-coded")),
    ("bit_loops", "undecided &= ~(word ^ wanted)", "undecided &= word ^ wanted", exact("torus", "bit-coded")),
    (
        "bit_loops",
        "word, a, b = advance(a, b)",
        "word = _FULL * (advance(a, b)[0] >> np.uint64(63)); a, b = advance(a, b)[1:]",
        DISTINCT,
    ),
    (
        "term_loops",
        "products[terms[k]] = -products[terms[k]]",
        "products[terms[k]] = -1",
        exact("three-spin ring", "heat-bath"),
    ),
    ("tempering_loops", "gain = _exchange_gain(x, y,", "gain = _exchange_gain(y, x,", tempering),
    ("local_loops", "if last - k >= 1:", "if last - k >= 2:", exact("couplings of both signs", "heat-bath")),
]


@pytest.mark.parametrize(("room", "sound", "broken", "check"), BUGS, ids=[f"{bug[0]}: {bug[2]}" for bug in BUGS])
def test_a_planted_bug_is_caught(room, sound, broken, check) -> None:
    with planted(room, sound, broken), pytest.raises(AssertionError):
        check()


@pytest.mark.slow  # each compiles its loops again
@pytest.mark.parametrize(
    ("room", "sound", "broken", "check"), LOOP_BUGS, ids=[f"{bug[0]}: {bug[2]}" for bug in LOOP_BUGS]
)
def test_a_bug_planted_in_a_compiled_loop_is_caught(room, sound, broken, check) -> None:
    with planted_in_loop(room, sound, broken), pytest.raises(AssertionError):
        check()


@pytest.mark.slow
def test_the_checks_of_planted_bugs_pass_on_sound_code() -> None:
    for check in {bug[3] for bug in BUGS + LOOP_BUGS}:
        check()

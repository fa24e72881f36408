"""One-line bugs planted in the report of the structure card; a named check must fail for each, and pass without it."""

from collections.abc import Callable

import pytest

from report import test_data_report as report
from tests.planting import planted


def with_errors() -> None:
    report.test_a_number_is_written_as_far_as_its_error_reaches(0.400612, 0.00042, "0.40061 ± 0.00042")


def narrow() -> None:
    report.test_no_line_of_the_text_is_wider_than_asked("ising", 60)


BUGS = [
    ("report.data_tables", "found.strengths[k].value > found.noise[k]", "found.strengths[k].value > 0",
     report.test_only_distances_above_the_noise_carry_a_star),
    ("report.data_tables", '">" if rung.name == ladder.chosen else " "', '">" if rung.name != ladder.chosen else " "',
     report.test_the_chosen_rung_is_named_in_the_head_and_marked_in_the_table),
    ("report.data_tables", "abs(k - middle) <= 4", "abs(k - middle) <= 3",
     report.test_a_long_ladder_keeps_its_ends_and_what_surrounds_the_chosen_rung),
    ("report.data_text", "[{error_of(null.low)}, {error_of(null.high)}]", "[{error_of(null.high)}, {error_of(null.low)}]",
     report.test_values_stand_beside_their_nulls),
    ("report.plain_table", "if not 0 < column.level <= level]", "if column.level <= level]", narrow),
    ("report.digits", "1 - math.floor(math.log10(error))) if 0.0 < error", "0 - math.floor(math.log10(error))) if 0.0 < error",
     with_errors),
    ("report.data_json", "return number if number < 2**53 else None", "return number",
     report.test_numbers_that_no_reader_holds_and_matrices_that_no_text_should_hold_are_null),
    ("report.data_matrix", "np.fill_diagonal(matrix, np.nan)", "np.fill_diagonal(matrix, 0.0)",
     report.test_the_diagonal_of_a_matrix_is_empty),
    ("report.data_matrix", "largest = np.abs(np.nan_to_num(blocks)).argmax(-1)", "largest = np.nan_to_num(blocks).argmax(-1)",
     report.test_a_coarse_matrix_keeps_the_largest_coupling_of_every_block_with_its_sign),
    ("report.data_matrix", "step -= sides * np.round(step / sides)", "step -= 0.0 * np.round(step / sides)",
     report.test_the_graph_of_a_torus_is_drawn_with_short_lines_only),
    ("report.data_matrix", "kept = edges[(card.geometry.strengths.numpy() >= 0) == positive]", "kept = edges",
     report.test_a_negative_coupling_is_dotted),
    ("report.data_figures", "squeezed(d.value + 2 * d.error) -", "squeezed(d.value + d.error) -",
     report.test_the_ladder_plot_places_every_fitted_rung_at_its_deficit_and_the_chosen_one_larger),
    ("report.data_figures", "below = [min(2.0 * found", "below = [max(2.0 * found",
     report.test_the_range_plot_ends_its_bars_at_the_foot_of_the_axis),
]  # fmt: skip


@pytest.mark.parametrize(("module", "sound", "broken", "check"), BUGS, ids=[bug[2][:40] for bug in BUGS])
def test_a_planted_bug_is_caught(module: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    check()
    with planted(module, sound, broken), pytest.raises((AssertionError, ValueError)):
        check()

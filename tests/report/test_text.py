"""The text of a check: complete, within its width, safe, and readable without colour."""

import io
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from rgflow.records.estimate import Quantity
from rgflow.report.digits import short
from rgflow.report.layer_rows import Fold, folded, numbered, parameterless
from rgflow.report.text import print_report, to_text
from tests.report import examples

EXAMPLES = examples.every_example()
LEVEL = {"signal": 1.0, "spread": 0.5, "gradient": 0.1}
WIDTHS = (60, 80, 100, 120, 160, 220)


def printed(report, *, encoding="utf-8", width=120, **settings):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_report(report, Console(file=file, width=width, **settings))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(name, width):
    lines = to_text(EXAMPLES[name], width).splitlines()
    assert max(cell_len(line) for line in lines) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_every_forecast_and_measurement_appears_whole_at_every_width(width):
    report = EXAMPLES["collapsing"]
    words = to_text(report, width).split()
    for layer in report.layers:
        for quantity in (layer.signal, layer.spread, layer.gradient) if layer.parametric else ():
            assert short(quantity.predicted.value) in words
            assert short(quantity.measured.value) in words


def test_one_row_stands_for_one_layer_with_parameters():
    text = to_text(EXAMPLES["healthy"])
    rows = [line for line in text.splitlines() if re.match(r"\s*\d+ \d+ ", line)]
    assert [line.split()[:2] for line in rows] == [["1", "0"], ["2", "2"], ["3", "4"], ["4", "6"]]
    assert "3 parameterless operations: see --json" in text


def test_rows_without_parameters_are_shown_where_there_is_nothing_else():
    report = examples.report([examples.pointwise("act", "Tanh")])
    assert parameterless(report) == 0
    assert "act" in to_text(report)


def test_lesser_columns_give_way_to_the_width():
    wide, medium, narrow = (to_text(EXAMPLES["collapsing"], width) for width in (200, 120, 80))
    assert all(header in wide for header in ("kind", "C_W", "±sd", "±se", "control"))
    assert "±sd" in medium
    assert "±se   " not in medium
    assert "C_W  " not in medium
    assert "measured     z verdict" in narrow
    assert narrow.split("signal, spread:")[0].count("±sd") == 1  # the gradient has a table of its own


def test_the_head_names_model_data_networks_and_seed():
    text = to_text(EXAMPLES["collapsing"])
    for part in ("examples/deep_relu.py:build", "50,570 parameters", "control 0.938", "critical C_W 2, C_b 0"):
        assert part in text
    for part in ("digits 1797 x 64, batch 256", "64 networks drawn, seed 0", "256 of 1797 samples"):
        assert part in text


def test_findings_carry_code_message_evidence_and_remedy():
    text = " ".join(to_text(EXAMPLES["collapsing"]).split())
    assert "FINDINGS 2 problems, 1 note inputs-collapse from layer 8 on" in text
    assert "evidence: layer 8, forecast fall per layer 6.02" in text
    assert "remedy: rgflow tune deep_relu.py:build --data digits proof: add --verify" in text
    assert "seeds-differ (note)" in text


def test_the_last_lines_sum_up():
    last = " ".join(to_text(EXAMPLES["healthy"], 200).splitlines()[-2:])
    for part in ("stable SGD learning rate ≤ forecast 0.123 ±3.0%", "seed-to-seed spread of the output", "46 of 46"):
        assert part in last
    assert last.endswith("11.2 s")


def test_a_given_learning_rate_stands_beside_the_limit():
    assert "stable SGD learning rate ≤ measured 0.0200 ±2.0% (given 0.00100)" in to_text(EXAMPLES["transformer"])


def test_an_undetermined_limit_says_why():
    assert "learning rate ≤ undetermined (the model raised)" in to_text(EXAMPLES["errored"])


def test_a_model_that_raised_is_not_called_healthy():
    text = to_text(EXAMPLES["errored"])
    assert "STOPPED  the model raised: RuntimeError: mat1 and mat2" in text
    assert "HEALTHY" not in text


def test_a_healthy_model_is_called_healthy():
    assert "HEALTHY  no problem found" in to_text(EXAMPLES["healthy"])


def test_reasons_are_footnotes_and_each_is_printed_once():
    text = to_text(EXAMPLES["transformer"])
    assert "mean field [1]" in text
    assert text.count("mean field has no gradient here") == 1
    assert "[2] data-dependent Python (an if on a value)" in text


def test_long_healthy_stretches_are_folded_and_findings_never():
    report = EXAMPLES["transformer"]
    rows = numbered(report)
    parts = folded(rows)
    assert sum(part.count if isinstance(part, Fold) else 1 for part in parts) == len(rows) == 61
    assert all(part.verdict == "ok" for part in parts if isinstance(part, Fold))
    kept = [part for part in parts if not isinstance(part, Fold)]
    assert [row for row in rows if row.layer.verdict != "ok"] == [row for row in kept if row.layer.verdict != "ok"]
    assert len(parts) < 30
    assert re.search(r"… \d+ rows like this \(ok\): in --json and --html", to_text(report))
    assert folded(rows[:40]) == rows[:40]


def test_a_single_row_is_never_replaced_by_a_line_that_says_so():
    rows = numbered(examples.report([replace(examples.layer(str(i), **LEVEL)) for i in range(41)]))
    marked = tuple(replace(r, layer=replace(r.layer, verdict="bad" if r.number % 6 == 0 else "ok")) for r in rows)
    assert all(not isinstance(part, Fold) or part.count > 1 for part in folded(marked))


def test_a_row_shows_forecast_deviation_measurement_error_and_z_in_this_order():
    line = next(line for line in to_text(EXAMPLES["healthy"], 200).splitlines() if line.startswith("1 0"))
    signal = ["0.980", "±12%", "0.994", "±2.0%", "0.4"]
    spread = ["0.610", "±16%", "0.595", "±2.1%", "-0.7"]
    gradient = ["0.420", "±18%", "0.423", "±2.0%", "0.2"]
    assert line.split() == ["1", "0", "Linear", "theory", "0.333", *signal, *spread, *gradient, "0.0312", "ok"]


def test_a_long_name_keeps_its_end_behind_an_ellipsis():
    text = to_text(EXAMPLES["transformer"], 120)
    assert re.search(r"^ 1 ….*\.0\.self_attn ", text, flags=re.M)


def test_missing_numbers_are_dashes():
    row = replace(examples.layer("only", **LEVEL), spread=Quantity(reason="nothing to compare"))
    line = next(line for line in to_text(examples.report([row])).splitlines() if "only" in line)
    assert "–" in line
    assert "nan" not in line


def test_names_cannot_write_markup_or_control_the_terminal():
    text = to_text(EXAMPLES["hostile"])
    assert "[bold]x[/bold]" in text
    assert "\x1b" not in text
    assert "\\x1b[31mred\\x07" in text
    assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_console_without_unicode_gets_ascii_within_its_width(name, encoding):
    text = printed(EXAMPLES[name], encoding=encoding)
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 120


def test_colour_is_never_the_only_carrier():
    coloured = printed(EXAMPLES["collapsing"], force_terminal=True, color_system="truecolor")
    plain = printed(EXAMPLES["collapsing"])
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert coloured != plain
    assert [line.rstrip() for line in stripped.splitlines()] == [line.rstrip() for line in plain.splitlines()]
    assert "-4.1!" in plain


def test_the_table_method_is_the_text_at_120_columns():
    assert EXAMPLES["healthy"].table() == to_text(EXAMPLES["healthy"], 120)

"""Text, JSON and page of a structure card say what the card says, at every width and for every gap in it."""

import json
import re
from dataclasses import fields, replace

import jsonschema
import numpy as np
import pytest
import torch

from rgflow.records.estimate import Estimate
from rgflow.report.data_figures import data_plots, ladder_plot, range_plot
from rgflow.report.data_json import DATA_SCHEMA, data_schema
from rgflow.report.data_matrix import graph_plot, matrix_plot
from rgflow.report.data_page import data_html, write_data_page
from rgflow.report.digits import count, probability, with_error
from tests.report.structure_examples import every_structure_example, ising_report, noise_report, wine_report
from tests.report.test_schema import close, strict
from tests.tolerances import ROUNDING

EXAMPLES = every_structure_example()
VALIDATOR = jsonschema.Draft202012Validator(json.loads(data_schema()))
WIDTHS = [60, 80, 120, 200]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_of_the_text_is_wider_than_asked(name, width):
    assert max(map(len, EXAMPLES[name].table(width).splitlines())) <= width


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_text_has_every_verdict_and_every_sentence_and_no_control_character(name):
    report = EXAMPLES[name]
    text = report.table(400)
    for index in report.card.indices:
        assert re.search(rf"{index.verdict}", text)
        assert "".join(c if c.isprintable() else ascii(c)[1:-1] for c in index.sentence) in text
    assert all(c.isprintable() or c == "\n" for c in text)


def test_the_chosen_rung_is_named_in_the_head_and_marked_in_the_table():
    lines = ising_report().table(120).splitlines()
    assert lines[2].startswith("simplest  order 2, reach 1, translation+rotation+flip: 1 parameter;")
    marked = [line for line in lines if line.startswith("> order")]
    assert len(marked) == 1
    assert re.search(r"flip +2 +1 +1 -0.46210", marked[0])  # order, reach, parameters, score


def test_an_undetermined_ladder_says_so_with_the_samples_that_would_decide_and_marks_no_rung():
    text = wine_report().table(120)
    assert "simplest  Undetermined: 178 samples are too few" in text
    assert "About 900 samples would decide" in text.replace("\n          ", " ")
    assert not [line for line in text.splitlines() if line.startswith("> ")]


def test_values_stand_beside_their_nulls():
    line = next(x for x in ising_report().table(200).splitlines() if x.startswith("Spatial locality"))
    assert "0.9820 ± 0.0040 share of squared couplings" in line
    assert "shuffled 0.031 [0.019, 0.043]   rotated basis 0.12 [0.090, 0.15]   p 0.0099" in line


def test_only_distances_above_the_noise_carry_a_star():
    lines = ising_report().table(120).splitlines()
    start = lines.index("couplings against distance, * above the noise")
    table = lines[start + 2 : start + 10]
    assert ["*" in line for line in table] == [True] + [False] * 7


def test_parts_that_do_not_apply_are_left_out():
    text = wine_report().table(120)
    assert "couplings against distance" not in text
    assert "scale by scale" not in text
    assert "suggestions" not in noise_report().table(120)


def test_a_long_ladder_keeps_its_ends_and_what_surrounds_the_chosen_rung():
    card = ising_report().card
    rungs = tuple(replace(card.ladder.rungs[0], name=f"rung {k:02}") for k in range(40))
    text = replace(
        ising_report(), card=replace(card, ladder=replace(card.ladder, rungs=rungs, chosen="rung 20"))
    ).table(120)
    shown = [int(n) for n in re.findall(r"^[> ] rung (\d\d)", text, re.MULTILINE)]
    assert shown == [0, 1, 2, *range(16, 25), 37, 38, 39]
    assert "25 more rungs" in text


def test_counts_of_parameters_are_thinned_to_one_a_power_of_ten():
    text = EXAMPLES["unclimbed"].table(120)
    assert "parameters  any law at all: 2^64 - 1; table: 2^64 - 1; a: 43,744; c: 9\n" in text
    assert "ladder: no model was fitted" in text


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_json_keeps_its_schema_and_every_key_is_described(name):
    document = strict(EXAMPLES[name].to_json())
    VALIDATOR.validate(document)
    closed = json.loads(data_schema())
    close(closed)
    jsonschema.Draft202012Validator(closed).validate(document)
    assert document["schema"] == DATA_SCHEMA
    assert {f.name for f in fields(EXAMPLES[name].card)} <= set(document)


@pytest.mark.parametrize("damage", ["drop a key", "rename the schema", "a number as text", "a wrong verdict"])
def test_the_schema_refuses_a_damaged_document(damage):
    document = strict(ising_report().to_json())
    match damage:
        case "drop a key":
            del document["geometry"]["edges"]
        case "rename the schema":
            document["schema"] = "rgflow.data/2"
        case "a number as text":
            document["spectrum"][0] = "nan"
        case _:
            document["order"]["verdict"] = "perhaps"
    assert not VALIDATOR.is_valid(document)


def test_the_json_says_what_the_card_says():
    card = wine_report().card
    document = strict(wine_report().to_json())
    assert document["geometry"]["edges"] == card.geometry.edges.tolist()
    assert document["order"]["estimate"] == {"value": 2.4, "error": 0.6, "kind": "statistical"}
    assert document["ladder"]["rungs"][1]["deficit"]["error"] == 0.012
    assert document["parameter_counts"][0] == {"model": "3-local", "parameters": "559"}
    assert document["chosen"] is None
    np.testing.assert_allclose(document["coupling_matrix"], card.coupling_matrix, rtol=1e-5)  # six digits are written


def test_numbers_that_no_reader_holds_and_matrices_that_no_text_should_hold_are_null():
    document = strict(EXAMPLES["large"].to_json())
    assert document["coupling_matrix"] is None
    assert document["ladder"]["rungs"][-1]["parameters"] is None
    assert document["ladder"]["generic_parameters"] == "2^256 - 1"
    assert strict(EXAMPLES["gaps"].to_json())["basis"]["given"]["estimate"] == {
        "value": None, "error": None, "kind": "statistical",
    }  # fmt: skip


def test_lists_of_numbers_stand_on_one_line_and_texts_are_left_alone():
    tricky = "[\n 1,\n 2\n]"
    text = replace(ising_report(), card=replace(ising_report().card, notes=(tricky,))).to_json()
    assert '"grid": [16, 16]' in text
    assert json.loads(text)["notes"] == [tricky]
    assert text.isascii()


def test_plots_are_left_out_where_there_is_nothing_to_draw():
    names = {name: [plot.name for plot in data_plots(report.card).all] for name, report in EXAMPLES.items()}
    strips = [f"index-{key}" for key in ("order", "locality", "basis", "hierarchy", "compressibility")]
    assert names["ising"] == [*strips, "ladder", "range", "matrix", "graph", "spectrum"]
    assert names["wine"] == [
        "index-order",
        "index-basis",
        "index-compressibility",
        "ladder",
        "matrix",
        "graph",
        "spectrum",
    ]
    assert names["noise"] == [*strips, "ladder", "range", "matrix", "spectrum"]
    assert names["gaps"] == ["graph"]
    assert "ladder" not in names["unclimbed"]
    assert "graph" not in names["large"]


def test_the_ladder_plot_places_every_fitted_rung_at_its_deficit_and_the_chosen_one_larger():
    ladder = ising_report().card.ladder
    others, chosen = ladder_plot(ladder).figure.data
    assert len(others.x) == 4
    assert list(chosen.y) == [3]
    assert chosen.x[0] == 0.0
    unit = 2 * 3e-5  # the smallest bar is linear
    assert others.x[0] == pytest.approx(np.arcsinh(0.2310 / unit), rel=ROUNDING)
    assert chosen.error_x["array"][0] == pytest.approx(np.arcsinh(1.0), rel=ROUNDING)


def test_a_deficit_without_error_or_of_infinite_error_is_drawn():
    ladder = ising_report().card.ladder
    for error in (0.0, float("inf")):
        rungs = tuple(
            replace(rung, deficit=Estimate(0.0 if k else 0.1, error, "statistical"))
            for k, rung in enumerate(ladder.rungs)
        )
        assert ladder_plot(replace(ladder, rungs=rungs)) is not None


def test_the_range_plot_ends_its_bars_at_the_foot_of_the_axis():
    plot = range_plot(ising_report().card.coupling_range)
    dots = plot.figure.data[1]
    foot = 10 ** plot.figure.layout.yaxis.range[0]
    assert all(y - low >= foot * 0.999 for y, low in zip(dots.y, dots.error_y["arrayminus"], strict=True))


def test_shells_without_a_coupling_stand_hollow_at_the_foot_with_the_upper_half_of_their_bar():
    found = ising_report().card.coupling_range
    strengths = (found.strengths[0], Estimate(0.0, 0.002, "statistical"), *found.strengths[2:])
    plot = range_plot(replace(found, strengths=strengths))
    _, dots, hollow = plot.figure.data
    foot = 10 ** plot.figure.layout.yaxis.range[0]
    assert len(dots.x) == len(found.distances) - 1
    assert hollow.y[0] == pytest.approx(foot, rel=ROUNDING)
    assert hollow.y[0] + hollow.error_y["array"][0] == pytest.approx(0.004, rel=ROUNDING)
    assert range_plot(replace(found, strengths=(Estimate(0.0, 0.1, "statistical"),) * len(found.distances))) is None


def test_a_coarse_matrix_keeps_the_largest_coupling_of_every_block_with_its_sign():
    card = EXAMPLES["large"].card
    card.coupling_matrix[3, 900] = -0.75
    heat = matrix_plot(card).figure.data[0]
    assert len(heat.z) == 125
    assert heat.z[0][112] == -0.75
    assert heat.z[0][0] == 0.5
    assert heat.z[50][0] == 0.0
    assert heat.zmax == 0.75
    card.coupling_matrix[3, 900] = 0.0


def test_the_diagonal_of_a_matrix_is_empty():
    heat = matrix_plot(wine_report().card).figure.data[0]
    assert [heat.z[k][k] for k in range(13)] == [None] * 13


def test_the_graph_of_a_torus_is_drawn_with_short_lines_only():
    lines = graph_plot(ising_report().card).figure.data[0]
    points = np.array([(x, y) for x, y in zip(lines.x, lines.y, strict=True) if x is not None], dtype=float)
    lengths = np.linalg.norm(points[1::2] - points[::2], axis=1)
    assert sorted(set(lengths.round(6))) == [0.5, 1.0]
    assert (lengths == 1.0).sum() == 2 * 16 * 15
    assert (lengths == 0.5).sum() == 2 * 2 * 16


def test_a_negative_coupling_is_dotted():
    positive, negative, _ = graph_plot(wine_report().card).figure.data
    assert (len(positive.x), len(negative.x)) == (12, 3)
    assert negative.line.dash == "dot"


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_is_one_file_that_loads_nothing(name):
    page = data_html(EXAMPLES[name])
    head = page[: page.index('id="plotly"')]
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", head)
    assert "default-src 'none'" in head
    assert head.count("<figure") == len(data_plots(EXAMPLES[name].card).all)


def test_the_page_names_every_rung_symmetry_suggestion_and_preparation():
    for report in (ising_report(), wine_report()):
        page, card = data_html(report), report.card
        for text in (
            *(rung.name for rung in card.ladder.rungs),
            *(test.name for test in card.symmetries),
            *(found.suggestion for found in card.implications),
            *(step.treatment for step in card.preparation),
            *(found.estimator for found in card.intrinsic_dimension),
        ):
            assert text in page


def test_names_are_escaped_everywhere(tmp_path):
    write_data_page(EXAMPLES["gaps"], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "\x1b" not in text


def test_a_page_stays_small_for_many_variables():
    page = data_html(EXAMPLES["large"])
    assert len(page) - len(data_html(EXAMPLES["gaps"])) < 500_000


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.400612, 0.00042, "0.40061 ± 0.00042"),
        (2.0, 0.0, "2 ± 0"),
        (1.0 / 3.0, 0.0, "0.333 ± 0"),
        (1234.5, 67.0, "1234 ± 67"),
        (1e-9, 1e-10, "1.00e-09 ± 1.0e-10"),
        (0.5, float("inf"), "0.500 ± inf"),
        (float("nan"), 0.1, "–"),
        (None, None, "–"),
    ],
)
def test_a_number_is_written_as_far_as_its_error_reaches(value, error, text):
    assert with_error(value, error) == text


def test_counts_and_probabilities_are_legible():
    assert [count(n) for n in (7, 32896, 2**256 - 1, 2**40)] == ["7", "32,896", "2^256 - 1", "1.10e+12"]
    assert [probability(p) for p in (0.5, 0.0099, 2e-4, 0.0, None)] == ["0.5", "0.0099", "<0.001", "<0.001", "–"]


def test_a_tensor_of_another_kind_is_shown_too():
    card = replace(ising_report().card, coupling_matrix=torch.zeros(256, 256, dtype=torch.float32))
    assert matrix_plot(card) is not None
    assert strict(replace(ising_report(), card=card).to_json())["coupling_matrix"][0][0] == 0.0

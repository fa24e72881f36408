"""`rgflow theory` from words to table, JSON and page; wrong words get one sentence, and no file is left."""

import json
import math

import pytest
from sklearn.datasets import load_digits

from rgflow.cli import main

RELU = ["theory", "--widths", "4,32x4,3", "--activation", "relu"]


def document(capsys, *words: str) -> dict:
    assert main([*words, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_table_has_a_row_for_each_layer_and_the_class(capsys):
    assert main([*RELU, "--networks", "200"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "scale-invariant (critical C_W 2, C_b 0)" in out
    assert "3 quadratic, 6 quartic (5 of them seen by one neuron alone)" in out
    rows = [line.split() for line in out.splitlines() if line[:2].strip().isdigit()]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]


def test_without_variances_the_network_is_critical_and_control_is_nu_times_depth_over_width(capsys):
    found = document(capsys, *RELU, "--networks", "0")
    assert [layer["weight_variance"] for layer in found["layers"]] == [2.0] * 5
    assert found["control"] == pytest.approx(5 * 4 / 32)
    assert found["optimal_aspect"] == pytest.approx(4 / (29 * 5))
    assert found["networks"] == 0
    assert found["layers"][2]["kernel"]["measured"] is None


def test_forecasts_agree_with_the_drawn_networks(capsys):
    words = ["theory", "--widths", "64,96x4,10", "--activation", "gelu", "--inputs", "digits", "--count", "3"]
    found = document(capsys, *words, "--networks", "1000", "--seed", "3")
    scores = [
        layer[name]["z"]
        for layer in found["layers"]
        for name in ("kernel", "kernel_deviation", "distance", "distance_deviation")
        if layer[name].get("z") is not None
    ]
    assert len(scores) >= 16
    assert max(map(abs, scores)) < 5.0  # of some 18 correlated scores; 1e-5 false alarms for normal ones
    assert found["inputs"] == "3 rows of digits"


@pytest.mark.parametrize("law", ["gaussian", "uniform"])
def test_the_first_layer_is_the_same_in_every_network_and_scores_nothing(capsys, law):
    words = ["theory", "--widths", "13,20x2,3", "--activation", "tanh", "--weight-variance", "1.7", "--weight-law", law]
    first = document(capsys, *words, "--networks", "50")["layers"][0]
    for name in ("kernel", "kernel_deviation", "distance", "distance_deviation"):
        assert abs(first[name]["z"]) < 1.0, name
    assert first["kernel_deviation"]["measured"] == first["distance_deviation"]["measured"] == 0.0


def test_given_variances_are_kept_and_the_flow_says_where_it_ends(capsys):
    found = document(capsys, *RELU, "--weight-variance", "1.5", "--bias-variance", "0.1", "--networks", "0")
    assert [layer["bias_variance"] for layer in found["layers"]] == [0.1] * 5
    assert found["network"]["settles"].startswith("the kernel settles at 0.4:")
    assert found["network"]["depth_perpendicular"] == pytest.approx(-1 / math.log(0.75))


def test_uniform_weights_shift_the_mean_and_are_measured_with_explicit_networks(capsys):
    words = ["theory", "--widths", "4,16x3,2", "--activation", "tanh", "--weight-variance", "1.5"]
    plain = document(capsys, *words, "--networks", "400")
    uniform = document(capsys, *words, "--networks", "400", "--weight-law", "uniform")
    assert uniform["layers"][3]["kernel"]["predicted"] != plain["layers"][3]["kernel"]["predicted"]
    assert abs(uniform["layers"][3]["kernel"]["z"]) < 5.0


def test_one_seed_gives_one_report_and_two_seeds_differ(capsys):
    words = [*RELU, "--networks", "50"]
    runs = [document(capsys, *words, "--seed", seed) for seed in ("1", "1", "2")]
    for run in runs:
        del run["timing"], run["seed"]
    assert runs[0] == runs[1] != runs[2]


def test_the_page_is_written_whole(tmp_path):
    page = tmp_path / "theory.html"
    assert main([*RELU, "--networks", "20", "--html", str(page), "--quiet"]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.rstrip().endswith("</html>")
    assert [path.name for path in tmp_path.iterdir()] == ["theory.html"]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--widths", "4", "--activation", "relu"], "has 1 width"),
        (["--widths", "4,0,3", "--activation", "relu"], "has the width '0'"),
        (["--widths", "4,8,3", "--activation", "rleu"], "no activation is called 'rleu'"),
        (["--widths", "4,8,3", "--activation", "softplus"], "no critical point"),
        (["--widths", "4,8,3", "--activation", "relu", "--weight-variance", "-1"], "must be finite and >= 0"),
        (["--widths", "4,8,3", "--activation", "relu", "--bias-variance", "1"], "give --weight-variance too"),
        (["--widths", "4,8,3", "--activation", "relu", "--critical", "--weight-variance", "1"], "give either"),
        (["--widths", "4,8,3", "--activation", "relu", "--networks", "2"], "must be 0 or >= 4"),
        (["--widths", "4,8,3", "--activation", "relu", "--weight-law", "cauchy"], "must be one of gaussian"),
        (["--widths", "4,8,3", "--activation", "relu", "--inputs", "digits"], "has 64 features"),
        (["--widths", "4,8,3", "--activation", "relu", "--inputs", "nothing.csv"], "nothing.csv"),
        (["--widths", "4,8,3", "--activation", "relu", "--count", "0"], "must be >= 1"),
        (["--widths", "4,8,3"], "--activation"),
    ],
)
def test_wrong_words_get_one_sentence_and_no_file(capsys, tmp_path, words, part):
    assert main(["theory", *words, "--html", str(tmp_path / "page.html")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert part in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_rows_of_the_users_data_are_taken_as_they_are(capsys):
    found = document(
        capsys,
        "theory",
        "--widths",
        "64,32,10",
        "--activation",
        "relu",
        "--inputs",
        "digits",
        "--count",
        "1",
        "--networks",
        "0",
    )
    images = load_digits().data / 16  # the bundled set is scaled to [0, 1]
    kernels = 2.0 * (images**2).mean(1)
    assert min(abs(kernels - found["layers"][0]["kernel"]["predicted"])) < 1e-9

"""The main job on small models: forecasts against measurement, labels, findings, bad settings, repeatability.

STATISTICAL: `chain_checks` states the false-alarm rate. Everything else is a discrete answer: EXACT.
"""

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import rgflow
from rgflow.errors import DataError, DeviceError, ModelError, SettingError
from rgflow.records import LayerReport
from rgflow.report import CheckReport
from tests.studies.chain_checks import ALL_CELLS, CASES, Build, cells, chain, forecasts_agree, points, report_of
from tolerances import z_limit

AGREEMENT = 4.0  # combined standard errors, as the report counts


@cache
def of_case(name: str) -> CheckReport:
    return report_of(CASES[name])


def of(model: "nn.Module | Build", **settings: object) -> CheckReport:
    """A quick report of any model on the standard points."""
    x, y = points()
    return rgflow.check(model, x, y, **{"networks": 16, "seed": 2, **settings})  # type: ignore[arg-type]


def problems(report: CheckReport) -> list[str]:
    return [finding.code for finding in report.findings if finding.severity == "problem"]


def by_name(report: CheckReport) -> dict[str, LayerReport]:
    return {layer.name: layer for layer in report.layers}


class Block(nn.Module):
    """A residual branch behind a norm: no chain."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.inner = nn.Linear(12, 24), nn.LayerNorm(24), nn.Linear(24, 24)
        self.head = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        return self.head(h + self.inner(torch.relu(self.norm(h))))


class Scaled(nn.Module):
    """Bare parameters that no rule draws again."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(12, 24), nn.Linear(24, 3)
        self.scale, self.shift = nn.Parameter(torch.rand(24)), nn.Parameter(torch.randn(24))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.first(x) * self.scale + self.shift))


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.two, self.head = (nn.Linear(n, m) for n, m in pairwise((12, 16, 16, 16, 3)))
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.two(torch.tanh(self.one(torch.tanh(self.first(x)))))))


class Recurrent(nn.Module):
    """An LSTM over four steps of three features."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTM(3, 16, batch_first=True), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x.reshape(-1, 4, 3))[0][:, -1])


class Attending(nn.Module):
    """PyTorch's own encoder, whose layers start as copies of one."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.embed, self.head = nn.Linear(3, 16), nn.Linear(16, 3)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x.reshape(-1, 4, 3))).mean(1))


class Reading(nn.Module):
    """Python that depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.head = nn.Linear(12, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        return self.head(torch.relu(self.inner(-h if h.sum().item() < 0 else h)))


class Gate(nn.Module):
    """One layer works on a learnt constant instead of the data."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(16))
        self.first, self.gate, self.head = nn.Linear(12, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.first(x)) * torch.sigmoid(self.gate(self.query.expand(len(x), -1))))


def orthogonal() -> nn.Module:
    model = chain([12, 16, 16, 3], nn.Tanh)()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight)
    return model


@pytest.mark.parametrize("name", CASES)
def test_every_number_of_a_chain_agrees_with_its_measurement(name: str) -> None:
    forecasts_agree(of_case(name))


def test_at_least_95_percent_of_signal_and_spread_cells_agree_within_four_errors_and_none_is_far_off() -> None:
    found = [z for name in CASES for _, z in cells(of_case(name), ("signal", "spread"))]
    assert len(found) >= 100
    assert sum(abs(z) < AGREEMENT for z in found) >= 0.95 * len(found)
    assert max(map(abs, found)) < z_limit(ALL_CELLS)


def test_the_scores_are_not_all_tiny() -> None:
    """Error bars are not so wide that nothing could ever disagree: the scores of deviations scatter."""
    scores = [z for name in CASES for _, z in cells(of_case(name), ("signal_deviation", "spread_deviation"))]
    assert torch.tensor(scores).square().mean().sqrt() > 0.5  # half of what independent normal scores have


def test_a_chain_is_theory_with_exact_ops_and_shows_its_class_and_control() -> None:
    report = of_case("relu, He")
    assert [layer.source for layer in report.layers] == ["theory", "exact op"] * 3 + ["theory"]
    assert report.model.control == pytest.approx(5 * 3 / 48, rel=1e-6)  # nu = 5 for ReLU, three layers of 48
    assert "scale-invariant (critical C_W 2, C_b 0)" in report.model.activation_classes.values()
    assert report.model.depth == 4
    assert report.data.loss == "mean cross-entropy"
    assert of_case("regression").data.loss == "mean squared error"
    assert of_case("binary output").data.loss == "mean binary cross-entropy"


def test_the_tally_counts_the_cells_of_the_table() -> None:
    report = of_case("tanh")
    names = ("signal", "signal_deviation", "spread", "spread_deviation", "gradient")
    scores = [z for _, z in cells(report, names)]
    assert report.tally.cells == len(scores)
    assert report.tally.within == sum(abs(z) < AGREEMENT for z in scores)


@pytest.mark.parametrize(
    ("build", "sources", "reason"),
    [
        (
            Block,
            {"embed": "mean field", "norm": "exact op", "inner": "mean field", "head": "mean field"},
            "normalisation",
        ),
        (Scaled, {"first": "mean field", "scale": "simulated", "shift": "simulated"}, "no mean-field rule"),
        (Tied, {"first": "mean field", "one": "measured", "two": "measured"}, "used more than once"),
        (Recurrent, {"cell": "simulated", "head": "mean field"}, "LSTM"),
        (Reading, {"first": "mean field", "inner": "measured", "head": "measured"}, "reads numbers out of tensors"),
        (orthogonal, {"0": "mean field", "1": "exact op", "4": "mean field"}, "orthogonal"),
    ],
    ids=["residual", "bare parameters", "tied", "recurrent", "data-dependent", "orthogonal"],
)
def test_every_row_says_how_it_was_obtained_and_why_not_better(
    build: Build, sources: dict[str, str], reason: str
) -> None:
    report = of(build)
    rows = by_name(report)
    assert {name: rows[name].source for name in sources} == sources
    assert all(row.reason for row in rows.values() if row.source not in ("theory", "exact op"))
    assert any(reason in text for text in (*report.notes, *(row.reason for row in rows.values())))
    assert all(row.signal.measured is not None for row in rows.values())
    assert report.error == ""
    assert report.layers[-1].name == list(sources)[-1] or len(sources) < len(rows)


def test_mean_field_rows_of_a_residual_network_agree() -> None:
    found = [z for _, z in cells(of(Block, networks=32), ("signal", "spread"))]
    assert len(found) == 8
    assert max(map(abs, found)) < z_limit(len(found))


def test_the_layers_of_an_encoder_are_found_to_be_copies() -> None:
    report = of(Attending)
    clones = [finding for finding in report.findings if finding.code == "cloned-layers"]
    assert [finding.layer for finding in clones] == ["encoder.layers.0"]
    assert "encoder.layers.1" in clones[0].message
    assert {row.source for row in report.layers if ".linear" in row.name} == {"measured"}
    assert report.verdict == "findings"


def test_a_model_that_raises_midway_still_yields_the_rows_before() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(8, 3))

    report = of(build)
    assert "cannot be multiplied (48x16 and 8x3)" in report.error
    assert [row.name for row in report.layers] == ["0", "1", "2", "3"]
    assert all(row.signal.measured is not None and row.signal.predicted is not None for row in report.layers)
    assert all(row.gradient.measured is None for row in report.layers)
    assert report.learning_rate.stable_limit.measured is None
    assert "STOPPED" in report.table()
    assert json.loads(report.to_json())["error"] == report.error


def test_a_wrong_input_width_says_what_is_expected_and_what_is_given() -> None:
    with pytest.raises(DataError, match=r"in_features=10.*\(12,\)"):
        of(chain([10, 16, 3]))


def test_a_deep_network_with_pytorchs_own_initialisation_collapses() -> None:
    report = of(chain([12] + [16] * 7 + [3]), networks=8)
    assert {"inputs-collapse", "gradient-vanishes"} <= set(problems(report))
    assert report.verdict == "findings"
    verdicts = [row.verdict for row in report.layers if row.parametric]
    assert "gradient-vanishes" in verdicts[0]
    assert "inputs-collapse" in verdicts[-1]
    collapse = next(finding for finding in report.findings if finding.code == "inputs-collapse")
    assert collapse.remedy == "rgflow.tune(model, inputs, targets)"
    assert "forecast" in str(collapse.evidence["here"])
    assert "measured" in str(collapse.evidence["here"])


def test_the_same_network_with_he_initialisation_and_fewer_layers_is_healthy() -> None:
    report = of_case("relu, He")
    assert report.verdict == "healthy"
    assert problems(report) == []
    assert {row.verdict for row in report.layers} == {"ok"}


def test_a_layer_that_works_on_a_learnt_constant_is_no_collapse() -> None:
    report = of(Gate)
    gate = by_name(report)["gate"].spread.measured
    assert gate is not None
    assert gate.value == 0.0
    assert "inputs-collapse" not in problems(report)


def test_a_learning_rate_is_a_finding_above_the_limit_and_none_below() -> None:
    build = chain([12, 24, 3], gain=2.0)
    limit = of(build, networks=4).learning_rate.stable_limit.measured
    assert limit is not None
    assert problems(of(build, networks=4, learning_rate=1.001 * limit.value)) == ["learning-rate"]
    assert problems(of(build, networks=4, learning_rate=0.999 * limit.value)) == []


def test_a_step_above_the_stability_limit_grows_the_loss_of_a_linear_model_and_one_below_does_not() -> None:
    """Negative control of the limit itself: least squares, where 2 / curvature is exact."""
    x, _ = points()
    y = x[:, :1]
    torch.manual_seed(1)
    model = nn.Linear(12, 1)
    limit = rgflow.check(model, x, y, networks=4).learning_rate.stable_limit.measured
    assert limit is not None
    for factor, grows in ((1.1, True), (0.9, False)):
        torch.manual_seed(1)
        trained = nn.Linear(12, 1)
        steps = torch.optim.SGD(trained.parameters(), lr=factor * limit.value)
        losses = []
        for _ in range(200):
            loss = (trained(x) - y).square().mean()
            steps.zero_grad()
            loss.backward()
            steps.step()
            losses.append(float(loss.detach()))
        assert (losses[-1] > losses[0]) == grows


def test_constant_and_unscaled_features_of_the_data_are_found() -> None:
    x, y = points()
    x = x.clone()
    x[:, 3] = 1.0
    report = rgflow.check(chain([12, 16, 3], gain=2.0), x, y, networks=4)
    assert [finding.code for finding in report.findings] == ["constant-features"]
    x[:, 5] *= 1000.0
    report = rgflow.check(chain([12, 16, 3], gain=2.0), x, y, networks=4)
    assert "unscaled-features" in problems(report)


def test_outputs_far_too_large_are_found_for_classes_and_for_numbers() -> None:
    x, y = points()
    loud = chain([12, 24, 3], gain=60.0)
    report = rgflow.check(loud, x, y, networks=4)
    assert "output-scale" in problems(report)
    assert report.findings[0].layer in {row.name for row in report.layers}
    targets = 1000.0 * x[:, :3]
    assert "output-scale" in problems(rgflow.check(chain([12, 24, 3], gain=2.0), x, targets, networks=4))
    assert "output-scale" not in problems(rgflow.check(chain([12, 24, 3], gain=2.0), x, x[:, :3], networks=4))


def test_a_module_is_redrawn_by_its_own_rule_and_stays_as_it_is() -> None:
    torch.manual_seed(0)
    module = chain([12, 24, 3])()
    kept = {name: value.clone() for name, value in module.state_dict().items()}
    report = of(module)
    assert report.networks == 16
    assert any("redrawn through reset_parameters()" in note for note in report.notes)
    assert all(row.signal.z is not None for row in report.layers)
    assert all(torch.equal(value, kept[name]) for name, value in module.state_dict().items())


def test_a_module_that_no_longer_follows_its_own_rule_is_not_redrawn_by_it() -> None:
    torch.manual_seed(0)
    module = chain([12, 24, 3])()
    with torch.no_grad():
        module[0].weight.mul_(9.0)  # type: ignore[operator,index,union-attr]
    report = of(module)
    assert report.networks == 1
    assert any("one draw" in note and "0.weight" in note for note in report.notes)
    weight = by_name(report)["0"].weight_variance
    assert weight is not None
    assert weight.value == pytest.approx(27, rel=0.2)  # 81 / 3 from 288 weights: relative error 0.9 / 288^(1/2) = 5 %


def test_a_module_with_bare_parameters_is_one_draw_without_errors_over_seeds() -> None:
    torch.manual_seed(0)
    report = of(Scaled())
    assert report.networks == 1
    assert any("one draw" in note and "scale, shift" in note for note in report.notes)
    assert all(row.signal.measured is not None and row.signal.z is None for row in report.layers)


def test_a_factory_that_sets_its_own_seed_is_said_to_do_so() -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return chain([12, 16, 3])()

    report = of(build)
    assert any("same parameters for every seed" in note for note in report.notes)
    assert all(row.signal.z is None for row in report.layers)


def test_data_without_targets_get_the_mean_squared_output() -> None:
    x, _ = points()
    report = rgflow.check(chain([12, 24, 5], gain=2.0), x, networks=16)
    assert report.data.task == "unsupervised"
    assert report.data.loss == "mean squared output"
    assert all(row.gradient.z is not None for row in report.layers if row.parametric)
    assert report.verdict == "healthy"


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"networks": 1}, SettingError, "networks is 1; at least 2"),
        ({"networks": 2.5}, SettingError, "networks is 2.5"),
        ({"networks": "8"}, SettingError, "networks is '8'"),
        ({"seed": -1}, SettingError, "seed is -1"),
        ({"seed": 1.5}, SettingError, "seed is 1.5"),
        ({"batch": 1}, SettingError, "batch is 1"),
        ({"optimizer": "rmsprop"}, SettingError, "'rmsprop'; it must be 'sgd', 'adam' or 'adamw'"),
        ({"learning_rate": 0.0}, SettingError, "learning_rate is 0.0"),
        ({"learning_rate": float("nan")}, SettingError, "learning_rate is nan"),
        ({"device": "abacus"}, DeviceError, "device 'abacus'"),
        ({"device": "meta"}, DeviceError, "device 'meta'"),
    ],
)
def test_a_bad_setting_is_refused_in_one_sentence(
    settings: dict[str, object], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words.replace(".", r"\.")):
        of(chain([12, 16, 3]), **settings)


def test_what_is_no_model_or_no_data_is_refused() -> None:
    with pytest.raises(ModelError):
        of("resnet")  # type: ignore[arg-type]
    with pytest.raises(DataError):
        rgflow.check(chain([12, 16, 3]), torch.full((8, 12), float("nan")), networks=4)


def test_the_same_seed_gives_the_same_json_and_another_seed_another() -> None:
    def text(seed: int) -> str:
        return replace(of(chain([12, 16, 3], gain=2.0), networks=4, seed=seed), timing={}).to_json()

    first = text(5)
    torch.rand(3)  # the caller's random state does not matter
    assert text(5) == first
    assert text(6) != first


def test_numpys_integers_are_numbers_like_others() -> None:
    build = chain([12, 16, 3], gain=2.0)
    report = of(build, networks=np.int64(4), seed=np.int64(3), batch=np.int64(8))
    assert replace(report, timing={}).to_json() == replace(of(build, networks=4, seed=3, batch=8), timing={}).to_json()


def test_progress_is_told_in_order_and_all_stages_are_timed() -> None:
    heard: list[tuple[str, float]] = []
    report = of(chain([12, 16, 3], gain=2.0), networks=4, progress=lambda stage, part: heard.append((stage, part)))
    parts = [part for _, part in heard]
    assert parts == sorted(parts)
    assert 0.0 <= parts[0] <= parts[-1] <= 1.0
    assert [stage for stage, _ in heard] == list(report.timing)

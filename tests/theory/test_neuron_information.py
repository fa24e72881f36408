"""Entropies and mutual information against mixtures integrated independently, and the expansion's own limits."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from rgflow.errors import NoCriticalPoint, SettingError
from rgflow.records import MLP
from rgflow.theory import entropy, flow, lognormal_information, mutual_information, optimal_aspect_ratio

GOLDEN = json.loads((Path(__file__).parents[1] / "reference" / "effective_flow.json").read_text())["lognormal"]
REPORTED = 1e-9  # absolute error that lognormal_information promises


@pytest.mark.parametrize("log_variance", GOLDEN)
def test_log_normal_information_equals_the_reference(log_variance: str) -> None:
    found = lognormal_information(float(log_variance), first=1, second=1)
    # The reference stops its integral at |z|^2 = exp(-40), which is worth 5e-8 of the information.
    assert found == pytest.approx(GOLDEN[log_variance], rel=4e-7)


def test_log_normal_information_equals_a_quadrature_of_the_entropies() -> None:
    log_variance = 0.4
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    variances = np.exp(math.sqrt(log_variance) * nodes - log_variance / 2)
    weights = weights / weights.sum()

    def negative_entropy(m: int) -> float:
        def integrand(r: float) -> float:
            density = float(weights @ (np.exp(-r * r / (2 * variances)) / (2 * np.pi * variances) ** (m / 2)))
            surface = 2 * np.pi ** (m / 2) / math.gamma(m / 2) * r ** (m - 1)
            return surface * density * math.log(density) if density > 0 else 0.0

        return integrate.quad(integrand, 0, 60, limit=400, epsabs=1e-13, epsrel=1e-12, points=[1.0, 5.0])[0]

    direct = negative_entropy(3) - negative_entropy(1) - negative_entropy(2)
    assert lognormal_information(log_variance, first=1, second=2) == pytest.approx(direct, abs=1e-8)


def test_information_is_symmetric_grows_with_depth_and_vanishes_without_fluctuation() -> None:
    assert lognormal_information(0.0, first=2, second=3) == 0.0
    one, other = lognormal_information(0.3, first=2, second=3), lognormal_information(0.3, first=3, second=2)
    assert one == pytest.approx(other, abs=REPORTED)
    curve = [lognormal_information(v, first=1, second=1) for v in (0.02, 0.1, 0.5, 2.0, 4.0)]
    assert curve == sorted(curve)


@pytest.mark.parametrize("neurons", [1, 2, 4])
@pytest.mark.parametrize("width", [400, 100])
def test_the_entropy_of_a_linear_network_is_within_its_bar_of_the_exact_one(width: int, neurons: int) -> None:
    kernel = 1.7
    found = entropy(
        flow(MLP((1, width, 6), "identity", weight_variance=1.0), [[math.sqrt(kernel)]]), layer=2, neurons=neurons
    )
    scale = np.linspace(0.3, 2.2, 1500)
    share = stats.chi2.pdf(scale * width, width)
    share /= share.sum()
    variances = kernel * scale

    def integrand(r: float) -> float:
        density = float(share @ (np.exp(-r * r / (2 * variances)) / (2 * np.pi * variances) ** (neurons / 2)))
        surface = 2 * np.pi ** (neurons / 2) / math.gamma(neurons / 2) * r ** (neurons - 1)
        return -surface * density * math.log(density) if density > 0 else 0.0

    exact = integrate.quad(integrand, 0, 16 * math.sqrt(kernel), limit=200, epsabs=1e-11, points=[1.0, 4.0])[0]
    assert found.relative_variance == pytest.approx(2 / width, rel=1e-9)
    assert abs(found.entropy.value - exact) <= found.entropy.error
    assert found.gaussian - exact > 2 * found.entropy.error  # the correction itself is seen


def test_mutual_information_is_within_its_bar_of_the_log_normal_value_in_a_relu_network() -> None:
    tuned = MLP((2, *[400] * 6, 3), "relu", weight_variance=2.0)
    found = mutual_information(flow(tuned, [[1.0, 1.0]]), layer=7, first=1, second=2)
    assert found.relative_variance == pytest.approx(6 * 5 / 400, rel=1e-9)
    assert abs(found.information.value - found.lognormal) <= found.information.error


def test_the_optimal_aspect_ratio_is_where_the_truncated_curve_peaks_and_the_exact_one_keeps_growing() -> None:
    found = optimal_aspect_ratio("relu", outputs=2)
    assert found.ratio == pytest.approx(4 / (26 * 5), rel=1e-12)
    assert "breaks down" in found.warning
    curve = found.curve
    assert curve is not None
    peak = int(curve.truncated.argmax())
    assert float(curve.ratio[peak]) == pytest.approx(found.ratio, rel=1e-9)
    assert float(curve.truncated[-1]) < 0
    assert bool((curve.lognormal.diff() > 0).all())
    assert float(curve.lognormal[1] / curve.truncated[1]) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(("name", "ratio"), [("identity", 0.04), ("relu", 0.016), ("tanh", 0.12), ("sin", 0.12)])
def test_the_aspect_ratio_of_ten_outputs_is_that_of_the_table(name: str, ratio: float) -> None:
    assert optimal_aspect_ratio(name, outputs=10).ratio == pytest.approx(ratio, rel=1e-6)


def test_a_single_output_has_a_ratio_but_no_curve() -> None:
    assert optimal_aspect_ratio("tanh", outputs=1).curve is None


RELU = MLP((2, 20, 20, 3), "relu", weight_variance=2.0)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: entropy(flow(RELU, [[1.0, 1.0]]), layer=3, neurons=3), SettingError, "wider or a shallower"),
        (lambda: entropy(flow(RELU, [[1.0, 1.0]]), layer=2, neurons=21), SettingError, "take 1 to 20"),
        (lambda: entropy(flow(RELU, [[1.0, 1.0]]), layer=2, neurons=1, row=1), SettingError, "inputs 0 to 0"),
        (lambda: entropy(flow(RELU, [[0.0, 0.0]]), layer=2, neurons=1), SettingError, "constant"),
        (lambda: entropy(flow(RELU, [[1.0, 1.0]], order=0), layer=2, neurons=1), SettingError, "order=1"),
        (lambda: mutual_information(flow(RELU, [[1.0, 1.0]]), layer=3, first=2, second=2), SettingError, "take 1 to 3"),
        (lambda: optimal_aspect_ratio("relu", outputs=0), SettingError, "at least 1"),
        (lambda: optimal_aspect_ratio("sigmoid", outputs=2), NoCriticalPoint, "nu"),
        (lambda: lognormal_information(-1.0, first=1, second=1), SettingError, ">= 0"),
    ],
)
def test_what_has_no_answer_is_refused_with_the_reason(call: object, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        call()  # type: ignore[operator]


def test_curves_are_plain_float64_tensors() -> None:
    curve = optimal_aspect_ratio("tanh", outputs=3).curve
    assert curve is not None
    assert curve.ratio.dtype == curve.truncated.dtype == curve.lognormal.dtype == torch.float64

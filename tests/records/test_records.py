"""Records refuse what makes no sense and keep what they are given."""

import math

import pytest
import torch

from rgflow import MLP
from rgflow.errors import DataError, NoCriticalPoint, RgflowError, SettingError
from rgflow.records import Dataset, Estimate, Quantity


def test_z_is_the_difference_over_the_combined_error() -> None:
    quantity = Quantity(Estimate(1.0, 0.3, "truncation"), Estimate(2.0, 0.4, "statistical"))
    assert quantity.z == pytest.approx(2.0)


@pytest.mark.parametrize("error", [math.inf, math.nan])
def test_no_z_without_a_known_error(error: float) -> None:
    assert Quantity(Estimate(1.0, 0.1, "truncation"), Estimate(2.0, error, "statistical")).z is None
    assert Quantity(None, Estimate(2.0, 0.1, "statistical")).z is None


def test_two_exact_numbers_agree_only_if_they_are_equal() -> None:
    zero, one = Estimate(0.0, 0.0, "bound"), Estimate(1.0, 0.0, "bound")
    assert Quantity(zero, zero).z == 0.0
    assert Quantity(zero, one).z is None


@pytest.mark.parametrize("bad", [{"error": -1.0, "kind": "bound"}, {"error": 0.0, "kind": "guess"}])
def test_an_estimate_refuses_a_negative_error_and_an_unknown_kind(bad: dict) -> None:
    with pytest.raises(SettingError):
        Estimate(1.0, **bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"widths": (4,), "weight_variance": 1.0},
        {"widths": (4, 0, 2), "weight_variance": 1.0},
        {"widths": (4, 3, 2), "weight_variance": -1.0},
        {"widths": (4, 3, 2), "weight_variance": (1.0, 1.0, 1.0)},
        {"widths": (4, 3, 2), "weight_variance": math.nan},
    ],
)
def test_a_network_refuses_impossible_widths_and_variances(bad: dict) -> None:
    with pytest.raises(SettingError):
        MLP(bad["widths"], "relu", weight_variance=bad["weight_variance"])


def test_one_variance_serves_all_layers_and_critical_tunes_them() -> None:
    network = MLP((4, 3, 2), "relu", weight_variance=0.5, bias_variance=(0.1, 0.2))
    assert network.weight_variance == (0.5, 0.5)
    assert network.depth == 2
    tuned = network.critical()
    assert tuned.weight_variance == pytest.approx((2.0, 2.0))
    assert tuned.bias_variance == (0.0, 0.0)
    assert MLP((4, 3, 2), "tanh", weight_variance=1.0, skip=0.8).critical().weight_variance == pytest.approx(
        (0.36, 0.36)
    )


def test_critical_says_why_there_is_no_critical_point() -> None:
    with pytest.raises(NoCriticalPoint, match="sigmoid"):
        MLP((4, 3, 2), "sigmoid", weight_variance=1.0).critical()


def test_a_dataset_refuses_one_sample_and_numbers_that_are_not_finite() -> None:
    with pytest.raises(DataError, match="at least 2"):
        Dataset("one", torch.ones(1, 3), None, "unsupervised")
    with pytest.raises(DataError, match="NaN"):
        Dataset("nan", torch.tensor([[1.0], [math.nan]]), None, "unsupervised")
    with pytest.raises(DataError, match="3 targets"):
        Dataset("odd", torch.ones(2, 3), torch.zeros(3), "regression")


def test_every_error_of_ours_has_one_base() -> None:
    assert issubclass(SettingError, RgflowError)
    assert issubclass(DataError, ValueError)

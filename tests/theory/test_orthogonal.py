"""Orthogonal weights: exact degenerate cases, and vertex and mean shift against Haar matrices at two widths."""

import pytest
import torch

from rgflow.ensembles import sample_networks, sample_orthogonal_kernels
from rgflow.errors import SettingError
from rgflow.records import MLP
from rgflow.theory import flow, orthogonal_flow, orthogonal_sources
from tolerances import z_limit

PAIR = torch.tensor([[1.3, 0.26, -0.65, 1.17], [0.52, 1.3, 0.13, -0.78]], dtype=torch.float64)
SHAPE = (1.0, 1.5, 0.5, 1.0)  # hidden widths as multiples of n: wider, narrower, wider again


def network(name: str, n: int, *, weight_variance: float, bias_variance: float) -> MLP:
    widths = (4, *(int(n * multiple) for multiple in SHAPE), 1)
    return MLP(widths, name, weight_variance=weight_variance, bias_variance=bias_variance)


def check_square_linear_networks() -> None:
    found = orthogonal_flow(MLP((8, 8, 8, 8), "identity", weight_variance=1.0), torch.eye(8)[:3] + 0.2)
    assert float(found.vertex.abs().max()) < 1e-12
    assert float(found.correction.abs().max()) < 1e-12


def test_square_linear_networks_do_not_fluctuate() -> None:
    check_square_linear_networks()


def test_a_narrowing_linear_network_fluctuates_by_the_rows_it_drops() -> None:
    """q = |first n' of m coordinates|^2 m / n' of a unit vector: variance 2 (m - n') / (n' (m + 2)), a beta law."""
    found = orthogonal_flow(MLP((4, 40, 10, 1), "identity", weight_variance=1.0), torch.ones(1, 4))
    assert float(found.vertex[2, 0, 0]) == pytest.approx(2 * (1 - 10 / 40), rel=1e-9)  # n' (m - n') / (n' m), leading


def check_square_activation() -> None:
    """A row of m orthonormal ones is a point of the sphere: <z_a^2 z_b^2> = (K_aa K_bb + 2 K_ab^2) m / (m + 2)."""
    found = orthogonal_flow(MLP((4, 30, 10, 1), "square", weight_variance=1.0), PAIR)
    kernel = PAIR @ PAIR.T / 4
    squares = kernel.diagonal().outer(kernel.diagonal()) + 2 * kernel**2
    assert torch.allclose(found.correction[1], -2.0 * squares, rtol=1e-8)  # n_1 (m / (m + 2) - 1), m = n_1


def test_the_mean_of_squares_shifts_as_on_a_sphere() -> None:
    check_square_activation()


def test_relu_loses_two_of_five_units_of_relative_variance_per_layer() -> None:
    found = orthogonal_flow(MLP((9, 9, 9, 9, 1), "relu", weight_variance=2.0), torch.ones(1, 9))
    kernel = float(found.kernel[0, 0, 0])
    assert (found.vertex[:, 0, 0] / kernel**2).tolist() == pytest.approx([0.0, 3.0, 6.0, 9.0], rel=1e-8)


def test_tanh_at_criticality_stops_growing_where_independent_weights_grow_with_depth() -> None:
    deep = MLP((30,) * 25 + (1,), "tanh", weight_variance=1.0)
    rows = torch.ones(1, 30) * 0.5
    orthogonal = orthogonal_flow(deep, rows)
    gaussian = flow(deep, rows)
    relative = [(f.vertex[:, 0, 0] / f.kernel[:, 0, 0] ** 2)[[8, 24]].tolist() for f in (orthogonal, gaussian)]
    assert relative[0][1] < 1.1 * relative[0][0]
    assert relative[1][1] > 2.0 * relative[1][0]


CASES = [("tanh", 1.5, 0.1), ("relu", 2.0, 0.05), ("gelu", 1.98, 0.17)]


def check_against_haar_matrices(name: str, weight_variance: float, bias_variance: float) -> None:
    """2 q(2n) - q(n) drops the next order in 1/n of a statistic q of the kernels' law; the one after is below the noise."""
    values, errors = [], []
    for n in (24, 48):
        drawn = network(name, n, weight_variance=weight_variance, bias_variance=bias_variance)
        sample = sample_orthogonal_kernels(drawn, PAIR, networks=20_000, seed=n)
        widths = torch.tensor(drawn.widths[:-1], dtype=torch.float64).reshape(-1, 1, 1)
        theory = orthogonal_flow(drawn, PAIR)
        values.append((sample.vertex, widths * (sample.mean - theory.kernel)))
        errors.append((sample.vertex_error, widths * sample.mean_error))
    for which, truth in ((0, theory.vertex), (1, theory.correction)):
        value = 2 * values[1][which] - values[0][which]
        error = torch.hypot(2 * errors[1][which], errors[0][which]) + 1e-9
        z = ((value - truth) / error).flatten()
        assert float(z.abs().max()) < z_limit(len(z))


@pytest.mark.parametrize(("name", "weight_variance", "bias_variance"), CASES)
def test_vertex_and_shift_agree_with_haar_matrices(name: str, weight_variance: float, bias_variance: float) -> None:
    check_against_haar_matrices(name, weight_variance, bias_variance)


def test_matrices_that_are_not_formed_have_the_law_of_those_that_are() -> None:
    drawn = MLP((4, 10, 16, 6, 1), "gelu", weight_variance=1.9, bias_variance=0.1)
    without = sample_orthogonal_kernels(drawn, PAIR, networks=15_000, seed=1)
    explicit = sample_networks(drawn, PAIR, networks=15_000, seed=2, weight_law="orthogonal")
    for quantity in ("mean", "covariance", "third_cumulant"):
        error = torch.hypot(getattr(without, f"{quantity}_error"), getattr(explicit, f"{quantity}_error")) + 1e-12
        z = ((getattr(without, quantity) - getattr(explicit, quantity)) / error).flatten()
        assert float(z.abs().max()) < z_limit(len(z))


def test_more_inputs_than_neurons_are_refused() -> None:
    with pytest.raises(SettingError, match="smallest width"):
        orthogonal_flow(MLP((3, 2, 3), "tanh", weight_variance=1.0), torch.eye(3))
    with pytest.raises(SettingError, match="smallest width"):
        sample_orthogonal_kernels(MLP((3, 2, 3), "tanh", weight_variance=1.0), torch.eye(3), networks=9, seed=0)


def test_sources_of_one_input_are_the_cumulants_of_one_row() -> None:
    found = orthogonal_sources(torch.full((1, 1), 0.7), width=10, fan_in=40)
    assert float(found.vertex) == pytest.approx(-2 * 0.7**2 / 4)
    assert float(found.curvature) == pytest.approx(-2 * 0.7**2 / 4)

"""Couplings of the action against densities known exactly: a chi-squared mixture, and a finite mixture of Gaussians."""

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats

from rgflow.errors import SettingError
from rgflow.records import MLP, Flow
from rgflow.theory import couplings, flow
from tolerances import ROUNDING

INPUTS = torch.tensor([[1.0, 0.5, -0.3, 0.8], [0.2, -1.1, 0.7, 0.4]], dtype=torch.float64)


def gap(logarithm: torch.Tensor, action: torch.Tensor) -> float:
    """Largest difference of log p and -S, up to the constant of normalisation."""
    total = logarithm + action
    return float((total - total[0]).abs().max())


def chi_squared_log_density(squares: torch.Tensor, *, kernel: float, width: int, neurons: int) -> torch.Tensor:
    """log p up to a constant, by quadrature, of `neurons` numbers with variance kernel * chi^2_width / width."""
    scale = torch.linspace(0.2, 2.5, 6000, dtype=torch.float64)
    density = torch.from_numpy(stats.chi2.pdf(scale.numpy() * width, width)) * width
    likelihood = (kernel * scale) ** (-neurons / 2) * torch.exp(-squares.unsqueeze(1) / (2 * kernel * scale))
    return (likelihood @ density).log()


def test_the_action_of_a_linear_network_is_wrong_at_order_one_over_n_squared_only() -> None:
    kernel, errors, gaussian = 1.3, [], []
    z = torch.tensor([[0.45, 0.0, 0.0], [0.6, 0.8, 0.0], [1.2, 0.9, 0.5], [1.5, 1.5, 0.7]], dtype=torch.float64)
    z = (z * math.sqrt(kernel)).unsqueeze(2)
    squares = z.square().sum((1, 2))
    for width in (100, 200, 400):
        found = flow(MLP((1, width, 3), "identity", weight_variance=1.0, bias_variance=0.0), [[math.sqrt(kernel)]])
        exact = chi_squared_log_density(squares, kernel=kernel, width=width, neurons=3)
        errors.append(gap(exact, couplings(found, layer=2, neurons=3).action(z)))
        gaussian.append(gap(exact, squares / (2 * kernel)))
    for error in (errors[0] / errors[1], errors[1] / errors[2]):
        assert 3.5 < error < 4.6  # a factor of 4 and its next order
    for error in (gaussian[0] / gaussian[1], gaussian[1] / gaussian[2]):
        assert 1.8 < error < 2.2
    assert errors[-1] < gaussian[-1] / 20


@pytest.mark.parametrize("neurons", [1, 2, 3])
def test_two_inputs_follow_an_explicit_mixture_of_gaussians(neurons: int) -> None:
    generator = torch.Generator().manual_seed(3)
    kernel = torch.tensor([[1.6, 0.5], [0.5, 1.1]], dtype=torch.float64)
    size = 1e-3  # of the fluctuations; the neglected order is its third power, and vanishes for pairs of opposite signs
    changes = [(c + c.T) / 2 for c in torch.randn(5, 2, 2, generator=generator, dtype=torch.float64)]
    changes = torch.stack([sign * size * c for c in changes for sign in (1.0, -1.0)])
    pairs = changes[:, [0, 0, 1], [0, 1, 1]]
    vertex = pairs.T @ pairs / len(pairs)
    width = 5
    found = made_up_flow(kernel, vertex, width=width, neurons=neurons)
    z = 1.3 * torch.randn(6, neurons, 2, generator=generator, dtype=torch.float64)
    inverse = torch.linalg.inv(kernel + changes)
    exponent = torch.einsum("ria,kab,rib->rk", z, inverse, z)
    exact = (torch.linalg.det(inverse) ** (neurons / 2) * torch.exp(-exponent / 2)).mean(1).log()
    action = couplings(found, layer=2, neurons=neurons).action(z)
    bare = torch.einsum("ria,ab,rib->r", z, torch.linalg.inv(kernel), z) / 2
    assert gap(exact, action) < 1e-9  # size^4 times a hundred
    assert gap(exact, bare) > 1e-7


def made_up_flow(kernel: torch.Tensor, vertex: torch.Tensor, *, width: int, neurons: int) -> Flow:
    """A flow whose second layer has this kernel and Cov(Khat, Khat) = vertex."""
    plain = flow(MLP((4, width, neurons), "tanh", weight_variance=1.0), INPUTS)
    assert plain.vertex is not None
    return replace(
        plain,
        kernel=torch.stack([plain.kernel[0], kernel]),
        vertex=torch.stack([plain.vertex[0], width * vertex]),
        correction=torch.zeros_like(plain.kernel),
    )


def test_the_mean_shift_enters_the_quadratic_coupling_through_the_inverse() -> None:
    found = flow(MLP((4, 30, 20, 25, 3), "tanh", weight_variance=1.5, bias_variance=0.1), INPUTS)
    assert found.correction is not None
    without = replace(found, correction=torch.zeros_like(found.correction))
    inverse = torch.linalg.inv(found.kernel[3])
    moved = couplings(found, layer=4, neurons=2).quadratic - couplings(without, layer=4, neurons=2).quadratic
    assert torch.allclose(moved, -inverse @ found.correction[3] @ inverse / 25, rtol=1e-9, atol=0)


def test_the_quartic_coupling_is_symmetric_positive_and_counted() -> None:
    inputs = torch.cat([INPUTS, torch.tensor([[-0.6, 0.9, 1.2, 0.1]]).double()])
    found = couplings(flow(MLP((4, 40, 40, 5), "gelu", weight_variance=1.9), inputs), layer=3, neurons=5)
    assert torch.allclose(found.quartic, found.quartic.T, rtol=1e-9)
    multiplicity = torch.tensor([1.0, 2.0, 2.0, 1.0, 2.0, 1.0]).double()
    assert float(torch.linalg.eigvalsh(found.quartic * torch.outer(multiplicity, multiplicity))[0]) > 0
    assert (found.quadratic_count, found.quartic_count) == (6, 21)
    assert (
        couplings(flow(MLP((4, 40, 40, 5), "gelu", weight_variance=1.9), inputs), layer=3, neurons=1).quartic_count
        == 15
    )


def test_the_first_layer_is_free() -> None:
    found = couplings(
        flow(MLP((4, 40, 5), "relu", weight_variance=2.0, bias_variance=0.1), INPUTS), layer=1, neurons=40
    )
    kernel = 0.1 + 2.0 * INPUTS @ INPUTS.T / 4
    assert float(found.quartic.abs().max()) == 0.0
    assert torch.allclose(found.quadratic, torch.linalg.inv(kernel), rtol=ROUNDING)


RELU = MLP((4, 40, 40, 5), "relu", weight_variance=2.0)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: couplings(flow(RELU, INPUTS[[0, 1, 0]]), layer=2, neurons=2), "merge coincident inputs"),
        (lambda: couplings(flow(RELU, torch.zeros(1, 4)), layer=2, neurons=2), "drop zero rows"),
        (lambda: couplings(flow(RELU, INPUTS), layer=4, neurons=2), "layers 1 to 3"),
        (lambda: couplings(flow(RELU, INPUTS), layer=3, neurons=6), "take 1 to 5"),
        (lambda: couplings(flow(RELU, INPUTS, order=0), layer=3, neurons=2), "order=1"),
        (lambda: couplings(flow(RELU, INPUTS, weight_law="uniform"), layer=3, neurons=2), "not Gaussian"),
        (lambda: couplings(flow(RELU, INPUTS), layer=3, neurons=2).action(torch.zeros(3, 2)), "take"),
    ],
)
def test_what_has_no_couplings_is_refused_with_the_remedy(call: object, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        call()  # type: ignore[operator]

"""Forecast means and seed-to-seed deviations of a batch against ensembles with explicit weights.

STATISTICAL: every cell's z stays below the limit of a false-alarm rate of 1e-6 for the family; the smallest bias that
600 networks show at that limit is about a fifth of a seed-to-seed standard deviation.
"""

import math

import pytest
import torch

from rgflow.numerics.activations import activation
from rgflow.numerics.statistics import mean, standard_deviation
from rgflow.theory.batch_flow import BatchFlow, batch_flow
from rgflow.theory.laws import LayerLaw, standard_draw
from rgflow.theory.seed_deviation import seed_deviation
from rgflow.theory.tangent import batch_tangent
from theory.ensembles import explicit_batch
from tolerances import z_limit

UNIFORM = -1.2
NETWORKS = 600


def default_laws(widths: list[int]) -> list[LayerLaw]:
    """PyTorch's own initialisation of nn.Linear."""
    return [LayerLaw(1 / 3, 1 / (3 * n), UNIFORM, UNIFORM) for n in widths[:-1]]


def batch(samples: int, features: int, *, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    scale = 0.5 + torch.rand(samples, 1, generator=generator, dtype=torch.float64)
    return scale * torch.randn(samples, features, generator=generator, dtype=torch.float64)


CASES = {
    "relu, He, Gaussian": ("relu", [10, 40, 40, 40, 6], lambda w: [LayerLaw(2.0)] * 4),
    "relu, He, uniform": ("relu", [10, 40, 60, 30, 6], lambda w: [LayerLaw(2.0, 0.0, UNIFORM)] * 4),
    "relu, PyTorch default": ("relu", [10, 32, 32, 32, 32, 32, 4], default_laws),
    "tanh, critical, uniform": ("tanh", [10, 24, 24, 24, 24, 5], lambda w: [LayerLaw(1.0, 0.0, UNIFORM)] * 5),
    "gelu, PyTorch default": ("gelu", [10, 32, 32, 32, 4], default_laws),
    "selu, LeCun": ("selu", [10, 32, 32, 32, 32, 3], lambda w: [LayerLaw(1.0)] * 5),
    "sin on two features": ("sin", [2, 48, 48, 48, 1], default_laws),
    "linear, seven layers": ("identity", [10] + [40] * 7, lambda w: [LayerLaw(1.0)] * 7),
    "relu, biased": ("relu", [10, 40, 40, 40, 6], lambda w: [LayerLaw(1.5, 0.4, 0.0, UNIFORM)] * 4),
}


def forecast(name: str, widths: list[int], laws: list[LayerLaw], inputs: torch.Tensor) -> BatchFlow:
    activations = [activation(name)] * (len(laws) - 1)
    return batch_flow(inputs, widths=widths, laws=laws, activations=activations, seed=2)


@pytest.mark.parametrize("case", CASES)
def test_means_and_deviations_agree_with_explicit_networks(case: str) -> None:
    name, widths, laws_of = CASES[case]
    laws, inputs = laws_of(widths), batch(24, widths[0], seed=1)
    flow = forecast(name, widths, laws, inputs)
    deviation = seed_deviation(flow, seed=3)
    drawn = explicit_batch(inputs, name=name, widths=widths, laws=laws, networks=NETWORKS, seed=4)
    averages, spreads = mean(drawn), standard_deviation(drawn)
    limit = z_limit(4 * len(laws) * len(CASES))
    for layer, means in enumerate(flow.means):
        for kind, value, shift, forecast_sd, sd_error, sampling, control in (
            (0, means.signal, means.signal_shift, deviation.signal, deviation.signal_error, 0, means.control_signal),
            (
                1,
                means.spread,
                means.spread_shift,
                deviation.spread,
                deviation.spread_error,
                means.sampling,
                means.control_spread,
            ),
        ):
            cell = (layer, kind)
            gap = float(averages.value[cell]) - value * (1 + shift)
            error = math.hypot(float(averages.error[cell]), value * (sampling + 0.2 * control * abs(shift) + 0.002))
            assert abs(gap) < limit * error, (case, layer, kind, gap / error)
            gap = float(spreads.value[cell] - forecast_sd[layer])
            error = math.hypot(
                float(spreads.error[cell]), float(sd_error[layer]), 0.1 * control * float(forecast_sd[layer])
            )
            assert abs(gap) < limit * error, (case, layer, kind, gap / error)


def test_the_shift_of_the_mean_is_seen_where_it_is_large() -> None:
    """Negative control: at infinite width the spread of a narrow ReLU network is wrong by many standard errors."""
    widths, laws = [10] + [16] * 8 + [4], [LayerLaw(2.0)] * 9
    inputs = batch(24, 10, seed=1)
    flow = forecast("relu", widths, laws, inputs)
    drawn = explicit_batch(inputs, name="relu", widths=widths, laws=laws, networks=4000, seed=4)[:, 5, 1]
    error = float(drawn.std()) / math.sqrt(len(drawn))
    means = flow.means[5]
    assert abs(float(drawn.mean()) - means.spread) > 3 * error
    assert abs(float(drawn.mean()) - means.spread * (1 + means.spread_shift)) < 4 * math.hypot(
        error, 0.03 * means.spread
    )


def test_a_spread_of_one_part_in_a_trillion_is_forecast_as_well_as_any_other() -> None:
    widths = [10] + [48] * 14 + [4]
    laws, inputs = default_laws(widths), batch(16, 10, seed=5)
    flow = forecast("relu", widths, laws, inputs)
    drawn = explicit_batch(inputs, name="relu", widths=widths, laws=laws, networks=NETWORKS, seed=6)[:, -1, 1]
    assert flow.means[-1].spread < 1e-11
    z = (float(drawn.mean()) - flow.means[-1].spread * (1 + flow.means[-1].spread_shift)) / (
        float(drawn.std()) / NETWORKS**0.5
    )
    assert abs(z) < z_limit(1)


def test_the_tangent_kernel_is_that_of_explicit_wide_networks() -> None:
    widths = [6, 400, 400, 3]
    laws, inputs = [LayerLaw(1.6, 0.1)] * 3, batch(8, 6, seed=2)
    tangent = batch_tangent(forecast("tanh", widths, laws, inputs), bias=[True] * 3)
    kernels = torch.stack([_explicit_tangent(inputs, widths, laws, seed=seed) for seed in range(24)])
    error = kernels.std(0) / math.sqrt(len(kernels))
    gap = (kernels.mean(0) - tangent.total).abs()
    assert bool((gap < z_limit(64) * error + 0.02 * tangent.total.abs()).all())  # 1/n and the fit over pairs: 2 %


def _explicit_tangent(inputs: torch.Tensor, widths: list[int], laws: list[LayerLaw], *, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    parameters = []
    for law, fan_in, width in zip(laws, widths[:-1], widths[1:], strict=True):
        scale = math.sqrt(law.weight_variance / fan_in)
        parameters.append((standard_draw(0.0, (fan_in, width), generator=generator) * scale).requires_grad_())
        parameters.append((standard_draw(0.0, (width,), generator=generator) * law.bias_variance**0.5).requires_grad_())
    hidden = inputs
    for layer in range(len(laws)):
        z = hidden @ parameters[2 * layer] + parameters[2 * layer + 1]
        hidden = torch.tanh(z)
    rows = []
    for sample in range(len(inputs)):
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(z[sample, 0], parameters, retain_graph=True)]))
    jacobian = torch.stack(rows)
    return jacobian @ jacobian.T


def test_the_same_seed_gives_the_same_forecast_and_another_one_another() -> None:
    laws, inputs = [LayerLaw(2.0)] * 3, batch(16, 6, seed=3)
    flow = forecast("relu", [6, 20, 20, 2], laws, inputs)
    first, again, other = (seed_deviation(flow, seed=seed).spread for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)

"""The second-moment rules of linear maps equal explicit Jacobians; the noise has the covariance asked for."""

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

from rgflow.networks.linear_call import linear_call
from rgflow.networks.linear_map import correlate, gaussian_channels, geometry_of, second_moment, shifted
from tolerances import ROUNDING

MAPS = {
    "linear": (nn.Linear(5, 3), (4, 5)),
    "linear on tokens": (nn.Linear(5, 3), (4, 2, 5)),
    "conv1d": (nn.Conv1d(4, 3, 3, padding=1), (2, 4, 6)),
    "strided": (nn.Conv2d(4, 3, 3, stride=2, padding=1), (2, 4, 5, 6)),
    "dilated": (nn.Conv2d(4, 3, (3, 2), dilation=(2, 1)), (2, 4, 6, 5)),
    "same": (nn.Conv2d(4, 3, (2, 3), padding="same"), (2, 4, 5, 4)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (2, 4, 4, 4)),
    "conv3d": (nn.Conv3d(2, 3, 2), (2, 2, 3, 3, 2)),
    "transposed": (nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1), (2, 4, 3, 3)),
    "transposed1d": (nn.ConvTranspose1d(4, 3, 4, stride=2, dilation=2), (2, 4, 5)),
}


def _setting(name: str, *, balanced: bool):
    """A map, its geometry and an input; balanced: equal moments in both groups, as the rule assumes."""
    torch.manual_seed(0)
    module, shape = MAPS[name]
    module = module.double()
    x = torch.randn(shape, dtype=torch.float64)
    if balanced and name == "grouped":
        x = torch.cat([x[:, :2], x[:, :2]], 1)
    calls = []

    class Seen(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            call = linear_call(func, args, kwargs or {}, origin=lambda t: t if t is module.weight else None)
            calls.extend([call] if call else [])
            return func(*args, **(kwargs or {}))

    with Seen():
        module(x)
    return module, x, geometry_of(calls[0], shape)


@pytest.mark.parametrize("name", MAPS)
def test_the_output_covariance_equals_the_weight_jacobian(name):
    module, x, g = _setting(name, balanced=True)
    channels = (slice(None), 0) if g.channel_axis == 1 else (..., 0)

    def first_channel(weight):
        return torch.func.functional_call(module, {"weight": weight}, (x,))[channels].flatten()

    j = jacobian(first_channel, module.weight.detach()).flatten(1)
    moment = second_moment(g.pack(x[None]))
    expected = g.channels_per_output * correlate(moment, g)
    torch.testing.assert_close(expected, j @ j.T, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", MAPS)
def test_the_input_cotangent_covariance_equals_the_sum_over_weights(name):
    module, x, g = _setting(name, balanced=False)
    output = module(x)
    cotangent = torch.randn_like(output)
    if name == "grouped":
        cotangent = torch.cat([cotangent[:, :3], cotangent[:, :3]], 1)
    packed = g.pack(cotangent[None])
    total = torch.zeros(g.locations_in, g.locations_in, dtype=torch.float64)
    for index in range(module.weight.numel()):
        weight = torch.zeros_like(module.weight).flatten()
        weight[index] = 1.0
        swapped = {"weight": weight.view_as(module.weight)}
        _, pull = torch.func.vjp(lambda v, s=swapped: torch.func.functional_call(module, s, (v,)), x)
        back = g.pack(pull(cotangent)[0][None]).flatten(0, 1)
        total += back @ back.T
    expected = g.outputs_per_input * correlate(second_moment(packed), g, back=True)
    torch.testing.assert_close(expected, total / g.channels_in, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("back", [False, True])
def test_shifted_samples_give_the_same_moments_as_shifted_moments(name, back):
    _, _, g = _setting(name, balanced=False)
    sizes = g.spatial_out if back else g.spatial_in
    samples = torch.randn(g.batch, torch.Size(sizes).numel(), 7, dtype=torch.float64)
    moved = [shifted(samples, g, offset=at, back=back) for at in range(len(g.pairings))]
    expected = correlate(second_moment(samples), g, back=back)
    torch.testing.assert_close(sum(second_moment(m) for m in moved), expected, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("rank", [3, 12])
def test_enough_samples_have_exactly_the_covariance_asked_for(rank):
    root = torch.randn(12, rank, dtype=torch.float64)
    root[-1] *= 1e-9
    covariance = root @ root.T
    draws = gaussian_channels(covariance, 48, generator=torch.Generator().manual_seed(0))
    scale = covariance.diagonal().sqrt()
    # The jitter of 1e-9 of each variance, at most, is the routine's stated error.
    error = (draws @ draws.T / 48 - covariance) / (scale[:, None] * scale[None, :])
    assert error.abs().max() < 2e-9


def test_locations_without_variance_get_none():
    covariance = torch.diag(torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64))
    draws = gaussian_channels(covariance, 2, generator=torch.Generator().manual_seed(0))
    assert draws[1].abs().max() == 0.0

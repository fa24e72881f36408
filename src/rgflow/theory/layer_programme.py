"""The layers of a network with closed pair averages as lists of numbers: per layer, per row and per column.

Scale-invariant s, h = (1 - cos t) / 2 of the angle t, A = <s^2>/K, f = 2 g^2 / pi, per layer (Cho and Saul 2009):
    inner = h - f / (2 A) (sin t - t cos t),    h' = sin^2((p_a - p_b) / 2) + cos p_a cos p_b inner,
    cos^2 p_a = C_W A K_aa / K'_aa  (p = 0 without bias),   <s'_a s'_b> = g_even^2 + f (pi / 2 - t).
Erf and GELU, t = y r_a r_b with r = sqrt(2 / (1 + 2 x)) and 1 / sqrt(1 + x): arcsine and 1 / sqrt(1 - t^2) are shared by
value and slope (Williams 1997; Tsuchida et al. 2021, arXiv:2002.08517).
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rgflow.theory.depth_function import DepthLaw

__all__ = ["InputLayers", "LayerProgramme", "layer_programme"]


@dataclass(frozen=True)
class InputLayers:
    """Numbers of each input in each layer: `factors` (L - 1, 4 or 3, N) and first and last deviations, `ends` (2, N)."""

    factors: Tensor
    ends: Tensor

    def part(self, span: slice) -> "InputLayers":
        """Return some of the inputs."""
        return InputLayers(self.factors[..., span], self.ends[..., span])


@dataclass(frozen=True)
class LayerProgramme:
    """Everything a tile needs to go through all layers.

    Shapes: `steps` (L - 1, 6) (angle: f / (2 A), C_W, even^2, f, bias rate, weight rate / C_W) or (L - 1, 4) (arc: C_W,
    C_b, bias rate, weight rate); `start` the tangent kernel's bias rate, weight rate / C_W and C_b of the first layer;
    `largest` bounds |tan(asin(t) / 2)| over all pairs and layers (arc).
    """

    family: str
    steps: Tensor
    start: tuple[float, float, float]
    row: InputLayers
    column: InputLayers
    largest: float

    def moved(self, device: str, dtype: torch.dtype) -> "LayerProgramme":
        """Return the programme with the inputs' numbers on a device, in a dtype."""
        parts = [InputLayers(p.factors.to(device, dtype), p.ends.to(device, dtype)) for p in (self.row, self.column)]
        return replace(self, row=parts[0], column=parts[1])


def layer_programme(law: DepthLaw, row_variance: Tensor, column_variance: Tensor) -> LayerProgramme:
    """Return the programme for inputs with these K_aa in layers 1..L, (L, N1) and (L, N2)."""
    angular = law.activation.family == "scale-invariant"
    describe = _angle_layers if angular else _arc_layers
    row = describe(law, row_variance)
    column = row if column_variance is row_variance else describe(law, column_variance)
    largest = 1.0
    if not angular and row.factors.numel() and column.factors.numel():
        # |t| <= sqrt(x_a) r_a sqrt(x_b) r_b.
        ends = [(part.factors[:, 1] * part.factors[:, 2]).amax(1).sqrt() for part in (row, column)]
        t = min(float((ends[0] * ends[1]).max()), 1.0)
        largest = t / (1.0 + math.sqrt(1.0 - t * t))
    scale, bias = law.weight_variance[0], law.bias_variance[0]
    start = (law.bias_rate[0], law.weight_rate[0] / scale, bias)
    return LayerProgramme(law.activation.family, _steps(law, angular=angular), start, row, column, largest)


def _steps(law: DepthLaw, *, angular: bool) -> Tensor:
    rows = []
    for layer in range(1, len(law.weight_variance)):
        scale, bias = law.weight_variance[layer], law.bias_variance[layer]
        rate_b, rate_w = law.bias_rate[layer], law.weight_rate[layer]
        if not angular:
            rows.append((scale, bias, rate_b, rate_w))
            continue
        plus, minus = law.activation.scale_invariant or (1.0, 1.0)
        even, odd = 0.5 * (plus + minus), 0.5 * (plus - minus)
        factor = 2.0 * odd**2 / math.pi
        rows.append((factor / (2.0 * (even**2 + odd**2)), scale, even**2, factor, rate_b, rate_w / scale))
    return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), 6 if angular else 4)


def _angle_layers(law: DepthLaw, variance: Tensor) -> InputLayers:
    bias = torch.tensor(law.bias_variance[1:], dtype=torch.float64).unsqueeze(1)
    after = variance[1:]
    share = ((after - bias).clamp(min=0.0) / after.clamp(min=1e-300)).clamp(0.0, 1.0)
    half_turn = 0.5 * torch.atan2((bias / after.clamp(min=1e-300)).sqrt(), share.sqrt())
    factors = torch.stack([(after - bias).clamp(min=0.0).sqrt(), share.sqrt(), half_turn.cos(), half_turn.sin()], 1)
    return InputLayers(factors, torch.stack([variance[0].sqrt(), variance[-1].sqrt()]))


def _arc_layers(law: DepthLaw, variance: Tensor) -> InputLayers:
    x = variance[:-1]
    inverse = 2.0 / (1.0 + 2.0 * x) if law.activation.family == "erf" else 1.0 / (1.0 + x)
    factors = torch.stack([inverse.sqrt(), x, inverse], 1)
    return InputLayers(factors, torch.stack([variance[0].sqrt(), variance[-1].sqrt()]))

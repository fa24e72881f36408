"""A fully connected network as the theory sees it: widths, activation, variances and laws of its parameters.

Convention: z' = skip * z + b + W s(z), Var W = weight_variance / fan_in, Var b = bias_variance, layers 1..L.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rgflow.errors import NoCriticalPoint, SettingError
from rgflow.numerics.activations import Activation, activation
from rgflow.numerics.criticality import criticality

__all__ = ["MLP"]


def _per_layer(value: float | Sequence[float], *, layers: int, name: str) -> tuple[float, ...]:
    values = (float(value),) * layers if np.isscalar(value) else tuple(float(v) for v in value)  # type: ignore[arg-type]
    if len(values) != layers:
        raise SettingError(f"{name} has {len(values)} values; give one number or {layers}, one for each weight layer")
    if any(not np.isfinite(v) or v < 0 for v in values):
        raise SettingError(f"{name} is {values}; every value must be finite and >= 0")
    return values


@dataclass(frozen=True, init=False)
class MLP:
    """A fully connected network of given widths, activation and parameter variances.

    `skip` applies to the steps into layers 2..L, never to the step from the inputs into layer 1. Where the width changes
    the skip is a fixed random projection, skip * P z with Gaussian entries of variance 1 / fan-in, drawn with the weights.
    Shapes: `widths` (n_0, ..., n_L); `weight_variance`, `bias_variance` one number or L numbers.
    Units: weight_variance is fan_in * Var W (pure number), bias_variance has the units of z**2.
    Raises: SettingError for fewer than two widths, widths below 1, or negative variances.

    Example:
    >>> MLP((64, 128, 10), "relu", weight_variance=2.0).depth
    2
    """

    widths: tuple[int, ...]
    activation: Activation
    weight_variance: tuple[float, ...]
    bias_variance: tuple[float, ...]
    skip: float

    def __init__(
        self,
        widths: Sequence[int],
        activation: "str | Activation | Callable" = "relu",
        *,
        weight_variance: float | Sequence[float],
        bias_variance: float | Sequence[float] = 0.0,
        skip: float = 0.0,
    ) -> None:
        sizes = tuple(int(n) for n in widths)
        if len(sizes) < 2 or min(sizes) < 1:
            raise SettingError(f"widths are {sizes}; at least two widths, each >= 1, are needed")
        layers = len(sizes) - 1
        object.__setattr__(self, "widths", sizes)
        object.__setattr__(self, "activation", _resolve(activation))
        object.__setattr__(self, "weight_variance", _per_layer(weight_variance, layers=layers, name="weight_variance"))
        object.__setattr__(self, "bias_variance", _per_layer(bias_variance, layers=layers, name="bias_variance"))
        object.__setattr__(self, "skip", float(skip))

    @property
    def depth(self) -> int:
        """Number L of weight layers."""
        return len(self.widths) - 1

    def critical(self) -> "MLP":
        """Return the same network with every layer at the critical point of its activation; raise NoCriticalPoint."""
        point = criticality(self.activation)
        if point.weight_variance is None or point.bias_variance is None:
            raise NoCriticalPoint(f"{self.activation.name} has no critical point: {point.reason}")
        scale = 1.0 - self.skip**2
        changed = replace_variances(self, weight_variance=scale * point.weight_variance)
        return replace_variances(changed, bias_variance=scale * point.bias_variance)


def _resolve(value: "str | Activation | Callable") -> Activation:
    return value if isinstance(value, Activation) else activation(value)


def replace_variances(network: MLP, **variances: float) -> MLP:
    """Return `network` with some of its variances replaced by one number for all layers."""
    fields = {
        "weight_variance": network.weight_variance,
        "bias_variance": network.bias_variance,
        "skip": network.skip,
        **variances,
    }
    return MLP(network.widths, network.activation, **fields)  # type: ignore[arg-type]

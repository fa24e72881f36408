"""How the parameters of a model are drawn: variance, mean and shape of the law of every tensor, from drawn networks.

Convention: weight_variance C_W = fan_in * E w^2, bias_variance C_b = E b^2 (second moments: a mean would enter the
forward pass like a variance). Excess kurtosis about the mean: Gaussian 0, uniform -1.2 (PyTorch's default).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from rgflow.errors import ModelError
from rgflow.networks.equality import tied_parameters
from rgflow.networks.roles import Role, fan_in, role
from rgflow.records.estimate import Estimate

__all__ = ["Law", "ParameterLaw", "initial_laws", "orthogonal_rows"]

Law = Literal["uniform", "gaussian", "constant", "zero", "other"]

# Kurtosis of the uniform law, and the variance of its estimate times the number of entries:
# Var(z^4 - 3.6 z^2 + 1.8) with E z^4 = 9/5, E z^6 = 27/7, E z^8 = 9 of a uniform z with unit variance.
UNIFORM_KURTOSIS = -1.2
UNIFORM_KURTOSIS_VARIANCE = 9 + 3.6**2 * 9 / 5 + 1.8**2 - 7.2 * 27 / 7 + 3.6 * 9 / 5 - 3.6 * 3.6
# The same for the Gaussian: 24 (Kendall and Stuart, vol. 1, ch. 12).
GAUSSIAN_KURTOSIS_VARIANCE = 24.0
# Two-sided false-alarm rate 6e-7 of a Gaussian score.
SIGNIFICANT = 5.0
# 300 Gaussian entries all lie within the range of the uniform law of their variance with probability 6e-7.
_ENOUGH_FOR_RANGE = 300
# Between-draw standard errors need draws: at 8 they are known to 27 % (1/sqrt(2 * 7)).
_ENOUGH_DRAWS = 8
# Entries of one tensor and draw that enter the moments: known to 0.2 % (uniform) from one draw already.
_SAMPLED = 2**18
# W W^T = c 1 up to float32 rounding of QR; a random matrix misses it by 1/sqrt(fan_in).
_ORTHOGONAL = 1e-4


@dataclass(frozen=True)
class ParameterLaw:
    """The law of one parameter tensor over seeds.

    `variance` is the second moment of an entry; `scaled_variance` is C_W for weights and C_b for biases and others;
    `mean_z` = mean / the standard error that it would have if it were 0; `tied_to` is the first name of the same tensor, or "".
    """

    name: str
    module: str
    kind: str
    role: Role
    shape: tuple[int, ...]
    fan_in: int | None
    variance: Estimate
    scaled_variance: Estimate
    mean: Estimate
    mean_z: float
    kurtosis: Estimate | None
    law: Law
    tied_to: str = ""
    orthogonal: bool = False


def initial_laws(draws: Iterable[nn.Module]) -> tuple[ParameterLaw, ...]:
    """Return the law of every named parameter, a tied one under each of its names, in the model's order.

    Errors: one standard error; between draws where there are at least 8, else over the entries of the tensor.
    Raises: ModelError if there is no draw, or if draws differ in their parameters.
    """
    samples: dict[str, list[_Moments]] = {}
    first: nn.Module | None = None
    for network in draws:
        first = network if first is None else first
        values = dict(network.named_parameters(remove_duplicate=False))
        if samples and samples.keys() != values.keys():
            raise ModelError("the factory builds networks with different parameters from draw to draw; fix its sizes")
        for name, value in values.items():
            samples.setdefault(name, []).append(_moments(value, earlier=samples.get(name, ())))
    if first is None:
        raise ModelError("there is no drawn network to estimate the initialisation from; draw at least one")
    ties = {name: group[0] for group in tied_parameters(first) for name in group[1:]}
    return tuple(
        _law(name, draws=moments, network=first, tied_to=ties.get(name, "")) for name, moments in samples.items()
    )


@dataclass(frozen=True)
class _Moments:
    """Power means of one tensor in one draw, about a shift that all draws share."""

    entries: int
    shift: float
    powers: Tensor  # E (x - shift)^k for k = 0..8
    lowest: float
    highest: float
    orthogonal: bool


def _moments(tensor: Tensor, *, earlier: "Iterable[_Moments]") -> _Moments:
    values = tensor.detach().to("cpu", torch.float64)
    before = next(iter(earlier), None)
    entries = values.numel()
    if entries == 0:
        return _Moments(0, 0.0, torch.zeros(9, dtype=torch.float64), 0.0, 0.0, False)
    flat = values.flatten()
    # An odd stride, so that it does not stay in one column of a matrix of even width.
    sample = flat[:: (entries // _SAMPLED) | 1]
    shift = float(flat.mean()) if before is None else before.shift
    powers = [torch.ones_like(sample)]
    for _ in range(8):
        powers.append(powers[-1] * (sample - shift))
    orthogonal = (before is None or before.orthogonal) and orthogonal_rows(values)
    means = torch.stack([power.mean() for power in powers])
    return _Moments(len(sample), shift, means, float(values.min()), float(values.max()), orthogonal)


def orthogonal_rows(weight: Tensor) -> bool:
    """Return whether the shorter side's vectors are orthogonal and equally long, W W^T = c 1 to 1e-4."""
    if weight.ndim < 2:
        return False
    matrix = weight.detach().to(torch.float64).flatten(1)
    matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    if matrix.shape[0] < 2 or not bool(matrix.any()):
        return False
    # Two rows decide almost always, and are cheap.
    for rows in (2, len(matrix)):
        gram = matrix[:rows] @ matrix[:rows].mT
        scale = gram.diagonal().mean()
        unit = torch.eye(len(gram), dtype=torch.float64)
        if float((gram / scale - unit).abs().max()) > _ORTHOGONAL:
            return False
    return True


def _law(name: str, *, draws: list[_Moments], network: nn.Module, tied_to: str) -> ParameterLaw:
    owner, _, key = name.rpartition(".")
    module = network.get_submodule(owner)
    tensor = network.get_parameter(name)
    its_role, its_fan = role(module, key=key, tensor=tensor), fan_in(module, key=key, tensor=tensor)
    second, mean = _second_moment(draws), _mean(draws)
    scale = float(its_fan) if its_role == "weight" and its_fan else 1.0
    return ParameterLaw(
        name=name,
        module=owner,
        kind=type(module).__name__,
        role=its_role,
        shape=tuple(tensor.shape),
        fan_in=its_fan,
        variance=second,
        scaled_variance=Estimate(scale * second.value, scale * second.error, second.kind),
        mean=mean,
        mean_z=_score_of_mean(mean, second, entries=_entries(draws)),
        kurtosis=_kurtosis(draws),
        law=_named_law(draws),
        tied_to=tied_to,
        orthogonal=draws[-1].orthogonal,
    )


def _second_moment(draws: list[_Moments]) -> Estimate:
    shift = draws[0].shift
    values = torch.stack([d.powers[2] + 2 * shift * d.powers[1] + shift**2 * d.powers[0] for d in draws])
    pooled = _pooled(draws)
    # Var x^2 with x = shift + y.
    spread = pooled[4] + 4 * shift * pooled[3] + 4 * shift**2 * pooled[2] - (pooled[2] + 2 * shift * pooled[1]) ** 2
    return _estimate(values, entry_variance=float(spread), entries=_entries(draws))


def _mean(draws: list[_Moments]) -> Estimate:
    values = torch.stack([d.powers[1] + d.shift * d.powers[0] for d in draws])
    pooled = _pooled(draws)
    return _estimate(values, entry_variance=float(pooled[2] - pooled[1] ** 2), entries=_entries(draws))


def _score_of_mean(mean: Estimate, second: Estimate, *, entries: int) -> float:
    """The mean in standard errors; few draws of few entries may agree by chance, so those of the second moment count."""
    error = max(mean.error, math.sqrt(second.value / max(entries, 1)))
    return mean.value / error if error > 0 else 0.0


def _estimate(values: Tensor, *, entry_variance: float, entries: int) -> Estimate:
    """Mean over draws, with the error between draws where there are enough (it sees correlated entries)."""
    if len(values) >= _ENOUGH_DRAWS:
        error = float(values.std()) / math.sqrt(len(values))
    else:
        error = math.sqrt(max(entry_variance, 0.0) / max(entries, 1))
    return Estimate(float(values.mean()), error, "statistical")


def _kurtosis(draws: list[_Moments]) -> Estimate | None:
    """Excess kurtosis of all entries about their mean; its error by the delta method, None for a constant."""
    if _constant(draws):
        return None
    m = _central(_pooled(draws))
    z3, z4, z5, z6, z8 = (float(m[k] / m[2] ** (k / 2)) for k in (3, 4, 5, 6, 8))
    # Variance of the influence of one entry, z^4 - z4 - 2 z4 (z^2 - 1) - 4 z3 z, with E z = 0 and E z^2 = 1.
    variance = z8 - z4**2 + 4 * z4**3 - 4 * z4 * z6 + 16 * z3**2 * (1 + z4) - 8 * z3 * z5
    return Estimate(z4 - 3.0, math.sqrt(max(variance, 0.0) / _entries(draws)), "statistical")


def _named_law(draws: list[_Moments]) -> Law:
    lowest, highest = min(d.lowest for d in draws), max(d.highest for d in draws)
    if lowest == highest:
        return "zero" if lowest == 0.0 else "constant"
    m, entries = _central(_pooled(draws)), _entries(draws)
    sigma = math.sqrt(float(m[2]))
    excess = float(m[4] / m[2] ** 2) - 3.0
    fits = _fitting(excess, entries=entries)
    # The uniform law ends at sqrt(3) sigma, and sigma itself is known to a relative sqrt(0.8 / 4 / entries).
    bounded = highest - lowest <= 2 * math.sqrt(3.0) * sigma * (1 + SIGNIFICANT * math.sqrt(0.2 / entries))
    if not bounded:
        fits = fits - {"uniform"}
    elif entries >= _ENOUGH_FOR_RANGE:
        fits = fits - {"gaussian"}
    return next(iter(fits)) if len(fits) == 1 else "other"


def law_of_kurtosis(excess: float, *, entries: int) -> Law:
    """Return the only one of "uniform" and "gaussian" that an excess kurtosis is consistent with, else "other"."""
    fits = _fitting(excess, entries=entries)
    return next(iter(fits)) if len(fits) == 1 else "other"


def _fitting(excess: float, *, entries: int) -> frozenset[Law]:
    laws: dict[Law, tuple[float, float]] = {
        "uniform": (UNIFORM_KURTOSIS, UNIFORM_KURTOSIS_VARIANCE),
        "gaussian": (0.0, GAUSSIAN_KURTOSIS_VARIANCE),
    }
    return frozenset(
        law
        for law, (value, variance) in laws.items()
        if abs(excess - value) <= SIGNIFICANT * math.sqrt(variance / entries)
    )


def _constant(draws: list[_Moments]) -> bool:
    return min(d.lowest for d in draws) == max(d.highest for d in draws)


def _entries(draws: list[_Moments]) -> int:
    return sum(d.entries for d in draws)


def _pooled(draws: list[_Moments]) -> Tensor:
    return torch.stack([d.powers for d in draws]).mean(0)


def _central(powers: Tensor) -> Tensor:
    """Moments about the mean from moments about the shift."""
    mean = -powers[1]
    return torch.stack(
        [sum((math.comb(k, j) * mean ** (k - j) * powers[j] for j in range(k + 1)), mean * 0) for k in range(9)]
    )

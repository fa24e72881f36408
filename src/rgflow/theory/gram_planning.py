"""Planning a Gram matrix: which mathematics serves these inputs, with which error, in how much memory.

Units: a kernel has the units of z^2, a tangent kernel those of z^2 times a rate. Errors are bounds relative to
sqrt(F_aa F_bb). Inputs become unit vectors u_a = (sqrt(C_W / n_0) x_a, sqrt(C_b)) / sqrt(K_aa), so that the first
layer's correlation, bias included, is a product u_a.u_b.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rgflow.errors import DataError, DeviceError, SettingError
from rgflow.records import MLP
from rgflow.theory.angle_variable import AngleVariable
from rgflow.theory.depth_fit import Core, DepthFit, Precision, depth_fit, diagonal_values
from rgflow.theory.depth_function import DepthLaw, DepthValues
from rgflow.theory.layer_programme import LayerProgramme, layer_programme
from rgflow.theory.separable_form import SeparableForm

__all__ = ["GramError", "GramPlan", "SeparableProgramme", "gram_plan"]


@dataclass(frozen=True)
class GramError:
    """Bounds on the error of every entry, relative to sqrt(F_aa F_bb); None where not asked for."""

    kernel: float | None
    tangent: float | None


@dataclass(frozen=True)
class SeparableProgramme:
    """Forms of kernel and tangent kernel in one variable of the angle, cut at `edges`."""

    kernel: SeparableForm | None
    tangent: SeparableForm | None
    variable: AngleVariable
    edges: tuple[float, ...]


@dataclass(frozen=True)
class GramPlan:
    """All that `gram_tile` needs for any tile; small (inputs and a few numbers per input), can be pickled and sent.

    Shapes: `rows` (N1, n_0 + 1), `columns` (N2, n_0 + 1) unit vectors in the working dtype; `kernel_rows`,
    `tangent_rows` (N1,) and `kernel_columns`, `tangent_columns` (N2,) the diagonals F(a, a), float64;
    `zero_rows`, `zero_columns` indices of inputs whose first layer vanishes; `lone_*` F(0, a) against such an input.
    `symmetric`: rows are columns. `near`: closer than this (1 - |cos|) / 2 the distance of the unit vectors is taken.
    """

    kind: tuple[str, ...]
    dtype: torch.dtype
    device: str
    symmetric: bool
    rows: Tensor
    columns: Tensor
    programme: SeparableProgramme | LayerProgramme | DepthLaw
    row_values: DepthValues
    column_values: DepthValues
    row_deviation: Tensor
    column_deviation: Tensor
    near: float
    route: str
    error: GramError

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrices."""
        return len(self.rows), len(self.columns)


# Float64: truncation below the rounding that a hundred layers gather. Float32: half a unit in the last place.
_PRECISIONS = {
    torch.float64: Precision(tolerance=1e-13, growth=1e3, rounding=2.0**-52),
    torch.float32: Precision(tolerance=3e-8, growth=8.0, rounding=2.0**-23),
}
# Averages by quadrature are known to about 1e-12; asking the fit for more would fit their noise.
_NUMERICAL = 3e-11
# (1 - |cos|) / 2 below which a product of unit vectors no longer knows the angle to the dtype: t < 0.02 and t < 0.28.
_NEAR = {torch.float64: 1e-4, torch.float32: 2e-2}
_LAYERED = ("scale-invariant", "erf", "gelu")
_KINDS = ("kernel", "tangent")


def gram_plan(
    network: MLP,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    kind: str | Sequence[str] = _KINDS,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    bias_rate: float | Sequence[float] = 1.0,
    weight_rate: float | Sequence[float] = 1.0,
) -> GramPlan:
    """Return the plan for the kernel K^(L) and the tangent kernel of `network` between the inputs x1 and x2 (x1 if None).

    `bias_rate`, `weight_rate` (one number or L) as in `rgflow.theory.tangent`; weight_rate = weight_variance and
    bias_rate = bias_variance give the tangent kernel in the "NTK parameterisation".
    Shapes: x1 (N1, n_0), x2 (N2, n_0). Errors: in `error`; checked on sampled pairs and multiplied by four.
    Raises: SettingError, DataError, DeviceError in one sentence, before any work.
    """
    kinds = _checked_kind(kind)
    _check_setting(network, dtype, device)
    first = _checked_inputs(x1, network, "x1")
    second = first if x2 is None else _checked_inputs(x2, network, "x2")
    law = _law(network, bias_rate=bias_rate, weight_rate=weight_rate)
    rows, row_deviation = _unit_vectors(law, first)
    columns, column_deviation = (rows, row_deviation) if x2 is None else _unit_vectors(law, second)
    both = row_deviation if x2 is None else torch.cat([row_deviation, column_deviation])
    vanishing = bool((both == 0.0).any())
    row_values = diagonal_values(law, row_deviation, vanishing=vanishing)
    column_values = row_values if x2 is None else diagonal_values(law, column_deviation, vanishing=vanishing)
    route, programme = _programme(
        law, both, (row_values, column_values), (row_deviation, column_deviation), kinds, dtype
    )
    ready = rows.to(device, dtype)
    plan = GramPlan(
        kind=kinds,
        dtype=dtype,
        device=device,
        symmetric=x2 is None,
        rows=ready,
        columns=ready if x2 is None else columns.to(device, dtype),
        programme=programme,
        row_values=row_values,
        column_values=column_values,
        row_deviation=row_deviation,
        column_deviation=column_deviation,
        near=_NEAR[dtype],
        route=route,
        error=GramError(None, None),
    )
    # Imported here: the check runs tiles of the plan that this module defines.
    from rgflow.theory.gram_check import observed_error

    return replace(plan, error=observed_error(plan, law, rows=rows, columns=columns))


def _checked_kind(kind: str | Sequence[str]) -> tuple[str, ...]:
    kinds = (kind,) if isinstance(kind, str) else tuple(kind)
    if not kinds or any(name not in _KINDS for name in kinds):
        raise SettingError(f"kind is {kind!r}; give 'kernel', 'tangent' or both")
    return tuple(name for name in _KINDS if name in kinds)


def _check_setting(network: MLP, dtype: torch.dtype, device: str) -> None:
    if dtype not in _PRECISIONS:
        raise SettingError(f"dtype is {dtype}; a Gram matrix is computed in torch.float64 or torch.float32")
    if network.skip != 0.0:
        raise SettingError(f"the network has skip {network.skip}; Gram matrices are known for skip = 0 only")
    if network.weight_variance[0] == 0.0:
        raise SettingError(
            "weight_variance of the first layer is 0, so that inputs do not count; give a positive number"
        )
    kind = torch.device(device).type
    if kind not in ("cpu", "cuda") or (kind == "cuda" and not torch.cuda.is_available()):
        raise DeviceError(
            f"device is {device!r}, which this machine does not offer; use 'cpu' (or 'cuda' where it exists)"
        )


def _checked_inputs(inputs: Tensor, network: MLP, name: str) -> Tensor:
    values = torch.as_tensor(inputs).detach().to("cpu", torch.float64)
    if values.ndim != 2 or values.shape[1] != network.widths[0] or not len(values):
        raise DataError(
            f"{name} has shape {tuple(values.shape)}; (inputs, {network.widths[0]}) is needed for widths {network.widths}"
        )
    if not bool(torch.isfinite(values).all()):
        raise DataError(f"{name} contains NaN or infinite values; remove or impute them first")
    return values


def _rates(value: float | Sequence[float], layers: int, name: str) -> tuple[float, ...]:
    rates = (float(value),) * layers if isinstance(value, int | float) else tuple(float(v) for v in value)
    if len(rates) != layers or any(not (math.isfinite(v) and v >= 0.0) for v in rates):
        raise SettingError(f"{name} is {value!r}; give one finite number >= 0 or {layers} of them, one for each layer")
    return rates


def _law(network: MLP, *, bias_rate: float | Sequence[float], weight_rate: float | Sequence[float]) -> DepthLaw:
    return DepthLaw(
        activation=network.activation,
        weight_variance=network.weight_variance,
        bias_variance=network.bias_variance,
        weight_rate=_rates(weight_rate, network.depth, "weight_rate"),
        bias_rate=_rates(bias_rate, network.depth, "bias_rate"),
    )


def _unit_vectors(law: DepthLaw, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors (N, n_0 + 1) and deviations sqrt(K_aa) (N,) of the first layer; zero vectors where K_aa = 0."""
    scale = math.sqrt(law.weight_variance[0] / inputs.shape[1])
    bias = torch.full((len(inputs), 1), math.sqrt(law.bias_variance[0]), dtype=torch.float64)
    augmented = torch.cat([scale * inputs, bias], 1)
    deviation = torch.linalg.vector_norm(augmented, dim=1)
    return augmented / deviation.clamp(min=1e-300).unsqueeze(1), deviation


def _programme(
    law: DepthLaw,
    both: Tensor,
    values: tuple[DepthValues, DepthValues],
    deviations: tuple[Tensor, Tensor],
    kinds: tuple[str, ...],
    dtype: torch.dtype,
) -> tuple[str, SeparableProgramme | LayerProgramme | DepthLaw]:
    precision = _PRECISIONS[dtype]
    if not law.activation.family:
        precision = replace(precision, tolerance=max(precision.tolerance, _NUMERICAL))
    present = both[both > 0.0]
    present = present if len(present) else torch.ones(1, dtype=torch.float64)
    equal = float(present.max() - present.min()) <= 1e-13 * float(present.max())
    if not (law.homogeneous or equal) and law.activation.family in _LAYERED:
        return "layer by layer, closed forms", layer_programme(law, *(part.variance for part in values))
    if not (law.homogeneous or equal) and law.activation.kinks:
        return "layer by layer, quadrature of every pair", law
    try:
        fit = depth_fit(law, present, precision=precision)
    except SettingError:
        if law.activation.family in _LAYERED:
            return "layer by layer, closed forms", layer_programme(law, *(part.variance for part in values))
        return "layer by layer, quadrature of every pair", law
    forms = [
        _form(fit, core, values, deviations, tangent=tangent) if name in kinds else None
        for name, core, tangent in (("kernel", fit.kernel, False), ("tangent", fit.tangent, True))
    ]
    route = "one function of the angle" if law.homogeneous or equal else "one function of norms and angle"
    return route, SeparableProgramme(forms[0], forms[1], fit.variable, fit.edges)


def _form(
    fit: DepthFit,
    core: Core,
    values: tuple[DepthValues, DepthValues],
    deviations: tuple[Tensor, Tensor],
    *,
    tangent: bool,
) -> SeparableForm:
    own = [part.tangent_diagonal if tangent else part.kernel_diagonal for part in values]
    factors = []
    for diagonal, deviation in zip(own, deviations, strict=True):
        if fit.basis is not None:
            factors.append(fit.basis.values(deviation) * diagonal.sqrt().unsqueeze(1))
        elif tangent:
            factors.append(torch.stack([deviation, torch.ones_like(deviation)][: len(core.terms)], 1))
        else:
            factors.append(diagonal.sqrt().unsqueeze(1))
    return SeparableForm(factors[0], factors[1].T.contiguous(), core.core, core.terms, own[0], own[1])

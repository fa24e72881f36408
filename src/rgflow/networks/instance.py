"""Redrawing a module instance: which tensors PyTorch's own reset draws rightly, and which follow another law.

The law of every tensor is read off its current values and compared with what the module's reset_parameters() draws.
A tensor that shows another law is drawn from that law if it is recognisable (constant, orthogonal, Gaussian or
uniform), else the instance is left as it is: a wrong law is worse than no error bar.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rgflow.errors import ModelError
from rgflow.networks.equality import equal_parameters, is_constant
from rgflow.networks.imports import says
from rgflow.networks.laws import GAUSSIAN_KURTOSIS_VARIANCE, SIGNIFICANT, law_of_kurtosis, orthogonal_rows

__all__ = ["RedrawPlan", "copied", "plan_redraw", "redrawn_copy"]

# Draws by reset_parameters() against which the current values are compared; they double its error at most by 1 + 1/8.
_RESETS = 8
# Number of parameters from which two resets must do (8 copies of 10^7 float32 are 320 MB).
_LARGE = 10**7
# Entries from which a sample kurtosis separates the uniform (-1.2) from the Gaussian (0) by more than 5 + 5 errors.
_ENOUGH_ENTRIES = 1000


@dataclass(frozen=True)
class RedrawPlan:
    """How each parameter of an instance is drawn again; names are dotted, `possible` False means not at all.

    `reset` follow reset_parameters(); `kept` stay as they are; `gaussian`, `uniform`, `orthogonal` are drawn with the
    measured root mean square; `copies` maps groups of equal tensors: the first is drawn, the others copy it.
    """

    possible: bool
    reason: str
    reset: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    gaussian: tuple[str, ...] = ()
    uniform: tuple[str, ...] = ()
    orthogonal: tuple[str, ...] = ()
    copies: tuple[tuple[str, ...], ...] = ()


def plan_redraw(module: nn.Module) -> RedrawPlan:
    """Return how to redraw `module`; draws from the global random state, so call it inside `untouched()`.

    Raises: ModelError if the module cannot be copied.
    """
    entries = sum(parameter.numel() for parameter in module.parameters())
    samples = [_reset_values(module) for _ in range(_RESETS if entries < _LARGE else 2)]
    kinds: dict[str, str] = {}
    for name, value in module.named_parameters():
        drawn = [sample[name] for sample in samples]
        # A tensor that still holds NaN is one that no reset writes.
        bare = any(bool(tensor.isnan().any()) for tensor in drawn)
        kinds[name] = ("kept" if is_constant(value) else "bare") if bare else _kind(value.detach(), drawn)
    open_names, bare_names = ([n for n, k in kinds.items() if k == kind] for kind in ("open", "bare"))
    if bare_names:
        return RedrawPlan(False, f"no reset_parameters() redraws {_listed(bare_names)}")
    kinds.update(_laws({name: module.get_parameter(name).detach() for name in open_names}))
    lawless = [name for name in open_names if kinds[name] == "other"]
    if lawless:
        return RedrawPlan(False, f"{_listed(lawless)} {_have(lawless)} values of no law that could be drawn again")
    chosen = {kind: tuple(n for n, k in kinds.items() if k == kind) for kind in (*_SENTENCES,)}
    copies = tuple(group for group in equal_parameters(module))
    return RedrawPlan(True, _sentence(chosen, copies), copies=copies, **chosen)


def redrawn_copy(module: nn.Module, plan: RedrawPlan) -> nn.Module:
    """Return a copy of `module`, drawn again by `plan` from the global random state, or a plain copy if impossible."""
    if not plan.possible:
        return copied(module)
    network = _reset_copy(module)
    old, new = dict(module.named_parameters()), dict(network.named_parameters())
    with torch.no_grad():
        for name in plan.kept:
            new[name].copy_(old[name])
        for name in (*plan.gaussian, *plan.uniform, *plan.orthogonal):
            rms = float(old[name].double().square().mean().sqrt())
            if name in plan.gaussian:
                new[name].normal_(0.0, rms)
            elif name in plan.uniform:
                new[name].uniform_(-math.sqrt(3.0) * rms, math.sqrt(3.0) * rms)
            else:
                nn.init.orthogonal_(new[name])
                new[name].mul_(rms / new[name].square().mean().sqrt())
        for first, *others in plan.copies:
            for other in others:
                new[other].copy_(new[first])
    return network


_SENTENCES = {
    "reset": "redrawn through reset_parameters()",
    "gaussian": "drawn Gaussian with the measured variance",
    "uniform": "drawn uniform with the measured variance",
    "orthogonal": "drawn orthogonal with the measured scale",
    "kept": "kept (constant)",
}


def _sentence(chosen: dict[str, tuple[str, ...]], copies: tuple[tuple[str, ...], ...]) -> str:
    parts = [f"{_listed(names)} {_SENTENCES[kind]}" for kind, names in chosen.items() if names]
    if len([names for names in chosen.values() if names]) == 1 and chosen["reset"]:
        parts = ["all parameters redrawn through reset_parameters()"]
    return "; ".join(parts + [f"{len(copies)} groups of equal tensors stay equal"] * bool(copies))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _have(names: Sequence[str]) -> str:
    return "have" if len(names) > 1 else "has"


def copied(module: nn.Module) -> nn.Module:
    """Return a deep copy of `module`, hooks and modes included.

    Raises: ModelError if it cannot be copied.
    """
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise ModelError(
            f"the module cannot be copied ({says(error)}); give a factory that builds it instead"
        ) from error


def _reset_copy(module: nn.Module) -> nn.Module:
    """A copy in which every submodule that can has redrawn its parameters."""
    return _reset(copied(module))


def _reset_values(module: nn.Module) -> dict[str, Tensor]:
    """Parameters after a reset that started from NaN."""
    network = copied(module)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(math.nan)
    return {name: parameter.detach() for name, parameter in _reset(network).named_parameters()}


def _reset(network: nn.Module) -> nn.Module:
    # Children before parents: nn.MultiheadAttention zeroes the bias of its output projection after that drew it.
    for submodule in reversed(list(network.modules())):
        reset = _reset_of(submodule)
        if reset is not None:
            try:
                reset()
            except Exception:  # a reset that needs arguments, say, is none: its tensors count as bare
                continue
    return network


def _reset_of(module: nn.Module) -> Callable[[], object] | None:
    found = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    return found if callable(found) else None


def _kind(value: Tensor, drawn: list[Tensor]) -> str:
    """What the current values show: "reset", "kept", "orthogonal", or "open" where another law must be found."""
    random = not all(torch.equal(drawn[0], other) for other in drawn[1:])
    if random and _consistent(value.double(), torch.stack(drawn).double()):
        return "reset"
    if is_constant(value) or torch.equal(value, drawn[0]):
        return "kept"
    return "orthogonal" if orthogonal_rows(value) else "open"


def _consistent(value: Tensor, drawn: Tensor) -> bool:
    """Whether mean, mean square, and (where it is known well) mean fourth power agree within 5 standard errors."""
    if is_constant(value) and (value.numel() > 1 or not bool(value.any())):
        return False
    scale = drawn.square().mean().sqrt()
    if orthogonal_rows(value) != orthogonal_rows(drawn[0]):
        return False
    now, reference = value.flatten() / scale, drawn.flatten() / scale
    if float(now.abs().max()) > _reach(reference):
        return False
    for power in (1, 2, 4) if now.numel() >= _ENOUGH_ENTRIES else (1, 2):
        error = float(reference.pow(power).std()) * math.sqrt(1 / now.numel() + 1 / reference.numel())
        if abs(float(now.pow(power).mean() - reference.pow(power).mean())) > SIGNIFICANT * error:
            return False
    return True


def _reach(reference: Tensor) -> float:
    """Largest modulus that the reference law can show, in units of its root mean square."""
    return _end_of_uniform(reference.numel()) if _law_by_kurtosis(reference) == "uniform" else math.inf


def _laws(tensors: dict[str, Tensor]) -> dict[str, str]:
    """The law of each tensor by its kurtosis; small tensors are judged together, and by what the large ones show."""
    scaled = {name: _standardised(value) for name, value in tensors.items()}
    laws = {name: _law_by_kurtosis(x) for name, x in scaled.items() if x.numel() >= _ENOUGH_ENTRIES}
    small = {name: x for name, x in scaled.items() if name not in laws}
    if small:
        laws.update(dict.fromkeys(small, _law_of_small(list(small.values()), shown=set(laws.values()))))
    return {name: laws[name] if _independent(tensors[name], scaled[name]) else "other" for name in tensors}


def _law_by_kurtosis(scaled: Tensor) -> str:
    return law_of_kurtosis(float(scaled.pow(4).mean()) - 3.0, entries=scaled.numel())


def _law_of_small(small: list[Tensor], *, shown: set[str]) -> str:
    """The law that all small tensors follow together: their own if they suffice, else the one the large ones show."""
    entries = sum(x.numel() for x in small)
    # The sample kurtosis in units of the sample's own rms is 3 N / (N + 2) on average for a Gaussian.
    unbiased = torch.cat([x * ((x.numel() + 2) / x.numel()) ** 0.25 for x in small])
    if entries >= _ENOUGH_ENTRIES:
        return _law_by_kurtosis(unbiased)
    error = math.sqrt(GAUSSIAN_KURTOSIS_VARIANCE / entries)
    fits = {"gaussian": abs(float(unbiased.pow(4).mean()) - 3.0) <= SIGNIFICANT * error}
    fits["uniform"] = all(float(x.abs().max()) <= _end_of_uniform(x.numel()) for x in small)
    return next((law for law, fit in fits.items() if fit and shown == {law}), "other")


def _end_of_uniform(entries: int) -> float:
    """Where the uniform law ends, in units of a root mean square that is known to a relative sqrt(0.2 / entries)."""
    return math.sqrt(3.0) * (1 + SIGNIFICANT * math.sqrt(0.2 / entries))


def _standardised(value: Tensor) -> Tensor:
    flat = value.double().flatten()
    return flat / flat.square().mean().sqrt()


def _independent(value: Tensor, scaled: Tensor) -> bool:
    """Whether the entries have mean 0 and no direction stands out, as in weights that have been trained.

    The square of the top singular value of an iid (n, m) matrix is (sqrt n + sqrt m)^2 up to Tracy-Widom
    fluctuations of size (sqrt n + sqrt m) (1/sqrt n + 1/sqrt m)^(1/3). Source: Johnstone 2001, Ann. Statist. 29, 295.
    """
    if abs(float(scaled.mean())) > SIGNIFICANT / math.sqrt(scaled.numel()):
        return False
    if value.ndim < 2:
        return True
    matrix = scaled.reshape(value.shape).flatten(1)
    rows, columns = matrix.shape
    centre = (math.sqrt(rows) + math.sqrt(columns)) ** 2
    width = (math.sqrt(rows) + math.sqrt(columns)) * (rows**-0.5 + columns**-0.5) ** (1 / 3)
    return float(torch.linalg.matrix_norm(matrix, 2)) ** 2 <= centre + SIGNIFICANT * width

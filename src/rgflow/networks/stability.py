"""The largest curvature of the loss, and the tangent kernel's trace by parameter, measured on drawn networks.

Curvature is the Gauss-Newton matrix J^T H J: J = d(outputs)/d(parameters), H = the loss's second derivative in the
outputs. Gradient descent with a step above 2 / (largest eigenvalue) diverges at first. float64 throughout.
Units: curvature is loss / parameter^2, a trace is output^2 / parameter^2, summed over inputs and outputs.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from rgflow.errors import DataError, ModelError, RgflowError, SettingError
from rgflow.networks.imports import says
from rgflow.networks.lanczos import largest_eigenvalue
from rgflow.networks.linearised import Linearised, linearised
from rgflow.networks.loss_curvature import LossKind, RootOfCurvature, root_of_curvature
from rgflow.networks.private_copy import double_precision
from rgflow.numerics.statistics import jackknife, mean
from rgflow.records.estimate import Estimate

__all__ = ["CurvatureMeasurement", "LossKind", "curvature_top"]

# Lanczos stops when the residual of the top pair is this fraction of the eigenvalue. The eigenvalue's own error is of
# second order in the residual, and networks differ from each other by tens of percent.
_TOLERANCE = 1e-3
# Multiplications of one pass, of the order 0.1 s of one core, below which a pass runs on one thread.
_FEW_OPERATIONS = 2**28


@dataclass(frozen=True)
class CurvatureMeasurement:
    """Top curvature and tangent-kernel traces of `networks` drawn networks.

    `top` is the mean over networks of the largest eigenvalue, `stable_step` = 2 / top, `tops` one value per network.
    Shapes: `traces` (networks, parameters): sum over inputs and outputs of |d f / d parameter|^2, the parameters in the
    order of `names`; `outputs` = number of inputs times outputs, by which a mean diagonal divides.
    """

    top: Estimate
    stable_step: Estimate
    tops: tuple[float, ...]
    names: tuple[str, ...]
    traces: Tensor
    outputs: int
    networks: int
    complete: bool = True

    @property
    def trace(self) -> Estimate:
        """Mean diagonal entry of the tangent kernel: its trace per input and output."""
        total = _mean(self.traces.sum(1))
        return Estimate(total.value / self.outputs, total.error / self.outputs, total.kind)

    def trace_of(self, names: Sequence[str]) -> Estimate:
        """Return the trace (summed over inputs and outputs) that belongs to the parameters `names`.

        Raises: SettingError for a name that is not among the trained parameters.
        """
        return _mean(self._part(names))

    def share(self, names: Sequence[str]) -> Estimate:
        """Return the part of the whole trace that the parameters `names` hold, as a ratio of means over networks."""
        return _ratio(self._part(names), self.traces.sum(1))

    def _part(self, names: Sequence[str]) -> Tensor:
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise SettingError(f"{unknown[0]} is not among the trained parameters {', '.join(self.names)}")
        return self.traces[:, [self.names.index(name) for name in names]].sum(1)


def curvature_top(
    draws: Iterable[nn.Module],
    inputs: Tensor,
    targets: Tensor | None = None,
    *,
    task_loss: LossKind,
    networks: int = 8,
    iterations: int = 40,
    probes: int = 2,
    tolerance: float = _TOLERANCE,
    seed: int = 0,
    seconds: float | None = None,
) -> CurvatureMeasurement:
    """Return the largest Gauss-Newton eigenvalue and the tangent-kernel traces of the first `networks` draws.

    `task_loss`: "cross_entropy" (mean over samples), "binary_cross_entropy", "mse" or "mean_square_output" (means over
    all elements). No such curvature depends on the targets' values; they are only checked for their number.
    Batch statistics are those of the batch, dropout is frozen per network, no buffer changes. After `seconds` no
    further network is begun (`complete` False); the first two always are.
    Errors: standard errors over networks; Lanczos to the relative residual `tolerance`; traces by stochastic probes.
    Raises: SettingError for an unknown loss or counts below 1; DataError for too few targets; ModelError if the model
    raises or cannot be differentiated twice.
    """
    for name, value in {"networks": networks, "iterations": iterations, "probes": probes}.items():
        if value < 1:
            raise SettingError(f"{name} is {value}; it must be at least 1")
    if targets is not None and len(targets) != len(inputs):
        raise DataError(f"there are {len(inputs)} inputs but {len(targets)} targets; give one target for each input")
    start = time.monotonic()
    seen: list[_Seen] = []
    complete = True
    for index, network in enumerate(islice(draws, networks)):
        complete = seconds is None or index < 2 or time.monotonic() - start <= seconds
        if not complete:
            break
        with double_precision(seed=seed + index), _threads_for(network, inputs):
            generator = torch.Generator().manual_seed(seed + index)
            search = partial(_top, iterations=iterations, tolerance=tolerance, generator=generator)
            seen.append(_measured(network, inputs, task_loss=task_loss, top=search, probes=probes, generator=generator))
    if not seen:
        raise SettingError("no networks were drawn to measure; at least 1 is needed")
    return _collected(seen, complete=complete)


@contextmanager
def _threads_for(network: nn.Module, inputs: Tensor) -> Iterator[None]:
    """One thread where the work is small: threads then wait for each other longer than they work."""
    threads = torch.get_num_threads()
    operations = len(inputs) * sum(p.numel() for p in network.parameters() if not is_lazy(p))
    torch.set_num_threads(1 if operations < _FEW_OPERATIONS else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class _Seen:
    """What one network shows."""

    top: float
    traces: Tensor
    names: tuple[str, ...]
    outputs: int


def _measured(
    network: nn.Module,
    inputs: Tensor,
    *,
    task_loss: LossKind,
    top: Callable[[Linearised, RootOfCurvature], float],
    probes: int,
    generator: torch.Generator,
) -> _Seen:
    try:
        model = linearised(network, inputs)
        largest = top(model, root_of_curvature(model.outputs, task_loss=task_loss))
        traces = _traces(model, probes=probes, generator=generator)
    except RgflowError:
        raise
    except Exception as error:
        raise ModelError(f"the curvature cannot be measured: {says(error)}") from error
    return _Seen(largest, traces, model.names, model.outputs.numel())


def _top(
    model: Linearised, root: RootOfCurvature, *, iterations: int, tolerance: float, generator: torch.Generator
) -> float:
    """Largest eigenvalue of S^T J J^T S, the same as that of J^T H J, in the smaller space of outputs."""

    def product(u: Tensor) -> Tensor:
        return root.transpose(model.push(model.pull(root.apply(u))))

    start = product(torch.randn(model.outputs.shape, generator=generator, dtype=model.outputs.dtype))
    if not bool(start.any()):
        return 0.0
    return largest_eigenvalue(product, start=start, iterations=iterations, tolerance=tolerance).value


def _traces(model: Linearised, *, probes: int, generator: torch.Generator) -> Tensor:
    """Unbiased estimates of the sum over inputs and outputs of |d f / d theta|^2, by parameter.

    Random signs u give E |J^T u|^2 = trace. Where inputs have collapsed, all rows of J are nearly equal and signs over
    inputs fluctuate as much as the trace itself; so the direction common to all inputs, and the rest, are probed apart.
    """
    shape = model.outputs.shape
    total = torch.zeros(len(model.parameters), dtype=torch.float64)
    for _ in range(probes):
        signs = _signs(shape, generator=generator)
        common = _signs((1, *shape[1:]), generator=generator).expand(shape) / shape[0] ** 0.5
        for cotangent in (common, signs - signs.mean(0, keepdim=True)):
            total += torch.stack([part.square().sum() for part in model.pull(cotangent)])
    return total / probes


def _signs(shape: Sequence[int], *, generator: torch.Generator) -> Tensor:
    return 2.0 * torch.randint(0, 2, tuple(shape), generator=generator).double() - 1.0


def _collected(seen: list[_Seen], *, complete: bool) -> CurvatureMeasurement:
    tops = torch.tensor([one.top for one in seen], dtype=torch.float64)
    top = _mean(tops)
    value = 2.0 / top.value if top.value > 0 else math.inf
    step = Estimate(value, value * top.error / top.value if top.value > 0 else math.inf, "statistical")
    traces = torch.stack([one.traces for one in seen])
    return CurvatureMeasurement(
        top, step, tuple(tops.tolist()), seen[0].names, traces, seen[0].outputs, len(seen), complete
    )


def _mean(samples: Tensor) -> Estimate:
    if len(samples) < 2:
        return Estimate(float(samples[0]), math.inf, "statistical")
    found = mean(samples)
    return Estimate(float(found.value), float(found.error), "statistical")


def _ratio(part: Tensor, whole: Tensor) -> Estimate:
    if float(whole.sum()) == 0.0:
        return Estimate(0.0, 0.0, "statistical")
    if len(part) < 2:
        return Estimate(float(part[0] / whole[0]), math.inf, "statistical")
    found = jackknife(torch.div, [part, whole])
    return Estimate(float(found.value), float(found.error), "statistical")

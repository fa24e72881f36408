"""Measure an ensemble of drawn networks: per network and row the signal, spread, dead channels and gradients.

Convention: every draw is copied, the copy runs in float64 on a float64 copy of the data and in the draw's own
train/eval mode, forward and backward once. A row without a number gets NaN; of a parameter that several rows share
the gradient is booked on the first of them. Units: as in `rgflow.records.measurement`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rgflow.errors import SettingError
from rgflow.networks.intercept import watch
from rgflow.networks.private_copy import double_precision, parameter_names, private_copy, widened
from rgflow.networks.row_moments import dead_fraction, signal, spread
from rgflow.networks.rows import LinearCall, Row, first_tensor, one_line, task_loss
from rgflow.records.measurement import EnsembleMeasurement, RowIdentity

__all__ = ["measure_ensemble"]

Loss = Callable[[Tensor, Tensor], Tensor]


def measure_ensemble(
    draws: Iterable[nn.Module], inputs: Tensor, targets: Tensor | None, *, loss: Loss, seed: int = 0
) -> EnsembleMeasurement:
    """Return what every draw shows on one batch, row by row.

    `loss(outputs, targets)` is a mean loss; without targets the loss is the mean squared output. `seed` rules dropout.
    Shapes: inputs (batch, ...), arrays of the result (networks, rows).
    Errors: none beyond rounding (float64); a model that raises midway keeps the rows so far and sets `error`.
    Raises: SettingError if `draws` is empty.
    """
    runs = []
    for index, draw in enumerate(draws):
        with double_precision(draw, seed=seed + index):
            runs.append(_measure_one(draw, inputs, targets, loss=loss))
    if not runs:
        raise SettingError("no networks were drawn to measure; at least 1 is needed")
    return _collect(runs)


@dataclass
class _Run:
    """The visitor that records one network."""

    batch: int
    rows: list[Row] = field(default_factory=list)
    moments: list[tuple[float, ...]] = field(default_factory=list)
    backward: dict[int, float] = field(default_factory=dict)
    gradients: list[float] = field(default_factory=list)
    loss: float = float("nan")
    output_square: float = float("nan")
    error: str = ""

    def linear(self, call: LinearCall, x: Tensor, /) -> Tensor:
        """Return the user's own output."""
        return call.literal(x)

    def output(self, row: Row, tensor: Tensor, /) -> Tensor:
        """Record the row's moments and wait for its cotangent; pass the tensor on as it is."""
        z, at = tensor.detach(), len(self.rows)
        batched = z.ndim > 0 and z.shape[0] == self.batch
        dead = dead_fraction(z, channel_axis=row.channel_axis) if batched else float("nan")
        of_spread = float(spread(z[None])) if batched else float("nan")
        self.rows.append(row)
        self.moments.append((float(signal(z[None])), of_spread, dead))
        if tensor.requires_grad:
            tensor.register_hook(lambda cotangent: self.backward.update({at: float(cotangent.pow(2).sum())}))
        return tensor


def _measure_one(draw: nn.Module, inputs: Tensor, targets: Tensor | None, *, loss: Loss) -> _Run:
    run = _Run(batch=len(inputs))
    try:
        module, x, y = private_copy(draw, inputs), widened(inputs), widened(targets)
        named = parameter_names(module)
        names = {id(p): named[name] for name, p in module.named_parameters()}
        with watch(module, run, names=names):
            output = first_tensor(module(x))
        if output is None:
            raise TypeError("the model returns no floating-point tensor")
        run.output_square = float(output.detach().pow(2).mean())
        value = task_loss(output, y, loss=loss)
        run.loss = float(value.detach())
        if value.requires_grad:
            value.backward()
        run.gradients = _gradient_squares(run.rows)
    except Exception as error:
        run.error = one_line(error)
    return run


def _gradient_squares(rows: list[Row]) -> list[float]:
    """|dL/d(parameters)|^2 of each row, every parameter booked once."""
    booked: set[int] = set()
    squares = []
    for row in rows:
        fresh = [p for p in row.parameters if id(p) not in booked]
        booked.update(id(p) for p in fresh)
        found = [p.grad for p in fresh if p.grad is not None]
        squares.append(sum(float(g.pow(2).sum()) for g in found) if found else float("nan"))
    return squares


def _collect(runs: list[_Run]) -> EnsembleMeasurement:
    """Rows in the order of their first appearance; a network without a row has NaN there."""
    rows: dict[str, RowIdentity] = {}
    for run in runs:
        for row in run.rows:
            rows.setdefault(row.identity.name, row.identity)
    column = {name: at for at, name in enumerate(rows)}
    tables = torch.full((5, len(runs), len(rows)), torch.nan, dtype=torch.float64)
    for index, run in enumerate(runs):
        for at, row in enumerate(run.rows):
            gradient = run.gradients[at] if run.gradients else float("nan")
            cells = (*run.moments[at], gradient, run.backward.get(at, float("nan")))
            tables[:, index, column[row.identity.name]] = torch.tensor(cells, dtype=torch.float64)
    return EnsembleMeasurement(
        tuple(rows.values()),
        *tables,
        loss=torch.tensor([run.loss for run in runs], dtype=torch.float64),
        output_square=torch.tensor([run.output_square for run in runs], dtype=torch.float64),
        error=next((run.error for run in runs if run.error), ""),
    )

"""One trial run of one draw: the shape of its output, how many positions its maps have, and why it fails if it does."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rgflow.errors import DataError
from rgflow.networks.measure import measure_ensemble, one_line
from rgflow.networks.private_copy import double_precision, private_copy, widened
from rgflow.networks.rows import first_tensor

__all__ = ["Trial", "run_trial"]

_FEATURES = ("in_features", "in_channels", "num_embeddings")


@dataclass(frozen=True)
class Trial:
    """What one run shows: `output_shape` without the batch, or () if it fails; `positions` = most positions (pixels,
    tokens) that one linear map sees per input; `error` = one line, "" if the run succeeds."""

    output_shape: tuple[int, ...]
    positions: int
    error: str


def run_trial(draw: nn.Module, inputs: Tensor) -> Trial:
    """Return the trial of one draw on a few inputs.

    Raises: DataError if the model refuses the inputs before its first parametric row has run.
    """
    output_shape: tuple[int, ...] = ()
    error = ""
    with double_precision(seed=0), torch.no_grad():
        try:
            module = private_copy(draw, inputs)
            output = first_tensor(module(widened(inputs)))
            output_shape = tuple(output.shape[1:]) if output is not None else ()
        except Exception as raised:
            error = one_line(raised)
    rows = measure_ensemble([draw], inputs, None, loss=lambda outputs, targets: outputs.square().mean()).rows
    parametric = [row for row in rows if row.parametric]
    if error and not parametric:
        raise DataError(_refusal(draw, inputs, error))
    return Trial(output_shape, max((_positions(row.shape) for row in rows if row.linear), default=1), error)


def _positions(shape: tuple[int, ...]) -> int:
    """Return pixels of (channels, height, width) or tokens of (tokens, channels); 1 for a vector."""
    if len(shape) >= 3:
        return math.prod(shape[1:])
    return shape[0] if len(shape) == 2 else 1


def _refusal(draw: nn.Module, inputs: Tensor, error: str) -> str:
    first = next((module for module in draw.modules() if any(hasattr(module, name) for name in _FEATURES)), None)
    given = tuple(inputs.shape[1:])
    if first is None:
        return f"the model cannot take inputs of shape (batch, {', '.join(map(str, given))}): {error}"
    name = next(name for name in _FEATURES if hasattr(first, name))
    expected = f"{type(first).__name__} with {name}={getattr(first, name)}"
    return (
        f"the model's first layer is a {expected}, but each input has shape {given}: {error};"
        " reshape the data or change the layer"
    )

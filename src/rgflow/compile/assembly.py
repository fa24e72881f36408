"""From blocks of neurons to an `nn.Sequential` of `nn.Linear` and activation modules.

Every hidden layer is Linear (values to neurons), activation, Linear (neurons to values): a product is rounded once, before
the neurons of the next layer see it. One Linear in place of the last two would round u + v and u - v apart, and the small
scale of the next product would amplify the difference; it would also be larger, 4P x 4P' instead of 4P x P and P x 4P'.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rgflow.compile.plan import Form, Gate, Output
from rgflow.compile.smooth import activation_module
from rgflow.compile.unit import Unit
from rgflow.errors import SettingError

__all__ = ["Block", "assembled", "block_of", "weight_bytes"]

BYTES_AT_MOST = 8 * 2**30  # weights beyond it do not fit an ordinary machine


@dataclass(frozen=True)
class Block:
    """Neurons s(rows @ forms + bias) and the values weights @ neurons + offset that the next layer reads.

    Shapes: rows (neurons, forms), bias (neurons,), weights (values, neurons), offset (values,).
    """

    forms: tuple[Form, ...]
    rows: np.ndarray
    bias: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    label: str
    kind: str

    @property
    def neurons(self) -> int:
        """How many neurons the block has."""
        return len(self.rows)


def block_of(gate: Gate, unit: Unit) -> Block:
    """Return the block that computes a gate by a unit."""
    bias = np.full(unit.neurons, unit.bias)
    return Block(gate.forms, unit.rows, bias, unit.weights[None, :], np.array([unit.offset]), gate.label, unit.kind)


def weight_bytes(
    layers: Sequence[Sequence[Block]], outputs: Sequence[Output], *, inputs: int, dtype: torch.dtype
) -> int:
    """Return the memory of all weights and biases, before anything is allocated."""
    size, values = 0, inputs
    for number, blocks in enumerate(layers, 1):
        neurons, fresh = sum(b.neurons for b in blocks), sum(len(b.offset) for b in blocks)
        read = len(outputs) if number == len(layers) and _alone(outputs) else fresh
        size += neurons * (values + 1) + read * (neurons + 1)
        values = fresh
    if not layers or not _alone(outputs):
        size += len(outputs) * (values + 1)
    return size * torch.finfo(dtype).bits // 8


def assembled(
    layers: Sequence[Sequence[Block]],
    outputs: Sequence[Output],
    *,
    bounds: Sequence[float],
    activation: str,
    dtype: torch.dtype,
) -> nn.Sequential:
    """Return the network; `bounds` are the half-widths of the inputs, by which the first layer divides.

    Raises: SettingError for weights beyond 8 GiB or beyond the range of `dtype`.
    """
    memory = weight_bytes(layers, outputs, inputs=len(bounds), dtype=dtype)
    if memory > BYTES_AT_MOST:
        raise SettingError(
            f"the weights would take {memory / 2**30:.1f} GiB, at most {BYTES_AT_MOST // 2**30} are allowed; "
            "allow more layers or fewer monomials"
        )
    divisors, values = np.asarray(bounds, dtype=np.float64), len(bounds)
    modules: list[nn.Module] = []
    for number, blocks in enumerate(layers, 1):
        weight, offset = _outward(blocks)
        if number == len(layers) and _alone(outputs):  # the factor of a product goes into the layer that reads it
            read, constant = _read_out(outputs, len(offset), np.ones(len(offset)))
            weight, offset = read @ weight, read @ offset + constant
        inward = _linear(*_inward(blocks, values, divisors), dtype=dtype)
        modules += [inward, activation_module(activation), _linear(weight, offset, dtype=dtype)]
        values = len(offset)
        divisors = np.ones(values)
    if not layers or not _alone(outputs):
        modules.append(_linear(*_read_out(outputs, values, divisors), dtype=dtype))
    return nn.Sequential(*modules)


def _alone(outputs: Sequence[Output]) -> bool:
    """Whether every output is one value times a number, plus a constant."""
    return all(len(output.form.indices) == 1 for output in outputs)


def _inward(blocks: Sequence[Block], values: int, divisors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weight = np.zeros((sum(b.neurons for b in blocks), values))
    start = 0
    for block in blocks:
        for column, form in zip(block.rows.T, block.forms, strict=True):
            index = list(form.indices)
            scaled = np.asarray(form.coefficients) / divisors[index]
            weight[start : start + block.neurons, index] += np.outer(column, scaled)
        start += block.neurons
    return weight, np.concatenate([block.bias for block in blocks])


def _outward(blocks: Sequence[Block]) -> tuple[np.ndarray, np.ndarray]:
    weight = np.zeros((sum(len(b.offset) for b in blocks), sum(b.neurons for b in blocks)))
    row = column = 0
    for block in blocks:
        weight[row : row + len(block.offset), column : column + block.neurons] = block.weights
        row, column = row + len(block.offset), column + block.neurons
    return weight, np.concatenate([block.offset for block in blocks])


def _read_out(outputs: Sequence[Output], values: int, divisors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weight = np.zeros((len(outputs), values))
    for row, output in enumerate(outputs):
        index = list(output.form.indices)
        weight[row, index] = np.asarray(output.form.coefficients) / divisors[index]
    return weight, np.array([output.constant for output in outputs])


def _linear(weight: np.ndarray, bias: np.ndarray, *, dtype: torch.dtype) -> nn.Linear:
    largest = max(np.abs(weight).max(initial=0.0), np.abs(bias).max(initial=0.0))
    if not largest <= torch.finfo(dtype).max:
        raise SettingError(
            f"a weight of {largest:.3g} exceeds the range of {dtype}; use torch.float64 or a smaller domain"
        )
    linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")  # draws no random numbers
    linear.weight = nn.Parameter(torch.from_numpy(weight).to(dtype))
    linear.bias = nn.Parameter(torch.from_numpy(bias).to(dtype))
    return linear

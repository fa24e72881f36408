"""Two looks at one draw: the rows as they are, and a run on marked channels that tells which maps mix positions.

In the second run every map's output is replaced by noise that is constant along positions. A later map whose input
varies more along other axes than along its own channel axis acts on positions (token mixing). A map whose input is
the same in both runs sees the data themselves.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rgflow.networks.intercept import watch
from rgflow.networks.rows import LinearCall, Row, one_line

__all__ = ["Survey", "survey"]


@dataclass(frozen=True)
class Survey:
    """Rows with their output shapes; per linear call its input shape and what the marked run says of it.

    `foreign` = ids of parameters that are used outside the row that owns them; `error` = what the model raised.
    """

    rows: tuple[Row, ...]
    shapes: tuple[tuple[int, ...], ...]
    input_shapes: tuple[tuple[int, ...], ...]
    on_data: tuple[bool, ...]
    mixes: tuple[bool, ...]
    call_numbers: dict[int, int]
    foreign: frozenset[int]
    error: str = ""


def survey(module: nn.Module, x: Tensor, *, names: dict[int, str]) -> Survey:
    """Return what both runs of a private copy on the batch x show."""
    plain, error = _Plain(), ""
    with torch.no_grad(), watch(module, plain, names=names) as interception:
        try:
            module(x.clone())
        except Exception as raised:
            error = one_line(raised)
    marked = _Marked(plain.prints)
    if not error:
        marked.run(module, x, names=names)
    unknown = [False] * (len(plain.calls) - len(marked.mixes))
    return Survey(
        rows=tuple(plain.rows),
        shapes=tuple(plain.shapes),
        input_shapes=tuple(plain.input_shapes),
        on_data=(*marked.on_data, *unknown)[: len(plain.calls)],
        mixes=(*marked.mixes, *unknown)[: len(plain.calls)],
        call_numbers={id(call): number for number, call in enumerate(plain.calls)},
        foreign=frozenset(interception.foreign),
        error=error,
    )


@dataclass
class _Plain:
    """The visitor of the plain run; a print is (sum, sum of moduli) of a map's input."""

    rows: list[Row] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    calls: list[LinearCall] = field(default_factory=list)
    input_shapes: list[tuple[int, ...]] = field(default_factory=list)
    prints: list[tuple[float, float]] = field(default_factory=list)

    def linear(self, call: LinearCall, x: Tensor, /) -> Tensor:
        self.calls.append(call)
        self.input_shapes.append(tuple(x.shape))
        self.prints.append(_print(x))
        return call.literal(x)

    def output(self, row: Row, tensor: Tensor, /) -> Tensor:
        self.rows.append(row)
        self.shapes.append(tuple(tensor.shape))
        return tensor


class _Marked:
    """The visitor of the run on marked channels."""

    def __init__(self, prints: list[tuple[float, float]]) -> None:
        self.prints = prints
        self.generator = torch.Generator().manual_seed(0)
        self.on_data: list[bool] = []
        self.mixes: list[bool] = []

    def run(self, module: nn.Module, x: Tensor, *, names: dict[int, str]) -> None:
        # The marked signals may break the user's own assertions; what was learnt until then is kept.
        with torch.no_grad(), watch(module, self, names=names):
            try:
                module(x.clone())
            except Exception:
                return

    def linear(self, call: LinearCall, x: Tensor, /) -> Tensor:
        number, axis = len(self.mixes), 1 if call.convolution else x.ndim - 1
        known = number < len(self.prints) and _print(x) == self.prints[number]
        self.on_data.append(known)
        self.mixes.append(not known and _varies_elsewhere(x, axis))
        like = call.literal(x)
        if self.mixes[-1] and like.ndim == x.ndim and not call.convolution:
            return x.mean(axis, keepdim=True).expand_as(like).clone()
        shape = [size if at in (0, axis) else 1 for at, size in enumerate(like.shape)]
        return torch.randn(shape, dtype=like.dtype, generator=self.generator).expand_as(like).clone()

    def output(self, row: Row, tensor: Tensor, /) -> Tensor:
        return tensor


def _print(x: Tensor) -> tuple[float, float]:
    return float(x.sum()), float(x.abs().sum())


def _varies_elsewhere(x: Tensor, axis: int) -> bool:
    """Whether x (batch first) varies more along its position axes than along its channel axis."""
    positions = [at for at in range(1, x.ndim) if at != axis]
    if not positions or x.shape[axis] < 2:
        return False
    along_channels = x.mean(positions).var(1, unbiased=False).mean()
    along_positions = x.mean(axis).flatten(1).var(1, unbiased=False).mean()
    return bool(along_positions > along_channels)

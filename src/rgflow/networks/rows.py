"""What a row is: one call of one leaf module, or of one operation on a bare parameter, in order of execution.

Convention: a row carries the dotted name of its module (or parameter); the second call of the same one is `name#2`.
A leaf is a module without children (a parametrised module counts as one). A row's shape leaves out the batch axis.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from rgflow.records.measurement import RowIdentity

__all__ = [
    "LinearCall",
    "Row",
    "default_channel_axis",
    "first_tensor",
    "is_leaf",
    "one_line",
    "task_loss",
    "with_first_tensor",
]


@dataclass(frozen=True)
class LinearCall:
    """One call of a parametric linear map: `literal(x)` is the user's own operation, the rest its geometry.

    `family` is "linear", "matmul" (x @ W, W of shape (in, out)), "conv" or "transposed"; the channel axis of input and
    output is the last one for the first two, axis 1 for the others.
    """

    family: str
    function: str
    weight: Tensor
    bias: Tensor | None
    literal: Callable[[Tensor], Tensor]
    stride: int | tuple[int, ...] = 1
    padding: int | str | tuple[int, ...] = 0
    dilation: int | tuple[int, ...] = 1
    output_padding: int | tuple[int, ...] = 0
    groups: int = 1

    @property
    def convolution(self) -> bool:
        """Whether the map slides a kernel over positions (channel axis 1)."""
        return self.family in ("conv", "transposed")

    @property
    def kernel(self) -> tuple[int, ...]:
        """Sides of the kernel; () for a dense map."""
        return tuple(self.weight.shape[2:]) if self.convolution else ()

    @property
    def channels_out(self) -> int:
        """Output channels of the map."""
        by_family = {"linear": 0, "matmul": 1, "conv": 0, "transposed": 1}
        return self.weight.shape[by_family[self.family]] * (self.groups if self.family == "transposed" else 1)

    @property
    def channels_per_output(self) -> int:
        """Input channels that one output channel sees: fan-in over the number of kernel offsets."""
        if self.family == "transposed":
            return self.weight.shape[0] // self.groups
        return self.weight.shape[0 if self.family == "matmul" else 1]


@dataclass(frozen=True)
class Row:
    """One row while it is executed: its identity, its parameters as tensors, and the linear map it is, if it is one."""

    identity: RowIdentity
    parameters: tuple[Tensor, ...]
    module_name: str
    channel_axis: int
    call: LinearCall | None = None


def is_leaf(module: nn.Module) -> bool:
    """Return whether a module is a row of its own: no children, or attention that hides its projections."""
    children = [name for name, _ in module.named_children() if name != "parametrizations"]
    return not children or isinstance(module, nn.MultiheadAttention)


def first_tensor(output: object) -> Tensor | None:
    """Return the first floating-point tensor of a module's output (a tensor, tuple, list, mapping or dataclass)."""
    if isinstance(output, Tensor):
        return output if output.is_floating_point() else None
    if isinstance(getattr(output, "logits", None), Tensor):
        return output.logits  # type: ignore[union-attr]
    if isinstance(output, Mapping):
        output = [output["logits"]] if "logits" in output else list(output.values())
    elif hasattr(output, "__dataclass_fields__"):
        output = list(vars(output).values())
    if isinstance(output, Sequence) and not isinstance(output, str):
        return next((found for found in map(first_tensor, output) if found is not None), None)
    return None


def with_first_tensor(output: object, tensor: Tensor) -> object:
    """Return `output` with its first floating-point tensor replaced (plain tensors, tuples and lists)."""
    if isinstance(output, Tensor):
        return tensor
    if type(output) in (tuple, list):
        found, items = first_tensor(output), []
        for item in output:  # type: ignore[union-attr]
            hit = found is not None and first_tensor(item) is found
            items.append(with_first_tensor(item, tensor) if hit else item)
            found = None if hit else found
        return type(output)(items)  # type: ignore[operator]
    return output


def default_channel_axis(tensor: Tensor) -> int:
    """Return the axis that torch's own layers use for channels: 1 for images, else the last."""
    return 1 if tensor.ndim >= 4 else max(tensor.ndim - 1, 0)


def task_loss(outputs: Tensor, targets: Tensor | None, *, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return loss(outputs, targets), or the mean squared output where there are no targets."""
    return outputs.pow(2).mean() if targets is None else loss(outputs, targets)


def one_line(error: BaseException) -> str:
    """Return an error as one line: its type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__

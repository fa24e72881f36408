"""Seeing all replicas at once from inside `torch.vmap`: the full stack of a tensor, and a literal loop over replicas.

Convention: under vmap the user's code sees one replica; `on_stack` hands a function the stack (replicas, ...). `lane`
is a zero that differs between replicas as far as vmap knows, so that tensors without a replica axis get one.
"""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

__all__ = ["OwnTensors", "loop_over_replicas", "on_stack"]

_MAKERS = {torch.zeros, torch.ones, torch.empty, torch.full} | {
    *(Tensor.new_zeros, Tensor.new_ones, Tensor.new_empty, Tensor.new_full)
}


def on_stack(function: Callable[[Tensor], Tensor], x: Tensor, *, lane: Tensor) -> Tensor:
    """Return function(stack of x) from inside vmap, as the tensor of one replica."""
    # The clone lets the user's code write into the result in place, which autograd forbids on outputs of functions;
    # some rules of vmap (group norm) need it laid out plainly.
    lifted = _OnStack.apply(lambda stacks: (function(stacks[0]).contiguous(),), lane, x)[0]
    return lifted.clone(memory_format=torch.contiguous_format)


def loop_over_replicas(
    module: nn.Module, parameters: Mapping[str, Tensor], *, lane: Callable[[], Tensor], check: Callable[[], None]
) -> Callable:
    """Return a forward of `module` for use inside vmap that runs it literally, replica by replica.

    `parameters` maps the module's own parameter names to stacks (replicas, ...). Integer and non-tensor arguments
    pass unchanged. Raises whatever the module raises, and what `check` raises (called once per replica).
    """
    literal = copy.deepcopy(module)
    # Taken apart once: a slice per call would make every backward step add a full stack.
    own = {name: stack.unbind(0) for name, stack in parameters.items()}
    shape: list[TreeSpec] = []

    def forward(*args: object, **kwargs: object) -> object:
        leaves, spec = tree_flatten((args, kwargs))
        where = [at for at, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

        def run(stacks: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            outputs = []
            for replica, pieces in enumerate(zip(*(stack.unbind(0) for stack in stacks), strict=True)):
                check()
                filled = list(leaves)
                for at, piece in zip(where, pieces, strict=True):
                    filled[at] = piece.clone()
                own_args, own_kwargs = tree_unflatten(filled, spec)
                mine = {name: stack[replica] for name, stack in own.items()}
                found, out_spec = tree_flatten(functional_call(literal, mine, own_args, own_kwargs))
                shape[:] = [out_spec]
                outputs.append(found)
            return tuple(torch.stack(column) for column in zip(*outputs, strict=True))

        with torch._C.DisableTorchFunction():
            results = _OnStack.apply(run, lane(), *[leaves[at] for at in where])
        return tree_unflatten([result.clone() for result in results], shape[0])

    return forward


class OwnTensors(TorchFunctionMode):
    """Gives tensors made inside a forward a replica axis, so that in-place writes of replicas into them work."""

    def __init__(self, lane: Tensor) -> None:
        super().__init__()
        self.lane = lane

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        made = func(*args, **(kwargs or {}))
        if func in _MAKERS and isinstance(made, Tensor) and made.is_floating_point():
            return made + self.lane
        return made


class _OnStack(torch.autograd.Function):
    """run(stacks) -> tuple of stacks; only its vmap rule is ever used, so autograd sees what run does."""

    @staticmethod
    def forward(run: Callable, lane: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(out[0] for out in run(tuple(t[None] for t in tensors)))

    @staticmethod
    def setup_context(ctx: object, inputs: tuple, output: object) -> None:
        pass

    @staticmethod
    def vmap(info: object, in_dims: tuple, *operands: object) -> tuple:
        run, _, *tensors = operands
        replicas = info.batch_size  # type: ignore[attr-defined]
        stacks = tuple(
            tensor.expand(replicas, *tensor.shape) if at is None else tensor.movedim(at, 0)
            for tensor, at in zip(tensors, in_dims[2:], strict=True)
            if isinstance(tensor, Tensor)
        )
        outputs = run(stacks)  # type: ignore[operator]
        return outputs, (0,) * len(outputs)

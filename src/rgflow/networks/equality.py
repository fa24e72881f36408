"""Which modules start as copies of each other, and which names stand for one and the same parameter.

`nn.TransformerEncoder` deep-copies one layer, so all its layers start with identical weights; no theory of independent
layers applies to them. Parameters whose entries are all equal (norm scales, zero biases) say nothing and are ignored.
"""

from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

__all__ = ["cloned_layers", "enclosing_blocks", "equal_parameters", "is_constant", "tied_parameters"]

_Groups = tuple[tuple[str, ...], ...]


def cloned_layers(draws: Iterable[nn.Module]) -> _Groups:
    """Return the groups of different modules whose own non-constant parameters are equal in every draw.

    Names are those of the modules that own the parameters, in the model's order; sharing one tensor is no cloning.
    """
    found: list[tuple[str, ...]] | None = None
    for network in draws:
        groups = _cloned_in(network)
        found = groups if found is None else _met(found, groups)
        if not found:
            return ()
    return tuple(found or ())


def enclosing_blocks(groups: _Groups) -> _Groups:
    """Return the groups with the common tail of their names cut off: a.0.linear1, a.1.linear1 give a.0, a.1."""
    blocks: dict[tuple[str, ...], None] = {}
    for group in groups:
        paths = [name.split(".") for name in group]
        tail = 0
        while tail < min(map(len, paths)) - 1 and len({path[-tail - 1] for path in paths}) == 1:
            tail += 1
        blocks[tuple(".".join(path[: len(path) - tail]) for path in paths)] = None
    return tuple(blocks)


def tied_parameters(module: nn.Module) -> _Groups:
    """Return the groups of dotted names that share the same memory, in the model's order."""
    groups: dict[object, list[str]] = defaultdict(list)
    for name, parameter in module.named_parameters(remove_duplicate=False):
        groups[_memory(parameter)].append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def equal_parameters(module: nn.Module) -> _Groups:
    """Return the groups of names of different parameters (not of one tensor) with equal non-constant values."""
    groups: dict[object, list[str]] = defaultdict(list)
    for name, parameter in module.named_parameters():
        if not is_constant(parameter):
            groups[_digest(parameter)].append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def is_constant(tensor: Tensor) -> bool:
    """Return whether all entries of a tensor are equal; a tensor without entries or values counts as constant."""
    if is_lazy(tensor) or tensor.numel() < 2:
        return True
    values = tensor.detach().flatten()
    return bool((values == values[0]).all())


def _cloned_in(network: nn.Module) -> list[tuple[str, ...]]:
    groups: dict[object, list[str]] = defaultdict(list)
    memories: dict[object, set[object]] = defaultdict(set)
    for name, module in network.named_modules():
        own = [(key, p) for key, p in module.named_parameters(recurse=False) if not is_constant(p)]
        signature = (type(module).__name__, tuple((key, _digest(p)) for key, p in own))
        # A module that shares a tensor with one already listed is tied to it, not a clone of it.
        place = frozenset(_memory(p) for _, p in own)
        if own and not place & memories[signature]:
            groups[signature].append(name)
            memories[signature] |= place
    return [tuple(names) for names in groups.values() if len(names) > 1]


def _met(before: list[tuple[str, ...]], now: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The groups that hold in both: equality in every draw is the common refinement."""
    common = (tuple(name for name in old if name in new) for old in before for new in now)
    return [group for group in common if len(group) > 1]


def _digest(tensor: Tensor) -> tuple[object, ...]:
    values = tensor.detach().cpu().contiguous()
    return (
        tuple(values.shape),
        str(values.dtype),
        blake2b(values.flatten().view(torch.uint8).numpy().tobytes()).digest(),
    )


def _memory(tensor: Tensor) -> object:
    if is_lazy(tensor) or tensor.numel() == 0:
        return id(tensor)
    storage = tensor.untyped_storage().data_ptr()
    # Tensors without memory (meta device) all have address 0; only identity can tell them apart.
    return (storage, tensor.storage_offset(), tuple(tensor.shape), tensor.stride()) if storage else id(tensor)

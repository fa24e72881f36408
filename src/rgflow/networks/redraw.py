"""Independent draws of a network: a factory called under fresh seeds, or a module instance redrawn by its own laws.

The seed of network i is derived from (seed, i) by numpy's SeedSequence, so that draws are reproducible one by one and
independent of how many are asked for. Global random states are left as found.
"""

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from rgflow.errors import ModelError, SettingError
from rgflow.networks.factories import Factory, as_factory
from rgflow.networks.guard import untouched
from rgflow.networks.instance import copied, plan_redraw, redrawn_copy

__all__ = ["Draws", "draw_networks", "seeded"]

_ONE_DRAW = "one draw: no error bars over seeds"


@dataclass(frozen=True)
class Draws:
    """Independent draws of one architecture; iterating yields each network anew, and never two at once.

    `networks` is the number that iteration yields: 1 where the model cannot be redrawn (`redrawn` False);
    `identical`: the factory returns the same tensors whatever the seed; `reason` says what was done where that is not
    simply to call the factory again.
    """

    name: str
    networks: int
    seed: int
    redrawn: bool
    reason: str = ""
    identical: bool = False
    draw: Callable[[int], nn.Module] = field(repr=False, default=lambda index: nn.Identity())

    def __len__(self) -> int:
        """Number of networks."""
        return self.networks

    def __iter__(self) -> Iterator[nn.Module]:
        """Yield the networks in the order of their index."""
        return (self.draw(index) for index in range(self.networks))


def draw_networks(
    model: "nn.Module | Factory | Callable[[], nn.Module]", *, networks: int, seed: int, example: object = None
) -> Draws:
    """Return `networks` independent draws of a factory, or of a module instance.

    A factory is called once for each seed. An instance is copied and redrawn through its layers' reset_parameters(),
    where these draw from the law that its weights show; tensors that show another recognisable law keep that law.
    `example` is an input on which lazy layers find their sizes.
    Raises: SettingError for a bad count or seed; ModelError if the factory fails or its shapes differ between draws.
    """
    if networks < 1:
        raise SettingError(f"networks is {networks}; at least 1 network must be drawn")
    if seed < 0:
        raise SettingError(f"seed is {seed}; it must be a whole number >= 0")
    factory = as_factory(model)
    if factory.instance is not None:
        return _draws_of_instance(factory, networks=networks, seed=seed, example=example)
    return _draws_of_factory(factory, networks=networks, seed=seed, example=example)


def seeded(seed: int, index: int = 0) -> None:
    """Seed python, numpy (where loaded) and torch for network `index`; call it inside `untouched()` only."""
    from numpy.random import SeedSequence

    # torch's Mersenne twister and numpy's legacy state take 32 bits.
    words = SeedSequence(entropy=seed, spawn_key=(index,)).generate_state(3)
    random.seed(int(words[0]))
    if "numpy" in sys.modules:
        from numpy import random as numpy_random

        numpy_random.seed(int(words[1]))  # noqa: NPY002 - users' factories draw from the legacy state
    torch.manual_seed(int(words[2]))


def _draws_of_factory(factory: Factory, *, networks: int, seed: int, example: object) -> Draws:
    def build(index: int) -> nn.Module:
        with untouched():
            seeded(seed, index)
            network = factory()
            _materialise(network, name=factory.name, example=example)
        return network

    first, second = build(0), build(1)
    shapes = _shapes(first)

    def draw(index: int) -> nn.Module:
        network = build(index)
        _refuse_other_shapes(_shapes(network), shapes, name=factory.name)
        return network

    _refuse_other_shapes(_shapes(second), shapes, name=factory.name)
    if first is second:
        shared = replace(factory, instance=first)
        return _draws_of_instance(shared, networks=networks, seed=seed, example=example)
    if shapes and _equal(first, second):
        reason = (
            f"{_ONE_DRAW} ({factory.name} returns the same parameters for every seed: it sets its own seed, "
            "or loads or fixes its weights)"
        )
        return Draws(factory.name, 1, seed, False, reason, True, draw)
    return Draws(factory.name, networks, seed, True, "", False, draw)


def _draws_of_instance(factory: Factory, *, networks: int, seed: int, example: object) -> Draws:
    instance = factory.instance
    assert instance is not None  # the caller's case distinction
    with untouched(instance):
        seeded(seed)
        if _is_lazy(instance):
            instance = copied(instance)
            _materialise(instance, name=factory.name, example=example)
        plan = plan_redraw(instance)

    def draw(index: int) -> nn.Module:
        with untouched():
            seeded(seed, index)
            return redrawn_copy(instance, plan)

    count = networks if plan.possible else 1
    reason = plan.reason if plan.possible else f"{_ONE_DRAW} ({plan.reason})"
    return Draws(factory.name, count, seed, plan.possible, reason, False, draw)


def _is_lazy(network: nn.Module) -> bool:
    return any(is_lazy(parameter) for parameter in network.parameters())


def _materialise(network: nn.Module, *, name: str, example: object) -> None:
    if not _is_lazy(network):
        return
    if example is None:
        raise ModelError(f"{name} has lazy layers without sizes; run it once on a batch before the factory returns it")
    try:
        with torch.no_grad():
            network(example)
    except Exception as error:
        raise ModelError(
            f"{name} has lazy layers, and sizing them on the data raised {type(error).__name__}: {error}"
        ) from error


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in network.named_parameters(remove_duplicate=False)}


def _refuse_other_shapes(now: dict[str, tuple[int, ...]], before: dict[str, tuple[int, ...]], *, name: str) -> None:
    if now == before:
        return
    other = next(key for key in {**before, **now} if before.get(key) != now.get(key))
    raise ModelError(
        f"{name} builds a different network on each call ({other} has shape {before.get(other, 'none')}, then "
        f"{now.get(other, 'none')}); let only the values of its parameters be random"
    )


def _equal(one: nn.Module, other: nn.Module) -> bool:
    tensors = zip([*one.parameters(), *one.buffers()], [*other.parameters(), *other.buffers()], strict=True)
    return all(torch.equal(a, b) for a, b in tensors)

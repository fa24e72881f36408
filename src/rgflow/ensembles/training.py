"""Many small networks trained side by side, each on its own minibatches and at every learning rate of a grid.

A member is one network at one rate. Members are stacked and trained by one vectorised step, or one by one where the
model's Python does not allow it; both give the same result. Score conventions are those of `rgflow.ensembles.scores`.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from rgflow.ensembles.scores import chance_score, sample_losses, score
from rgflow.errors import DataError, ModelError, SettingError
from rgflow.records.dataset import Dataset

__all__ = ["Optimizer", "TrainedArm", "TrainingPlan", "train_arm"]

Optimizer = Literal["sgd", "adam", "adamw"]

# Stacked parameters, their gradients, directions and optimizer state together stay below about 1 GiB of floats.
_STACKED_NUMBERS = 2**25
# PyTorch's own default for AdamW (torch.optim.AdamW, weight_decay).
_ADAMW_DECAY = 0.01
# Up to this many numbers in a network's largest tensor a second thread costs more than it gives: on two busy cores
# a step took 3.7 times as long with 64 x 64 weights, 2.1 times with 256 x 256, 3.3 times with 1024 x 1024.
_ONE_THREAD_NUMBERS = 2**20
# Diverged groups are given up at the next multiple of this many steps; it changes the time taken, not the result.
_CHECK_EVERY = 50


@dataclass(frozen=True)
class TrainingPlan:
    """How every network of an arm is trained: plain SGD, Adam or AdamW with PyTorch's defaults, constant rates."""

    rates: tuple[float, ...]
    steps: int
    batch_size: int
    optimizer: Optimizer = "sgd"

    def __post_init__(self) -> None:
        if self.optimizer not in get_args(Optimizer):
            raise SettingError(f"optimizer is {self.optimizer!r}; it must be one of {get_args(Optimizer)}")
        if self.steps < 1 or self.batch_size < 1:
            raise SettingError(f"steps are {self.steps} and batch_size is {self.batch_size}; both must be >= 1")
        if not self.rates or any(not 0.0 < rate < float("inf") for rate in self.rates):
            raise SettingError(f"learning rates are {self.rates}; give at least one, each finite and > 0")


@dataclass(frozen=True)
class TrainedArm:
    """Scores of every member after training; a member that diverged has the chance score and `failed` True.

    Shapes: all (networks, rates), float64 and bool on CPU.
    """

    validation: Tensor
    test: Tensor
    failed: Tensor


def train_arm(
    modules: Sequence[nn.Module],
    plan: TrainingPlan,
    *,
    train: Dataset,
    validation: Dataset,
    test: Dataset,
    seeds: Sequence[int],
    multipliers: Mapping[str, float] | None = None,
    progress: Callable[[int], None] | None = None,
) -> TrainedArm:
    """Return the validation and test scores of every module trained at every rate of the plan.

    `seeds[i]` fixes the minibatch order of network i: equal seeds give equal minibatches at every rate and in every
    arm. `multipliers` scales the rate of the parameters it names. The modules themselves are not changed; the global
    random state and torch's thread count neither (small networks are trained on one thread). `progress` is called with
    the number of member-steps done since the last call.
    Raises: DataError without targets; SettingError if the numbers of modules and seeds differ.
    """
    if train.targets is None:
        raise DataError(f"{train.name} has no targets; training needs them")
    if len(modules) != len(seeds) or not modules:
        raise SettingError(f"{len(modules)} networks were given with {len(seeds)} seeds; one seed for each is needed")
    parts = [_on_device_of(modules[0], part) for part in (train, validation, test)]
    with _fitting_threads(modules[0]):
        scores = _scores(modules, plan, parts=parts, seeds=seeds, multipliers=multipliers or {}, progress=progress)
    failed = scores.isnan().any(0)
    chances = [chance_score(train, part) for part in (validation, test)]
    lost = [torch.where(failed, chance, values) for chance, values in zip(chances, scores, strict=True)]
    return TrainedArm(validation=lost[0], test=lost[1], failed=failed)


def _scores(
    modules: Sequence[nn.Module],
    plan: TrainingPlan,
    *,
    parts: Sequence[Dataset],
    seeds: Sequence[int],
    multipliers: Mapping[str, float],
    progress: Callable[[int], None] | None,
) -> Tensor:
    """Return validation and test scores (2, networks, rates), NaN for members that diverged."""
    members = [(network, rate) for network in range(len(modules)) for rate in range(len(plan.rates))]
    scores = torch.full((2, len(modules), len(plan.rates)), torch.nan, dtype=torch.float64)
    for group in _groups(members, modules[0]):
        stack = _Stack(
            [modules[network] for network, _ in group],
            rates=[plan.rates[rate] for _, rate in group],
            multipliers=multipliers,
            sample=parts[0].inputs[:2],
        )
        orders = _minibatches(len(parts[0].inputs), plan=plan, seeds=[seeds[network] for network, _ in group])
        values = _trained_scores(stack, plan=plan, parts=parts, orders=orders, progress=progress)
        for which, (network, rate) in enumerate(group):
            scores[:, network, rate] = values[:, which]
    return scores


@contextmanager
def _fitting_threads(module: nn.Module) -> Iterator[None]:
    """Run torch on one thread where the network's tensors are small; the count found is put back."""
    found = torch.get_num_threads()
    small = max(parameter.numel() for parameter in module.parameters()) <= _ONE_THREAD_NUMBERS
    torch.set_num_threads(1 if small else found)
    try:
        yield
    finally:
        torch.set_num_threads(found)


def _groups(members: list[tuple[int, int]], module: nn.Module) -> list[list[tuple[int, int]]]:
    numbers = sum(p.numel() for p in module.parameters())
    size = max(1, _STACKED_NUMBERS // max(1, 4 * numbers))
    return [members[start : start + size] for start in range(0, len(members), size)]


def _on_device_of(module: nn.Module, part: Dataset) -> Dataset:
    first = next(module.parameters(), None)
    if first is None:
        raise ModelError("the model has no parameters; there is nothing to train")
    moved = copy.copy(part)
    for name in ("inputs", "targets"):
        tensor = getattr(part, name)
        if isinstance(tensor, Tensor):
            kind = first.dtype if tensor.is_floating_point() else tensor.dtype
            object.__setattr__(moved, name, tensor.to(device=first.device, dtype=kind))
    return moved


def _minibatches(samples: int, *, plan: TrainingPlan, seeds: Sequence[int]) -> Tensor:
    """Return sample indices (members, steps * batch): whole epochs in random order, one after the other."""
    batch = min(plan.batch_size, samples)
    needed = plan.steps * batch
    drawn: dict[int, Tensor] = {}
    for seed in dict.fromkeys(seeds):
        generator = torch.Generator().manual_seed(seed)
        epochs = [torch.randperm(samples, generator=generator) for _ in range(-(-needed // samples))]
        drawn[seed] = torch.cat(epochs)[:needed]
    return torch.stack([drawn[seed] for seed in seeds])


def _trained_scores(
    stack: "_Stack",
    *,
    plan: TrainingPlan,
    parts: Sequence[Dataset],
    orders: Tensor,
    progress: Callable[[int], None] | None,
) -> Tensor:
    """Return validation and test scores (2, members), NaN for members that diverged."""
    train, *held_out = parts
    devices = [train.inputs.device] if train.inputs.is_cuda else []
    batch = orders.shape[1] // plan.steps
    # Dropout draws from the global generator; its state is put back.
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(orders[0, 0]))
        optimizer = _optimizer(plan.optimizer, stack.directions)
        decay = _ADAMW_DECAY if plan.optimizer == "adamw" else 0.0
        for step in range(plan.steps):
            rows = orders[:, step * batch : (step + 1) * batch].to(train.inputs.device)
            losses = stack.step(train.inputs[rows], train.targets[rows], optimizer=optimizer, decay=decay)  # type: ignore[index]
            if progress is not None:
                progress(len(stack.rates))
            if step % _CHECK_EVERY == 0 and not bool(losses.isfinite().any()):
                break
        return torch.stack([score(stack.predict(part.inputs), part.targets).cpu() for part in held_out])  # type: ignore[arg-type]


def _optimizer(name: Optimizer, directions: list[Tensor]) -> torch.optim.Optimizer:
    # AdamW differs from Adam by a decay that does not depend on the gradient; `_Stack.step` applies it.
    return torch.optim.SGD(directions, lr=1.0) if name == "sgd" else torch.optim.Adam(directions, lr=1.0)


class _Stack:
    """Copies of members' parameters along a first axis, and the functions that run and move them.

    The optimizer moves `directions`, which start each step at zero, at rate 1; every member then takes its own
    rate's share of the direction. SGD's and Adam's steps are proportional to the rate, so this is their exact step.
    """

    def __init__(
        self, modules: Sequence[nn.Module], *, rates: Sequence[float], multipliers: Mapping[str, float], sample: Tensor
    ) -> None:
        base = copy.deepcopy(modules[0])
        trained = {name for name, p in base.named_parameters() if p.requires_grad}
        parameters, buffers = stack_module_state(list(modules))  # type: ignore[arg-type]
        self._base = base
        self.values = {name: p.detach().clone() for name, p in parameters.items()}
        self.buffers = {name: b.detach().clone() for name, b in buffers.items()}
        self.names = [name for name in self.values if name in trained]
        for name in self.names:
            self.values[name].requires_grad_(True)
        self.directions = [torch.zeros_like(self.values[name]) for name in self.names]
        self.rates = list(rates)
        self._steps = [self._rate(name, multipliers.get(name, 1.0)) for name in self.names]
        self._run = self._vectorised if self._vectorises(sample) else self._one_by_one

    def _rate(self, name: str, multiplier: float) -> Tensor:
        value = self.values[name]
        rates = torch.tensor([multiplier * rate for rate in self.rates], dtype=value.dtype, device=value.device)
        return rates.view(-1, *[1] * (value.ndim - 1))

    def step(self, inputs: Tensor, targets: Tensor, *, optimizer: torch.optim.Optimizer, decay: float) -> Tensor:
        """Take one optimizer step of every member on its own minibatch; return the mean losses (members,)."""
        self._base.train()
        losses = sample_losses(self._run(inputs), targets).mean(-1)
        moving = [self.values[name] for name in self.names]
        gradients = torch.autograd.grad(losses.sum(), moving, allow_unused=True)
        for direction, gradient in zip(self.directions, gradients, strict=True):
            direction.grad = gradient
        optimizer.step()
        with torch.no_grad():
            for value, direction, rate in zip(moving, self.directions, self._steps, strict=True):
                if decay:
                    value.mul_(1.0 - decay * rate)
                value.addcmul_(direction, rate)
                direction.zero_()
        return losses.detach()

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Return the outputs (members, samples, outputs) in evaluation mode."""
        self._base.eval()
        chunks = [self._run(chunk.expand(len(self.rates), *chunk.shape)) for chunk in inputs.split(256)]
        return torch.cat(chunks, dim=1)

    def _vectorises(self, sample: Tensor) -> bool:
        """Return whether the model runs under vmap, tried on copies of the buffers in both modes."""
        kept = self.buffers
        try:
            for mode in (True, False):
                self._base.train(mode)
                self.buffers = {name: b.clone() for name, b in kept.items()}
                with torch.no_grad(), torch.random.fork_rng(devices=[sample.device] if sample.is_cuda else []):
                    self._vectorised(sample.expand(len(self.rates), *sample.shape))
        except Exception:  # whatever vmap cannot do, the loop over members does, with the same numbers
            return False
        finally:
            self.buffers = kept
        return True

    def _vectorised(self, inputs: Tensor) -> Tensor:
        def one(values: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
            return _outputs(functional_call(self._base, (values, buffers), (inputs,)))

        return vmap(one, randomness="different")(self.values, self.buffers, inputs)

    def _one_by_one(self, inputs: Tensor) -> Tensor:
        rows = []
        for member in range(len(self.rates)):
            state = {name: value[member] for stored in (self.values, self.buffers) for name, value in stored.items()}
            rows.append(_outputs(functional_call(self._base, state, (inputs[member],))))
        return torch.stack(rows)


def _outputs(result: Any) -> Tensor:
    """Return the model's outputs as (samples, outputs)."""
    if not isinstance(result, Tensor):
        raise ModelError(f"the model returns a {type(result).__name__}; training needs one tensor of outputs")
    return result.unsqueeze(-1) if result.ndim == 1 else result

"""One forecast seed: the user's forward on R mean-field replicas at once, then two backward passes.

Every operation is the user's own under `torch.vmap`; linear maps with a rule emit fresh Gaussians from the second
moment of all replicas; parameters without a rule are the draws' own, one draw per replica; modules that cannot be run
under vmap (recurrent ones) are run replica by replica. Convention: arrays over replicas come first.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, replace_all_batch_norm_modules_
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase

from rgflow.networks.drawn_tensors import DrawnTensors
from rgflow.networks.emission import BudgetReached, Fluctuation, Job, Ledger, emit
from rgflow.networks.intercept import Interception, watch
from rgflow.networks.lifting import OwnTensors, loop_over_replicas, on_stack
from rgflow.networks.linear_map import gaussian_channels, geometry_of
from rgflow.networks.private_copy import parameter_names
from rgflow.networks.row_moments import signal, spread
from rgflow.networks.rows import LinearCall, Row, first_tensor, one_line, task_loss
from rgflow.networks.scout import MapPlan, Scout

__all__ = ["SeedRecord", "SeedSettings", "run_seed"]


@dataclass(frozen=True)
class SeedSettings:
    """Replicas, first draw to take literal parameters from, seed, deadline (processor time), largest dense map."""

    replicas: int
    start: int
    seed: int
    deadline: float
    dense_limit: int


@dataclass
class SeedRecord:
    """What one seed shows, per row number: signal and spread per replica, means of the squares over replicas.

    `forward_failure` and `backward_failure` name what stopped the run; `late` says that it was the clock.
    """

    signal: dict[int, Tensor] = field(default_factory=dict)
    spread: dict[int, Tensor] = field(default_factory=dict)
    backward_square: dict[int, float] = field(default_factory=dict)
    gradient_square: dict[int, float] = field(default_factory=dict)
    tangent_trace: dict[int, float] = field(default_factory=dict)
    fluctuations: dict[int, Fluctuation] = field(default_factory=dict)
    looped: tuple[str, ...] = ()
    forward_failure: str = ""
    backward_failure: str = ""
    late: bool = False


def run_seed(
    module: nn.Module,
    x: Tensor,
    y: Tensor | None,
    *,
    scout: Scout,
    tensors: DrawnTensors,
    loss: Callable[[Tensor, Tensor], Tensor],
    settings: SeedSettings,
) -> SeedRecord:
    """Return the record of one seed; `module` is a private copy that is copied once more."""
    loops = [name for name, child in module.named_modules() if isinstance(child, nn.RNNBase)]
    batched = False
    while True:
        fresh, looped = copy.deepcopy(module), tuple(loops)
        attempt = _Attempt(fresh, scout=scout, tensors=tensors, settings=settings, loops=looped, batched=batched)
        output = attempt.forward(x)
        if output is not None:
            attempt.backward(output, y, loss=loss)
            return attempt.record
        leaf = attempt.failed_leaf
        hopeless = attempt.record.late or scout.error
        if leaf and leaf not in loops and not hopeless:
            loops.append(leaf)
        elif batched or hopeless:
            return attempt.record
        else:
            batched = True


class _Attempt:
    """One forward on all replicas, as the visitor of its rows, and the backward passes after it."""

    def __init__(
        self,
        module: nn.Module,
        *,
        scout: Scout,
        tensors: DrawnTensors,
        settings: SeedSettings,
        loops: tuple[str, ...],
        batched: bool,
    ) -> None:
        self.module, self.scout, self.settings, self.batched = module, scout, settings, batched
        self.record = SeedRecord(looped=loops)
        self.failed_leaf = ""
        self.recording_cotangents = True
        generator = torch.Generator().manual_seed(settings.seed)
        self.ledger = Ledger(generator, settings.deadline, settings.dense_limit)
        self.token = torch.zeros((), requires_grad=True)
        self.lane = torch.zeros(())
        self.counted = 0
        self.named = parameter_names(module)
        self.names = {id(p): self.named[name] for name, p in module.named_parameters()}
        own = dict(module.named_parameters())
        self.plans: dict[int, MapPlan] = {id(own[name]): plan for name, plan in scout.maps.items()}
        self.stacks = {
            name: tensors.stack(name, replicas=settings.replicas, start=settings.start).requires_grad_()
            for name in scout.literal
            if own[name].is_floating_point()
        }
        _drop_running_statistics(module)
        kept = {name for name, buffer in module.named_buffers() if batched and buffer.is_floating_point()}
        self.buffers = {
            name: tensors.stack(name, replicas=settings.replicas, start=settings.start)
            for name in kept.union(tensors.drawn_buffers()).intersection(dict(module.named_buffers()))
        }
        for name in loops:
            self._loop(name)

    def forward(self, x: Tensor) -> Tensor | None:
        """Return the outputs (replicas, batch, ...), or None with the failure in the record."""
        lanes = torch.zeros(self.settings.replicas)
        one = torch.vmap(lambda own, lane: self._one(own, lane, x), randomness="different")
        try:
            # Fused attention has no rule under vmap; the plain one gives the same numbers.
            with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="There is a performance drop")
                return one({**self.stacks, **self.buffers}, lanes)
        except BudgetReached:
            self.record.late = True
            self.record.forward_failure = "the forecast takes longer than measuring"
        except Exception as error:
            self.record.forward_failure = one_line(error).split(". ")[0]
        return None

    def backward(self, output: Tensor, y: Tensor | None, *, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Fill the record with gradients under the loss, then under white noise at the output."""
        if not output.requires_grad:
            return
        try:
            total = sum((task_loss(one, y, loss=loss) for one in output), torch.zeros(()))
            self.record.gradient_square = self._pass(lambda: total.backward(retain_graph=True))
            self.recording_cotangents = False
            self.record.fluctuations = {row: replace(found) for row, found in self.ledger.fluctuations.items()}
            noise = self._white(output)
            self.record.tangent_trace = self._pass(lambda: (output * noise).sum().backward())
        except BudgetReached:
            self.record.late = True
            self.record.backward_failure = "the forecast takes longer than measuring"
        except Exception as error:
            self.record.backward_failure = one_line(error)

    def linear(self, call: LinearCall, x: Tensor, /) -> Tensor:
        """Emit the output of a map with a rule; run the others as they are."""
        plan = self.plans.get(id(call.weight))
        if plan is None:
            return call.literal(x)

        def emitted(stack: Tensor) -> Tensor:
            geometry = geometry_of(call, tuple(stack.shape[1:]))
            variances = (plan.weight_variance, plan.bias_variance)
            return emit(stack, self.token, Job(plan.row, geometry, *variances, plan.biased, self.ledger))

        with torch._C.DisableTorchFunction():
            return on_stack(emitted, x, lane=self.lane)

    def output(self, row: Row, tensor: Tensor, /) -> Tensor:
        """Record the moments of the row on all replicas."""
        index = self.counted
        self.counted += 1
        if index >= len(self.scout.rows) or self.scout.rows[index].identity.name != row.identity.name:
            raise RuntimeError(f"row {row.identity.name} is not where it was in the plain run")
        return on_stack(lambda stack: self._record(index, stack), tensor, lane=self.lane)

    def _record(self, index: int, stack: Tensor) -> Tensor:
        values = stack.detach()
        self.record.signal[index] = signal(values)
        if values.ndim > 1 and values.shape[1] == self.batch:
            self.record.spread[index] = spread(values)
        if stack.requires_grad:
            stack.register_hook(lambda cotangent: self._cotangent(index, cotangent))
        return stack

    def _cotangent(self, index: int, cotangent: Tensor) -> None:
        if self.recording_cotangents:
            self.record.backward_square[index] = float(cotangent.pow(2).sum()) / len(cotangent)

    def _one(self, own: dict[str, Tensor], lane: Tensor, x: Tensor) -> Tensor:
        self.lane, self.batch = lane, len(x)
        names = {**self.names, **{id(tensor): self.named[name] for name, tensor in own.items() if name in self.named}}
        x = x + lane if self.batched and x.is_floating_point() else x.clone()
        with OwnTensors(lane), watch(self.module, self, names=names) as interception:
            try:
                output = first_tensor(functional_call(self.module, own, (x,)))
            except Exception:
                self.failed_leaf = self._running(interception)
                raise
        if output is None:
            raise TypeError("the model returns no floating-point tensor")
        return output

    def _running(self, interception: Interception) -> str:
        """Name of the leaf that was running, if it may be run replica by replica instead."""
        name = interception.running[-1][0] if interception.running else ""
        covered = {self.scout.rows[plan.row].module_name for plan in self.plans.values()}
        return "" if name in covered or name == "model" else name

    def _loop(self, name: str) -> None:
        child = self.module.get_submodule(name)
        stacks = {**self.stacks, **self.buffers}
        own = {key.removeprefix(f"{name}."): stack for key, stack in stacks.items() if key.startswith(f"{name}.")}
        child.forward = loop_over_replicas(child, own, lane=lambda: self.lane, check=self.ledger.check_time)

    def _pass(self, run: Callable[[], None]) -> dict[int, float]:
        """Squared gradients per row of one backward pass."""
        self.ledger.gradients = {}
        for stack in self.stacks.values():
            stack.grad = None
        run()
        squares = dict(self.ledger.gradients)
        for index, row in enumerate(self.scout.rows):
            grads = [self.stacks[name].grad for name in row.parameters if name in self.stacks]
            found = [grad.pow(2).sum() / len(grad) for grad in grads if grad is not None]
            if found:
                squares[index] = float(sum(found))
        return squares

    def _white(self, output: Tensor) -> Tensor:
        """White noise in the shape of the outputs, with unit covariance over the batch."""
        replicas, batch = output.shape[0], output.shape[1] if output.ndim > 1 else 1
        noise = gaussian_channels(torch.eye(batch), output.numel() // batch, generator=self.ledger.generator)
        return noise.reshape(batch, replicas, -1).movedim(0, 1).reshape(output.shape)


def _drop_running_statistics(module: nn.Module) -> None:
    """Norm layers in train mode standardise by the batch; their running averages would be written across replicas."""
    for child in module.modules():
        if isinstance(child, _NormBase) and child.training:
            replace_all_batch_norm_modules_(child)
            child.running_mean = child.running_var = child.num_batches_tracked = None
            child.track_running_stats = False

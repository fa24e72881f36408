"""Heat bath of Ising models on hypercubic lattices in torch, half of the sites at a time, on any device.

Convention: one coupling K and one field h, nearest neighbours, periodic, even sides (so that the two halves of the
checkerboard do not touch). Random numbers are drawn on the device: a seed gives one result a device.
"""

import math

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import DeviceError, SettingError
from rgflow.lattice.chain_running import spin_starts
from rgflow.lattice.methods import Draw, SamplingPlan, planned
from rgflow.lattice.samples import Samples, judged
from rgflow.lattice.spin_methods import pair_observables
from rgflow.lattice.spin_models import Ising, pair_system

__all__ = ["sample_checkerboard"]


def sample_checkerboard(
    model: Ising,
    *,
    shape: tuple[int, ...],
    chains: int,
    sweeps: int,
    seed: int,
    device: str | torch.device = "cpu",
    discard: int | None = None,
    every: int = 1,
) -> Samples:
    """Return samples of an Ising model by heat bath of the even sites together, then of the odd ones.

    All chains move at once; meant for a GPU with many chains or large lattices. `sample` is faster on a CPU.
    Errors: probabilities are rounded to float32 and random numbers have 24 bits: each is met to 2^-23 = 1.2e-7.
    Raises: SettingError for edges of one's own, couplings or fields that vary, or odd sides; DeviceError for a device that
    this machine lacks.

    Example:
    >>> from rgflow.lattice import Ising
    >>> found = sample_checkerboard(Ising(temperature=3.0), shape=(8, 8), chains=64, sweeps=300, seed=0)
    >>> found.reliable, tuple(found.values.shape)
    (True, (64, 300, 8, 8))
    """
    plan = planned(model, shape=shape, chains=chains, sweeps=sweeps, seed=seed, discard=discard, every=every)
    _check(model, plan.shape)
    states = _states(plan, _device(device))
    system = pair_system(model, shape=plan.shape)
    observables = pair_observables(states.reshape(*states.shape[:2], system.sites), system=system)
    return judged(Draw(states, observables), plan=plan, method="checkerboard heat bath")


def _states(plan: SamplingPlan, device: torch.device) -> np.ndarray:
    sites = math.prod(plan.shape)
    first = spin_starts(plan.chains, sites=sites, seed=plan.seed).reshape(plan.chains, *plan.shape)
    spins = torch.from_numpy(first).to(device)
    generator = torch.Generator(device=device).manual_seed(plan.seed)
    coupling, field = float(plan.model.coupling), float(plan.model.field)
    even = torch.from_numpy(np.indices(plan.shape).sum(0) % 2 == 0).to(device)
    records = torch.empty(plan.records, *spins.shape, dtype=torch.int8)
    for sweep in range(plan.discard + plan.every * plan.records):
        for half in (even, ~even):
            spins = _half_sweep(spins, half, coupling=coupling, field=field, generator=generator)
        done = sweep + 1 - plan.discard
        if done > 0 and done % plan.every == 0:
            records[done // plan.every - 1] = spins.cpu()
    return np.ascontiguousarray(records.transpose(0, 1).numpy())


def _half_sweep(spins: Tensor, half: Tensor, *, coupling: float, field: float, generator: torch.Generator) -> Tensor:
    """Redraw the sites of one half, whose neighbours all lie in the other."""
    total = torch.zeros_like(spins)
    for axis in range(1, spins.ndim):
        total += spins.roll(1, axis) + spins.roll(-1, axis)
    probability = torch.sigmoid(total.float().mul_(2.0 * coupling).add_(2.0 * field))
    drawn = torch.rand(spins.shape, generator=generator, device=spins.device)
    fresh = torch.where(drawn < probability, 1, -1).to(torch.int8)
    return torch.where(half, fresh, spins)


def _check(model: Ising, shape: tuple[int, ...]) -> None:
    if model.edges is not None or model.coupling.ndim or model.field.ndim:
        raise SettingError(
            "the checkerboard takes one coupling, one field and nearest neighbours; use `sample` for other graphs"
        )
    odd = [side for side in shape if side % 2 or side < 4]
    if odd:
        raise SettingError(f"shape is {shape}; every side must be even and >= 4, or the two halves touch")


def _device(device: str | torch.device) -> torch.device:
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"device {str(device)!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return found

"""One call that samples any model by the best valid method, and refuses invalid ones with the reason.

Convention: p = exp(-H) / Z; a sweep visits every site once or updates all clusters once. `MODEL_METHODS` lists the methods of
each class of models in order of preference; local updates visit the sites in a fixed order, which keeps p (global balance).
"""

import math
from typing import Any

from rgflow.errors import SettingError
from rgflow.lattice.field_methods import PHI4_METHODS, POTTS_METHODS, XY_METHODS
from rgflow.lattice.field_models import XY, GaussianField, Phi4, Potts
from rgflow.lattice.gaussian_methods import GAUSSIAN_METHODS
from rgflow.lattice.methods import Method, SamplingPlan
from rgflow.lattice.samples import Samples, judged
from rgflow.lattice.spin_methods import PAIR_METHODS, TERM_METHODS
from rgflow.lattice.spin_models import Ising, PSpin, SpinGlass
from rgflow.records.hamiltonian import Hamiltonian

__all__ = ["MODEL_METHODS", "sample"]

MODEL_METHODS: dict[type, tuple[Method, ...]] = {
    Ising: PAIR_METHODS,
    SpinGlass: PAIR_METHODS,
    PSpin: TERM_METHODS,
    Hamiltonian: TERM_METHODS,
    Potts: POTTS_METHODS,
    XY: XY_METHODS,
    Phi4: PHI4_METHODS,
    GaussianField: GAUSSIAN_METHODS,
}
_MOST_NUMBERS = 2**31  # states kept at most: 2 GiB of spins


def sample(
    model: Any,
    *,
    shape: int | tuple[int, ...],
    chains: int,
    sweeps: int,
    seed: int,
    method: str | None = None,
    discard: int | None = None,
    every: int = 1,
) -> Samples:
    """Return samples of `model` on a lattice (or any graph of that many sites) of `shape`, from independent chains.

    Each chain makes `discard` sweeps (None: a quarter of `sweeps`, at least 20) and then `sweeps` more, of which every
    `every`-th is recorded. `method` None picks the first valid one of the model's class in `MODEL_METHODS`.
    Shapes: `values` of the result (chains, sweeps // every, *shape).
    Errors: the stationary law is exact but for 2^-53 in each acceptance probability; whether the chains reached it is in `reliable` and
    `reason`.
    Raises: SettingError for a method that is unknown or invalid for this model, or numbers out of range.

    Example:
    >>> from rgflow.lattice import Ising
    >>> found = sample(Ising(temperature=3.0), shape=(8, 8), chains=4, sweeps=400, seed=0)
    >>> found.method, tuple(found.values.shape), found.reliable
    ('swendsen-wang', (4, 400, 8, 8), True)
    """
    sides = (int(shape),) if isinstance(shape, int) else tuple(int(side) for side in shape)
    given = max(20, sweeps // 4) if discard is None else discard
    plan = SamplingPlan(model, sides, int(chains), int(sweeps), int(given), int(every), int(seed))
    _check(plan)
    chosen = _chosen(plan, method)
    return judged(chosen.run(plan), plan=plan, method=chosen.name)


def _chosen(plan: SamplingPlan, name: str | None) -> Method:
    methods = MODEL_METHODS.get(type(plan.model))
    if methods is None:
        known = ", ".join(sorted(kind.__name__ for kind in MODEL_METHODS))
        raise SettingError(f"no method samples a {type(plan.model).__name__}; models are {known}")
    if name is not None and name not in [method.name for method in methods]:
        names = ", ".join(method.name for method in methods)
        raise SettingError(
            f"method is {name!r}; a {type(plan.model).__name__} is sampled by one of {names}, or None for the best"
        )
    reasons = []
    for method in methods:
        if name is None or method.name == name:
            reason = method.refusal(plan.model, plan.shape)
            if not reason:
                return method
            reasons.append(f"method {method.name!r} does not suit this model: {reason}")
    raise SettingError("; ".join(reasons))


def _check(plan: SamplingPlan) -> None:
    if not plan.shape or min(plan.shape) < 1:
        raise SettingError(f"shape is {plan.shape}; every side must be >= 1")
    for name, least in (("chains", 1), ("every", 1), ("discard", 0), ("seed", 0)):
        if getattr(plan, name) < least:
            raise SettingError(f"{name} is {getattr(plan, name)}; it must be >= {least}")
    if plan.sweeps < plan.every:
        raise SettingError(f"sweeps is {plan.sweeps} and every {plan.every}; sweeps >= every is needed for one record")
    numbers = plan.chains * plan.records * math.prod(plan.shape)
    if numbers > _MOST_NUMBERS:
        raise SettingError(f"{numbers:.3g} numbers would be kept; at most {_MOST_NUMBERS:,} are, so raise `every`")

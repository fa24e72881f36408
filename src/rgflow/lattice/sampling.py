"""One call that samples any model by the best valid method, and refuses invalid ones with the reason.

Convention: p = exp(-H) / Z; a sweep visits every site once or updates all clusters once. `MODEL_METHODS` lists the methods of
each class of models in order of preference; local updates visit the sites in a fixed order, which keeps p (global balance).
"""

from typing import Any

from rgflow.errors import SettingError
from rgflow.lattice.field_methods import PHI4_METHODS, POTTS_METHODS, XY_METHODS
from rgflow.lattice.field_models import XY, GaussianField, Phi4, Potts
from rgflow.lattice.gaussian_methods import GAUSSIAN_METHODS
from rgflow.lattice.methods import Method, SamplingPlan, planned
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
    Errors: the stationary law is exact but for 2^-53 in each acceptance probability; `reliable` and `reason` say whether
    the chains reached it.
    Raises: SettingError for a method that is unknown or invalid for this model, or numbers out of range.

    Example:
    >>> from rgflow.lattice import Ising
    >>> found = sample(Ising(temperature=3.0), shape=(8, 8), chains=4, sweeps=400, seed=0)
    >>> found.method, tuple(found.values.shape), found.reliable
    ('swendsen-wang', (4, 400, 8, 8), True)
    """
    plan = planned(model, shape=shape, chains=chains, sweeps=sweeps, seed=seed, discard=discard, every=every)
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

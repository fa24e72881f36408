"""Hamiltonians from samples, one entrance for spins, categories and real variables.

Convention: p(x) ~ exp(-H(x)); parameters are those of -H, couplings those of H. Units: nats.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal, get_args

from rgflow.errors import SettingError
from rgflow.records.hamiltonian import Hamiltonian

__all__ = ["FitKind", "fit_hamiltonian"]

FitKind = Literal["spin", "categorical", "continuous"]
_PLACES = {
    "spin": ("spin_fit", "fit_spins"),
    "categorical": ("categorical_fit", "fit_categories"),
    "continuous": ("continuous_fit", "fit_continuous"),
}


def fit_hamiltonian(samples: Any, *, kind: FitKind = "spin", **settings: Any) -> Hamiltonian:
    """Return H with p(x) ~ exp(-H(x)) fitted to `samples` (samples, variables), its `fit` saying how and how well.

    `settings` are those of `fit_spins`, `fit_categories` or `fit_continuous`; all three know `order`, `support`, `lattice`,
    `reach`, `permutations`, `regularisation`, `false_discoveries`, `names` and `chains`.
    Raises: SettingError for an unknown kind or setting, DataError for samples that are not of the kind.

    Example:
    >>> fitted = fit_hamiltonian([[1, 1], [-1, -1], [1, -1], [1, 1]], order=2, even=True, regularisation=0.0)
    >>> [round(value, 3) for value in fitted.couplings.tolist()]  # p(equal) = 3/4: J = ln(3) / 2
    [-0.549]
    """
    if kind not in get_args(FitKind):
        raise SettingError(f"kind is {kind!r}; it must be one of {', '.join(get_args(FitKind))}")
    fit = _fit_of(kind)
    allowed = [name for name, given in inspect.signature(fit).parameters.items() if given.kind is given.KEYWORD_ONLY]
    for name in settings:
        if name not in allowed:
            raise SettingError(f"there is no setting {name!r} for kind={kind!r}; settings are {', '.join(allowed)}")
    return fit(samples, **settings)


def _fit_of(kind: str) -> Callable[..., Hamiltonian]:
    module, name = _PLACES[kind]
    return getattr(import_module(f"rgflow.structure.{module}"), name)

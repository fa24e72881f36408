"""From samples to a density that can be normalised: the kind of variables, the fit, and what is left out to that end.

Order 4 of real variables gives each variable a quartic term of its own and couples pairs by their product. A quartic term
that does not come out positive has no density; its variable stays at order 2 and the rest is fitted again.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from rgflow.errors import DataError, SettingError
from rgflow.lattice import Lattice
from rgflow.records.hamiltonian import Hamiltonian
from rgflow.structure.categorical_fit import fit_categories
from rgflow.structure.continuous_fit import ContinuousFit, continuous_terms, fit_continuous
from rgflow.structure.continuous_supports import Support
from rgflow.structure.density_continuous import continuous_law
from rgflow.structure.density_finite import finite_law
from rgflow.structure.density_integrable import integrability
from rgflow.structure.density_laws import FiniteDensity, FittedDensity, RealDensity
from rgflow.structure.spin_fit import fit_spins

__all__ = ["DensityKind", "DensityModel", "NormalisedFit", "guessed_kind", "normalised_fit"]

DensityKind = Literal["auto", "spin", "bit", "categorical", "continuous"]
_LEVELS_AT_MOST = 16  # whole numbers up to 15 are taken for categories; more look like counts or grey values
_PER_LEVEL = 5  # samples a level, below which whole numbers are no categories
_ROUNDS = 5  # of fitting again without quartic terms that came out negative


@dataclass(frozen=True)
class DensityModel:
    """What to fit: settings as for `fit_hamiltonian`."""

    order: int
    support: Support
    lattice: Lattice | None
    reach: float | None
    regularisation: float | None
    smoothing: float | None
    seed: int


@dataclass(frozen=True, eq=False)
class NormalisedFit:
    """The Hamiltonian, its density, and one sentence for each thing that was changed or found."""

    hamiltonian: Hamiltonian
    density: FittedDensity
    notes: tuple[str, ...]


def guessed_kind(x: np.ndarray, *, order: int) -> DensityKind:
    """Return "spin" for values -1 and 1, "bit" for 0 and 1, "categorical" for few whole numbers, else "continuous".

    Categories have no order above 2; then whole numbers are taken for real ones.
    """
    values = np.unique(x)
    if np.isin(values, (-1.0, 1.0)).all():
        return "spin"
    if np.isin(values, (0.0, 1.0)).all():
        return "bit"
    whole = order <= 2 and values[0] >= 0 and values[-1] < _LEVELS_AT_MOST and (values == np.round(values)).all()
    return "categorical" if whole and len(x) >= _PER_LEVEL * (values[-1] + 1) else "continuous"


def normalised_fit(x: np.ndarray, *, kind: DensityKind, model: DensityModel) -> NormalisedFit:
    """Return the density fitted to `x` (samples, variables) of a known kind.

    Raises: DataError where the fit has no normalisable density, SettingError for an order that the kind does not have.
    """
    if kind == "continuous":
        return _real(x, model)
    settings: dict[str, Any] = {
        "order": model.order,
        "support": model.support,
        "lattice": model.lattice,
        "reach": model.reach,
        "regularisation": model.regularisation,
    }
    if kind == "categorical":
        hamiltonian = fit_categories(torch.from_numpy(x), **settings)
        values = None
    else:
        values = (-1.0, 1.0) if kind == "spin" else (0.0, 1.0)
        if not np.isin(x, values).all():
            raise DataError(f"a value is {x[~np.isin(x, values)][0]:g}; kind={kind!r} takes the values {values}")
        spins = np.where(x == values[1], 1.0, -1.0)
        hamiltonian = fit_spins(torch.from_numpy(spins), second_estimator="no", **settings)
    law = finite_law(hamiltonian)
    codes = (x == values[1]).astype(np.int64) if values else x.astype(np.int64)
    density = FiniteDensity(law, hamiltonian, values, _log_shares(codes, law.levels))
    return NormalisedFit(hamiltonian, density, _notes(hamiltonian))


def _real(x: np.ndarray, model: DensityModel) -> NormalisedFit:
    if model.order not in (2, 4, 6):
        raise SettingError(
            f"order is {model.order}; a density of real variables needs an even highest order: take 2, 4 or 6"
        )
    terms = continuous_terms(
        x.shape[1],
        order=model.order,
        support=model.support,
        lattice=model.lattice,
        reach=model.reach,
        coupled_order=2,
    )
    notes: tuple[str, ...] = ()
    reason = ""
    for _ in range(_ROUNDS):
        settings: dict[str, Any] = {"regularisation": model.regularisation, "smoothing": model.smoothing}
        hamiltonian = fit_continuous(torch.from_numpy(x), terms=terms, seed=model.seed, **settings)
        fit = hamiltonian.fit
        assert isinstance(fit, ContinuousFit)
        theta = -fit.parameters.numpy()
        found = integrability(terms, theta)
        if found.proper:
            z = fit.standardisation.apply(torch.from_numpy(x), seed=model.seed)
            density = RealDensity(continuous_law(terms, theta, z=z), fit.standardisation)
            return NormalisedFit(hamiltonian, density, _notes(hamiltonian) + notes)
        reason = found.reason
        higher = (terms.powers.sum(1) > 2) & np.isin(terms.members, found.variables).any(axis=1)
        if not higher.any():
            break
        terms = terms.chosen(~np.isin(terms.tie, terms.tie[higher]))
        notes += (f"{len(found.variables)} variables stay at order 2, since {found.reason}",)
    raise DataError(
        f"the fitted Hamiltonian has no normalisable density: {reason}; take order=2, support='all' or more"
        " regularisation"
    )


def _log_shares(codes: np.ndarray, levels: tuple[int, ...]) -> list[np.ndarray]:
    """Log-frequencies of the levels of each site, one sample added to each level."""
    counts = [np.bincount(column, minlength=q) + 1.0 for column, q in zip(codes.T, levels, strict=True)]
    return [np.log(count / count.sum()) for count in counts]


def _notes(hamiltonian: Hamiltonian) -> tuple[str, ...]:
    return () if hamiltonian.fit is None else hamiltonian.fit.notes

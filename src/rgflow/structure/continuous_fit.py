"""Hamiltonians of real variables from samples: p(x) ~ exp(-H(x)), H a polynomial, by score matching in closed form.

Units: nats, with every variable measured from its centre in its own unit (unit variance), both on the record of the fit;
H is a polynomial of those z unless `standardise=False`. Parameters are those of -H, couplings those of H. The unit
counts as a given number: standard errors do not hold its own scatter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.lattice import Lattice
from rgflow.numerics.sparse_polynomial import SparsePolynomial
from rgflow.records.hamiltonian import Hamiltonian
from rgflow.records.hamiltonian_fit import HamiltonianFit
from rgflow.structure.continuous_monomials import (
    ContinuousTerms,
    monomials,
    tied_along,
    tied_by_shape,
    without_odd,
)
from rgflow.structure.continuous_polynomial import ordered_polynomial
from rgflow.structure.continuous_standard import Standardisation, as_given, continuous_samples, standardisation
from rgflow.structure.continuous_supports import TIED_ON_A_LATTICE, Support, coupled_pairs, symmetry_generators
from rgflow.structure.score_features import energy_slopes, power_table, squared_score_rows
from rgflow.structure.score_matching import ScoreEstimate, score_estimate
from rgflow.structure.score_selection import discoveries

__all__ = ["ContinuousFit", "continuous_terms", "fit_continuous", "score_rows", "terms_of"]


@dataclass(frozen=True, eq=False)
class ContinuousFit(HamiltonianFit):
    """A fit of real variables: `standardisation` leads from the values given to the z of the Hamiltonian."""

    standardisation: Standardisation = field(default_factory=lambda: as_given(0))


def continuous_terms(
    variables: int,
    *,
    order: int = 2,
    support: Support = "all",
    lattice: Lattice | None = None,
    reach: float | None = None,
    coupled_order: int | None = None,
    even: bool = False,
    permutations: np.ndarray | None = None,
) -> ContinuousTerms:
    """Return the terms of a model of `order` with `support`.

    "independent" couples nothing, "all" every pair; "local" the pairs of `lattice` at most `reach` (None: 1) apart;
    "translation" ties local terms that are translates, "reflection" also those that mirrors exchange, "rotation" those that
    mirrors and quarter turns exchange; "permutation" ties all terms of equal powers. `coupled_order` limits the degree of
    terms of several variables, `even` leaves out odd degrees, `permutations` (k, variables) are symmetries of your own.
    Raises: SettingError for an unknown support, or a local one without a lattice of that many sites.
    """
    pairs = coupled_pairs(variables, support=support, lattice=lattice, reach=reach)
    terms = monomials(variables, order=order, pairs=pairs, coupled_order=coupled_order)
    if even:
        terms = without_odd(terms)
    if support in TIED_ON_A_LATTICE and lattice is not None and not lattice.periodic:
        terms = tied_by_shape(terms, lattice)
    if support in TIED_ON_A_LATTICE:
        terms = tied_along(terms, symmetry_generators(variables, support=support, lattice=lattice))
    if support == "permutation":
        terms = tied_by_shape(terms, None)
    return terms if permutations is None else tied_along(terms, permutations)


def fit_continuous(
    samples: Any,
    *,
    order: int = 2,
    support: Support = "all",
    lattice: Lattice | None = None,
    reach: float | None = None,
    coupled_order: int | None = None,
    even: bool = False,
    permutations: np.ndarray | None = None,
    terms: ContinuousTerms | None = None,
    regularisation: float | None = None,
    false_discoveries: float | None = None,
    standardise: bool = True,
    smoothing: float | None = None,
    names: Sequence[str] = (),
    chains: int = 1,
    seed: int = 0,
) -> Hamiltonian:
    """Return H with p(z) ~ exp(-H(z)) from `samples` (samples, variables), kind "continuous", by score matching.

    The model is that of `continuous_terms`, or the `terms` given. `regularisation` is a ridge on the parameters: None adds
    10/samples only where the samples leave a parameter open, and says so. `standardise=False` fits the values as they
    are. `smoothing`: see `standardisation`; its noise is drawn with `seed`. `false_discoveries` keeps the couplings that are
    not 0 at that false discovery rate and fits again with them alone.
    Errors: standard errors are sandwich estimates and allow for autocorrelated samples; they hold for the score-matching
    estimate of the given model and do not cover terms that it lacks. Order 2 with all pairs is the inverse covariance.
    Raises: DataError for unusable samples, SettingError for settings that do not fit.
    Source: Hyvarinen 2005, J. Machine Learning Research 6, 695.

    Example:
    >>> x = np.random.default_rng(0).standard_normal((4000, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    >>> fitted = fit_continuous(x, even=True)
    >>> fitted.fit.names, [round(float(c), 1) for c in fitted.couplings]  # correlation r = 0.6: -r / (1 - r^2) = -0.94
    (('x0**2', 'x1**2', 'x0*x1'), [0.8, -0.9, 0.8])
    """
    x = continuous_samples(samples, least=4)
    if terms is None:
        terms = continuous_terms(
            x.shape[1],
            order=order,
            support=support,
            lattice=lattice,
            reach=reach,
            coupled_order=coupled_order,
            even=even,
            permutations=permutations,
        )
    if terms.order < 2:
        raise SettingError(
            "the model has linear terms only, which no density of real variables has; take order 2 or more"
        )
    scale = as_given(x.shape[1])
    if standardise:
        exchanged = terms.tied
        scale = standardisation(x, pooled=exchanged, centred=_has_odd(terms), smoothing=smoothing)
    elif smoothing:
        scale = Standardisation(scale.centre, scale.unit, np.full(x.shape[1], smoothing))
    z = scale.apply(x, seed=seed)
    estimate = score_estimate(terms, z, ridge=regularisation, chains=chains)
    if false_discoveries is None:
        return _record(terms, estimate, scale=scale, names=names, samples=len(x))
    coupled = np.zeros(terms.parameters, dtype=bool)
    coupled[terms.tie] = terms.bodies > 1
    kept = ~coupled
    kept[coupled] = discoveries(estimate.theta[coupled], estimate.errors[coupled], rate=false_discoveries)
    again = score_estimate(terms.chosen(kept[terms.tie]), z, ridge=regularisation, chains=chains)
    made = _record(terms, _inserted(estimate, again, kept=kept), scale=scale, names=names, samples=len(x))
    fit = replace(_fit_of(made), selected=torch.from_numpy(kept), false_discoveries=false_discoveries)
    return replace(made, fit=fit)


def score_rows(hamiltonian: Hamiltonian, z: Any) -> Tensor:
    """Return (lap H - |grad H|^2 / 2) / variables of every sample `z` (samples, variables): larger is better.

    `z` are values on the scale of the Hamiltonian (`fit.standardisation.apply(samples)`). Differences of two models on the
    same held-out samples compare them; the mean is largest at the truth.
    Raises: SettingError unless the kind is "continuous", DataError for samples that do not fit.
    """
    if hamiltonian.kind != "continuous":
        raise SettingError(f"the Hamiltonian is of kind {hamiltonian.kind!r}; score rows are for continuous ones")
    values = continuous_samples(z, least=1)
    terms, theta = terms_of(hamiltonian.polynomial)
    found, step = [], max(1, 20_000_000 // ((terms.order + 1) * terms.variables))  # 160 MB for the powers
    for start in range(0, len(values), step):
        table = power_table(values[start : start + step], terms.order)
        found.append(squared_score_rows(*energy_slopes(terms, theta, table)))
    return torch.from_numpy(np.concatenate(found))


def terms_of(polynomial: SparsePolynomial) -> tuple[ContinuousTerms, np.ndarray]:
    """Return the terms of a polynomial and their coefficients, a constant left out.

    Raises: SettingError for a constant polynomial.
    """
    counts = np.diff(polynomial.powers.indptr)
    kept = counts > 0
    if not kept.any():
        raise SettingError("the Hamiltonian is constant; a density of real variables needs terms")
    powers = polynomial.powers[np.flatnonzero(kept)]
    counts = counts[kept]
    row = np.repeat(np.arange(len(counts)), counts)
    slot = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    members, raised = (np.zeros((len(counts), counts.max()), dtype=np.int64) for _ in range(2))
    members[row, slot], raised[row, slot] = powers.indices, powers.data
    tie = np.arange(len(counts))
    return ContinuousTerms(len(polynomial.variables), members, raised, tie), polynomial.coefficients[kept]


def _inserted(first: ScoreEstimate, again: ScoreEstimate, *, kept: np.ndarray) -> ScoreEstimate:
    """The second estimate among all parameters: 0 for those left out, with the error of the first."""
    theta, errors, times = np.zeros(len(kept)), first.errors.copy(), first.times.copy()
    theta[kept], errors[kept], times[kept] = again.theta, again.errors, again.times
    return replace(again, theta=theta, errors=errors, times=times, covariance=None, notes=first.notes + again.notes)


def _fit_of(hamiltonian: Hamiltonian) -> HamiltonianFit:
    assert hamiltonian.fit is not None
    return hamiltonian.fit


def _has_odd(terms: ContinuousTerms) -> bool:
    return bool((terms.powers.sum(1) % 2 == 1).any())


def _record(
    terms: ContinuousTerms, estimate: ScoreEstimate, *, scale: Standardisation, names: Sequence[str], samples: int
) -> Hamiltonian:
    variables = tuple(names) or tuple(f"x{i}" for i in range(terms.variables))
    if len(variables) != terms.variables:
        raise SettingError(f"{len(variables)} names given for {terms.variables} variables; give one each or none")
    fit = ContinuousFit(
        method="score matching",
        parameters=torch.from_numpy(-estimate.theta),
        errors=torch.from_numpy(estimate.errors),
        names=terms.names(variables),
        members=torch.from_numpy(np.bincount(terms.tie)),
        samples=samples,
        effective_samples=min(float(samples), samples / float(estimate.times.mean())),
        objective=-float(estimate.rows.mean()),
        regularisation=estimate.ridge,
        covariance=None if estimate.covariance is None else torch.from_numpy(estimate.covariance),
        notes=scale.notes + estimate.notes,
        standardisation=scale,
    )
    made = ordered_polynomial(terms.members, terms.powers, coefficients=estimate.theta[terms.tie], variables=variables)
    errors = torch.from_numpy(estimate.errors[terms.tie][made.order])
    return Hamiltonian("continuous", made.polynomial, errors=errors, fit=fit)

"""A Hamiltonian of spins from samples: pseudo-likelihood, standard errors, second opinion, selection, memory, in one call.

Units: nats; parameters are those of -H, couplings those of H, so that a coupling is minus its parameter.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.lattice import Lattice
from rgflow.numerics.sparse_polynomial import from_members
from rgflow.numerics.thread_limits import single_threaded
from rgflow.records.hamiltonian import Hamiltonian
from rgflow.records.hamiltonian_fit import HamiltonianFit
from rgflow.structure.fit_errors import FitErrors, error_work, parameter_errors
from rgflow.structure.fit_memory import checked_memory, forecast_memory, forecast_sets
from rgflow.structure.interaction_screening import SecondOpinion, second_opinion
from rgflow.structure.pseudo_likelihood import TermsFit, design_for, fit_terms
from rgflow.structure.selection import Selection, select_support
from rgflow.structure.spin_notes import said_of_fit, said_of_opinion, said_of_samples, said_of_selection
from rgflow.structure.spin_samples import checked_spins
from rgflow.structure.supports import SpinSupport, parameter_names, support_terms
from rgflow.structure.terms import Terms

__all__ = ["Opinion", "fit_spins"]

Opinion = Literal["auto", "yes", "no"]
_ERROR_WORK = 3e12  # multiplications of the standard errors that are made unasked: about a minute
_ONE_THREAD_SITES = (
    512  # below, a second thread costs more than it brings: 256 sites take 8.8 s with one, 13.8 s with two
)
_OPINION_PARAMETERS = 50_000  # beyond, "auto" asks for no second opinion: it costs as much as the fit


@dataclass(frozen=True, eq=False)
class _Stage:
    """The fit of the terms that stay, its errors and second opinion, and which candidates stayed (None: all)."""

    fit: TermsFit | None
    spread: FitErrors | None
    opinion: SecondOpinion | None
    selection: Selection | None


def fit_spins(
    samples: Any,
    *,
    order: int = 2,
    support: SpinSupport = "all",
    lattice: Lattice | None = None,
    reach: float | None = None,
    even: bool = False,
    permutations: np.ndarray | None = None,
    terms: Terms | None = None,
    regularisation: float | None = None,
    false_discoveries: float | None = None,
    errors: bool | None = None,
    second_estimator: Opinion = "auto",
    names: Sequence[str] = (),
    chains: int = 1,
    memory_limit: float | None = None,
) -> Hamiltonian:
    """Return H of kind "spin" with p(s) ~ exp(-H(s)) from `samples` (samples, sites) of -1 and 1.

    The terms are those of `support_terms(support, order=..., lattice=..., reach=..., even=..., permutations=...)`, or `terms`.
    `regularisation` / 2 |theta|^2 is the penalty on the mean negative log pseudo-likelihood (None: 10 / samples).
    `false_discoveries` keeps the terms that differ from 0 at that rate and fits them again; errors then ignore the choice.
    `errors`: standard errors (None: where they take no more than a minute or so, else infinite and said so).
    `second_estimator`: interaction screening of the same terms ("auto": up to 50,000 parameters). Samples of `chains` Markov
    chains stand one chain after the other, in the order recorded. `memory_limit` in bytes (None: what is free).
    Errors: standard errors (sandwich) allow for autocorrelation and leverage; infinite where the samples say nothing. With p
    parameters at a site couplings come out too large by a relative 1.6 p / samples or so (measured: 10 % at 0.064).
    Raises: DataError for samples that are no spins, SettingError for settings that do not fit or too little memory.
    Source: Besag 1975, The Statistician 24, 179; Ravikumar, Wainwright and Lafferty 2010, Ann. Statist. 38, 1287.

    Example:
    >>> aligned = [[1, 1], [1, 1], [1, -1], [-1, -1], [-1, -1], [-1, 1]]  # p(equal) = 2/3: J = ln(2) / 2
    >>> fitted = fit_spins(aligned, even=True, regularisation=0.0)
    >>> fitted.fit.names, round(2.0 * float(fitted.couplings[0]), 6)
    (('x0*x1',), -0.693147)
    """
    spins = checked_spins(samples)
    sites = spins.shape[1]
    variables = _variables(names, sites=sites)
    if terms is None:
        if support in ("all", "permutation"):
            checked_memory(forecast_sets(sites, order=order), limit=memory_limit)
        settings = {"lattice": lattice, "reach": reach, "even": even, "permutations": permutations}
        terms = support_terms(support, sites=sites, order=order, **settings)
    elif terms.sites != sites:
        raise SettingError(f"the terms are over {terms.sites} sites and the samples have {sites}; they must agree")
    memory = checked_memory(forecast_memory(terms, samples=len(spins)), limit=memory_limit)
    with single_threaded() if sites <= _ONE_THREAD_SITES else nullcontext():
        stage = _fitted(
            spins,
            terms,
            regularisation=regularisation,
            false_discoveries=false_discoveries,
            errors=errors,
            wanted=second_estimator,
            chains=chains,
        )
    record = _record(stage, terms, spins=spins, variables=variables, memory=memory)
    return _hamiltonian(terms, record, variables=variables)


def _fitted(
    spins: np.ndarray,
    terms: Terms,
    *,
    regularisation: float | None,
    false_discoveries: float | None,
    errors: bool | None,
    wanted: Opinion,
    chains: int,
) -> _Stage:
    selection = None
    if false_discoveries is not None:
        settings = {"regularisation": regularisation, "chains": chains}
        selection = select_support(spins, terms, false_discoveries=false_discoveries, **settings)
        terms = selection.terms
        if not len(terms):
            return _Stage(None, None, None, selection)
    design = design_for(spins, terms)
    fit = fit_terms(spins, terms, regularisation=regularisation, design=design)
    wanted_errors = error_work(design) <= _ERROR_WORK if errors is None else errors
    spread = parameter_errors(spins, fit, chains=chains, design=design) if wanted_errors else None
    opinion = None
    if spread is not None and (wanted == "yes" or (wanted == "auto" and terms.parameters <= _OPINION_PARAMETERS)):
        opinion = second_opinion(spins, fit, errors=spread, chains=chains, design=design)
    return _Stage(fit, spread, opinion, selection)


def _record(
    stage: _Stage, terms: Terms, *, spins: np.ndarray, variables: tuple[str, ...], memory: int
) -> HamiltonianFit:
    selection, fit, spread = stage.selection, stage.fit, stage.spread
    selected = None if selection is None else selection.selected
    unknown = torch.full((terms.parameters,), torch.inf, dtype=torch.float64)
    errors = unknown if selection is None else selection.errors.errors
    given = fit if fit is not None else selection.fit if selection is not None else None
    order = spread if spread is not None else selection.errors if selection is not None else None
    zeros = torch.zeros(terms.parameters, dtype=torch.float64)
    return HamiltonianFit(
        method=f"pseudo-likelihood by {'Newton' if given is None else given.method}",
        parameters=zeros if fit is None else _put(fit.parameters, zeros, selected),
        errors=errors if spread is None else _put(spread.errors, errors, selected),
        names=parameter_names(terms, variables),
        members=torch.from_numpy(np.bincount(terms.tie, minlength=terms.parameters)),
        samples=len(spins),
        effective_samples=float(len(spins)) if order is None else order.effective_samples,
        objective=math.log(2.0) if fit is None else fit.objective,
        regularisation=0.0 if given is None else given.regularisation,
        covariance=None if spread is None or selection is not None else spread.covariance,
        selected=selected,
        false_discoveries=None if selection is None else selection.false_discoveries,
        second_opinion=None if stage.opinion is None else _put(stage.opinion.parameters, zeros, selected),
        memory=memory,
        notes=(
            *said_of_samples(spins, terms, variables),
            *said_of_fit(given, order),
            *said_of_selection(selection),
            *said_of_opinion(stage.opinion),
        ),
    )


def _put(values: Tensor, rest: Tensor, selected: Tensor | None) -> Tensor:
    """Return `rest` with `values` where `selected` is true."""
    return values if selected is None else rest.masked_scatter(selected, values)


def _hamiltonian(terms: Terms, record: HamiltonianFit, *, variables: tuple[str, ...]) -> Hamiltonian:
    """Return the polynomial -sum_t theta s_t in canonical order, with the error of every monomial that is not 0."""
    places = np.arange(1.0, len(terms) + 1.0)
    order = from_members(terms.groups, places, variables=variables).coefficients.astype(np.int64) - 1
    couplings = -record.parameters.numpy()[terms.tie]
    errors = record.errors.numpy()[terms.tie][order]
    polynomial = from_members(terms.groups, couplings, variables=variables)
    return Hamiltonian("spin", polynomial, torch.from_numpy(errors[couplings[order] != 0.0]), fit=record)


def _variables(names: Sequence[str], *, sites: int) -> tuple[str, ...]:
    given = tuple(names) or tuple(f"x{site}" for site in range(sites))
    if len(given) != sites:
        raise SettingError(f"{len(given)} names given for {sites} sites; give one each or none")
    return given

"""Hamiltonians of categories (Potts models) from samples, by maximum pseudo-likelihood in the zero-sum gauge.

-H(s) = sum_i h_i(s_i) + sum_{i<j} J_ij(s_i, s_j), sum_a h_i(a) = sum_a J_ij(a, b) = sum_b J_ij(a, b) = 0. Parameters are
the contrasts of h and J (`categorical_terms`), or the J of J (delta - 1/q); couplings are the values of H on indicators.
Units: nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import logsumexp
from torch import Tensor

from rgflow.errors import DataError, SettingError
from rgflow.lattice import Lattice
from rgflow.records.hamiltonian import Hamiltonian
from rgflow.records.hamiltonian_fit import HamiltonianFit
from rgflow.structure.categorical_errors import FLOOR, JOINT_PARAMETERS, joint_errors, level_errors, site_errors
from rgflow.structure.categorical_likelihood import CategoricalSample, curvature, negative_likelihood
from rgflow.structure.categorical_terms import CategoricalTerms, categorical_terms_of
from rgflow.structure.continuous_polynomial import OrderedPolynomial, ordered_polynomial
from rgflow.structure.continuous_supports import TIED_ON_A_LATTICE, Support, coupled_pairs, symmetry_generators
from rgflow.structure.score_sandwich import Sandwich
from rgflow.structure.score_selection import discoveries

__all__ = ["Colours", "category_rows", "fit_categories"]

Colours = Literal["free", "potts", "symmetric"]
_RIDGE = 10.0  # over the number of samples: without it pseudo-likelihood diverges on few samples


def fit_categories(
    samples: Any,
    *,
    order: int = 2,
    support: Support = "all",
    lattice: Lattice | None = None,
    reach: float | None = None,
    colours: Colours = "free",
    permutations: np.ndarray | None = None,
    levels: Sequence[int] | None = None,
    regularisation: float | None = None,
    false_discoveries: float | None = None,
    names: Sequence[str] = (),
    chains: int = 1,
    seed: int = 0,
) -> Hamiltonian:
    """Return H of kind "categorical" from `samples` (samples, sites) of whole numbers 0 .. levels - 1.

    `order` 1 has fields alone, 2 also pairs; `support` as for spins: "independent" (fields), "all" pairs, "local" (at most
    `reach` apart on `lattice`, None: 1), with shared parameters "translation", "reflection" (also mirrors), "rotation" (also
    quarter turns) and "permutation". `colours`: "potts" couples by J delta(s_i, s_j), "symmetric" does so without fields.
    `levels`: None takes the largest value of each site plus 1, of all sites where parameters are shared.
    `regularisation` / 2 |theta|^2 is added to minus the log pseudo-likelihood (None: 10 / samples).
    `false_discoveries` keeps the couplings that are not 0 at that false discovery rate and fits again with them alone.
    `chains`: Markov chains of equal length stand one after the other. `seed` changes nothing here.
    Errors: sandwich standard errors of the pseudo-likelihood estimate, for autocorrelated samples too.
    Raises: DataError for samples that are no categories, SettingError for settings that do not fit.

    Example:
    >>> states = [[0, 0], [1, 1], [2, 2], [0, 0], [1, 1], [2, 2], [0, 1], [2, 1]]
    >>> fit_categories(states, colours="symmetric", regularisation=0.0).fit.names
    ('x0*x1',)
    """
    states = _states(samples)
    terms = _terms(
        states,
        order=order,
        support=support,
        lattice=lattice,
        reach=reach,
        colours=colours,
        permutations=permutations,
        levels=levels,
        names=tuple(names),
    )
    ridge = _RIDGE / len(states) if regularisation is None else float(regularisation)
    if not 0.0 <= ridge < np.inf:
        raise SettingError(f"regularisation is {regularisation}; it must be a number >= 0 (None takes 10 / samples)")
    sample = CategoricalSample(states, terms.levels, np.full(len(states), 1.0 / len(states)))
    found = _estimate(terms, sample, ridge=ridge, chains=chains)
    if false_discoveries is None:
        return _record(found, sample, names=tuple(names))
    kept = ~terms.is_pair
    coupled = terms.is_pair
    kept[coupled] = discoveries(found.theta[coupled], found.spread.errors[coupled], rate=false_discoveries)
    again = _estimate(terms.chosen(kept), sample, ridge=ridge, chains=chains)
    made = _record(_inserted(found, again, kept=kept), sample, names=tuple(names))
    assert made.fit is not None
    fit = replace(made.fit, selected=torch.from_numpy(kept), false_discoveries=false_discoveries)
    return replace(made, fit=fit)


def category_rows(hamiltonian: Hamiltonian, samples: Any) -> Tensor:
    """Return ln p(s_i | all others) of every sample and site (samples, sites), in nats, for any categorical Hamiltonian.

    Raises: SettingError for another kind, DataError for samples that do not fit it.
    """
    if hamiltonian.kind != "categorical":
        raise SettingError(f"the Hamiltonian is of kind {hamiltonian.kind!r}; category rows are for categorical ones")
    states = _states(samples)
    hamiltonian.energy(torch.from_numpy(states[:1]))  # refuses another number of sites
    if (states >= np.array(hamiltonian.levels)).any():
        raise DataError(f"a category is {states.max()}; the Hamiltonian has the levels {hamiltonian.levels}")
    if hamiltonian.order > 2:
        raise SettingError(
            f"the Hamiltonian has the order {hamiltonian.order}; category rows need fields and pairs only"
        )
    starts = np.concatenate([[0], np.cumsum(hamiltonian.levels)])
    width = int(starts[-1])
    fields, couplings = _matrices(hamiltonian)
    chosen = np.zeros((width, len(states)))
    chosen[(states + starts[:-1]).ravel(), np.repeat(np.arange(len(states)), states.shape[1])] = 1.0
    logits = -np.asarray(couplings @ chosen).T - fields
    found = np.empty(states.shape)
    for site in range(states.shape[1]):
        own = logits[:, starts[site] : starts[site + 1]]
        found[:, site] = np.take_along_axis(own, states[:, [site]], axis=1)[:, 0] - logsumexp(own, axis=1)
    return torch.from_numpy(found)


def _matrices(hamiltonian: Hamiltonian) -> tuple[np.ndarray, csr_array]:
    """Fields on the indicators (indicators,), and the symmetric matrix of couplings between them."""
    terms = hamiltonian.polynomial
    width = len(terms.variables)
    degree = np.diff(terms.powers.indptr)
    fields = np.zeros(width)
    fields[terms.powers[degree == 1].indices] = terms.coefficients[degree == 1]
    i, j = terms.powers[degree == 2].indices.reshape(-1, 2).T
    both = np.tile(terms.coefficients[degree == 2], 2)
    return fields, csr_array((both, (np.r_[i, j], np.r_[j, i])), shape=(width, width))


def _terms(
    states: np.ndarray,
    *,
    order: int,
    support: Support,
    lattice: Lattice | None,
    reach: float | None,
    colours: Colours,
    permutations: np.ndarray | None,
    levels: Sequence[int] | None,
    names: tuple[str, ...],
) -> CategoricalTerms:
    sites = states.shape[1]
    if order not in (1, 2) or colours not in get_args(Colours):
        raise SettingError(
            f"order is {order} and colours {colours!r}; categories are fitted to order 1 or 2, with colours one of"
            f" {', '.join(get_args(Colours))}"
        )
    symmetries = symmetry_generators(sites, support=support, lattice=lattice)
    if permutations is not None:
        symmetries = np.concatenate([symmetries, np.atleast_2d(np.asarray(permutations, dtype=np.int64))])
    pairs = coupled_pairs(sites, support="independent" if order == 1 else support, lattice=lattice, reach=reach)
    translated = support in TIED_ON_A_LATTICE and lattice is not None
    return categorical_terms_of(
        _levels(states, given=levels, shared=bool(len(symmetries)) or translated or colours != "free"),
        pairs=pairs,
        permutations=symmetries,
        moved_along=lattice if translated and lattice is not None and not lattice.periodic else None,
        potts=colours != "free",
        fields=colours != "symmetric",
        names=names,
    )


def _states(samples: Any) -> np.ndarray:
    given = torch.as_tensor(samples).detach().cpu()
    if given.ndim != 2 or len(given) < 2 or not given.shape[1]:
        raise DataError(
            f"the samples have shape {tuple(given.shape)}; (samples, sites) with 2 or more samples is needed"
        )
    whole = given.to(torch.int64)
    wrong = given[(whole != given) | (given < 0)]
    if len(wrong):
        raise DataError(f"a category has the value {float(wrong[0]):g}; it must be a whole number >= 0")
    return whole.numpy()


def _levels(states: np.ndarray, *, given: Sequence[int] | None, shared: bool) -> tuple[int, ...]:
    found = np.maximum(states.max(axis=0) + 1, 2)
    if given is None:
        return tuple(int(q) for q in (np.full_like(found, found.max()) if shared else found))
    levels = tuple(int(q) for q in given)
    if len(levels) != len(found) or min(levels) < 2 or (np.array(levels) <= states.max(axis=0)).any():
        raise SettingError(
            f"levels is {levels}; it must hold {len(found)} numbers >= 2, each above the largest value of its site"
        )
    return levels


def _condensed(states: np.ndarray, levels: tuple[int, ...]) -> CategoricalSample:
    """Equal samples together, where that at least halves their number."""
    distinct, counts = np.unique(states, axis=0, return_counts=True)
    if 2 * len(distinct) > len(states):
        return CategoricalSample(states, levels, np.full(len(states), 1.0 / len(states)))
    return CategoricalSample(distinct, levels, counts / len(states))


def _maximised(
    terms: CategoricalTerms, sample: CategoricalSample, *, ridge: float
) -> tuple[np.ndarray, tuple[str, ...]]:
    """L-BFGS, then Newton's steps where the curvature is affordable."""
    start = np.zeros(terms.parameters)
    options = {"maxiter": 1_000, "maxcor": 20, "gtol": 1e-7, "ftol": 1e-14}

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        return negative_likelihood(theta, terms, sample, ridge=ridge)

    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    theta, slope = found.x, np.abs(found.jac).max()
    if terms.parameters <= JOINT_PARAMETERS:
        for _ in range(2):  # each step squares the distance: 1e-7 of L-BFGS becomes rounding
            hessian = curvature(terms, theta, sample)
            hessian[np.diag_indices_from(hessian)] += ridge + FLOOR
            step = cho_solve(cho_factor(hessian), objective(theta)[1])
            theta = theta - step
        slope = np.abs(objective(theta)[1]).max()
    if slope > 1e-5:  # a slope of 1e-5 nats moves theta by far less than a standard error
        return theta, (f"the search stopped at a slope of {slope:.1e} nats; the likelihood may have no maximum",)
    return theta, ()


@dataclass(frozen=True, eq=False)
class _Estimate:
    """The parameters of `terms`, their errors, minus the log pseudo-likelihood a sample, and what to say of them."""

    terms: CategoricalTerms
    theta: np.ndarray
    spread: Sandwich
    value: float
    ridge: float
    notes: tuple[str, ...]


def _estimate(terms: CategoricalTerms, sample: CategoricalSample, *, ridge: float, chains: int) -> _Estimate:
    condensed = _condensed(sample.states, terms.levels)
    theta, notes = _maximised(terms, condensed, ridge=ridge)
    value = negative_likelihood(theta, terms, condensed, ridge=0.0)[0]
    if terms.parameters <= JOINT_PARAMETERS:
        spread = joint_errors(terms, theta, sample, condensed=condensed, ridge=ridge, chains=chains)
    else:
        spread = site_errors(terms, theta, sample, ridge=ridge, chains=chains)
        notes = ("standard errors site by site, within some 15 % of the joint ones", *notes)
    return _Estimate(terms, theta, spread, value, ridge, notes)


def _inserted(first: _Estimate, again: _Estimate, *, kept: np.ndarray) -> _Estimate:
    """The second estimate among all parameters: 0 for those left out, with the error of the first."""
    theta, errors, times = np.zeros(len(kept)), first.spread.errors.copy(), first.spread.times.copy()
    theta[kept], errors[kept], times[kept] = again.theta, again.spread.errors, again.spread.times
    return replace(again, terms=first.terms, theta=theta, spread=Sandwich(errors, None, times))


def _record(found: _Estimate, sample: CategoricalSample, *, names: tuple[str, ...]) -> Hamiltonian:
    terms, spread = found.terms, found.spread
    fit = HamiltonianFit(
        method="pseudo-likelihood",
        parameters=torch.from_numpy(found.theta),
        errors=torch.from_numpy(spread.errors),
        names=terms.names,
        members=torch.from_numpy(terms.members),
        samples=len(sample.states),
        effective_samples=len(sample.states) / max(1.0, float(spread.times.mean())),
        objective=found.value / len(terms.levels),
        regularisation=found.ridge,
        covariance=None if spread.covariance is None else torch.from_numpy(spread.covariance),
        notes=("zero-sum gauge: fields and couplings add up to 0 over the levels of a site", *found.notes),
    )
    couplings = -(terms.in_levels @ (terms.spread @ found.theta))
    errors = level_errors(terms, spread)
    made = _on_indicators(terms, couplings, names=names)
    return Hamiltonian(
        "categorical", made.polynomial, errors=torch.from_numpy(errors[made.order]), levels=terms.levels, fit=fit
    )


def _on_indicators(terms: CategoricalTerms, couplings: np.ndarray, *, names: tuple[str, ...]) -> OrderedPolynomial:
    """H over the indicators [x_i = a], from its values h_i(a) of all sites, then J_ij(a, b) of all pairs."""
    labels = names or tuple(f"x{i}" for i in range(len(terms.levels)))
    starts = np.concatenate([[0], np.cumsum(terms.levels)])
    width = int(starts[-1])
    members = [np.stack([np.arange(width), np.zeros(width, dtype=np.int64)], axis=1)]
    for i, j in terms.pairs.tolist():
        first, second = (np.arange(int(starts[k]), int(starts[k + 1])) for k in (i, j))
        members.append(np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2))
    joined = np.concatenate(members)
    powers = np.ones_like(joined)
    powers[:width, 1] = 0
    variables = [f"{label}={a}" for label, q in zip(labels, terms.levels, strict=True) for a in range(q)]
    return ordered_polynomial(joined, powers, coefficients=couplings, variables=variables)

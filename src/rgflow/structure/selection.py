"""Sparse supports: which of many candidate terms have a coupling at all, at a controlled rate of false discoveries.

Convention: p-values are two-sided, from z = parameter / standard error; the procedure of Benjamini and Hochberg keeps the
parameters such that at most `false_discoveries` of those kept are expected to be 0.
Source: Benjamini and Hochberg 1995, J. R. Statist. Soc. B 57, 289.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.structure.fit_errors import FitErrors, parameter_errors
from rgflow.structure.pseudo_likelihood import TermsFit, design_for, fit_terms
from rgflow.structure.spin_samples import checked_spins
from rgflow.structure.terms import Terms

__all__ = ["Selection", "kept_terms", "select_support", "selected_by_rate"]


@dataclass(frozen=True, eq=False)
class Selection:
    """Which parameters of the candidate terms were kept, from the fit of all candidates and its errors.

    Shapes: `selected` (parameters,) bool, `p_values` (parameters,); `terms` are those whose parameter was kept.
    """

    selected: Tensor
    p_values: Tensor
    false_discoveries: float
    fit: TermsFit
    errors: FitErrors

    @property
    def terms(self) -> Terms:
        """The terms that were kept."""
        return kept_terms(self.fit.terms, self.selected)


def select_support(
    samples: Any, terms: Terms, *, false_discoveries: float = 0.1, regularisation: float | None = None, chains: int = 1
) -> Selection:
    """Return the parameters of `terms` that differ from 0, at this expected share of false ones among those kept.

    Errors: the rate holds for independent z-scores and for positively dependent ones; it needs standard errors that are right,
    hence several samples for each parameter of a site.
    Raises: SettingError for a rate outside (0, 1), DataError for samples that are no spins.
    """
    spins = checked_spins(samples, sites=terms.sites)
    design = design_for(spins, terms)
    fit = fit_terms(spins, terms, regularisation=regularisation, design=design)
    errors = parameter_errors(spins, fit, chains=chains, design=design)
    z = (fit.parameters / errors.errors.clamp(min=torch.finfo(torch.float64).tiny)).numpy()
    p_values = torch.from_numpy(2.0 * norm.sf(np.abs(z)))
    return Selection(selected_by_rate(p_values, false_discoveries), p_values, false_discoveries, fit, errors)


def selected_by_rate(p_values: Tensor, rate: float) -> Tensor:
    """Return the mask of the hypotheses that Benjamini and Hochberg's step-up procedure rejects.

    Example:
    >>> selected_by_rate(torch.tensor([0.01, 0.04, 0.03, 0.5]), 0.1).tolist()
    [True, True, True, False]
    """
    if not 0.0 < rate < 1.0:
        raise SettingError(f"false_discoveries is {rate}; it must lie between 0 and 1")
    ordered = p_values.sort().values
    lines = rate * torch.arange(1, len(ordered) + 1, dtype=torch.float64) / max(len(ordered), 1)
    below = (ordered <= lines).nonzero()
    return p_values <= (ordered[below[-1, 0]] if len(below) else -1.0)


def kept_terms(terms: Terms, selected: Tensor) -> Terms:
    """Return the terms whose parameter is `selected` (parameters,); parameters keep their order."""
    chosen = torch.as_tensor(selected, dtype=torch.bool).numpy()
    number = np.cumsum(chosen) - 1
    groups, start = [], 0
    for group in terms.groups:
        groups.append(group[chosen[terms.tie[start : start + len(group)]]])
        start += len(group)
    names = tuple(name for name, kept in zip(terms.names, chosen.tolist(), strict=True) if kept) if terms.names else ()
    return Terms(terms.sites, tuple(groups), number[terms.tie[chosen[terms.tie]]], names)

"""Interaction screening: another convex estimator of the same couplings, as a second opinion on pseudo-likelihood.

The objective is the mean over samples of sum_i exp(-s_i h_i), penalty aside. It equals the single-flip minimum probability
flow objective sum_i exp((H(s) - H(s with spin i flipped)) / 2), so that one fit stands for both.
Source: Vuffray, Misra, Lokhov and Chertkov 2016, arXiv:1605.07252; Sohl-Dickstein, Battaglino and DeWeese 2011,
arXiv:0906.4779.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rgflow.numerics.statistics import z_threshold
from rgflow.structure.fit_errors import FitErrors, difference_errors
from rgflow.structure.pseudo_likelihood import TermsFit, design_for, fit_terms
from rgflow.structure.spin_designs import SpinDesign
from rgflow.structure.spin_losses import SCREENING
from rgflow.structure.spin_samples import checked_spins
from rgflow.structure.terms import Terms

__all__ = ["SecondOpinion", "fit_by_screening", "second_opinion"]

_LEAST_LIMIT = 4.0  # standard errors of the difference
_FALSE_ALARM = 0.01  # over all parameters together


@dataclass(frozen=True, eq=False)
class SecondOpinion:
    """Parameters by interaction screening, z-scores of the difference to pseudo-likelihood, and the limit they should obey."""

    parameters: Tensor
    z: Tensor
    limit: float

    @property
    def disagreeing(self) -> int:
        """Number of parameters whose two estimates lie further apart than the limit."""
        return int((self.z.abs() > self.limit).sum())


def fit_by_screening(samples: Any, terms: Terms, *, regularisation: float | None = None) -> TermsFit:
    """Return the minimum of the interaction screening objective, with the arguments of `fit_terms`."""
    return fit_terms(samples, terms, regularisation=regularisation, loss=SCREENING)


def second_opinion(
    samples: Any, fit: TermsFit, *, errors: FitErrors, chains: int = 1, design: SpinDesign | None = None
) -> SecondOpinion:
    """Return what interaction screening says of the terms of `fit`.

    The z-scores take the errors of the difference itself where the joint route fits (both estimates come from the same
    samples), else sqrt(2) times the errors of the fit, which is larger. The limit is 4 or what 1 of 100 fits of right
    terms exceeds, whichever is larger.
    """
    spins = checked_spins(samples, sites=fit.terms.sites)
    design = design_for(spins, fit.terms) if design is None else design
    settings = {"regularisation": fit.regularisation, "loss": SCREENING, "start": fit.parameters, "design": design}
    other = fit_terms(spins, fit.terms, **settings)
    if errors.route == "joint":
        spread = difference_errors(design, fit, other, chains=chains).errors
    else:
        spread = errors.errors * 2.0**0.5
    z = (fit.parameters - other.parameters) / spread.clamp(min=torch.finfo(torch.float64).tiny)
    return SecondOpinion(other.parameters, z, max(_LEAST_LIMIT, z_threshold(len(z), _FALSE_ALARM)))

"""Maximum pseudo-likelihood of a spin Hamiltonian of any order and tie.

Convention: -H(s) = sum_t theta[tie[t]] prod_{i in t} s_i; minus log p(s_i | others) = ln(1 + exp(-2 s_i h_i)), convex in theta.
Units: theta in nats; objectives in nats for each sample and site.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.structure.spin_designs import PairDesign, SpinDesign, TermDesign, is_all_pairs, table_design
from rgflow.structure.spin_layout import TermLayout
from rgflow.structure.spin_losses import PSEUDO_LIKELIHOOD, SiteLoss
from rgflow.structure.spin_minimise import Minimum, Problem, minimised_by_lbfgs, minimised_by_newton
from rgflow.structure.spin_samples import checked_spins, spin_sample
from rgflow.structure.terms import Terms

__all__ = ["TermsFit", "default_regularisation", "design_for", "fit_terms", "log_pseudo_likelihood"]

_PENALTY = 10.0  # default regularisation is 10 / samples: without it pseudo-likelihood diverges on few samples
_NEWTON_PARAMETERS = 2500  # a Cholesky factor of 2,500 x 2,500 takes some 0.2 s
_SPARSE_PARAMETERS = 800  # where sites have few each: L-BFGS, as fast there, is 2 to 4 times faster at 1,800 to 2,560
_CROWDED = 0.05  # parameters a site / samples, above which L-BFGS needs hundreds of steps
_NEWTON_WORK = 2e10  # multiplications of one Hessian: some 0.5 s
_DENSE_SITES = 64  # from here on matrix products beat the loops over pairs


@dataclass(frozen=True, eq=False)
class TermsFit:
    """Fitted parameters `parameters` (parameters,) of `terms`; `objective` is the mean loss a site, penalty left out.

    `converged` is False where the minimiser ran out of steps; `steps` counts its iterations.
    """

    terms: Terms
    parameters: Tensor
    objective: float
    regularisation: float
    samples: int
    loss: str
    method: str
    steps: int
    converged: bool


def default_regularisation(samples: int) -> float:
    """Return 10 / samples, the strength of the square penalty on theta (objective per sample)."""
    return _PENALTY / samples


def fit_terms(
    samples: Any,
    terms: Terms,
    *,
    regularisation: float | None = None,
    loss: SiteLoss = PSEUDO_LIKELIHOOD,
    start: Any = None,
    design: SpinDesign | None = None,
) -> TermsFit:
    """Return theta that minimises mean_m sum_i loss(s_i h_i) + regularisation / 2 |theta|^2.

    Shapes: samples (samples, sites) of -1 and 1, in any container; `start` (parameters,) where the search begins;
    `design` is that of `design_for` for these samples and terms, where it was made before.
    Errors: Newton to 1e-14 nats a sample, L-BFGS to a slope of 1e-6; the penalty (None: 10 / samples) shrinks theta.
    Raises: DataError for samples that are no spins, SettingError for a negative regularisation or no terms.

    Example:
    >>> from rgflow.structure.terms import all_terms
    >>> fit = fit_terms([[1, 1], [1, 1], [-1, -1], [1, -1]], all_terms(2, 1), regularisation=0.0)
    >>> fit.parameters.tanh().mul(4).round().tolist()
    [2.0, 0.0]
    """
    spins = checked_spins(samples, sites=terms.sites)
    strength = default_regularisation(len(spins)) if regularisation is None else float(regularisation)
    if not (np.isfinite(strength) and strength >= 0.0):
        raise SettingError(f"regularisation is {strength}; it must be >= 0 (None takes 10 / samples)")
    design = design_for(spins, terms) if design is None else design
    problem = Problem(design, loss, strength)
    found, method = _minimised(problem, _start(start, parameters=terms.parameters))
    value = problem.value(found.theta) - 0.5 * strength * float(found.theta @ found.theta)
    return TermsFit(
        terms=terms,
        parameters=torch.from_numpy(found.theta),
        objective=value / terms.sites,
        regularisation=strength,
        samples=len(spins),
        loss=loss.name,
        method=method,
        steps=found.steps,
        converged=found.converged,
    )


def log_pseudo_likelihood(samples: Any, terms: Terms, parameters: Any) -> Tensor:
    """Return log p(s_i | all other spins) of every sample and site, (samples, sites), in nats.

    Raises: DataError for samples that are no spins, SettingError for another number of parameters.
    """
    spins = checked_spins(samples, sites=terms.sites)
    theta = _start(parameters, parameters=terms.parameters)
    sample = spin_sample(spins, sites=terms.sites)
    margins = TermDesign(sample, TermLayout(terms)).margins(theta)
    scores = -PSEUDO_LIKELIHOOD.value(margins).T
    return torch.from_numpy(np.ascontiguousarray(scores if sample.inverse is None else scores[sample.inverse]))


def design_for(spins: np.ndarray, terms: Terms) -> SpinDesign:
    """Return the form of the design that is fastest for these terms: table, dense pairs or compiled loops."""
    if not len(terms):
        raise SettingError("there are no terms to fit; give at least one")
    layout = TermLayout(terms)
    table = table_design(spins, layout)
    if table is not None:
        return table
    sample = spin_sample(spins, sites=terms.sites)
    if terms.sites >= _DENSE_SITES and is_all_pairs(terms):
        return PairDesign(sample)
    return TermDesign(sample, layout)


def _minimised(problem: Problem, start: np.ndarray) -> tuple[Minimum, str]:
    design = problem.design
    work, most = np.inf if isinstance(design, PairDesign) else 0.0, _NEWTON_PARAMETERS
    if isinstance(design, TermDesign):
        work = design.layout.curvature_work * len(design.weights)
        at_a_site = np.mean([len(here) for here in design.layout.site_parameters])
        most = _NEWTON_PARAMETERS if at_a_site > _CROWDED * len(design.weights) else _SPARSE_PARAMETERS
    if design.parameters <= most and work <= _NEWTON_WORK:
        return minimised_by_newton(problem, start), "Newton"
    return minimised_by_lbfgs(problem, start), "L-BFGS"


def _start(given: Any, *, parameters: int) -> np.ndarray:
    if given is None:
        return np.zeros(parameters)
    theta = torch.as_tensor(given, dtype=torch.float64).detach().cpu().numpy().reshape(-1).copy()
    if len(theta) != parameters or not np.isfinite(theta).all():
        raise SettingError(f"{len(theta)} parameters given; the terms have {parameters}, all finite")
    return theta

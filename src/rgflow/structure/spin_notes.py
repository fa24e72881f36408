"""What is said beside a fit of spins: constant spins, shrinkage, correlation, crowding, selection, disagreement.

Units: none; every note is one sentence that says what was found and what it means for the numbers.
"""

import numpy as np
import torch

from rgflow.structure.fit_errors import FitErrors
from rgflow.structure.interaction_screening import SecondOpinion
from rgflow.structure.pseudo_likelihood import TermsFit
from rgflow.structure.selection import Selection
from rgflow.structure.spin_layout import TermLayout
from rgflow.structure.terms import Terms

__all__ = ["said_of_fit", "said_of_opinion", "said_of_samples", "said_of_selection"]

_SHRUNK = 0.5  # standard errors that the penalty may take off before it is said
_CORRELATED = 0.5  # share of effective samples below which it is said
_CROWDED = 20  # samples for each parameter of a site below which it is said
_INFLATED = 1.6  # measured with all pairs: 10 % at 0.064 (Ising 16 x 16, T = 2.5), 42 % at 0.25 (chain of 1,000)
_LISTED = 5  # variables named in one sentence


def said_of_samples(spins: np.ndarray, terms: Terms, variables: tuple[str, ...]) -> list[str]:
    """Return what the samples alone tell: constant spins, too few of them."""
    notes, constant = [], np.flatnonzero((spins == spins[:1]).all(0))
    if len(constant):
        listed = ", ".join(variables[site] for site in constant[:_LISTED])
        more = f" and {len(constant) - _LISTED} more" if len(constant) > _LISTED else ""
        notes.append(
            f"constant in all {len(spins)} samples: {listed}{more}; the penalty alone holds the terms of a constant spin,"
            " their errors are infinite"
        )
    if terms.parameters == len(terms) and len(terms):
        crowd = int(np.diff(TermLayout(terms).site_starts).max())
        if len(spins) < _CROWDED * crowd:
            notes.append(
                f"{crowd} parameters act on one site and there are {len(spins)} samples: couplings come out too large by a"
                f" relative {_INFLATED * crowd / len(spins):.2g} or so"
            )
    return notes


def said_of_fit(fit: TermsFit | None, spread: FitErrors | None) -> list[str]:
    """Return what the minimiser and the errors tell."""
    notes = []
    if fit is not None and not fit.converged:
        notes.append(f"the minimiser stopped after {fit.steps} steps short of its goal; a larger regularisation helps")
    if spread is None:
        return [*notes, "standard errors were not computed (errors=True asks for them)"]
    if not spread.settled:
        notes.append(
            "the samples' autocorrelation does not die out within a quarter of a chain: the errors are too small"
        )
    if fit is not None and spread.effective_samples < _CORRELATED * fit.samples:
        notes.append(
            f"the samples are correlated: {fit.samples} count as {spread.effective_samples:.0f}, the errors allow for it"
        )
    if spread.shrinkage is not None:
        shrunk = spread.shrinkage.abs() > _SHRUNK * spread.errors
        if bool(shrunk.any()):
            notes.append(
                f"the penalty takes more than {_SHRUNK:g} standard errors off {int(shrunk.sum())} of {len(shrunk)} parameters;"
                " their errors leave that out"
            )
    if spread.route == "sites":
        notes.append("errors are those of each site's own fit, 0 to 7 % above the joint ones; there is no covariance")
    unknown = int(torch.isinf(spread.errors).sum())
    if unknown:
        notes.append(f"the samples say nothing of {unknown} parameters (infinite error); the penalty alone sets them")
    return notes


def said_of_selection(selection: Selection | None) -> list[str]:
    """Return how many candidates were kept."""
    if selection is None:
        return []
    kept, total = int(selection.selected.sum()), len(selection.selected)
    return [
        f"{kept} of {total} parameters differ from 0 at the false discovery rate {selection.false_discoveries:g}; they were"
        " fitted again without the others, and their errors ignore the choice"
    ]


def said_of_opinion(opinion: SecondOpinion | None) -> list[str]:
    """Return whether interaction screening disagrees."""
    if opinion is None or not opinion.disagreeing:
        return []
    return [
        f"interaction screening differs by more than {opinion.limit:.1f} standard errors in {opinion.disagreeing} of"
        f" {len(opinion.z)} parameters: the terms do not describe these samples, or the penalty is too strong"
    ]

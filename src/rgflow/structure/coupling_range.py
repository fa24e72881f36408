"""How strong couplings are at each distance of a lattice, how far they are resolved, and how fast they fall.

Convention: a shell holds all pairs at one distance (in lattice spacings); its strength is the root mean square coupling with
the noise taken out, sqrt(max(mean(J^2 - error^2), 0)). Units: those of the couplings (nats).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import curve_fit
from scipy.stats import chi2

from rgflow.errors import SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.records.estimate import Estimate
from rgflow.records.structure_card import CouplingRange
from rgflow.structure.pair_couplings import PairCouplings

__all__ = ["measure_range"]

_LEVEL = 0.05  # family-wise over all shells
_LEAST_PAIRS_OF_A_SHELL = 8  # fewer pairs join the next shell: a root mean square of few has no error worth stating
_LEAST_SHELLS_TO_FIT = 3  # an exponential has two parameters
_FIT_LEVEL = 0.01  # a decay whose chi-squared is less likely than this is said not to be exponential


def measure_range(couplings: PairCouplings, lattice: Lattice) -> CouplingRange:
    """Return strengths against distance, the largest resolved distance and the decay length.

    A shell is resolved where the sum of z^2 over its pairs exceeds its 95 % level under no coupling, Bonferroni over shells;
    errors are those of the pairs, widened shell by shell where blocks of samples scatter more.
    Errors: of J^2 - error^2 by the spread over the replicas of `couplings` and over pairs, whichever is larger.
    Raises: SettingError if the lattice has another number of sites.
    """
    if lattice.sites != couplings.variables:
        raise SettingError(f"the lattice has {lattice.sites} sites and there are {couplings.variables} variables")
    shells = _shells(couplings, lattice)
    strengths = tuple(_strength(couplings, shell) for shell in shells)
    resolved = [shell.distance for shell in shells if _is_resolved(couplings, shell, shells=len(shells))]
    reach = max(resolved) if resolved and couplings.determined else None
    length = _decay_length(shells, strengths, reach=reach)
    return CouplingRange(
        distances=tuple(shell.distance for shell in shells),
        strengths=strengths,
        noise=tuple(_noise(couplings, shell) for shell in shells),
        pairs=tuple(len(shell.first) for shell in shells),
        reach=reach,
        length=length,
        sentence=_as_sentence(_words(couplings, reach=reach, length=length, strengths=strengths, shells=shells)),
    )


@dataclass(frozen=True, eq=False)
class _Shell:
    distance: float
    first: np.ndarray
    second: np.ndarray


def _shells(couplings: PairCouplings, lattice: Lattice) -> list[_Shell]:
    active = np.flatnonzero(couplings.active.numpy())
    i, j = (active[part] for part in np.triu_indices(len(active), 1))
    distances = np.round(lattice.distance(i, j), 9)  # distances are roots of integers: 1e-9 only absorbs rounding
    found, rest = [], np.zeros(len(distances), dtype=bool)
    for distance in np.unique(distances):
        members = rest | (distances == distance)
        if members.sum() >= _LEAST_PAIRS_OF_A_SHELL or distance == 1.0:
            found.append(_Shell(float(distances[members].mean()), i[members], j[members]))
            rest = np.zeros(len(distances), dtype=bool)
        else:
            rest = members
    return found


def _errors(couplings: PairCouplings, shell: _Shell) -> np.ndarray:
    """Return the errors of the pairs of a shell, widened where blocks of samples scatter more than they state."""
    errors = couplings.errors.numpy()[shell.first, shell.second]
    replicas = couplings.replicas.numpy()[:, shell.first, shell.second]
    shown = (len(replicas) - 1) / len(replicas) * ((replicas - replicas.mean(0)) ** 2).sum(0)
    return errors * math.sqrt(max(float(shown.mean() / (errors**2).mean()), 1.0))


def _strength(couplings: PairCouplings, shell: _Shell) -> Estimate:
    errors = _errors(couplings, shell)
    excess = couplings.matrix.numpy()[shell.first, shell.second] ** 2 - errors**2
    means = (couplings.replicas.numpy()[:, shell.first, shell.second] ** 2).mean(1)
    spread = math.sqrt((len(means) - 1) / len(means) * float(((means - means.mean()) ** 2).sum()))
    scatter = math.sqrt(2.0 * float((errors**4).sum())) / len(errors)
    return _root(float(excess.mean()), max(spread, scatter))


def _root(square: float, error: float) -> Estimate:
    """Return sqrt(max(square, 0)) with the error that does not shrink to 0 or diverge where the square is noise."""
    value = math.sqrt(max(square, 0.0))
    upper, lower = math.sqrt(max(square, 0.0) + error), math.sqrt(max(square - error, 0.0))
    return Estimate(value, (upper - lower) / 2.0, "statistical")


def _noise(couplings: PairCouplings, shell: _Shell) -> float:
    """Return the 95 % level of sqrt(mean J^2 - mean error^2) over a shell without couplings."""
    errors = _errors(couplings, shell)
    above = float(chi2.isf(_LEVEL, len(errors))) / len(errors) - 1.0
    return math.sqrt(float((errors**2).mean()) * above)


def _is_resolved(couplings: PairCouplings, shell: _Shell, *, shells: int) -> bool:
    widened = _errors(couplings, shell) / couplings.errors.numpy()[shell.first, shell.second]
    scores = couplings.z.numpy()[shell.first, shell.second] / widened
    return float(chi2.sf(float((scores**2).sum()), len(scores))) < _LEVEL / shells


def _decay_length(shells: list[_Shell], strengths: tuple[Estimate, ...], *, reach: float | None) -> Estimate | None:
    """Return xi of strength = a exp(-distance / xi) over the resolved shells, or None where that does not fit."""
    if reach is None:
        return None
    kept = [
        (shell.distance, found)
        for shell, found in zip(shells, strengths, strict=True)
        if shell.distance <= reach and found.value > found.error
    ]
    if len(kept) < _LEAST_SHELLS_TO_FIT:
        return None
    distance = np.array([place for place, _ in kept])
    value = np.array([found.value for _, found in kept])
    error = np.array([found.error for _, found in kept]) / value
    (_, rate), covariance = curve_fit(
        lambda r, a, k: a - k * r, distance, np.log(value), sigma=error, absolute_sigma=True
    )
    misfit = float(
        (
            ((np.log(value) - np.polyval(np.polyfit(distance, np.log(value), 1, w=1 / error), distance)) / error) ** 2
        ).sum()
    )
    if rate <= 0 or chi2.sf(misfit, len(kept) - 2) < _FIT_LEVEL:
        return None
    return Estimate(1.0 / float(rate), float(math.sqrt(covariance[1, 1]) / rate**2), "statistical")


def _as_sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."


def _words(
    couplings: PairCouplings,
    *,
    reach: float | None,
    length: Estimate | None,
    strengths: tuple[Estimate, ...],
    shells: list[_Shell],
) -> str:
    if not couplings.determined:
        return (
            f"{couplings.samples} samples are too few for regressions on {couplings.variables} variables: no range can be"
            " stated"
        )
    if reach is None:
        return "no shell of pairs couples beyond its noise level"
    last = max(place for place, shell in enumerate(shells) if shell.distance <= reach)
    text = (
        f"couplings are resolved up to distance {reach:.3g}, where the root mean square is {strengths[last].value:.2g}"
    )
    if length is not None:
        return f"{text}; they fall like exp(-r / {length.value:.2g})"
    if last + 1 < _LEAST_SHELLS_TO_FIT:
        return f"{text}; too few shells for a decay length"
    return f"{text}; no exponential fits their decay"

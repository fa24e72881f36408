"""What terms of one more body add on held-out samples, for spins and for real variables.

Both halves of the samples are held out in turn. Gains are of the log-pseudo-likelihood (spins, nats a sample) or of minus the
score-matching objective (real variables), paired sample by sample. A term is added only where its score on the other half
is significant among all that were tried, so that a model without such terms gains exactly 0 in most draws.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from rgflow.records.estimate import Estimate
from rgflow.structure.continuous_fit import fit_continuous, score_rows
from rgflow.structure.continuous_monomials import ContinuousTerms
from rgflow.structure.interaction_candidates import candidate_sets, set_scores
from rgflow.structure.pseudo_likelihood import fit_terms, log_pseudo_likelihood
from rgflow.structure.terms import untied

__all__ = ["Gain", "real_gain", "spin_gain"]

_EXPECTED_FALSE = 0.2  # terms without coupling that pass the screen, on average
_BLOCKS = 20
_RIDGE = 10.0  # over samples, as in all fits of this room: keeps powers of few samples from running away
_BOND_TERMS_AT_MOST = 1_000  # monomials of pairs; beyond it only those of single variables are tried


@dataclass(frozen=True)
class Gain:
    """The mean gain a sample with its error (over blocks of samples), terms tried, and the coupling one would see.

    `sets` (sets, order) holds the sets of spins whose coupling passed the screen on either half; none for real variables.
    `terms` says in words which terms gained most; `complete` whether the model without them held every pair.
    """

    gain: Estimate
    tried: int
    detectable: float
    sets: np.ndarray
    terms: str = ""
    complete: bool = False

    @property
    def z(self) -> float:
        """Gain over its error, 0 where nothing was added."""
        return self.gain.value / self.gain.error if self.gain.error > 0 else 0.0


def spin_gain(spins: np.ndarray, *, order: int, edges: np.ndarray, lower: tuple[np.ndarray, ...] = ()) -> Gain:
    """Return what couplings of `order` spins add to fields, the pairs `edges` and the sets `lower`.

    Shapes: `spins` (samples, sites) of -1 and 1; `edges` (edges, 2) rising pairs; `lower` (sets, k) of orders below `order`.
    """
    halves = np.array_split(np.arange(len(spins)), 2)
    rows, tried, kept = np.zeros(len(spins)), 0, []
    for held, used in (halves, halves[::-1]):
        base = [np.arange(spins.shape[1])[:, None], edges, *lower]
        groups = [group for group in base if len(group)]
        terms = untied(groups, sites=spins.shape[1])
        fit = fit_terms(spins[used], terms)
        chances = np.exp(log_pseudo_likelihood(spins[used], terms, fit.parameters).numpy())
        sets = candidate_sets(spins[used], order=order, edges=edges)
        scores = set_scores(spins[used], 2.0 * (1.0 - chances), sets)  # 1 - s tanh(h) = 2 (1 - p)
        chosen = sets[np.abs(scores) > _screen(len(sets))]
        tried = max(tried, len(sets))
        kept.append(chosen)
        if len(chosen):
            longer = untied([*groups, chosen], sites=spins.shape[1])
            more = fit_terms(spins[used], longer)
            after = log_pseudo_likelihood(spins[held], longer, more.parameters).sum(1)
            rows[held] = (after - log_pseudo_likelihood(spins[held], terms, fit.parameters).sum(1)).numpy()
    half = len(spins) / 2.0
    return Gain(_mean(rows), tried, _screen(tried) / math.sqrt(order * half), np.unique(np.concatenate(kept), axis=0))


def real_gain(values: np.ndarray, *, order: int, edges: np.ndarray, lower: tuple[int, ...] = (), seed: int = 0) -> Gain:
    """Return what monomials of degree `order` add to those of degree 1, 2 and `lower`.

    Three ways are tried and the one with the largest gain over its error is returned: one shared parameter for the power
    of every variable, one each, and one each with the monomials on `edges` as well.
    """
    known = (1, 2, *lower)
    ways = {"one shared power": (edges[:0], True), "a power of each variable": (edges[:0], False)}
    if 0 < len(edges) * (order - 1) <= _BOND_TERMS_AT_MOST:
        ways["powers and pair terms"] = (edges, False)
    found = [_real_gain(values, known=known, order=order, edges=edges, way=way, seed=seed) for way in ways.items()]
    return max(found, key=lambda gain: gain.z)


def _real_gain(
    values: np.ndarray,
    *,
    known: tuple[int, ...],
    order: int,
    edges: np.ndarray,
    way: tuple[str, tuple[np.ndarray, bool]],
    seed: int,
) -> Gain:
    name, (bonds, shared) = way
    count = values.shape[1]
    base = [_monomials(count, edges if degree == 2 else bonds, degree) for degree in known]
    longer = [*base, _monomials(count, bonds, order)]
    halves = np.array_split(np.arange(len(values)), 2)
    rows = np.zeros(len(values))
    for held, used in (halves, halves[::-1]):
        scores = []
        for parts, tied in ((base, False), (longer, shared)):
            terms = _joined(count, parts, tied=tied)
            model = fit_continuous(
                values[used], terms=terms, regularisation=_RIDGE / len(used), standardise=False, seed=seed
            )
            scores.append(score_rows(model, values[held]).numpy() * count)
        rows[held] = scores[1] - scores[0]
    added = 1 if shared else len(longer[-1][0])
    return Gain(_mean(rows), added, math.nan, np.zeros((0, order), dtype=np.int64), name)


def _monomials(count: int, edges: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Return members and powers (terms, 2) of all monomials of one degree on single variables and on edges."""
    single = np.arange(count)
    members, powers = [np.stack([single, np.zeros_like(single)], axis=1)], [np.tile([degree, 0], (count, 1))]
    for first in range(1, degree):
        members.append(edges)
        powers.append(np.tile([first, degree - first], (len(edges), 1)))
    return np.concatenate(members), np.concatenate(powers)


def _joined(count: int, parts: list[tuple[np.ndarray, np.ndarray]], *, tied: bool) -> ContinuousTerms:
    """Return the terms of all parts; with `tied` those of the last part share one parameter."""
    total = sum(len(members) for members, _ in parts)
    tie = np.minimum(np.arange(total), total - len(parts[-1][0])) if tied else np.arange(total)
    return ContinuousTerms(count, np.concatenate([m for m, _ in parts]), np.concatenate([p for _, p in parts]), tie)


def _screen(tried: int) -> float:
    return float(norm.isf(_EXPECTED_FALSE / 2.0 / max(tried, 1)))


def _mean(rows: np.ndarray) -> Estimate:
    """Return the mean with the error that blocks of samples show, or independent samples where that is larger."""
    blocks = np.array([part.mean() for part in np.array_split(rows, _BLOCKS)])
    error = max(blocks.std(ddof=1) / math.sqrt(_BLOCKS), rows.std(ddof=1) / math.sqrt(len(rows)))
    return Estimate(float(rows.mean()), float(error), "statistical")

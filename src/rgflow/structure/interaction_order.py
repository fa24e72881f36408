"""The order of the Hamiltonian: how many variables interact at once, or the degree of the polynomial for real variables.

Convention: order 1 is independence, 2 pairs, and so on up to 4; degrees count with multiplicity (x^4 has order 4).
An order is added where its terms raise the held-out score by four standard errors.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from rgflow.lattice.geometry import Lattice
from rgflow.records.estimate import Estimate
from rgflow.records.structure_card import Index, IndexVerdict, NullValue
from rgflow.structure.continuous_standard import standardisation
from rgflow.structure.graph_geometry import missing_share
from rgflow.structure.interaction_categories import category_score
from rgflow.structure.interaction_gains import Gain, real_gain, spin_gain
from rgflow.structure.interaction_whitened import gaussian_excess, whitened
from rgflow.structure.null_data import null_value, phase_randomised, shuffled_columns
from rgflow.structure.pair_couplings import PairCouplings, PairKind, fit_pair_couplings

__all__ = ["find_order"]

_HIGHEST = 4  # physical Hamiltonians have order 2 to 4; sets of five of 64 sites are already 7.6 million
_GAIN_LEVEL = 4.0  # standard errors of the gain: with 20 blocks and 5 ways to add a term a chance of 0.4 %
_MISSING_AT_MOST = 0.15  # share of unresolved pairs beyond which they may stand behind a gain of higher orders
_ALL_PAIRS_UP_TO = 40  # variables: the base then holds every pair, beyond it the resolved ones
_NULL_DRAWS = 3
_NULL_VARIABLES = 36
_NULL_SAMPLES = 1_500
_DETECTABLE = 0.2  # nats: what a "no" must have been able to see


def find_order(
    samples: object,
    *,
    kind: PairKind,
    couplings: PairCouplings | None = None,
    lattice: Lattice | None = None,
    max_order: int = _HIGHEST,
    draws: int = _NULL_DRAWS,
    seed: int,
) -> Index:
    """Return the order with the nulls "shuffled" (order 1) and "phase-randomised" (order 2, where a lattice is known).

    Shapes: `samples` (samples, variables), spins as -1 and 1, real variables in any unit. `couplings` saves the pair fit.
    Terms of three and four: of spins all sets, or those that hang together through resolved pairs and triples with large
    moments; of real variables powers and the pairs of variables that are coupled; of categories triples, by a score test.
    Errors: the order is a whole number and has none; the sentence states the gains behind it. Nulls use at most 36 variables
    and 1,500 samples; `draws` of each, at least 3, or 0 for none.
    """
    values = torch.as_tensor(samples).detach().cpu().to(torch.float64).numpy()
    found = couplings if couplings is not None else fit_pair_couplings(values, kind=kind)
    order = _order(values, kind=kind, couplings=found, seed=seed, highest=max_order)
    nulls = _nulls(values, kind=kind, lattice=lattice, draws=draws, seed=seed) if draws else ()
    alone = order.value is not None and order.value > 2 and any(null.mean >= order.value for null in nulls[:1])
    also = (
        " Shuffled columns show the same order: it is the shape of single variables, not an interaction."
        if alone
        else ""
    )
    return Index(
        key="order",
        title="Order of the interactions",
        estimate=None if order.value is None else Estimate(float(order.value), 0.0, "statistical"),
        nulls=nulls,
        verdict=order.verdict,
        sentence=order.sentence + also,
        unit="variables at once" if kind != "continuous" else "degree",
    )


@dataclass(frozen=True)
class _Order:
    value: int | None
    verdict: IndexVerdict
    sentence: str


def _order(
    values: np.ndarray, *, kind: PairKind, couplings: PairCouplings, seed: int, highest: int = _HIGHEST
) -> _Order:
    if not couplings.determined:
        text = f"{couplings.samples} samples are too few to tell pairs of {couplings.variables} variables apart"
        return _Order(None, "undetermined", text)
    value, said, detectable, complete = 1, [], 0.0, True
    scores = couplings.z.numpy()[np.triu_indices(couplings.variables, 1)]
    edges = np.stack(np.nonzero(np.abs(np.triu(couplings.z.numpy(), 1)) > couplings.threshold), axis=1)
    joint = ((scores**2).sum() - len(scores)) / np.sqrt(2.0 * len(scores))
    if len(edges) or joint > 4.0:  # standard deviations of a sum of squares of normal scores
        value = 2
        said.append(
            f"{len(edges)} pair{'s are' if len(edges) != 1 else ' is'} coupled beyond the family-wise 5 % level"
        )
    for order, gain in _gains(values, kind=kind, couplings=couplings, edges=edges, seed=seed, highest=highest):
        above = gain.z > _GAIN_LEVEL
        value, complete = (order, gain.complete) if above else (value, complete)
        said.append(_said(order, gain, above=above))
        detectable = detectable if np.isnan(gain.detectable) else max(detectable, gain.detectable)
    detectable = max(detectable, couplings.detectable) if value == 1 else detectable
    unresolved = missing_share(couplings, edges) if len(edges) else 0.0
    if value > 2 and not complete and unresolved > _MISSING_AT_MOST:
        said.append("many pairs are not resolved and may stand behind the gain of higher orders")
        return _Order(None, "undetermined", _joined(said))
    if value <= 2 and kind == "continuous":
        excess = gaussian_excess(values[:, couplings.active.numpy()], seed=seed)
        if abs(excess.value) > 4.0 * excess.error:  # standard errors: far past what the surrogates scatter
            said.append(
                f"yet the variables are not jointly Gaussian (E log cosh of whitened ones differs by {excess.value:.2g} +-"
                f" {excess.error:.1g}), so there is more than pairs, of an order that these samples do not resolve"
            )
            return _Order(None, "undetermined", _joined(said))
    if value <= 2 and detectable > _DETECTABLE:
        said.append(f"couplings below {detectable:.2g} would go unseen")
        return _Order(None if value == 1 else value, "undetermined", _joined(said))
    return _Order(value, "yes" if value > 1 else "no", _joined(said or ["no pair of variables is coupled"]))


def _joined(said: list[str]) -> str:
    text = "; ".join(said)
    return text[0].upper() + text[1:] + "."


def _gains(
    values: np.ndarray, *, kind: PairKind, couplings: PairCouplings, edges: np.ndarray, seed: int, highest: int
) -> list[tuple[int, Gain]]:
    active = couplings.active.numpy()
    place = np.cumsum(active) - 1
    used, linked = values[:, active], place[edges]
    if kind == "categorical":
        return [(3, replace(category_score(used, edges=linked), complete=True))] if highest > 2 else []
    if kind == "continuous":
        scaled = standardisation(used).apply(used, seed=seed)
        return _real_gains(scaled, edges=linked, seed=seed, highest=highest)
    spins = np.where(used > used.min(0), 1.0, -1.0)
    if spins.shape[1] <= _ALL_PAIRS_UP_TO:
        linked = np.stack(np.triu_indices(spins.shape[1], 1), axis=1)
    found: list[tuple[int, Gain]] = []
    lower: tuple[np.ndarray, ...] = ()
    for order in range(3, min(highest, spins.shape[1]) + 1):
        gain = spin_gain(spins, order=order, edges=linked, lower=lower)
        found.append((order, replace(gain, complete=spins.shape[1] <= _ALL_PAIRS_UP_TO)))
        lower = (*lower, gain.sets) if len(gain.sets) else lower
    return found


def _real_gains(scaled: np.ndarray, *, edges: np.ndarray, seed: int, highest: int) -> list[tuple[int, Gain]]:
    """Return the gains of degrees 3 and 4, in the given variables or in whitened ones, whichever shows more."""
    found: list[tuple[int, Gain]] = []
    known: tuple[int, ...] = ()
    white = whitened(scaled)
    for order in range(3, highest + 1):
        given = real_gain(scaled, order=order, edges=edges, lower=known, seed=seed)
        free = real_gain(white, order=order, edges=edges[:0], lower=known, seed=seed)
        better = (
            given if given.z >= free.z else replace(free, terms=f"{free.terms} in whitened variables", complete=True)
        )
        found.append((order, better))
        known = (*known, order) if better.z > _GAIN_LEVEL else known
    return found


def _said(order: int, gain: Gain, *, above: bool) -> str:
    if gain.gain.error == 0.0:
        return f"none of {gain.tried} terms of order {order} stands out"
    size = f"{gain.gain.value:.2g} +- {gain.gain.error:.1g} a sample"
    words = f" ({gain.terms})" if gain.terms else ""
    return f"terms of order {order}{words} add {size} held out" + ("" if above else ", not resolved")


def _nulls(
    values: np.ndarray, *, kind: PairKind, lattice: Lattice | None, draws: int, seed: int
) -> tuple[NullValue, ...]:
    """Return the order of null data, on a corner of the lattice or the first variables."""
    few = values[:: max(1, len(values) // _NULL_SAMPLES)][:_NULL_SAMPLES]
    corner = np.arange(values.shape[1])[:_NULL_VARIABLES]
    if lattice is not None and lattice.sites > _NULL_VARIABLES:
        side = max(2, int(_NULL_VARIABLES ** (1.0 / lattice.dimension)))
        corner = np.flatnonzero((lattice.positions < side).all(1))
    seeds = range(seed, seed + draws)
    shuffled = [shuffled_columns(few[:, corner], seed=one).numpy() for one in seeds]
    found = [_band("shuffled", [_null_order(one, kind=kind, seed=seed) for one in shuffled])]
    if lattice is not None and lattice.sites == values.shape[1]:
        phases = [phase_randomised(few, grid=lattice.shape, seed=one, ensemble=True) for one in seeds]
        orders = [_null_order(draw.numpy()[:, corner], kind="continuous", seed=seed) for draw in phases]
        found.append(_band("phase-randomised", orders))
    return tuple(found)


def _band(name: str, orders: list[float]) -> NullValue:
    """Return the band of a null, cut to the orders that exist."""
    null = null_value(name, orders)
    return replace(null, low=max(null.low, 1.0), high=min(null.high, float(_HIGHEST)))


def _null_order(values: np.ndarray, *, kind: PairKind, seed: int) -> float:
    found = _order(values, kind=kind, couplings=fit_pair_couplings(values, kind=kind), seed=seed)
    return float(found.value or 1)

"""The graph of couplings, its dimension, and whether it is the lattice that the data are known to live on.

No order of the columns is used: neighbours are the pairs whose coupling is significant, distance is the number of steps
along them. Units: strengths are couplings (nats); the dimension is a pure number.
"""

from dataclasses import dataclass

import numpy as np
import torch

from rgflow.lattice.geometry import Lattice
from rgflow.records.estimate import Estimate
from rgflow.records.structure_card import Geometry, IndexVerdict
from rgflow.structure.graph_growth import (
    GrowthFit,
    ball_growth,
    dimension_of_growth,
    filling_radius,
    giant_component,
    refitted,
)
from rgflow.structure.pair_couplings import PairCouplings

__all__ = ["missing_share", "neighbour_agreement", "recover_geometry"]

_LEAST_NODES = 16  # of a 4 x 4 lattice; below it balls fill the graph before they grow
_LEAST_SHARE = 0.8  # of the variables that must hang together
_MISSING_AT_MOST = 0.15  # share of edges that may lie below the threshold: beyond it balls are those of another graph
_LEAST_RADIUS = 3  # two steps that fill the graph do not show a power law
_MISFIT_AT_MOST = (
    0.06  # of ln B: lattices with a tenth of their edges lost stay below 0.05, random graphs lie above 0.08
)
_STEP_AT_LEAST = 0.75  # lattice steps an edge: random graphs reach 0.5 to 0.9 at a large misfit
_BACKBONE = 0.5  # of the strongest coupling of either end: keeps nearest neighbours, drops what fades with distance
_STRONGER = (
    0.3,
    0.5,
)  # shares of the strongest coupling of either end; a lattice of equal couplings keeps all its bonds
_DETECTABLE = 0.2  # nats: half the coupling of the square Ising lattice at its transition, 0.44
_ERROR_AT_MOST = 0.5  # beyond it whole numbers are not told apart
_LEAST_ERROR = 0.05  # of the dimension: what one missing edge in fifty does on 8 x 8 sites


def recover_geometry(couplings: PairCouplings, *, lattice: Lattice | None = None) -> Geometry:
    """Return the graph of significant couplings and its growth dimension; "no" and "undetermined" are answers.

    An edge is a pair past the |z| that no pair without coupling reaches (family-wise 5 %); where couplings fade into the
    noise, only pairs with at least half the strongest coupling of one of their ends. The dimension compares ball growth with
    lattices (see graph_growth). Errors: the largest of half the range over windows of radii, the move
    when only stronger couplings are edges, and 0.05.
    `lattice`, where known, is used for `agreement` alone.
    """
    agreement = None if lattice is None else neighbour_agreement(couplings, lattice)
    edges = _edges(couplings)
    found = _judged(couplings, edges)
    strengths = couplings.matrix.numpy()[found.edges[:, 0], found.edges[:, 1]]
    return Geometry(
        edges=torch.as_tensor(found.edges),
        strengths=torch.as_tensor(strengths),
        dimension=found.dimension,
        agreement=agreement,
        verdict=found.verdict,
        sentence=found.sentence[0].upper() + found.sentence[1:] + ".",
    )


def neighbour_agreement(couplings: PairCouplings, lattice: Lattice) -> float | None:
    """Return the area under the curve with which |z| tells the bonds of `lattice` from all other pairs of active sites."""
    from sklearn.metrics import roc_auc_score

    active = np.flatnonzero(couplings.active.numpy())
    i, j = (active[part] for part in np.triu_indices(len(active), 1))
    bonded = np.isclose(lattice.distance(i, j), 1.0)
    if bonded.all() or not bonded.any():
        return None
    return float(roc_auc_score(bonded, np.abs(couplings.z.numpy()[i, j])))


@dataclass(frozen=True, eq=False)
class _Judged:
    edges: np.ndarray
    verdict: IndexVerdict
    sentence: str
    dimension: Estimate | None = None


def _edges(couplings: PairCouplings) -> np.ndarray:
    scores = np.abs(np.triu(couplings.z.numpy(), 1))
    return np.stack(np.nonzero(scores > couplings.threshold), axis=1).astype(np.int64)


def _judged(couplings: PairCouplings, edges: np.ndarray) -> _Judged:
    nodes = int(couplings.active.sum())
    if not couplings.determined:
        text = (
            f"{couplings.samples} samples are too few to tell direct couplings of {nodes} variables from indirect ones"
        )
        return _Judged(edges, "undetermined", text)
    if not len(edges):
        return _without_edges(couplings, edges)
    if nodes < _LEAST_NODES:
        return _Judged(edges, "undetermined", f"{nodes} variables are too few for a dimension; at least {_LEAST_NODES}")
    missing = missing_share(couplings, edges)
    kept = edges if missing < _MISSING_AT_MOST else _backbone(couplings, edges)
    members = giant_component(kept, nodes=couplings.variables)
    if len(members) < _LEAST_SHARE * nodes:
        text = f"the resolved couplings join only {len(members)} of {nodes} variables; more samples may join the rest"
        return _Judged(edges, "undetermined", text)
    return _with_growth(couplings, edges=edges, kept=kept, members=members, missing=missing)


def _without_edges(couplings: PairCouplings, edges: np.ndarray) -> _Judged:
    seen = f"a coupling of {couplings.detectable:.2g} would have been seen"
    scores = couplings.z.numpy()[np.triu_indices(couplings.variables, 1)]
    if (scores**2).sum() - len(scores) > 4.0 * np.sqrt(
        2.0 * len(scores)
    ):  # sum of squares of normal scores, 4 deviations
        return _Judged(
            edges, "no", "no dimension: many weak couplings, none of which stands out, so there are no neighbours"
        )
    if couplings.detectable < _DETECTABLE:
        return _Judged(edges, "no", f"no dimension: no pair of variables is coupled ({seen})")
    return _Judged(edges, "undetermined", f"no pair coupling is resolved, but only {seen}")


def missing_share(couplings: PairCouplings, edges: np.ndarray) -> float:
    """Return how many edges lie below the threshold, estimated from the excess of z^2 there, over those above it."""
    scores = couplings.z.numpy()
    below = np.abs(scores[np.triu_indices(len(scores), 1)])
    below = below[below <= couplings.threshold]
    excess = float((below**2 - 1.0).sum())
    if excess < 3.0 * np.sqrt(2.0 * len(below)):  # three standard deviations of a sum of squares of normal scores
        return 0.0
    return (
        excess / couplings.threshold**2 * 2.0 / len(edges)
    )  # couplings just missed have z^2 about half the threshold's


def _backbone(couplings: PairCouplings, edges: np.ndarray, *, share: float = _BACKBONE) -> np.ndarray:
    size = np.abs(couplings.matrix.numpy() / couplings.unit.numpy()) * (
        np.abs(couplings.z.numpy()) > couplings.threshold
    )
    strongest = size.max(1)
    first, second = edges.T
    strength = size[first, second]
    return edges[(strength >= share * strongest[first]) | (strength >= share * strongest[second])]


def _with_growth(
    couplings: PairCouplings, *, edges: np.ndarray, kept: np.ndarray, members: np.ndarray, missing: float
) -> _Judged:
    balls = ball_growth(kept, members=members, nodes=couplings.variables)
    growth = balls.mean(0)
    radius = filling_radius(growth, nodes=len(members))
    part = "" if len(kept) == len(edges) else f" (of the {len(kept)} strongest of {len(edges)} couplings)"
    if radius < _LEAST_RADIUS:
        steps = "every step" if radius == 1 else f"{radius} steps"
        text = f"no dimension: balls of {steps} already hold nine tenths of the variables{part}"
        return _Judged(edges, "no", text)
    fit = dimension_of_growth(growth, nodes=len(members), radius=radius)
    if fit.misfit > _MISFIT_AT_MOST or fit.step < _STEP_AT_LEAST:
        text = f"no dimension: balls grow unlike those of a lattice, as on a random graph{part}"
        return _Judged(edges, "no", text)
    error = _window_error(growth, fit=fit, nodes=len(members))
    error = max(error, _choice_error(couplings, edges, fit=fit))
    if missing >= _MISSING_AT_MOST and len(kept) == len(edges):
        text = "couplings fade into the noise, so which pairs are neighbours depends on the number of samples"
        return _Judged(edges, "undetermined", text)
    if error > _ERROR_AT_MOST:
        text = f"the dimension depends on which couplings count as edges: {fit.dimension:.1f} +- {error:.1f}{part}"
        return _Judged(edges, "undetermined", text)
    text = f"balls grow like those of a {fit.dimension:.2f}-dimensional lattice up to {radius} steps{part}"
    return _Judged(edges, "yes", text, Estimate(fit.dimension, error, "truncation"))


def _choice_error(couplings: PairCouplings, edges: np.ndarray, *, fit: GrowthFit) -> float:
    """Return how far the dimension moves when only stronger couplings count as edges, while these still hang together."""
    moved = 0.0
    for share in _STRONGER:
        kept = _backbone(couplings, edges, share=share)
        members = giant_component(kept, nodes=couplings.variables)
        if len(members) < _LEAST_SHARE * int(couplings.active.sum()):
            break
        growth = ball_growth(kept, members=members, nodes=couplings.variables).mean(0)
        radius = filling_radius(growth, nodes=len(members))
        moved = max(
            moved, abs(dimension_of_growth(growth, nodes=len(members), radius=radius).dimension - fit.dimension)
        )
    return moved


def _window_error(growth: np.ndarray, *, fit: GrowthFit, nodes: int) -> float:
    """Return half the range of the dimension over windows of radii that end one and two steps earlier."""
    shorter = [radius for radius in (fit.radius - 1, fit.radius - 2) if radius >= 2]
    values = [refitted(growth, nodes=nodes, radius=radius, like=fit).dimension for radius in shorter]
    values.append(fit.dimension)
    return max((max(values) - min(values)) / 2.0, _LEAST_ERROR)

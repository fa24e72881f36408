"""What a structure card suggests for a network, only where its evidence is resolved.

These are suggestions: the card knows the law of the inputs, not the task. Each names the evidence that it rests on.
"""

import math

from rgflow.records.structure_card import CouplingRange, Implication, Index, SymmetryTest
from rgflow.structure.card_input import CardInput
from rgflow.structure.card_parts import CardParts

__all__ = ["implications_of"]

_SHARE = 0.9  # of the squared coupling that a receptive field should see


def implications_of(data: CardInput, parts: CardParts) -> tuple[Implication, ...]:
    """Return the suggestions, strongest evidence first; none where nothing is resolved."""
    if not _coupled(parts):
        return ()  # any symmetry of variables that are independent, as far as one sees, is that of noise
    found = [
        _receptive_field(data, parts),
        _sharing(data, parts),
        _products(parts.order),
        _depth(data, parts),
        _sets(parts.symmetries),
        _signs(parts.symmetries),
    ]
    kept = tuple(one for one in found if one is not None)
    return kept or _plain(parts)


def _coupled(parts: CardParts) -> bool:
    return len(parts.geometry.edges) > 0 or (parts.order.estimate is not None and parts.order.estimate.value > 1)


def _receptive_field(data: CardInput, parts: CardParts) -> Implication | None:
    reach = parts.coupling_range
    if data.lattice is None or reach is None or reach.reach is None or parts.locality.verdict != "yes":
        return None
    radius = _radius(reach)
    if radius is None:
        return None
    side = 2 * math.ceil(radius - 1e-9) + 1
    if side >= min(data.lattice.shape):
        return None
    field = " x ".join([str(side)] * data.lattice.dimension)
    evidence = (
        f"{100 * _SHARE:.0f} % of the squared coupling lies within distance {radius:.3g}: more local than the nulls."
    )
    return Implication(f"Receptive fields of {field} in the first layer.", evidence)


def _radius(reach: CouplingRange) -> float | None:
    """Return the distance within which nine tenths of the noise-corrected squared coupling lie."""
    weights = [count * found.value**2 for count, found in zip(reach.pairs, reach.strengths, strict=True)]
    total, seen = sum(weights), 0.0
    for distance, weight in zip(reach.distances, weights, strict=True):
        seen += weight
        if total > 0.0 and seen >= _SHARE * total:
            return distance
    return None


def _sharing(data: CardInput, parts: CardParts) -> Implication | None:
    tests = [test for test in parts.symmetries if test.name.startswith("translation")]
    if data.lattice is None or not tests:
        return None
    said = "; ".join(f"{test.name}: p = {test.p_value:.2g}" for test in tests)
    local = parts.locality.verdict == "yes"
    if local and all(test.verdict == "yes" for test in tests):
        return Implication(
            "Share weights over positions: a convolution.", f"the law does not change under shifts ({said})"
        )
    if local and any(test.verdict == "no" for test in tests):
        return Implication(
            "Local weights that know their position: convolutions with coordinates as inputs, or locally connected layers.",
            f"couplings are local but the law changes under shifts ({said})",
        )
    return None


def _products(order: Index) -> Implication | None:
    if order.verdict not in ("yes", "no") or order.estimate is None:
        return None
    value = round(order.estimate.value)
    alone = value > 2 and any(null.name == "shuffled" and null.mean >= value for null in order.nulls)
    if value == 1 or alone:
        return None
    if value == 2:
        return Implication(
            "One layer of products of two inputs holds the log-probability: activations with a second derivative, at four"
            " neurons a product.",
            order.sentence,
        )
    return Implication(
        f"Products of {value} variables are needed: two stacked layers of pairwise products, or activations with a"
        f" derivative of order {value}.",
        order.sentence,
    )


def _depth(data: CardInput, parts: CardParts) -> Implication | None:
    if parts.hierarchy.index.verdict != "yes" or data.lattice is None:
        return None
    levels = math.ceil(math.log2(max(data.lattice.shape)))
    return Implication(
        f"Depth: about {levels} layers with pooling by 2, so that every scale has a layer.",
        parts.hierarchy.index.sentence,
    )


def _sets(tests: tuple[SymmetryTest, ...]) -> Implication | None:
    for test in tests:
        if test.name == "permutation" and test.verdict == "yes" and test.variables > test.orbits:
            return Implication("Layers that treat inputs as a set (shared weights, sums).", test.sentence)
    return None


def _signs(tests: tuple[SymmetryTest, ...]) -> Implication | None:
    for test in tests:
        if test.name == "sign flip" and test.verdict == "yes":
            return Implication(
                "A network that is even or odd in its input, or training on inputs of both signs, where the task allows.",
                test.sentence,
            )
    return None


def _plain(parts: CardParts) -> tuple[Implication, ...]:
    resolved = parts.order.verdict == "yes" and parts.locality.verdict == "no"
    if not resolved:
        return ()
    return (
        Implication(
            "A plain fully connected network: there is structure, but none that weights could share or leave out.",
            f"{parts.order.sentence} {parts.locality.sentence}",
        ),
    )

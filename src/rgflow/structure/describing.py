"""The structure card of a data set: what is simple about it, each index beside its nulls, and what that suggests.

Units: see records.structure_card. The card knows the inputs alone; targets are not read.
"""

from typing import Any

import numpy as np

from rgflow.errors import SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.records.structure_card import StructureCard
from rgflow.structure.card_input import CardInput, read_card_input
from rgflow.structure.card_parts import CardParts, Progress, run_parts
from rgflow.structure.implications import implications_of

__all__ = ["card"]


def card(
    dataset: Any,
    *,
    seed: int,
    lattice: Lattice | tuple[int, ...] | None = None,
    max_order: int = 4,
    progress: Progress | None = None,
) -> StructureCard:
    """Return order, locality, range, geometry, symmetries, basis, scales, dimension, compressibility and ladder of a data set.

    `dataset` is a `Dataset` or an array (samples, *features); `lattice` says on which lattice its features sit (None: that of
    the data set). `progress` is called with the name of each stage and the fraction done. `timing` holds seconds a stage.
    Errors: each on its own number. At most 10,000 samples are read; parts that read fewer say so in `notes`.
    Raises: DataError for fewer than 60 samples, values that are not finite or nothing that varies; SettingError for others.

    Example:
    >>> import torch
    >>> coins = torch.randint(0, 2, (400, 9), generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    >>> found = card(coins, seed=0)
    >>> found.kind, found.order.verdict
    ('spin', 'no')
    """
    if seed < 0:
        raise SettingError(f"seed is {seed}; it must be >= 0")
    data = read_card_input(dataset, lattice=lattice)
    parts = run_parts(data, max_order=max_order, seed=seed, progress=progress or (lambda _stage, _fraction: None))
    return _assembled(data, parts, seed=seed)


def _assembled(data: CardInput, parts: CardParts, *, seed: int) -> StructureCard:
    return StructureCard(
        name=data.name,
        provenance=data.provenance,
        kind=data.kind,
        samples=len(data.values),
        variables=data.values.shape[1],
        grid=() if data.lattice is None else data.lattice.shape,
        periodic=data.lattice is not None and data.lattice.periodic,
        seed=seed,
        preparation=data.preparation,
        order=parts.order,
        locality=parts.locality,
        coupling_range=parts.coupling_range,
        geometry=parts.geometry,
        symmetries=parts.symmetries,
        basis=parts.basis,
        hierarchy=parts.hierarchy.rows,
        hierarchy_index=parts.hierarchy.index,
        intrinsic_dimension=parts.dimension.estimates,
        dimension_sentence=parts.dimension.sentence,
        compressibility=parts.compressibility,
        ladder=parts.ladder,
        parameter_counts=_counts(data, parts),
        coupling_matrix=None if parts.couplings is None else parts.couplings.matrix,
        spectrum=_spectrum(data.values),
        implications=implications_of(data, parts),
        variable_names=data.names,
        notes=(*(parts.couplings.notes if parts.couplings is not None else ()), *parts.notes),
        timing=parts.timing,
    )


def _counts(data: CardInput, parts: CardParts) -> tuple[tuple[str, str], ...]:
    """Return the number of parameters of all rungs, the most general first."""
    rungs = sorted(parts.ladder.rungs, key=lambda rung: -rung.parameters)
    generic = parts.ladder.generic_parameters or (
        f"2^{data.values.shape[1]} - 1" if data.kind == "spin" else "infinite"
    )
    return (("any law at all", generic), *((rung.name, f"{rung.parameters:,}") for rung in rungs))


def _spectrum(values: np.ndarray) -> tuple[float, ...]:
    """Return the variances of the principal components of the standardised variables, falling."""
    active = values.std(0) > 1e-12 * np.abs(values).max(0)
    scaled = (values[:, active] - values[:, active].mean(0)) / values[:, active].std(0)
    return tuple(np.linalg.eigvalsh(scaled.T @ scaled / len(scaled))[::-1].tolist())

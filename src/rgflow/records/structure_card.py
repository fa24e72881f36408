"""What is simple about one dataset: order, locality, geometry, symmetry, basis, scales, each beside its nulls.

Units: couplings are in nats for spins and categories, and in nats with every variable scaled to unit variance for
continuous data; distances are in lattice spacings; p-values and fractions are pure numbers.
"""

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from rgflow.records.estimate import Estimate
from rgflow.records.ladder import Ladder

__all__ = [
    "Basis",
    "CouplingRange",
    "DimensionEstimate",
    "Geometry",
    "Implication",
    "Index",
    "IndexVerdict",
    "NullValue",
    "Preparation",
    "ScaleRow",
    "StructureCard",
    "SymmetryTest",
]

IndexVerdict = Literal["yes", "no", "undetermined", "not applicable"]


@dataclass(frozen=True)
class NullValue:
    """What an index gives on data without the structure it looks for, over `draws` random such data sets.

    `name` is "shuffled" (every column permuted by itself), "phase-randomised" (spectrum kept, phases drawn), "rotated
    basis" (a random rotation of the variables) or "label-shuffled"; `low`, `high` hold 95 of 100 draws.
    """

    name: str
    mean: float
    low: float
    high: float
    draws: int


@dataclass(frozen=True)
class Index:
    """One number about the data with an interval, beside the same number on its nulls, and what follows in words.

    `estimate.error` is one standard error (block jackknife or bootstrap over samples). `verdict` says whether the
    structure is there. `p_value` is that of the strongest null, None where a threshold of another kind decides.
    """

    key: str
    title: str
    estimate: Estimate | None
    nulls: tuple[NullValue, ...]
    verdict: IndexVerdict
    sentence: str
    unit: str = ""
    p_value: float | None = None


@dataclass(frozen=True)
class CouplingRange:
    """Root mean square coupling against distance, with errors, and the level that noise alone reaches.

    `noise` is the 95 % level of the same root mean square without any coupling, shell by shell. `length` is the decay
    length in spacings (None where no exponential fits), `reach` the largest distance with a resolved coupling.
    """

    distances: tuple[float, ...]
    strengths: tuple[Estimate, ...]
    noise: tuple[float, ...]
    pairs: tuple[int, ...]
    reach: float | None
    length: Estimate | None
    sentence: str


@dataclass(frozen=True)
class Geometry:
    """The graph of couplings recovered without knowledge of any order of the columns.

    `edges` (edges, 2) int64; `dimension` is the growth dimension of the graph, None with the verdict "no" ("no
    dimension") or "undetermined". `agreement` is the area under the curve with which coupling strength tells neighbours of
    the known lattice from other pairs, None where no lattice is known.
    """

    edges: Tensor
    strengths: Tensor
    dimension: Estimate | None
    agreement: float | None
    verdict: IndexVerdict
    sentence: str


@dataclass(frozen=True)
class SymmetryTest:
    """One candidate symmetry: a p-value of the hypothesis that the law of the data has it.

    `verdict` is "no" where p < level / number of tests, "yes" where it is not and the test would have seen a violation of
    size `detectable` (of `statistic`), else "undetermined". `orbits` counts the classes of variables under the group.
    """

    name: str
    meaning: str
    p_value: float
    statistic: float
    detectable: float
    orbits: int
    variables: int
    verdict: IndexVerdict
    sentence: str


@dataclass(frozen=True)
class Basis:
    """Whether the variables as given are a preferred basis: sparsity of couplings here, rotated, and at the best found."""

    given: Index
    best: float | None
    sentence: str


@dataclass(frozen=True)
class ScaleRow:
    """One step of coarse-graining: block side, blocks, and the couplings and the order that are seen at that scale."""

    scale: int
    variables: int
    neighbour_coupling: Estimate | None
    variance: Estimate
    non_gaussian: Estimate
    sentence: str = ""


@dataclass(frozen=True)
class DimensionEstimate:
    """An intrinsic dimension by one published estimator."""

    estimator: str
    value: Estimate
    source: str


@dataclass(frozen=True)
class Implication:
    """A suggestion for a network, with the evidence it rests on."""

    suggestion: str
    evidence: str


@dataclass(frozen=True)
class Preparation:
    """What was found in the data before any analysis, and what was done about it."""

    finding: str
    treatment: str


@dataclass(frozen=True)
class StructureCard:
    """The card of one dataset. Empty tuples and None stand for what does not apply; the sentences say why.

    `kind` is "spin", "categorical" or "continuous". `coupling_matrix` (variables, variables) holds the pair couplings of the
    all-pairs fit, or of the most general rung that was fitted; `spectrum` the variances of the principal components.
    """

    name: str
    provenance: str
    kind: str
    samples: int
    variables: int
    grid: tuple[int, ...]
    periodic: bool
    seed: int
    preparation: tuple[Preparation, ...]
    order: Index
    locality: Index
    coupling_range: CouplingRange | None
    geometry: Geometry
    symmetries: tuple[SymmetryTest, ...]
    basis: Basis
    hierarchy: tuple[ScaleRow, ...]
    hierarchy_index: Index
    intrinsic_dimension: tuple[DimensionEstimate, ...]
    dimension_sentence: str
    compressibility: Index
    ladder: Ladder
    parameter_counts: tuple[tuple[str, str], ...]
    coupling_matrix: Tensor | None
    spectrum: tuple[float, ...]
    implications: tuple[Implication, ...]
    variable_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    timing: dict[str, float] = field(default_factory=dict)

    @property
    def indices(self) -> tuple[Index, ...]:
        """All indices with nulls, in the order of the card."""
        return (self.order, self.locality, self.basis.given, self.hierarchy_index, self.compressibility)

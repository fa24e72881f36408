"""Structure cards made by hand: an Ising lattice, a table of wines, noise, photographs, and a card full of gaps."""

import math
from dataclasses import replace

import torch

from rgflow.lattice.geometry import Lattice
from rgflow.records.estimate import Estimate
from rgflow.records.ladder import Ladder, Rung
from rgflow.records.structure_card import (
    Basis,
    CouplingRange,
    DimensionEstimate,
    Geometry,
    Implication,
    Index,
    NullValue,
    Preparation,
    ScaleRow,
    StructureCard,
    SymmetryTest,
)
from rgflow.report.data_report import DataReport

__all__ = ["every_structure_example", "ising_report", "noise_report", "wine_report"]


def measured(value: float, error: float) -> Estimate:
    return Estimate(value, error, "statistical")


def null(name: str, mean: float, half: float) -> NullValue:
    return NullValue(name, mean, mean - half, mean + half, 100)


def symmetry(name: str, p: float, verdict: str, *, orbits: int, variables: int, sentence: str = "") -> SymmetryTest:
    return SymmetryTest(
        name, f"the law is the same after {name}", p, 1.1 if p > 0.01 else 9.3, 1.8, orbits, variables, verdict,
        sentence or f"{name}: p = {p:.2g}",
    )  # fmt: skip


def rungs(*rows: tuple) -> tuple[Rung, ...]:
    return tuple(
        Rung(
            name,
            f"assumption of {name}",
            parameters,
            order,
            reach,
            ties,
            None if score is None else measured(score, 0.0009),
            None if score is None else measured(deficit, 0.02 * deficit + 3e-5),
            "" if score is not None else "16,777,216 parameters do not fit in memory",
        )
        for name, parameters, order, reach, ties, score, deficit in rows
    )


def ising_ladder() -> Ladder:
    found = rungs(
        ("independent", 256, 1, 0.0, (), -0.69312, 0.2310),
        (
            "order 2, reach 1, translation+rotation+flip",
            1,
            2,
            1.0,
            ("translation", "sign flip"),
            -0.4621,
            0.0,
        ),
        ("order 2, reach 1, translation", 3, 2, 1.0, ("translation",), -0.46213, 0.00002),
        ("order 2, reach 1, local", 768, 2, 1.0, (), -0.46278, 0.00068),
        ("2-local", 32896, 2, None, (), -0.5021, 0.0400),
        ("3-local", 2796416, 3, None, (), None, None),
        ("look-up table", 2**256 - 1, 256, None, (), None, None),
    )
    return Ladder(
        found, found[1].name, "chosen",
        "the simplest rung whose paired deficit to the best is below 2 standard errors", "nats per spin", 4000, 1000,
        "2^256 - 1",
    )  # fmt: skip


def ising_couplings(lattice: Lattice) -> torch.Tensor:
    sites = lattice.sites
    noise = 0.03 * torch.randn(sites, sites, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    matrix = (noise + noise.T) / math.sqrt(2.0)
    first, second = torch.from_numpy(lattice.bonds).T
    matrix[first, second] += 0.4
    matrix[second, first] += 0.4
    return matrix.fill_diagonal_(0.0)


def ising_range() -> CouplingRange:
    distances = (1.0, math.sqrt(2.0), 2.0, math.sqrt(5.0), math.sqrt(8.0), 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
    strengths = (0.4006, 0.0008, 0.0011, 0.0009, 0.0012, 0.0007, 0.0009, 0.001, 0.0011, 0.0008, 0.0009)
    return CouplingRange(
        distances,
        tuple(measured(value, 0.0008) for value in strengths),
        (0.0018,) * len(distances),
        (512, 512, 512, 1024, 512, 512, 512, 1536, 512, 512, 256),
        1.0,
        None,
        "Couplings are resolved at distance 1 and nowhere beyond: nearest neighbours.",
    )


def ising_scales() -> tuple[ScaleRow, ...]:
    return tuple(
        ScaleRow(side, 256 // side**2, None if side > 4 else measured(0.4 / side, 0.003), measured(v, 0.01), measured(g, 0.02))
        for side, v, g in ((1, 1.0, -2.0), (2, 0.61, -1.21), (4, 0.31, -0.74), (8, 0.12, -0.22))
    )  # fmt: skip


def ising_report() -> DataReport:
    lattice = Lattice((16, 16))
    bonds = torch.from_numpy(lattice.bonds)
    card = StructureCard(
        name="ising:16x16:T=2.5:samples=4000",
        provenance="Ising model, periodic 16x16 lattice, T=2.5, Swendsen-Wang, 4000 samples of spins +-1, seed 0",
        kind="spin",
        samples=4000,
        variables=256,
        grid=(16, 16),
        periodic=True,
        seed=0,
        preparation=(),
        order=Index(
            "order", "Order of interaction", measured(2.0, 0.0), (null("shuffled", 1.0, 0.0),), "yes",
            "Two variables interact at once: a term of three or four gains nothing.", "variables", 0.01,
        ),
        locality=Index(
            "locality", "Spatial locality", measured(0.982, 0.004),
            (null("shuffled", 0.031, 0.012), null("rotated basis", 0.12, 0.03)), "yes",
            "98 % of the squared couplings sit on neighbours of the lattice.", "share of squared couplings", 0.0099,
        ),
        coupling_range=ising_range(),
        geometry=Geometry(
            bonds, torch.full((len(bonds),), 0.4, dtype=torch.float64), measured(2.03, 0.06), 0.998, "yes",
            "The graph of couplings, found without the order of the columns, grows like a surface of dimension 2.03.",
        ),
        symmetries=(
            symmetry("translation by one site", 0.61, "yes", orbits=1, variables=256),
            symmetry("reflection", 0.44, "yes", orbits=136, variables=256),
            symmetry("quarter turn", 0.08, "yes", orbits=64, variables=256),
            symmetry("sign flip", 0.72, "yes", orbits=256, variables=256),
            symmetry("permutation of all variables", 0.0004, "no", orbits=1, variables=256),
        ),
        basis=Basis(
            Index(
                "basis", "Preferred basis", measured(0.91, 0.01), (null("rotated basis", 0.33, 0.05),), "yes",
                "Couplings are sparser in the variables as given than in rotated ones.", "Gini of the couplings", 0.0099,
            ),
            0.92,
            "No rotation that was tried is much sparser.",
        ),
        hierarchy=ising_scales(),
        hierarchy_index=Index(
            "hierarchy", "Structure across scales", measured(3.0, 0.0), (null("shuffled", 0.0, 0.0),), "yes",
            "Blocks of 1, 2 and 4 sites still interact.", "scales", 0.0099,
        ),
        intrinsic_dimension=(
            DimensionEstimate("TwoNN", measured(48.2, 2.1), "Facco et al. 2017"),
            DimensionEstimate("maximum likelihood", measured(39.5, 1.2), "Levina and Bickel 2004"),
            DimensionEstimate("participation ratio", measured(21.7, 0.6), "of the spectrum"),
        ),
        dimension_sentence="The estimators differ by a factor of 2.2: no single number describes these data.",
        compressibility=Index(
            "compressibility", "Compressibility", measured(0.231, 0.003), (null("shuffled", 0.0, 0.002),), "yes",
            "Knowing the others saves 0.231 nats a spin of 0.693.", "nats per spin", 0.0099,
        ),
        ladder=ising_ladder(),
        parameter_counts=(("all states", "2^256 - 1"), ("4-local", "177,589,056"), ("2-local", "32,896"), ("translation", "1")),
        coupling_matrix=ising_couplings(lattice),
        spectrum=tuple(9.0 / (1.0 + 0.4 * k) ** 1.1 for k in range(256)),
        implications=(
            Implication("a convolution with a 3x3 kernel", "couplings reach one site; translation is not rejected (p = 0.61)"),
            Implication("activations that multiply two inputs, such as GELU", "the order of interaction is 2"),
        ),
        timing={"preparation": 0.2, "fits": 7.1, "ladder": 9.8, "symmetries": 2.2},
    )  # fmt: skip
    return DataReport("0.1.0", card)


def wine_report() -> DataReport:
    """A table without a grid: names, missing values, an undetermined order, no range, no scales."""
    names = (
        "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
        "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines", "proline",
    )  # fmt: skip
    noise = torch.randn(13, 13, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    matrix = ((noise + noise.T) * 0.15).fill_diagonal_(0.0)
    edges = torch.tensor([[0, 12], [5, 6], [6, 11], [9, 10], [2, 3]])
    found = rungs(
        ("independent", 26, 1, 0.0, (), -0.52, 0.31),
        ("2-local", 104, 2, None, (), -0.22, 0.011),
        ("3-local", 559, 3, None, (), -0.21, 0.0),
    )
    shaky = replace(found[1], deficit=measured(0.011, 0.012))
    ladder = Ladder(
        (found[0], shaky, found[2]), None, "undetermined",
        "178 samples are too few: a 3-local coupling of the size seen would be found in 31 of 100 such data sets",
        "minus the score-matching objective per variable", 178, 178, "infinite", 900,
        ("3-local: 559 parameters from 133 samples; the ridge decides",),
    )  # fmt: skip
    away = Index("locality", "Spatial locality", None, (), "not applicable", "The columns have no known positions.")
    card = replace(
        ising_report().card,
        name="wine",
        provenance="wine of scikit-learn, columns as found",
        kind="continuous",
        samples=178,
        variables=13,
        grid=(),
        periodic=False,
        seed=3,
        preparation=(
            Preparation("4 values missing in 2 columns (magnesium, hue)", "rows left out (4 of 182)"),
            Preparation("column 'vintage' is constant", "left out"),
        ),
        order=Index(
            "order", "Order of interaction", measured(2.4, 0.6),
            (null("shuffled", 1.1, 0.3), null("phase-randomised", 2.0, 0.2)),
            "undetermined", "Pairs are there; whether triples are, 178 samples do not say.", "variables", 0.21,
        ),
        locality=away,
        coupling_range=None,
        geometry=Geometry(
            edges, torch.tensor([0.31, 0.55, 0.4, -0.36, 0.5], dtype=torch.float64), None, None, "no",
            "No dimension: the graph of couplings has no growth that a lattice would have.",
        ),
        symmetries=(
            symmetry("permutation of all variables", 0.0001, "no", orbits=1, variables=13),
            symmetry("sign flip", 0.003, "no", orbits=13, variables=13),
            symmetry("swap of total_phenols and flavanoids", 0.2, "undetermined", orbits=12, variables=13),
        ),
        hierarchy=(),
        hierarchy_index=Index("hierarchy", "Structure across scales", None, (), "not applicable", "There is no lattice."),
        intrinsic_dimension=(DimensionEstimate("TwoNN", measured(8.1, 0.9), "Facco et al. 2017"),),
        dimension_sentence="One estimator only.",
        ladder=ladder,
        parameter_counts=(("3-local", "559"), ("2-local", "104"), ("independent", "26")),
        coupling_matrix=matrix,
        spectrum=(4.7, 2.5, 1.4, 0.9, 0.85, 0.64, 0.55, 0.35, 0.29, 0.25, 0.22, 0.17, 0.1),
        implications=(Implication("no locality to exploit: a fully connected network", "the columns have no positions"),),
        variable_names=names,
        notes=("178 samples: symmetries of groups larger than pairs were not tried",),
    )  # fmt: skip
    return DataReport("0.1.0", card)


def noise_report() -> DataReport:
    """Independent spins: every index says no, nothing is suggested, all couplings are below the noise."""
    card = ising_report().card
    found = rungs(
        ("independent + translation", 1, 1, 0.0, ("translation",), -0.69315, 0.0),
        ("independent", 64, 1, 0.0, (), -0.6941, 0.0009),
        ("2-local", 2080, 2, None, (), -0.72, 0.027),
    )
    away = {"verdict": "no", "sentence": "No more than in shuffled data.", "p_value": 0.55}
    flat = CouplingRange(
        (1.0, 2.0, 3.0), (measured(0.001, 0.001),) * 3, (0.002,) * 3, (128, 128, 128), None, None,
        "No coupling is resolved at any distance.",
    )  # fmt: skip
    noise = 0.02 * torch.randn(64, 64, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    nothing = card.geometry
    card = replace(
        card,
        name="noise",
        provenance="independent spins",
        variables=64,
        grid=(8, 8),
        order=replace(card.order, estimate=measured(1.0, 0.0), **away),
        locality=replace(card.locality, estimate=measured(0.06, 0.02), **away),
        coupling_range=flat,
        geometry=replace(
            nothing,
            edges=torch.zeros((0, 2), dtype=torch.int64),
            strengths=torch.zeros(0, dtype=torch.float64),
            dimension=None,
            agreement=0.51,
            verdict="no",
            sentence="No coupling stands out, so there is no graph and no dimension.",
        ),
        basis=replace(card.basis, given=replace(card.basis.given, **away), best=None),
        hierarchy=(),
        hierarchy_index=replace(card.hierarchy_index, estimate=measured(0.0, 0.0), **away),
        compressibility=replace(card.compressibility, estimate=measured(-0.001, 0.002), **away),
        ladder=replace(ising_ladder(), rungs=found, chosen=found[0].name, generic_parameters="2^64 - 1"),
        coupling_matrix=((noise + noise.T) / 2).fill_diagonal_(0.0),
        spectrum=tuple(1.2 - 0.006 * k for k in range(64)),
        implications=(),
    )
    return DataReport("0.1.0", card)


def gaps_report() -> DataReport:
    """What may be missing is missing, and names try to break the text and the page."""
    card = wine_report().card
    evil = '<script>alert("x")</script>\x1b[31m [bold]'
    empty = Index("order", evil, None, (), "undetermined", evil)
    hostile = replace(card.ladder, rungs=(Rung(evil, evil, 0, 0, reason=evil),), notes=(evil,), needed_samples=None)
    return DataReport(
        "0.1.0",
        replace(
            card,
            name=evil,
            provenance=evil,
            preparation=(Preparation(evil, evil),),
            order=empty,
            basis=Basis(replace(empty, key="basis", estimate=Estimate(math.nan, math.inf, "statistical")), None, evil),
            compressibility=replace(empty, key="compressibility"),
            symmetries=(),
            intrinsic_dimension=(),
            dimension_sentence="",
            ladder=hostile,
            parameter_counts=(),
            coupling_matrix=None,
            spectrum=(),
            implications=(Implication(evil, evil),),
            variable_names=(evil,) * 13,
            notes=(evil,),
            timing={},
        ),
    )


def unclimbed_report() -> DataReport:
    """A card whose ladder could not be climbed at all."""
    nothing = Ladder((), None, "undetermined", "there are fewer samples than folds", "", 0, 0, "")
    counts = (("any law at all", "2^64 - 1"), ("table", f"{2**64 - 1:,}"), ("a", "43,744"), ("b", "21,000"), ("c", "9"))
    return DataReport("0.1.0", replace(noise_report().card, ladder=nothing, parameter_counts=counts))


def large_report() -> DataReport:
    """A thousand variables: the matrix is too large for JSON and is shown coarse on the page."""
    card = ising_report().card
    rows = torch.zeros(1000, 1000, dtype=torch.float64)
    rows.diagonal(1).fill_(0.5)
    rows.diagonal(-1).fill_(0.5)
    return DataReport("0.1.0", replace(card, name="chain", variables=1000, grid=(1000,), coupling_matrix=rows))


def every_structure_example() -> dict[str, DataReport]:
    return {
        "ising": ising_report(),
        "wine": wine_report(),
        "noise": noise_report(),
        "gaps": gaps_report(),
        "large": large_report(),
        "unclimbed": unclimbed_report(),
    }

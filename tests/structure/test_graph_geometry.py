"""The geometry of the graph of couplings: lattices keep their dimension when scrambled, random graphs have none."""

import itertools

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from rgflow.lattice import Lattice
from rgflow.structure import fit_pair_couplings, recover_geometry
from rgflow.structure.graph_growth import (
    ball_growth,
    dimension_of_growth,
    filling_radius,
    giant_component,
    lattice_growth,
)
from structure.planted_lattices import gaussian_rows, ising_rows, scrambled, square
from tolerances import ROUNDING

LATTICES = [((64,), True), ((8, 8), True), ((8, 8), False), ((12, 12), True), ((4, 4, 4), True), ((5, 5, 5), False)]


def growth_of(edges: np.ndarray, nodes: int) -> np.ndarray:
    return ball_growth(edges, members=np.arange(nodes), nodes=nodes).mean(0)


def random_edges(nodes: int, *, degree: float, seed: int) -> np.ndarray:
    pairs = np.array(list(itertools.combinations(range(nodes), 2)))
    return pairs[np.random.default_rng(seed).random(len(pairs)) < degree / (nodes - 1)]


def regular_edges(nodes: int, *, matchings: int, seed: int) -> np.ndarray:
    """The union of random perfect matchings: a random regular graph but for the few pairs drawn twice."""
    generator = np.random.default_rng(seed)
    pairs = np.concatenate([generator.permutation(nodes).reshape(-1, 2) for _ in range(matchings)])
    return np.unique(np.sort(pairs, axis=1), axis=0)


@pytest.mark.parametrize(("shape", "periodic"), LATTICES)
def test_the_growth_law_of_whole_dimensions_is_that_of_the_lattice(shape, periodic):
    lattice = Lattice(shape, periodic=periodic)
    counted = growth_of(lattice.bonds, lattice.sites)
    law = lattice_growth(len(shape), nodes=lattice.sites, radii=len(counted), periodic=periodic)
    assert law == pytest.approx(counted, rel=1e3 * ROUNDING)


@pytest.mark.parametrize("periodic", [True, False])
def test_the_growth_law_with_diagonals_is_that_of_squares(periodic):
    lattice = square(8, periodic=periodic)
    near = lattice.pairs_within(1.5)
    counted = growth_of(near, 64)
    law = lattice_growth(2, nodes=64, radii=len(counted), periodic=periodic, diagonals=True)
    assert law == pytest.approx(counted, rel=1e3 * ROUNDING)


def test_a_tenth_of_the_bonds_lost_moves_the_dimension_little():
    lattice = square(12)
    for seed in range(3):
        kept = lattice.bonds[np.random.default_rng(seed).random(len(lattice.bonds)) < 0.9]
        members = giant_component(kept, nodes=144)
        growth = ball_growth(kept, members=members, nodes=144).mean(0)
        fit = dimension_of_growth(growth, nodes=len(members), radius=filling_radius(growth, nodes=len(members)))
        assert abs(fit.dimension - 2.0) < 0.2  # the claim
        assert fit.misfit < 0.06


@pytest.mark.parametrize("graph", ["regular", "poisson"])
@pytest.mark.parametrize("nodes", [64, 144])
def test_balls_of_random_graphs_do_not_grow_like_those_of_any_lattice(graph, nodes):
    edges = regular_edges(nodes, matchings=4, seed=1) if graph == "regular" else random_edges(nodes, degree=5, seed=1)
    members = giant_component(edges, nodes=nodes)
    growth = ball_growth(edges, members=members, nodes=nodes).mean(0)
    fit = dimension_of_growth(growth, nodes=len(members), radius=filling_radius(growth, nodes=len(members)))
    assert fit.misfit > 0.06 or fit.step < 0.75


def test_the_giant_component_is_the_largest():
    edges = np.array([[0, 1], [1, 2], [4, 5]])
    assert giant_component(edges, nodes=7).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("shape", "periodic"),
    [*LATTICES[:3], LATTICES[4], *(pytest.param(*LATTICES[k], marks=pytest.mark.slow) for k in (3, 5))],
)
def test_scrambled_columns_of_a_gaussian_field_give_back_the_dimension(shape, periodic):
    lattice = Lattice(shape, periodic=periodic)
    rows = gaussian_rows(lattice.bonds, nodes=lattice.sites, samples=4000, seed=3)
    found = recover_geometry(fit_pair_couplings(scrambled(rows, seed=1), kind="continuous"))
    assert found.verdict == "yes"
    assert found.dimension is not None
    assert abs(found.dimension.value - len(shape)) < 0.2  # the claim
    assert len(found.edges) == pytest.approx(len(lattice.bonds), abs=0.02 * len(lattice.bonds))
    ordered = recover_geometry(fit_pair_couplings(rows, kind="continuous"), lattice=lattice)
    assert ordered.agreement is not None
    assert ordered.agreement >= 0.99  # the claim


def test_scrambled_ising_spins_give_back_the_square_lattice():
    rows = ising_rows(8, temperature=2.5, samples=2000, seed=0)
    couplings = fit_pair_couplings(rows, kind="spin")
    found = recover_geometry(couplings, lattice=square(8))
    assert found.agreement is not None
    assert found.agreement >= 0.99
    assert found.dimension is not None
    assert abs(found.dimension.value - 2.0) < 0.2
    assert {tuple(edge) for edge in found.edges.tolist()} >= {tuple(sorted(bond)) for bond in square(8).bonds.tolist()}


def test_random_and_complete_graphs_answer_no_dimension():
    for seed in range(2):
        edges = regular_edges(64, matchings=4, seed=seed)
        assert connected_components(np.eye(64))[0] == 64  # nothing is connected by itself
        found = recover_geometry(
            fit_pair_couplings(gaussian_rows(edges, nodes=64, samples=4000, seed=seed), kind="continuous")
        )
        assert (found.verdict, found.dimension) == ("no", None)
        assert "No dimension" in found.sentence
    pairs = np.array(list(itertools.combinations(range(20), 2)))
    full = recover_geometry(
        fit_pair_couplings(gaussian_rows(pairs, nodes=20, samples=20000, seed=0), kind="continuous")
    )
    assert (full.verdict, full.dimension) == ("no", None)


def test_weak_couplings_of_all_pairs_are_not_called_independence():
    pairs = np.array(list(itertools.combinations(range(64), 2)))
    found = recover_geometry(
        fit_pair_couplings(gaussian_rows(pairs, nodes=64, samples=4000, seed=0), kind="continuous")
    )
    assert found.verdict == "no"
    assert "many weak couplings" in found.sentence


def test_noise_has_no_geometry_where_couplings_would_have_been_seen():
    generator = np.random.default_rng(0)
    enough = recover_geometry(fit_pair_couplings(generator.standard_normal((2000, 36)), kind="continuous"))
    few = recover_geometry(fit_pair_couplings(generator.standard_normal((150, 36)), kind="continuous"))
    assert (enough.verdict, few.verdict) == ("no", "undetermined")
    assert len(enough.edges) == 0


def test_too_few_samples_are_undetermined_not_a_wrong_dimension():
    rows = gaussian_rows(square(8).bonds, nodes=64, samples=4000, seed=0)
    for samples in (90, 300, 500):
        found = recover_geometry(fit_pair_couplings(rows[:samples], kind="continuous"), lattice=square(8))
        assert (found.verdict, found.dimension) == ("undetermined", None)


def test_couplings_that_fade_with_distance_are_undetermined():
    lattice = square(8)
    pairs = np.stack(np.triu_indices(64, 1), axis=1)
    weights = lattice.distance(pairs[:, 0], pairs[:, 1]) ** -2.0
    rows = gaussian_rows(pairs, nodes=64, samples=4000, seed=0, weights=weights)
    assert recover_geometry(fit_pair_couplings(rows, kind="continuous")).verdict in ("undetermined", "no")

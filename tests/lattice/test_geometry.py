"""Lattices: counts of bonds and pairs by hand, distances on the torus, symmetries that keep every distance."""

import numpy as np
import pytest

from rgflow.errors import SettingError
from rgflow.lattice import Lattice


@pytest.mark.parametrize(("shape", "periodic", "bonds"), [((5,), True, 5), ((3, 4), True, 24), ((3, 4), False, 17)])
def test_bonds_are_as_many_as_counted_by_hand(shape: tuple[int, ...], periodic: bool, bonds: int) -> None:
    lattice = Lattice(shape, periodic)
    assert lattice.bonds.shape == (bonds, 2)
    assert np.allclose(lattice.distance(lattice.bonds[:, 0], lattice.bonds[:, 1]), 1.0)
    assert len(lattice.pairs_within(1.0)) == bonds


def test_pairs_within_a_reach_are_those_that_all_distances_give() -> None:
    for lattice in (Lattice((4, 5)), Lattice((4, 5), periodic=False), Lattice((3, 3, 4))):
        first, second = np.triu_indices(lattice.sites, 1)
        near = lattice.distance(first, second) <= 1.5
        assert np.array_equal(lattice.pairs_within(1.5), np.stack([first[near], second[near]], axis=1))


def test_every_symmetry_is_a_permutation_that_keeps_distances() -> None:
    lattice = Lattice((4, 4))
    first, second = np.triu_indices(16, 1)
    for group in (lattice.translations, lattice.reflections, lattice.quarter_turns):
        assert len(group) > 0
        for permutation in group:
            assert np.array_equal(np.sort(permutation), np.arange(16))
            assert np.allclose(
                lattice.distance(permutation[first], permutation[second]), lattice.distance(first, second)
            )


def test_a_turn_of_four_is_the_identity_and_an_oblong_has_none() -> None:
    turn = Lattice((3, 3), periodic=False).quarter_turns[0]
    assert not np.array_equal(turn[turn], np.arange(9))
    assert np.array_equal(turn[turn[turn[turn]]], np.arange(9))
    assert len(Lattice((3, 4)).quarter_turns) == 0
    assert len(Lattice((3, 4), periodic=False).translations) == 0


def test_a_side_too_short_is_refused_in_one_sentence() -> None:
    with pytest.raises(SettingError, match="every side must be >= 3"):
        Lattice((2, 5))
    assert Lattice((1, 5), periodic=False).sites == 5

import itertools

import numpy as np
import pytest

from rgflow.errors import SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.structure.orbits import count_state_orbits, signed_group, variable_orbits


def brute_orbits(permutations, *, sites, flips=None, values=(-1, 1)):
    """Number of orbits of all states, by walking every state through the generators."""
    signs = np.ones_like(permutations) if flips is None else flips
    states = list(itertools.product(values, repeat=sites))
    place = {state: k for k, state in enumerate(states)}
    parent = list(range(len(states)))

    def root(k):
        while parent[k] != k:
            k = parent[k]
        return k

    for state in states:
        for permutation, sign in zip(permutations, signs, strict=True):
            moved = [0] * sites
            for i in range(sites):
                moved[permutation[i]] = sign[i] * state[i]
            parent[root(place[state])] = root(place[tuple(moved)])
    return len({root(k) for k in range(len(states))})


def generators(shape, *, turns=False):
    lattice = Lattice(shape)
    rows = [lattice.translations, lattice.reflections]
    return np.concatenate([*rows, lattice.quarter_turns] if turns else rows)


@pytest.mark.parametrize(("shape", "turns"), [((5,), False), ((8,), False), ((3, 3), False), ((3, 3), True)])
def test_states_of_a_lattice_fall_into_as_many_orbits_as_enumeration_finds(shape, turns):
    permutations = generators(shape, turns=turns)
    sites = int(np.prod(shape))
    assert count_state_orbits(signed_group(permutations, sites=sites)) == brute_orbits(permutations, sites=sites)


@pytest.mark.parametrize("shape", [(5,), (6,), (3, 3)])
def test_a_spin_flip_halves_states_as_enumeration_finds(shape):
    sites = int(np.prod(shape))
    permutations = np.concatenate([generators(shape), np.arange(sites)[None]])
    flips = np.ones_like(permutations)
    flips[-1] = -1
    group = signed_group(permutations, sites=sites, flips=flips)
    assert count_state_orbits(group) == brute_orbits(permutations, sites=sites, flips=flips)


def test_a_rotation_that_flips_one_spin_is_counted_as_enumeration_finds():
    permutation, flip = np.array([[1, 2, 3, 0]]), np.array([[-1, 1, 1, 1]])
    group = signed_group(permutation, sites=4, flips=flip)
    assert len(group) == 8
    assert count_state_orbits(group) == brute_orbits(permutation, sites=4, flips=flip)
    three = count_state_orbits(group, values=3)
    assert three == brute_orbits(permutation, sites=4, flips=flip, values=(-1, 0, 1))


def test_necklaces_are_counted_as_the_textbook_formula_counts_them():
    # sum over divisors d of n: phi(d) 2^(n/d) / n for n = 12, and for n = 7, where only 1 and 7 divide.
    ring = Lattice((12,)).translations
    assert (
        count_state_orbits(signed_group(ring, sites=12))
        == (2**12 + 2**6 + 2 * 2**4 + 2 * 2**3 + 2 * 2**2 + 4 * 2) // 12
    )
    assert count_state_orbits(signed_group(Lattice((7,)).translations, sites=7)) == (2**7 + 6 * 2) // 7


def test_states_of_a_big_lattice_are_counted_exactly():
    group = signed_group(generators((16, 16), turns=True), sites=256)
    assert len(group) == 16 * 16 * 8
    count = count_state_orbits(group)
    assert 2**256 < count * len(group) < 2**256 + 2**256 // 2**60


def test_variables_of_one_orbit_share_a_number():
    lattice = Lattice((3, 4))
    labels = variable_orbits(lattice.translations[:1], sites=12).tolist()
    assert labels == [0, 1, 2, 3] * 3
    assert len(set(variable_orbits(lattice.translations, sites=12).tolist())) == 1
    assert variable_orbits(np.zeros((0, 3)), sites=3).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"permutations": [[0, 0, 1]], "sites": 3}, "once"),
        ({"permutations": [[0, 1]], "sites": 3}, "once"),
        ({"permutations": [[1, 0, 2]], "sites": 3, "flips": [[0, 1, 1]]}, "sign"),
    ],
)
def test_what_is_no_group_is_refused(arguments, words):
    with pytest.raises(SettingError, match=words):
        signed_group(**arguments)


def test_a_group_too_large_to_list_is_refused():
    swaps = np.tile(np.arange(9), (8, 1))
    for k in range(8):
        swaps[k, [k, k + 1]] = [k + 1, k]
    with pytest.raises(SettingError, match="100000 elements"):
        signed_group(swaps, sites=9)
    with pytest.raises(SettingError, match="at least 2"):
        count_state_orbits(signed_group(swaps[:1], sites=9), values=1)

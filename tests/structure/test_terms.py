"""Terms and ties: counts of sets, orbits of groups against enumeration, refusals."""

import math

import numpy as np
import pytest

from rgflow.errors import SettingError
from rgflow.lattice import Lattice
from rgflow.structure.terms import Terms, all_terms, tied_by, untied


@pytest.mark.parametrize(("sites", "order"), [(5, 2), (7, 3), (4, 4), (3, 5)])
def test_all_terms_are_as_many_as_the_binomials_say(sites: int, order: int) -> None:
    terms = all_terms(sites, order)
    assert len(terms) == terms.parameters == sum(math.comb(sites, k) for k in range(1, order + 1))
    assert terms.order == min(order, sites)


def test_orbits_are_those_that_the_whole_group_gives() -> None:
    lattice = Lattice((3, 4))
    terms = tied_by(all_terms(12, 3), lattice.translations)
    group = [(r, c) for r in range(3) for c in range(4)]
    moved = [np.ravel_multi_index(((lattice.positions + step) % (3, 4)).T, (3, 4)) for step in group]
    start = 0
    for members in terms.groups:
        tie = terms.tie[start : start + len(members)]
        orbits = {frozenset(tuple(np.sort(g[row]).tolist()) for g in moved) for row in members}
        classes = {frozenset(map(tuple, members[tie == parameter].tolist())) for parameter in np.unique(tie)}
        assert classes == orbits
        start += len(members)


def test_symmetries_of_the_torus_leave_the_parameters_of_the_count_ladder() -> None:
    lattice = Lattice((4, 4))
    local = untied([np.arange(16)[:, None], lattice.pairs_within(1.0)], sites=16)
    assert local.parameters == 16 + 32
    assert tied_by(local, lattice.translations).parameters == 3
    assert tied_by(local, np.concatenate([lattice.translations, lattice.quarter_turns])).parameters == 2


def test_a_permutation_out_of_the_terms_is_refused() -> None:
    with pytest.raises(SettingError, match="add the whole orbit first"):
        tied_by(untied([np.array([[0], [1]])], sites=3), np.array([[1, 2, 0]]))


@pytest.mark.parametrize(
    ("groups", "tie", "words"),
    [
        ([[[0, 3]]], [0], "sites are 0..2"),
        ([[[1, 0]]], [0], "must rise"),
        ([[[0], [0]]], [0, 1], "listed twice"),
        ([[[0], [1]]], [0, 2], "without gaps"),
        ([[[0], [1]]], [0], "one parameter for each"),
    ],
)
def test_terms_that_make_no_sense_are_refused(groups: list, tie: list[int], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        Terms(3, tuple(np.array(group) for group in groups), np.array(tie))

"""The checks of the room on the room as it is; `test_planted_bugs_certify` runs them on rooms with a bug."""

import pytest

from tests.compile.certify_checks import CHECKS, load_room


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_room_as_it_is_passes(check):
    check(load_room())

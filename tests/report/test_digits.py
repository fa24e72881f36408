"""Numbers as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgflow.report.digits import error_of, percent, relative, seconds, short, z_score
from rgflow.report.log_axis import log_axis

# Below, doubles lose digits; above, rounding up leaves their range.
SIZES = st.floats(min_value=1e-300, max_value=1e300)
FINITE = st.one_of(st.just(0.0), SIZES, SIZES.map(lambda x: -x))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (0.0, "0"),
        (1 / 3, "0.333"),
        (0.9996, "1.00"),
        (12.04, "12.0"),
        (1797.4, "1800"),
        (99999.4, "1.00e+05"),
        (123456.0, "1.23e+05"),
        (0.001, "0.00100"),
        (0.00099949, "9.99e-04"),
        (0.0009999, "0.00100"),
        (1.234e-12, "1.23e-12"),
        (-0.5, "-0.500"),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert short(value) == text


@given(FINITE)
def test_a_shown_number_is_the_number_to_half_a_unit_of_its_third_digit(value):
    assert math.isclose(float(short(value)), value, rel_tol=5.01e-3, abs_tol=0.0)


@given(FINITE)
def test_no_shown_number_is_wide(value):
    assert len(short(value)) <= 10
    assert len(z_score(value)) <= 8


@pytest.mark.parametrize(("value", "text"), [(0.0113, "0.011"), (3.94e-14, "3.9e-14"), (0.0, "0"), (None, "–")])
def test_errors_have_two_significant_digits(value, text):
    assert error_of(value) == text


@pytest.mark.parametrize(
    ("z", "text"),
    [(None, "–"), (0.04, "0.0"), (-0.04, "0.0"), (-1.24, "-1.2"), (3.999, "4.0"), (4.0, "4.0!"), (-37.2, "-37!")],
)
def test_a_sign_marks_four_standard_errors(z, text):
    assert z_score(z) == text


@pytest.mark.parametrize(("fraction", "text"), [(0.384, "38 %"), (0.0012, "0.12 %"), (1.7, "170 %"), (0.0, "0 %")])
def test_shares_are_in_percent(fraction, text):
    assert percent(fraction) == text


def test_a_relative_error_of_zero_is_missing_not_infinite():
    assert relative(0.1, 0.0) == "–"
    assert relative(0.012, -0.1) == "±12%"


@pytest.mark.parametrize(("value", "text"), [(0.041, "0.04 s"), (11.24, "11.2 s"), (132.4, "132 s")])
def test_durations_are_short(value, text):
    assert seconds(value) == text


@given(st.lists(st.one_of(st.none(), st.floats(min_value=1e-300, max_value=1e300), st.just(math.nan), st.just(-1.0))))
def test_an_axis_holds_every_positive_number_and_a_few_ticks(values):
    axis = log_axis(values)
    assert all(axis.low < value < axis.high for value in values if value is not None and value > 0)
    assert 2 <= len(axis.ticks) <= 9
    assert len(axis.labels) == len(axis.ticks)
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)


def test_an_axis_of_equal_numbers_does_not_blow_up_rounding():
    axis = log_axis([1.0, 1.0 + 1e-9])
    assert axis.high / axis.low >= 4.0

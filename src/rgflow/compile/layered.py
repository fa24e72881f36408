"""Products in a given number of layers: groups of several factors become one product each, layer after layer.

One layer multiplies b factors with 2^b neurons. With k layers n factors are reduced to n_1 > n_2 > .. > n_k = 1 values, as
evenly as possible in each step; the sequence with the fewest neurons is taken. Equal groups give the count of the table
min over factorisations n = b_1 .. b_k of sum_i 2^(b_i) prod_(j>i) b_j, which uneven groups never exceed.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from rgflow.compile.layout import Layout, product_of
from rgflow.compile.plan import Monomial, Plan, monomials_of
from rgflow.numerics.sparse_polynomial import SparsePolynomial

__all__ = ["equal_group_neurons", "fewest_neurons", "group_counts", "layered_plan"]


def equal_group_neurons(factors: int, *, layers: int) -> int:
    """Return the neurons of a product in `layers` hidden layers with groups of equal size in each.

    Example:
    >>> [equal_group_neurons(20, layers=k) for k in (1, 2, 3)]
    [1048576, 112, 92]
    """
    if layers == 1:
        return 2**factors
    return min(
        2**size * (factors // size) + equal_group_neurons(factors // size, layers=layers - 1)
        for size in range(1, factors + 1)
        if factors % size == 0
    )


def group_counts(factors: int, *, layers: int, carry: int) -> tuple[int, ...]:
    """Return how many values each layer leaves, for the fewest neurons; `carry` is what a value alone costs."""
    return _best(factors, layers, carry)[1]


def fewest_neurons(factors: int, *, layers: int, carry: int) -> int:
    """Return the neurons of a product of `factors` numbers in at most `layers` hidden layers, groups of any size."""
    return _best(factors, layers, carry)[0]


@cache
def _best(factors: int, layers: int, carry: int) -> tuple[int, tuple[int, ...]]:
    if layers == 1 or factors == 1:
        return (_cost(factors, 1, carry) if factors > 1 else 0), (1,)
    candidates = []
    for left in range(1, factors + 1):
        rest, counts = _best(left, layers - 1, carry)
        candidates.append((_cost(factors, left, carry) + rest, (left, *counts)))
    return min(candidates)


def _cost(factors: int, groups: int, carry: int) -> int:
    """Return the neurons of `factors` values multiplied in `groups` products of equal size but for one."""
    small, more = divmod(factors, groups)
    return more * 2 ** (small + 1) + (groups - more) * (carry if small == 1 else 2**small)


def layered_plan(polynomials: Sequence[SparsePolynomial], bounds: Sequence[float], *, counts: Sequence[int]) -> Plan:
    """Return the plan whose levels leave `counts` values of the longest product; shorter ones in proportion."""
    state: dict[Monomial, tuple[Monomial, ...]] = {
        m: tuple(((v, 1),) for v, power in m for _ in range(power))
        for p in polynomials
        for m, _ in monomials_of(p)
        if sum(power for _, power in m) > 1
    }
    longest, levels = max(p.degree for p in polynomials), []
    for count in counts:
        made: dict[Monomial, tuple[Monomial, ...]] = {}
        for monomial, factors in state.items():
            groups = _split(factors, -(-len(factors) * count // longest))
            made |= {product_of(group): group for group in groups if len(group) > 1}
            state[monomial] = tuple(map(product_of, groups))
        state = {m: factors for m, factors in state.items() if len(factors) > 1}
        levels.append(tuple(made.values()))
        longest = count
    return Layout(polynomials, tuple(map(float, bounds)), tuple(levels), ()).plan()


def _split(factors: tuple[Monomial, ...], groups: int) -> list[tuple[Monomial, ...]]:
    """Return consecutive groups whose sizes differ by at most one."""
    ends = [round(i * len(factors) / groups) for i in range(groups + 1)]
    return [factors[a:b] for a, b in pairwise(ends)]

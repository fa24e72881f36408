"""Which factors are multiplied first, so that monomials share as many products as a greedy search finds.

In each of ceil(log2 degree) rounds the pair of factors that most monomials can use is multiplied once for all of them,
then the next, until no monomial needs another pair in this round. Before the last round every monomial has at most two
factors; those with a common factor become one product of it with a sum. Both schedules are tried, products as early and
as late as possible. Where neither beats one product a monomial, pairs are also chosen without regard to depth (the classical
greedy pairing). The plan with the fewest neurons is kept.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence

from rgflow.compile.layout import Group, Layout, product_of
from rgflow.compile.plan import Monomial, Plan, monomials_of
from rgflow.numerics.sparse_polynomial import SparsePolynomial

__all__ = ["paired_plan", "shared_plan", "shared_plans"]

_Pair = tuple[Monomial, Monomial]


def shared_plan(polynomials: Sequence[SparsePolynomial], bounds: Sequence[float], *, late: bool) -> Plan:
    """Return the plan of least depth; `late` multiplies as late as the depth allows, else as early as possible."""
    rounds = max((max(p.degree, 1) - 1).bit_length() for p in polynomials)
    targets = tuple(dict(monomials_of(p)) for p in polynomials)
    wanted = {monomial for terms in targets for monomial in terms if _degree(monomial) > 1}
    state = {monomial: Counter({((v, 1),): power for v, power in monomial}) for monomial in sorted(wanted)}
    made = [_pair_round(state, room=2 ** (rounds - r) if late else 1) for r in range(1, rounds)]
    items = {product_of(pair) for pairs in made for pair in pairs}
    factors = {m: tuple(sorted(f.elements())) for m, f in state.items() if m not in items}
    groups = _last_products(targets, {m: pair for m, pair in factors.items() if len(pair) == 2})
    levels = (*map(tuple, made), ()) if rounds else ()
    return Layout(polynomials, tuple(map(float, bounds)), levels, groups).plan()


def shared_plans(polynomials: Sequence[SparsePolynomial], bounds: Sequence[float]) -> list[Plan]:
    """Return the plans worth comparing; no pairing has fewer products than there are monomials beyond the linear."""
    plans = [shared_plan(polynomials, bounds, late=late) for late in (False, True)]
    monomials = {m for p in polynomials for m, _ in monomials_of(p) if _degree(m) > 1}
    if min(plan.products for plan in plans) > len(monomials):
        plans.append(paired_plan(polynomials, bounds))
    return plans


def paired_plan(polynomials: Sequence[SparsePolynomial], bounds: Sequence[float]) -> Plan:
    """Return the plan of the classical greedy pairing: the most frequent pair of factors first, whatever the depth."""
    wanted = sorted({m for p in polynomials for m, _ in monomials_of(p) if _degree(m) > 1})
    state = [Counter({((v, 1),): power for v, power in monomial}) for monomial in wanted]
    depth: dict[Monomial, int] = defaultdict(int)
    levels: dict[int, list[_Pair]] = defaultdict(list)
    for pair in _greedy_pairs(state):
        item = product_of(pair)
        if not depth[item]:
            depth[item] = 1 + max(depth[factor] for factor in pair)
            levels[depth[item]].append(pair)
    made = tuple(tuple(levels[number]) for number in sorted(levels))
    return Layout(polynomials, tuple(map(float, bounds)), made, ()).plan()


def _greedy_pairs(state: list[Counter]) -> list[_Pair]:
    """Return pairs in the order in which they are multiplied, until every monomial is one item."""
    users: dict[_Pair, set[int]] = defaultdict(set)
    for number, factors in enumerate(state):
        for pair in _pairs(factors):
            users[pair].add(number)
    queue = [(-_count(pair, users[pair], state), pair) for pair in users]
    heapq.heapify(queue)
    made = []
    while queue:
        count, pair = heapq.heappop(queue)
        now = _count(pair, users[pair], state)
        if now < -count:
            if now:
                heapq.heappush(queue, (-now, pair))
            continue
        made.append(pair)
        item, fresh = product_of(pair), set()
        for number in users.pop(pair):
            _replace(pair, state[number])
            if state[number][item]:
                fresh |= {p for p in _pairs(state[number]) if item in p}
                for touched in fresh:
                    users[touched].add(number)
        for touched in fresh:
            heapq.heappush(queue, (-_count(touched, users[touched], state), touched))
    return made


def _count(pair: _Pair, numbers: set[int], state: list[Counter]) -> int:
    """Return how often a pair can be formed in all monomials."""
    first, second = pair
    if first == second:
        return sum(state[number][first] // 2 for number in numbers)
    return sum(min(state[number][first], state[number][second]) for number in numbers)


def _degree(monomial: Monomial) -> int:
    return sum(power for _, power in monomial)


def _pair_round(state: dict[Monomial, Counter], *, room: int) -> list[_Pair]:
    """Pair factors until every monomial has at most `room` factors or none left to pair; return the pairs made."""
    free = {m: Counter(f) for m, f in state.items() if sum(f.values()) > room and sum(f.values()) > 1}
    users: dict[_Pair, set[Monomial]] = defaultdict(set)
    for monomial, factors in free.items():
        for pair in _pairs(factors):
            users[pair].add(monomial)
    queue = [(-len(who), pair) for pair, who in users.items()]
    heapq.heapify(queue)
    made = []
    while queue:
        count, pair = heapq.heappop(queue)
        who = {m for m in users[pair] if _usable(pair, free[m]) and sum(state[m].values()) > room}
        if len(who) < -count:
            users[pair] = who
            if who:
                heapq.heappush(queue, (-len(who), pair))
            continue
        made.append(pair)
        for monomial in who:
            _use(pair, free[monomial], state[monomial], room=room)
        users[pair] = set()
    return made


def _pairs(factors: Counter) -> list[_Pair]:
    items = sorted(factors)
    pairs = [(a, b) for i, a in enumerate(items) for b in items[i + 1 :]]
    return pairs + [(a, a) for a in items if factors[a] > 1]


def _usable(pair: _Pair, factors: Counter) -> bool:
    first, second = pair
    return factors[first] > 1 if first == second else factors[first] > 0 and factors[second] > 0


def _use(pair: _Pair, free: Counter, factors: Counter, *, room: int) -> None:
    """Replace the pair by its product in one monomial, as often as it occurs and is needed."""
    while _usable(pair, free) and sum(factors.values()) > room:
        for factor in pair:
            free[factor] -= 1
        _replace_once(pair, factors)


def _replace(pair: _Pair, factors: Counter) -> None:
    """Replace the pair by its product in one monomial, as often as it occurs."""
    while _usable(pair, factors):
        _replace_once(pair, factors)


def _replace_once(pair: _Pair, factors: Counter) -> None:
    for factor in pair:
        factors[factor] -= 1
        if not factors[factor]:
            del factors[factor]
    factors[product_of(pair)] += 1


def _last_products(targets: Sequence[dict[Monomial, float]], open_: dict[Monomial, _Pair]) -> tuple[Group, ...]:
    """Return one product a monomial, or one a common factor and output, whichever are fewer."""
    alone = tuple(Group(None, first, ((second, 1.0),)) for first, second in open_.values())
    common = tuple(group for o, terms in enumerate(targets) for group in _cover(o, terms, open_))
    return common if len(common) < len(alone) else alone


def _cover(output: int, terms: dict[Monomial, float], open_: dict[Monomial, _Pair]) -> list[Group]:
    """Return factors that between them occur in every open monomial of one output, the most frequent first."""
    edges: dict[Monomial, set[Monomial]] = defaultdict(set)
    for monomial, pair in open_.items():
        if monomial in terms:
            for factor in pair:
                edges[factor].add(monomial)
    queue = [(-len(monomials), factor) for factor, monomials in edges.items()]
    heapq.heapify(queue)
    taken: set[Monomial] = set()
    found = []
    while queue:
        count, factor = heapq.heappop(queue)
        left = sorted(edges[factor] - taken)
        if len(left) < -count:
            if left:
                heapq.heappush(queue, (-len(left), factor))
            continue
        taken.update(left)
        others = ((open_[m][1] if open_[m][0] == factor else open_[m][0]) for m in left)
        found.append(Group(output, factor, tuple((q, terms[m]) for q, m in zip(others, left, strict=True))))
    return found

"""From products chosen level by level to a plan: what is carried, what is summed up early, and how all is normalised.

Items are monomials. An item that a later level multiplies is carried; a term of an output that is finished early goes into
that output's running sum, one carried value.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rgflow.compile.plan import (
    Form,
    Gate,
    Level,
    Monomial,
    Output,
    Plan,
    label_of,
    magnitude_of,
    monomials_of,
    normalised,
)
from rgflow.numerics.sparse_polynomial import SparsePolynomial

__all__ = ["Group", "Layout", "binary_products", "product_of"]

_LABELLED = 3  # terms of a sum that its label spells out


@dataclass(frozen=True)
class Group:
    """A product of the last round: a factor times a sum of items; `output` is None where all outputs may use it."""

    output: int | None
    factor: Monomial
    terms: tuple[tuple[Monomial, float], ...]


@dataclass
class Layout:
    """The products of every level as tuples of items, and the groups that the last level forms besides them."""

    polynomials: Sequence[SparsePolynomial]
    bounds: tuple[float, ...]
    made: tuple[tuple[tuple[Monomial, ...], ...], ...]
    groups: tuple[Group, ...]

    def plan(self) -> Plan:
        """Return the plan."""
        self.names = self.polynomials[0].variables
        self.targets = [dict(monomials_of(p)) for p in self.polynomials]
        self.left = [{m: c for m, c in terms.items() if m} for terms in self.targets]  # terms not yet summed up
        self.sums = [0.0] * len(self.targets)  # magnitude of each output's sum so far
        values: dict[object, int] = {((v, 1),): v for v in range(len(self.names))}
        needed, levels = self._needed(), []
        for number in range(len(self.made)):
            level, values = self._level(number, values, needed[number])
            levels.append(level)
        outputs = tuple(self._output(o, values) for o in range(len(self.targets)))
        return Plan(len(self.names), tuple(levels), outputs, binary_products(self.polynomials))

    def _needed(self) -> list[set[Monomial]]:
        """Return, for every level, the items that must be among its values because the next levels read them."""
        grouped = {item for group in self.groups for item in (group.factor, *(q for q, _ in group.terms))}
        needed: list[set[Monomial]] = [set()]
        for number in reversed(range(1, len(self.made))):
            products = self.made[number]
            read = {item for factors in products for item in factors}
            read |= grouped if number == len(self.made) - 1 else set()
            needed.insert(0, read | (needed[0] - {product_of(factors) for factors in products}))
        return needed

    def _level(self, number: int, values: dict[object, int], needed: set[Monomial]) -> tuple[Level, dict[object, int]]:
        fresh: dict[object, int] = {}
        products = []
        for factors in self.made[number]:
            if product_of(factors) not in fresh:
                fresh[product_of(factors)] = len(products)
                products.append(self._product(factors, values))
        for index, group in enumerate(self.groups if number == len(self.made) - 1 else ()):
            fresh[index] = len(products)
            products.append(self._grouped(group, values))
        carried = []
        for item in sorted(needed - fresh.keys()):
            fresh[item] = len(products) + len(carried)
            carried.append(Gate((Form((values[item],), (1.0,)),), (1,), label_of(item, self.names)))
        for output in range(len(self.targets)):
            gate = self._running_sum(output, values)
            if gate is not None:
                fresh["sum", output] = len(products) + len(carried)
                carried.append(gate)
        return Level(tuple(products), tuple(carried)), fresh

    def _product(self, factors: tuple[Monomial, ...], values: dict[object, int]) -> Gate:
        counts = Counter(factors)
        forms = tuple(Form((values[factor],), (1.0,)) for factor in counts)
        return Gate(forms, tuple(counts.values()), label_of(product_of(factors), self.names))

    def _grouped(self, group: Group, values: dict[object, int]) -> Gate:
        items = [item for item, _ in group.terms]
        if len(items) == 1:
            return self._product((group.factor, items[0]), values)
        form, _ = normalised([(values[q], c * self._size(q)) for q, c in group.terms])
        label = f"{label_of(group.factor, self.names)}*({_sum_label(group.terms, self.names)})"
        return Gate((Form((values[group.factor],), (1.0,)), form), (1, 1), label)

    def _running_sum(self, output: int, values: dict[object, int]) -> Gate | None:
        """Return the sum so far of one output plus all terms that are among `values`, to be carried."""
        left = self.left[output]
        ready = {item: left.pop(item) for item in [*left] if item in values}
        terms = [(values[item], c * self._size(item)) for item, c in ready.items()]
        if self.sums[output]:
            terms.append((values["sum", output], self.sums[output]))
        if not terms:
            return None
        form, self.sums[output] = normalised(terms)
        return Gate((form,), (1,), f"sum of finished terms of output {output + 1}")

    def _output(self, output: int, values: dict[object, int]) -> Output:
        terms = [(values["sum", output], self.sums[output])] if self.sums[output] else []
        for index, group in enumerate(self.groups):
            if group.output is None:
                monomial = product_of((group.factor, group.terms[0][0]))
                size = self.left[output].get(monomial, 0.0) * self._size(monomial)
            else:
                size = self._group_size(group) if group.output == output else 0.0
            if size:
                terms.append((values[index], size))
        for item, coefficient in self.left[output].items():  # made by the last level, or an input of a linear output
            if item in values:
                terms.append((values[item], coefficient * self._size(item)))
        form = Form(tuple(i for i, _ in terms), tuple(c for _, c in terms))
        return Output(form, self.targets[output].get((), 0.0))

    def _group_size(self, group: Group) -> float:
        """Return the factor between the gate's value and the terms it stands for; its sign if there is one term."""
        sizes = [c * self._size(q) for q, c in group.terms]
        total = sizes[0] if len(sizes) == 1 else sum(map(abs, sizes))
        return total * self._size(group.factor)

    def _size(self, item: Monomial) -> float:
        return magnitude_of(item, self.bounds)


def product_of(items: Sequence[Monomial]) -> Monomial:
    """Return the product of monomials."""
    powers: Counter[int] = Counter()
    for item in items:
        for variable, power in item:
            powers[variable] += power
    return tuple(sorted(powers.items()))


def binary_products(polynomials: Sequence[SparsePolynomial]) -> int:
    """Return how many two-factor products the monomials take one by one, outputs and all, nothing shared."""
    return sum(int((p.exponents.sum(1) - 1).clip(min=0).sum()) for p in polynomials)


def _sum_label(terms: Sequence[tuple[Monomial, float]], names: Sequence[str]) -> str:
    shown = [f"{coefficient:.3g}*{label_of(item, names)}" for item, coefficient in terms[:_LABELLED]]
    rest = len(terms) - len(shown)
    return " + ".join(shown + ([f"{rest} more"] if rest else [])).replace("+ -", "- ")

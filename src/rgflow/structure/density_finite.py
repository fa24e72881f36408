"""Laws of finitely many states a site, p(s) ~ exp(-H(s)): energies, conditionals, all states, and heat-bath sweeps.

States are rows of codes 0 .. levels - 1; for spins the codes 0 and 1 stand for -1 and 1, for bits for themselves.
Units: nats.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from rgflow.records.hamiltonian import Hamiltonian

__all__ = ["STATES_AT_MOST", "FiniteLaw", "all_states", "finite_law", "sweep"]

STATES_AT_MOST = 2**20  # 20 spins; their energies take a second or two
_AT_ONCE = 2**16  # states whose energies are computed together


@dataclass(frozen=True, eq=False)
class FiniteLaw:
    """H = constant + sum_k fields_k x_k + pairs + many-body terms over 0/1 or -1/1 `values` of indicator variables.

    Shapes: `levels` (sites,); `fields` (variables,), `couplings` (variables, variables) symmetric with empty diagonal;
    `groups` (terms, order >= 3) with `strengths`. A spin or bit is one variable with `values`, a categorical site has one
    indicator a level and values None.
    """

    levels: tuple[int, ...]
    values: tuple[float, float] | None
    constant: float
    fields: np.ndarray
    couplings: np.ndarray
    groups: tuple[np.ndarray, ...]
    strengths: tuple[np.ndarray, ...]

    @property
    def log_states(self) -> float:
        """Logarithm of the number of states."""
        return float(np.log(np.array(self.levels, dtype=np.float64)).sum())

    @cached_property
    def starts(self) -> np.ndarray:
        """The first variable of each site."""
        return np.arange(len(self.levels)) if self.values else np.concatenate([[0], np.cumsum(self.levels)[:-1]])

    def variables(self, codes: np.ndarray) -> np.ndarray:
        """Return the variables (states, variables) of rows of codes."""
        if self.values:
            return np.where(codes > 0, self.values[1], self.values[0])
        found = np.zeros((len(codes), len(self.fields)))
        np.put_along_axis(found, codes + self.starts, 1.0, axis=1)
        return found

    def energy(self, codes: np.ndarray) -> np.ndarray:
        """Return H of rows of codes (states,)."""
        x = self.variables(codes)
        found = self.constant + x @ self.fields + 0.5 * np.einsum("mi,mi->m", x @ self.couplings, x)
        for group, strength in zip(self.groups, self.strengths, strict=True):
            found += x[:, group].prod(axis=2) @ strength
        return found

    def logits(self, site: int, x: np.ndarray) -> np.ndarray:
        """Return -H of each level of a site, up to a constant, given the variables `x` elsewhere (states, levels)."""
        if not self.values:
            mine = slice(self.starts[site], self.starts[site] + self.levels[site])
            own = self.couplings[mine].copy()
            own[:, mine] = 0.0
            return -(self.fields[mine] + x @ own.T)
        slope = self.fields[site] + x @ self.couplings[:, site]
        for others, strength in self._reached[site]:
            slope = slope + x[:, others].prod(axis=2) @ strength
        return -slope[:, None] * np.array(self.values)

    @cached_property
    def _reached(self) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        """For each variable the other members and the strengths of its many-body terms."""
        found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in self.levels]
        for group, strength in zip(self.groups, self.strengths, strict=True):
            for site in range(len(self.levels)):
                term, slot = np.nonzero(group == site)
                if len(term):
                    others = group[term][np.arange(group.shape[1]) != slot[:, None]].reshape(len(term), -1)
                    found[site].append((others, strength[term]))
        return found


def finite_law(hamiltonian: Hamiltonian) -> FiniteLaw:
    """Return the law of a Hamiltonian of spins, bits, or categories of order 2."""
    polynomial = hamiltonian.polynomial
    lengths = np.diff(polynomial.powers.indptr)
    width = len(polynomial.variables)

    def rows(order: int) -> tuple[np.ndarray, np.ndarray]:
        here = np.flatnonzero(lengths == order)
        return polynomial.powers[here].indices.reshape(len(here), order), polynomial.coefficients[here]

    fields = np.zeros(width)
    single, strength = rows(1)
    fields[single[:, 0]] = strength
    pairs, strength = rows(2)
    couplings = csr_array((strength, (pairs[:, 0], pairs[:, 1])), shape=(width, width)).toarray()
    many = [rows(order) for order in range(3, hamiltonian.order + 1)]
    values = {"spin": (-1.0, 1.0), "bit": (0.0, 1.0)}.get(hamiltonian.kind)
    return FiniteLaw(
        hamiltonian.levels or (2,) * width,
        values,
        float(rows(0)[1].sum()),
        fields,
        couplings + couplings.T,
        tuple(group for group, _ in many),
        tuple(strength for _, strength in many),
    )


def all_states(levels: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Return every state once, 65,536 rows of codes at a time; the last site changes fastest."""
    total = math.prod(levels)
    for start in range(0, total, _AT_ONCE):
        numbers = np.arange(start, min(start + _AT_ONCE, total))
        yield np.stack(np.unravel_index(numbers, levels), axis=1)


def sweep(
    law: FiniteLaw, codes: np.ndarray, *, base: list[np.ndarray], share: float, generator: np.random.Generator
) -> np.ndarray:
    """Return the codes after one heat-bath step of every site under share H + (1 - share) base.

    `base` holds for each site the log-probabilities of its levels under a law of independent sites.
    """
    codes = codes.copy()
    x = law.variables(codes)
    for site, levels in enumerate(law.levels):
        logits = (1.0 - share) * base[site] + share * law.logits(site, x)
        noise = generator.gumbel(size=logits.shape)
        codes[:, site] = chosen = (logits + noise).argmax(axis=1)
        if law.values:
            x[:, site] = np.where(chosen > 0, law.values[1], law.values[0])
        else:
            mine = slice(law.starts[site], law.starts[site] + levels)
            x[:, mine] = chosen[:, None] == np.arange(levels)
    return codes

"""Models of two-valued spins: Ising on any graph, spin glasses, p-spin models, and spins with terms of any order.

Convention: spins are -1 or 1 and p(s) = exp(-H(s)) / Z; couplings, fields and H are pure numbers (nats), the temperature is
inside them: -H = sum_e K_e s_i s_j + sum_i h_i s_i, K > 0 aligns. A model is a law; `pair_system` and `term_system` write it
out on a lattice of sites.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from rgflow.errors import SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.lattice.spin_systems import PairSystem, TermSystem
from rgflow.records.hamiltonian import Hamiltonian

__all__ = ["Ising", "PSpin", "SpinGlass", "pair_system", "term_system"]

Disorder = Literal["gaussian", "binary"]
Graph = Literal["lattice", "complete"]
_MOST_TERMS = 20_000_000  # terms of 3 sites then fill 480 MB; complete p-spin models beyond that are refused


@dataclass(frozen=True, eq=False, kw_only=True)
class Ising:
    """-H = sum over edges of coupling s_i s_j + sum over sites of field s_i.

    Give `coupling` (K, one number or one an edge) or `temperature` (K = 1 / temperature). `field` is h, one number or one a
    site, with the temperature inside it. `edges` (edges, 2) is any graph; None stands for the nearest neighbours of the
    periodic lattice of the shape that is sampled.
    Raises: SettingError where not exactly one of coupling and temperature is given, or a number is not finite.

    Example:
    >>> pair_system(Ising(temperature=2.5), shape=(3, 4)).couplings[:2].tolist()
    [0.4, 0.4]
    """

    coupling: Any = None
    temperature: float | None = None
    field: Any = 0.0
    edges: Any = None

    def __post_init__(self) -> None:
        if (self.coupling is None) == (self.temperature is None):
            raise SettingError(
                f"coupling is {self.coupling} and temperature {self.temperature}; give exactly one of them"
            )
        coupling = self.coupling
        if coupling is None:
            coupling = 1.0 / _positive(self.temperature, name="temperature")
        object.__setattr__(self, "coupling", _finite(coupling, name="coupling"))
        object.__setattr__(self, "field", _finite(self.field, name="field"))
        if self.edges is not None:
            object.__setattr__(self, "edges", _frozen(np.asarray(self.edges, dtype=np.int64).reshape(-1, 2)))


@dataclass(frozen=True, eq=False, kw_only=True)
class SpinGlass:
    """-H = sum over edges of J_e s_i s_j / temperature, J_e drawn once from `disorder_seed`.

    `graph` "lattice": Edwards-Anderson, nearest neighbours of the periodic lattice, Var J = 1. "complete":
    Sherrington-Kirkpatrick, all pairs, Var J = 1 / sites. `disorder` "gaussian" or "binary" (J = -1 or 1 times the standard
    deviation, equally likely). The same disorder seed gives the same J at every temperature.
    Source: Edwards and Anderson 1975, J. Phys. F 5, 965; Sherrington and Kirkpatrick 1975, Phys. Rev. Lett. 35, 1792.
    """

    temperature: float
    disorder: Disorder = "gaussian"
    graph: Graph = "lattice"
    disorder_seed: int = 0

    def __post_init__(self) -> None:
        _positive(self.temperature, name="temperature")
        for name, value, allowed in (("disorder", self.disorder, Disorder), ("graph", self.graph, Graph)):
            if value not in get_args(allowed):
                raise SettingError(f"{name} is {value!r}; it must be one of {get_args(allowed)}")


@dataclass(frozen=True, eq=False, kw_only=True)
class PSpin:
    """-H = sum over terms of J_t (product of the spins of term t) / temperature.

    `terms` (terms, order) lists the sets of sites; None stands for every set of `order` sites with
    Var J = order! / (2 sites^(order - 1)). `couplings` gives J (one number or one a term); None draws them standard normal
    from `disorder_seed`, scaled as above where `terms` is None.
    Source: Derrida 1980, Phys. Rev. Lett. 45, 79; Gross and Mezard 1984, Nucl. Phys. B 240, 431.

    Example:
    >>> term_system(PSpin(order=3, temperature=2.0, terms=[[0, 1, 2]], couplings=1.0), shape=(3,)).couplings.tolist()
    [0.5]
    """

    order: int
    temperature: float = 1.0
    disorder_seed: int = 0
    terms: Any = None
    couplings: Any = None

    def __post_init__(self) -> None:
        _positive(self.temperature, name="temperature")
        if int(self.order) != self.order or self.order < 1:
            raise SettingError(f"order is {self.order}; it must be a whole number >= 1")
        if self.terms is not None:
            terms = np.asarray(self.terms, dtype=np.int64)
            if terms.ndim != 2 or terms.shape[1] != self.order:
                raise SettingError(f"terms has shape {terms.shape}; (terms, {self.order}) is needed for this order")
            object.__setattr__(self, "terms", _frozen(np.sort(terms, axis=1)))
        if self.couplings is not None:
            object.__setattr__(self, "couplings", _finite(self.couplings, name="couplings"))


def pair_system(model: Ising | SpinGlass, *, shape: tuple[int, ...]) -> PairSystem:
    """Return the edges, couplings and fields of a model of pairs on a lattice of `shape`, temperature included."""
    sites = math.prod(shape)
    if isinstance(model, Ising):
        edges = Lattice(shape).bonds if model.edges is None else model.edges
        couplings = _spread(model.coupling, count=len(edges), name="coupling", unit="edge")
        return PairSystem(tuple(shape), edges, couplings, _spread(model.field, count=sites, name="field", unit="site"))
    if model.graph == "lattice":
        edges, deviation = Lattice(shape).bonds, 1.0
    else:
        edges, deviation = np.stack(np.triu_indices(sites, 1), axis=1), 1.0 / math.sqrt(sites)
    generator = np.random.default_rng(model.disorder_seed)
    drawn = generator.normal(size=len(edges)) if model.disorder == "gaussian" else _signs(generator, len(edges))
    return PairSystem(tuple(shape), edges, drawn * deviation / model.temperature, np.zeros(sites))


def term_system(model: PSpin | Hamiltonian, *, shape: tuple[int, ...]) -> TermSystem:
    """Return the terms and couplings of a p-spin model, or of a Hamiltonian of spins, on `shape`."""
    if isinstance(model, Hamiltonian):
        return _terms_of_hamiltonian(model, shape=shape)
    sites, deviation = math.prod(shape), 1.0
    terms = model.terms
    if terms is None:
        if math.comb(sites, model.order) > _MOST_TERMS:
            raise SettingError(
                f"{sites} sites have {math.comb(sites, model.order):.3g} sets of {model.order}; at most {_MOST_TERMS:,} are"
                " allowed, list fewer in terms"
            )
        terms = np.array(list(itertools.combinations(range(sites), model.order)), dtype=np.int64)
        terms = terms.reshape(-1, model.order)
        deviation = math.sqrt(math.factorial(model.order) / (2.0 * sites ** (model.order - 1)))
    if model.couplings is None:
        couplings = np.random.default_rng(model.disorder_seed).normal(size=len(terms)) * deviation
    else:
        couplings = _spread(model.couplings, count=len(terms), name="couplings", unit="term")
    return TermSystem(tuple(shape), (terms,), couplings / model.temperature)


def _terms_of_hamiltonian(model: Hamiltonian, *, shape: tuple[int, ...]) -> TermSystem:
    if model.kind != "spin":
        raise SettingError(f"the Hamiltonian has kind {model.kind!r}; only spins (-1 or 1) are sampled here")
    if math.prod(shape) != model.sites:
        raise SettingError(f"shape is {shape}, but the Hamiltonian has {model.sites} sites; their number must agree")
    orders = model.polynomial.exponents.sum(1)
    groups, couplings = [], []
    for order in range(1, model.order + 1):
        rows = orders == order
        if rows.any():
            groups.append(np.nonzero(model.polynomial.exponents[rows])[1].reshape(-1, order))
            couplings.append(-model.polynomial.coefficients[rows])
    return TermSystem(tuple(shape), tuple(groups), np.concatenate(couplings) if couplings else np.zeros(0))


def _signs(generator: np.random.Generator, count: int) -> np.ndarray:
    return generator.integers(0, 2, size=count) * 2.0 - 1.0


def _spread(value: np.ndarray, *, count: int, name: str, unit: str) -> np.ndarray:
    """Return one number for each edge, site or term."""
    if value.ndim == 0:
        return np.full(count, float(value))
    if value.size != count:
        raise SettingError(f"{name} has {value.size} numbers; give one number, or {count}, one for each {unit}")
    return value.reshape(-1)


def _finite(value: Any, *, name: str) -> np.ndarray:
    numbers = np.array(value, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise SettingError(f"{name} contains {numbers[~np.isfinite(numbers)].flat[0]}; every number must be finite")
    return _frozen(numbers)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _positive(value: float | None, *, name: str) -> float:
    if value is None or not (math.isfinite(value) and value > 0.0):
        raise SettingError(f"{name} is {value}; it must be finite and > 0")
    return float(value)

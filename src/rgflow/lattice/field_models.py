"""Models of several states or real values a site: Potts, XY, phi^4 and the Gaussian field, on a torus or any graph.

Convention: p(x) = exp(-H(x)) / Z; couplings, fields and H are pure numbers (nats), the temperature is inside them. `edges`
(edges, 2) is any graph; None stands for the nearest neighbours of the periodic lattice of the shape that is sampled.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgflow.errors import SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.lattice.spin_systems import PairSystem

__all__ = ["XY", "GaussianField", "Phi4", "Potts", "bond_system"]

_MOST_STATES = 1000  # a heat bath visits all of them at every site


@dataclass(frozen=True, eq=False, kw_only=True)
class Potts:
    """-H = coupling sum over edges of [x_i = x_j] + sum over sites of field[x_i], x_i = 0 .. states - 1.

    Give `coupling` or `temperature` (coupling = 1 / temperature); `field` (states,) or () for none. Two states are an
    Ising model of half the coupling; on the square lattice the order sets in at coupling = log(1 + sqrt(states)).
    Raises: SettingError for fewer than 2 states, not exactly one of coupling and temperature, or fields that do not fit.
    Source: Potts 1952, Proc. Camb. Phil. Soc. 48, 106; Wu 1982, Rev. Mod. Phys. 54, 235.

    Example:
    >>> Potts(states=3, temperature=2.0).coupling
    0.5
    """

    states: int
    coupling: float | None = None
    temperature: float | None = None
    field: Any = ()
    edges: Any = None

    def __post_init__(self) -> None:
        if int(self.states) != self.states or not 2 <= self.states <= _MOST_STATES:
            raise SettingError(f"states is {self.states}; it must be a whole number from 2 to {_MOST_STATES}")
        object.__setattr__(self, "coupling", _coupling(self.coupling, temperature=self.temperature))
        levels = np.asarray(self.field if np.size(self.field) else np.zeros(self.states), dtype=np.float64)
        if levels.shape != (self.states,) or not np.isfinite(levels).all():
            raise SettingError(
                f"field has shape {levels.shape}; give one finite number for each of {self.states} states"
            )
        object.__setattr__(self, "field", _frozen(levels))
        object.__setattr__(self, "edges", _graph(self.edges))


@dataclass(frozen=True, eq=False, kw_only=True)
class XY:
    """-H = coupling sum over edges of cos(a_i - a_j), angles in radians from -pi to pi.

    Give `coupling` or `temperature` (coupling = 1 / temperature).
    Raises: SettingError where not exactly one of coupling and temperature is given, or it is not finite.
    Source: Kosterlitz and Thouless 1973, J. Phys. C 6, 1181.
    """

    coupling: float | None = None
    temperature: float | None = None
    edges: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "coupling", _coupling(self.coupling, temperature=self.temperature))
        object.__setattr__(self, "edges", _graph(self.edges))


@dataclass(frozen=True, eq=False, kw_only=True)
class Phi4:
    """H = sum over sites of (mass_squared x^2 / 2 + quartic x^4 / 4) + coupling sum over edges of (x_i - x_j)^2 / 2.

    Raises: SettingError unless quartic > 0, or quartic = 0 with mass_squared > 0 and coupling >= 0.
    """

    mass_squared: float
    quartic: float
    coupling: float = 1.0
    edges: Any = None

    def __post_init__(self) -> None:
        numbers = (self.mass_squared, self.quartic, self.coupling)
        bounded = self.quartic > 0.0 or (self.quartic == 0.0 and self.mass_squared > 0.0 and self.coupling >= 0.0)
        if not all(math.isfinite(number) for number in numbers) or not bounded:
            raise SettingError(
                f"mass_squared is {self.mass_squared}, quartic {self.quartic}, coupling {self.coupling}; needed: quartic > 0,"
                " or quartic = 0 with mass_squared > 0 and coupling >= 0, else H has no lower bound"
            )
        object.__setattr__(self, "edges", _graph(self.edges))


@dataclass(frozen=True, eq=False, kw_only=True)
class GaussianField:
    """H = mass_squared sum over sites of x^2 / 2 + coupling sum over edges of (x_i - x_j)^2 / 2.

    Raises: SettingError unless mass_squared > 0 and coupling >= 0.
    """

    mass_squared: float
    coupling: float = 1.0
    edges: Any = None

    def __post_init__(self) -> None:
        if not (
            math.isfinite(self.mass_squared)
            and self.mass_squared > 0.0
            and math.isfinite(self.coupling)
            and self.coupling >= 0.0
        ):
            raise SettingError(
                f"mass_squared is {self.mass_squared} and coupling {self.coupling}; needed: mass_squared > 0, coupling >= 0"
            )
        object.__setattr__(self, "edges", _graph(self.edges))


def bond_system(model: Potts | XY | Phi4 | GaussianField, *, shape: tuple[int, ...]) -> PairSystem:
    """Return the edges of a model on sites of `shape` with their couplings, in the form that the sampling loops take.

    Raises: SettingError for edges out of range, or a periodic lattice with a side below 3.
    """
    edges = Lattice(shape).bonds if model.edges is None else model.edges
    return PairSystem(shape, edges, np.full(len(edges), float(model.coupling or 0.0)), np.zeros(math.prod(shape)))


def _coupling(coupling: float | None, *, temperature: float | None) -> float:
    if (coupling is None) == (temperature is None):
        raise SettingError(f"coupling is {coupling} and temperature {temperature}; give exactly one of them")
    if coupling is None:
        if temperature is None or not (math.isfinite(temperature) and temperature > 0.0):
            raise SettingError(f"temperature is {temperature}; it must be finite and > 0")
        return 1.0 / temperature
    if not math.isfinite(coupling):
        raise SettingError(f"coupling is {coupling}; it must be finite")
    return float(coupling)


def _graph(edges: Any) -> np.ndarray | None:
    return None if edges is None else _frozen(np.array(edges, dtype=np.int64).reshape(-1, 2))


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array

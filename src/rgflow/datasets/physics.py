"""Generated physics: one text names a model, its size and its numbers, and gets independent samples with their evidence.

The forms are in `SPECIFICATIONS`; every one takes `samples=N` (1000) and `seed=S` (0) as well. Temperatures are in units of the
coupling; mass, quartic and hopping terms are pure numbers (nats). Lattices are periodic and stand row by row.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rgflow.datasets.independent_samples import evidence, independent_samples
from rgflow.errors import DataError, SettingError
from rgflow.lattice import XY, GaussianField, Ising, Phi4, Potts, SpinGlass
from rgflow.records.dataset import Dataset

__all__ = ["GENERATED", "SPECIFICATIONS", "generated"]

SPECIFICATIONS = {
    "ising": "ising:32x32:T=2.5",
    "potts": "potts:16x16:q=3:T=1.0",
    "xy": "xy:16x16:T=0.9",
    "phi4": "phi4:16x16:m2=-1:lambda=1:kappa=0.5",
    "gaussian": "gaussian:16x16:m2=0.5:kappa=1",
    "glass": "glass:64:T=1.0",
    "noise": "noise:16x16 or noise:16x16:spins",
}
GENERATED = tuple(SPECIFICATIONS)

_LARGEST_SITES = 128 * 128
_MOST_SPINS = 1000  # of a complete graph, where each visit asks all others; cold ones are refused by their visits
_NUMBER_OPTIONS = {"samples": int, "seed": int}


@dataclass(frozen=True)
class _Request:
    """One specification taken apart."""

    spec: str
    shape: tuple[int, ...]
    options: dict[str, Any]

    @property
    def samples(self) -> int:
        """Number of samples asked for."""
        return self.options.get("samples", 1000)

    @property
    def seed(self) -> int:
        """Seed of the samples."""
        return self.options.get("seed", 0)


@dataclass(frozen=True)
class _Kind:
    """A model: the options that its form needs and may have, its maker, its name in words, and how states become inputs."""

    needed: dict[str, Callable[[str], Any]]
    model: Callable[[dict[str, Any]], Any]
    title: Callable[[dict[str, Any]], str]
    unit: str
    inputs: Callable[[Tensor], Tensor] = lambda states: states[:, None]
    optional: tuple[str, ...] = ()
    dimensions: int = 2
    largest: int = _LARGEST_SITES


def generated(spec: str) -> Dataset:
    """Return the data set of a specification such as `ising:32x32:T=2.5:samples=1000:seed=0`, see `SPECIFICATIONS`.

    Shapes: inputs (samples, channel, height, width), a glass (samples, spins). Two channels of xy are cosine and sine.
    The provenance says how many samples are effectively independent, and in one sentence if the chains were too short.
    Raises: DataError if `spec` does not have such a form, or its numbers are out of range.
    """
    kind, *parts = spec.split(":")
    if kind == "noise":
        return _noise(spec, parts=parts)
    if kind not in _KINDS or not parts:
        raise DataError(
            f"{spec!r} is no generated data set; write for example {SPECIFICATIONS.get(kind, 'ising:32x32:T=2.5')}"
        )
    rule = _KINDS[kind]
    request = _request(spec, parts=parts, rule=rule)
    try:
        model = rule.model(request.options)
        found = independent_samples(model, shape=request.shape, samples=request.samples, seed=request.seed)
    except SettingError as error:
        raise DataError(f"{spec!r} cannot be sampled: {error}") from error
    states = found.flat()[-request.samples :]
    return _dataset(
        request,
        inputs=rule.inputs(states),
        unit=rule.unit,
        provenance=f"{rule.title(request.options)}, {_place(request)}, {evidence(found, samples=request.samples)}",
    )


def _request(spec: str, *, parts: list[str], rule: _Kind) -> _Request:
    readers = rule.needed | _NUMBER_OPTIONS | dict.fromkeys(rule.optional, int)
    form = SPECIFICATIONS[spec.split(":")[0]]
    extras = "".join(f", :{name}=" for name in ("samples", "seed", *rule.optional))
    try:
        shape = tuple(int(side) for side in parts[0].split("x"))
        given = [part.split("=", 1) for part in parts[1:]]
        options = {name: readers[name](text) for name, text in given}
        missing = set(rule.needed) - set(options)
    except (ValueError, KeyError):
        shape, missing, given, options = (), {""}, [], {}
    if missing or len(shape) != rule.dimensions or len(given) != len(options):
        raise DataError(
            f"{spec!r} is not understood; write for example {form}, then{extras.removeprefix(',')} if wanted"
        )
    request = _Request(spec, shape, options)
    _check(request, largest=rule.largest, least=3)
    return request


def _check(request: _Request, *, largest: int, least: int) -> None:
    spelled = "x".join(str(side) for side in request.shape)
    if min(request.shape) < least:
        raise DataError(f"{request.spec!r} asks for {spelled} sites; every side must be >= {least}")
    if math.prod(request.shape) > largest:
        raise DataError(f"{request.spec!r} asks for {spelled} sites; at most {largest} are sampled here")
    if request.samples < 2 or request.seed < 0 or request.options.get("disorder", 0) < 0:
        raise DataError(f"{request.spec!r} is out of range; needed: samples >= 2, and seeds >= 0")


def _place(request: _Request) -> str:
    spelled = "x".join(str(side) for side in request.shape)
    return f"periodic {spelled} lattice" if len(request.shape) > 1 else f"{spelled} spins"


def _dataset(request: _Request, *, inputs: Tensor, unit: str, provenance: str) -> Dataset:
    grid = request.shape if len(request.shape) > 1 else ()
    return Dataset(
        name=request.spec,
        inputs=inputs,
        targets=None,
        task="unsupervised",
        axes=("channel", "height", "width") if grid else ("feature",),
        provenance=provenance,
        units=(unit,),
        grid=grid,
        periodic=bool(grid),
    )


def _noise(spec: str, *, parts: list[str]) -> Dataset:
    spins = len(parts) > 1 and parts[1] == "spins"
    rule = _Kind({}, model=dict, title=lambda _: "", unit="")
    request = _request(spec, parts=[*parts[:1], *parts[1 + spins :]] or [""], rule=rule)
    generator = np.random.default_rng(request.seed)
    size = (request.samples, 1, *request.shape)
    values = generator.integers(0, 2, size=size) * 2.0 - 1.0 if spins else generator.normal(size=size)
    law = "spins +-1" if spins else "Gaussian numbers"
    samples = f"{request.samples} samples, seed {request.seed}, n_eff {request.samples} of {request.samples}"
    return _dataset(
        request,
        inputs=torch.from_numpy(values),
        unit="spin" if spins else "standard deviation",
        provenance=f"white noise of independent {law}, {_place(request)}, {samples}",
    )


def _components(angles: Tensor) -> Tensor:
    return torch.stack([torch.cos(angles), torch.sin(angles)], dim=1)


def _ising(options: dict[str, Any]) -> Ising:
    return Ising(temperature=options["T"])


def _potts(options: dict[str, Any]) -> Potts:
    return Potts(states=options["q"], temperature=options["T"])


def _xy(options: dict[str, Any]) -> XY:
    return XY(temperature=options["T"])


def _phi4(options: dict[str, Any]) -> Phi4:
    return Phi4(mass_squared=options["m2"], quartic=options["lambda"], coupling=options["kappa"])


def _gaussian(options: dict[str, Any]) -> GaussianField:
    return GaussianField(mass_squared=options["m2"], coupling=options["kappa"])


def _glass(options: dict[str, Any]) -> SpinGlass:
    return SpinGlass(temperature=options["T"], graph="complete", disorder_seed=options.get("disorder", 0))


_KINDS = {
    "ising": _Kind(
        {"T": float},
        model=_ising,
        title=lambda o: f"Ising model, T={o['T']}",
        unit="spin",
    ),
    "potts": _Kind(
        {"q": int, "T": float},
        model=_potts,
        title=lambda o: f"Potts model, q={o['q']}, T={o['T']}, states 0..{o['q'] - 1}",
        unit="state",
    ),
    "xy": _Kind(
        {"T": float},
        model=_xy,
        title=lambda o: f"XY model, T={o['T']}, cosine and sine of the angle as two channels",
        unit="component of a unit vector",
        inputs=_components,
    ),
    "phi4": _Kind(
        {"m2": float, "lambda": float, "kappa": float},
        model=_phi4,
        title=lambda o: f"phi^4 model, m2={o['m2']}, lambda={o['lambda']}, kappa={o['kappa']}",
        unit="field",
    ),
    "gaussian": _Kind(
        {"m2": float, "kappa": float},
        model=_gaussian,
        title=lambda o: f"Gaussian field, m2={o['m2']}, kappa={o['kappa']}",
        unit="field",
    ),
    "glass": _Kind(
        {"T": float},
        model=_glass,
        title=lambda o: f"Sherrington-Kirkpatrick glass, T={o['T']}, couplings of seed {o.get('disorder', 0)}",
        unit="spin",
        inputs=lambda states: states,
        optional=("disorder",),
        dimensions=1,
        largest=_MOST_SPINS,
    ),
}

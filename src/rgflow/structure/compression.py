"""Compressibility: bits a variable costs under a code, beside data without dependence, phases or structure.

On a grid: values are cut into at most 8 levels (as they are where no more values occur, else by quantiles of all values), one
byte a value, sample after sample, row by row, and coded by bz2 at level 9 in 8 separate runs of samples, whose spread gives
the error. Without a grid the order of columns means nothing, and the code is a Gaussian one: the entropy of the levels of
each column (8 quantiles at most), less what correlations save. Units: bits per variable, overhead of the coder included. Both
are upper bounds of the entropy of the levels, up to sampling.
"""

import bz2
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import t

from rgflow.errors import DataError, SettingError
from rgflow.records.estimate import Estimate
from rgflow.records.structure_card import Index, IndexVerdict, NullValue
from rgflow.structure.null_data import matched_to, null_value, phase_randomised, shuffled_columns, white_noise

__all__ = ["coded_bits", "compressibility", "gaussian_saving"]

_LEVELS = 8  # as in 3-bit quantisation: fine enough for the shape of a field, coarse enough for repeats to occur
_RUNS = 8
_READ = 2048  # samples coded; the bits of a variable no longer change by more than their error beyond


@dataclass(frozen=True)
class _Nulls:
    bands: tuple[NullValue, ...]
    spreads: tuple[float, ...]


def compressibility(
    samples: object, *, grid: Sequence[int] = (), draws: int = 6, level: float = 0.01, seed: int
) -> Index:
    """Return the bits a variable costs, beside shuffled columns, random phases (on a grid) and white noise.

    Shapes: `samples` (samples, variables); `grid` the lattice of the variables, () for none. Phases are those of every
    sample, with the spectrum kept; the values of each column are then brought back by rank, so that marginals agree.
    `verdict` is "yes" only where the data lie below the bands of all nulls, at `level` for the nearest; "no" where they are
    not below shuffled columns; "undetermined" where they are, but not below random phases: all that this coder saves is then
    explained by two-point correlations.
    Errors: one standard error over 8 runs of consecutive samples. Raises: DataError for fewer than 16 samples.
    """
    values = _checked(samples)
    if draws < 3:
        raise SettingError(f"draws is {draws}; at least 3 are needed for the band of a null")
    bits = _bits(values, grid=tuple(grid))
    error = _error(values, grid=tuple(grid))
    nulls = _nulls(values, grid=tuple(grid), draws=draws, seed=seed)
    tails = [
        float(t.sf((band.mean - bits) / max(math.hypot(spread, error), np.finfo(float).tiny), min(draws, _RUNS) - 1))
        for band, spread in zip(nulls.bands, nulls.spreads, strict=True)
    ]
    below = [tail < level and bits < band.low for tail, band in zip(tails, nulls.bands, strict=True)]
    verdict: IndexVerdict = "yes" if all(below) else "undetermined" if below[0] else "no"
    saving = gaussian_saving(values) - gaussian_saving(shuffled_columns(values, seed=seed))
    compared = ", ".join(f"{band.mean:.3f} {band.name}" for band in nulls.bands)
    said = {
        "yes": "The data are more compressible than all nulls",
        "no": "The data are no more compressible than shuffled columns",
        "undetermined": "The data are more compressible than shuffled columns, not more than their spectrum explains",
    }[verdict]
    return Index(
        key="compressibility",
        title="Compressibility",
        estimate=Estimate(bits, error, "statistical"),
        nulls=nulls.bands,
        verdict=verdict,
        sentence=f"{said}: {bits:.3f} bits per variable ({compared}); two-point correlations alone save {saving:.3f} bits.",
        unit="bits per variable",
        p_value=max(tails),
    )


def coded_bits(samples: object, *, grid: Sequence[int] = ()) -> float:
    """Return the bits per variable under the code described above.

    Example:
    >>> import numpy as np
    >>> coded_bits(np.zeros((400, 64)), grid=(8, 8)) < 0.3
    True
    """
    return _bits(_checked(samples), grid=tuple(grid))


def gaussian_saving(samples: object) -> float:
    """Return -log2 det(C) / (2 variables): bits per variable that correlations save under a Gaussian code.

    C is the correlation matrix of the variables that vary, with a ridge of variables / samples.
    Errors: sampling alone gives up to variables / (4 samples log 2); compare with shuffled columns.
    Source: Cover and Thomas 2006, Elements of information theory, ch. 8 (differential entropy of a Gaussian).
    """
    values = _checked(samples)
    scale = values.std(0)
    kept = scale > 1e-9 * np.abs(values).max(0, initial=0.0)  # rounding of a constant column
    if not kept.any():
        return 0.0
    standard = (values[:, kept] - values[:, kept].mean(0)) / scale[kept]
    count, variables = standard.shape
    ridge = variables / count
    correlation = (standard.T @ standard / count + ridge * np.eye(variables)) / (1 + ridge)
    return -float(np.linalg.slogdet(correlation)[1]) / (2 * math.log(2) * variables)


def _nulls(values: np.ndarray, *, grid: tuple[int, ...], draws: int, seed: int) -> _Nulls:
    seeds = np.random.SeedSequence(seed).generate_state(draws)
    makers = {"shuffled": lambda s: shuffled_columns(values, seed=s)}
    if grid:
        makers["phase-randomised"] = lambda s: matched_to(phase_randomised(values, grid=grid, seed=s), values)
    makers["white noise"] = lambda s: white_noise(values, seed=s)
    found = {name: [_bits(make(int(s)).numpy(), grid=grid) for s in seeds] for name, make in makers.items()}
    bands = tuple(null_value(name, bits) for name, bits in found.items())
    return _Nulls(bands, tuple(float(np.std(bits, ddof=1)) * math.sqrt(1 + 1 / draws) for bits in found.values()))


def _bits(values: np.ndarray, *, grid: tuple[int, ...]) -> float:
    return float(_run_bits(values).mean()) if grid else _gaussian_bits(values)


def _error(values: np.ndarray, *, grid: tuple[int, ...]) -> float:
    """Return one standard error: the spread over runs, or a delete-a-run jackknife of the Gaussian code."""
    if grid:
        return float(_run_bits(values).std(ddof=1)) / math.sqrt(_RUNS)
    run = np.arange(len(values)) * _RUNS // len(values)
    left = np.array([_gaussian_bits(values[run != k]) for k in range(_RUNS)])
    return math.sqrt((_RUNS - 1) / _RUNS * float(((left - left.mean()) ** 2).sum()))


def _run_bits(values: np.ndarray) -> np.ndarray:
    """Return the bits per variable of every run of samples, (runs,)."""
    runs = np.array_split(_cut(values), _RUNS)
    return np.array([8 * len(bz2.compress(run.tobytes(), 9)) / run.size for run in runs])  # 8 bits a byte


def _gaussian_bits(values: np.ndarray) -> float:
    """Return the mean entropy of the levels of a column, less what correlations save."""
    entropies = []
    for column in values.T:
        shares = np.bincount(_cut(column)) / len(column)
        entropies.append(-(shares[shares > 0] * np.log2(shares[shares > 0])).sum())
    return float(np.mean(entropies)) - gaussian_saving(values)


def _cut(values: np.ndarray) -> np.ndarray:
    found = np.unique(values)
    if len(found) <= _LEVELS:
        return np.searchsorted(found, values).astype(np.uint8)
    edges = np.unique(np.quantile(values, np.arange(1, _LEVELS) / _LEVELS))
    return np.searchsorted(edges, values, side="right").astype(np.uint8)


def _checked(samples: object) -> np.ndarray:
    values = torch.as_tensor(samples).detach().cpu().to(torch.float64)
    values = values.reshape(len(values), -1).numpy()
    if len(values) < 2 * _RUNS:
        raise DataError(f"{len(values)} samples given; compressibility needs at least {2 * _RUNS}")
    if not np.isfinite(values).all():
        raise DataError("samples contain NaN or infinite values; remove or impute them first")
    return values[np.arange(min(len(values), _READ)) * len(values) // min(len(values), _READ)]

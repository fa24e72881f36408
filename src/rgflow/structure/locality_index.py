"""How local the couplings are: in space where a lattice is known, else in the number of partners of a variable.

Convention: with a lattice the index is the share of the squared coupling, noise taken out, between sites at most one step
apart along every axis (a 3 x 3 neighbourhood in two dimensions); without one it is 1 - (effective partners) / (variables - 1),
effective partners being 2 (sum J^2)^2 / (variables sum J^4). J is a partial correlation for real variables. Both are pure
numbers; 0 is no locality, 1 the most.
"""

import math

import numpy as np
import torch
from scipy.stats import norm

from rgflow.lattice.geometry import Lattice
from rgflow.records.estimate import Estimate
from rgflow.records.structure_card import Index, IndexVerdict, NullValue
from rgflow.structure.null_data import matched_to, null_value, phase_randomised, rotated_basis, shuffled_columns
from rgflow.structure.pair_couplings import PairCouplings, fit_pair_couplings

__all__ = ["locality_of", "measure_locality"]

_DRAWS = 5
_LEVEL = 0.01
_RESOLVED = 4.0  # standard deviations of the summed squares under no coupling: below it the index is drawn to 0
_TITLES = ("Share of squared coupling in the nearest cells", "Fewness of partners of a variable")


def measure_locality(
    couplings: PairCouplings, *, samples: object, lattice: Lattice | None = None, seed: int, draws: int = _DRAWS
) -> Index:
    """Return the index with the nulls "shuffled", "rotated basis" and, on a lattice, "phase-randomised".

    The verdict is "yes" where the index exceeds the first two at 1 %. Phase-randomised data keep most pair couplings of the
    data and are there to see what is not pairwise. Nulls of spins and categories are fitted as real variables.
    Errors: block jackknife over the replicas of `couplings`.
    """
    unit = couplings.unit.numpy()
    errors = couplings.errors.numpy() / unit
    value = locality_of(couplings.matrix.numpy() / unit, errors, lattice=lattice)
    parts = np.array([locality_of(part / unit, errors, lattice=lattice) for part in couplings.replicas.numpy()])
    error = math.sqrt((len(parts) - 1) / len(parts) * float(((parts - parts.mean()) ** 2).sum()))
    nulls = _nulls(samples, lattice=lattice, seed=seed, draws=draws)
    p_value = max(_p_value(value, error=error, null=null) for null in nulls if null.name != "phase-randomised")
    verdict = _verdict(couplings, p_value=p_value)
    return Index(
        key="locality",
        title=_TITLES[0 if lattice is not None else 1],
        estimate=Estimate(value, error, "statistical"),
        nulls=nulls,
        verdict=verdict,
        sentence=_sentence(couplings, value=value, verdict=verdict, lattice=lattice),
        unit="",
        p_value=p_value,
    )


def locality_of(matrix: np.ndarray, errors: np.ndarray, *, lattice: Lattice | None) -> float:
    """Return the index of one coupling matrix; 0 where the couplings together do not rise above their noise."""
    i, j = np.triu_indices(len(matrix), 1)
    known = np.isfinite(errors[i, j])
    i, j = i[known], j[known]
    square, noise = matrix[i, j] ** 2, errors[i, j] ** 2
    total = float((square - noise).sum())
    floor = _RESOLVED * math.sqrt(2.0 * float((noise**2).sum()))  # standard deviation of the sum without couplings
    if lattice is not None:
        near = (np.abs(lattice.separation(i, j)) <= 1).all(-1)
        return float(np.clip((square - noise)[near].sum() / max(total, floor, 1e-300), 0.0, 1.0))
    if total <= floor:
        return 0.0
    fourth = float((square**2 - 6.0 * square * noise + 3.0 * noise**2).sum())  # unbiased for J^4 with Gaussian noise
    count = int(known.sum() * 2)
    variables = (1 + math.sqrt(1 + 4 * count)) / 2  # from variables (variables - 1) ordered pairs
    partners = 2.0 * total**2 / (variables * fourth) if fourth > 0 else variables - 1
    return float(np.clip(1.0 - partners / (variables - 1), 0.0, 1.0))


def _nulls(samples: object, *, lattice: Lattice | None, seed: int, draws: int) -> tuple[NullValue, ...]:
    values = torch.as_tensor(samples).detach().cpu().to(torch.float64)
    seeds = range(seed, seed + draws)
    made = {
        "shuffled": [shuffled_columns(values, seed=one) for one in seeds],
        "rotated basis": [rotated_basis(values, seed=one) for one in seeds],
    }
    if lattice is not None:
        made["phase-randomised"] = [_phases(values, lattice=lattice, seed=one) for one in seeds]
    return tuple(null_value(name, [_null_locality(one, lattice) for one in drawn]) for name, drawn in made.items())


def _phases(values: torch.Tensor, *, lattice: Lattice, seed: int) -> torch.Tensor:
    return matched_to(phase_randomised(values, grid=lattice.shape, seed=seed), values)


def _null_locality(values: torch.Tensor, lattice: Lattice | None) -> float:
    found = fit_pair_couplings(values, kind="continuous")
    unit = found.unit.numpy()
    return locality_of(found.matrix.numpy() / unit, found.errors.numpy() / unit, lattice=lattice)


def _p_value(value: float, *, error: float, null: NullValue) -> float:
    """Return the one-sided p-value of the index against a null: normal, with the errors of both (95 % band is 4 errors)."""
    spread = math.hypot(error, (null.high - null.low) / 4.0)
    return float(norm.sf((value - null.mean) / spread)) if spread > 0 else float(value <= null.mean)


def _verdict(couplings: PairCouplings, *, p_value: float) -> IndexVerdict:
    if not couplings.determined:
        return "undetermined"
    if p_value < _LEVEL:
        return "yes"
    return "no" if p_value > 10.0 * _LEVEL else "undetermined"


def _sentence(couplings: PairCouplings, *, value: float, verdict: IndexVerdict, lattice: Lattice | None) -> str:
    if not couplings.determined:
        return f"{couplings.samples} samples are too few for couplings of {couplings.variables} variables."
    if lattice is not None:
        what = (
            f"{100 * value:.0f} % of the squared coupling joins a site to its nearest cells (one step along each axis)"
        )
    else:
        partners = (1.0 - value) * (int(couplings.active.sum()) - 1)
        what = f"a variable is coupled to {partners:.2g} others, effectively"
    if value == 0.0:
        what = "the couplings together do not rise above their noise"
    ends = {
        "yes": "more local than shuffled columns and rotated bases",
        "no": "no more local than shuffled columns or rotated bases",
        "undetermined": "which does not stand out clearly from shuffled columns and rotated bases",
        "not applicable": "",
    }
    return f"{what[0].upper()}{what[1:]}; {ends[verdict]}."

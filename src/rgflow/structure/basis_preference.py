"""Whether the variables as given are a preferred basis: couplings sparse and marginals non-Gaussian, beside rotations.

Couplings are partial correlations of standardised variables. Their sparsity is Hoyer's, (sqrt n - l1 / l2) / (sqrt n - 1)
over the n off-diagonal ones: 1 for a single coupling, 1 - sqrt(2 / pi) = 0.2 for Gaussian noise, 0 for equal ones; free of
scale and of the sign. The null is a Haar rotation of the standardised variables: whitened ones would have no couplings to
compare. Non-Gaussianity is the mean square of E log cosh of the standardised variables above that of a Gaussian: it tells
apart bases that have no coupling at all. Two-valued data are treated as real numbers here; their rotations are not spins.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import t

from rgflow.errors import DataError, SettingError
from rgflow.records.estimate import Estimate
from rgflow.records.structure_card import Basis, Index, IndexVerdict, NullValue
from rgflow.structure.null_data import haar_rotation, null_value

__all__ = ["coupling_sparsity", "non_gaussianity", "partial_correlations", "preferred_basis"]

_GROUPS = 10  # of the jackknife: the error of an error is then 1 / sqrt(18), 24 %
_READ = 2500  # samples for the marginals: their sampling error is far below any non-Gaussianity that matters
_LEAST_SAMPLES = 20  # two in each group of the jackknife
_MOST_SEARCHED = 128  # variables; the search needs more samples than the square of their number
_SAMPLES_A_VARIABLE = 4  # with fewer the whitening alone makes up independent components
_STEPS = 60  # of the fixed-point search; it turns by less than 1e-4 radians long before, if there is anything to find
_STILL = 1e-4
_SAID = {
    "yes": "The variables as given are a preferred basis, as given against a random rotation",
    "no": "The variables as given are no better than a random rotation of them",
    "undetermined": "The samples are too few to tell the variables as given from a random rotation of them",
}
_GAUSSIAN_LOG_COSH = 0.37456720  # E log cosh of a standard Gaussian, by quadrature


@dataclass(frozen=True, eq=False)
class _Rotated:
    """Sparsity and non-Gaussianity over the rotations."""

    sparsity: NullValue
    marginal: NullValue
    sparsity_spread: float
    marginal_spread: float


def preferred_basis(samples: object, *, rotations: int = 20, level: float = 0.01, seed: int) -> Basis:
    """Return the sparsity of couplings in the given variables beside rotated ones, and in the best basis found.

    Shapes: `samples` (samples, variables); constant columns are left out. `given.verdict` is "yes" where sparsity or
    non-Gaussianity of the marginals exceed their rotations at `level` / 2 each, "undetermined" where they do at ten times
    that level only, else "no". The search turns the variables, in their own units and in standard ones, to independent
    components; `best` is the largest sparsity of the given basis and those found (None without a search: over 128 variables,
    or fewer samples than four times the variables).
    Errors: `given.estimate.error` is a delete-a-group jackknife. A Gaussian has no rotation that marginals could prefer; where
    its couplings are sparse the basis counts as preferred, though its principal axes have no couplings either.
    Raises: DataError for fewer than 20 samples or 3 variables that vary; SettingError for fewer than 3 rotations.
    Source: Hoyer 2004, JMLR 5, 1457 (sparsity); Hyvarinen 1999, IEEE Trans. Neural Networks 10, 626 (the search).
    """
    values = _standardised(samples)
    if rotations < 3:
        raise SettingError(f"rotations is {rotations}; at least 3 are needed for a band")
    count, variables = values.shape
    sparsity = coupling_sparsity(values)
    error = _jackknife(values)
    marginal = non_gaussianity(values)
    null = _rotations(values, draws=rotations, seed=seed)
    p_sparse = _tail(sparsity - null.sparsity.mean, spread=math.hypot(null.sparsity_spread, error), draws=rotations)
    p_marginal = _tail(marginal - null.marginal.mean, spread=null.marginal_spread, draws=rotations)
    p_value = min(1.0, 2 * min(p_sparse, p_marginal))
    verdict: IndexVerdict = "yes" if p_value < level else "no" if p_value > 10 * level else "undetermined"
    best = None
    if variables <= _MOST_SEARCHED and count >= _SAMPLES_A_VARIABLE * variables:
        best = max(sparsity, _searched(values), _searched(_varying(samples)))
    compared = (
        f"sparsity of couplings {sparsity:.3f} against {null.sparsity.mean:.3f}, non-Gaussianity of the marginals"
        f" {marginal:.3g} against {null.marginal.mean:.3g}"
    )
    sentence = f"{_SAID[verdict]}: {compared}."
    given = Index(
        key="basis",
        title="Preferred basis",
        estimate=Estimate(sparsity, error, "statistical"),
        nulls=(null.sparsity,),
        verdict=verdict,
        sentence=sentence,
        unit="Hoyer sparsity",
        p_value=p_value,
    )
    return Basis(given, best, _search_sentence(sparsity, best=best, error=error, random=null.sparsity.mean))


def partial_correlations(samples: object) -> torch.Tensor:
    """Return -Q_ij / sqrt(Q_ii Q_jj), Q the inverse of the correlation matrix, with zeros on the diagonal.

    Shapes: (samples, variables) to (variables, variables). Errors: a ridge of variables / samples, about the
    sampling error of the matrix, keeps it invertible for any number of samples; it turns with every rotation.
    """
    return torch.from_numpy(_partial(_precision(_standardised(samples))))


def coupling_sparsity(samples: object) -> float:
    """Return Hoyer's sparsity of the off-diagonal partial correlations, 0.2 for noise, towards 1 for few couplings."""
    return _hoyer(_precision(_standardised(samples)))


def non_gaussianity(samples: object) -> float:
    """Return the mean over variables of (E log cosh x - the Gaussian value)^2, x standardised, less its sampling bias."""
    values = _standardised(samples)
    return _log_cosh_excess(values)


def _varying(samples: object) -> np.ndarray:
    """Return the centred variables that vary."""
    values = torch.as_tensor(samples).detach().cpu().to(torch.float64)
    values = values.reshape(len(values), -1).numpy()
    if not np.isfinite(values).all():
        raise DataError("samples contain NaN or infinite values; remove or impute them first")
    kept = values.std(0) > 1e-9 * np.abs(values).max(0, initial=0.0)  # rounding of a constant column
    if len(values) < _LEAST_SAMPLES or kept.sum() < 3:
        raise DataError(
            f"{len(values)} samples of {int(kept.sum())} variables that vary given; a basis needs at least"
            f" {_LEAST_SAMPLES} samples and 3 variables"
        )
    return values[:, kept] - values[:, kept].mean(0)


def _standardised(samples: object) -> np.ndarray:
    values = _varying(samples)
    return values / values.std(0)


def _precision(values: np.ndarray) -> np.ndarray:
    """Return the inverse of the correlations of standardised values plus a ridge of variables / samples of their size."""
    count, variables = values.shape
    return np.linalg.inv(values.T @ values / count + variables / count * np.eye(variables))


def _partial(precision: np.ndarray) -> np.ndarray:
    diagonal = np.sqrt(np.diag(precision))
    partial = -precision / np.outer(diagonal, diagonal)
    np.fill_diagonal(partial, 0.0)
    return partial


def _hoyer(precision: np.ndarray) -> float:
    couplings = _partial(precision)[np.triu_indices(len(precision), 1)]
    size = math.sqrt(float((couplings**2).sum()))
    root = math.sqrt(len(couplings))
    return (root - float(np.abs(couplings).sum()) / size) / (root - 1) if size > 0 else 0.0


def _log_cosh_excess(values: np.ndarray) -> float:
    size = np.abs(values)
    # log cosh x = |x| + log(1 + e^(-2|x|)) - log 2, without overflow.
    heights = size + np.log1p(np.exp(-2 * size)) - math.log(2)
    # Dividing by the estimated standard deviation takes most of the sampling error away: d E log cosh / d scale = E x tanh x.
    slope = (values * np.tanh(values)).mean(0)
    error = (heights - slope * (values**2 - 1) / 2).var(0) / len(values)
    return float(((heights.mean(0) - _GAUSSIAN_LOG_COSH) ** 2 - error).mean())


def _jackknife(values: np.ndarray) -> float:
    """Return the delete-a-group error of the sparsity; groups are runs of consecutive samples."""
    group = np.arange(len(values)) * _GROUPS // len(values)
    found = np.array([coupling_sparsity(values[group != k]) for k in range(_GROUPS)])
    return float(np.sqrt((_GROUPS - 1) / _GROUPS * ((found - found.mean()) ** 2).sum()))


def _rotations(values: np.ndarray, *, draws: int, seed: int) -> _Rotated:
    generator = np.random.default_rng(seed)
    precision = _precision(values)
    some = values[:: max(1, len(values) // _READ)].astype(np.float32)
    sparsity, marginal = [], []
    for _ in range(draws):
        rotation = haar_rotation(values.shape[1], seed=generator).numpy()
        sparsity.append(_hoyer(rotation.T @ precision @ rotation))
        turned = some @ rotation.astype(np.float32)
        marginal.append(_log_cosh_excess((turned - turned.mean(0)) / turned.std(0)))
    spread = math.sqrt(1 + 1 / draws)  # of one further draw about the mean of the draws
    return _Rotated(
        null_value("rotated basis", sparsity),
        null_value("rotated basis", marginal),
        float(np.std(sparsity, ddof=1)) * spread,
        float(np.std(marginal, ddof=1)) * spread,
    )


def _tail(excess: float, *, spread: float, draws: int) -> float:
    """Return P(a draw exceeds the mean of the others by `excess`), Student's law."""
    return float(t.sf(excess / max(spread, np.finfo(float).tiny), draws - 1))


def _searched(values: np.ndarray) -> float:
    """Return the sparsity in the basis of independent components: a criterion that does not look at couplings."""
    return coupling_sparsity(values @ _independent_rotation(values))


def _independent_rotation(values: np.ndarray) -> np.ndarray:
    """Return the rotation whose directions are the least Gaussian once the variables are whitened without turning.

    Whitening by the symmetric root turns nothing, so the rotation found can be applied to the variables themselves.
    """
    lengths, axes = np.linalg.eigh(np.cov(values.T))
    kept = np.maximum(lengths, 1e-6 * lengths.max())  # directions without variance must not be blown up
    white = (values - values.mean(0)) @ (axes / np.sqrt(kept)) @ axes.T
    rotation = np.eye(values.shape[1])
    for _ in range(_STEPS):
        projected = np.tanh(white @ rotation)
        fresh = white.T @ projected / len(white) - rotation * (1 - projected**2).mean(0)
        left, _, right = np.linalg.svd(fresh)
        turned = left @ right
        still = np.abs(np.abs((turned * rotation).sum(0)) - 1).max() < _STILL
        rotation = turned
        if still:
            break
    return rotation


def _search_sentence(sparsity: float, *, best: float | None, error: float, random: float) -> str:
    if best is None:
        return (
            f"No better basis was searched for: that takes at most {_MOST_SEARCHED} variables and {_SAMPLES_A_VARIABLE}"
            " samples for each."
        )
    if best > sparsity + 3 * error:  # three standard errors: the best of two is never below the given one
        return (
            f"A rotation to independent components makes couplings sparser: {best:.3f} instead of {sparsity:.3f}"
            f" ({random:.3f} in a random basis)."
        )
    return f"The search over rotations found no basis with sparser couplings than {sparsity:.3f}."

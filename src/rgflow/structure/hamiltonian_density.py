"""A density estimator whose log-density is a sparse polynomial: p(x) = exp(-H(x)) / Z, as a scikit-learn estimator.

Spins and categories have probabilities of states; real variables have densities in the units of the samples. Units: nats.
"""

import warnings
from typing import Any, get_args

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from rgflow.errors import SettingError
from rgflow.lattice import Lattice
from rgflow.structure.continuous_supports import Support
from rgflow.structure.density_fitting import DensityKind, DensityModel, guessed_kind, normalised_fit

__all__ = ["HamiltonianDensity"]

_AGREED = 1.1  # R-hat (Gelman and Rubin 1992) above which chains have not forgotten where they started


class HamiltonianDensity(DensityMixin, BaseEstimator):
    """Learn p(x) ~ exp(-H(x)) from samples: pseudo-likelihood for spins and categories, score matching for real variables.

    `kind`: "auto" takes -1 and 1 for spins, 0 and 1 for bits, few small whole numbers for categories, all else for real
    variables. `order`: most variables in a term (spins), 1 or 2 (categories), highest power 2, 4 or 6 (real variables: terms
    of one variable up to that power, pairs by their product). `support`, `lattice`, `reach`, `regularisation`: as for
    `fit_hamiltonian`. `smoothing`: noise in standard deviations for real variables (None: 0.3 for those with repeated values
    or edges). `seed`: of the smoothing and of annealing.

    After `fit`: `kind_`, `hamiltonian_` (of spins -1 and 1 also for bits; of standardised z for real variables),
    `log_partition_` (an Estimate of ln Z: up to rounding for at most 2^20 states and for order 2 of real variables, by annealed
    importance sampling with a standard error beyond), `notes_`. After `sample`: `effective_draws_`.
    Errors: `score_samples` shares the one error of `log_partition_` among all samples.
    Raises: SettingError for settings outside their range, DataError for data that do not allow them or a fit without density.

    Example:
    >>> rows = np.random.default_rng(0).standard_normal((1000, 2))
    >>> model = HamiltonianDensity().fit(rows)
    >>> model.kind_, round(model.score(rows), 1)  # two normal variables: -ln(2 pi) - 1 = -2.84
    ('continuous', -2.8)
    """

    def __init__(
        self,
        kind: DensityKind = "auto",
        *,
        order: int = 2,
        support: Support = "all",
        lattice: Lattice | None = None,
        reach: float | None = None,
        regularisation: float | None = None,
        smoothing: float | None = None,
        seed: int = 0,
    ) -> None:
        self.kind: DensityKind = kind
        self.order = order
        self.support: Support = support
        self.lattice = lattice
        self.reach = reach
        self.regularisation = regularisation
        self.smoothing = smoothing
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> "HamiltonianDensity":
        """Learn from samples (samples, variables); `y` is ignored."""
        if self.kind not in get_args(DensityKind):
            raise SettingError(f"kind is {self.kind!r}; it must be one of {', '.join(get_args(DensityKind))}")
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=4)
        self.kind_: DensityKind = guessed_kind(X, order=self.order) if self.kind == "auto" else self.kind
        model = DensityModel(
            order=self.order,
            support=self.support,
            lattice=self.lattice,
            reach=self.reach,
            regularisation=self.regularisation,
            smoothing=self.smoothing,
            seed=self.seed,
        )
        found = normalised_fit(X, kind=self.kind_, model=model)
        self.hamiltonian_, self.notes_, self._density = found.hamiltonian, found.notes, found.density
        self.log_partition_ = found.density.log_partition(self.seed)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return ln p of every sample (samples,): a probability, or a density in the units of the samples.

        Raises: DataError for values that the kind does not have.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self._density.log_density(X, self.log_partition_.value)

    def score(self, X: Any, y: Any = None) -> float:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the mean of ln p over the samples; `y` is ignored."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: int | None = None) -> np.ndarray:
        """Return draws (n_samples, variables); `random_state` None takes `seed`.

        Sets `effective_draws_`, how many independent draws they are worth: all of them where sampling is exact.
        Warns where Markov chains have not forgotten where they started.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise SettingError(f"n_samples is {n_samples}; it must be >= 1")
        found = self._density.draws(n_samples, seed=self.seed if random_state is None else random_state)
        self.effective_draws_ = found.effective
        if found.disagreement > _AGREED:
            warnings.warn(
                f"the Markov chains disagree (R-hat {found.disagreement:.2f}); the draws may miss parts of the law",
                stacklevel=2,
            )
        return found.values

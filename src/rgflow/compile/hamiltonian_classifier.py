"""A classifier whose logits are sparse polynomials: p(y | x) = softmax_y(-H_y(x) - mu_y), as a scikit-learn estimator.

Inputs are standardised inside: z = (x - mean) / scale, scale the standard deviation, or a quarter of the largest deviation
where that is more, so that |z| <= 4 on the training samples. The Hamiltonians are polynomials of z. The classifier
compiles to an ordinary network with the same probabilities (`to_network`).
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.covariance import ledoit_wolf
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from rgflow.compile.class_hamiltonians import ClassHamiltonians, gaussian_hamiltonians
from rgflow.compile.monomial_selection import Rung, chosen_rung, fit_softmax, ladder, ranked
from rgflow.compile.monomials import monomial_exponents, monomial_values
from rgflow.compile.posterior_network import PosteriorNetwork, posterior_network
from rgflow.errors import DataError, SettingError
from rgflow.numerics.sparse_polynomial import SparsePolynomial
from rgflow.records.hamiltonian import Hamiltonian

__all__ = ["HamiltonianClassifier", "Method"]

Method = Literal["discriminative", "generative"]

_TAIL = 4.0  # standard deviations that one in 16,000 normal variables exceeds


class HamiltonianClassifier(ClassifierMixin, BaseEstimator):
    """Classify by Hamiltonians of order 1 to 4, learned by regularised maximum likelihood or generatively.

    `order`: largest degree of a monomial. `method`: "discriminative" maximises the likelihood of the labels over
    monomials and a penalty chosen by held-out likelihood (one-standard-error rule); "generative" takes Gaussian classes
    with Ledoit-Wolf covariances: order 2 one covariance a class, order 1 a common one (then H_y is linear up to terms
    common to all classes). Classes of spins or categories are learned in `rgflow.structure`, or discriminatively here:
    every function of bits is a polynomial. `penalties`: lambda tried in mean(-ln p) + lambda |W|^2 / 2. `folds`: parts of
    the cross-validation. `seed`: of its shuffle.

    After `fit`: `hamiltonians_` (one record a class, over z0, z1, ... of the standardised inputs), `mu_` (classes,),
    `classes_`, `mean_`, `scale_`, `monomials_` (exponents (monomials, inputs) in use), `ladder_` (a `Rung` for each size
    tried; empty for "generative") and `rung_` (the one chosen, or None).
    Raises: SettingError for settings outside their range, DataError for data that do not allow them.
    Source: H. W. Lin, M. Tegmark and D. Rolnick 2017, arXiv:1608.08225, section 2.

    Example:
    >>> inputs, labels = [[-1.0], [-0.8], [0.1], [-0.1], [0.9], [1.1]], [1, 1, 0, 0, 1, 1]
    >>> model = HamiltonianClassifier(order=2, method="generative").fit(inputs, labels)
    >>> model.predict([[-0.9], [0.0], [1.0]]).tolist()
    [1, 0, 1]
    """

    def __init__(
        self,
        order: int = 2,
        *,
        method: Method = "discriminative",
        penalties: Sequence[float] = (1.0, 0.1, 0.01, 0.001),
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.order = order
        self.method = method
        self.penalties = penalties
        self.folds = folds
        self.seed = seed

    def fit(self, X: Any, y: Any) -> "HamiltonianClassifier":
        """Learn from inputs (samples, inputs) and labels (samples,)."""
        self._check_settings()
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"the labels hold {len(self.classes_)} class; two or more classes are needed")
        self.mean_ = X.mean(axis=0)
        # Rarely active inputs count by their range: their products would else reach dozens of standard deviations.
        spread = np.maximum(X.std(axis=0), np.abs(X - self.mean_).max(axis=0) / _TAIL)
        # A constant input has a spread of rounding only; it is left out of every monomial.
        varying = spread > 1e-10 * (1.0 + np.abs(self.mean_))
        self.scale_ = np.where(varying, spread, 1.0)
        inputs = np.flatnonzero(varying)
        if not len(inputs):
            raise DataError("every input is constant over the samples; there is nothing to learn from")
        z = self._standardised(X)[:, inputs]
        learn = self._fit_discriminative if self.method == "discriminative" else self._fit_generative
        found = learn(z, labels, inputs)
        self.hamiltonians_ = found.hamiltonians
        self.mu_ = found.offsets.numpy()
        self.domain_ = float(np.abs(z).max())
        self._exponents, self._coefficients = _table(found)
        self.monomials_ = self._exponents
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return -H_y - mu_y (samples, classes); for two classes the difference of the second and the first (samples,)."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return p(y | x), shape (samples, classes)."""
        return torch.softmax(torch.from_numpy(self._logits(X)), dim=1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class, shape (samples,)."""
        logits = self._logits(X)
        return self.classes_[logits.argmax(axis=1)]

    def class_hamiltonians(self) -> ClassHamiltonians:
        """Return the fitted Hamiltonians and offsets, polynomials of the standardised inputs."""
        check_is_fitted(self)
        return ClassHamiltonians(self.hamiltonians_, torch.from_numpy(self.mu_))

    def to_network(
        self,
        *,
        activation: str = "gelu",
        tolerance: float = 1e-6,
        domain: float | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> PosteriorNetwork:
        """Return the network from raw inputs to logits whose softmax is `predict_proba` within `probability_bound`.

        The bound holds where every |z_i| <= `domain`; None takes the training samples' largest |z_i|, `domain_`.
        """
        return posterior_network(
            self.class_hamiltonians(),
            mean=self.mean_,
            scale=self.scale_,
            domain=self.domain_ if domain is None else domain,
            activation=activation,
            tolerance=tolerance,
            dtype=dtype,
        )

    def _logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return monomial_values(self._standardised(X), self._exponents) @ self._coefficients - self.mu_

    def _standardised(self, X: np.ndarray) -> np.ndarray:
        return (X - self.mean_) / self.scale_

    def _fit_discriminative(self, z: np.ndarray, labels: np.ndarray, inputs: np.ndarray) -> ClassHamiltonians:
        exponents = monomial_exponents(z.shape[1], self.order)
        raw = monomial_values(z, exponents)
        self.ladder_ = self._scored(raw, labels, linear=z.shape[1])
        self.rung_ = chosen_rung(self.ladder_)
        centre = raw.mean(axis=0)
        kept = np.sort(ranked(raw - centre, labels, linear=z.shape[1])[: self.rung_.monomials])
        model = fit_softmax((raw - centre)[:, kept], labels, penalty=self.rung_.penalty)
        self.n_iter_ = int(np.max(model.n_iter_))
        couplings = -_symmetric(np.asarray(model.coef_))
        offsets = -_symmetric(np.asarray(model.intercept_)[:, None])[:, 0] - couplings @ centre[kept]
        wide = np.zeros((len(kept), len(self.mean_)), dtype=np.int64)
        wide[:, inputs] = exponents[kept]
        found = [Hamiltonian("real", SparsePolynomial(self._names(), wide, row)) for row in couplings]
        return ClassHamiltonians(tuple(found), torch.from_numpy(offsets))

    def _scored(self, raw: np.ndarray, labels: np.ndarray, *, linear: int) -> tuple[Rung, ...]:
        """The ladder; without a second sample of every class nothing can be held out (score -inf)."""
        folds = min(self.folds, int(np.bincount(labels).min()))
        if folds < 2:
            return (Rung(linear, max(self.penalties), -math.inf, 0.0),)
        return ladder(raw, labels, linear=linear, penalties=self.penalties, folds=folds, seed=self.seed)

    def _fit_generative(self, z: np.ndarray, labels: np.ndarray, inputs: np.ndarray) -> ClassHamiltonians:
        counts = np.bincount(labels)
        if self.order == 2 and counts.min() < 2:
            raise DataError(
                f"a class has {counts.min()} sample and a covariance needs at least 2; give more samples, or use order=1"
            )
        self.ladder_, self.rung_, self.n_iter_ = (), None, 1
        means = np.stack([z[labels == k].mean(axis=0) for k in range(len(counts))])
        residuals = z - means[labels]
        if self.order == 1:
            covariances = [_covariance(residuals)] * len(counts)
        else:
            covariances = [_covariance(residuals[labels == k]) for k in range(len(counts))]
        names = [self._names()[i] for i in inputs]
        found = gaussian_hamiltonians(means, np.stack(covariances), counts / len(labels), variables=names)
        return ClassHamiltonians(tuple(self._widened(h) for h in found.hamiltonians), found.offsets)

    def _widened(self, hamiltonian: Hamiltonian) -> Hamiltonian:
        """The same Hamiltonian over all inputs; for order 1 without the quadratic part, which all classes share."""
        polynomial = hamiltonian.polynomial.over(self._names())
        if self.order == 2:
            return Hamiltonian("continuous", polynomial)
        linear = polynomial.exponents.sum(axis=1) == 1
        kept = SparsePolynomial(polynomial.variables, polynomial.exponents[linear], polynomial.coefficients[linear])
        return Hamiltonian("real", kept)

    def _names(self) -> tuple[str, ...]:
        return tuple(f"z{i}" for i in range(len(self.mean_)))

    def _check_settings(self) -> None:
        if self.method not in get_args(Method):
            raise SettingError(f"method is {self.method!r}; it must be one of {', '.join(get_args(Method))}")
        highest = {"discriminative": 4, "generative": 2}[self.method]
        if self.order not in range(1, highest + 1):
            raise SettingError(f"order is {self.order!r}; with method={self.method!r} it must be from 1 to {highest}")
        if not len(self.penalties) or not all(0.0 < penalty < np.inf for penalty in self.penalties):
            raise SettingError(f"penalties is {self.penalties}; give one or more positive numbers")
        if self.folds < 2:
            raise SettingError(f"folds is {self.folds}; at least 2 are needed to hold samples out")


def _covariance(residuals: np.ndarray) -> np.ndarray:
    """Shrunk covariance of residuals of mean 0; a floor keeps the precision finite where a class does not vary."""
    covariance, _ = ledoit_wolf(residuals, assume_centered=True)
    floor = 1e-6  # of the unit variance of standardised inputs
    return np.asarray(covariance) + floor * np.eye(residuals.shape[1])


def _symmetric(rows: np.ndarray) -> np.ndarray:
    """One row a class; a single row is the difference of two classes, shared in halves."""
    return np.concatenate([-rows / 2.0, rows / 2.0]) if len(rows) == 1 else rows


def _table(found: ClassHamiltonians) -> tuple[np.ndarray, np.ndarray]:
    """Exponents of all monomials of any class, and the coefficients -coupling (monomials, classes)."""
    polynomials = [hamiltonian.polynomial for hamiltonian in found.hamiltonians]
    exponents = np.unique(np.concatenate([p.exponents for p in polynomials]), axis=0)
    place = {tuple(row): k for k, row in enumerate(exponents.tolist())}
    coefficients = np.zeros((len(exponents), len(polynomials)))
    for column, polynomial in enumerate(polynomials):
        for row, coupling in polynomial.terms():
            coefficients[place[row], column] = -coupling
    return exponents, coefficients

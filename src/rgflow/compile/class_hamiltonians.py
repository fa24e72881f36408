"""Bayes' rule as a softmax of Hamiltonians: p(y | x) = softmax_y(-H_y(x) - mu_y), exact for exponential families.

H_y(x) = -ln p(x | y) up to a constant, which goes into mu_y together with -ln p(y); constants common to all classes
cancel. A network that computes the polynomials H_y exactly therefore ends in the exact posterior.
Units: nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import SparsePolynomial
from rgflow.records.hamiltonian import Hamiltonian

__all__ = ["ClassHamiltonians", "gaussian_hamiltonians"]


@dataclass(frozen=True, eq=False)
class ClassHamiltonians:
    """One Hamiltonian a class, over the same variables, and the offsets mu_y (classes,), float64.

    Raises: SettingError for fewer than two classes, other variables or kinds, or offsets that do not fit.
    """

    hamiltonians: tuple[Hamiltonian, ...]
    offsets: Tensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "hamiltonians", tuple(self.hamiltonians))
        object.__setattr__(self, "offsets", torch.as_tensor(self.offsets, dtype=torch.float64))
        same = {(h.kind, h.variables, h.levels) for h in self.hamiltonians}
        if len(self.hamiltonians) < 2 or len(same) != 1 or self.offsets.shape != (len(self.hamiltonians),):
            raise SettingError(
                f"there are {len(self.hamiltonians)} Hamiltonians of {len(same)} different kinds or variables and offsets"
                f" of shape {tuple(self.offsets.shape)}; give two or more over the same variables, and one offset each"
            )

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables that all classes share."""
        return self.hamiltonians[0].variables

    @property
    def order(self) -> int:
        """The largest order of a class."""
        return max(hamiltonian.order for hamiltonian in self.hamiltonians)

    @property
    def polynomials(self) -> tuple[SparsePolynomial, ...]:
        """The logits -H_y - mu_y as polynomials, one a class."""
        pairs = zip(self.hamiltonians, self.offsets.tolist(), strict=True)
        return tuple(-hamiltonian.polynomial - offset for hamiltonian, offset in pairs)

    def logits(self, samples: Any) -> Tensor:
        """Return -H_y(x) - mu_y, shape (samples, classes)."""
        return -torch.stack([h.energy(samples) for h in self.hamiltonians], dim=1) - self.offsets

    def posterior(self, samples: Any) -> Tensor:
        """Return p(y | x), shape (samples, classes)."""
        return torch.softmax(self.logits(samples), dim=1)


def gaussian_hamiltonians(
    means: Any, covariances: Any, priors: Any, *, variables: Sequence[str] | None = None
) -> ClassHamiltonians:
    """Return the Hamiltonians of Gaussian classes: H_y = x.P_y x / 2 - (P_y m_y).x with P_y the inverse covariance.

    The offsets are mu_y = -ln p(y) + m_y.P_y m_y / 2 + ln det(2 pi S_y) / 2.
    Shapes: `means` (classes, variables), `covariances` (classes, variables, variables), `priors` (classes,).
    Errors: rounding, amplified by the condition number of the covariances.
    Raises: SettingError for shapes that do not fit, covariances that are not symmetric positive definite, or priors that
    are not positive.

    Example:
    >>> classes = gaussian_hamiltonians([[-1.0], [1.0]], [[[1.0]], [[1.0]]], [0.5, 0.5])
    >>> [round(value, 6) for value in classes.posterior([[0.5]]).tolist()[0]]
    [0.268941, 0.731059]
    """
    centres, spreads, shares = (torch.as_tensor(given, dtype=torch.float64) for given in (means, covariances, priors))
    _check(centres, spreads, shares)
    roots, status = torch.linalg.cholesky_ex(spreads)
    if bool((status != 0).any()):
        raise SettingError(
            f"the covariance of class {int(status.argmax())} is not positive definite; add a small multiple of the"
            " identity, or drop variables that depend on others"
        )
    precisions = torch.cholesky_inverse(roots)
    fields = torch.linalg.solve(spreads, centres.unsqueeze(-1)).squeeze(-1)
    log_volume = (2.0 * torch.pi) ** 0.5 * roots.diagonal(dim1=-2, dim2=-1)
    offsets = -shares.log() + (fields * centres).sum(-1) / 2.0 + log_volume.log().sum(-1)
    names = tuple(variables) if variables is not None else tuple(f"x{i}" for i in range(centres.shape[1]))
    found = [
        Hamiltonian("continuous", _quadratic(precision, field, names))
        for precision, field in zip(precisions, fields, strict=True)
    ]
    return ClassHamiltonians(tuple(found), offsets)


def _quadratic(precision: Tensor, field: Tensor, names: tuple[str, ...]) -> SparsePolynomial:
    """x.P x / 2 - h.x as a polynomial."""
    n = len(names)
    unit = torch.eye(n, dtype=torch.int64)
    upper = torch.triu_indices(n, n)
    exponents = torch.cat([unit, unit[upper[0]] + unit[upper[1]]])
    pairs = precision[upper[0], upper[1]] * torch.where(upper[0] == upper[1], 0.5, 1.0)
    return SparsePolynomial(names, exponents.numpy(), torch.cat([-field, pairs]).numpy())


def _check(means: Tensor, covariances: Tensor, priors: Tensor) -> None:
    classes, variables = means.shape if means.ndim == 2 else (0, 0)
    fits = covariances.shape == (classes, variables, variables) and priors.shape == (classes,)
    if classes < 2 or variables < 1 or not fits:
        raise SettingError(
            f"means, covariances and priors have shapes {tuple(means.shape)}, {tuple(covariances.shape)} and"
            f" {tuple(priors.shape)}; (classes, variables), (classes, variables, variables) and (classes,) are needed"
        )
    if not torch.allclose(covariances, covariances.mT, rtol=1e-10, atol=0.0):
        raise SettingError("a covariance is not symmetric; give (C + C.T) / 2")
    if not bool((priors > 0).all()):
        raise SettingError(f"the priors are {priors.tolist()}; every class needs a positive probability")

"""A Hamiltonian: the sparse polynomial H in p(x) ~ exp(-H(x)), with the kind of variables it takes.

Units: H is in nats; couplings are its coefficients, one a monomial, in the order of the polynomial's rows.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import DataError, SettingError
from rgflow.numerics.sparse_polynomial import SparsePolynomial
from rgflow.records.hamiltonian_fit import HamiltonianFit

__all__ = ["Hamiltonian", "VariableKind"]

VariableKind = Literal["spin", "bit", "categorical", "continuous", "real"]


@dataclass(frozen=True, eq=False)
class Hamiltonian:
    """H(x) = sum_m coupling_m prod_i x_i^(exponent_mi) over variables of one kind.

    `kind`: "spin" (-1 or 1), "bit" (0 or 1), "categorical" (whole numbers 0 .. levels_i - 1), "continuous" (real, and
    exp(-H) is a density), "real" (real, no density is claimed: a conditional energy). Of spins, bits and categories
    every exponent is 0 or 1. A categorical site i stands as levels_i indicators [x_i = a] side by side, so that the
    polynomial has sum(levels) variables and no monomial holds two indicators of one site.
    Shapes: `errors` (monomials,), one standard error a coupling, or None; `levels` (sites,), for "categorical" alone.
    `fit` says where the couplings come from, None where they were given.
    Raises: SettingError for an unknown kind, exponents or levels that do not fit it, or errors that are no standard errors.

    Example:
    >>> ring = SparsePolynomial(("a", "b"), [[1, 1]], [-0.5])
    >>> Hamiltonian("spin", ring).energy([[1, 1], [1, -1]]).tolist()
    [-0.5, 0.5]
    """

    kind: VariableKind
    polynomial: SparsePolynomial
    errors: Tensor | None = None
    levels: tuple[int, ...] = ()
    fit: HamiltonianFit | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(VariableKind):
            raise SettingError(f"kind of a Hamiltonian is {self.kind!r}; it must be one of {get_args(VariableKind)}")
        object.__setattr__(self, "levels", tuple(int(count) for count in self.levels))
        if self.errors is not None:
            object.__setattr__(self, "errors", _checked_errors(self.errors, monomials=len(self.polynomial)))
        if self.kind in ("spin", "bit", "categorical") and self.polynomial.powers.data.max(initial=0) > 1:
            raise SettingError(
                f"a monomial of a {self.kind} Hamiltonian has the exponent {self.polynomial.powers.data.max()}; reduce"
                " powers first, every exponent must be 0 or 1"
            )
        self._check_levels()

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the polynomial's variables: the sites, or the indicators of categorical sites."""
        return self.polynomial.variables

    @property
    def sites(self) -> int:
        """Number of columns that `energy` takes."""
        return len(self.levels) if self.kind == "categorical" else len(self.variables)

    @property
    def order(self) -> int:
        """The largest total degree of a monomial: how many variables interact at once, counted with multiplicity."""
        return self.polynomial.degree

    @property
    def couplings(self) -> Tensor:
        """The coefficients (monomials,), float64."""
        return torch.tensor(self.polynomial.coefficients)

    def energy(self, samples: Any) -> Tensor:
        """Return H of every sample, shape (samples,) from (samples, sites), float64.

        Raises: DataError for another shape, values that are not finite, or values that the kind does not have.
        """
        given = torch.as_tensor(samples, dtype=torch.float64).detach().cpu()
        if given.ndim != 2 or given.shape[1] != self.sites:
            raise DataError(f"the samples have shape {tuple(given.shape)}; (samples, {self.sites}) is needed")
        self._check_values(given)
        return self.polynomial(self._indicators(given) if self.kind == "categorical" else given)

    def _indicators(self, samples: Tensor) -> Tensor:
        columns = [
            samples[:, site, None] == torch.arange(levels, dtype=torch.float64)
            for site, levels in enumerate(self.levels)
        ]
        return torch.cat(columns, dim=1).double()

    def _check_values(self, samples: Tensor) -> None:
        if not bool(torch.isfinite(samples).all()):
            raise DataError("the samples contain NaN or infinite values; remove or impute them first")
        allowed = {"spin": (-1.0, 1.0), "bit": (0.0, 1.0)}.get(self.kind)
        if allowed is not None:
            wrong = samples[(samples != allowed[0]) & (samples != allowed[1])]
            if len(wrong):
                raise DataError(f"a {self.kind} has the value {float(wrong[0]):g}; it must be {allowed[0]:g} or 1")
        if self.kind == "categorical":
            most = torch.tensor(self.levels, dtype=torch.float64)
            wrong = samples[(samples < 0) | (samples >= most) | (samples != samples.round())]
            if len(wrong):
                raise DataError(
                    f"a category has the value {float(wrong[0]):g}; it must be a whole number from 0 to levels - 1, and"
                    f" the levels are {self.levels}"
                )

    def _check_levels(self) -> None:
        if self.kind != "categorical":
            if self.levels:
                raise SettingError(
                    f"levels is {self.levels} for kind {self.kind!r}; only categorical sites have levels"
                )
            return
        if sum(self.levels) != len(self.variables) or any(count < 1 for count in self.levels):
            raise SettingError(
                f"levels is {self.levels}, sum {sum(self.levels)}, but the polynomial has {len(self.variables)} variables;"
                " it needs one indicator for each level of each site"
            )
        site = np.repeat(np.arange(self.sites), self.levels)[self.polynomial.powers.indices]
        rows = np.repeat(np.arange(len(self.polynomial)), np.diff(self.polynomial.powers.indptr))
        if len(np.unique(rows * self.sites + site)) < len(site):
            raise SettingError("a monomial holds two indicators of one site, whose product is 0; leave it out")


def _checked_errors(errors: Any, *, monomials: int) -> Tensor:
    found = torch.as_tensor(errors, dtype=torch.float64).detach().cpu()
    if found.shape != (monomials,) or bool((found < 0).any()) or bool(torch.isnan(found).any()):
        raise SettingError(
            f"errors has shape {tuple(found.shape)}; it must hold {monomials} standard errors >= 0, one for each coupling"
        )
    return found

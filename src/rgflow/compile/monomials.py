"""All monomials of some variables up to an order, and their values on samples as columns of a design matrix.

A monomial is a row of exponents; rows come by total degree, the variables themselves first.
"""

import itertools
import math

import numpy as np

from rgflow.errors import SettingError

__all__ = ["monomial_exponents", "monomial_values"]

_LARGEST = 20_000  # monomials; a design matrix of 10^4 samples then takes 1.6 GB


def monomial_exponents(variables: int, order: int) -> np.ndarray:
    """Return the exponents (monomials, variables) of all monomials of total degree 1 .. order.

    Raises: SettingError beyond 20000 monomials.
    """
    count = math.comb(variables + order, order) - 1
    if count > _LARGEST:
        raise SettingError(
            f"{variables} variables have {count} monomials up to order {order} and at most {_LARGEST} are tried; lower"
            " the order, or keep fewer variables (pooled pixels, principal components)"
        )
    exponents = np.zeros((count, variables), dtype=np.int64)
    factors = (f for k in range(1, order + 1) for f in itertools.combinations_with_replacement(range(variables), k))
    for row, members in zip(exponents, factors, strict=True):
        np.add.at(row, list(members), 1)
    return exponents


def monomial_values(samples: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """Return prod_i x_i^(exponent_i), shape (samples, monomials)."""
    values = np.ones((len(samples), len(exponents)))
    # The k-th factor of every monomial at once: one variable, or 1 where the degree is below k.
    padded = np.concatenate([samples, np.ones((len(samples), 1))], axis=1)
    degrees = exponents.sum(axis=1)
    members = np.full((len(exponents), int(degrees.max(initial=0))), samples.shape[1])
    for row, powers in enumerate(exponents):
        members[row, : degrees[row]] = np.repeat(np.arange(len(powers)), powers)
    for column in members.T:
        values *= padded[:, column]
    return values

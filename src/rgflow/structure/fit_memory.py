"""How much memory a fit of spins will take, before any work, and the refusal where that is more than there is.

Units: bytes at the peak, the samples as given left out. Counted from the arrays that the fit holds at one time; measured
peaks lie within a factor of 2 of it.
"""

import math

from rgflow.errors import SettingError
from rgflow.numerics.free_memory import free_memory
from rgflow.structure.terms import Terms

__all__ = ["checked_memory", "forecast_memory", "forecast_sets"]

_DOUBLE, _SINGLE = 8, 4
_HISTORY = 40  # vectors of parameters that L-BFGS holds: 2 x 15 steps and its own work
_RECORD = 10  # vectors of parameters of records, polynomials and errors
_NEWTON_PARAMETERS = 2500  # as in `fit_errors`, which holds a Hessian of that size
_DENSE_SITES = 64
_TABLE = 2**28  # entries of the largest table of neighbourhoods


def forecast_sets(sites: int, *, order: int) -> int:
    """Return the bytes that the list of all sets of 1 to `order` sites and their parameters take."""
    return sum(math.comb(sites, k) * _DOUBLE * (6 * k + 2 * _RECORD) for k in range(1, order + 1))


def forecast_memory(terms: Terms, *, samples: int) -> int:
    """Return the bytes at the peak of a fit of `terms` to that many samples, standard errors included."""
    sites, parameters, entries = terms.sites, terms.parameters, samples * terms.sites
    lists = _DOUBLE * sum(group.size * 6 for group in terms.groups) + _DOUBLE * _RECORD * parameters
    spins = 3 * entries
    if terms.parameters < len(terms) // 4:  # strongly tied: a table of neighbourhoods, at most as large as allowed
        return spins + lists + min(_TABLE * _SINGLE, samples * 64 * _SINGLE) + 3 * _DOUBLE * samples * parameters
    small = parameters <= _NEWTON_PARAMETERS
    dense = sites >= _DENSE_SITES and terms.order <= 2
    margins = entries * (5 * _SINGLE if dense and not small else 5 * _DOUBLE)
    solver = 5 * _DOUBLE * parameters**2 if small else _HISTORY * _DOUBLE * parameters
    here = max((group.size for group in terms.groups), default=0) // sites + sites
    own = 5 * _DOUBLE * here**2 + 4 * _SINGLE * here * samples
    series = 2 * _DOUBLE * parameters * samples if small else 0
    return spins + lists + margins + solver + max(own, series)


def checked_memory(forecast: int, *, limit: float | None) -> int:
    """Return the forecast. Raises: SettingError where it exceeds `limit` bytes (None: the memory that is free now)."""
    bound = free_memory() if limit is None else float(limit)
    if forecast > bound:
        raise SettingError(
            f"the fit needs about {forecast / 2**30:.2f} GiB and {bound / 2**30:.2f} GiB are allowed; lower the order, take a"
            " local or tied support, use fewer samples, or raise memory_limit"
        )
    return forecast

"""Reading a fitted scikit-learn pipeline of `PolynomialFeatures` and a linear model as polynomials.

Scalers between the inputs and the features are not read: fit the pipeline on the inputs that the network will get.
"""

from typing import Any

import numpy as np

from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import SparsePolynomial

__all__ = ["is_pipeline", "read_pipeline"]


def is_pipeline(given: Any) -> bool:
    """Whether `given` looks like a scikit-learn pipeline."""
    return hasattr(given, "steps") and hasattr(given, "predict")


def read_pipeline(pipeline: Any) -> list[SparsePolynomial]:
    """Return the decision or regression polynomials of PolynomialFeatures -> linear model, one an output.

    Variables have the names of the fitted columns, else x0, x1, ...
    Raises: SettingError for other steps, or a pipeline that is not fitted.
    """
    steps = [step for _, step in pipeline.steps]
    if len(steps) != 2 or type(steps[0]).__name__ != "PolynomialFeatures":
        names = ", ".join(type(step).__name__ for step in steps)
        raise SettingError(f"the pipeline has the steps {names}; it must be PolynomialFeatures and one linear model")
    features, model = steps
    if not hasattr(features, "powers_") or not hasattr(model, "coef_"):
        what = type(model).__name__
        raise SettingError(f"the pipeline of PolynomialFeatures and {what} is not fitted or not linear; fit it first")
    powers = np.asarray(features.powers_)
    names = tuple(str(n) for n in getattr(features, "feature_names_in_", [f"x{i}" for i in range(powers.shape[1])]))
    weights = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
    intercepts = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), (len(weights),))
    constant = np.zeros((1, powers.shape[1]), dtype=np.int64)
    table = np.concatenate([powers, constant])
    return [
        SparsePolynomial(names, table, np.append(row, intercept))
        for row, intercept in zip(weights, intercepts, strict=True)
    ]

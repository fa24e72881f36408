"""The two convex site losses of a spin Hamiltonian, as functions of the margin s_i h_i.

`PSEUDO_LIKELIHOOD`: ln(1 + exp(-2 m)), minus the log-probability of a spin given all others. `SCREENING`: exp(-m), the
interaction screening objective; summed over sites it equals the single-flip minimum probability flow.
Source: Besag 1975, The Statistician 24, 179; Vuffray, Misra, Lokhov and Chertkov 2016, arXiv:1605.07252;
Sohl-Dickstein, Battaglino and DeWeese 2011, arXiv:0906.4779.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import softplus

__all__ = ["PSEUDO_LIKELIHOOD", "SCREENING", "SiteLoss"]

_LINEAR = 40.0  # ln(1 + e^x) = x + e^-x + ... is x to float64 from here on
Elementwise = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SiteLoss:
    """A convex function of the margin with its first two derivatives; all act elementwise and keep the dtype."""

    name: str
    value: Elementwise
    slope: Elementwise
    curvature: Elementwise


def _log_loss(margin: np.ndarray) -> np.ndarray:
    return softplus(torch.from_numpy(-2 * margin), threshold=_LINEAR).numpy()


def _log_slope(margin: np.ndarray) -> np.ndarray:
    return -2 * torch.from_numpy(-2 * margin).sigmoid_().numpy()


def _log_curvature(margin: np.ndarray) -> np.ndarray:
    chance = torch.from_numpy(-2 * margin).sigmoid_().numpy()
    return 4 * chance * (1 - chance)  # d^2/dm^2 ln(1 + e^-2m) = 4 q (1 - q), q = 1 / (1 + e^2m)


def _exponential(margin: np.ndarray) -> np.ndarray:
    return torch.from_numpy(-margin).exp_().numpy()


def _falling(margin: np.ndarray) -> np.ndarray:
    return -_exponential(margin)


PSEUDO_LIKELIHOOD = SiteLoss("pseudo-likelihood", _log_loss, _log_slope, _log_curvature)
SCREENING = SiteLoss("interaction screening", _exponential, _falling, _exponential)

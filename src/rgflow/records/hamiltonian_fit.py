"""How a Hamiltonian was fitted: its free parameters with errors, the samples behind them, and the second opinion.

Units: parameters are in nats (the sign of -H: a parameter > 0 favours alignment); bytes for memory.
"""

from dataclasses import dataclass

from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["HamiltonianFit"]


@dataclass(frozen=True, eq=False)
class HamiltonianFit:
    """The parameters theta of one fit.

    Shapes: `parameters`, `errors` (parameters,) one standard error each, `covariance` (parameters, parameters) or None where it
    would not fit in memory; `members` (parameters,) how many couplings share each; `names` (parameters,) or ().
    `selected` (parameters,) bool marks those kept at the false discovery rate `false_discoveries` (None: no selection).
    `samples` is the number given, `effective_samples` what their autocorrelation leaves. `objective` is the mean over
    samples of the fitted objective in nats a variable. `second_opinion` holds the parameters by another estimator, or is None.
    """

    method: str
    parameters: Tensor
    errors: Tensor
    names: tuple[str, ...]
    members: Tensor
    samples: int
    effective_samples: float
    objective: float
    regularisation: float
    covariance: Tensor | None = None
    selected: Tensor | None = None
    false_discoveries: float | None = None
    second_opinion: Tensor | None = None
    memory: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.errors.shape != self.parameters.shape or self.members.shape != self.parameters.shape:
            raise SettingError(
                f"the fit has {len(self.parameters)} parameters, {len(self.errors)} errors and {len(self.members)} member"
                " counts; give one each"
            )

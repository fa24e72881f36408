"""The ladder of simplicity: models of one dataset from the simplest to the most general, scored on held-out data.

Units: scores are nats for each variable and sample (spins, categories), or minus the score-matching objective for each
variable (continuous data); larger is better. Deficits are paired differences to the best rung.
"""

from dataclasses import dataclass, field
from typing import Literal

from rgflow.records.estimate import Estimate

__all__ = ["Ladder", "LadderVerdict", "Rung"]

LadderVerdict = Literal["chosen", "undetermined"]


@dataclass(frozen=True)
class Rung:
    """One model: its name, what it assumes, how many parameters it has, how it scores where it was not fitted.

    `order` is the largest number of variables that interact, `reach` the largest distance between them (None: any),
    `symmetries` the names of the symmetries it assumes. `deficit` = score of the best rung - own score, paired over samples.
    `reason` says why a rung was not fitted (score None), or is empty.
    """

    name: str
    meaning: str
    parameters: int
    order: int
    reach: float | None = None
    symmetries: tuple[str, ...] = ()
    score: Estimate | None = None
    deficit: Estimate | None = None
    reason: str = ""


@dataclass(frozen=True)
class Ladder:
    """All rungs, simplest first, and the simplest whose paired deficit is below 2 standard errors.

    `chosen` is the name of that rung, or None with the verdict "undetermined": then `reason` says why in one sentence and
    `needed_samples` estimates how many samples would decide. `generic_parameters` is the number a look-up table of all
    states would need, as text where it is astronomical ("2^256 - 1").
    """

    rungs: tuple[Rung, ...]
    chosen: str | None
    verdict: LadderVerdict
    reason: str
    unit: str
    samples: int
    held_out: int
    generic_parameters: str
    needed_samples: int | None = None
    notes: tuple[str, ...] = field(default=())

    def rung(self, name: str) -> Rung:
        """Return the rung of this name. Raises: KeyError, which lists the rungs, if there is none."""
        for found in self.rungs:
            if found.name == name:
                return found
        raise KeyError(f"there is no rung {name!r}; rungs are {', '.join(rung.name for rung in self.rungs)}")

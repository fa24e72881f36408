"""What `rgflow tune` shows: the diff of the tuning and, where asked for, the paired experiment; as text and JSON.

JSON: schema `rgflow.tune/1`, keys only grow; numbers that are not finite become null.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rgflow import __version__
from rgflow.records.comparison import Comparison
from rgflow.records.dataset import Dataset
from rgflow.report.comparison import comparison_table

if TYPE_CHECKING:
    from rgflow.studies.tuning import Tuned

__all__ = ["TuneReport"]


@dataclass(frozen=True)
class TuneReport:
    """The tuning of one model on one data set; `comparison` is None where no proof was asked for."""

    model: str
    data: Dataset
    optimizer: str
    seed: int
    tuned: "Tuned"
    comparison: Comparison | None

    def table(self, width: int = 120) -> str:
        """Return the diff, and the comparison with its confidence interval, as text of at most `width` columns."""
        shape = " x ".join(map(str, self.data.inputs.shape))
        head = [
            f"model  {self.model}",
            f"data   {self.data.name} {shape}, {self.data.task}   optimizer {self.optimizer}   seed {self.seed}",
            "",
        ]
        proof = [] if self.comparison is None else [comparison_table(self.comparison, width=width)]
        return "\n".join([*head, self.tuned.table(width), *proof]).rstrip("\n")

    def to_json(self) -> str:
        """Return the diff and the comparison (sweeps, difference, interval, verdict, notes) as JSON."""
        document = {
            "schema": "rgflow.tune/1",
            "version": __version__,
            "seed": self.seed,
            "model": {"name": self.model},
            "data": {"name": self.data.name, "shape": list(self.data.inputs.shape), "task": self.data.task},
            "optimizer": self.optimizer,
            "changes": [asdict(change) for change in self.tuned.changes],
            "notes": list(self.tuned.notes),
            "comparison": None if self.comparison is None else asdict(self.comparison),
        }
        return json.dumps(_finite(document), indent=2, allow_nan=False)


def _finite(value: Any) -> Any:
    """Return `value` with every number that JSON cannot hold replaced by None."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

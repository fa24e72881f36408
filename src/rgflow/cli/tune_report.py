"""What `rgflow tune` shows: the diff of the tuning and, where asked for, the paired experiment; as text and JSON.

JSON: schema `rgflow.tune/1`, keys only grow; numbers that are not finite become null.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rgflow import __version__
from rgflow.records.comparison import Comparison

if TYPE_CHECKING:
    from rgflow.studies.tuning import Tuned

__all__ = ["TuneReport"]


@dataclass(frozen=True)
class TuneReport:
    """The tuning of one model on one data set; `comparison` is None where no proof was asked for."""

    model: str
    data: str
    optimizer: str
    seed: int
    tuned: "Tuned"
    comparison: Comparison | None

    def table(self) -> str:
        """Return the diff, and the comparison with its confidence interval, as text."""
        proof = "" if self.comparison is None else f"\n\n{_proof(self.comparison)}"
        return self.tuned.table().rstrip("\n") + proof

    def to_json(self) -> str:
        """Return the diff and the comparison as JSON."""
        document = {
            "schema": "rgflow.tune/1",
            "version": __version__,
            "seed": self.seed,
            "model": {"name": self.model},
            "data": {"name": self.data},
            "optimizer": self.optimizer,
            "changes": [asdict(change) for change in self.tuned.changes],
            "notes": list(self.tuned.notes),
            "comparison": None if self.comparison is None else asdict(self.comparison),
        }
        return json.dumps(_finite(document), indent=2, allow_nan=False)


def _proof(comparison: Comparison) -> str:
    low, high = comparison.interval
    head = (
        f"proof  {comparison.networks} stock against {comparison.networks} tuned networks, {comparison.steps} steps, "
    )
    lines = [head + f"learning rate chosen on a validation split, seed {comparison.seed}"]
    for arm in (comparison.stock, comparison.tuned):
        score = f"test {comparison.metric} {arm.mean.value:.4f} +- {arm.mean.error:.4f}"
        lines.append(f"       {arm.name:<6} {score} at rate {arm.chosen_rate:g}")
    difference = f"tuned - stock = {comparison.difference.value:+.4f}, 95 % interval [{low:+.4f}, {high:+.4f}]"
    return "\n".join([*lines, f"       {difference}: {comparison.verdict}"])


def _finite(value: Any) -> Any:
    """Return `value` with every number that JSON cannot hold replaced by None."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

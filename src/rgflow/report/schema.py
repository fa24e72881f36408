"""Reports as JSON in the schemas `rgflow.check/1` and `rgflow.theory/1`; keys only grow.

The JSON Schema of a check lies beside this file (`schema/rgflow.check.1.json`). Numbers keep all digits; NaN and
infinity, which JSON does not know, become null. Units: those of the records.
"""

import json
import math
from dataclasses import fields
from importlib import resources
from numbers import Integral, Real
from typing import Any

from torch import Tensor

from rgflow.records.estimate import Estimate, Quantity
from rgflow.report.check_report import CheckReport
from rgflow.report.theory_report import TheoryReport

__all__ = ["SCHEMA", "THEORY_SCHEMA", "json_schema", "plain", "theory_json", "to_json"]

SCHEMA = "rgflow.check/1"
THEORY_SCHEMA = "rgflow.theory/1"


def to_json(report: CheckReport) -> str:
    """Return `report` as a JSON object of schema `rgflow.check/1`, ASCII only, indented by two spaces."""
    return _written(report, schema=SCHEMA)


def theory_json(report: TheoryReport) -> str:
    """Return `report` as a JSON object of schema `rgflow.theory/1`, ASCII only, indented by two spaces."""
    return _written(report, schema=THEORY_SCHEMA)


def json_schema() -> str:
    """Return the JSON Schema (draft 2020-12) that `to_json` keeps, itself as JSON."""
    return resources.files("rgflow.report").joinpath("schema/rgflow.check.1.json").read_text(encoding="utf-8")


def _written(report: CheckReport | TheoryReport, *, schema: str) -> str:
    own = {"schema": schema, "version": report.version, "seed": report.seed, "networks": report.networks}
    rest = {f.name: plain(getattr(report, f.name)) for f in fields(report) if f.name not in own}
    return json.dumps(own | rest, indent=2, ensure_ascii=True, allow_nan=False)


def plain(value: Any) -> Any:
    """Return a record, or anything inside one, in JSON's own types; keys are the names of the record's fields."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Quantity):
        return _quantity(value)
    if isinstance(value, Tensor):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return {f.name: plain(getattr(value, f.name)) for f in fields(value)}


def _quantity(quantity: Quantity) -> dict[str, Any]:
    measured = _side(quantity.measured, "measured")
    reason = {"reason": quantity.reason}
    if quantity.predicted is None:
        return measured | reason
    result = _side(quantity.predicted, "predicted") | measured | {"z": plain(quantity.z)}
    return result | reason if quantity.reason else result


def _side(estimate: Estimate | None, side: str) -> dict[str, Any]:
    value, error, kind = (None, None, None) if estimate is None else (estimate.value, estimate.error, estimate.kind)
    return {side: plain(value), f"{side}_error": plain(error), f"{side}_error_kind": kind}

"""The structure card as JSON in the schema `rgflow.data/1`; keys only grow.

The JSON Schema lies beside this file (`schema/rgflow.data.1.json`). Numbers keep all digits, those of the coupling matrix six;
NaN and infinity become null. Units: those of the card.
"""

import json
import re
from dataclasses import fields
from importlib import resources
from typing import Any

from torch import Tensor

from rgflow.report.data_report import DataReport
from rgflow.report.schema import plain

__all__ = ["DATA_SCHEMA", "data_json", "data_schema"]

DATA_SCHEMA = "rgflow.data/1"
_LARGEST_MATRIX = 512  # variables; 512^2 couplings are 3 MB of text, and the card keeps larger matrices in Python
_DIGITS = 6  # the standard error of a coupling is rarely below 1e-4 of it
# A list of numbers, which indented JSON spreads over many lines; texts hold no line breaks, so none of them is met.
_NUMBERS = re.compile(r"\[\s*\n\s*((?:-?\d[\d.eE+-]*|null)(?:,\s*\n\s*(?:-?\d[\d.eE+-]*|null))*)\s*\n\s*\]")


def data_json(report: DataReport) -> str:
    """Return `report` as a JSON object of schema `rgflow.data/1`, ASCII only, lists of numbers on one line each."""
    card = report.card
    document = {"schema": DATA_SCHEMA, "version": report.version, "seed": card.seed}
    document |= {"chosen": card.ladder.chosen, "headline": report.headline}
    special = {"parameter_counts", "coupling_matrix"}
    document |= {
        f.name: plain(getattr(card, f.name)) for f in fields(card) if f.name not in document and f.name not in special
    }
    for rung in document["ladder"]["rungs"]:
        rung["parameters"] = _exact(rung["parameters"])
    document["parameter_counts"] = [{"model": model, "parameters": count} for model, count in card.parameter_counts]
    document["coupling_matrix"] = _matrix(card.coupling_matrix)
    text = json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False)
    return _NUMBERS.sub(lambda found: "[" + re.sub(r"\s*\n\s*", " ", found[1]) + "]", text)


def data_schema() -> str:
    """Return the JSON Schema (draft 2020-12) that `data_json` keeps, itself as JSON."""
    return resources.files("rgflow.report").joinpath("schema/rgflow.data.1.json").read_text(encoding="utf-8")


def _exact(number: int) -> int | None:
    """Return a whole number that every reader of JSON holds exactly, None for a larger one."""
    return number if number < 2**53 else None


def _matrix(couplings: Tensor | None) -> Any:
    """Return the rows of the matrix, or None where there is none or it is too large for a text."""
    if couplings is None or len(couplings) > _LARGEST_MATRIX:
        return None
    return plain([[float(f"{value:.{_DIGITS}g}") for value in row] for row in couplings.tolist()])

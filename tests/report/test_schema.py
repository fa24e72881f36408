"""The JSON of a check keeps its schema and loses nothing but what JSON cannot say."""

import json
import math
from dataclasses import fields, is_dataclass, replace

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rgflow.records.estimate import ErrorKind, Estimate, Quantity
from rgflow.records.layer import Finding, LayerReport
from rgflow.report.check_report import CheckData, CheckModel, CheckReport, LearningRateLimit, Tally
from rgflow.report.schema import SCHEMA, json_schema, to_json
from tests.report import examples

VALIDATOR = jsonschema.Draft202012Validator(json.loads(json_schema()))
EXAMPLES = examples.every_example()

st.register_type_strategy(Estimate, st.builds(Estimate, st.floats(), st.floats(min_value=0), st.from_type(ErrorKind)))
EVIDENCE = st.dictionaries(st.text(max_size=5), st.one_of(st.floats(), st.integers(), st.text(max_size=5)), max_size=3)
SIZE = st.integers(min_value=0, max_value=10**9)
SIZES = st.lists(SIZE, max_size=3).map(tuple)
TALLIES = st.builds(Tally, SIZE, SIZE)
FINDINGS = st.lists(st.builds(Finding, evidence=EVIDENCE), max_size=2).map(tuple)
MODELS = st.builds(CheckModel, parameters=SIZE, depth=SIZE)
DATA = st.builds(CheckData, shape=SIZES, batch=SIZE)
LAYERS = st.lists(st.builds(LayerReport), max_size=2).map(tuple)
REPORTS = st.builds(
    CheckReport,
    networks=SIZE,
    tally=TALLIES,
    findings=FINDINGS,
    model=MODELS,
    data=DATA,
    layers=LAYERS,
    learning_rate=st.builds(LearningRateLimit),
)


def strict(text):
    """Parse JSON as strict readers do: NaN and Infinity are errors."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def same(original, parsed):
    """Whether a parsed value says what the original said; non-finite numbers may only become null."""
    if isinstance(original, Quantity):
        return same_quantity(original, parsed)
    if is_dataclass(original):
        return all(same(getattr(original, f.name), parsed[f.name]) for f in fields(original))
    if isinstance(original, dict):
        return dict.fromkeys(original, True) == {k: same(v, parsed[k]) for k, v in original.items()}
    if isinstance(original, (tuple, list)):
        return len(original) == len(parsed) and all(map(same, original, parsed))
    if isinstance(original, float) and not math.isfinite(original):
        return parsed is None
    return original == parsed


def same_quantity(quantity, parsed):
    pairs = [(quantity.measured, "measured")] + ([(quantity.predicted, "predicted")] if quantity.predicted else [])
    sides = all(
        parsed[side] is None
        if estimate is None
        else same(estimate.value, parsed[side]) and same(estimate.error, parsed[f"{side}_error"])
        for estimate, side in pairs
    )
    if quantity.predicted is None:
        return sides and parsed["reason"] == quantity.reason and "predicted" not in parsed and "z" not in parsed
    return sides and parsed["predicted_error_kind"] == quantity.predicted.kind and same(quantity.z, parsed["z"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_keeps_the_schema_and_comes_back(name):
    document = strict(to_json(EXAMPLES[name]))
    VALIDATOR.validate(document)
    assert document["schema"] == SCHEMA
    assert same(EXAMPLES[name], document)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(REPORTS)
def test_any_report_keeps_the_schema_and_comes_back(report):
    document = strict(to_json(report))
    VALIDATOR.validate(document)
    assert same(report, document)


@pytest.mark.parametrize("damage", ["drop a key", "rename the schema", "a NaN as text", "a wrong source"])
def test_the_schema_refuses_a_damaged_document(damage):
    document = strict(to_json(EXAMPLES["healthy"]))
    match damage:
        case "drop a key":
            del document["tally"]
        case "rename the schema":
            document["schema"] = "rgflow.check/2"
        case "a NaN as text":
            document["layers"][0]["signal"]["predicted"] = "nan"
        case _:
            document["layers"][0]["source"] = "guess"
    assert not VALIDATOR.is_valid(document)


def test_every_key_that_is_written_is_described():
    closed = json.loads(json_schema())
    close(closed)
    for report in EXAMPLES.values():
        jsonschema.Draft202012Validator(closed).validate(strict(to_json(report)))


def close(node):
    """Forbid keys that a schema does not name."""
    if isinstance(node, dict):
        if "properties" in node:
            node.setdefault("additionalProperties", False)
        for child in list(node.values()):
            close(child)
    elif isinstance(node, list):
        for child in node:
            close(child)


def test_the_contract_names_are_there():
    document = strict(to_json(EXAMPLES["collapsing"]))
    for key in ("schema", "version", "seed", "networks", "verdict", "model", "data", "findings", "layers", "timing"):
        assert key in document
    assert set(document["layers"][0]["signal"]) >= {"predicted", "predicted_error", "measured", "measured_error", "z"}
    assert set(document["findings"][0]) == {"code", "layer", "message", "evidence", "remedy", "severity"}
    assert document["layers"][1]["signal"]["reason"] == "not a map"


def test_numbers_of_numpy_are_numbers():
    finding = Finding("c", "", "m", {"float": np.float64(0.25), "int": np.int64(3)}, "")
    evidence = strict(to_json(replace(EXAMPLES["healthy"], findings=(finding,))))["findings"][0]["evidence"]
    assert evidence == {"float": 0.25, "int": 3}


def test_the_text_is_ascii_so_that_any_pipe_can_carry_it():
    assert to_json(EXAMPLES["hostile"]).isascii()

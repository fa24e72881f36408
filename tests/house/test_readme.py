"""What the README and the pages of the verbs promise exists: commands, options, files, links, JSON keys; examples run."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from rgflow.cli.application import application
from rgflow.report.data_json import data_schema
from rgflow.report.schema import json_schema

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {verb: (ROOT / "docs" / f"{verb}.md").read_text(encoding="utf-8") for verb in ("check", "data")}
SCHEMAS = {"check": json_schema, "data": data_schema}
TUTORIAL = (ROOT / "docs" / "structure_of_data.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
FILE_AND_FUNCTION = re.compile(r"(\w[\w/]*\.py):(\w+)")

# Seconds for the README's Python example, which checks one small network, on a busy machine.
PATIENCE = 120

VERBS = typer.main.get_command(application()).commands  # type: ignore[attr-defined]


def fenced(text: str, *, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(text) if kind == language]


def command_offences(text: str) -> list[str]:
    """Return the `rgflow` commands in shell blocks whose verb or options the command line does not know."""
    offences = []
    lines = [line for block in fenced(text, language="sh") for line in block.splitlines()]
    for line in lines:
        words = shlex.split(line, comments=True)
        if not words or words[0] != "rgflow":
            continue
        if words[1] not in VERBS:
            offences.append(f"{line}: no verb {words[1]}")
            continue
        known = {name for parameter in VERBS[words[1]].params for name in parameter.opts}
        offences += [f"{line}: no option {word}" for word in words if word.startswith("--") and word not in known]
    return offences


def missing_functions(text: str) -> list[str]:
    """Return each `file.py:function` that is neither in the repository nor in a block that starts with `# file.py`."""
    written = {body.split()[1]: body for body in fenced(text, language="python") if body.startswith("# ")}
    missing = []
    for name, function in FILE_AND_FUNCTION.findall(text):
        path = ROOT / name
        source = written.get(name) or (path.read_text(encoding="utf-8") if path.is_file() else "")
        if f"def {function}(" not in source:
            missing.append(f"{name}:{function}")
    return missing


def dead_links(text: str, *, folder: Path) -> list[str]:
    return [target for target in LINK.findall(text) if "://" not in target and not (folder / target).exists()]


def test_every_command_of_the_readme_is_known_to_the_command_line():
    assert "rgflow check" in README
    assert "rgflow tune" in README
    assert command_offences(README) == []


def test_every_model_and_loader_of_the_readme_exists():
    assert missing_functions(README) == []


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z][\w-]*)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named - targets == set()


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_every_link_leads_to_a_file(page):
    assert dead_links(page.read_text(encoding="utf-8"), folder=page.parent) == []


@pytest.mark.parametrize("verb", PAGES)
def test_every_option_of_a_verb_is_on_its_page(verb):
    options = {name for parameter in VERBS[verb].params for name in parameter.opts if name.startswith("--")}
    assert {name for name in options - {"--help"} if name not in PAGES[verb]} == set()


@pytest.mark.parametrize("text", [PAGES["data"], TUTORIAL], ids=["data", "structure of data"])
def test_every_command_on_the_pages_of_data_is_known_to_the_command_line(text):
    assert "rgflow data" in text
    assert command_offences(text) == []


@pytest.mark.parametrize("verb", PAGES)
def test_every_key_of_the_json_is_on_the_page_of_its_verb(verb):
    def keys(schema: dict) -> set[str]:
        below = [value for value in schema.values() if isinstance(value, dict)]
        return set(schema.get("properties", {})).union(*(keys(value) for value in below))

    found = keys(json.loads(SCHEMAS[verb]()))
    assert len(found) > 40
    assert {key for key in found if f"`{key}`" not in PAGES[verb]} == set()


def test_the_python_example_of_the_readme_runs():
    example = next(body for body in fenced(README, language="python") if "import rgflow" in body)
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.startswith(("healthy", "findings"))


def test_an_unknown_verb_option_file_and_link_are_caught():
    assert command_offences("```sh\nrgflow chekc x --data y\n```\n") == ["rgflow chekc x --data y: no verb chekc"]
    assert command_offences("```sh\nrgflow check x --dada y  # note\n```\n")
    assert command_offences("```sh\nrgflow check x --data y  # --dada\n```\n") == []
    assert missing_functions("examples/deep_relu.py:build examples/deep_relu.py:bild no.py:build") == [
        "examples/deep_relu.py:bild",
        "no.py:build",
    ]
    assert dead_links("[a](docs/nothing.md) [b](README.md#part)", folder=ROOT) == ["docs/nothing.md"]

"""The package keeps the rules of the house: sizes, titles, docstrings, names, finished text, pins, mirrored tests."""

import tomllib
from pathlib import Path

import pytest

from tests.house import rules

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "rgflow"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted([*(ROOT / "examples").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if path.name != "test_rules.py")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Data files, templates and stylesheets of the package speak to users too.
ASSETS = sorted(p for p in PACKAGE.rglob("*") if p.suffix in (".html", ".css", ".js", ".json", ".j2"))

# Two are the aim; three (model, inputs, targets) are what the public contract needs.
POSITIONAL = 3

# Verbs of the command line are functions whose arguments typer reads by name, however many there are.
VERBS = {PACKAGE / "cli" / f"{verb}.py" for verb in ("check", "tune", "theory", "compile", "data")}


def spelled(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_package_is_found():
    assert len(MODULES) > 20


@pytest.mark.parametrize("path", MODULES, ids=spelled)
def test_a_module_is_small_titled_documented_and_well_named(path):
    text = path.read_text(encoding="utf-8")
    assert rules.code_lines(text) <= 400
    assert rules.long_functions(text, limit=60) == []
    assert rules.title_offence(text) is None
    assert rules.name_offences(text) == []
    assert not rules.vague_name(path.stem)
    assert not rules.vague_name(path.parent.name)


@pytest.mark.parametrize("path", [path for path in MODULES if path not in VERBS], ids=spelled)
def test_a_public_function_takes_few_positional_arguments(path):
    assert rules.many_positional(path.read_text(encoding="utf-8"), limit=POSITIONAL) == []


@pytest.mark.parametrize("path", MODULES + SCRIPTS + TESTS + PAGES + ASSETS, ids=spelled)
def test_a_file_is_finished_and_names_no_place_of_one_machine(path):
    assert rules.forbidden_words(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=spelled)
def test_a_script_says_what_it_is_and_stays_small(path):
    text = path.read_text(encoding="utf-8")
    assert rules.title_offence(text) is None
    assert rules.code_lines(text) <= 400
    assert rules.long_functions(text, limit=60) == []


def test_every_dependency_is_pinned_exactly():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [r for group in project["optional-dependencies"].values() for r in group]
    wanted = [r for r in project["dependencies"] + extras if not r.startswith("rgflow")]
    assert len(wanted) > 10
    assert rules.unpinned(wanted, constraints=(ROOT / "constraints.txt").read_text(encoding="utf-8")) == []


def test_the_tests_mirror_the_rooms_of_the_package():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    tested = {path.name for path in (ROOT / "tests").iterdir() if list(path.glob("test_*.py"))}
    assert rooms - tested == set()
    assert tested - rooms == {"house"}

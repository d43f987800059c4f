"""docs/providers.md, kept equal to the code: the matrix, the endpoints, the codes, the states and the guesses."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
from pydantic import BaseModel

from providers import registry
from providers.base import Provider
from providers.outcomes import CodeTable
from sendmill.errors import ProviderError
from sendmill.features import PHRASES, Feature
from sendmill.states import State
from tests.providers.requests_sent import addresses_of

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
VENDORS = tuple(registry.PROVIDERS)

_NOT_BUILT = "not built"


class Endpoint(NamedTuple):
    """A row of a vendor's table of endpoints."""

    section: str
    endpoint: str
    method: str
    does: str
    code: str
    tests: str
    reading: str


# --- the page --------------------------------------------------------------------------------------------------------


def _section(vendor: str, heading: str) -> list[str]:
    """The lines of `### <heading>` below `## <vendor>`."""
    below = f"\n{PAGE}".partition(f"\n## {vendor}\n")[2].partition("\n## ")[0]
    assert below, f"the page has no section {vendor}"
    lines = f"\n{below}".partition(f"\n### {heading}\n")[2].partition("\n### ")[0].splitlines()
    assert lines, f"the section {vendor} has no {heading}"
    return lines


def _rows(lines: Sequence[str]) -> list[list[str]]:
    """The cells of the first table in some lines, its head first."""
    table = [line for line in lines if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return [row for row in cells if set("".join(row)) != {"-"}]


@cache
def endpoints(vendor: str) -> Sequence[Endpoint]:
    """The vendor's endpoints as the page has them."""
    head, *rows = _rows(_section(vendor, "Endpoints"))
    assert ["in the document", "endpoint", "method", "what it does", "code", "tests", "our reading"] == head
    return [Endpoint(*row) for row in rows]


def _words(cell: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`]+)`", cell)


# --- what the page must say ------------------------------------------------------------------------------------------


def matrix() -> list[list[str]]:
    """The features, vendor by vendor, without the notes."""
    head = ["feature", *(f"`{vendor}`" for vendor in VENDORS)]
    rows = [
        [f"`{feature}`: {PHRASES[feature]}", *(_mark(registry.PROVIDERS[vendor], feature) for vendor in VENDORS)]
        for feature in Feature
    ]
    return [head, *rows]


def _mark(provider: type[Provider], feature: Feature) -> str:
    return "✓" if feature in provider.features else "–"


def _modules(vendor: str) -> Iterator[Any]:
    package = ROOT / "providers" / vendor
    if not package.is_dir():
        yield import_module(f"providers.{vendor}")
        return
    for path in sorted(package.glob("*.py")):
        yield import_module(f"providers.{vendor}.{path.stem}".removesuffix(".__init__"))


def code_tables(vendor: str) -> dict[str, CodeTable]:
    """Every table of codes that the vendor's modules have under a public name."""
    named = {name: value for module in _modules(vendor) for name, value in vars(module).items()}
    public = sorted(name for name in named if name.isupper() and not name.startswith("_"))
    return {name: named[name] for name in public if _is_code_table(named[name])}


def _is_code_table(value: object) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    return all(
        isinstance(code, str)
        and (outcome is None or (isinstance(outcome, type) and issubclass(outcome, ProviderError)))
        for code, outcome in value.items()
    )


def codes(vendor: str) -> list[list[str]]:
    """A row for each code, a column for each table; equal tables share one."""
    columns: list[tuple[list[str], CodeTable]] = []
    for name, table in code_tables(vendor).items():
        same = next((names for names, other in columns if other == table), None)
        if same is None:
            columns.append(([name], table))
        else:
            same.append(name)
    every = sorted({code for _, table in columns for code in table}, key=_in_order)
    head = ["code", *(" ".join(f"`{name}`" for name in names) for names, _ in columns)]
    return [head, *([f"`{code}`", *(_outcome(table, code) for _, table in columns)] for code in every)]


def _in_order(code: str) -> tuple[bool, int, str]:
    return (not code.lstrip("-").isdigit(), int(code) if code.lstrip("-").isdigit() else 0, code)


def _outcome(table: CodeTable, code: str) -> str:
    if code not in table:
        return "–"
    outcome = table[code]
    return "accepted" if outcome is None else outcome.__name__


def states(vendor: str) -> list[list[str]]:
    """The vendor's words for states; empty where it has codes for them."""
    for module in _modules(vendor):
        table = vars(module).get("STATES")
        if isinstance(table, Mapping):
            return [["word", "state"], *([f"`{word}`", State(state).value] for word, state in table.items())]
    return []


# --- tests -----------------------------------------------------------------------------------------------------------


def test_the_matrix_is_the_registry_s() -> None:
    """Every feature and every vendor, in the code's order; a note behind a mark is free."""
    shown = _rows(PAGE.partition("\n## Features\n")[2].partition("\n## ")[0].splitlines())
    assert matrix() == [shown[0], *([row[0], *(cell[:1] for cell in row[1:])] for row in shown[1:])]


def test_every_vendor_has_its_section_and_no_other_has() -> None:
    """In the order of the registry."""
    named = re.findall(r"^## ([a-z0-9]+)$", PAGE, re.MULTILINE)
    assert list(VENDORS) == named


@pytest.mark.parametrize("vendor", VENDORS)
def test_codes_are_those_of_the_code(vendor: str) -> None:
    """Each code of each table with its class."""
    assert codes(vendor) == _rows(_section(vendor, "Codes"))


@pytest.mark.parametrize("vendor", VENDORS)
def test_states_are_those_of_the_code(vendor: str) -> None:
    """Each word with its state; a vendor without words has no such table."""
    if states(vendor):
        assert states(vendor) == _rows(_section(vendor, "States"))
    else:
        assert "### States" not in PAGE.partition(f"\n## {vendor}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_endpoint_is_where_the_page_says(vendor: str) -> None:
    """The file has a function of that name, and the endpoint is named there or is what the code calls."""
    wrong = []
    for row in endpoints(vendor):
        if row.code == _NOT_BUILT:
            continue
        references = _words(row.code)
        assert references, row
        for reference in references:
            path, _, name = reference.partition(":")
            if name not in _defined(ROOT / path):
                wrong.append(f"{reference} is not defined")
        sources = [(ROOT / reference.partition(":")[0]).read_text(encoding="utf-8") for reference in references]
        wrong += [
            f"{part} stands in none of {row.code}"
            for part in _words(row.endpoint)
            if part not in addresses_of(vendor) and not any(part in source for source in sources)
        ]
    assert [] == wrong


@cache
def _defined(path: Path) -> frozenset[str]:
    """Functions, methods as `Class.method`, and classes of a file."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
    return frozenset(names)


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_endpoint_is_tested_where_the_page_says(vendor: str) -> None:
    """The tests are there, in the vendor's own modules or where the whole flow is tested."""
    wrong = []
    for row in endpoints(vendor):
        named = _words(row.tests)
        if (row.code == _NOT_BUILT) != (not named):
            wrong.append(f"{row.endpoint}: {row.tests}")
        wrong += [name for name in named if name not in _tests()]
    assert [] == wrong


@cache
def _tests() -> frozenset[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found.update(re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    return frozenset(found)


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_address_that_the_code_calls_is_on_the_page(vendor: str) -> None:
    """Whatever the settings: each request's path is an endpoint of the page that is built."""
    named = {part for row in endpoints(vendor) if row.code != _NOT_BUILT for part in _words(row.endpoint)}
    called = addresses_of(vendor)
    assert called
    assert set() == called - named


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_is_not_built_says_why(vendor: str) -> None:
    """A reason stands beside it."""
    assert [] == [row for row in endpoints(vendor) if row.code == _NOT_BUILT and len(row.reading) < len("no API")]


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_guess_has_its_setting_with_its_default(vendor: str) -> None:
    """What the page says can be changed can be, and the value is what holds without it."""
    head, *rows = _rows(_section(vendor, "Guesses"))
    assert ["setting", "default", "what is guessed"] == head
    wrong = []
    for setting, default, _ in rows:
        shown = _default(registry.PROVIDERS[vendor].settings_model, setting.strip("`").split("."))
        if shown != default.strip("`"):
            wrong.append(f"{setting}: {shown}, not {default}")
    assert [] == wrong
    assert len(rows) == len({row[0] for row in rows})


def _default(model: type[BaseModel], path: Sequence[str]) -> str:
    """A setting's default as TOML would write it; `–` where it has none."""
    name, *deeper = path
    field = model.model_fields.get(name)
    if field is None:
        return f"no setting {name}"
    if deeper:
        candidates = [each for each in (field.annotation, *get_args(field.annotation)) if isinstance(each, type)]
        return _default(next(each for each in candidates if issubclass(each, BaseModel)), deeper)
    if field.is_required() or field.default is None:
        return "–"
    return json.dumps(field.default, ensure_ascii=False)

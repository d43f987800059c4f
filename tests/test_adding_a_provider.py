"""docs/adding-a-provider.md, kept true: every vendor has what the page asks for, and the page's names exist."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from providers.registry import PROVIDERS
from simulator.server import build_world
from simulator.settings import DEFAULT_ACCOUNTS, Settings
from tests.providers.contract import ProviderContract
from tests.providers.payload import files, origins

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
VENDORS = sorted(PROVIDERS)


def _matrix() -> dict[str, list[str]]:
    """The cells of README's table of vendors, by provider."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("\n## Vendors\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `") and "`provider`" not in line]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0].strip("`"): row for row in cells}


def _contract_classes(vendor: str) -> list[type[ProviderContract]]:
    """The classes of the vendor's test module that inherit the contract and are of this vendor."""
    module = import_module(f"tests.providers.test_{vendor}")
    return [
        value
        for name, value in vars(module).items()
        if name.startswith("Test") and isinstance(value, type) and issubclass(value, ProviderContract)
    ]


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_vendor_has_its_module(vendor: str) -> None:
    """The class lives where its name says: a file, or a folder of that name."""
    module = PROVIDERS[vendor].__module__.split(".")
    assert ["providers", vendor] == module[:2]
    assert (ROOT / "providers" / f"{vendor}.py").is_file() != (ROOT / "providers" / vendor / "__init__.py").is_file()


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_vendor_has_payload_files_with_their_origin(vendor: str) -> None:
    """A folder of bytes, each with the page that it comes from."""
    assert files(vendor)
    assert origins(vendor) == files(vendor)


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_vendor_is_held_to_the_contract(vendor: str) -> None:
    """Its test module has a class that inherits the contract, for this vendor's own class."""
    classes = _contract_classes(vendor)
    assert PROVIDERS[vendor] in {each.provider_class for each in classes}
    assert {vendor} == {each.vendor for each in classes}


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_vendor_has_a_simulator(vendor: str) -> None:
    """A module of its own, a place in the simulated world and an account to start with."""
    assert (ROOT / "simulator" / f"{vendor}.py").is_file()
    assert vendor in build_world(Settings(accounts=[])).vendors
    assert vendor in {account["vendor"] for account in DEFAULT_ACCOUNTS}
    assert f"| {vendor} |" in (ROOT / "simulator" / "README.md").read_text(encoding="utf-8")


def test_every_vendor_has_an_example_account() -> None:
    """Whoever copies the example file finds the vendor there."""
    example = tomllib.loads((ROOT / "config" / "sendmill.example.toml").read_text(encoding="utf-8"))
    assert set(VENDORS) == {account["provider"] for account in example["accounts"].values()}


def test_the_readme_has_a_row_for_every_vendor_and_for_no_other() -> None:
    """The matrix is the registry's."""
    assert VENDORS == sorted(_matrix())


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_matrix_names_the_published_limits(vendor: str) -> None:
    """Each limit in time that the provider holds stands in the row, with its number."""
    row = _matrix()[vendor][-1]
    for limit in PROVIDERS[vendor].limits:
        shown = f"{limit.value:,}" if limit.value > 1 else "1 call at a time"
        assert shown in row
        assert limit.at_most is None or f"{limit.at_most:,}" in row


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_matrix_names_the_largest_calls(vendor: str) -> None:
    """The numbers a call are those of the contract's own account."""
    row = _matrix()[vendor][3]
    for contract in _contract_classes(vendor):
        for service in contract().provider().services():
            assert f"{service.max_numbers:,}" in row


def test_every_path_of_the_page_exists() -> None:
    """A reader finds what the page names; `<name>` stands for each vendor."""
    paths = set(re.findall(r"`((?:providers|tests|simulator|config)/[\w./<>-]+)`", PAGE))
    assert len(paths) > 10
    missing = []
    for path in sorted(paths):
        for vendor in VENDORS if "<name>" in path else [""]:
            there = ROOT / path.replace("<name>", vendor)
            as_folder = there.with_suffix("") if path == "providers/<name>.py" else there
            as_file = there.parent / f"{there.name}.py" if path == "providers/<name>/" else there
            if not any(each.exists() for each in (there, as_folder, as_file)):
                missing.append(str(there.relative_to(ROOT)))
    assert [] == missing


def test_every_name_of_the_contract_that_the_page_lists_exists() -> None:
    """What a new test class sets is what the contract reads."""
    listed = PAGE.partition("sets what stands on top of it:")[2].partition(". The contract")[0]
    names = {name.rstrip("()") for name in re.findall(r"`([a-z_]+(?:\(\))?)`", listed)}
    assert {"vendor", "provider_class", "number", "numbers_in"} <= names
    known = {*vars(ProviderContract), *ProviderContract.__annotations__}
    assert names <= known

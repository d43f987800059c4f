"""deploy/prometheus and deploy/grafana: expressions name what is exported, every runbook a heading that there is."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
BOARDS = ROOT / "deploy" / "grafana"
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
_ROW = re.compile(r"^\| `(sendmill_\w+)` \| (\w+) \| ([^|]+) \|", re.MULTILINE)
_SELECTED = re.compile(r"(sendmill_\w+)(?:\{([^}]*)\})?")
_BY = re.compile(r"\b(?:by|on) \(([^)]*)\)")


def _rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def _documented() -> dict[str, set[str]]:
    """Metric → its labels; tests/integration/test_metrics.py holds the page against the exporter."""
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    known: dict[str, set[str]] = {}
    for name, kind, listed in _ROW.findall(page):
        labels = known[name] = set() if listed.strip() == "–" else set(listed.split(", "))
        if kind == "histogram":
            known |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
    return known


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_a_rule_is_about_what_is_exported_and_says_what_to_do(rule: dict[str, Any]) -> None:
    """By metric and label; and it is a page or a ticket."""
    known = _documented()
    named = _SELECTED.findall(rule["expr"])
    assert named
    for metric, selector in named:
        assert {part.split("=")[0].strip(" !~") for part in selector.split(",") if part} <= known[metric]
    for labels in _BY.findall(rule["expr"]):
        assert all(set(labels.split(", ")) <= known[metric] for metric, _ in named)
    told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert all(told <= known[metric] for metric, _ in named)
    page, _, heading = rule["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert heading in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}
    assert rule["labels"]["severity"] in {"page", "ticket"}


def _boards() -> dict[str, dict[str, Any]]:
    return runpy.run_path(str(BOARDS / "boards.py"))["boards"]()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["system.json", "account.json"])
def test_a_board_shows_what_is_exported(name: str) -> None:
    """The file is what the program writes; each panel asks for metrics and labels that there are."""
    told = json.loads((BOARDS / name).read_text("utf-8"))
    assert _boards()[name] == told
    known = _documented()
    ends: dict[int, int] = {}
    for panel in told["panels"]:
        for target in panel["targets"]:
            named = _SELECTED.findall(target["expr"])
            assert named
            for metric, selector in named:
                assert {part.split("=")[0].strip(" !~") for part in selector.split(",") if part} <= known[metric]
            labels = {label for by in _BY.findall(target["expr"]) for label in by.split(", ")}
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert all((labels | shown) <= known[metric] for metric, _ in named), target
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert ends.get(place["y"], 0) <= place["x"]
        ends[place["y"]] = place["x"] + place["w"]


def test_compose_brings_prometheus_and_grafana_what_is_here() -> None:
    """Behind a profile: the rules, a scrape of `web`, the boards and the source that they ask."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    observing = {name: each for name, each in services.items() if each.get("profiles") == ["observe"]}
    assert {"prometheus", "grafana"} == observing.keys()
    for service in observing.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        folders = [each.partition(":")[0] for each in service["volumes"] if each.startswith("./")]
        assert folders
        assert all((ROOT / folder).is_dir() for folder in folders)
    scraped = yaml.safe_load((RULES.parent / "prometheus.yml").read_text("utf-8"))
    assert [RULES.name] == scraped["rule_files"]
    (job,) = scraped["scrape_configs"]
    assert [f"web:{services['web']['environment']['PORT']}"] == job["static_configs"][0]["targets"]
    source = yaml.safe_load((BOARDS / "provisioning/datasources/prometheus.yml").read_text("utf-8"))["datasources"]
    assert ["http://prometheus:9090"] == [each["url"] for each in source]
    boards = yaml.safe_load((BOARDS / "provisioning/dashboards/sendmill.yml").read_text("utf-8"))["providers"]
    target = f"./deploy/grafana:{boards[0]['options']['path']}:ro"
    assert target in observing["grafana"]["volumes"]


def test_prometheus_itself_takes_the_rules() -> None:
    """Where promtool is installed: their syntax, and what fires on which series."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on this machine")
    for words in (["check", "rules", RULES.name], ["test", "rules", RULES.with_suffix(".test.yml").name]):
        ended = subprocess.run([promtool, *words], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert 0 == ended.returncode, ended.stdout + ended.stderr

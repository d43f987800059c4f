"""deploy/kubernetes: what a cluster would take, and what the processes need; validated without a cluster."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from config import procfile
from config.celery import soft_shutdown_s
from config.load import load
from config.settings import Settings
from providers import registry
from workers import push, web
from workers.alive import ALIVE_FILE

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / "deploy" / "kubernetes"
NEWEST = "1.37"
SPOOLS = {"worker_work", "push"}
"""They keep on disk what vendors say once while Redis takes nothing."""


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every document of the files that the base names: file and content."""
    base = yaml.safe_load((BASE / "kustomization.yaml").read_text("utf-8"))
    for name in base["resources"]:
        for document in yaml.safe_load_all((BASE / name).read_text("utf-8")):
            yield name, document


def workloads() -> dict[str, dict[str, Any]]:
    """Procfile line → the Deployment or StatefulSet that runs it."""
    found = {}
    for _, document in manifests():
        if document["kind"] in {"Deployment", "StatefulSet"}:
            (container,) = document["spec"]["template"]["spec"]["containers"]
            (line,) = container["args"]
            found[line] = document
    return found


def _pod(document: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = document["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize(
    ("name", "document"), list(manifests()), ids=lambda each: each if isinstance(each, str) else each["kind"]
)
def test_every_manifest_fits_its_schema(name: str, document: dict[str, Any]) -> None:
    """Strictly: an unknown field is refused."""
    assert name
    kubernetes_validate.validate(document, NEWEST, strict=True)


def test_every_file_is_in_the_base() -> None:
    """One file a process; none that nobody applies."""
    named = {name for name, _ in manifests()} | {"kustomization.yaml", "sendmill.toml"}
    assert named == {path.name for path in BASE.iterdir()}
    assert {f"{line.replace('_', '-')}.yaml" for line in procfile.processes()} < named


def test_a_workload_for_each_line_of_the_procfile() -> None:
    """Two of each, and those that spool have volumes that outlive their pods."""
    assert set(procfile.processes()) == set(workloads())
    for line, document in workloads().items():
        assert 2 == document["spec"]["replicas"]
        assert (document["kind"] == "StatefulSet") == (line in SPOOLS)
        claims = [each["metadata"]["name"] for each in document["spec"].get("volumeClaimTemplates", ())]
        assert claims == (["state"] if line in SPOOLS else [])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """What the workers would start with: the base's configuration, with the Secret's files in place."""
    text = (BASE / "sendmill.toml").read_text("utf-8")
    (tmp_path / "sendmill.toml").write_text(text, "utf-8")
    (tmp_path / "secrets").mkdir()
    for account in tomllib.loads(text)["accounts"].values():
        for value in account.values():
            if str(value).startswith("file:"):
                (tmp_path / value.removeprefix("file:")).write_text("0123456789abcdef", "utf-8")
    return load(tmp_path / "sendmill.toml", registry.models(), {"SENDMILL_REDIS_URL": "redis://127.0.0.1:6379/0"})


def test_a_stop_waits_for_the_longest_call_of_the_configuration(settings: Settings) -> None:
    """timeout_s of its accounts and what a worker needs besides."""
    assert {"bulk"} == set(settings.accounts)
    for document in workloads().values():
        assert _pod(document)["terminationGracePeriodSeconds"] > soft_shutdown_s(settings) > 30


def test_the_pods_have_what_the_image_needs() -> None:
    """Each place that a process writes to is a volume, as its root is read-only; nothing runs as root."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    for document in workloads().values():
        pod = _pod(document)
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert pod["securityContext"]["runAsNonRoot"]
        assert f"--uid {pod['securityContext']['runAsUser']} " in dockerfile
        mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        for place in ("/run/sendmill", "/var/lib/sendmill", "/tmp"):  # noqa: S108 - the pod's own
            assert place in mounted
        assert f"{ALIVE_FILE}=/run/sendmill/alive" in dockerfile
        assert "SENDMILL_STATE_DIR=/var/lib/sendmill" in dockerfile
        volumes = {each["name"] for each in pod["volumes"]}
        volumes |= {each["metadata"]["name"] for each in document["spec"].get("volumeClaimTemplates", ())}
        assert volumes == set(mounted.values())


def test_probes_and_variables_are_those_of_the_processes() -> None:
    """The image's probe for all; Redis decides about who is ready to answer, and never about a restart."""
    ports = {"push": push.DEFAULT_PORT, "web": web.DEFAULT_PORT}
    known = {"SENDMILL_CONFIG", "SENDMILL_REDIS_URL", "SENDMILL_BROKER_URL", "SENDMILL_NAMESPACE", "SENDMILL_LOG_LEVEL"}
    for line, document in workloads().items():
        (container,) = _pod(document)["containers"]
        assert container["livenessProbe"]["exec"] == container["startupProbe"]["exec"] == {"command": ["alive"]}
        named = {each["name"]: each.get("value") for each in container["env"]}
        assert set(named) <= known | ({"SENDMILL_WEB_HOST", "SENDMILL_WEB_AUTH", "PORT"} if line == "web" else set())
        assert ("readinessProbe" in container) == (line in ports)
        if line in ports:
            assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": line}
            assert container["ports"] == [{"name": line, "containerPort": ports[line]}]
            assert named.get("PORT") == (str(web.DEFAULT_PORT) if line == "web" else None), "the image's is push's"


def test_each_selector_finds_its_pods() -> None:
    """Workloads, Services and budgets by the same labels; one budget for each workload."""
    labels = {line: document["spec"]["template"]["metadata"]["labels"] for line, document in workloads().items()}
    budgets = []
    for _, document in manifests():
        match document["kind"]:
            case "Deployment" | "StatefulSet":
                assert document["spec"]["selector"]["matchLabels"] in labels.values()
            case "PodDisruptionBudget":
                budgets.append(document["spec"]["selector"]["matchLabels"])
            case "Service":
                assert document["spec"]["selector"] in labels.values()
    assert sorted(map(str, budgets)) == sorted(map(str, labels.values()))

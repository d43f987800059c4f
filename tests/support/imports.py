"""Imports all that packages import, lazy imports too: `python imports.py [--without DISTRIBUTION] PACKAGE…`.

It runs in an environment that is looked at, knows nothing of this repository, and takes the packages from the current
folder or the environment. What third parties load by name for us is loaded as they do it. Prints a JSON: `missing`,
what could not be imported and why; `used`, the distributions that something was imported from. `--without` hides a
distribution, as if it had not been installed.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

BY_NAME = {
    "sendmill": ("kombu.transport.redis", "hiredis"),
    "workers": (
        "celery.bin.celery",
        "celery.bin.worker",
        "celery.bin.beat",
        "celery.concurrency.thread",
        "redis.asyncio",
        "redbeat.schedulers",
        "aiohttp.web_runner",
    ),
}
"""What Celery, kombu and redis-py load by a name in their settings or in the Procfile, by the package that asks so.
Without hiredis redis-py goes on, in silence and slower."""


class _Hidden(MetaPathFinder):
    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, *_: Any) -> None:
        """Refuse what is hidden."""
        if fullname.split(".", maxsplit=1)[0] in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name in it or "") of every import, but for types alone and where its absence is dealt with."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                for each in node.orelse:
                    yield from _imports(each)
            case ast.Try() if any(
                "ImportError" in ast.dump(each.type or each) or "ModuleNotFoundError" in ast.dump(each.type or each)
                for each in node.handlers
            ):
                pass
            case ast.Import():
                yield from ((each.name, "") for each in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield from ((module, each.name) for each in node.names)
            case _:
                yield from _imports(node)


def _modules(package: str) -> Iterator[Path]:
    found = importlib.import_module(package)
    for folder in found.__path__:
        yield from sorted(Path(folder).rglob("*.py"))


def _reach(module: str, name: str) -> str | None:
    try:
        found = importlib.import_module(module)
        if name and name != "*" and not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")
    except Exception as error:  # noqa: BLE001  # whatever it is, it stands in the answer
        return f"{type(error).__name__}: {error}"
    return None


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Import everything; what could not be, and what was used."""
    packages = list(arguments)
    by_module = importlib.metadata.packages_distributions()
    if packages[0] == "--without":
        hidden = {module for module, names in by_module.items() if set(names) == {packages[1]}}
        sys.meta_path.insert(0, _Hidden(hidden))
        packages = packages[2:]
    missing = {}
    for package in packages:
        wanted = [(name, "") for name in BY_NAME.get(package, ())]
        for path in _modules(package):
            wanted += _imports(ast.parse(path.read_text("utf-8")))
        for module, name in dict.fromkeys(wanted):
            trouble = _reach(module, name)
            if trouble is not None:
                missing[f"{module}.{name}".rstrip(".")] = trouble
    loaded = {name.split(".")[0] for name in sys.modules}
    return {"missing": missing, "used": sorted({name for module in loaded for name in by_module.get(module, ())})}


if __name__ == "__main__":
    sys.path.insert(0, ".")
    sys.stdout.write(json.dumps(main(sys.argv[1:])))

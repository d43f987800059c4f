"""What the console showed at the end of the demo, as one HTML file that needs nothing else."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import Final

from simulator.system import ROOT, System

PATH: Final = ROOT / "build" / "demo.html"

_PAGES: Final = ("/", "/delivery", "/errors", "/jobs", "/workers")
_TIMEOUT_S: Final = 10.0
_MAIN: Final = re.compile(r"<main[^>]*>(.*)</main>", re.DOTALL)
_STYLE: Final = re.compile(r'href="(/static/[^"]+/console\.css)"')
_LINK: Final = re.compile(r"</?a\b[^>]*>")
_FORM: Final = re.compile(r"<form\b.*?</form>", re.DOTALL)


def write_report(system: System, path: Path = PATH) -> Path:
    """Read the console's pages and write them as one; returns where.

    Raises:
        OSError: the console does not answer, or the file cannot be written.
    """
    pages = [_read(system.web_url + page) for page in _PAGES]
    style = _STYLE.search(pages[0])
    css = "" if style is None else _read(system.web_url + style[1])
    parts = [_LINK.sub("", _FORM.sub("", found[1])) for page in pages if (found := _MAIN.search(page))]
    body = "\n".join(f"<main>{part}</main>" for part in parts)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<!doctype html><html lang=en><head>{head}<title>sendmill: the demo</title><style>{css}</style></head>"
        f"<body>{body}</body></html>\n",
        "utf-8",
    )
    return path


def _read(url: str) -> str:
    request = urllib.request.Request(url, headers={"Accept-Language": "en"})  # noqa: S310  http to our own process
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        return str(answer.read().decode())

"""A page of the console: what it loads, and how that becomes HTML or JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from sendmill.client import Client
from sendmill.errors import InvalidMessage, InvalidOption, NoSuchJob, SendmillError, StoreError, UnknownAccount
from sendmill.ledger.connection import Ledger
from sendmill.ledger.published import published_accounts
from sendmill.messages import FORGOTTEN
from sendmill.monitoring.charts import Charts
from sendmill.numbers import mask
from web.console import formatting
from web.console.access import HEADERS, REVEAL, VIEW, Doors, Visitor
from web.console.formatting import fields
from web.console.static import Files
from web.console.words import LANGUAGES, NAMES, Words, language_of, read_words
from web.context import Context

THEMES: Final = ("auto", "light", "dark")
LANGUAGE_COOKIE, THEME_COOKIE = "sendmill-language", "sendmill-theme"

Model = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Visit:
    """A request for a page: who asks, for what, and in whose name `client` acts."""

    visitor: Visitor
    client: Client
    ledger: Ledger
    charts: Charts
    words: Words
    match: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def reveals(self) -> bool:
        """Whether whole numbers were asked for by somebody who may see them."""
        return "reveal" in self.form and self.visitor.may(REVEAL)

    def number(self, value: str) -> str:
        """A number as this visitor may see it now."""
        return value if self.reveals or value == FORGOTTEN else mask(value)


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its address, its template, and what it loads (in a thread).

    `cli` is the command that tells the same, `cli_looks_for` what to look for where it tells more than that. `numbers`:
    it shows some, so they may be revealed.
    """

    name: str
    path: str
    load: Callable[[Visit], Model]
    cli: Callable[[Visit], str]
    cli_looks_for: Callable[[Visit], str] = lambda _: ""
    right: str = VIEW
    numbers: bool = False
    menu: bool = True
    live: bool = True

    @property
    def twin(self) -> str:
        """The address of the same as JSON."""
        return f"{self.path}.json" if self.path != "/" else "/now.json"


class Site:
    """What all pages share.

    Args:
        context: of the process.
        doors: who may come in.
    """

    def __init__(self, context: Context, doors: Doors) -> None:
        self.context = context
        self.doors = doors
        self.words = read_words()
        self.files = Files()
        self.charts = Charts(context.blocking._ledger)  # noqa: SLF001 - a part of the client
        self.pages: list[Page] = []
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(formatting.FILTERS)

    async def warm(self, _: web.Application) -> AsyncIterator[None]:
        """Begin to read what charts are drawn from, so that the first visitor need not wait for two days of minutes."""
        warming = asyncio.create_task(self._warm())
        yield
        warming.cancel()

    async def _warm(self) -> None:
        with suppress(StoreError):  # the first visitor reads it then
            await self.context.run(lambda: self.charts.of(published_accounts(self.context.blocking._ledger)))  # noqa: SLF001

    def add(self, app: web.Application, pages: Iterable[Page]) -> None:
        """Mount pages, each with its twin; those with numbers take a POST that reveals them."""
        for page in pages:
            self.pages.append(page)
            app.router.add_get(page.twin, partial(self._get, page))  # first: a name may end in .json too
            app.router.add_get(page.path, partial(self._get, page))
            if page.numbers:
                app.router.add_post(page.path, partial(self._get, page))

    async def _get(self, page: Page, request: web.Request) -> web.Response:
        visit = await self.visit(request, page.right)
        return await self.answer(page, request, visit)

    async def answer(self, page: Page, request: web.Request, visit: Visit, **more: Any) -> web.Response:
        """The page as it is now; `more` goes to its template besides."""
        status = 200
        try:
            if visit.reveals:
                await self.context.run(partial(visit.client.record, "reveal", request.path))
            model = await self.context.run(partial(page.load, visit))
        except SendmillError as error:
            status = status_of(error)
            return await self.failed(request, visit, status, str(error))
        if request.path.endswith(".json"):
            return self.respond(json.dumps(plain(model), ensure_ascii=False), "application/json", status)
        told = {"page": page, "model": model, **more}
        html = await self.context.run(partial(self.render, f"{page.name}.html", request, visit, told))
        return self.respond(html, "text/html", status)

    async def failed(self, request: web.Request, visit: Visit, status: int, sentence: str) -> web.Response:
        """A page that says what is wrong."""
        if request.path.endswith(".json"):
            return self.respond(json.dumps({"error": sentence}, ensure_ascii=False), "application/json", status)
        told = {"page": None, "sentence": sentence, "status": status}
        return self.respond(self.render("failed.html", request, visit, told), "text/html", status)

    async def visit(self, request: web.Request, right: str) -> Visit:
        """Let somebody in who has a right.

        Raises:
            web.HTTPException: they are not let in.
        """
        visitor = await self.context.run(partial(self.doors.enter, request))
        if not visitor.may(right):
            raise web.HTTPForbidden(text=f"this needs the right {right}\n")
        form: dict[str, str] = {}
        files: dict[str, bytes] = {}
        if request.method == "POST":
            for name, value in (await request.post()).items():
                if isinstance(value, web.FileField):
                    files[name] = value.file.read()
                elif isinstance(value, str):
                    form[name] = value
        return Visit(
            visitor=visitor,
            client=self.context.blocking.acting(visitor.actor),
            ledger=self.context.blocking._ledger,  # noqa: SLF001 - a part of the client
            charts=self.charts,
            words=self.words[
                language_of(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("Accept-Language", ""))
            ],
            match=dict(request.match_info),
            query=dict(request.query),
            form=form,
            files=files,
        )

    def render(self, template: str, request: web.Request, visit: Visit, told: Mapping[str, Any]) -> str:
        """A template with what every page has."""
        prefix = self.doors.prefix(request)
        theme = request.cookies.get(THEME_COOKIE, "")
        page: Page | None = told["page"]
        return self._templates.get_template(template).render(
            t=visit.words,
            visitor=visit.visitor,
            visit=visit,
            theme=theme if theme in THEMES else "auto",
            languages=[(each, NAMES[each]) for each in LANGUAGES],
            themes=THEMES,
            menu=[each for each in self.pages if each.menu and visit.visitor.may(each.right)],
            url=lambda path: prefix + path,
            file=lambda name: f"{prefix}{self.files.path(name)}",
            here=prefix + request.path_qs,
            twin=prefix + ("/now.json" if request.path == "/" else f"{request.path}.json"),
            cli="" if page is None else page.cli(visit),
            cli_looks_for="" if page is None else page.cli_looks_for(visit),
            now=datetime.now(UTC),
            **told,
        )

    @staticmethod
    def respond(text: str, kind: str, status: int = 200) -> web.Response:
        """An answer with all headers."""
        return web.Response(text=text, content_type=kind, charset="utf-8", status=status, headers=HEADERS)


_STATUSES: Final[Mapping[type[SendmillError], int]] = {
    NoSuchJob: 404,
    UnknownAccount: 404,
    InvalidOption: 400,
    InvalidMessage: 400,
    StoreError: 503,
}


def status_of(error: SendmillError) -> int:
    """The HTTP status that an error of ours is."""
    return next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 502)


def plain(value: object) -> Any:
    """A model as JSON has it: times in UTC, what is no number or text by its parts."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    parts = fields(value)
    if parts is not None:
        return {str(key): plain(each) for key, each in parts.items()}
    return [plain(each) for each in value] if isinstance(value, Iterable) else str(value)

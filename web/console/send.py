"""The page that sends: paste or upload, look at what would go and what would be refused, then send it, once."""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from aiohttp import web

from sendmill.errors import SendmillError
from sendmill.ledger.published import published_accounts
from sendmill.options import EXPIRES_IN_S, Lane
from sendmill.preparing.csvfile import NAMES_OF_DELIMITERS, InvalidCsv
from web.console.access import HEADERS, SEND
from web.console.drafts import Draft
from web.console.site import Model, Page, Site, Visit, status_of

_MOST_REFUSED: Final = 100


def load(visit: Visit) -> Model:
    """The form; once it is filled in, what would come of it."""
    empty: dict[str, Any] = {
        "accounts": list(published_accounts(visit.ledger)),
        "lanes": [lane.value for lane in Lane],
        "draft": None,
        "estimate": None,
        "sentence": "",
        "given": dict(visit.form),
    }
    if "data" not in visit.form:
        return empty
    try:
        return {**empty, **_previewed(visit)}
    except InvalidCsv as error:
        return {**empty, "sentence": str(error)}
    except SendmillError as error:
        if status_of(error) >= 500:  # noqa: PLR2004 - not a fault of the form
            raise
        return {**empty, "sentence": str(error)}


def _previewed(visit: Visit) -> dict[str, Any]:
    draft = Draft.of(visit.form, visit.files)
    draft.check()
    lane = Lane(draft.lane)
    estimate = visit.client.estimate(draft.content(), keep_refused=_MOST_REFUSED, **draft.options)
    form = draft.form if draft.is_table else None
    row = visit.form.get("row", "1")
    place = int(row) if row.isascii() and row.isdigit() and row != "0" else 1
    shown = draft.preview(place)
    return {
        "draft": draft,
        "columns": [] if form is None else form.columns,
        "parted": "" if form is None else NAMES_OF_DELIMITERS.get(form.delimiter, form.delimiter),
        "estimate": estimate,
        "refused": [(each.row, visit.number(each.to), each.code, each.reason) for each in estimate.refused],
        "refused_count": estimate.total - estimate.accepted,
        "eta": visit.client.eta_of(estimate.by_account, lane, expires_in=EXPIRES_IN_S[lane]),
        "row": place,
        "preview": None if shown is None else (visit.number(shown[0]), shown[1]),
    }


def _cli(visit: Visit) -> str:
    return "sendmill send --file people.csv --template … --dry-run" if visit.form else "sendmill send"


PAGE: Final = Page("send", "/send", load, _cli, right=SEND, numbers=True, live=False)


class Sending:
    """Sends what was previewed.

    Args:
        site: the console.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    async def confirm(self, request: web.Request) -> web.Response:
        """Hand the job over. The form's key makes it one job, however often the button is pressed."""
        visit = await self._site.visit(request, SEND)
        try:
            where = await self._site.context.run(partial(_sent, visit))
        except SendmillError as error:
            return await self._site.failed(request, visit, status_of(error), str(error))
        prefix = self._site.doors.prefix(request)
        return web.Response(status=303, headers={**HEADERS, "Location": prefix + where})


def _sent(visit: Visit) -> str:
    draft = Draft.of(visit.form, visit.files)
    draft.check()
    visit.client.record("send", draft.key)
    job = visit.client.send(draft.content(), key=draft.key, **draft.options)
    told = {"done": "done.sent", "job": job.id, "accepted": job.accepted}
    return f"/jobs/{quote(job.id)}?{urlencode(told)}"

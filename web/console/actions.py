"""What a visitor may change. Every change is a POST from one of our pages, has a reason, and stands in the audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from aiohttp import web

from sendmill.errors import InvalidOption, SendmillError
from sendmill.messages import Verdict
from sendmill.states import State
from web.console.access import HEADERS, OPERATE, VIEW
from web.console.pages.jobs import ASK_AGAIN_ABOVE
from web.console.site import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, Site, Visit, status_of
from web.console.words import LANGUAGES

_A_YEAR_S: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do: where it is posted to, what it does (in a thread; returns what was done in a word's key and the
    values for it), where the visitor goes then."""

    path: str
    run: Callable[[Visit], tuple[str, dict[str, object]]]
    back: Callable[[Visit], str]
    right: str = OPERATE
    needs_reason: bool = True


def _reason(visit: Visit) -> str:
    return visit.form.get("reason", "").strip()


def _pause(visit: Visit) -> tuple[str, dict[str, object]]:
    visit.client.pause(visit.match["account"], reason=_reason(visit))
    return "done.paused", {"account": visit.match["account"]}


def _resume(visit: Visit) -> tuple[str, dict[str, object]]:
    visit.client.resume(visit.match["account"], reason=_reason(visit))
    return "done.resumed", {"account": visit.match["account"]}


def _limit(visit: Visit) -> tuple[str, dict[str, object]]:
    name, value = visit.form.get("name", ""), visit.form.get("value", "").strip()
    if value and not (value.isascii() and value.isdigit()):
        raise InvalidOption("a limit is a whole number above zero, or nothing for what the settings say")
    visit.client.limit(visit.match["account"], name, int(value) if value else None, reason=_reason(visit))
    return "done.limited", {"name": name}


def _balance(visit: Visit) -> tuple[str, dict[str, object]]:
    left = visit.client.balance(visit.match["account"])
    return "done.balance", {"amount": f"{left.amount} {left.unit}"}


def _cancel(visit: Visit) -> tuple[str, dict[str, object]]:
    job = visit.match["job"]
    status = visit.client.status(job)
    waiting = sum(status.states.get(each, 0) for each in (State.ACCEPTED, State.SCHEDULED, State.QUEUED))
    if waiting > ASK_AGAIN_ABOVE and visit.form.get("typed", "").strip() != job:
        raise InvalidOption(f"{waiting:,} messages wait: type the job's id to cancel them")
    result = visit.client.cancel(job, reason=_reason(visit))
    return "done.cancelled", {"cancelled": result.cancelled, "gone": result.gone}


def _settle(visit: Visit) -> tuple[str, dict[str, object]]:
    verdict, target = visit.form.get("verdict", ""), visit.form.get("target", "").strip()
    if verdict not in set(Verdict):
        raise InvalidOption("say what became of it: sent, resend or give_up")
    result = visit.client.settle(target, Verdict(verdict), reason=_reason(visit))
    return "done.settled", {"settled": result.settled, "left": result.left}


def _opt_out(visit: Visit) -> tuple[str, dict[str, object]]:
    region = visit.form.get("region", "").strip().upper() or None
    visit.client.add_optout(visit.form.get("number", ""), region=region, reason=_reason(visit))
    return "done.opted_out", {}


def _opt_in(visit: Visit) -> tuple[str, dict[str, object]]:
    region = visit.form.get("region", "").strip().upper() or None
    visit.client.remove_optout(visit.form.get("number", ""), region=region, reason=_reason(visit))
    return "done.opted_in", {}


def _forget(visit: Visit) -> tuple[str, dict[str, object]]:
    if visit.form.get("typed", "").strip().lower() != "forget":
        raise InvalidOption("type forget: it cannot be taken back")
    region = visit.form.get("region", "").strip().upper() or None
    result = visit.client.forget(visit.form.get("number", ""), region=region)
    return "done.forgotten", {"messages": result.messages, "replies": result.replies}


def _resolve(visit: Visit) -> tuple[str, dict[str, object]]:
    account, code = visit.form.get("account", ""), visit.form.get("code", "")
    visit.client.resolve_alert(account, code, reason=_reason(visit))
    return "done.resolved", {"code": code}


def _account(visit: Visit) -> str:
    return f"/accounts/{quote(visit.match['account'])}"


ACTIONS: Final = (
    Action("/accounts/{account}/pause", _pause, _account),
    Action("/accounts/{account}/resume", _resume, _account),
    Action("/accounts/{account}/limit", _limit, _account),
    Action("/accounts/{account}/balance", _balance, _account, needs_reason=False),
    Action("/jobs/{job}/cancel", _cancel, lambda visit: f"/jobs/{quote(visit.match['job'])}"),
    Action("/settle", _settle, lambda _: "/unconfirmed"),
    Action("/optouts/add", _opt_out, lambda _: "/optouts"),
    Action("/optouts/remove", _opt_in, lambda _: "/optouts"),
    Action("/forget", _forget, lambda _: "/find", needs_reason=False),
    Action("/alerts/resolve", _resolve, lambda _: "/alerts"),
)


class Actions:
    """Does them.

    Args:
        site: the console.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    def mount(self, app: web.Application) -> None:
        """Each at its address, for POST alone."""
        for action in ACTIONS:
            app.router.add_post(action.path, partial(self._do, action))
        app.router.add_post("/preferences", self._prefer)

    async def _do(self, action: Action, request: web.Request) -> web.Response:
        visit = await self._site.visit(request, action.right)
        try:
            if action.needs_reason and not _reason(visit):
                raise InvalidOption(visit.words("reason.missing"))
            done, values = await self._site.context.run(partial(action.run, visit))
        except SendmillError as error:
            return await self._site.failed(request, visit, status_of(error), str(error))
        told = urlencode({"done": done, **{name: str(value) for name, value in values.items()}})
        where = f"{self._site.doors.prefix(request)}{action.back(visit)}?{told}"
        return web.Response(status=303, headers={**HEADERS, "Location": where})

    async def _prefer(self, request: web.Request) -> web.Response:
        """Choose language and theme: cookies, which say nothing of who somebody is."""
        visit = await self._site.visit(request, VIEW)
        prefix = self._site.doors.prefix(request)
        response = web.Response(status=303, headers={**HEADERS, "Location": _here(visit.form.get("back", ""), prefix)})
        for cookie, value, known in (
            (LANGUAGE_COOKIE, visit.form.get("language"), LANGUAGES),
            (THEME_COOKIE, visit.form.get("theme"), THEMES),
        ):
            if value in known:
                response.set_cookie(
                    cookie, str(value), max_age=_A_YEAR_S, path=prefix or "/", httponly=True, samesite="Lax"
                )
        return response


def _here(back: str, prefix: str) -> str:
    """An address of ours, never another host's."""
    parts = urlsplit(back)
    if parts.scheme or parts.netloc or not back.startswith("/") or back.startswith(("//", "/\\")):
        return prefix + "/"
    return back

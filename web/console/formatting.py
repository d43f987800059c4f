"""How values stand on a page: numbers, spans, times, charts as SVG."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from datetime import UTC, datetime
from math import sqrt
from typing import Any, Final

import msgspec
from markupsafe import Markup, escape

from web.console.words import Words

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_WIDTH, _HEIGHT = 90, 22


def many(value: float | None) -> str:
    """A count with thousands."""
    return "–" if value is None else f"{round(value):,}"


def rate(value: float | None) -> str:
    """A number a second."""
    if value is None:
        return "–"
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"  # noqa: PLR2004 - below it a decimal tells something


def percent(value: float | None) -> str:
    """A share."""
    return "–" if value is None else f"{100 * value:.1f} %"


def points(change: float | None) -> str:
    """By how much a share changed, in points of a hundred."""
    return "–" if change is None else f"{round(100 * change, 1) + 0.0:+.1f}".replace("-", "−")


def span(seconds: float | None) -> str:
    """A span in its two largest units."""
    if seconds is None:
        return "?"
    left = max(0, round(seconds))
    parts = []
    for unit_s, unit in _UNITS:
        count, left = divmod(left, unit_s)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def moment(at: datetime | None) -> Markup:
    """A time in UTC; the page's script shows it on the reader's own clock."""
    if at is None:
        return Markup("–")
    at = at.astimezone(UTC)
    told, shown = at.isoformat(timespec="seconds").replace("+00:00", "Z"), at.strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{}" title="{} UTC">{} UTC</time>').format(told, shown, shown)


def since(at: datetime | None) -> str:
    """How long ago."""
    return "–" if at is None else span((datetime.now(UTC) - at).total_seconds())


def until(at: datetime) -> float:
    """Seconds until then; fewer than 0 where it is over."""
    return (at - datetime.now(UTC)).total_seconds()


def sparkline(values: Sequence[float], label: str) -> Markup:
    """A small line of what happened; `label` says it to who does not see it."""
    highest = max(values, default=0) or 1
    step = _WIDTH / max(1, len(values) - 1)
    points = " ".join(
        f"{place * step:.1f},{_HEIGHT - 1 - (_HEIGHT - 2) * value / highest:.1f}" for place, value in enumerate(values)
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
        '<polyline points="{}"/></svg>'
    ).format(_WIDTH, _HEIGHT, _WIDTH, _HEIGHT, label, points)


def wilson(part: int, whole: int) -> tuple[float, float] | None:
    """Between which shares the true one lies in 95 of 100 cases; None of nothing."""
    if not whole:
        return None
    z, share = 1.96, part / whole
    middle = share + z * z / (2 * whole)
    reach = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    scale = 1 + z * z / whole
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def bar(counts: Mapping[str, int]) -> Markup:
    """A bar of states, each as wide as its share."""
    whole = sum(counts.values()) or 1
    at, parts = 0.0, []
    for state, count in counts.items():
        width = 100 * count / whole
        parts.append(
            Markup('<rect class="state-{}" x="{}" y="0" width="{}" height="10"/>').format(
                state, f"{at:.2f}", f"{width:.2f}"
            )
        )
        at += width
    told = ", ".join(f"{state.replace('_', ' ')} {count}" for state, count in counts.items())
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(told or "–", Markup("").join(parts))


def chart(points: Sequence[tuple[datetime, Mapping[str, int]]], names: Sequence[str], words: Words) -> str:
    """Points for the page's script: the names of the lines, then times and values as uPlot takes them."""
    columns = [[round(at.timestamp()) for at, _ in points], *([point[name] for _, point in points] for name in names)]
    return json.dumps({"names": [words(name) for name in names], "points": columns}, ensure_ascii=False)


def fields(value: Any) -> Mapping[str, Any] | None:
    """What something consists of, None where it has no parts with names."""
    if isinstance(value, Mapping):
        return value
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in dataclass_fields(value)}
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    return value._asdict() if hasattr(value, "_asdict") else None


class _Given(dict[str, str]):
    """What an address gave; what it did not is a dash."""

    def __missing__(self, key: str) -> str:
        return "–"


def filled(message: str, values: Mapping[str, str]) -> str:
    """A message with values from an address, which may leave some out."""
    return message.format_map(_Given(values))


def text(value: Any) -> Markup:
    """Something from elsewhere: what cannot be printed is a dot."""
    if value is None or value == "":
        return Markup("–")
    return escape("".join(each if each.isprintable() else "·" for each in str(value)))


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "many": many,
    "rate": rate,
    "percent": percent,
    "points": points,
    "span": span,
    "moment": moment,
    "since": since,
    "until": until,
    "spark": sparkline,
    "bar": bar,
    "shown": text,
    "chart": chart,
    "fields": fields,
    "filled": filled,
}

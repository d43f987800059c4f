"""Traces, where somebody has set OpenTelemetry's SDK up in this process: three kinds of span and no more.

- `send sendmill` (producer): a job that is handed over. Its place in the trace goes along with the job's rows.
- `POST <provider>` (client): a call to a vendor, with links to the jobs whose rows it carries, 32 at most: a call has
  many parents, so it is nobody's child.
- `process report` (consumer): what vendors pushed or answered, as it is folded.

No span has a number, a text or a job's rows. Nothing here imports OpenTelemetry: whoever has set it up has done so, and
where nobody has, a span costs a look at the clock.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final

MOST_LINKS: Final = 32
_LOOK_EVERY_S: Final = 1.0
_NOTHING: Final = nullcontext()
_SYSTEM: Final = {"messaging.system": "sendmill"}


class _Api:
    """OpenTelemetry's `trace`, looked for once a second: whoever sets it up does so at a start."""

    def __init__(self) -> None:
        self.until_s = 0.0
        self._found: Any = None

    def __call__(self) -> Any:
        """None where no SDK is set up here."""
        now_s = time.monotonic()
        if now_s >= self.until_s:
            self.until_s = now_s + _LOOK_EVERY_S
            api = sys.modules.get("opentelemetry.trace")
            is_off = api is None or isinstance(
                api.get_tracer_provider(), api.ProxyTracerProvider | api.NoOpTracerProvider
            )
            self._found = None if is_off else api
        return self._found


_api = _Api()


def is_on() -> bool:
    """Whether anything is traced in this process."""
    return _api() is not None


def job_span(lane: str, account: str | None) -> AbstractContextManager[None]:
    """A job that is handed over, for as long as the block runs."""
    api = _api()
    return _NOTHING if api is None else _job_span(api, lane, account)


@contextmanager
def _job_span(api: Any, lane: str, account: str | None) -> Iterator[None]:
    attributes = {
        **_SYSTEM,
        "messaging.operation.type": "send",
        "sendmill.lane": lane,
        **({"sendmill.account": account} if account else {}),
    }
    tracer = api.get_tracer("sendmill")
    with tracer.start_as_current_span("send sendmill", kind=api.SpanKind.PRODUCER, attributes=attributes):
        yield


def place_now() -> str | None:
    """Where we are in a trace, as the header `traceparent` has it; None where there is none."""
    api = _api()
    if api is None:
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def call_span(provider: str, places: Iterable[str | None], attributes: Mapping[str, str | int]) -> Any:
    """A call to a vendor that begins, where `is_on`. It is to be ended: `end_call`.

    Args:
        provider: the vendor.
        places: of the jobs whose rows it carries, as `place_now` gave them.
        attributes: of the span.
    """
    api = _api()
    known = list(dict.fromkeys(place for place in places if place))[:MOST_LINKS]
    return api.get_tracer("sendmill").start_span(
        f"POST {provider}",
        kind=api.SpanKind.CLIENT,
        links=[api.Link(_context(api, place)) for place in known],
        attributes={**_SYSTEM, **attributes},
    )


def end_call(span: Any, outcome: str) -> None:
    """The call has ended: `accepted`, or by the error that is named."""
    span.set_attribute("sendmill.outcome", outcome)
    if outcome != "accepted":
        span.set_attribute("error.type", outcome)
    span.end()


@contextmanager
def fold_span(account: str, entries: int) -> Iterator[None]:
    """Reports and replies that are folded, for as long as the block runs."""
    api = _api()
    if api is None:
        yield
        return
    attributes = {
        **_SYSTEM,
        "messaging.operation.type": "process",
        "messaging.batch.message_count": entries,
        "sendmill.account": account,
    }
    tracer = api.get_tracer("sendmill")
    with tracer.start_as_current_span("process report", kind=api.SpanKind.CONSUMER, attributes=attributes):
        yield


def _context(api: Any, place: str) -> Any:
    _, trace_id, span_id, flags = place.split("-")
    return api.SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=api.TraceFlags(int(flags, 16))
    )

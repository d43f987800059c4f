"""A vendor's report as the flow keeps it while its row is looked for."""

from __future__ import annotations

from datetime import datetime

import msgspec

from providers.base import Report

_LONGEST_DIGITS = 15  # E.164


class VendorReport(msgspec.Struct, array_like=True, frozen=True):
    """A report and where it stood: it is the same report however often it is read.

    `unique` names the inbox entry and the place in it. `state` is a State's byte, empty where the vendor's word is in
    no table. `number` is E.164, empty where the vendor left it out. `occurred_ms` is 0 where the vendor gave no time.
    """

    unique: str
    arrived_ms: int
    state: str
    raw_state: str
    number: str = ""
    vmid: str = ""
    reference: str = ""
    code: str = ""
    detail: str = ""
    occurred_ms: int = 0

    @property
    def at_ms(self) -> int:
        """When it happened, or when we heard of it."""
        return self.occurred_ms or self.arrived_ms

    @property
    def digits(self) -> int | None:
        """The recipient as a slice holds it; None where the report names none, or none that is a number."""
        digits = self.number.removeprefix("+")
        is_number = len(digits) <= _LONGEST_DIGITS and digits.isascii() and digits.isdigit()
        return int(digits) or None if is_number else None  # 0 stands in slices for numbers that were forgotten


def vendor_report(report: Report, unique: str, arrived_ms: int) -> VendorReport:
    """A provider's report, to be kept."""
    return VendorReport(
        unique=unique,
        arrived_ms=arrived_ms,
        state=report.state.byte.decode() if report.state is not None else "",
        raw_state=report.raw_state,
        number=report.number or "",
        vmid=report.vendor_message_id or "",
        reference=report.reference or "",
        code=report.code or "",
        detail=report.detail or "",
        occurred_ms=milliseconds(report.occurred_at),
    )


def milliseconds(at: datetime | None) -> int:
    """Ms since the epoch, 0 for no time."""
    return int(at.timestamp() * 1000) if at is not None else 0


_VENDOR_REPORT = msgspec.msgpack.Decoder(VendorReport)


def decode_vendor_report(raw: bytes) -> VendorReport:
    """Read a report that was kept."""
    return _VENDOR_REPORT.decode(raw)

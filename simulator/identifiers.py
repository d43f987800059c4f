"""Vendor message ids, computed from the call's sequence number so that nothing need be stored."""

from datetime import UTC, datetime, timedelta, timezone

# "Every printed time is wall clock UTC+8" (all five vendors).
VENDOR_ZONE = timezone(timedelta(hours=8))
_NS_PER_S = 1_000_000_000
# The first ids: sizes as seen: AccessYou 854998103, ihuyi 20 digits above 2^63,
# 467890.com "800000".
_ACCESSYOU_BASE = 854_998_103
_IHUYI_BASE = 16_063_783_563_405_105_174
_SMS467890_BASE = 800_000
_MAX_ACCESSYOU_DIGITS = 18


def vendor_message_id(vendor: str, sequence: int, arrival_ns: int) -> str:
    """The id that `vendor` gives the call; empty for smsadmin, which gives none."""
    if vendor == "accessyou":
        return str(_ACCESSYOU_BASE + sequence)
    if vendor == "ihuyi":
        return str(_IHUYI_BASE + sequence)
    if vendor == "sms467890":
        return str(_SMS467890_BASE + sequence)
    if vendor == "xioo":
        # 26 digits like the sample of xioo.txt 1.7.2: local time, then a number.
        local = datetime.fromtimestamp(arrival_ns // _NS_PER_S, UTC).astimezone(VENDOR_ZONE)
        return f"{local:%Y%m%d%H%M%S}{sequence + 234_000_000_000:012d}"
    return ""


def accessyou_sequence(message_id: str) -> int:
    """The call behind an AccessYou id, -1 when it cannot be one."""
    if not message_id.isascii() or not message_id.isdigit() or len(message_id) > _MAX_ACCESSYOU_DIGITS:
        return -1
    return max(-1, int(message_id) - _ACCESSYOU_BASE)


def instant_ns(written: str) -> int:
    """Nanoseconds since 1970 of `yyyy-MM-dd HH:mm:ss` in the vendors' time zone.

    Raises ValueError when it is no time.
    """
    at = datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=VENDOR_ZONE)
    return int(at.timestamp()) * _NS_PER_S


def local_time(at_ns: int) -> str:
    """`yyyy-MM-dd HH:mm:ss` in the vendors' time zone."""
    at = datetime.fromtimestamp(at_ns // _NS_PER_S, UTC).astimezone(VENDOR_ZONE)
    return f"{at:%Y-%m-%d %H:%M:%S}"

"""Pictures and recordings as vendors take them: told apart by their first bytes, and put where vendors can fetch them.

A vendor fetches a file from an address and takes none otherwise (AccessYou p.106). So a file of this machine lies in
Redis for a quarter of an hour, under a name that nobody guesses, and the push server gives it to whoever has the name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

from sendmill.errors import InvalidMessage, InvalidOption
from sendmill.features import Feature
from sendmill.ledger.vendor_files import Kept
from sendmill.messages import Content, Kind, Mms, Voice
from sendmill.numbers import unpack
from sendmill.preparing.prepare import PreparedBatch, RefusedRow, check_name
from sendmill.states import State

_WAVE_AT = 8


class FileKind(NamedTuple):
    """A kind of file: what messages it is for, how its name ends, how HTTP calls it, the largest that is taken."""

    kind: Kind
    extension: str
    content_type: str
    max_bytes: int


JPEG = FileKind(Kind.MMS, "jpg", "image/jpeg", 1_000_000)
GIF = FileKind(Kind.MMS, "gif", "image/gif", 1_000_000)
WAVE = FileKind(Kind.VOICE, "wav", "audio/wav", 5_000_000)
KINDS = (JPEG, GIF, WAVE)

UPLOADS = {Kind.MMS: Feature.UPLOAD_IMAGE, Kind.VOICE: Feature.UPLOAD_AUDIO}
"""What an account must offer to take a file for such messages."""

CONTENT_TYPES = {each.extension: each.content_type for each in KINDS}

_BY_ENDING = {".jpg": Kind.MMS, ".jpeg": Kind.MMS, ".gif": Kind.MMS, ".wav": Kind.VOICE}


class MediaName(str):
    """What a file is called at its vendor: the `image` of an Mms or the `audio` of a Voice.

    `kind` says which of both; `kept_until` (aware) is when the vendor forgets it, None for never.
    """

    __slots__ = ("kept_until", "kind")

    kind: Kind
    kept_until: datetime | None

    def __new__(cls, name: str, kind: Kind, kept_until: datetime | None) -> Self:
        """A name and what is known of it."""
        made = super().__new__(cls, name)
        made.kind = kind
        made.kept_until = kept_until
        return made


def named_file(content: Content) -> str | None:
    """The picture or recording that a content names by what the vendor calls it; None where it gives its address."""
    name = content.image if isinstance(content, Mms) else content.audio if isinstance(content, Voice) else None
    return name if isinstance(name, str) and not is_address(name) else None


def is_address(name: str) -> bool:
    """Whether a picture or recording is named by where it is, and not by what the vendor calls it."""
    return name.lower().startswith(("http://", "https://"))


def refuse_forgotten(name: str, until_ms: int, at_ms: int) -> None:
    """Refuse a message that goes when its vendor has forgotten the file that it names. Raises InvalidOption."""
    if until_ms and at_ms >= until_ms:
        until = datetime.fromtimestamp(until_ms / 1000, UTC).isoformat(timespec="minutes")
        raise InvalidOption(f"the vendor keeps {name} until {until}: give the file's address instead, or send earlier")


def fitting(batches: Iterator[PreparedBatch], kept: Kept) -> Iterator[PreparedBatch]:
    """Batches without the rows to numbers for which a file is too large: these are refused.

    Raises:
        InvalidMessage: the job has no other row.
    """
    for batch in batches:
        refused = list(batch.refused)
        left = []
        for place, number in enumerate(batch.numbers):
            most = kept.most_for(unpack(number))
            if most is None or kept.size <= most:
                left.append(place)
                continue
            why = f"the file has {kept.size:,} bytes: to this number {most:,} are the most that the vendor takes"
            if batch.rows_read == batch.rows[place] == 1:
                raise InvalidMessage(why)
            refused.append(RefusedRow(batch.rows[place], unpack(number), State.FAILED, InvalidMessage.code, why))
        rows, numbers = ([column[place] for place in left] for column in (batch.rows, batch.numbers))
        yield batch._replace(rows=rows, numbers=numbers, refused=refused)


class Source(NamedTuple):
    """What is to be uploaded: `url` is where it is, or None for a file, which is `file` and `data`."""

    kind: Kind
    url: str | None
    file: FileKind | None = None
    data: bytes = b""


def read_source(source: str | Path, kind: Kind | str | None, offered: Collection[str]) -> Source:
    """Find out what a source is, and read it where it is a file of this machine.

    Args:
        source: an http(s) address, or a file, which is told by its first bytes.
        kind: `mms` or `voice`, where the caller knows it.
        offered: the features of the account; where it takes one kind only, an address is of that kind.

    Raises:
        InvalidOption: the file cannot be read, is too large, or is no JPEG, GIF or WAV; or what it is for is not clear.
        InvalidMessage: the address is none.
    """
    if kind not in (None, Kind.MMS, Kind.VOICE):
        raise InvalidOption(f"an upload is for mms or voice, not {str(kind)[:40]!r}")
    if isinstance(source, str) and is_address(source):
        check_name("the address", source)
        kinds = [Kind(kind)] if kind is not None else _kinds_of_address(source, offered)
        if len(kinds) != 1:
            raise InvalidOption("the address does not end like a picture or a recording: say mms or voice as its kind")
        return Source(kinds[0], source)
    file, data = _read_file(source)
    if kind not in (None, file.kind):
        raise InvalidOption(f"{Path(source).name} is a file for {file.kind}, not for {kind}")
    return Source(file.kind, None, file, data)


def _kinds_of_address(url: str, offered: Collection[str]) -> list[Kind]:
    """What an address may be for: its ending says it, or what the account takes."""
    path = url.partition("?")[0].partition("#")[0].lower()
    told = [kind for ending, kind in _BY_ENDING.items() if path.endswith(ending)]
    return told or [kind for kind, feature in UPLOADS.items() if feature in offered]


def _read_file(path: str | Path) -> tuple[FileKind, bytes]:
    name = Path(path).name
    try:
        with Path(path).open("rb") as file:
            data = file.read(max(each.max_bytes for each in KINDS) + 1)
    except OSError as error:
        raise InvalidOption(f"{name} cannot be read: {error.strerror}") from None
    found = _kind_of_bytes(data)
    if found is None:
        raise InvalidOption(f"{name} is neither JPEG, GIF nor WAV: vendors take no other files")
    if len(data) > found.max_bytes:
        raise InvalidOption(f"{name} is too large: at most {found.max_bytes:,} bytes are taken of such a file")
    return found, data


def _kind_of_bytes(data: bytes) -> FileKind | None:
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if data.startswith(b"RIFF") and data[_WAVE_AT:].startswith(b"WAVE"):
        return WAVE
    return None

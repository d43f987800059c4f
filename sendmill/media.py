"""Pictures and recordings as vendors take them: told apart by their first bytes, and put where vendors can fetch them.

A vendor fetches a file from an address and takes none otherwise (AccessYou p.106). So a file of this machine lies in
Redis for a quarter of an hour, under a name that nobody guesses, and the push server gives it to whoever has the name.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Self

from sendmill.errors import InvalidOption
from sendmill.features import Feature
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.messages import Kind

KEPT_S = 900
"""A vendor fetches a file at once; some ask twice."""

_NAME_BYTES = 16
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


def is_address(source: str) -> bool:
    """Whether a file is named by where it is on the web."""
    return source.lower().startswith(("http://", "https://"))


def kind_of_address(url: str) -> Kind | None:
    """What an address is for, as far as its ending says."""
    path = url.partition("?")[0].partition("#")[0].lower()
    return next((kind for ending, kind in _BY_ENDING.items() if path.endswith(ending)), None)


def read_file(path: str | Path) -> tuple[FileKind, bytes]:
    """A file of this machine, told by its first bytes.

    Raises:
        InvalidOption: it cannot be read, is too large, or is neither JPEG, GIF nor WAV.
    """
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


def put_file(ledger: Ledger, kind: FileKind, data: bytes) -> str:
    """Lay a file where the push server finds it; returns its name there.

    Raises:
        StoreError: Redis is away or full.
    """
    name = f"{secrets.token_hex(_NAME_BYTES)}.{kind.extension}"
    with store_errors():
        ledger.server.set(ledger.jobs.media(name), data, ex=KEPT_S)
    return name


def drop_file(ledger: Ledger, name: str) -> None:
    """Take it away again."""
    with store_errors():
        ledger.server.delete(ledger.jobs.media(name))

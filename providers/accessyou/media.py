"""MMS and voice messages, and the files that they name (accessyou.txt part F, p.99 to 122, and part J, p.128).

AccessYou fetches a picture from an address and keeps it for 14 days under a name that we choose (p.106). "Only support
port 80", it says beside "support http / https": an https address without a port is taken (our reading). What
voice/send.php answers is not printed: digits are read as an id and the words and numbers of sendsms as themselves
(inferred), everything else leaves the outcome unknown.
"""

from __future__ import annotations

import hashlib
import re
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from providers.accessyou.answers import Answer, read, without_debug
from providers.accessyou.codes import MMS_SEND, MMS_UPLOAD, VOICE_SEND, VOICE_UPLOAD
from providers.accessyou.endpoint import IN_FLIGHT, Endpoint, address, one_phone
from providers.accessyou.settings import AccessYouSettings, Media, Voice
from providers.base import Call, Message, Request, Service, Upload
from providers.content import refuse_unpaired_surrogates
from providers.reading import Unreadable, text_of
from sendmill.errors import EmptyText, InvalidOption, SenderNotAllowed, UnsupportedFeature
from sendmill.media import is_address
from sendmill.messages import Kind

IMAGE_KEPT_S = 14 * 86_400
"""p.106: retained for 14 days only."""

LARGEST_IMAGE = {"": 200 * 1024, "+86": 100 * 1024}
"""p.106: "Max size is 200k for hk, others", "100k for china"; a k read as 1,024 bytes."""

_HTTP_PORT = 80
_DIGEST_BYTES = 12
_IMAGE_NAME = re.compile(r"[0-9a-z_-]{1,50}(\.gif)?", re.ASCII | re.IGNORECASE)
"""p.106: at most 50 of 0-9, a-z, underscore, hyphen, small and capital alike; p.109: a GIF's with `.gif`."""

_AUDIO_NAME = re.compile(r"[0-9]{1,18}", re.ASCII)
"""p.128: numeric, without extension. No length is printed."""


class SendMms(Endpoint):
    """sendmms.php: subject, text and at most one picture to one number."""

    kinds = frozenset({Kind.MMS})
    table: ClassVar = MMS_SEND
    options: ClassVar = frozenset({"dnc"})

    def __init__(self, settings: AccessYouSettings, mms: Media, *, reports: bool) -> None:
        self._accountno = settings.accountno
        self._mms = mms
        self.service = Service("mms", 1, IN_FLIGHT, reports=reports)

    def check_sender(self, sender: str) -> None:
        """p.104: digits, letters, space and the like, and virtually no limit on how many."""
        if not (sender.strip() == sender and sender.isascii() and sender.isprintable() and sender):
            raise SenderNotAllowed(
                "the sender of an MMS at AccessYou has letters, digits, spaces and other ASCII signs"
            )

    def check(self, message: Message) -> None:
        """Refuse an empty subject, and a picture whose name or address breaks the rules."""
        if not message.subject.strip():
            raise EmptyText("an MMS has a subject (p.109)")
        refuse_unpaired_surrogates(message.subject + message.text)
        if message.image is None:
            return
        if is_address(message.image):
            if self._mms.upload_url is None:
                raise UnsupportedFeature("mms.upload_url is not set: name a picture that is there already")
            image_name(message.image)
        elif not _IMAGE_NAME.fullmatch(message.image):
            raise InvalidOption("a picture's name has at most 50 of 0-9, a-z, _ and -, and .gif behind it for a GIF")

    def request(self, call: Call) -> Request:
        """GET in the order of the example on p.115. A line break is %0A (p.117)."""
        mms, message = self._mms, call.message
        fields = [
            ("user", mms.user),
            ("pwd", mms.pwd.get_secret_value()),
            ("subject", _lines(message.subject)),
            ("msg", _lines(message.text) or None),
            ("phone", one_phone(call)),
            ("accountno", self._accountno),
            ("imgfile", message.image),
            ("dnc", {"y": "Y", "n": "n"}.get(message.options.get("dnc", ""))),
            ("from", message.sender),
        ]
        return address(mms.send_url, fields, mms.cookie)


class SendVoice(Endpoint):
    """voice/send.php: a recording that was uploaded is played to one number."""

    kinds = frozenset({Kind.VOICE})
    table: ClassVar = VOICE_SEND

    def __init__(self, settings: AccessYouSettings, voice: Voice) -> None:
        self._accountno = settings.accountno
        self._voice = voice
        self.service = Service("voice", 1, IN_FLIGHT, reports=False)

    def check_options(self, message: Message) -> None:
        """A voice message has no sender."""
        if message.sender is not None:
            raise UnsupportedFeature("accessyou's voice messages have no sender: leave it out")
        super().check_options(message)

    def check(self, message: Message) -> None:
        """Refuse a recording whose name or address breaks the rules."""
        if is_address(message.audio):
            if self._voice.upload_url is None:
                raise UnsupportedFeature("voice.upload_url is not set: name a recording that is there already")
            audio_name(message.audio)
        elif not _AUDIO_NAME.fullmatch(message.audio):
            raise InvalidOption("a recording's name at AccessYou is a number, without .wav")

    def request(self, call: Call) -> Request:
        """GET in the order of p.128."""
        voice = self._voice
        fields = [
            ("accountno", self._accountno),
            ("pwd", voice.pwd.get_secret_value()),
            ("phone", one_phone(call)),
            ("wavfile", call.message.audio),
        ]
        return address(voice.send_url, fields, voice.cookie)


# --- files -------------------------------------------------------------------------------------------------------


def image_name(url: str) -> str:
    """A name for the picture at an address; the same address has the same.

    Raises:
        InvalidOption: AccessYou cannot fetch it from there, or takes no such picture.
    """
    parts = _fetchable(url)
    path = parts.path.lower()
    if not path.endswith((".jpg", ".jpeg", ".gif")):
        raise InvalidOption("AccessYou takes pictures whose address ends in .jpg, .jpeg or .gif")
    return _digest(url).hexdigest() + (".gif" if path.endswith(".gif") else "")


def audio_name(url: str) -> str:
    """A name for the recording at an address; the same address has the same.

    Raises:
        InvalidOption: AccessYou cannot fetch it from there, or takes no such recording.
    """
    if not _fetchable(url).path.lower().endswith(".wav"):
        raise InvalidOption("AccessYou takes recordings whose address ends in .wav")
    return str(int.from_bytes(_digest(url).digest()[:6], "big"))


def image_upload(settings: AccessYouSettings, mms: Media, upload: Upload) -> Request:
    """GET in the order of the example on p.114. The name goes without extension (p.106)."""
    assert mms.upload_url is not None
    fields = [
        ("accountno", settings.accountno),
        ("user", mms.user),
        ("pwd", mms.pwd.get_secret_value()),
        ("imgfile", upload.name.removesuffix(".gif")),
        ("img_url", upload.url),
    ]
    return address(mms.upload_url, fields, mms.cookie)


def audio_upload(settings: AccessYouSettings, voice: Voice, upload: Upload) -> Request:
    """GET in the order of p.128."""
    assert voice.upload_url is not None
    fields = [
        ("accountno", settings.accountno),
        ("pwd", voice.pwd.get_secret_value()),
        ("wavfile", upload.name),
        ("wav_url", upload.url),
    ]
    return address(voice.upload_url, fields, voice.cookie)


def read_image_upload(body: bytes) -> Answer:
    """`msg_status` 200 in XML (p.107, p.114). Raises Unreadable."""
    return read(body)


def read_audio_upload(body: bytes) -> Answer:
    """The text `ok` (p.128). Raises Unreadable for what is neither that nor an answer of another service."""
    text = text_of(without_debug(body)).strip()
    if text.lower() == "ok":
        return Answer("ok")
    answer = read(body)
    if answer.message_id is not None:
        raise Unreadable("is a bare number")
    return answer


UPLOAD_TABLES = {Kind.MMS: MMS_UPLOAD, Kind.VOICE: VOICE_UPLOAD}


def _fetchable(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidOption("a file's address is http://host/path") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidOption("AccessYou fetches files over http or https alone")
    if port not in (None, _HTTP_PORT):
        raise InvalidOption(f"AccessYou fetches files from port 80 alone (p.106), not from {port}")
    return parts


def _digest(url: str) -> hashlib.blake2b:
    return hashlib.blake2b(url.encode(), digest_size=_DIGEST_BYTES)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")

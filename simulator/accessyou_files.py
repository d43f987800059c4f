"""What AccessYou keeps of its customers' files, and how it judges one (p.104 to 106, 112, 122).

Without option `fetch_files` nothing is fetched, and a file is what its address looks like. With it the file comes
from the address (loopback only, see `simulator.fetching`) and is judged by its bytes. Which code says what is read from
the table of p.112: 111 the address did not answer, 113 it answered 404, 112 too large, 114 neither jpg nor gif.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from simulator.wire import File

_IMAGE_URL = re.compile(r".+\.(jpe?g|gif)", re.IGNORECASE)
_JPG = b"\xff\xd8\xff"
_GIFS = (b"GIF87a", b"GIF89a")
# "Max size is 200k for hk, others", "Max size is 100k for china" (p.106).
MAX_IMAGE_BYTES = 200 * 1024
MAX_CHINA_IMAGE_BYTES = 100 * 1024
# "Uploaded Image retained in our server for 14 days Only" (p.106).
KEPT_NS = 14 * 24 * 3600 * 1_000_000_000
_OK = 200
_NOT_FOUND = 404


@dataclass(slots=True)
class Kept:
    """A file as it is kept; `size_bytes` 0 where it was not fetched."""

    size_bytes: int
    at_ns: int


def address_error(url: str) -> str:
    """110 for none, 114 for another port than 80 (p.122 prints that for 8080) or no web address; else empty."""
    if not url:
        return "110"
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        return "114"
    return "" if parts.scheme in ("http", "https") and port in (None, 80) else "114"


def looks(url: str) -> tuple[str, str]:
    """The ending under which an image is kept (none for jpg, `.gif`) and the code that refuses it by its address."""
    path = urlsplit(url).path
    if not _IMAGE_URL.fullmatch(path):
        return "", "114"
    return ".gif" if path.lower().endswith(".gif") else "", ""


def judged(file: File) -> tuple[str, str]:
    """The same for an image that was fetched."""
    if file.status == _NOT_FOUND:
        return "", "113"
    if file.status != _OK:
        return "", "111"
    if not file.body.startswith((_JPG, *_GIFS)):
        return "", "114"
    if len(file.body) > MAX_IMAGE_BYTES:
        return "", "112"
    return ".gif" if file.body.startswith(_GIFS) else "", ""


def is_wav(file: File) -> bool:
    """Whether a recording was fetched (RIFF, WAVE)."""
    return file.status == _OK and file.body[:4] == b"RIFF" and file.body[8:12] == b"WAVE"

"""Files from customers' addresses: really fetched, and never from beyond this machine."""

import asyncio
import http.client
import ipaddress
from urllib.parse import urlsplit

from simulator.wire import File

_TIMEOUT_S = 10.0
# Enough to see that a file is too large.
_MOST_BYTES = 4 * 1024 * 1024
NOBODY = File(0, b"")


async def fetch(url: str, port: int) -> File:
    """GET an http address of a loopback host; `port`, unless 0, is connected to in place of the address's own.

    That is where a proxy would stand: the vendor wants port 80, on which a test cannot listen.
    """
    return await asyncio.get_running_loop().run_in_executor(None, _get, url, port)


def _get(url: str, port: int) -> File:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "http" or not _is_loopback(host):
            return NOBODY
        connection = http.client.HTTPConnection(host, port or parts.port or 80, timeout=_TIMEOUT_S)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={"Host": parts.netloc})
            answer = connection.getresponse()
            return File(answer.status, answer.read(_MOST_BYTES))
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException):
        return NOBODY


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

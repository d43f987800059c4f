"""The console's own files: each under an address that has its digest, so that a browser may keep it for ever."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from aiohttp import web

from web.console.access import HEADERS

FOLDER: Final = Path(__file__).parent / "static"
_KINDS: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_DIGEST_CHARS: Final = 16
_FOR_EVER: Final = "public, max-age=31536000, immutable"


class Files:
    """Reads them once: they are few and small."""

    def __init__(self) -> None:
        self._served: dict[str, tuple[bytes, str]] = {}
        self._paths: dict[str, str] = {}
        for file in sorted(FOLDER.rglob("*")):
            if file.suffix in _KINDS:
                body = file.read_bytes()
                name = file.relative_to(FOLDER).as_posix()
                path = f"/static/{hashlib.sha256(body).hexdigest()[:_DIGEST_CHARS]}/{name}"
                self._paths[name] = path
                self._served[path] = body, _KINDS[file.suffix]

    def path(self, name: str) -> str:
        """Where a file is served."""
        return self._paths[name]

    async def serve(self, request: web.Request) -> web.Response:
        """A file. Nothing in them is a secret, so nobody is asked who they are."""
        found = self._served.get(request.path)
        if found is None:
            raise web.HTTPNotFound
        body, kind = found
        return web.Response(
            body=body, content_type=kind, charset="utf-8", headers={**HEADERS, "Cache-Control": _FOR_EVER}
        )

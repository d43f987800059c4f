"""An address that takes a vendor's pushes and answers them as the provider does."""

from __future__ import annotations

import http.server
import queue
import threading
from typing import Self

from providers.base import Ack, Provider, Push

WAIT_S = 60.0


class PushReceiver:
    """Listens on a free port of this machine while it is entered."""

    def __init__(self) -> None:
        self._pushes: queue.Queue[Push] = queue.Queue()
        self._provider: Provider | None = None
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where to push to."""
        return f"http://127.0.0.1:{self._server.server_port}/push"

    def answer_like(self, provider: Provider) -> None:
        """Acknowledge from now on as this provider does."""
        self._provider = provider

    def wait_for(self, count: int) -> list[Push]:
        """That many pushes, in the order of their arrival; fails where they do not come."""
        return [self._pushes.get(timeout=WAIT_S) for _ in range(count)]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _ack(self, push: Push) -> Ack:
        return self._provider.ack(push) if self._provider is not None else Ack(b"OK")

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                push = Push("POST", self.path.partition("?")[2].encode(), headers, body)
                ack = receiver._ack(push)
                self.send_response(ack.status)
                self.send_header("Content-Type", ack.content_type)
                self.send_header("Content-Length", str(len(ack.body)))
                self.end_headers()
                self.wfile.write(ack.body)
                receiver._pushes.put(push)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's own name
                pass

        return Handler

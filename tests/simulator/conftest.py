"""One simulator process for all tests here, reset before each; a real server that takes pushes."""

import http.client
import http.server
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from simulator.client import Simulator

_FAST = "[simulator]\ndelay_ms = 20\njitter_ms = 30\n"


class Reply(NamedTuple):
    """What came back over the wire."""

    status: int
    body: bytes
    content_type: str


class Pushed(NamedTuple):
    """One POST that the simulator made."""

    body: bytes
    content_type: str
    query: str


class Receiver:
    """A customer's push address; `answers` are used up first to last, the last one stays."""

    def __init__(self, url: str, answers: list[tuple[int, bytes]]) -> None:
        self.url = url
        self.answers = answers
        self.pushed: list[Pushed] = []

    def answer(self) -> tuple[int, bytes]:
        """The next status and body."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture(scope="session")
def process() -> Iterator[Simulator]:
    """The simulator of the session, with default accounts and quick reports."""
    with Simulator.start(config=_FAST) as simulator:
        yield simulator


@pytest.fixture
def simulator(process: Simulator) -> Simulator:
    """The simulator, with nothing remembered."""
    process.reset()
    return process


_serial = itertools.count(1)


@pytest.fixture
def new_account(simulator: Simulator) -> Callable[..., str]:
    """Open an account of its own for the test; returns its name."""

    def make(vendor: str, **settings: Any) -> str:
        name = f"120{next(_serial):05d}"
        simulator.set_account(vendor, name, **{"password": "secret", **settings})
        return name

    return make


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A push address that notes what it gets."""
    found: Receiver

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.pushed.append(Pushed(body, self.headers["Content-Type"], urlsplit(self.path).query))
            status, answer = found.answer()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the base class
            pass

    class Server(http.server.ThreadingHTTPServer):
        # The simulator opens many connections at once; the default of 5 drops them.
        request_queue_size = 256
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}/push", [(200, b"ok")])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def send(simulator: Simulator) -> Callable[..., Reply]:
    """One request on a connection of its own."""

    def request(
        method: str, path: str, body: bytes | None = None, content_type: str = "", *, cookie: str = ""
    ) -> Reply:
        host = urlsplit(simulator.url).netloc
        connection = http.client.HTTPConnection(host, timeout=20)
        given = {"Content-Type": content_type, "Cookie": cookie}
        headers = {name: value for name, value in given.items() if value}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), answer.headers["Content-Type"])
        finally:
            connection.close()

    return request

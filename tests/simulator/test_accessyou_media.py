"""accessyou.txt, parts F and J: images, MMS, recordings, calls."""

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.client import Simulator
from tests.simulator.test_accessyou import _LOG, _MMS, get, kinds

_JPG = b"\xff\xd8\xff\xe0" + b"j" * 100
_GIF = b"GIF89a" + b"g" * 100
_WAV = b"RIFF\x00\x00\x00\x00WAVEfmt " + b"w" * 100
_FILES = {
    "/spring.jpg": _JPG,
    "/spring.gif": _GIF,
    "/without-ending": _GIF,
    "/text.jpg": b"<html>no image</html>",
    "/china.jpg": _JPG + b"c" * 100 * 1024,
    "/large.jpg": _JPG + b"l" * 200 * 1024,
    "/bell.wav": _WAV,
}
_VOICE = {"pwd": "voice-secret", "wavfile": "888"}
_KEPT_S = 14 * 24 * 3600


@pytest.fixture
def files() -> Iterator[int]:
    """A customer's web server; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = _FILES.get(self.path)
            self.send_response(500 if self.path == "/broken.jpg" else 404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the base class
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetching(new_account: Any, files: int) -> str:
    """An account whose uploads are judged by what is at their address."""
    account: str = new_account(
        "accessyou", options={"fetch_files": True, "fetch_port": files, "debug_tail": False, "mms_step_ms": 0}
    )
    return account


def status(body: bytes) -> str:
    """The msg_status of an answer in XML."""
    return str(re.findall("<msg_status>(.*)</msg_status>", body.decode())[0])


def upload(send: Callable[..., Any], account: str, url: str, name: str = "picture") -> str:
    """Upload an image; the status."""
    return status(get(send, "/mms/upload_img.php", accountno=account, imgfile=name, img_url=url, **_MMS))


def send_mms(send: Callable[..., Any], account: str, **fields: str) -> str:
    """Send an MMS; the status."""
    message = {"phone": "85298882844", "subject": "offer", "msg": "The new catalogue", **_MMS, **fields}
    return status(get(send, "/mms/sendmms.php", accountno=account, **message))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/spring.jpg", "200"),
        ("/spring.gif", "200"),
        ("/without-ending", "200"),
        ("/china.jpg", "200"),
        ("/large.jpg", "112"),
        ("/missing.jpg", "113"),
        ("/text.jpg", "114"),
        ("/broken.jpg", "111"),
    ],
)
def test_an_image_is_judged_by_what_was_fetched(send: Any, fetching: str, *, path: str, code: str) -> None:
    """p.106 and 112: size, and the first bytes of jpg or gif."""
    assert upload(send, fetching, f"http://127.0.0.1{path}") == code


def test_an_address_that_nobody_answers_or_that_is_not_ours_is_111(
    send: Any, fetching: str, simulator: Simulator, files: int
) -> None:
    """111 Image URL Upload error; nothing beyond this machine is asked."""
    assert upload(send, fetching, "http://pictures.example/spring.jpg") == "111"
    simulator.set_options("accessyou", fetching, fetch_port=1)
    assert upload(send, fetching, "http://127.0.0.1/spring.jpg") == "111"
    assert files
    assert kinds(simulator) == []


@pytest.mark.parametrize(
    ("name", "url", "code", "breaches"),
    [
        ("picture", "", "110", []),
        ("picture", "http://127.0.0.1:8080/spring.jpg", "114", ["parameter_format"]),
        ("picture", "ftp://127.0.0.1/spring.jpg", "114", ["parameter_format"]),
        ("picture.jpg", "http://127.0.0.1/spring.jpg", "109", ["parameter_format"]),
        ("new picture", "http://127.0.0.1/spring.jpg", "109", ["parameter_format"]),
        ("p" * 51, "http://127.0.0.1/spring.jpg", "109", ["parameter_format"]),
        ("New-Picture_1", "http://127.0.0.1/spring.jpg", "200", []),
    ],
)
def test_names_and_addresses_have_their_form(
    send: Any, fetching: str, simulator: Simulator, *, name: str, url: str, code: str, breaches: list[str]
) -> None:
    """p.106 and 122: 50 letters, port 80 alone."""
    assert upload(send, fetching, url, name) == code
    assert kinds(simulator) == breaches


def test_the_upload_is_answered_as_printed(send: Any, new_account: Any) -> None:
    """p.114; without option `fetch_files` an image is what its address looks like."""
    account = new_account("accessyou")
    fields = {"accountno": account, "imgfile": "picture", "img_url": "http://abc.com/picture.jpg", **_MMS}
    assert get(send, "/mms/upload_img.php", **fields).decode() == (
        "<xml>\n<msg>\n<msg_status>200</msg_status>\n"
        "<msg_status_desc>Successfully uploaded. 上载成功</msg_status_desc>\n"
        "<imgfile>picture</imgfile>\n<img_url>http://abc.com/picture.jpg</img_url>\n</msg>\n</xml>\n"
    )


def test_an_mms_is_answered_as_printed_and_readable_in_the_journal(
    send: Any, new_account: Any, simulator: Simulator
) -> None:
    """p.113: the id before the number."""
    account = new_account("accessyou")
    fields = {**_MMS, "phone": "85298882844", "subject": "hello", "msg": "a\nb"}
    body = get(send, "/mms/sendmms.php", accountno=account, **fields).decode()
    row = next(simulator.journal(account, endpoint="sendmms.php"))
    assert body == (
        "<xml>\n<msg>\n<msg_status>100</msg_status>\n"
        "<msg_status_desc>Successfully submitted message执行成功</msg_status_desc>\n"
        f"<msg_id>{row['vendor_id']}</msg_id>\n<phoneno>85298882844</phoneno>\n</msg>\n</xml>\n"
    )
    assert (row["kind"], row["text"]) == ("mms", "a\nb")
    assert row["parts"] == {"subject": "hello", "imgfile": "", "from": ""}


@pytest.mark.parametrize(
    ("change", "code", "breaches"),
    [
        ({}, "100", []),
        ({"imgfile": "Picture"}, "100", []),
        ({"imgfile": "moving.gif"}, "100", []),
        ({"imgfile": "moving"}, "113", []),
        ({"imgfile": "other"}, "113", []),
        ({"imgfile": "new picture"}, "109", []),
        ({"imgfile": "china", "phone": "8613229966221"}, "112", []),
        ({"imgfile": "china"}, "100", []),
        ({"imgfile": "picture", "phone": "8613229966221"}, "100", []),
        ({"subject": ""}, "102", []),
        ({"msg": ""}, "100", []),
        ({"phone": ""}, "103", []),
        ({"phone": "23886700x"}, "108", ["number_format"]),
        ({"phone": "85290000001", "dnc": "Y"}, "118", []),
        ({"phone": "85290000001", "dnc": "n"}, "100", []),
        ({"phone": "85360000001", "dnc": "Y"}, "100", []),
        ({"dnc": "yes"}, "100", ["parameter_format"]),
        ({"from": "Abc"}, "100", ["parameter_format"]),
        ({"pwd": "wrong"}, "105", []),
    ],
)
def test_an_mms_is_judged_by_the_table(
    send: Any, fetching: str, simulator: Simulator, *, change: dict[str, str], code: str, breaches: list[str]
) -> None:
    """p.109 to 112."""
    for name, path in (("picture", "/spring.jpg"), ("moving", "/spring.gif"), ("china", "/china.jpg")):
        assert upload(send, fetching, f"http://localhost{path}", name) == "200"
    simulator.add_fates({"last": "90000001", "refuse": "blacklisted"}, {"last": "60000001", "refuse": "blacklisted"})
    assert send_mms(send, fetching, **change) == code
    assert kinds(simulator) == breaches


def test_an_image_is_kept_for_fourteen_days_and_may_be_used_again(
    send: Any, fetching: str, simulator: Simulator
) -> None:
    """p.106: "retained in our server for 14 days Only", within which it "can be reused"."""
    assert upload(send, fetching, "http://127.0.0.1/spring.jpg") == "200"
    simulator.age_files(fetching, age_s=_KEPT_S - 60)
    assert [send_mms(send, fetching, imgfile="picture") for _ in range(2)] == ["100", "100"]
    simulator.age_files(fetching, age_s=61)
    assert send_mms(send, fetching, imgfile="picture") == "113"
    assert upload(send, fetching, "http://127.0.0.1/spring.jpg") == "200"
    assert send_mms(send, fetching, imgfile="picture") == "100"


@pytest.mark.parametrize(
    ("step_ms", "fate", "seen"),
    [
        (100, "DELIVERED", ["Sent", "Delivered", "Download", "READ"]),
        (100, "Download", ["Sent", "Delivered", "Download"]),
        (0, "READ", ["Sent", "READ"]),
        (100, "EXPIRED", ["Sent", "EXPIRED"]),
    ],
)
def test_an_mms_goes_through_its_states(
    send: Any, new_account: Any, simulator: Simulator, *, step_ms: int, fate: str, seen: list[str]
) -> None:
    """p.116: Sent, Delivered, Download, READ in turn, as far as the handset goes."""
    account = new_account("accessyou", options={"mms_step_ms": step_ms})
    simulator.add_fates({"state": fate, "delay_ms": 100})
    assert send_mms(send, account) == "100"
    message_id = next(simulator.journal(account))["vendor_id"]
    found: list[str] = []

    def look(_: Simulator) -> bool:
        log = get(send, "/sms/check_msginfo.php", accountno=account, msgid=message_id, **_LOG).decode()
        state = str(re.findall("<receivestatus>(.*)</receivestatus>", log)[0])
        if state not in found:
            found.append(state)
        return state == seen[-1]

    simulator.wait_until(look)
    assert found == seen


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/bell.wav", b"ok"),
        ("/spring.jpg", b"system_error"),
        ("/missing.wav", b"system_error"),
    ],
)
def test_a_recording_is_judged_by_what_was_fetched(send: Any, fetching: str, *, path: str, answer: bytes) -> None:
    """p.128: return "ok" after uploaded successfully; for a failure nothing is printed."""
    url = f"http://127.0.0.1{path}"
    assert get(send, "/voice/upload_wav.php", accountno=fetching, wav_url=url, **_VOICE) == answer


@pytest.mark.parametrize(
    ("option", "answer", "accepted"),
    [("digits", rb"\d+", True), ("ok", b"ok", True), ("no_balance", b"no_balance", False)],
)
def test_a_call_answers_what_the_option_says(
    send: Any, new_account: Any, simulator: Simulator, *, option: str, answer: bytes, accepted: bool
) -> None:
    """p.128 prints no answer."""
    account = new_account("accessyou", options={"voice_answer": option, "debug_tail": False})
    body = get(send, "/voice/send.php", accountno=account, phone="85291239123", **_VOICE)
    assert re.fullmatch(answer, body)
    row = next(simulator.journal(account, endpoint="send.php"))
    assert (row["kind"], row["accepted"], row["parts"]) == ("voice", accepted, {"wavfile": "888"})


@pytest.mark.parametrize(
    ("change", "breaches"),
    [
        ({"wavfile": "1234.wav"}, ["parameter_format"]),
        ({"phone": "91239123x"}, ["number_format"]),
        ({"user": "demo"}, ["parameter_unknown"]),
    ],
)
def test_a_call_has_its_form(
    send: Any, new_account: Any, simulator: Simulator, *, change: dict[str, str], breaches: list[str]
) -> None:
    """p.128: a numeric name without extension, a country code, no user."""
    account = new_account("accessyou")
    get(send, "/voice/send.php", accountno=account, **{"phone": "85291239123", **_VOICE, **change})
    assert kinds(simulator) == breaches

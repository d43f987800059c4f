"""`sendmill check-words`, `upload` and `sender-id add`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sendmill.media import MediaName
from sendmill.messages import Kind
from sendmill.testing import FakeClient
from tests.support.desk import Desk, objects, run

GIF = b"GIF89a" + bytes(30)
WAVE = b"RIFF\x24\x00\x00\x00WAVEfmt "


def test_sensitive_words_are_listed(desk: Desk) -> None:
    """One a line and exit code 1; nothing found is 0."""
    desk.sensitive_words = ["发票", "贷款\u202e[31m"]
    found = run(desk, "check-words", "发票,贷款\u202e[31m", "--account", "mainland")
    assert ("发票\n贷款·[31m\n", 1) == (found.stdout, found.exit_code)
    clean = run(desk, "check-words", "hello", "--account", "mainland")
    assert ("no sensitive words\n", 0) == (clean.stdout, clean.exit_code)
    told = objects(run(desk, "check-words", "发票", "--account", "mainland", "--json"))
    assert [{"account": "mainland", "words": ["发票"]}] == told


def test_an_upload_prints_the_name_alone(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a shell can put it into the next command; until when it is kept stands on stderr."""
    picture = tmp_path / "a.gif"
    picture.write_bytes(GIF)
    uploaded = run(desk, "upload", str(picture), "--account", "hk")
    assert ("upload1\n", "hk keeps it for good\n", 0) == (uploaded.stdout, uploaded.stderr, uploaded.exit_code)
    until = datetime(2026, 3, 15, 12, tzinfo=UTC)
    monkeypatch.setattr(desk, "upload", lambda *_, **__: MediaName("1125", Kind.VOICE, until))
    assert "hk keeps it until 2026-03-15 20:00:00\n" == run(desk, "upload", "b.wav", "--account", "hk").stderr
    told = objects(run(desk, "upload", "b.wav", "--account", "hk", "--json"))
    assert [{"account": "hk", "name": "1125", "kind": "voice", "kept_until": "2026-03-15T12:00:00.000Z"}] == told


@pytest.mark.parametrize(
    ("name", "data", "kind", "sentence"),
    [
        ("a.jpg", b"<html>", None, "a.jpg is neither JPEG, GIF nor WAV: vendors take no other files"),
        ("a.jpg", b"", None, "a.jpg is neither JPEG, GIF nor WAV: vendors take no other files"),
        ("a.gif", GIF, "voice", "a.gif is a file for mms, not for voice"),
        ("a.gif", GIF + bytes(1_000_000), None, "a.gif is too large: at most 1,000,000 bytes are taken of such a file"),
        ("a.wav", WAVE + bytes(5_000_000), None, "a.wav is too large: at most 5,000,000 bytes are taken of such a"),
        ("none.wav", None, None, "none.wav cannot be read: No such file or directory"),
        ("a.mp3", b"RIFF\0\0\0\0AVI ", None, "a.mp3 is neither JPEG, GIF nor WAV"),
    ],
)
def test_a_file_that_no_vendor_takes_is_refused_in_one_line(
    desk: Desk, tmp_path: Path, name: str, data: bytes | None, kind: str | None, sentence: str
) -> None:
    """Told by its first bytes, whatever its name says."""
    if data is not None:
        (tmp_path / name).write_bytes(data)
    choice = () if kind is None else ("--kind", kind)
    result = run(desk, "upload", str(tmp_path / name), "--account", "hk", *choice)
    assert result.stderr.startswith(f"sendmill: {sentence}")
    assert (2, 1, []) == (result.exit_code, len(result.stderr.splitlines()), desk.uploads)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("http://example.com/a.JPG?size=l", Kind.MMS),
        ("https://example.com/a.gif#top", Kind.MMS),
        ("http://example.com/a.wav", Kind.VOICE),
    ],
)
def test_an_address_says_by_its_ending_what_it_is_for(source: str, kind: Kind) -> None:
    """Whatever stands behind the path."""
    assert kind == FakeClient().upload("hk", source).kind


def test_an_address_without_such_an_ending_needs_its_kind(desk: Desk) -> None:
    """Unless the account takes one kind of files only."""
    told = run(desk, "upload", "http://example.com/1", "--account", "hk")
    assert told.stderr.startswith("sendmill: the address does not end like a picture or a recording: say mms or voice")
    assert 0 == run(desk, "upload", "http://example.com/1", "--account", "hk", "--kind", "voice").exit_code
    pictures = {"provider": "accessyou", "features": ["upload_image"]}
    assert Kind.MMS == FakeClient(accounts={"hk": pictures}).upload("hk", "http://example.com/1").kind


def test_a_sender_id_is_registered(desk: Desk) -> None:
    """The vendor's answer in a sentence."""
    result = run(desk, "sender-id", "add", "Acme", "--account", "hk")
    assert ("Acme is registered\n", 0, ["Acme"]) == (result.stdout, result.exit_code, desk.senders)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("check-words", "hi"), "cn (smsadmin) cannot look for sensitive words in a text: hk can"),
        (("upload", "http://example.com/a.gif"), "cn (smsadmin) cannot keep images: no configured account can"),
        (("upload", "http://example.com/a.wav"), "cn (smsadmin) cannot keep audio files: hk can"),
        (("sender-id", "add", "Acme"), "cn (smsadmin) cannot register a sender ID: hk can"),
    ],
)
def test_what_an_account_cannot_do_is_refused_with_those_that_can(arguments: tuple[str, ...], sentence: str) -> None:
    """In one line."""
    desk = Desk()
    able = ["sms", "check_words", "upload_audio", "add_sender"]
    desk._accounts = {
        "cn": {"provider": "smsadmin", "features": ["sms"], "options": []},
        "hk": {"provider": "accessyou", "features": able, "options": []},
    }
    result = run(desk, *arguments, "--account", "cn")
    assert (f"sendmill: {sentence}\n", 1) == (result.stderr, result.exit_code)

"""Both sides of an account fit: sendmill's configuration and the simulator's own."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from simulator.client import Simulator
from simulator.vendor_accounts import five_accounts, with_email, with_push_urls

_FORM = "application/x-www-form-urlencoded"


def test_every_service_of_accessyou_takes_the_credentials_of_the_configuration(send: Any, simulator: Simulator) -> None:
    """None of the addresses in `five_accounts` answers that the login failed, and none is unknown."""
    hk = five_accounts(simulator.url)["hk"]
    logins = {name: {"user": hk[name].get("user"), "pwd": hk[name]["pwd"]} for name in (
        "sms", "batch", "otp", "vercode", "mms", "voice", "senderid",
    )}  # fmt: skip
    check = hk["check"]
    to = {"phone": "85298882844"}
    calls = [
        (hk["sms"]["url"], logins["sms"], {**to, "tid": hk["sms"]["tid"], "a": "x"}),
        (hk["batch"]["url"], logins["batch"], {**to, "msg": "x"}),
        (hk["otp"]["url"], logins["otp"], {**to, "tid": "1", "a": "x"}),
        (hk["vercode"]["url"], logins["vercode"], {**to, "msg": "x"}),
        (hk["mms"]["send_url"], logins["mms"], {**to, "subject": "x"}),
        (hk["mms"]["upload_url"], logins["mms"], {"imgfile": "x", "img_url": "http://a.example/x.jpg"}),
        (hk["voice"]["send_url"], logins["voice"], {**to, "wavfile": "1"}),
        (hk["voice"]["upload_url"], logins["voice"], {"wavfile": "1", "wav_url": "http://a.example/x.wav"}),
        (hk["senderid"]["url"], logins["senderid"], {"from": "Abc"}),
        (check["msginfo_url"], {"user": check["msginfo_user"], "pwd": check["msginfo_pwd"]}, {"msgid": "1"}),
        (check["accinfo_url"], {"user": check["accinfo_user"], "pwd": check["accinfo_pwd"]}, {}),
    ]
    for url, login, fields in calls:
        given = {name: value for name, value in {"accountno": hk["accountno"], **login, **fields}.items() if value}
        path = urlsplit(url).path
        if "batch" in path:
            send("POST", path, urlencode(given).encode(), _FORM)
        else:
            send("GET", f"{path}?{urlencode(given)}")
    rows = list(simulator.journal(hk["accountno"]))
    assert [row["outcome"] for row in rows] == ["100"] * 5 + ["200", "100", "ok", "200", "100", "100"]
    assert simulator.breaches()["total"] == 0


def test_email_goes_to_the_accounts_at_accessyou_alone(simulator: Simulator) -> None:
    """`with_email` names the simulator's mail server."""
    accounts = with_email(five_accounts(simulator.url), simulator.smtp)
    assert [name for name, settings in accounts.items() if "email" in settings] == ["hk"]
    email = accounts["hk"]["email"]
    assert f"{email['host']}:{email['port']}" == simulator.smtp


def test_files_come_from_the_push_process_and_other_options_stay() -> None:
    """The simulator's side of `hk`; an option of the caller's own wins."""
    accounts = five_accounts("http://simulator")
    sides = [
        {one["name"]: one for one in with_push_urls(accounts, "http://127.0.0.1:4711", changes)}["11000001"]["options"]
        for changes in ({}, {"hk": {"options": {"fetch_files": True}}}, {"hk": {"options": {"fetch_port": 1}}})
    ]
    assert sides == [{"fetch_port": 4711}, {"fetch_port": 4711, "fetch_files": True}, {"fetch_port": 1}]

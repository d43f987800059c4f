"""Accounts of all five vendors in the form of sendmill's configuration file, pointing at a simulator.

They have the simulator's default credentials (README.md). The demo, `make up` and the process tests use them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from simulator.settings import DEFAULT_ACCOUNTS

Accounts = Mapping[str, Mapping[str, Any]]
"""Settings by account name."""

_IDENTITY: Final = {
    "accessyou": "accountno",
    "xioo": "name",
    "smsadmin": "uid",
    "ihuyi": "account",
    "sms467890": "uid",
}
"""Which setting names the account at its vendor."""


def five_accounts(url: str) -> dict[str, dict[str, Any]]:
    """One account a vendor: `hk`, `mainland`, `xi`, `world` and `bulk`; `url` is the simulator's."""
    accessyou = f"{url}/accessyou"
    sms = f"{accessyou}/sms"
    codes = {"user": "demo-otp", "pwd": "otp-secret"}
    return {
        "hk": {
            "provider": "accessyou",
            "accountno": "11000001",
            "sms": {"url": f"{sms}/sendsms.php", "user": "demo", "pwd": "sms-secret", "tid": "1"},
            "batch": {"url": f"{sms}/sendsms-batch.php", "user": "demo-batch", "pwd": "batch-secret"},
            "otp": {"url": f"{sms}/sendsms-otp.php", **codes},
            "vercode": {"url": f"{sms}/sendsms-vercode.php", **codes},
            "mms": {
                "send_url": f"{accessyou}/mms/sendmms.php",
                "upload_url": f"{accessyou}/mms/upload_img.php",
                "user": "demo-mms",
                "pwd": "mms-secret",
            },
            "voice": {
                "send_url": f"{accessyou}/voice/send.php",
                "upload_url": f"{accessyou}/voice/upload_wav.php",
                "pwd": "voice-secret",
            },
            "senderid": {"url": f"{sms}/add_senderid.php", "user": "demo-senderid", "pwd": "senderid-secret"},
            "check": {
                "msginfo_url": f"{sms}/check_msginfo.php",
                "msginfo_user": "demo-log",
                "msginfo_pwd": "log-secret",
                "accinfo_url": f"{sms}/check_accinfo.php",
                "accinfo_user": "demo-info",
                "accinfo_pwd": "info-secret",
            },
            "limits": {"recipients_per_h": 200_000},
            "push_token": "hk-token",
        },
        "mainland": {
            "provider": "smsadmin",
            "base_url": f"{url}/smsadmin/smsmarketing/wwwroot/api",
            "uid": "demo",
            "pwd": "smsadmin-secret",
            "method": "post",
            "style": "md5",
            "signature": "【Acme】",
            "push_token": "mainland-token",
        },
        "xi": {
            "provider": "xioo",
            "url": f"{url}/xioo/asmx/smsservice.aspx",
            "name": "demo",
            "pwd": "0C759A360AABBD5F5E0F5FF9F059",
            "sign": "Acme",
            "push_token": "xi-token",
        },
        "world": {
            "provider": "ihuyi",
            "base_url": f"{url}/ihuyi/webservice/isms.php",
            "account": "cf_demo",
            "api_key": "1q784322ba1d9bb88d50cf5cdfd89k7d",
            "dynamic_password": True,
            "format": "json",
            "push_token": "world-token",
        },
        "bulk": {
            "provider": "sms467890",
            "base_url": f"{url}/sms467890/Admin/index.php/Message",
            "uid": "10001",
            "pwd": "sms467890-secret",
            "push_token": "bulk-token",
        },
    }


def with_email(accounts: Accounts, smtp: str) -> dict[str, dict[str, Any]]:
    """The same, with EMAIL2SMS for the accounts at AccessYou that name none.

    `smtp` is `HOST:PORT` of the simulator's mail server.
    """
    host, _, port = smtp.rpartition(":")
    email = {
        "domain": "sms.accessyou.example",
        "username": "demo-email",
        "pwd": "email-secret",
        "mail_from": "sendmill@customer.example",
        "host": host,
        "port": int(port),
        "encryption": "none",
        "text_in": "body",
    }
    return {
        name: {"email": email, **settings} if settings["provider"] == "accessyou" else dict(settings)
        for name, settings in accounts.items()
    }


def at_vendor(settings: Mapping[str, Any]) -> tuple[str, str]:
    """The vendor and the name that an account has there: what the simulator knows it by."""
    vendor = str(settings["provider"])
    return vendor, str(settings[_IDENTITY[vendor]])


def with_push_urls(accounts: Accounts, push_url: str, changes: Accounts) -> Iterator[dict[str, Any]]:
    """The simulator's side of accounts: each pushes to `push_url/push/<account>/<token>` if it has a token.

    `changes` by account name are the simulator's settings of an account, such as `{"hk": {"reply_share": 0.1}}`. Where
    `{"hk": {"options": {"fetch_files": True}}}` has files fetched, they come from the push process too, whatever port
    their address names: in production a proxy on port 80 stands before it.
    """
    push_port = urlsplit(push_url).port or 0
    passwords = {(one["vendor"], one["name"]): one["password"] for one in DEFAULT_ACCOUNTS}
    for name, settings in accounts.items():
        vendor, identity = place = at_vendor(settings)
        account: dict[str, Any] = {"vendor": vendor, "name": identity, "password": passwords.get(place, "")}
        change = changes.get(name, {})
        token = settings.get("push_token")
        if token:
            first = token if isinstance(token, str) else token[0]
            account["push_url"] = f"{push_url}/push/{name}/{first}"
        if vendor == "accessyou":
            account["options"] = {"fetch_port": push_port}
        options = {**account.get("options", {}), **change.get("options", {})}
        yield {**account, **change, **({"options": options} if options else {})}

"""What the three test modules of AccessYou share: an account with everything filled in."""

from __future__ import annotations

from typing import Any

from providers.accessyou import AccessYou, AccessYouSettings

VENDOR = "accessyou"

SETTINGS: dict[str, Any] = {
    "provider": VENDOR,
    "accountno": "10000023",
    "push_token": ["push-token-one", "push-token-two"],
    "sms": {"url": "https://sms.example/sms/sendsms.php", "user": "api", "pwd": "sms-password"},
    "batch": {"url": "https://batch.example/sms/sendsms-batch.php", "user": "api-batch", "pwd": "batch-password"},
    "otp": {"url": "https://otp.example/sms/sendsms-otp.php", "user": "api-otp", "pwd": "otp-password"},
    "vercode": {"url": "https://v.example/sms/sendsms-vercode.php", "user": "api-v", "pwd": "vercode-password"},
    "mms": {
        "send_url": "https://mms.example/mms/sendmms.php",
        "upload_url": "https://mms.example/mms/upload_img.php",
        "user": "api-mms",
        "pwd": "mms-password",
    },
    "voice": {
        "send_url": "https://voice.example/voice/send.php",
        "upload_url": "https://voice.example/voice/upload_wav.php",
        "pwd": "voice-password",
    },
    "email": {
        "domain": "mail.example",
        "username": "mailer",
        "pwd": "mail-password",
        "mail_from": "app@customer.example",
        "host": "127.0.0.1",
        "port": 2525,
        "encryption": "none",
        "user": "relay",
        "smtp_pwd": "relay-password",
    },
    "check": {
        "msginfo_url": "https://check.example/sms/check_msginfo.php",
        "msginfo_user": "api-log",
        "msginfo_pwd": "log-password",
        "accinfo_url": "https://check.example/sms/check_accinfo.php",
        "accinfo_user": "api-account",
        "accinfo_pwd": "account-password",
    },
    "senderid": {"url": "https://sms.example/sms/add_senderid.php", "user": "api-id", "pwd": "senderid-password"},
}

SENDING = ("sms", "batch", "otp", "vercode", "mms", "voice", "email")
"""The tables of services that send."""


def build(**changes: Any) -> AccessYou:
    """A provider of that account with some tables changed; None takes a table out."""
    table = {name: value for name, value in (SETTINGS | changes).items() if value is not None}
    return AccessYou("hk", AccessYouSettings.model_validate(table))


def sms(**changes: Any) -> dict[str, Any]:
    """`[accounts.hk.sms]` with some keys changed; None takes a key out."""
    return {name: value for name, value in (SETTINGS["sms"] | changes).items() if value is not None}

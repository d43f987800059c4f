"""Accounts of all five vendors that point at a simulator, in the form of the configuration file."""

from __future__ import annotations

from collections.abc import Mapping

from config.settings import Settings
from providers import registry
from simulator.client import Simulator

SMSADMIN_PATH = "/smsadmin/smsmarketing/wwwroot/api"


def accounts(url: str) -> dict[str, dict[str, object]]:
    """One account a vendor, with the simulator's default credentials."""
    check = f"{url}/accessyou/sms"
    return {
        "hk": {
            "provider": "accessyou",
            "accountno": "11000001",
            "sms": {"url": f"{url}/accessyou/sms/sendsms.php", "user": "demo", "pwd": "sms-secret", "tid": "1"},
            "batch": {"url": f"{url}/accessyou/sms/sendsms-batch.php", "user": "demo-batch", "pwd": "batch-secret"},
            "check": {
                "msginfo_url": f"{check}/check_msginfo.php",
                "msginfo_user": "demo-log",
                "msginfo_pwd": "log-secret",
                "accinfo_url": f"{check}/check_accinfo.php",
                "accinfo_user": "demo-info",
                "accinfo_pwd": "info-secret",
            },
            "limits": {"recipients_per_h": 200_000},
            "push_token": "hk-token",
        },
        "mainland": {
            "provider": "smsadmin",
            "base_url": url + SMSADMIN_PATH,
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


def settings_for(
    simulator: Simulator, redis_url: str, namespace: str, names: list[str], **changes: Mapping[str, object]
) -> Settings:
    """The settings of some of those accounts; `changes` by account name go on top."""
    models = registry.models()
    chosen = {}
    for name in names:
        values = accounts(simulator.url)[name] | {"timeout_s": 3.0} | dict(changes.get(name, {}))
        chosen[name] = models[str(values["provider"])].model_validate(values)
    return Settings(redis_url=redis_url, namespace=namespace, accounts=chosen, routes=())

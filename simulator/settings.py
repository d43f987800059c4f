"""The configuration: a TOML file, or nothing and the default accounts.

[simulator] delay_ms, jitter_ms, seed, push_connections; [[accounts]], [[fates]], [[faults]] as the
admin addresses take them.
"""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

# One account a vendor; README.md names them too.
DEFAULT_ACCOUNTS: list[dict[str, Any]] = [
    {"vendor": "accessyou", "name": "11000001", "password": "sms-secret"},
    {"vendor": "xioo", "name": "demo", "password": "0C759A360AABBD5F5E0F5FF9F059"},
    {"vendor": "smsadmin", "name": "demo", "password": "smsadmin-secret"},
    {"vendor": "ihuyi", "name": "cf_demo", "password": "1q784322ba1d9bb88d50cf5cdfd89k7d"},
    {"vendor": "sms467890", "name": "10001", "password": "sms467890-secret"},
]


@dataclass(slots=True)
class Settings:
    """What the simulator starts with; delays in milliseconds from arrival to report."""

    delay_ms: int = 100
    jitter_ms: int = 200
    seed: int = 0
    push_connections: int = 64
    accounts: list[dict[str, Any]] = field(default_factory=lambda: list(DEFAULT_ACCOUNTS))
    fates: list[dict[str, Any]] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)


def load(path: Path | None) -> Settings:
    """Read the file; ValueError names an unknown key, OSError a missing file."""
    settings = Settings()
    if path is None:
        return settings
    given = tomllib.loads(path.read_text("utf-8"))
    flat = {**given.pop("simulator", {}), **given}
    unknown = set(flat) - {item.name for item in fields(Settings)}
    if unknown:
        message = f"{path.name}: unknown keys {sorted(unknown)}"
        raise ValueError(message)
    for name, value in flat.items():
        setattr(settings, name, value)
    return settings

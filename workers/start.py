"""How every process starts: with a configuration that all of it can work with, or not at all."""

from __future__ import annotations

import os
import sys
from typing import Final, NoReturn

from config.load import load
from config.settings import Settings
from providers import registry
from sendmill.errors import ConfigError
from tasks.runtime import providers_of

USAGE_EXIT: Final = 2


def settings_or_exit() -> Settings:
    """The settings that the environment names; what is wrong with them is one line, and the process ends with 2."""
    try:
        settings = load(None, registry.models(), os.environ)
        providers_of(settings)
    except ConfigError as error:
        exit_with(error)
    return settings


def exit_with(error: ConfigError) -> NoReturn:
    """Say what is wrong in one line and end the process."""
    sys.stderr.write(f"sendmill: {error}\n")
    raise SystemExit(USAGE_EXIT)

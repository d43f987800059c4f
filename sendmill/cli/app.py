"""The group of all commands, and how every error becomes one line on stderr."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any, NoReturn

import click

from sendmill.cli import (
    accounts,
    alerts,
    audit,
    doctor,
    events,
    export,
    find,
    forget,
    jobs,
    keys,
    metrics,
    optouts,
    send,
    settling,
    text,
    vendor,
    webpassword,
)
from sendmill.errors import InvalidOption, SendmillError

_PROGRAM = "sendmill"

EXIT_FAILED = 1
EXIT_WRONG_USE = 2
EXIT_INTERRUPTED = 130


class OneLineErrors(click.Group):
    """A group whose errors are one line that says what to do."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - click's own signature
        **extra: Any,
    ) -> Any:
        """Run a command and leave with its exit code; errors are shown here and not by click."""
        del standalone_mode
        _show_what_a_terminal_has_not()
        try:
            result = super().main(args, _PROGRAM, complete_var, standalone_mode=False, **extra)
            _write_out()
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx is not None else _PROGRAM
            _leave(f"{error.format_message().rstrip('.')} (see {command} --help)", EXIT_WRONG_USE, command)
        except click.ClickException as error:
            _leave(error.format_message(), EXIT_FAILED)
        except InvalidOption as error:
            _leave(str(error), EXIT_WRONG_USE)
        except SendmillError as error:
            _leave(str(error), EXIT_FAILED)
        except (click.Abort, KeyboardInterrupt):
            _leave("interrupted", EXIT_INTERRUPTED)
        except BrokenPipeError:
            _give_up_stdout()  # the reader of a pipe has left, as `head` does
            sys.exit(EXIT_FAILED)
        except OSError as error:
            _give_up_stdout()
            _leave(f"what there is to tell cannot be written: {error.strerror or type(error).__name__}", EXIT_FAILED)
        sys.exit(result if isinstance(result, int) else 0)


def _show_what_a_terminal_has_not() -> None:
    """One that has no Chinese still shows something."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _write_out() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _give_up_stdout() -> None:
    """Python would complain once more at exit of what it could not write."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave(sentence: str, exit_code: int, command: str = _PROGRAM) -> NoReturn:
    click.echo(f"{command}: {' '.join(sentence.split())}", err=True)
    sys.exit(exit_code)


def _version() -> str:
    try:
        return metadata.version(_PROGRAM)
    except metadata.PackageNotFoundError:
        return "unknown: run from a checkout that is not installed"


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), message="%(prog)s %(version)s")
def cli() -> None:
    """Send SMS jobs and see what became of them. Needs SENDMILL_REDIS_URL (and SENDMILL_NAMESPACE, if not sendmill)."""


for _command in (
    send.send,
    jobs.jobs,
    jobs.status,
    jobs.show,
    find.find,
    export.export,
    jobs.cancel,
    settling.unconfirmed,
    settling.settle,
    settling.sweeps,
    events.events,
    events.replies,
    optouts.optouts,
    forget.forget,
    doctor.doctor,
    accounts.accounts,
    accounts.balance,
    accounts.pause,
    accounts.resume,
    accounts.limit,
    alerts.alerts,
    audit.audit,
    metrics.metrics,
    keys.keys,
    text.segments,
    vendor.check_words,
    vendor.upload,
    vendor.sender_id,
    webpassword.web_password,
):
    cli.add_command(_command)

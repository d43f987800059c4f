"""The command line: `sendmill`. It needs the Redis URL and nothing else."""

from __future__ import annotations

from sendmill.cli.app import cli


def main() -> None:
    """The entry point. Exit codes: 0 accepted or done, 1 failed, 2 wrong use."""
    cli()


__all__ = ["cli", "main"]

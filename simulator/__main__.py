"""`python -m simulator`: the five vendors on one port, and their mail server on another."""

import argparse
import asyncio
from pathlib import Path

from simulator.server import serve
from simulator.settings import load


def main() -> None:
    """Read the command line and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--smtp-port", type=int, default=0, help="of the mail server; 0 takes a free one")
    parser.add_argument("--config", type=Path, help="TOML: accounts, fates, faults")
    parser.add_argument("--ready-file", type=Path, help="gets the URL and pid once it listens")
    parser.add_argument("--journal", type=Path, help="NDJSON that follows the journal")
    given = parser.parse_args()
    settings = load(given.config)
    asyncio.run(serve(settings, given.host, (given.port, given.smtp_port), given.ready_file, given.journal))


if __name__ == "__main__":
    main()

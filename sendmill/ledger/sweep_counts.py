"""What the workers' sweeps have found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.published import published_accounts
from sendmill.messages import Sweep
from sendmill.moment import moment

OF_JOBS = ("unplanned", "chunks")
OF_ACCOUNTS = ("leases", "calls", "unreported", "unfolded", "moves", "restarts", "lost_slices", "lost_calls")


def read_sweeps(ledger: Ledger) -> list[Sweep]:
    """All sweeps that have found anything.

    Raises:
        StoreError: Redis is away.
    """
    names = list(published_accounts(ledger))
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        pipe.hgetall(ledger.jobs.sweeps)
        for name in names:
            pipe.hgetall(ledger.account(name).sweeps)
        of_jobs, *of_accounts = pipe.execute()
    found = list(_sweeps(of_jobs, OF_JOBS, None))
    for name, fields in zip(names, of_accounts, strict=True):
        found += _sweeps(fields, OF_ACCOUNTS, name)
    return found


def _sweeps(fields: Mapping[bytes, bytes], names: tuple[str, ...], account: str | None) -> Iterator[Sweep]:
    for name in names:
        count, at_ms = fields.get(name.encode()), fields.get(f"{name}:at".encode())
        if count is not None:
            yield Sweep(name, account, int(count), moment(float(at_ms)) if at_ms is not None else None)

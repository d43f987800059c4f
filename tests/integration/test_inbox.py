"""What vendors give once is stored raw, in Redis or on disk, and goes only when it was folded."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from providers.base import Push, Response
from sendmill.connecting.away import RedisAway
from sendmill.ledger import scripts
from simulator.embedded import EmbeddedValkey
from tasks.process.account import Account
from tasks.report import inbox as inbox_module
from tasks.report.inbox import Entry, Inbox, InboxFull, Writer, entry_of_poll, entry_of_push
from tasks.report.spool import Spool
from tests.support.driving import until_known
from tests.support.rows import opened, settings_of


@pytest.fixture
async def account(redis_url: str, namespace: str) -> AsyncIterator[Account]:
    """An account whose vendor nobody asks."""
    async with opened(settings_of(redis_url, namespace, "mainland")) as runtime:
        yield runtime.accounts["mainland"]


@pytest.fixture
def inbox(account: Account) -> Inbox:
    """Its inbox."""
    return Inbox(account.outbox.server, account.keys)


def pushed(body: bytes) -> Entry:
    """A push that came now."""
    return entry_of_push(Push("POST", b"a=%B2%E2", {"content-type": "text/x", "authorization": "secret"}, body))


async def test_an_entry_comes_back_as_it_was(inbox: Inbox) -> None:
    """Bytes of any charset stay bytes; of the headers only what tells how to read the body is kept."""
    body = bytes(range(256))
    await inbox.store([pushed(body), entry_of_poll("report", Response(200, {"content-type": "text/y"}, b"160"))])
    push, poll = await inbox.read()
    assert Push("POST", b"a=%B2%E2", {"content-type": "text/x"}, body) == push.push
    assert ("push", "poll:report") == (push.kind, poll.kind)
    assert Response(200, {"content-type": "text/y"}, b"160") == poll.response


async def test_entries_are_read_in_the_order_in_which_they_came(inbox: Inbox) -> None:
    """The oldest first, no more than asked for."""
    for number in range(5):
        await inbox.store([pushed(b"%d" % number)])
    assert [b"0", b"1", b"2"] == [entry.body for entry in await inbox.read(3)]


async def test_what_no_replica_has_is_not_stored(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """`replicas = 1`: a vendor is told that we have it when a failover does not lose it any more."""
    monkeypatch.setattr(scripts, "REPLICAS_MS", 50)
    with pytest.raises(RedisAway, match="NOREPLICAS"):
        await Inbox(account.outbox.server, account.keys, replicas=1).store([pushed(b"1")])


async def test_a_full_inbox_takes_the_first_entries_and_no_more(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is no room for is not stored; once something was folded there is room again."""
    monkeypatch.setattr(inbox_module, "MOST_ENTRIES", 3)
    assert 3 == await inbox.store([pushed(b"%d" % number) for number in range(5)])
    assert 0 == await inbox.store([pushed(b"5")])
    await inbox.drop(await inbox.read(1))
    assert 1 == await inbox.store([pushed(b"6")])
    assert [b"1", b"2", b"6"] == [entry.body for entry in await inbox.read()]


async def test_an_inbox_is_also_full_by_its_bytes(
    account: Account, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few large bodies fill it too; what was folded twice is counted off once."""
    monkeypatch.setattr(inbox_module, "MOST_BYTES", 25_000)
    assert 2 == await inbox.store([pushed(bytes(10_000)) for _ in range(3)])
    [first, _] = await inbox.read()
    await inbox.drop([first])
    await inbox.drop([first])
    assert 1 == await inbox.store([pushed(bytes(10_000))])
    assert 0 == await inbox.store([pushed(bytes(10_000))])
    await inbox.drop(await inbox.read())
    assert None is await account.outbox.server.get(account.keys.inbox_bytes)


async def test_entries_that_come_together_are_stored_together(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand pushes at once are not two thousand round trips, and each is stored once."""
    trips = 0
    store = Inbox.store

    async def counted(self: Inbox, entries: list[Entry]) -> int:
        nonlocal trips
        trips += 1
        return await store(self, entries)

    monkeypatch.setattr(Inbox, "store", counted)
    writer = Writer(inbox)
    await asyncio.gather(*(writer.store(pushed(b"%d" % number)) for number in range(2000)))
    assert 2000 == await inbox.waiting()
    assert trips <= 2000 // inbox_module.STORED_AT_ONCE + 1


async def test_who_finds_the_inbox_full_hears_so_and_the_others_do_not(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of pushes that are stored together, those without room are told."""
    monkeypatch.setattr(inbox_module, "MOST_ENTRIES", 2)
    writer = Writer(inbox)
    ends = await asyncio.gather(*(writer.store(pushed(b"x")) for _ in range(4)), return_exceptions=True)
    assert [None, None, InboxFull, InboxFull] == [end if end is None else type(end) for end in ends]


async def test_each_of_those_stored_together_hears_that_redis_is_away(
    namespace: str, own_valkey: EmbeddedValkey
) -> None:
    """Nobody is told that his push is safe when it is not, and the next one is tried anew."""
    async with opened(settings_of(own_valkey.redis_url, namespace, "mainland")) as runtime:
        account = runtime.accounts["mainland"]
        writer = Writer(Inbox(runtime.server, account.keys))
        own_valkey.kill()
        ends = await asyncio.gather(*(writer.store(pushed(b"x")) for _ in range(3)), return_exceptions=True)
        assert [RedisAway] * 3 == [type(end) for end in ends]
        own_valkey.start()
        await until_known(runtime.server)
        await writer.store(pushed(b"y"))
        assert 1 == await Inbox(runtime.server, account.keys).waiting()


# --- the spool -------------------------------------------------------------------------------------------------------


async def test_what_went_to_disk_comes_back_in_order_and_leaves_the_disk(inbox: Inbox, tmp_path: Path) -> None:
    """Once it is in the inbox its file goes."""
    spool = Spool(tmp_path / "spool")
    for at_ms, body in ((2, b"second"), (1, b"first"), (3, b"third")):
        await spool.write(Entry("poll:report", at_ms, body=body))
    assert 3 == await spool.bring_back(inbox)
    assert [b"first", b"second", b"third"] == [entry.body for entry in await inbox.read()]
    assert [] == _names(tmp_path / "spool")


async def test_the_spool_is_its_owners_alone(tmp_path: Path) -> None:
    """It holds numbers and texts."""
    spool = Spool(tmp_path / "spool")
    await spool.write(Entry("poll:report", 1, body=b"x"))
    [file] = (tmp_path / "spool").iterdir()
    assert (0o700, 0o600) == (
        stat.S_IMODE((tmp_path / "spool").stat().st_mode),
        stat.S_IMODE(file.stat().st_mode),
    )


async def test_what_finds_no_room_stays_on_disk(inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full inbox loses nothing of it."""
    monkeypatch.setattr(inbox_module, "MOST_ENTRIES", 1)
    spool = Spool(tmp_path / "spool")
    for at_ms in (1, 2):
        await spool.write(Entry("poll:report", at_ms))
    assert 1 == await spool.bring_back(inbox)
    assert 1 == len(_names(tmp_path / "spool"))


async def test_a_file_that_cannot_be_read_stays_and_holds_up_nothing(inbox: Inbox, tmp_path: Path) -> None:
    """It is set aside under another name, for a person."""
    spool = Spool(tmp_path)
    await spool.write(Entry("poll:report", 2, body=b"good"))
    (tmp_path / "000000000000001-00000000.answer").write_bytes(b"\xc1 no msgpack")
    (tmp_path / "000000000000003-00000000.new").write_bytes(b"half wri")
    assert 1 == await spool.bring_back(inbox)
    assert ["000000000000001-00000000.unreadable", "000000000000003-00000000.new"] == _names(tmp_path)


def _names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_the_environment_says_where_the_spool_is(tmp_path: Path) -> None:
    """Accounts of different namespaces share no files."""
    spool = Spool.of("ns", "hk", {"SENDMILL_STATE_DIR": str(tmp_path)})
    asyncio.run(spool.write(Entry("poll:report", 1)))
    [file] = tmp_path.rglob("*.answer")
    assert tmp_path / "spool" / "ns" / "hk" == file.parent

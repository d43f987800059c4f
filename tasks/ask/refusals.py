"""How long a vendor that refused a login is not asked again: some lock an account that keeps trying (smsapi.pdf p.43).

Of each kind of question apart (a poll's address, queries, the balance), because each may have its own login. Submits
are `suspend` and `probe`'s.
"""

from __future__ import annotations

import redis.asyncio

from sendmill.ledger.keys import AccountKeys

FIRST_S = 60.0
LONGEST_S = 600.0

_MOST_DOUBLINGS = 10


async def refused(server: redis.asyncio.Redis, keys: AccountKeys, question: str) -> float:
    """Note that a question's login was refused; returns seconds until it may be asked again: 60, doubling up to 600."""
    in_a_row = await server.hincrby(keys.state, f"refused:{question}", 1)
    return min(FIRST_S * 2.0 ** min(in_a_row - 1, _MOST_DOUBLINGS), LONGEST_S)


async def let_in(server: redis.asyncio.Redis, keys: AccountKeys, question: str) -> None:
    """A question was answered: the next refusal is the first again."""
    await server.hdel(keys.state, f"refused:{question}")

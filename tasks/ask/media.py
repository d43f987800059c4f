"""Pictures and recordings that a vendor has to fetch before messages may name them.

A job names one by its address; the vendor is asked to fetch it once for each account and address, when the job is
planned, and what it is called there is kept as long as the vendor keeps the file. To ask twice does no harm.
"""

from __future__ import annotations

import hashlib
import time

import msgspec
import structlog

from providers.base import Upload
from sendmill.errors import InvalidOption
from sendmill.ledger.vendor_files import Kept, kept_key
from sendmill.messages import Kind
from tasks.process.account import Account
from tasks.process.runtime import Runtime

MARGIN_S = 86_400
"""A file is fetched anew this long before the vendor forgets it: messages that name it may wait."""

_KEPT_FOR_GOOD_S = 30 * 86_400
_DIGEST_BYTES = 16

log = structlog.get_logger(__name__)


async def name_at_vendor(runtime: Runtime, account: Account, kind: Kind, url: str) -> str:
    """What a file is called at an account's vendor, which fetches it now unless it has it.

    Raises:
        InvalidMessage: the vendor cannot fetch it from there.
        ProviderError: what the vendor answered instead.
        redis.RedisError: Redis is away.
    """
    digest = hashlib.blake2b(url.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    key = account.keys.media(f"{kind}:{digest}")
    known = await runtime.server.get(key)
    if known is not None:
        return str(known.decode())
    return await upload(runtime, account, kind, url)


async def upload(runtime: Runtime, account: Account, kind: Kind, url: str, *, size: int = 0) -> str:
    """Have the vendor fetch a file, whether it has it or not; returns what it is called there. Raises as above.

    `size` is how many bytes it has, 0 where nobody knows.
    """
    provider = account.provider
    most = provider.largest_media.get(kind, {})
    if size > max(most.values(), default=size):
        raise InvalidOption(f"the file has {size:,} bytes: {provider.name} takes {max(most.values()):,} at most")
    wanted = Upload(kind, provider.upload_name(kind, url), url)
    response = await account.ask(provider.upload_request(wanted))
    provider.uploaded(wanted, response)
    digest = hashlib.blake2b(url.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    kept_s = max(MARGIN_S, (provider.media_kept_s or _KEPT_FOR_GOOD_S) - MARGIN_S)
    await runtime.server.set(account.keys.media(f"{kind}:{digest}"), wanted.name, ex=kept_s)
    if provider.media_kept_s:
        kept = Kept(int((time.time() + provider.media_kept_s) * 1000), size, most)
        key = account.keys.media(kept_key(wanted.name))
        await runtime.server.set(key, msgspec.json.encode(kept), ex=provider.media_kept_s)
    log.info("a file was uploaded", account=account.name, kind=kind.value)
    return wanted.name

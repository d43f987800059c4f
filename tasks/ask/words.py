"""The words in a text that a vendor calls sensitive."""

from __future__ import annotations

from tasks.process.account import Account


async def words_in(account: Account, text: str) -> list[str]:
    """The sensitive words that an account's vendor finds in a text.

    Raises:
        UnsupportedFeature: the vendor does not tell.
        NotEncodable: the text has a character that the vendor's character set lacks.
        ProviderError: what the vendor answered instead.
    """
    request = account.provider.words_request(text)
    response = await account.ask(request)
    return list(account.provider.words(response))

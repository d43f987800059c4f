"""Another product's place for a column that the file has never reaches a recipient as it stands."""

from __future__ import annotations

import pytest

from sendmill.cli.places import refuse_foreign_places
from sendmill.errors import InvalidTemplate

COLUMNS = ["phone", "name", "First Name", "订单"]

FOREIGN = [
    *("Dear {{name}}", "Dear {{ name }}", "亲爱的｛name｝", "Dear ((name))", "Dear %name%", "Dear ${name}"),
    *("Dear #name#", "Dear [name]", "Dear [First Name]", "Dear <name>", "Dear «name»", "Dear *|NAME|*"),
    *("Dear {{Name}}", "单号#订单#", "Dear #{name}", "Dear $name,", "Dear <%= name %>", "Dear {% name %}"),
    *("Dear {{{name}}}", "Dear @name@"),
]
"""A line more is a case more."""

PLAIN = [
    *("Dear {name}", "Dear {First Name}, order {订单}", "100% name brand", "name"),
    *("[Acme] hello {name}", "#1 name in town"),
    *("a < b > c", "Pay $5 {name}", "5% off, 10% more", "{{literal}} {name}", "【Acme】{name}", "$names"),
    "mail@name.com",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_a_foreign_place_is_refused(text: str) -> None:
    """It is named, and what to write."""
    with pytest.raises(InvalidTemplate, match="--literal"):
        refuse_foreign_places(text, COLUMNS, filled=True)


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_place_of_a_column_is_taken(text: str) -> None:
    """Signatures, prices and shares stand in texts."""
    refuse_foreign_places(text, COLUMNS, filled=True)


def test_our_own_place_in_a_text_that_is_not_filled_is_refused() -> None:
    """`--text` with a file sends one text to all."""
    with pytest.raises(InvalidTemplate, match="--template"):
        refuse_foreign_places("Dear {name}", COLUMNS, filled=False)

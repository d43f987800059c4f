"""Places of other tools' templates, which would reach everybody as they stand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sendmill.errors import InvalidTemplate

_AROUND = (
    *(("{{", "}}"), ("｛", "｝"), ("((", "))"), ("%", "%"), ("${", "}"), ("#{", "}"), ("#", "#"), ("[", "]")),
    *(("<", ">"), ("«", "»"), ("*|", "|*"), ("@", "@"), ("{%", "%}"), ("<%=", "%>"), ("{$", "}"), ("$", r"\b")),
)
"""What other products put around a name: mail merges, shops, SMS portals, template languages."""


def refuse_foreign_places(text: str, columns: Sequence[str], *, filled: bool) -> None:
    """Refuse a text that holds another product's place for a column that the file has.

    Args:
        text: the text or template.
        columns: the file's.
        filled: whether it is a template; else our own places stand in it unfilled too.

    Raises:
        InvalidTemplate: names the place and what to write.
    """
    around = _AROUND if filled else (("{", "}"), *_AROUND)
    for column in filter(None, columns):
        name = re.escape(column)
        for before, after in around:
            end = after if after == r"\b" else rf"\s*{re.escape(after)}"
            found = re.search(rf"{re.escape(before)}\s*{name}{end}", text, re.IGNORECASE)
            if found is not None:
                raise InvalidTemplate(
                    f"the text has {found[0]}, which would be sent as it stands: the place of the column {column!r} is "
                    f"{{{column}}} in a --template; say --literal where it is meant so"
                )

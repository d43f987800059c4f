"""Horizontal bars as SVG. A plotting library would bring more than the sixty lines that bars take."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

_WIDTH: Final = 760
_LABELS: Final = 290
_VALUES: Final = 110
_ROW: Final = 26
_HEAD: Final = 40
_FOOT: Final = 12
_BAR: Final = 16
_OURS: Final = "sendmill"
_COLOUR: Final = {True: "#1f6feb", False: "#8c959f"}
_STYLE: Final = (
    # The background is light on a dark page too, so the letters are dark.
    "text{font:13px sans-serif;fill:#1f2328}.t{font-weight:bold;font-size:15px}.l{text-anchor:end}"
)


def bars(title: str, values: Mapping[str, float], unit: str, *, form: str = ",.0f") -> str:
    """A bar for each value, from 0 on; those of sendmill stand out.

    Args:
        title: what is compared.
        values: by label, none below 0.
        unit: behind each value.
        form: how a value is written, as `format` takes it.
    """
    most = max(values.values(), default=0.0)
    height = _HEAD + _ROW * len(values) + _FOOT
    room = _WIDTH - _LABELS - _VALUES
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text class="t" x="12" y="25">{escape(title)}</text>',
    ]
    for place, (label, value) in enumerate(values.items()):
        top = _HEAD + _ROW * place
        length = room * value / most if most else 0.0
        colour = _COLOUR[label.startswith(_OURS)]
        text_y = top + _BAR - 3
        lines += [
            f'<text class="l" x="{_LABELS - 8}" y="{text_y}">{escape(label)}</text>',
            f'<rect x="{_LABELS}" y="{top}" width="{length:.1f}" height="{_BAR}" fill="{colour}"/>',
            f'<text x="{_LABELS + length + 6:.1f}" y="{text_y}">{value:{form}} {escape(unit)}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"

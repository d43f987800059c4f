"""Signatures of mainland China: the sender's name in 【】, which every text must carry."""

from __future__ import annotations


def bare(signature: str) -> str:
    """`【Acme】` or `Acme` as `Acme`."""
    return signature.strip().removeprefix("【").removesuffix("】").strip()


def bracketed(signature: str) -> str:
    """`Acme` or `【Acme】` as `【Acme】`; empty stays empty."""
    name = bare(signature)
    return f"【{name}】" if name else ""


def parted(text: str) -> tuple[str, str]:
    """The name in the 【…】 that a text begins or ends with, and the text without it; no name where there is none."""
    stripped = text.strip()
    end = stripped.find("】") + 1
    if stripped.startswith("【") and (name := bare(stripped[:end])):
        return name, stripped[end:]
    start = stripped.rfind("【")
    if stripped.endswith("】") and start >= 0 and (name := bare(stripped[start:])):
        return name, stripped[:start]
    return "", text


def is_signed(text: str) -> bool:
    """True where the text itself begins or ends with a 【…】 that holds something."""
    return bool(parted(text)[0])

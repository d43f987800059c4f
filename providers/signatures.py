"""Signatures of mainland China: the sender's name in 【】, which every text must carry."""

from __future__ import annotations


def bare(signature: str) -> str:
    """`【Acme】` or `Acme` as `Acme`."""
    return signature.strip().removeprefix("【").removesuffix("】").strip()


def bracketed(signature: str) -> str:
    """`Acme` or `【Acme】` as `【Acme】`; empty stays empty."""
    name = bare(signature)
    return f"【{name}】" if name else ""


def is_signed(text: str) -> bool:
    """True where the text itself begins or ends with a 【…】 that holds something."""
    stripped = text.strip()
    if stripped.startswith("【") and bare(stripped[: stripped.find("】") + 1]):
        return True
    return stripped.endswith("】") and "【" in stripped and bool(bare(stripped[stripped.rfind("【") :]))

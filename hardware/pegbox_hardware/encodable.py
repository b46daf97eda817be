"""Text from the system that may hold bytes which no JSON and no UTF-8 file can."""

from __future__ import annotations


def encodable(text: str) -> str:
    r"""Write the odd bytes of a path or a variable, which Python keeps as lone surrogates, as escapes like `\udcff`."""
    return text.encode("utf-8", errors="backslashreplace").decode("utf-8")

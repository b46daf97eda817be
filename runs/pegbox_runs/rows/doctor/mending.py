"""Texts that were damaged on their way into the file: found, and mended where nothing was lost."""

from __future__ import annotations

import re

from ftfy import TextFixerConfig, fix_encoding
from ftfy.badness import is_bad
from ftfy.chardata import UTF8_DETECTOR_RE

LOST = "\ufffd"
"""Stands where a character couldn't be decoded: what it was is lost."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff]")
# A terminal's commands, whole: without its ESC, "[31m" would be left as text. Source: ECMA-48, sections 5.4 and 5.6.
_ESCAPE = re.compile(
    "\x1b\\[[0-?]{0,64}[ -/]{0,8}[@-~]|\x1b[\\]P^_X][^\x07\x1b]{0,4096}(?:\x07|\x1b\\\\)|\x1b[ -/]?[0-~]"
)
# Only what undoes a wrong decoding. Quotes, ligatures, widths and HTML are how people write, and stay.
_CONFIG = TextFixerConfig(
    unescape_html=False,
    remove_terminal_escapes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    fix_line_breaks=False,
    fix_surrogates=False,
    remove_control_chars=False,
    normalization=None,
    explain=False,
)
AROUND = 30
"""Characters shown on both sides of a damaged place."""


def find_controls(text: str) -> str | None:
    """Show where a text holds a control character, or a mark of byte order within; None if it doesn't."""
    found = _CONTROL.search(text)
    if found is None or ("\x80" <= found[0] <= "\x9f" and find_damage(text) is not None):
        return None  # wrongly decoded letters leave such ones behind, and are told of as what they are
    return _passage(text, found.start())


def find_damage(text: str) -> str | None:
    """Show where a text was decoded wrongly; None if it wasn't, as far as one can tell.

    Source: ftfy's heuristic (ftfy.badness); and only if ftfy also knows what it was, or a character is lost for good.
    """
    if text.isascii():
        return None
    lost = text.find(LOST)
    if lost >= 0:
        return _passage(text, lost)
    # The bytes of UTF-8 taken for single letters: without any, ftfy's slower look finds nothing that it could mend.
    suspect = UTF8_DETECTOR_RE.search(text)
    if suspect and is_bad(text) and mend_encoding(text) != text:
        return _passage(text, suspect.start())
    return None


def mend_encoding(text: str) -> str:
    """Decode again, rightly, what was decoded wrongly."""
    return fix_encoding(text, _CONFIG)


def mend_controls(text: str) -> str:
    """Leave out control characters, and terminal commands as a whole."""
    return _CONTROL.sub("", _ESCAPE.sub("", text))


def _passage(text: str, place: int) -> str:
    return text[max(0, place - AROUND) : place + AROUND]

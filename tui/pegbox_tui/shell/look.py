"""How the screens are drawn on this terminal, as the person asked and the surroundings say."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pegbox_methods.home import home
from pegbox_methods.refusal import Refusal
from pegbox_runs.whole_file import write_whole


@dataclass(frozen=True)
class Look:
    """What may be drawn, and how often."""

    ascii: bool = False
    """Letters and signs of ASCII alone: charts, bars and frames too."""
    calm: bool = False
    """No animation, and one update every five seconds: for slow lines."""
    dark: bool = True
    mouse: bool = True
    """False inside GNU screen: where a program follows the mouse, it holds Escape back until another key comes."""

    @classmethod
    def here(cls, *, ascii: bool = False, calm: bool = False, environment: Mapping[str, str] | None = None) -> Look:  # noqa: A002
        """Read the surroundings and what was chosen before; what is asked for by name counts more."""
        given = os.environ if environment is None else environment
        encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
        kept = kept_choices()
        theme = given.get("PEGBOX_THEME") or kept.get("theme")
        return cls(
            ascii=ascii
            or _is_on(given, "PEGBOX_ASCII")
            or _is_c_locale(given)
            or encoding not in {"utf8", "utf16", "utf32"},
            calm=calm or _is_on(given, "PEGBOX_CALM") or kept.get("calm") is True,
            dark=theme != "light",
            mouse=not given.get("STY"),
        )


def _is_on(given: Mapping[str, str], name: str) -> bool:
    return given.get(name, "") not in {"", "0"}


def _is_c_locale(given: Mapping[str, str]) -> bool:
    """Tell whether the C locale was asked for by name: Python's own encoding is UTF-8 even there (PEP 540).

    A locale that nobody set says nothing: rented machines have none, and their users' terminals have Unicode.
    """
    named = next((given[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if given.get(name)), "")
    return named in {"C", "POSIX"}


def look_file() -> Path:
    """Give the file of what the person chose in the palette. It may not exist."""
    return home() / "look.json"


def kept_choices() -> dict[str, object]:
    """Read what was chosen before: `theme` (dark or light) and `calm`; nothing where that can't be read."""
    try:
        kept = json.loads(look_file().read_bytes())
    except (OSError, ValueError, RecursionError, Refusal):
        return {}
    return kept if isinstance(kept, dict) else {}


def keep_choice(name: str, value: object) -> None:
    """Keep one choice for the next time.

    Raises: OSError: the place can't be written.
    """
    path = look_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, json.dumps({**kept_choices(), name: value}).encode())

"""The terminal in front of the person, and how it hangs together with this machine."""

from __future__ import annotations

import os
from typing import Literal

import msgspec
import psutil

from pegbox_hardware.encodable import encodable


class Terminal(msgspec.Struct, frozen=True, kw_only=True):
    """What the screens can count on."""

    term: str | None
    """TERM."""
    colors: str | None
    """COLORTERM: `truecolor` where the terminal says so."""
    columns: int | None
    """None where there is no terminal."""
    lines: int | None
    ssh: bool
    """Whether the person came in over SSH."""
    multiplexer: Literal["tmux", "screen", "zellij"] | None
    """What keeps a session alive without its terminal, if this one runs inside it."""


def read_terminal() -> Terminal:
    """Read it now."""
    size = _size()
    return Terminal(
        term=_variable("TERM"),
        colors=_variable("COLORTERM"),
        columns=size and size.columns,
        lines=size and size.lines,
        ssh=_over_ssh(),
        multiplexer=_multiplexer(),
    )


def _variable(name: str) -> str | None:
    value = os.environ.get(name)
    return encodable(value) if value else None


def _size() -> os.terminal_size | None:
    for stream in (1, 2, 0):
        try:
            return os.get_terminal_size(stream)
        except OSError:
            continue
    return None


def _over_ssh() -> bool:
    """Look at the variables SSH sets, then at the parents: `sudo` and `su -` drop the variables."""
    if any(os.environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")):
        return True
    try:
        return any(parent.name().startswith(("sshd", "mosh-server")) for parent in psutil.Process().parents())
    except (psutil.Error, OSError):
        return False


def _multiplexer() -> Literal["tmux", "screen", "zellij"] | None:
    if os.environ.get("TMUX"):
        return "tmux"
    if os.environ.get("STY"):
        return "screen"
    return "zellij" if os.environ.get("ZELLIJ") else None

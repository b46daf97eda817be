"""The tables of both tools: which keys mean what by another name, and which mean nothing here, and why."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Keys that are left for one reason."""

    why: str
    keys: tuple[str, ...]


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """One tool's."""

    tool: str
    source: str
    """Which files of which version they are made after."""
    named: dict[str, str]
    """Another name for one of our keys, value for value."""
    does: tuple[Group, ...]
    """Keys that ask for what Pegbox does anyway, or that choose between equals."""
    off: tuple[Group, ...]
    """Keys that mean nothing as long as they are false, 0 or "none", and can't be had otherwise."""
    left: tuple[Group, ...]
    """Keys that can't be carried over whatever they say."""


@cache
def tables(name: str) -> Tables:
    """Read a tool's tables, which lie beside this file."""
    text = (Path(__file__).parent / f"{name}.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Tables)

"""Profile tables as files: read from TOML, checked, and laid over one another."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from pegbox_hardware.profile_rows import Accelerator, CardRow, LinkRow, Policy, plain


class BadProfiles(ValueError):
    """A profile table that can't be used: which file, row and key, what was found, what is accepted."""


def read_tables(
    paths: Iterable[Path],
) -> tuple[dict[str, Policy], dict[str, CardRow], dict[str, LinkRow]]:
    """Read tables, each over those before it: a row of the same name replaces, another one adds.

    Returns: (policies by name, cards by name, links by name).
    Raises: BadProfiles: a file that isn't such a table.
    """
    policies: dict[str, Policy] = {}
    cards: dict[str, CardRow] = {}
    links: dict[str, LinkRow] = {}
    for path in paths:
        table = _table(path)
        policies |= _rows(path, table, "policy", Policy)
        cards |= _rows(path, table, "card", CardRow)
        links |= _rows(path, table, "link", LinkRow)
    return policies, cards, links


def _table(path: Path) -> Mapping[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadProfiles(f"{path}: can't be read as TOML: {error}") from None
    for key in table:
        if key not in ("policy", "card", "link") or not isinstance(table[key], list):
            raise BadProfiles(f"{path}: key {key!r}: accepted are rows of [[policy]], of [[card]] and of [[link]]")
    return table


Row = TypeVar("Row", Policy, CardRow, LinkRow)


def _rows(path: Path, table: Mapping[str, Any], kind: str, record: type[Row]) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for number, raw in enumerate(table.get(kind, ()), start=1):
        name = raw.get("name", f"number {number}") if isinstance(raw, dict) else f"number {number}"
        try:
            row = msgspec.convert(raw, record)
        except msgspec.ValidationError as error:
            raise BadProfiles(f"{path}: [[{kind}]] {name!r}: {_reason(str(error), raw, record)}") from None
        if row.name in rows:
            raise BadProfiles(f"{path}: [[{kind}]] {name!r}: two rows have that name; names are given once")
        rows[row.name] = row
    return rows


def _reason(message: str, raw: object, record: type) -> str:
    """Name key, value and what is accepted, out of msgspec's message."""
    text, _, place = message.partition(" - at `$")
    keys = re.findall(r"\.([a-z0-9_]+)", place)
    value, hint = raw, record
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else value
        hint = get_type_hints(hint).get(key, object) if isinstance(hint, type) else object
    if not keys:
        return text
    accepted = [str(choice) for choice in _choices(hint)]
    closing = f"; accepted: {', '.join(accepted)}" if accepted else ""
    return f"{'.'.join(keys)} = {value!r}: {text}{closing}"


def _choices(hint: object) -> Iterable[object]:
    """List a Literal's values, also inside a tuple or an optional."""
    parts = get_args(hint)
    if parts and all(isinstance(part, str) for part in parts):
        return parts
    return [choice for part in parts for choice in _choices(part)]


def check_tiling(policies: Iterable[Policy], path: Path) -> None:
    """Prove that each accelerator class is covered once: every capability from 0.0 up, every memory from 0 up.

    Bounds cut the plane into cells, and inside a cell nothing changes, so its lower corner speaks for all of it.
    Raises: BadProfiles: naming the first cell that no policy or more than one covers.
    """
    rows = list(policies)
    for accelerator in get_args(Accelerator):
        own = [row for row in rows if row.accelerator == accelerator]
        for row in own:
            _check_range(row, path)
        capabilities = sorted(
            {(0, 0)} | {row.capability_from for row in own} | _bounds(r.capability_below for r in own)
        )
        sizes = sorted({0.0} | {row.memory_from_gib for row in own} | _bounds(row.memory_below_gib for row in own))
        for capability in capabilities:
            for size, end in pairwise([*sizes, float("inf")]):
                names = [row.name for row in own if row.covers(capability, size)]
                if len(names) != 1:
                    found = f"{len(names)} policies ({', '.join(names)})" if names else "no policy"
                    raise BadProfiles(
                        f"{path}: {found} for {accelerator}, capability {capability[0]}.{capability[1]}, "
                        f"{size:g} to {end:g} GiB; accepted is exactly one"
                    )


def _check_range(row: Policy, path: Path) -> None:
    if row.memory_below_gib is not None and row.memory_below_gib <= row.memory_from_gib:
        found, least = f"memory_below_gib = {row.memory_below_gib:g}", f"{row.memory_from_gib:g}"
    elif row.capability_below is not None and row.capability_below <= row.capability_from:
        found, least = f"capability_below = {list(row.capability_below)}", f"{list(row.capability_from)}"
    else:
        return
    raise BadProfiles(f"{path}: [[policy]] {row.name!r}: {found}: accepted is more than {least}")


T = TypeVar("T")


def _bounds(values: Iterable[T | None]) -> set[T]:
    return {value for value in values if value is not None}


def index_names(cards: Iterable[CardRow], path: Path) -> dict[str, tuple[CardRow, ...]]:
    """Map the plain names to their cards.

    Raises: BadProfiles: one name for two cards that memory doesn't tell apart.
    """
    found: dict[str, list[CardRow]] = {}
    for card in cards:
        for key in dict.fromkeys(plain(name) for name in (card.name, *card.names)):
            for other in found.setdefault(key, []):
                if other.memory_gib == card.memory_gib:
                    raise BadProfiles(
                        f"{path}: [[card]] {card.name!r}: names: {key!r} already means {other.name!r}, "
                        "of the same memory; accepted are names that tell them apart"
                    )
            found[key].append(card)
    return {key: tuple(sorted(rows, key=lambda row: row.memory_gib)) for key, rows in found.items()}

"""The hardware-profile table: what to try first on a kind of accelerator, and how fast a card is."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import get_args

import msgspec

from pegbox_hardware.profile_rows import GIB, Accelerator, Capability, CardRow, LinkRow, Policy, Source, plain
from pegbox_hardware.profile_table import BadProfiles, check_tiling, index_names, read_tables

__all__ = ["BadProfiles", "CardRow", "Policy", "Profiles", "Source", "UnknownCard", "load_profiles"]

PACKAGED = Path(__file__).with_name("profiles.toml")


class UnknownCard(ValueError):
    """No row of the table answers to that name."""


class Profiles(msgspec.Struct, frozen=True, kw_only=True):
    """The whole table, checked: policies tile each accelerator class, and no name means two cards of one size."""

    policies: tuple[Policy, ...]
    cards: tuple[CardRow, ...]
    by_name: dict[str, tuple[CardRow, ...]]
    """Plain form of a name -> its cards, smallest memory first."""
    links: dict[str, LinkRow] = {}

    def policy(self, accelerator: Accelerator, capability: Capability | None, memory_bytes: int) -> Policy:
        """Find the one policy for a device; an unknown capability counts as the oldest.

        Raises: ValueError: no such accelerator class, or negative memory.
        """
        place = capability or (0, 0), memory_bytes / GIB
        for policy in self.policies:
            if policy.accelerator == accelerator and policy.covers(*place):
                return policy
        raise ValueError(
            f"no policy for accelerator {accelerator!r} with {place[1]:.1f} GiB: "
            f"Pegbox knows {', '.join(get_args(Accelerator))}, and memory is at least 0"
        )

    def margin(self, policy: Policy, card: CardRow | None) -> float:
        """Add what the card's desktop or system may take to the policy's share of memory that stays free."""
        return policy.margin + (card.shared_margin if card else 0.0)

    def card(self, name: str) -> CardRow:
        """Find a card by a name as people type it, with or without its memory: "4090", "a100-40", "4060 ti 16gb".

        Without a size the smallest of several is meant; on unified memory the size replaces the row's.
        Raises: UnknownCard: with the names that come close.
        """
        if found := self.by_name.get(plain(name)):
            return found[0]
        sized = re.fullmatch(r"(.+?)[\s_-]+(\d{1,3})\s*(?:g|gb|gib)?\)?", name.strip(), re.IGNORECASE)
        rows = self.by_name.get(plain(sized[1]), ()) if sized else ()
        for row in rows:
            if sized and row.unified and int(sized[2]) > 0:
                return msgspec.structs.replace(row, memory_gib=float(sized[2]), driver_mib=None)
            if sized and abs(row.memory_gib - float(sized[2])) <= 1:
                return row
        if rows:
            sizes = " or ".join(f"{row.memory_gib:g}" for row in rows)
            raise UnknownCard(f"no {rows[0].name!r} with that memory is known: it has {sizes} GiB")
        close = self._close(name)
        hint = f"did you mean {' or '.join(close)}?" if close else "give its memory instead (--vram)."
        raise UnknownCard(f"no card named {name!r} is known; {hint} A row in your own profiles.toml adds one.")

    def card_of(self, gpu_name: str, memory_bytes: int | None = None) -> CardRow | None:
        """Find the row of a device by the driver's name; of several, the one whose memory is nearest.

        Returns: None for an unknown card, and for a MIG slice, whose speed is not its card's.
        """
        rows = self.by_name.get(plain(gpu_name), ())
        if memory_bytes is None or not rows:
            return rows[0] if rows else None
        return min(rows, key=lambda row: abs(row.memory_bytes - memory_bytes))

    def card_link(
        self, capability: Capability | None, nvlinks: int | None, pcie: tuple[int | None, int | None]
    ) -> LinkRow:
        """Find the way between two alike cards of one machine: NVLink where it is up, else PCIe of what is known of it.

        `pcie`: (generation, lanes).
        """
        rows = [row for row in self.links.values() if row.kind == "nvlink" and row.capability_from is not None]
        known = [row for row in rows if (row.capability_from or (0, 0)) <= (capability or (0, 0))]
        if nvlinks and known:
            row = max(known, key=lambda row: row.capability_from or (0, 0))
            return row.times(nvlinks, f"{row.name}, {nvlinks} links")
        generation, lanes = pcie
        buses = [row for row in self.links.values() if row.kind == "pcie"]
        row = next((row for row in buses if row.generation == generation), None) or next(
            row for row in buses if row.generation is None
        )
        return row if row.generation is None or lanes is None else row.times(lanes / 16, f"{row.name} x{lanes}")

    def network(self, gbit: float | None) -> LinkRow:
        """Find the way between machines; `gbit`: its speed in Gbit/s, None: it isn't known."""
        rows = [row for row in self.links.values() if row.kind == "network"]
        row = next(row for row in rows if (row.generation is None) == (gbit is None))
        return row if gbit is None else row.times(gbit, f"a network of {gbit:g} Gbit/s")

    @property
    def shared_memory(self) -> LinkRow:
        """Find the way between processes of one processor."""
        return next(row for row in self.links.values() if row.kind == "memory")

    def _close(self, name: str) -> list[str]:
        from difflib import get_close_matches

        wanted = plain(name)
        parts = [key for key in self.by_name if len(wanted) >= 3 and wanted in key]
        near = parts or get_close_matches(wanted, self.by_name, n=6, cutoff=0.6)
        return list(dict.fromkeys(self.by_name[key][0].name for key in near))[:3]


def load_profiles(extra: Path | None = None) -> Profiles:
    """Read the packaged table and, over it, the user's own: a row of the same name replaces, another one adds.

    `extra` stands for the user's file; by default profiles.toml in the platform's folder for Pegbox's configuration.
    Read once, and again when the file changes.
    Raises: BadProfiles: a file that isn't such a table, or rows that leave a gap, overlap, or share a name.
    """
    if extra is None:
        import platformdirs

        own = platformdirs.user_config_path("pegbox") / "profiles.toml"
        return _loaded(own, own.stat().st_mtime_ns) if own.is_file() else _loaded(None, 0)
    if not extra.is_file():
        raise BadProfiles(f"{extra}: no such file; a profile table is a TOML file with [[policy]] and [[card]] rows")
    return _loaded(extra, extra.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _loaded(own: Path | None, _changed: int) -> Profiles:
    policies, cards, links = read_tables((PACKAGED, own) if own else (PACKAGED,))
    blame = own or PACKAGED
    check_tiling(policies.values(), blame)
    by_name = index_names(cards.values(), blame)
    return Profiles(policies=tuple(policies.values()), cards=tuple(cards.values()), by_name=by_name, links=links)

"""Reading another tool's YAML: plain values only, of bounded size, nothing of it dropped without a word."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line, printable

MOST_BYTES = 2**20
MOST_ALIASES = 100
"""Each stands for a whole part of the file, so a few of them in each other unfold to more than memory holds."""


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, that also minds keys which come twice and aliases without end."""

    aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Count the aliases."""
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > MOST_ALIASES:
                raise yaml.YAMLError(f"more than {MOST_ALIASES} aliases")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that is there twice: YAML would let the last one win without a word."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                raise yaml.YAMLError(f"the key {key.value!r} is there twice, at line {key.start_mark.line + 1}")
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top is a table.

    Raises: Refusal: it isn't there, is too large, isn't YAML, or holds something else.
    """
    shown = printable(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Refusal(f"{shown}: can't be read: {error.strerror}. Give the path of a YAML file.") from None
    if len(content) > MOST_BYTES:
        raise Refusal(f"{shown}: is larger than {MOST_BYTES:,} bytes; no recipe of these tools is.")
    try:
        table = yaml.load(content.decode("utf-8-sig"), Loader=PlainLoader)  # noqa: S506  # it is the safe one, and more
    except UnicodeDecodeError as error:
        raise Refusal(f"{shown}: not UTF-8 at byte {error.start}.") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise Refusal(f"{shown}: can't be read as plain YAML: {one_line(str(error), 200)}.") from None
    if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
        raise Refusal(f"{shown}: expected a table of keys and values, as recipes of Axolotl and LLaMA-Factory are.")
    return table

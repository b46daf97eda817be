"""Reading another tool's YAML: plain values only, of bounded size, nothing of it dropped without a word."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from pegbox_methods.refusal import Refusal
from pegbox_runs.foreign.hiding import hidden_text
from pegbox_runs.printable import one_line, printable

MOST_BYTES = 2**20
MOST_CHARACTERS = 4 * MOST_BYTES
"""Of all values, each alias unfolded: a few of them in each other stand for more than memory holds."""
LEAST_NUMBER, LARGEST_NUMBER = -(2**63), 2**64 - 1
"""Of whole numbers, as JSON writes them for others to read."""


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, that also minds keys which come twice, aliases without end, and values that no other file
    could hold."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._sizes: dict[yaml.Node, int] = {}
        """Characters of each part that is read whole, its aliases unfolded."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Measure each part before any of it is unfolded."""
        alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if node is None:
            return None
        if alias and node not in self._sizes:
            raise yaml.YAMLError(f"a part that holds itself, at line {node.start_mark.line + 1}")
        if not alias:
            self._sizes[node] = self._size(node)
        if self._sizes[node] > MOST_CHARACTERS:
            raise yaml.YAMLError(f"its aliases unfold to more than {MOST_CHARACTERS:,} characters")
        return node

    def _size(self, node: yaml.Node) -> int:
        if isinstance(node, yaml.ScalarNode):
            if any("\ud800" <= character <= "\udfff" for character in node.value):
                raise yaml.YAMLError(f"half a character at line {node.start_mark.line + 1}")
            return 1 + len(node.value)
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        return 1 + sum(self._sizes[part] for part in parts)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Refuse a whole number that no other file could hold."""
        number = super().construct_yaml_int(node)
        if not LEAST_NUMBER <= number <= LARGEST_NUMBER:
            raise yaml.YAMLError(f"the number at line {node.start_mark.line + 1} has more than 64 bits")
        return number

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


PlainLoader.add_constructor("tag:yaml.org,2002:int", PlainLoader.construct_yaml_int)


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
        raise Refusal(f"{shown}: can't be read as plain YAML: {one_line(hidden_text(str(error)), 200)}.") from None
    if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
        raise Refusal(f"{shown}: expected a table of keys and values, as recipes of Axolotl and LLaMA-Factory are.")
    return table

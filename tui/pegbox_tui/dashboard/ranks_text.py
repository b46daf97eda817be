"""Where a method that moves rank has put it: a row a layer, a column a kind of matrix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rich.text import Text

from pegbox_methods.events import Ranks
from pegbox_runs.printable import one_line
from pegbox_runs.run_state import RunState

LAYER = re.compile(r"\.(\d+)\.")
"""The first number between dots in a matrix' name is that of its layer, in all models of transformers."""
CELL = 6
OTHERS = -1


def rank_lines(state: RunState, width: int) -> list[Text]:
    """Draw them; or say why there are none."""
    if state.ranks is None or not state.ranks.ranks:
        return [
            Text("this method gives every matrix the same rank, or hasn't moved any yet", "dim"),
            Text("AdaLoRA begins to move rank after its first steps; then each layer shows here", "dim"),
        ]
    return list(_drawn(state.ranks, width))


def _drawn(ranks: Ranks, width: int) -> Iterator[Text]:
    total = sum(ranks.ranks.values())
    empty = sum(1 for rank in ranks.ranks.values() if rank == 0)
    yield Text(f"after step {ranks.step:,}: {total:,} ranks in use of {ranks.before:,} before the first move")
    low, high = min(ranks.ranks.values()), max(ranks.ranks.values())
    spread = f"from {low} to {high} a matrix"
    yield Text(spread + (f"; {empty} of {len(ranks.ranks):,} have none left" if empty else ""), "dim")
    table = by_layer(ranks.ranks)
    kinds = list(dict.fromkeys(kind for row in table.values() for kind in row))
    shown = kinds[: max((width - 30) // (CELL + 1), 1)]
    names = " ".join(f"{short(kind)[:CELL]:>{CELL}}" for kind in shown)
    yield Text(f"{'layer':>5} {names} {'sum':>6}", "bold")
    room = max(width - 6 - len(shown) * (CELL + 1) - 9, 4)
    most = max(sum(row.values()) for row in table.values()) or 1
    for layer in sorted(table):
        row = table[layer]
        cells = " ".join(f"{row.get(kind, '-'):>{CELL}}" for kind in shown)
        whole = sum(row.values())
        name = "other" if layer == OTHERS else str(layer)
        yield Text(f"{name:>5} {cells} {whole:>6}  ", no_wrap=True).append("█" * round(whole / most * room), "cyan")
    if len(kinds) > len(shown):
        yield Text(f"{len(kinds) - len(shown)} more kinds of matrix are in the sums; a wider screen shows them", "dim")


def by_layer(ranks: Mapping[str, int]) -> dict[int, dict[str, int]]:
    """Sort ranks by layer and kind of matrix; those without a layer's number are put together as -1."""
    table: dict[int, dict[str, int]] = {}
    for name, rank in ranks.items():
        found = LAYER.search(f".{name}.")
        layer = int(found[1]) if found and len(found[1]) < 7 else OTHERS
        kind = one_line(name.rpartition(".")[2] if layer != OTHERS else name, 60)
        row = table.setdefault(layer, {})
        row[kind] = row.get(kind, 0) + rank
    return table


def short(kind: str) -> str:
    """Leave out of a matrix' name what all have: `q_proj` is q."""
    return kind.removesuffix("_proj").removesuffix("_lin") or kind

"""What all processes of a run must have alike, looked at before the first step, and what differs, by name."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import torch

from pegbox_methods.events import Event, Notice
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.base_prints import BasePrints
from pegbox_runs.crew.nodes.differing import differing_versions, plain, versions_here, without_places
from pegbox_runs.environment import changed_part, prints_of
from pegbox_runs.models import find_model
from pegbox_runs.printable import one_line
from pegbox_runs.rows.loading import find_rows
from pegbox_worker.ranks.group import Group

SKEW_SECONDS = 5.0
"""Between two machines' clocks, from which on it is told."""
NODE = "GROUP_RANK"
"""Variable in which torch's launcher tells a process its machine's number."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What one process says of itself and of its machine."""

    rank: int
    host: str
    node: int
    """Its machine's number."""
    device: str
    """`cpu`, or the card's name."""
    versions: dict[str, str | None]
    recipe: str
    """Hash of the recipe, but for where files lie."""
    clock: float
    """Seconds since 1970, taken by all at once."""
    rows: tuple[str, str | None] | None = None
    """Hashes of the rows and of the held-out ones; None: another process of its machine looked."""
    base: tuple[str, str | None, str | None, str | None] | None = None
    """Hashes of the base model, as BasePrints has them."""
    fault: str = ""
    """Why these can't be told."""

    @property
    def name(self) -> str:
        """Name it for people."""
        return f"rank {self.rank} on {self.host}"


def compare(group: Group, recipe: Recipe, device: torch.device, tell: Callable[[Event], None]) -> None:
    """Hold all processes against the leading one.

    On one machine nothing can differ but the cards, and files aren't looked at.
    Raises: Refusal, on all alike: what changes results differs.
    """
    if group.processes == 1:
        return
    nodes = {int(node) for (node,) in group.gather([float(_node())])}
    mine = facts_here(group, recipe, device, several=len(nodes) > 1)
    group.wait()
    mine = msgspec.structs.replace(mine, clock=time.time())
    said = [msgspec.json.decode(content, type=Facts) for content in group.collect(msgspec.json.encode(mine))]
    wrong = obstacles(said, from_hub=_from_hub(recipe), quantized=recipe.model.quantization == "nf4")
    if wrong:
        raise Refusal(" ".join(wrong))
    for text in remarks(said, quantized=recipe.model.quantization == "nf4"):
        tell(Notice(text=text, about="nodes"))


def facts_here(group: Group, recipe: Recipe, device: torch.device, *, several: bool) -> Facts:
    """Gather what this process can say. `several`: there are other machines, so files may differ."""
    told = Facts(
        rank=group.rank,
        host=socket.gethostname(),
        node=_node(),
        device="cpu" if device.type == "cpu" else torch.cuda.get_device_name(device),
        versions=versions_here(),
        recipe=hashlib.sha256(msgspec.json.encode(without_places(plain(recipe)), order="sorted")).hexdigest(),
        clock=0.0,
    )
    if not several or group.local_rank:
        return told
    try:
        found, prints = find_rows(recipe), prints_of(find_model(recipe.model), recipe.model)
    except Refusal as refusal:
        return msgspec.structs.replace(told, fault=refusal.sentence)
    except OSError as error:
        return msgspec.structs.replace(told, fault=str(error))
    base = (prints.model_sha256, prints.weights_sha256, prints.tokenizer_sha256, prints.template_sha256)
    return msgspec.structs.replace(told, rows=(found.sha256, found.held_out_sha256), base=base)


def obstacles(said: Sequence[Facts], *, from_hub: bool, quantized: bool) -> list[str]:
    """Name what differs and changes results, a sentence each; every machine's first process is heard."""
    head, found = said[0], []
    for one in _one_a_node(said):
        if one.fault:
            found.append(f"{one.name}: {one_line(one.fault, 400)}")
        if one is head:
            continue
        harmful, _ = differing_versions(one.versions, head.versions, quantized=quantized)
        if harmful:
            found.append(
                f"{one.name} has other versions than {head.name}: {one_line('; '.join(harmful), 400)}. Install the "
                "same on both."
            )
        if one.recipe != head.recipe:
            found.append(f"{one.name} has another recipe than {head.name}. Give all machines the same.")
        if one.rows is not None and head.rows is not None and one.rows != head.rows:
            which = "rows" if one.rows[0] != head.rows[0] else "held-out rows"
            found.append(
                f"{one.name} has other {which} than {head.name}: their files differ. Copy node 0's file there."
            )
        part = _other_base(head, one, from_hub=from_hub)
        if part is not None:
            found.append(
                f"{one.name} has another base model than {head.name}: its {part} differs. Copy node 0's there."
            )
    return found


def remarks(said: Sequence[Facts], *, quantized: bool) -> list[str]:
    """Name what differs and is worth to know, a sentence each."""
    found = []
    cards = Counter(one.device for one in said)
    if len(cards) > 1:
        kinds = ", ".join(f"{count} x {one_line(name, 80)}" for name, count in sorted(cards.items()))
        found.append(f"the processes are on devices of several kinds ({kinds}): the slowest decides the pace of all.")
    head = said[0]
    for one in _one_a_node(said)[1:]:
        ahead = one.clock - head.clock
        if abs(ahead) > SKEW_SECONDS:
            found.append(
                f"the clock of {one.host} is {abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} that of "
                f"{head.host}. All times here are {head.host}'s."
            )
        _, harmless = differing_versions(one.versions, head.versions, quantized=quantized)
        if harmless:
            found.append(
                f"{one.host} has other versions than {head.host} of what computes nothing: "
                f"{one_line('; '.join(harmless), 300)}."
            )
    return found


def _one_a_node(said: Sequence[Facts]) -> list[Facts]:
    first: dict[int, Facts] = {}
    for one in said:
        first.setdefault(one.node, one)
    return [first[node] for node in sorted(first)]


def _other_base(head: Facts, one: Facts, *, from_hub: bool) -> str | None:
    if head.base is None or one.base is None:
        return None
    return changed_part(BasePrints(*head.base), BasePrints(*one.base), from_hub=from_hub)


def _from_hub(recipe: Recipe) -> bool:
    try:
        return find_model(recipe.model).from_hub
    except (Refusal, OSError):
        return False


def _node() -> int:
    return int(os.environ.get(NODE, "0"))

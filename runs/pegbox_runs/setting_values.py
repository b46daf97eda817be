"""A draft's values on top of an advice: the recipe that comes of it, what it couldn't take, what moved along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import msgspec

from pegbox_methods.advice.records import Advice
from pegbox_methods.card import Card
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_faults import contradictions, table_faults
from pegbox_methods.recipe_file import complete_recipe
from pegbox_methods.refusal import Fault, Refusal
from pegbox_runs.drafts import Draft
from pegbox_runs.printable import one_line

SETTINGS = "method.settings."
MICRO = "training.micro_batch"
PROCESSES = "devices.processes"
NO_ROWS = "-"
FILE = "the recipe"


class Composed(msgspec.Struct, frozen=True, kw_only=True):
    """A complete recipe, with the story of how it came about."""

    recipe: Recipe
    faults: tuple[str, ...]
    left_out: tuple[str, ...]
    """Keys of values that the recipe couldn't take."""
    follows: dict[str, str]
    """Key -> why its value moved, though nobody set it."""


def composed(draft: Draft, advice: Advice, card: Card, *, own_settings: bool = True) -> Composed:
    """Make a draft's recipe. Never raises: a value that can't be taken is left out and told as a fault.

    `own_settings`: whether the values of `method.settings` are for this method; else they are left alone.
    """
    values = dict(draft.values) if own_settings else _without_settings(draft.values)
    faults: list[str] = []
    left_out: list[str] = []
    while True:
        follows = _following(values, advice, card)
        table, unknown = _filled(_table(draft, advice), values, follows)
        found = () if unknown else _faults(table, card)
        wrong = [*unknown, *(key for key in values if any(_names(fault.key, key) for fault in found))]
        faults += [f"{key}: no recipe has such a key." for key in unknown]
        faults += map(sentence_of, found)
        if not wrong:
            break
        left_out += wrong
        values = {key: value for key, value in values.items() if key not in wrong}
    if found:  # in what isn't set here: the rows or their split
        for rows in (True, False):
            table, _ = _filled(_table(draft, advice, rows=rows, split=False), values, follows)
            if not _faults(table, card):
                break
    return Composed(
        recipe=complete_recipe(msgspec.convert(table, Recipe), card, file=FILE),
        faults=tuple(dict.fromkeys(faults)),
        left_out=tuple(left_out),
        follows={key: why for key, (_, why) in follows.items()},
    )


def sentence_of(fault: Fault) -> str:
    """Say what is wrong with a value, without a file's name: the person is looking at it."""
    said = fault.key if fault.value is None else f"{fault.key} = {one_line(fault.value, 120)}"
    return f"{said}: {fault.problem.rstrip('.')}."


def _without_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if not key.startswith(SETTINGS)}


def _table(draft: Draft, advice: Advice, *, rows: bool = True, split: bool = True) -> dict[str, Any]:
    """Lay out what was answered and what is advised as a recipe's tables, each of them new."""
    named: dict[str, Any] = {"file": NO_ROWS}
    if draft.rows is not None and rows:
        named = _present(msgspec.to_builtins(draft.rows))
    model = {"name": "?"} if draft.model is None else _present(msgspec.to_builtins(draft.model))
    own = advice.settings
    return {
        "model": model,
        "rows": named,
        "split": _present(msgspec.to_builtins(draft.split)) if split else {},
        "method": {"name": advice.method, "settings": dict(own["method"]["settings"])},
        "training": dict(own["training"]),
        "evaluation": dict(own["evaluation"]),
        "output": {},
        "recovery": {},
        "seeds": {},
        "devices": dict(own.get("devices", {})),
    }


def _filled(
    table: dict[str, Any], values: Mapping[str, Any], follows: Mapping[str, tuple[Any, str]]
) -> tuple[dict[str, Any], list[str]]:
    """Put values into a recipe's tables. Returns: (them, the keys that no table has room for)."""
    unknown = [key for key, value in values.items() if not _put(table, key, value)]
    for key, (value, _) in follows.items():
        _put(table, key, value)
    return table, unknown


def _present(table: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is None: TOML, which recipes are checked as, has no such value."""
    return {
        key: [_present(one) if isinstance(one, dict) else one for one in value] if isinstance(value, list) else value
        for key, value in table.items()
        if value is not None
    }


def _put(table: dict[str, Any], key: str, value: Any) -> bool:
    """Put a value where its dotted key says. Returns: whether there is such a table."""
    *path, name = key.split(".")
    inner: Any = table
    for part in path:
        inner = inner.get(part)
        if not isinstance(inner, dict):
            return False
    if not path or key == "method.name" or isinstance(inner.get(name), dict):
        return False
    if value is None:
        inner.pop(name, None)
    else:
        inner[name] = value
    return True


def _names(fault: str, key: str) -> bool:
    return fault == key or fault.startswith((f"{key}.", f"{key}["))


def _faults(table: dict[str, Any], card: Card) -> tuple[Fault, ...]:
    """Find all that is wrong with a recipe's tables."""
    try:
        recipe = msgspec.convert(table, Recipe)
    except msgspec.ValidationError:  # naming every fault costs some milliseconds, which a good recipe needn't
        return tuple(table_faults(table, Recipe, file=FILE))
    try:
        complete_recipe(recipe, card, file=FILE)
    except Refusal as refusal:
        return refusal.faults
    return tuple(contradictions(recipe, file=FILE))


def _following(values: Mapping[str, Any], advice: Advice, card: Card) -> dict[str, tuple[Any, str]]:
    """Let values that nobody set move with those that were set, where the experiment would change otherwise.

    Returns: key -> (value, why).
    """
    found = _of_batch(values, advice)
    rank, alpha = values.get(f"{SETTINGS}rank"), f"{SETTINGS}alpha"
    advised: dict[str, Any] = advice.settings["method"]["settings"]
    if _is_count(rank) and alpha not in values and _is_count(advised.get("rank")) and "alpha" in advised:
        ratio = advised["alpha"] / advised["rank"]
        scaled = float(ratio * rank)
        if next(one for one in card.settings if one.name == "alpha").accepts(scaled):
            found[alpha] = scaled, f"follows the rank: {ratio:g} times it, or the learning rate would no longer suit"
    return found


def _of_batch(values: Mapping[str, Any], advice: Advice) -> dict[str, tuple[Any, str]]:
    """Keep a step's rows: micro-batch and accumulation move with the number of devices, and with one another."""
    found: dict[str, tuple[Any, str]] = {}
    micro, processes = values.get(MICRO), values.get(PROCESSES)
    advised = advice.settings.get("devices", {}).get("processes", 1)
    count = processes if _is_count(processes) else advised
    moved = count != advised
    if moved and count == 1 and "devices.engine" not in values:
        found["devices.engine"] = "auto", "follows the number of devices: one needs no engine"
    if moved and not _is_count(micro):
        micro = part_of(advice.settings["training"]["micro_batch"], advice.effective_batch, count)
        if micro != advice.settings["training"]["micro_batch"]:
            found[MICRO] = micro, f"follows the number of devices: a step's rows part among {count}"
    if not _is_count(micro):
        return found
    what = "number of devices" if moved and MICRO not in values else "micro-batch"
    if "training.accumulation" not in values:
        steps = accumulation_for(advice.effective_batch, micro, count)
        rows = micro * steps
        why = f"follows the {what}: {micro} x {steps} = {rows} rows a step"
        if rows != advice.effective_batch:
            why += f", as near to {advice.effective_batch} as it goes"
        found["training.accumulation"] = steps, why
    if "evaluation.micro_batch" not in values:
        why = "follows the micro-batch, so that an evaluation never takes more memory than a step"
        found["evaluation.micro_batch"] = micro, why
    return found


def part_of(micro: int, rows: int, processes: int) -> int:
    """Halve a micro-batch until each process has one of a step's rows."""
    while micro > 1 and micro * processes > rows:
        micro //= 2
    return micro


def accumulation_for(rows: int, micro: int, processes: int) -> int:
    """Give the accumulation that comes nearest to a step's rows, and that processes part alike."""
    return processes * max(1, round(rows / micro / processes))


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1

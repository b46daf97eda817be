"""What both tools write in the same ways: numbers as words, optimizers, schedules, formats, and where rows lie."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pegbox_methods.home import user_path
from pegbox_methods.hub_name import PACKED_SUFFIXES, ROWS_SUFFIXES, is_hub_id
from pegbox_runs.foreign.carrying import Carrying

OPTIMIZERS = {
    "adamw_torch": "adamw",
    "adamw_torch_fused": "adamw",
    "adamw_hf": "adamw",
    "adamw_bnb_8bit": "adamw_8bit",
    "adamw_8bit": "adamw_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "adafactor": "adafactor",
}
"""Name that transformers gives an optimizer -> ours. Source: OptimizerNames in transformers/training_args.py 5.23."""
NEAR_OPTIMIZERS = {
    "paged_adamw_32bit": "adamw",
    "paged_adamw": "adamw",
    "adamw_bnb": "adamw",
    "adamw_apex_fused": "adamw",
}
"""The same steps, held elsewhere or computed by another kernel."""
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant", "constant_with_warmup": "constant"}
ONE_GPU = "Pegbox trains on one GPU, in one process"
LONGEST_WARMUP = 0.5
PLACEHOLDER = "your-rows.jsonl"


def number(value: Any) -> Any:
    """Read a number that YAML 1.1 takes for a word, as in 2e-4."""
    if isinstance(value, str):
        try:
            found = float(value)
        except ValueError:
            return value
        return found if math.isfinite(found) else value
    return value


def whole(value: Any) -> Any:
    """Read a number as `number` does; one without a fraction is an int."""
    found = number(value)
    return int(found) if isinstance(found, float) and found.is_integer() else found


def optimizer(carrying: Carrying, key: str) -> None:
    """Carry the optimizer over."""
    if not carrying.has(key):
        return
    named = str(carrying.given[key])
    if named in OPTIMIZERS:
        carrying.translate(key, "training.optimizer", OPTIMIZERS[named])
    elif named in NEAR_OPTIMIZERS:
        why = "the same steps; Pegbox holds its state on the device, not in paged memory or another kernel"
        carrying.translate(key, "training.optimizer", NEAR_OPTIMIZERS[named], why)
    else:
        carrying.leave(key, f"Pegbox has no {named}; adamw is taken, for which another learning rate may be right")


def schedule(carrying: Carrying, key: str) -> None:
    """Carry the learning rate's schedule over."""
    if not carrying.has(key):
        return
    named = str(carrying.given[key])
    if named in SCHEDULES:
        carrying.translate(key, "training.schedule", SCHEDULES[named])
    else:
        carrying.leave(key, f"Pegbox has no schedule {named}; known are {', '.join(sorted(set(SCHEDULES.values())))}")


def warmup(carrying: Carrying, *, nought_counts: bool) -> None:
    """Carry the warm-up over: ours is a part of the steps. Steps count before a ratio; `nought_counts`: 0 steps too."""
    steps, ratio = number(carrying.value("warmup_steps")), number(carrying.value("warmup_ratio"))
    planned = number(carrying.value("max_steps"))
    if carrying.has("warmup_steps"):
        if steps == 0 and carrying.has("warmup_ratio") and not nought_counts:
            carrying.same("warmup_steps", "0 steps leave it to warmup_ratio, in the other tool too")
        elif isinstance(steps, int | float) and 0 <= steps < 1:
            carrying.translate("warmup_steps", "training.warmup", float(steps), "a part of the steps")
        elif isinstance(planned, int | float) and planned > 0 and isinstance(steps, int | float):
            part = min(LONGEST_WARMUP, steps / planned)
            carrying.translate("warmup_steps", "training.warmup", part, "Pegbox counts it as a part of the steps")
        else:
            carrying.leave(
                "warmup_steps",
                "Pegbox counts the warm-up as a part of the steps, and how many there will be isn't known from the "
                "file; set training.warmup",
            )
    if carrying.has("warmup_ratio"):
        if carrying.at("training.warmup") is not None:
            carrying.leave("warmup_ratio", "warmup_steps counts before it, in the other tool too")
        else:
            carrying.carry("warmup_ratio", "training.warmup", ratio)


def batches(carrying: Carrying, pairs: dict[str, str]) -> None:
    """Carry whole numbers and plain ones over, by a table of keys."""
    for key, to in pairs.items():
        if carrying.has(key):
            value = carrying.given[key]
            carrying.carry(key, to, number(value) if to in FLOATS else whole(value))


FLOATS = ("training.epochs", "training.learning_rate", "training.weight_decay", "training.max_gradient_norm")


def held_out(carrying: Carrying, key: str) -> None:
    """Carry the size of the held-out part over; a number of rows has no counterpart."""
    if not carrying.has(key):
        return None
    size = number(carrying.given[key])
    if carrying.at("split.file") is not None:
        return carrying.leave(key, "the held-out rows are a file of their own, so no share of the rows is held out")
    if isinstance(size, int | float) and not isinstance(size, bool) and 0 <= size < 1:
        why = "" if size else "no row is held out, so the run can't say how good it is; 0.05 would do"
        carrying.translate(key, "split.share", float(size), why)
    else:
        carrying.leave(key, "Pegbox holds out a share of the rows, not a number; a tenth is taken")
        carrying.put("split.share", 0.1)
    return None


def rows_place(named: str, folders: tuple[Path, ...]) -> tuple[str, str]:
    """Find the rows that a path means. Returns: what to write, and what must be said of it; empty: nothing.

    Raises: Refusal: it lies in the home of a user whom this machine doesn't know.
    """
    path = user_path(named)
    local = named.startswith((".", "~", "/")) or named.lower().endswith((*ROWS_SUFFIXES, *PACKED_SUFFIXES))
    tried = [path] if path.is_absolute() else [folder / path for folder in folders]
    for place in tried:
        if there(place):
            return str(place.absolute()), ""
    if not local and is_hub_id(named):
        return named, "a data set of the Hub"
    return str(tried[0].absolute()), f"there is no {tried[0]}; put the rows there, or set rows.file"


def model_place(named: str, folders: tuple[Path, ...]) -> str:
    """Name a model's folder by its whole path, where there is one of that name; else leave the Hub's name.

    Raises: Refusal: it lies in the home of a user whom this machine doesn't know.
    """
    for folder in folders:
        place = folder / user_path(named)
        if there(place) and place.is_dir():
            return str(place.absolute())
    return named


def there(place: Path) -> bool:
    """Tell whether something lies at a place; no text that is no path is one."""
    try:
        return place.exists()
    except OSError:  # a name too long for one, or in a folder that can't be looked into
        return False

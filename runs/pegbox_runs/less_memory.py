"""Find the settings that need less memory than those that ran out of it. A process of its own: `replanning.py`.

Reads a Shortage from standard input, in JSON, and writes a Replan or null to standard output.
"""

from __future__ import annotations

import sys

import msgspec

from pegbox_methods.events import Change
from pegbox_methods.recipe import Recipe, Training
from pegbox_methods.refusal import Refusal
from pegbox_runs.replanning import Replan, Shortage
from pegbox_runs.rungs import Ground, Price, Rung

GIB = 2**30
ENOUGH = 0.9
"""Of the forecast peak that was too much: twice the doubt of a forecast (pegbox_hardware.forecast.memory.KNOWN_DOUBT),
so that the same thing isn't tried again under another name."""
LEAST_GAIN = 0.02
"""Share of the peak: for less than that no other numbers are worth it."""
AS_FAST = 1.03
"""Times the least. Small micro-batches lose more than the forecast knows, so of about equals the largest is taken."""
SHORT_ANSWER = 16
"""Tokens: enough to see what an answer becomes."""
CHANGEABLE = ("activation_checkpointing", "micro_batch", "accumulation", "optimizer")


def need_less(shortage: Shortage) -> Replan | None:
    """Find what needs less memory; None: nothing is left.

    - An evaluation: fewer rows at once. That changes nothing in the experiment.
    - An answer: shorter ones, then none.
    - A training step: of activation checkpointing, a smaller micro-batch with as many more of them in a step, and both,
      what takes the least time by the forecast while its peak is low enough; only where none of these is, or none is
      left, an optimizer that keeps its averages in 8 bits, and then a paged one: they change the numbers of a step. The
      loss is always computed in pieces (by TRL's fused head, or at the labelled positions alone), so that is no rung.

    Loading a model and writing files have no setting that needs less and leaves the experiment as it is.
    """
    recipe = shortage.recipe
    if shortage.work == "sample":
        return _shorter_answers(recipe)
    if shortage.work == "evaluation" and recipe.evaluation_batch > 1:
        return _smaller_evaluation(shortage)
    if shortage.work in ("evaluation", "training"):
        return _smaller_training(shortage)
    return None


def _shorter_answers(recipe: Recipe) -> Replan | None:
    evaluation = recipe.evaluation
    if evaluation.samples == 0:
        return None
    if evaluation.sample_tokens > SHORT_ANSWER:
        change = Change(key="evaluation.sample_tokens", before=evaluation.sample_tokens, after=SHORT_ANSWER)
        text = f"The answers to held-out questions end after {SHORT_ANSWER} tokens in place of {change.before}."
    else:
        change = Change(key="evaluation.samples", before=evaluation.samples, after=0)
        text = "Held-out questions are no longer answered: there isn't the memory for it."
    return Replan((change,), f"{text} The training is the same.")


def _smaller_evaluation(shortage: Shortage) -> Replan:
    """Halve the rows that are evaluated at once, until the forecast fits if there is one."""
    recipe = shortage.recipe
    before = rows = recipe.evaluation_batch
    ground = _ground(shortage)
    while rows > 1:
        rows //= 2
        price = ground.price(_with_evaluation_batch(recipe, rows)) if ground is not None else None
        if ground is None or price is None or price.evaluation <= ground.place.usable_bytes:
            break
    are = "One row is" if rows == 1 else f"{rows} rows are"
    text = (
        f"{are} evaluated at once in place of {before}. The held-out rows and their loss are the same, and so is the "
        "training; an evaluation may take a little longer."
    )
    return Replan((Change(key="evaluation.micro_batch", before=before, after=rows),), text)


def _with_evaluation_batch(recipe: Recipe, rows: int) -> Recipe:
    return msgspec.structs.replace(recipe, evaluation=msgspec.structs.replace(recipe.evaluation, micro_batch=rows))


def _smaller_training(shortage: Shortage) -> Replan | None:
    """Take the next rung; for an evaluation, of those that it gains from too: the optimizer's averages."""
    recipe = shortage.recipe
    ground = _ground(shortage)
    if ground is None:
        return None
    present = ground.price(recipe)
    standing = shortage.work == "evaluation"
    rungs = [rung for rung in ground.rungs(recipe) if not standing or _same_step(rung.training, recipe.training)]
    taken = _unpriced(rungs, recipe.training) if present is None else _cheapest(rungs, present, ground)
    if taken is None:
        return None
    return Replan(_changes(recipe.training, taken.training), _text(recipe.training, taken, present))


def _ground(shortage: Shortage) -> Ground | None:
    """Look at model, method and device; None: the method is gone, and nothing is known then."""
    try:
        return Ground(shortage.recipe, shortage.device)
    except Refusal:
        return None


def _cheapest(rungs: list[Rung], present: Price, ground: Ground) -> Rung | None:
    """Choose by the forecast: of what is low enough, the same numbers before others, and then the least time."""
    lower = [(rung, rung.price) for rung in rungs if rung.price is not None and rung.price.training < present.training]
    target = min(ENOUGH * present.training, ground.place.usable_bytes)
    enough = [(rung, price) for rung, price in lower if price.training <= target]
    if enough:
        numerics = min(rung.numerics for rung, _ in enough)
        like = [(rung, price) for rung, price in enough if rung.numerics == numerics]
        least = min(price.relative_seconds for _, price in like)
        fast = [(rung, price) for rung, price in like if price.relative_seconds <= AS_FAST * least]
        return max(fast, key=lambda pair: (pair[0].training.micro_batch, -pair[1].relative_seconds))[0]
    exact = [(rung, price) for rung, price in lower if rung.numerics == 0]
    most = (1 - LEAST_GAIN) * present.training
    left = exact or [(rung, price) for rung, price in lower if price.training <= most]
    return min(left, key=lambda pair: (pair[0].numerics, pair[1].training), default=(None,))[0]


def _unpriced(rungs: list[Rung], present: Training) -> Rung | None:
    """Take the next rung of a fixed order, one thing at a time: checkpointing, the micro-batch, the optimizer."""

    def order(rung: Rung) -> tuple[bool, ...] | tuple[int, ...]:
        return rung.numerics, -rung.training.micro_batch

    single = [rung for rung in rungs if len(_changes(present, rung.training)) == _least_changes(present, rung.training)]
    checkpointed = [rung for rung in single if rung.training.micro_batch == present.micro_batch and not rung.numerics]
    return min(checkpointed or single, key=order, default=None)


def _least_changes(present: Training, after: Training) -> int:
    """Count the keys of one change: a micro-batch brings the accumulation with it."""
    return 2 if after.micro_batch != present.micro_batch else 1


def _same_step(after: Training, present: Training) -> bool:
    return (after.micro_batch, after.activation_checkpointing) == (
        present.micro_batch,
        present.activation_checkpointing,
    )


def _changes(before: Training, after: Training) -> tuple[Change, ...]:
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in CHANGEABLE)
    return tuple(Change(key=f"training.{name}", before=old, after=new) for name, old, new in pairs if old != new)


def _text(before: Training, taken: Rung, present: Price | None) -> str:
    after, parts = taken.training, []
    if after.activation_checkpointing != before.activation_checkpointing:
        parts.append("Activations are computed anew in the backward pass in place of being kept.")
    if after.micro_batch != before.micro_batch:
        parts.append(
            f"{_rows(after.micro_batch)} through the model at once in place of {before.micro_batch}, and "
            f"{after.accumulation} such micro-batches make a step in place of {before.accumulation}."
        )
    if after.optimizer != before.optimizer:
        parts.append(_averages(before.optimizer, after.optimizer))
    return " ".join((*parts, _cost(present, taken.price), _kept(before, after, numerics=taken.numerics)))


def _averages(before: str, after: str) -> str:
    """Say what becomes of the optimizer's averages: a worker takes them up from its own kind, paged or not."""
    if before == "adamw_8bit":
        return "The optimizer keeps its averages as they are, and the device may lend them to the machine's memory."
    paged = ", and the device may lend them to the machine's memory" if after.startswith("paged") else ""
    return (
        f"The optimizer keeps its averages in 8 bits{paged}: it begins them afresh, and its steps differ slightly "
        "from here on."
    )


def _cost(present: Price | None, price: Price | None) -> str:
    if present is None or price is None:
        return "What that costs isn't forecast: this model or method can't be priced."
    memory = f"a step then needs {price.training / GIB:.1f} GiB in place of {present.training / GIB:.1f}"
    if present.time is None or price.time is None:
        return f"By the forecast {memory}; the time isn't forecast, as this device's speed isn't known."
    pairs = (
        (present.time.seconds, price.time.seconds),
        (present.time.seconds_low, price.time.seconds_low),
        (present.time.seconds_high, price.time.seconds_high),
    )
    likely, *ends = (f"{after / before:.1f}" for before, after in pairs)
    span = f" ({min(ends)} to {max(ends)})" if min(ends) != max(ends) else ""
    return f"By the forecast {memory}, and takes {likely} times as long{span}."


def _kept(before: Training, after: Training, *, numerics: int) -> str:
    rows = before.micro_batch * before.accumulation
    how = f"{before.micro_batch} x {before.accumulation} = {after.micro_batch} x {after.accumulation}"
    same = "the rows of each step are the same" if numerics else "each step learns the same from the same rows"
    if before.micro_batch == after.micro_batch:
        how = f"{before.micro_batch} x {before.accumulation}"
    elif not numerics:
        same += ", except that dropout, where there is any, leaves out other values"
    return f"The effective batch stays {rows} ({how}): {same}."


def _rows(count: int) -> str:
    return "One row goes" if count == 1 else f"{count} rows go"


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(need_less(msgspec.json.decode(sys.stdin.buffer.read(), type=Shortage))))

"""All that is known of one contestant."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from rich.text import Text

from pegbox_methods.recipe import Recipe
from pegbox_runs.arena.memory import memory_of, on_device
from pegbox_runs.arena.results import ContestantResult, Interval
from pegbox_runs.arena.watching.watch import Contestant, EntryNow
from pegbox_runs.figures import count, size
from pegbox_runs.printable import one_line, printable
from pegbox_tui.arena.figures import brief_memory, nats, rate, short_time
from pegbox_tui.arena.rows import difference
from pegbox_tui.arena.view import Scene

LABEL = 12
RATE_BY = {
    "recipe": "as its recipe says",
    "search": "the best of its tries",
    "search-edge": "the best of its tries, but the lowest or highest of them: a better one may lie beyond",
}


def card_lines(scene: Scene) -> list[Text]:
    """Tell of the chosen contestant, a line a fact; lines aren't wrapped yet."""
    one, watched = scene.chosen, scene.watched
    if one is None or watched.comparison is None:
        return [Text("nobody is chosen", "dim")]
    recipe = watched.comparison.recipes[one.name]
    lines = [_head(one, scene)]
    if one.standing == "failed":
        lines += _failure(one)
    lines += _settings(recipe)
    lines += _rate(one, recipe)
    if one.result is not None:
        lines += _result(one.result, scene)
    lines += _seeds(one, scene)
    lines += _tries(one)
    lines += _changes(one)
    if one.result is not None:
        lines += [_fact("remark", printable(said)) for said in one.result.remarks]
    return [*lines, *_files(one, scene)]


def _head(one: Contestant, scene: Scene) -> Text:
    text = Text(f"{one.name}", "bold")
    place = one.result.place if one.result else None
    said = [f"method {one_line(one.method, 60)}"]
    if place is not None:
        said.append(f"place {place}")
    stands = difference(one.result, scene.watched.results) if one.result and scene.watched.results else ""
    if stands:
        said.append(stands if stands[0] not in "+-" else f"{stands} to the best")
    said.append(one.standing if one.standing != "part" else "some seeds are done")
    return text.append(f"  {' · '.join(said)}", "")


def _failure(one: Contestant) -> Iterator[Text]:
    what = "out of memory" if one.out_of_memory else "failed"
    yield Text(f"{what}: {printable(one.why) or 'it told no reason'}", "red")
    if one.remedy:
        yield _fact("remedy", printable(one.remedy))


def _settings(recipe: Recipe) -> Iterator[Text]:
    told = [f"{one_line(key, 40)} {_value(value)}" for key, value in recipe.method.settings.items()]
    if told:
        yield _fact("settings", " · ".join(told))
    if recipe.model.quantization != "auto":
        yield _fact("base", f"quantization {recipe.model.quantization}")


def _value(value: object) -> str:
    written = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return one_line(written, 80)


def _rate(one: Contestant, recipe: Recipe) -> Iterator[Text]:
    chosen = one.result.rate if one.result else None
    by = RATE_BY[one.result.rate_by] if one.result and chosen is not None else "its recipe's; not decided yet"
    yield _fact("rate", f"{rate(chosen if chosen is not None else recipe.training.learning_rate)}, {by}")


def _result(result: ContestantResult, scene: Scene) -> Iterator[Text]:
    if result.loss is not None:
        before = "" if result.base_loss is None else f"; its base model {nats(result.base_loss)}"
        yield _fact("loss", f"{_ranged(result.loss)}{before}")
    for pair in scene.watched.results.pairs if scene.watched.results else ():
        if result.name in (pair.one, pair.other):
            other = pair.other if pair.one == result.name else pair.one
            turned = pair.difference if pair.one == result.name else _turned(pair.difference)
            verdict = "told apart" if pair.told_apart else "tied"
            yield _fact(f"to {one_line(other, 40)}", f"{_ranged(turned, sign=True)}, {verdict}")
    for metric, score in result.scores.items():
        base = result.base_scores.get(metric)
        yield _fact(metric, _ranged(score) + ("" if base is None else f"; its base model {nats(base)}"))
    if result.forgetting is not None:
        yield _fact("forgot", f"{_ranged(result.forgetting, sign=True)} nats on general rows")
    there = scene.watched.results.contestants if scene.watched.results else (result,)
    memory = memory_of(result, there)
    bound = "at most " if memory is not None and not on_device(there) else ""
    costs = [f"memory {bound}{size(memory)}"]
    if result.training_seconds is not None:
        costs.append(f"a training {short_time(result.training_seconds.value)}")
    if result.tokens_per_second is not None:
        costs.append(f"{count(result.tokens_per_second.value)} tokens/s")
    costs.append(f"adapter {size(result.adapter_bytes)}")
    if result.trainable_weights is not None:
        costs.append(f"{count(result.trainable_weights)} weights trained")
    yield _fact("costs", " · ".join(costs))


def _seeds(one: Contestant, scene: Scene) -> Iterator[Text]:
    results = {seed.seed: seed for seed in one.result.seeds} if one.result else {}
    if one.finals:
        yield Text(f"{'seed':>8} {'loss':>8} {'kept step':>9} {'memory':>9} {'time':>9} {'tokens/s':>9}  state", "dim")
    for entry in one.finals:
        seed = results.get(entry.entry.seed)
        speed = seed.tokens_per_second if seed else None
        at_most = entry.outcome.device_peak is None
        memory = entry.outcome.process_peak if at_most else entry.outcome.device_peak
        line = Text(no_wrap=True)
        line.append(f"{entry.entry.seed:>8} {nats(entry.loss):>8} {seed.kept_step if seed else '-':>9} ")
        line.append(
            f"{brief_memory(memory, at_most=at_most):>9} {short_time(entry.outcome.training_seconds or None):>9} "
        )
        line.append(f"{'-' if speed is None else count(speed):>9}  {entry.doing or entry.state}")
        if entry.entry.seed == scene.seed:
            line.stylize("bold reverse")
        yield line
        if entry.state == "running":
            yield _fact("", _state(entry))  # behind the figures 80 columns have no room for it


def _state(entry: EntryNow) -> str:
    if entry.state != "running":
        return entry.state
    loss = "" if entry.training_loss is None else f", loss {nats(entry.training_loss)}"
    left = "" if entry.left is None else f", {short_time(entry.left.likely)} left"
    return f"{entry.doing}, step {entry.steps_done:,} of {entry.entry.steps:,}{loss}{left}"


def _tries(one: Contestant) -> Iterator[Text]:
    for number, entry in enumerate(one.trials, start=1):
        said = f"rate {rate(entry.entry.rate):>8} for {entry.entry.steps:,} steps: "
        if entry.loss is not None:
            said += f"loss {nats(entry.loss)}"
        elif entry.state == "failed":
            said += "the loss blew up" if entry.outcome.diverged else printable(entry.outcome.why)
        else:
            said += _state(entry)
        yield _fact(f"try {number}", said)


def _changes(one: Contestant) -> Iterator[Text]:
    told = dict.fromkeys(said for entry in (*one.trials, *one.finals) for said in entry.outcome.changed)
    for said in told:
        yield _fact("changed", f"for memory: {printable(said)}")


def _files(one: Contestant, scene: Scene) -> Iterator[Text]:
    recipes = [seed.recipe for seed in one.result.seeds] if one.result else []
    for path in recipes:
        yield _fact("repeat", f"pegbox train {one_line(str(scene.folder / path), 300)}")
    entries = [entry.entry.id for entry in one.finals]
    if entries:
        yield _fact("files", f"{one_line(str(scene.folder / 'entries'), 200)}: {', '.join(entries)}")


def _ranged(told: Interval, *, sign: bool = False) -> str:
    form = "+.4f" if sign else ".4f"
    if told.low is None or told.high is None:
        return format(told.value, form)
    return f"{told.value:{form}} ({told.low:{form}} to {told.high:{form}})"


def _turned(told: Interval) -> Interval:
    low = None if told.high is None else -told.high
    return Interval(value=-told.value, low=low, high=None if told.low is None else -told.low)


def _fact(name: str, said: str) -> Text:
    return Text(f"{name:<{LABEL - 1}} ", "dim").append(said, "not dim")

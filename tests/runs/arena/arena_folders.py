"""Made-up comparisons on disk, written by hand as a director and its workers would."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from pegbox_methods.events import AnyEvent, Failed, Finished, Phase, Prepared, Replanned, Step
from pegbox_methods.recipe_file import write_recipe
from pegbox_runs.arena.comparison_folder import ComparisonFolder, comparisons_root
from pegbox_runs.arena.entries import entry_recipe
from pegbox_runs.arena.outcomes import possible_entries
from pegbox_runs.arena.results import ContestantResult, Results, write_results
from pegbox_runs.arena.spec import Comparison, read_comparison, write_comparison
from pegbox_runs.event_log import EventWriter
from pegbox_runs.judging.judged import Judged, Judgement, write_judged
from tests.runs.arena.made_up_comparisons import comparison, losses
from tests.runs.arena.made_up_results import contestant, results
from tests.stories import evaluation, started, step

ID = "20260101-000000-arena-abcd"
DONE = Finished(reason="completed", steps=1, kept_step=0, adapter=None, seconds=0.0)
STOPPED = Finished(reason="stopped", steps=1, kept_step=0, adapter=None, seconds=0.0)
OUT_OF_MEMORY = Failed(
    what="the device ran out of memory",
    where="training at step 3",
    remedy="Take a method that needs less.",
    kind="device-memory",
)
DIVERGED = Failed(what="the loss is no number", where="training", remedy="Lower the rate.", kind="diverged")
ODD = "[red]markup[/red] \x1b[31mescape\x1b[0m [@click=app.quit]x[/]"


def made(*names: str, asked: Comparison | None = None, **given: Any) -> ComparisonFolder:
    """Make a comparison that its director, this process, has just taken."""
    found = asked or comparison(*names, **given)
    folder = ComparisonFolder(comparisons_root() / ID)
    folder.entries.mkdir(parents=True)
    write_comparison(found.asked, found.recipes, folder)
    write_recipe(next(iter(found.recipes.values())), folder.recipe)
    folder.commands.touch()
    tell(folder, started(run=ID, method="comparison"))
    return folder


def tell(folder: Any, *events: AnyEvent) -> None:
    """Add events to a log: the comparison's, or an entry's."""
    folder.path.mkdir(parents=True, exist_ok=True)
    writer = EventWriter(folder.events)
    for event in events:
        writer.emit(event)
    writer.close()


def curve(loss: float, steps: int, points: int = 5) -> list[tuple[int, float]]:
    """Fall from 3 to a loss."""
    return [
        (round(steps * n / (points - 1)), loss + (3 - loss) * math.exp(-4 * n / (points - 1))) for n in range(points)
    ]


def prepared_for(steps: int) -> Prepared:
    """Be ready to take so many steps."""
    return Prepared(
        steps=steps,
        rows_trained=8,
        rows_evaluated=2,
        tokens=100,
        tokens_trained=40,
        trainable_weights=5,
        model_weights=50,
        device="cpu",
        precision="float32",
        activation_checkpointing=False,
        loss_path="labelled-positions",
    )


def trains(folder: ComparisonFolder, entry: str, *, done: int, of: int = 80, loss: float = 1.5) -> None:
    """Let an entry be trained until a step."""
    asked = read_comparison(folder)
    run = possible_entries(asked)[entry]
    folder.entry(entry).path.mkdir(exist_ok=True)
    write_recipe(entry_recipe(run, asked.recipes[run.contestant]), folder.entry(entry).recipe)
    curve_so_far = dict(point for point in curve(loss, of) if point[0] <= done)
    events: list[AnyEvent] = [started(run=entry, method=entry.partition(".")[0]), prepared_for(of)]
    events += [Phase(phase="training"), evaluation(0, curve_so_far[0])]
    for number in range(1, done + 1):
        events.append(paced_step(number, of))
        if number in curve_so_far:
            events.append(evaluation(number, curve_so_far[number]))
    tell(folder.entry(entry), *events)


def paced_step(number: int, of: int) -> Step:
    """Take a step of two seconds."""
    return msgspec.structs.replace(step(number), loss=1.0 + math.exp(-number / 20), epoch=number / of)


def ends(folder: ComparisonFolder, entry: str, *, of: int = 80, loss: float = 1.5, rows: int = 48) -> None:
    """Let an entry that is being trained, or a new one, come to its end, and be judged."""
    if not folder.entry(entry).events.is_file():
        trains(folder, entry, done=of, of=of, loss=loss)
    after = losses(*[10 * loss] * rows)
    judgement = Judgement(held_out=after)
    write_judged(Judged(before=judgement, after=judgement, kept_step=of, seconds=0.1), folder.entry(entry).path)
    tell(folder.entry(entry), Finished(reason="completed", steps=of, kept_step=of, adapter="adapter", seconds=2.0 * of))


def fails(folder: ComparisonFolder, entry: str, failed: Failed = OUT_OF_MEMORY, *changes: Replanned) -> None:
    """Let an entry fail."""
    trains(folder, entry, done=3)
    tell(folder.entry(entry), *changes, failed)


def found(folder: ComparisonFolder, *contestants: ContestantResult, **given: Any) -> Results:
    """Write what is known so far."""
    usual = {"comparison": ID, "seeds": (1,), "search": False, "budget": "", "complete": False}
    record = results(*contestants, **{**usual, **given})
    write_results(record, folder)
    return record


def stands(name: str, loss: float, place: int, group: int = 1, /, **given: Any) -> ContestantResult:
    """Say what a contestant came to with one seed of 80 steps."""
    usual: dict[str, Any] = {"trials": (), "rate_by": "recipe", "rate": 1e-3, "method": "lora"}
    one = contestant(name, loss, place, group, **usual)
    return msgspec.structs.replace(one, **{"seeds": one.seeds[:1], **given})


def four(*, end: bool = False) -> ComparisonFolder:
    """Make one of four: the first two are tied, the third is being trained, the fourth ran out of memory."""
    folder = made("lora", "dora", "rslora", "full", search=False)
    for name, loss in (("lora", 1.43), ("dora", 1.44)):
        ends(folder, f"{name}.seed-1", loss=loss)
    trains(folder, "rslora.seed-1", done=50, loss=1.5)
    fails(folder, "full.seed-1")
    listed = [stands("lora", 1.4312, 1), stands("dora", 1.4387, 1)]
    failed = {"standing": "failed", "why": OUT_OF_MEMORY.what, "out_of_memory": True}
    waiting = [ContestantResult(name="rslora", method="lora", settings={}, standing="running")]
    if end:
        ends(folder, "rslora.seed-1", loss=1.5)
        waiting = [stands("rslora", 1.5101, 3, 2)]
        tell(folder, DONE)
        folder.summary.write_text("{}")
    found(
        folder,
        *listed,
        *waiting,
        ContestantResult(name="full", method="full", settings={}, **failed),
        complete=end,
        winner=None,
        recommendation=(
            "Take lora: it and dora can't be told apart on 208 held-out rows with 1 seed, and it needs the least "
            "memory of them (1.4 GiB). What rslora makes of it is worse by 0.08."
        ),
        remarks=("One seed says nothing of chance: take three.", "208 rows: ranges are wide."),
    )
    return folder

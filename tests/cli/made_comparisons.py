"""Folders of comparisons that nobody carries, with logs of entries that nobody trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pegbox_methods.events import AnyEvent, Evaluation, Failed, Finished, Memory, Trouble
from pegbox_methods.recipe_file import write_recipe
from pegbox_runs.arena.comparison_folder import ComparisonFolder, comparisons_root
from pegbox_runs.arena.entries import Entry, entry_recipe
from pegbox_runs.arena.results import Results, write_results
from pegbox_runs.arena.spec import Comparison, read_comparison, write_comparison
from pegbox_runs.event_log import EventWriter
from pegbox_runs.judging.judged import Judged, Judgement, RowLosses, write_judged
from tests.runs.arena.made_up_comparisons import comparison
from tests.stories import prepared, started, step

ID = "20260102-030405-compare-abcd"
COMPLETED = Finished(reason="completed", steps=2, kept_step=2, adapter=None, seconds=60.0)


def made_comparison(
    id_: str = ID,
    names: Sequence[str] = ("lora", "dora"),
    *,
    events: Sequence[AnyEvent] = (),
    results: Results | None = None,
    **asked: Any,
) -> ComparisonFolder:
    """Make a folder. Its log holds a start by this very process, which lives, and then `events`."""
    folder = ComparisonFolder(comparisons_root() / id_)
    folder.entries.mkdir(parents=True)
    folder.commands.touch()
    made = comparison(*names, **{"search": False, **asked})
    write_comparison(made.asked, made.recipes, folder)
    write_recipe(next(iter(made.recipes.values())), folder.recipe)
    writer = EventWriter(folder.events)
    for event in (started(run=id_, method="comparison"), *events):
        writer.emit(event)
    if results is not None:
        write_results(results, folder)
    return folder


def run_entry(
    folder: ComparisonFolder, entry: Entry, loss: float = 2.0, *, why: str | None = None, kind: Trouble = "crash"
) -> None:
    """Write the log of an entry that came to a loss, or failed."""
    made: Comparison = read_comparison(folder)
    run = folder.entry(entry.id)
    run.path.mkdir()
    write_recipe(entry_recipe(entry, made.recipes[entry.contestant]), run.recipe)
    writer = EventWriter(run.events)
    evaluation = Evaluation(step=1, loss=loss, perplexity=1.0, tokens=4, seconds=1.0, best=True, memory=Memory())
    for event in (started(run=entry.id), prepared(), step(1, device=2**30), evaluation):
        writer.emit(event)
    if why is not None:
        writer.emit(Failed(what=why, where="training", remedy="Mend it.", kind=kind))
        return
    rows = RowLosses(nats=(loss * 10,) * 4, tokens=(10,) * 4)
    judgement = Judgement(held_out=rows)
    write_judged(Judged(before=judgement, after=judgement, kept_step=1, seconds=1.0), run.path)
    writer.emit(Finished(reason="completed", steps=1, kept_step=1, adapter="adapter", seconds=6.0))
    run.summary.write_text("{}")


def final(name: str, seed: int = 1) -> Entry:
    """A training that counts, of `made_comparison`."""
    return Entry(contestant=name, seed=seed, steps=80, rate=1e-3)

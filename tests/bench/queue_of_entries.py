"""A comparison of 10,000 entries: what its director does for each that begins or ends, and what it holds in memory.

Goals: seeing what is due takes at most 1 s; giving and learning an entry take O(log n); at most 200 MB. Nothing is
trained here: entries' folders are made up, and a thousand slots are counted, not filled with processes. The schedule's
pure function, which walks over everything, is timed beside it. All times are of the processor.
"""

from __future__ import annotations

import random
import resource
import tempfile
import time
from pathlib import Path

from pegbox_methods.events import Finished
from pegbox_methods.recipe_file import recipe_text
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing.lane_pool import LanePool
from pegbox_runs.arena.directing.records import results_now
from pegbox_runs.arena.due_line import DueLine
from pegbox_runs.arena.entries import Entry, Outcome, entry_recipe
from pegbox_runs.arena.outcomes import OutcomeReader
from pegbox_runs.arena.report.writing import write_report
from pegbox_runs.arena.results import write_results
from pegbox_runs.arena.schedule import due
from pegbox_runs.arena.spec import Comparison
from pegbox_runs.event_log import EventWriter
from pegbox_runs.judging.judged import Judged, Judgement, RowLosses, write_judged
from pegbox_runs.run_folder import RunFolder
from tests.runs.arena.made_up_comparisons import comparison, done
from tests.stories import prepared, started, step

SIZES = ((10, 10), (32, 32), (100, 100))
"""Contestants and seeds."""
SLOTS = 1000
ROWS = 100
"""Held out, of which each entry keeps the losses before and after."""
STEPS = 20


def game_of(contestants: int, seeds: int) -> Comparison:
    """Make one up, without a search."""
    names = (f"c{number}" for number in range(contestants))
    return comparison(*names, seeds=range(1, seeds + 1), search=False, steps=STEPS)


def judged(chance: random.Random) -> Judged:
    """Make up what an entry's rows lose; before the training all lose the same, as on one kind of device they do."""

    def rows(chance: random.Random) -> Judgement:
        nats = tuple(chance.uniform(5, 30) for _ in range(ROWS))
        return Judgement(held_out=RowLosses(nats=nats, tokens=(10,) * ROWS))

    base = random.Random(0)  # noqa: S311  # made up
    return Judged(before=rows(base), after=rows(chance), kept_step=STEPS, seconds=1.0)


def carried(game: Comparison) -> tuple[float, float, float]:
    """Carry one with a thousand slots. Returns: seconds until all slots are filled, and of each give and each end."""
    chance = random.Random(1)  # noqa: S311  # made up
    outcome = judged(chance)
    lanes = LanePool((None,) * SLOTS, lambda _: object())  # type: ignore[arg-type,return-value]  # never worked with
    begin = time.process_time()
    line = DueLine(game, {})
    in_hand: list[tuple[Entry, object]] = []
    gives = ends = 0.0
    given = ended = 0

    def fill() -> None:
        nonlocal gives, given
        begun, before = time.process_time(), given
        while lanes.some_free and (found := line.take(lambda _: lanes.first())) is not None:
            lanes.hold(found[1])
            in_hand.append(found)
            given += 1
        gives += time.process_time() - begun if given > before else 0.0

    fill()
    planned = time.process_time() - begin
    while in_hand:
        place = chance.randrange(len(in_hand))
        in_hand[place], in_hand[-1] = in_hand[-1], in_hand[place]
        entry, lane = in_hand.pop()
        one = done(entry, outcome.after.held_out)
        begun = time.process_time()
        lanes.let_go(lane)  # type: ignore[arg-type]
        line.give_back(entry)
        line.learn_one(one)
        ends += time.process_time() - begun
        ended += 1
        fill()
    assert line.over
    assert given == ended == len(game.asked.contestants) * len(game.asked.seeds)
    return planned, gives / given, ends / ended


def pure(game: Comparison) -> float:
    """Time the schedule's pure function, with half of the entries done."""
    every = due(game, {})
    outcomes: dict[str, Outcome] = {entry.id: Outcome(entry=entry, state="done") for entry in every[: len(every) // 2]}
    begin = time.process_time()
    due(game, outcomes)
    return time.process_time() - begin


def made(game: Comparison, root: Path) -> ComparisonFolder:
    """Write all entries' folders as their workers leave them."""
    folder = ComparisonFolder(root / "20260101-000000-compare-abcd")
    folder.entries.mkdir(parents=True)
    chance = random.Random(2)  # noqa: S311  # made up
    end = Finished(reason="completed", steps=STEPS, kept_step=STEPS, adapter="adapter", seconds=1.0)
    first: RunFolder | None = None
    for entry in due(game, {}):
        place = folder.entry(entry.id)
        place.path.mkdir()
        write_recipe_of(entry, game, place)
        if first is None:
            first = place
            writer = EventWriter(place.events)
            for event in (started(run=entry.id), prepared(), *(step(n) for n in range(1, STEPS + 1)), end):
                writer.emit(event)
            writer.close()
        else:
            place.events.write_bytes(first.events.read_bytes())
        write_judged(judged(chance), place.path)
    return folder


def write_recipe_of(entry: Entry, game: Comparison, place: RunFolder) -> None:
    """Write an entry's recipe; by hand, for the usual way of ten thousand takes minutes."""
    place.recipe.write_text(recipe_text(entry_recipe(entry, game.recipes[entry.contestant])))


def read(game: Comparison, folder: ComparisonFolder) -> None:
    """Time what a director and a viewer read, and tell what they hold."""
    reader, size = OutcomeReader(folder), len(game.asked.contestants) * len(game.asked.seeds)
    before = memory()
    begin = time.process_time()
    outcomes = reader.read(game)
    first = time.process_time() - begin
    assert len(outcomes) == size
    assert {one.state for one in outcomes.values()} == {"done"}
    line = DueLine(game, outcomes)
    held = memory() - before
    begin = time.process_time()
    line.learn(game, reader.read(game))
    again = time.process_time() - begin
    entries = [one.entry for one in outcomes.values()][:200]
    begin = time.process_time()
    for entry in entries:
        one = reader.read_one(entry, game)
        assert one is not None
        line.learn_one(one)
    each = (time.process_time() - begin) / len(entries)
    begin = time.process_time()
    made = results_now(folder, game, outcomes, device="cpu", complete=True)
    found = time.process_time() - begin
    begin = time.process_time()
    write_results(made, folder)
    written = time.process_time() - begin
    begin = time.process_time()
    write_report(made, folder)
    reported = time.process_time() - begin
    print(
        f"{size:6} entries on disk: all read {first:6.2f} s, again {again:6.3f} s, one {1e6 * each:5.0f} us; "
        f"held {held / 1e6:5.0f} MB; results.json made in {found:5.2f} s, written in {written:5.2f} s "
        f"({folder.results.stat().st_size / 1e6:.1f} MB), the report in {reported:.2f} s"
    )


def memory() -> int:
    """Give the resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    for contestants, seeds in SIZES:
        game = game_of(contestants, seeds)
        planned, give, end = carried(game)
        print(
            f"{contestants * seeds:6} entries, {SLOTS} slots: first fill {1e3 * planned:7.1f} ms, "
            f"a give {1e6 * give:5.1f} us, an end {1e6 * end:5.1f} us; the pure schedule {1e6 * pure(game):8.0f} us"
        )
    for contestants, seeds in SIZES:
        game = game_of(contestants, seeds)
        with tempfile.TemporaryDirectory() as scratch:
            read(game, made(game, Path(scratch)))
    print(f"most resident memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main()

"""Looking at a comparison: what is shown agrees with what lies in its folder, read once and then only where it grew."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.events import Phase, Replanned
from pegbox_methods.recipe_file import read_recipe, write_recipe
from pegbox_runs import viewing
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.outcomes import read_outcomes
from pegbox_runs.arena.schedule import all_entries_count
from pegbox_runs.arena.spec import read_comparison, write_comparison
from pegbox_runs.arena.watching import entry_watching
from pegbox_runs.arena.watching import watch as watching
from pegbox_runs.arena.watching.still_to_come import time_left
from pegbox_runs.arena.watching.watch import ComparisonWatch, Watched, await_more, follow_comparison, watched_now
from tests.runs.arena.arena_folders import (
    DIVERGED,
    DONE,
    OUT_OF_MEMORY,
    STOPPED,
    ends,
    fails,
    found,
    four,
    made,
    stands,
    tell,
    trains,
)
from tests.runs.arena.made_up_comparisons import comparison
from tests.stories import started


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no look wait."""
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(watching, "ALIVE_SECONDS", 0.01)
    monkeypatch.setattr(viewing, "ALIVE_SECONDS", 0.01)


def standing(watched: Watched) -> dict[str, str]:
    return {one.name: one.standing for one in watched.contestants}


def test_each_contestant_stands_as_its_entries_say() -> None:
    folder = four()
    watched = watched_now(folder)
    assert standing(watched) == {"lora": "done", "dora": "done", "rslora": "running", "full": "failed"}
    assert (watched.done, watched.entries) == (3, 4)
    full = watched.contestants[-1]
    assert (full.why, full.remedy, full.out_of_memory) == (OUT_OF_MEMORY.what, OUT_OF_MEMORY.remedy, True)
    running = watched.contestants[2].running
    assert running is not None
    assert (running.doing, running.steps_done, running.share) == ("training", 50, 50 / 80)
    assert running.left is not None
    assert watched.left is not None
    assert watched.left.low <= watched.left.likely <= watched.left.high


def test_judging_is_foretold_by_what_it_took_before() -> None:
    folder = made("lora", "dora", search=False)
    trains(folder, "dora.seed-1", done=80)
    tell(folder.entry("dora.seed-1"), Phase(phase="judging"))
    before = watched_now(folder)
    (judged,) = before.contestants[1].finals
    assert judged.doing == "judging"
    took = 1000.0
    ended = replace(
        judged,
        outcome=msgspec.structs.replace(
            judged.outcome,
            entry=msgspec.structs.replace(judged.entry, contestant="lora"),
            state="done",
            wall_seconds=judged.outcome.training_seconds + took,
        ),
        left=None,
    )
    comparison_read = read_comparison(folder)
    alone = time_left({"dora": [judged]}, comparison_read)
    left = time_left({"lora": [ended], "dora": [judged]}, comparison_read)
    assert alone is not None
    assert left is not None
    assert alone.likely < 1
    assert left.likely == pytest.approx(took, rel=0.01)
    third = time_left({"lora": [ended], "dora": [judged], "rslora": []}, comparison_read)
    assert third is not None
    assert third.likely > 2 * left.likely * 0.99, "those to come are judged as well"


def test_it_says_the_same_with_results_and_without_them() -> None:
    folder = four()
    with_results = watched_now(folder)
    folder.results.unlink()
    without = watched_now(folder)
    assert standing(without) == standing(with_results)
    assert (without.done, without.entries) == (with_results.done, with_results.entries)
    assert without.results is None


def test_a_training_that_has_begun_is_told_with_the_rate_of_its_own_recipe_not_with_a_guess() -> None:
    folder = made("lora", search=False)
    run = folder.entry("lora.seed-1")
    trains(folder, "lora.seed-1", done=3)
    recipe = read_recipe(run.recipe)
    training = msgspec.structs.replace(recipe.training, learning_rate=3e-3)
    write_recipe(msgspec.structs.replace(recipe, training=training), run.recipe)
    (final,) = watched_now(folder).contestants[0].finals
    assert (final.entry.rate, final.entry.steps) == (3e-3, 80)


def test_every_outcome_is_that_which_the_director_reads() -> None:
    folder = four()
    folder.results.unlink()
    watched = watched_now(folder)
    seen = {now.entry.id: now.outcome for one in watched.contestants for now in (*one.trials, *one.finals)}
    read = read_outcomes(folder, read_comparison(folder))
    assert seen == {id_: msgspec.structs.replace(one, judged=None) for id_, one in read.items()}


def test_the_entries_to_come_add_up_to_all_of_them_from_the_beginning_on() -> None:
    for asked in (
        comparison("a", "b", seeds=(1, 2)),
        comparison("a", "b", seeds=(1, 2), search=False),
        comparison("a", search=False, budget_seconds=100.0),
    ):
        folder = made(asked=asked)
        assert watched_now(folder).entries == all_entries_count(asked)
        shutil.rmtree(folder.path)


def test_who_failed_takes_its_entries_to_come_along_but_a_rate_that_blew_up_does_not() -> None:
    folder = made("lora", "dora", seeds=(1, 2, 3), search=True)
    fails(folder, "lora.trial-0-rate-0.003", DIVERGED)
    assert (watched_now(folder).done, watched_now(folder).entries) == (1, 16)
    fails(folder, "lora.trial-0-rate-0.001")
    watched = watched_now(folder)
    assert standing(watched) == {"lora": "failed", "dora": "waiting"}
    assert (watched.done, watched.entries) == (2, 10)


def test_a_search_gives_each_try_the_loss_on_the_rows_that_choose() -> None:
    folder = made("lora", search=True)
    ends(folder, "lora.trial-0-rate-0.0003", of=10, loss=2.5)
    (tried,) = watched_now(folder).contestants[0].trials
    assert (tried.state, tried.loss, tried.entry.rung, tried.entry.steps) == ("done", 2.5, 0, 10)


def test_what_memory_changed_is_told() -> None:
    folder = made("lora", search=False)
    trains(folder, "lora.seed-1", done=5)
    tell(folder.entry("lora.seed-1"), Replanned(step=5, why="memory", changes=(), text="half the rows at once"))
    (final,) = watched_now(folder).contestants[0].finals
    assert final.outcome.changed == ("half the rows at once",)


def test_an_entry_that_nobody_carries_is_stopped() -> None:
    folder = made("lora", search=False)
    trains(folder, "lora.seed-1", done=5)
    tell(folder.entry("lora.seed-1"), started(supervisor_mark="gone", worker_mark="gone"))
    (final,) = watched_now(folder).contestants[0].finals
    assert final.state == "stopped"
    assert standing(watched_now(folder)) == {"lora": "waiting"}


def test_an_entry_that_is_put_aside_is_due_again() -> None:
    folder = four()
    watch = ComparisonWatch(folder)
    *_, before = watch.look()
    folder.entry("full.seed-1").path.rename(folder.path / "aside")
    *_, after = watch.look()
    assert (before.done, after.done) == (3, 2)
    assert (before.entries, after.entries) == (4, 4)
    assert standing(after)["full"] == "waiting"


def test_only_what_grew_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = four()
    watch = ComparisonWatch(folder)
    list(watch.look())
    read: list[str] = []
    plain = entry_watching.EntryLog.read

    def note(log: entry_watching.EntryLog) -> None:
        read.append(Path(log._reader._tail.path).parent.name)
        plain(log)

    monkeypatch.setattr(entry_watching.EntryLog, "read", note)
    assert list(watch.look()) == []
    assert set(read) <= {"rslora.seed-1"}
    ends(folder, "rslora.seed-1")
    *_, last = watch.look()
    assert standing(last)["rslora"] == "done"
    assert set(read) == {"rslora.seed-1"}


def test_of_what_results_tell_no_log_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = four(end=True)
    opened: list[str] = []
    plain = entry_watching.EntryWatch.look

    def note(watch: entry_watching.EntryWatch) -> bool:
        opened.append(watch.now.entry.id)
        return plain(watch)

    monkeypatch.setattr(entry_watching.EntryWatch, "look", note)
    watched = watched_now(folder)
    assert standing(watched) == {"lora": "done", "dora": "done", "rslora": "done", "full": "failed"}
    assert opened == ["full.seed-1"]


@pytest.mark.parametrize("end", [DONE, STOPPED, OUT_OF_MEMORY])
def test_following_ends_when_the_comparison_does(end: object) -> None:
    folder = four()
    tell(folder, end)  # type: ignore[arg-type]
    *_, last = follow_comparison(folder)
    assert last.over
    assert last.share == 1.0
    assert last.left is None


def test_following_tells_what_comes_and_ends_once_nobody_carries_it() -> None:
    folder = four()
    followed = follow_comparison(folder)
    seen = next(one for one in followed if one.share == 1.0)
    assert seen.done == 3
    ends(folder, "rslora.seed-1")
    assert next(followed).done == 4
    tell(folder, started(method="comparison", supervisor_mark="gone", worker_mark="gone"))
    *_, last = followed
    assert last.state.status == "lost"


def test_following_ends_when_the_folder_goes_and_when_nobody_looks() -> None:
    folder = four()
    followed = follow_comparison(folder)
    next(followed)
    shutil.rmtree(folder.path)
    *_, last = followed
    assert last.state.deleted
    left = threading.Event()
    other = follow_comparison(made("lora"), left)
    next(other)
    left.set()
    assert list(other) == []


def test_who_waits_for_more_hears_of_it_and_of_its_going() -> None:
    folder = four(end=True)
    left = threading.Event()
    seen = watched_now(folder)
    threading.Timer(0.1, lambda: tell(folder, started(method="comparison"))).start()
    assert await_more(folder, seen, left)
    assert await_more(folder, seen, left)  # though it came before the waiting
    seen = watched_now(folder)
    threading.Timer(0.1, lambda: shutil.rmtree(folder.path)).start()
    assert not await_more(folder, seen, left)


def test_a_contestant_that_joins_is_seen() -> None:
    folder = made("lora", search=False)
    watch = ComparisonWatch(folder)
    list(watch.look())
    more = comparison("lora", "dora", search=False)
    write_comparison(more.asked, more.recipes, folder)
    *_, watched = watch.look()
    assert standing(watched) == {"lora": "waiting", "dora": "waiting"}


@pytest.fixture
def broken() -> Iterator[ComparisonFolder]:
    folder = four()
    yield folder
    assert watched_now(folder).id == folder.id


def test_what_is_broken_is_said_or_left_out_and_stops_nobody(broken: ComparisonFolder) -> None:
    broken.results.write_bytes(b"{")
    (broken.entries / "nobody.seed-1").mkdir()
    (broken.entries / "lora.seed-1x").mkdir()
    broken.entry("lora.seed-1").events.unlink()
    broken.entry("lora.seed-1").events.mkdir()
    broken.entry("dora.seed-1").events.write_bytes(b"\xff\n{}\n")
    watched = watched_now(broken)
    assert [one.name for one in watched.contestants] == ["lora", "dora", "rslora", "full"]
    assert watched.contestants[0].standing == "failed"
    broken.comparison.write_text("")
    assert "can't be read" in watched_now(broken).fault


def test_results_of_another_make_nobody_up() -> None:
    folder = made("lora", search=False)
    found(folder, stands("somebody", 1.5, 1))
    assert [one.name for one in watched_now(folder).contestants] == ["lora"]

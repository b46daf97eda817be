"""What became of entries, read from their folders."""

from __future__ import annotations

import json
import shutil
import time
from array import array
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.events import (
    Change,
    Continued,
    Event,
    Failed,
    Finished,
    Phase,
    Replanned,
    Restarting,
    Started,
    WorkerEnded,
)
from pegbox_methods.recipe_file import read_recipe, write_recipe
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing.entry_folder import Ground, entry_folder
from pegbox_runs.arena.entries import Entry, Outcome
from pegbox_runs.arena.outcomes import OutcomeReader, possible_entries, read_outcomes
from pegbox_runs.arena.schedule import due
from pegbox_runs.arena.spec import Paced, read_comparison, write_paced
from pegbox_runs.event_log import EventWriter
from pegbox_runs.judging.judged import JUDGED, Judged, Judgement, write_judged
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.telling import tell
from tests.runs.arena.directed import made
from tests.runs.arena.made_up_comparisons import losses
from tests.stories import STORY, evaluation, prepared, started, step

DEAD = started(supervisor_pid=2**22, worker_pid=2**22)
END = Finished(reason="completed", steps=12, kept_step=12, adapter="adapter", seconds=1.0)


def begun(folder: ComparisonFolder, *events: Event, entry: Entry | None = None) -> RunFolder:
    comparison = read_comparison(folder)
    entry = entry or due(comparison, {})[0]
    recipe = comparison.recipes[entry.contestant]
    place = entry_folder(folder, entry, recipe, Ground(folder, recipe))
    tell(place, *events)
    return place


def judge(place: RunFolder) -> None:
    rows = Judgement(held_out=losses(1.0, 2.0))
    write_judged(Judged(before=rows, after=rows, kept_step=12, seconds=0.1), place.path)


def only(folder: ComparisonFolder) -> Outcome:
    (outcome,) = read_outcomes(folder, read_comparison(folder)).values()
    return outcome


def test_an_entry_is_done_if_it_finished_and_was_judged() -> None:
    folder = made("lora", search=False)
    place = begun(folder, DEAD, prepared(), evaluation(0, 3.0), step(1, process=7, device=9), evaluation(1, 2.5), END)
    judge(place)
    place.adapter.mkdir()
    (place.adapter / "weights").write_bytes(b"12345")
    found = only(folder)
    assert (found.state, found.over, found.entry.id) == ("done", True, "lora.seed-1")
    assert (found.entry.steps, found.entry.rate, found.entry.seed) == (12, 1e-3, 1)
    assert found.judged is not None
    assert [*found.judged.after.held_out.nats] == [1.0, 2.0]
    assert found.judged.after.held_out.tokens == losses(1.0, 2.0).tokens
    assert (found.process_peak, found.device_peak) == (7, 9)
    assert (found.training_seconds, found.tokens, found.trainable_weights) == (2.0, 7, 5)
    assert found.curve == ((0, 3.0), (1, 2.5))
    assert found.adapter_bytes == 5


def test_without_its_judgement_a_finished_entry_is_no_result() -> None:
    folder = made("lora", search=False)
    place = begun(folder, DEAD, END)
    assert only(folder).state == "failed"
    assert JUDGED in only(folder).why
    (place.path / JUDGED).write_bytes(b'{"before":')
    assert only(folder).state == "failed"
    judge(place)
    assert only(folder).state == "done"


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], "new"),
        ([DEAD, step(1)], "stopped"),  # nobody carries it
        ([started(), step(1)], "running"),  # this process does, as it says
        ([DEAD, Finished(reason="stopped", steps=1, kept_step=1, adapter=None, seconds=1.0)], "stopped"),
        ([DEAD, Finished(reason="aborted", steps=1, kept_step=0, adapter=None, seconds=1.0)], "stopped"),
        ([DEAD, Failed(what="no", where="w", remedy="", kind="error")], "failed"),
        ([DEAD, Failed(what="full", where="w", remedy="", kind="disk")], "stopped"),
    ],
)
def test_states_follow_the_log(events: list[Event], state: str) -> None:
    folder = made("lora", search=False)
    begun(folder, *events)
    assert only(folder).state == state


def test_a_failure_is_told_in_its_own_words() -> None:
    folder = made("lora", search=False)
    place = begun(folder, DEAD, Failed(what="the loss is nan", where="w", remedy="", kind="diverged"))
    assert (only(folder).why, only(folder).diverged, only(folder).out_of_memory) == ("the loss is nan", True, False)
    tell(place, DEAD, Failed(what="no memory", where="w", remedy="", kind="device-memory"))
    assert (only(folder).why, only(folder).diverged, only(folder).out_of_memory) == ("no memory", False, True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": {"settings": {"rank": 3}}}, "method differs"),
        ({"training": {"micro_batch": 1, "accumulation": 3}}, "the effective batch differs"),
        ({"training": {"max_steps": 5}}, "training.max_steps differs"),
        ({"rows": {"file": "/other.jsonl"}}, "rows differs"),
        ({"training": {"activation_checkpointing": "on"}}, ""),
    ],
)
def test_an_entry_that_was_trained_otherwise_is_no_result(changes: dict[str, dict[str, object]], told: str) -> None:
    folder = made("lora", search=False)
    place = begun(folder, DEAD, END)
    judge(place)
    recipe = read_recipe(place.recipe)
    for table, fields in changes.items():
        changed = msgspec.structs.replace(getattr(recipe, table), **fields)
        recipe = msgspec.structs.replace(recipe, **{table: changed})
    write_recipe(recipe, place.recipe)
    found = only(folder)
    assert (found.state, told in found.why) == ("failed" if told else "done", True), found.why


def test_the_peak_is_that_of_the_settings_which_it_trains_with() -> None:
    folder = made("lora", search=False)
    fewer = Change(key="training.micro_batch", before=4, after=2)
    looks = Change(key="evaluation.micro_batch", before=4, after=2)
    place = begun(folder, DEAD, step(1, process=70, device=79))
    reader = OutcomeReader(folder)
    assert reader.read(read_comparison(folder))["lora.seed-1"].device_peak == 79
    tell(place, Replanned(step=1, why="memory", changes=(fewer,), text="half the rows"), step(2, process=30, device=20))
    tell(place, Replanned(step=2, why="memory", changes=(looks,), text="looks"), step(3, process=20, device=10))
    for found in (only(folder), reader.read(read_comparison(folder))["lora.seed-1"]):
        assert (found.device_peak, found.process_peak) == (20, 30)


def test_what_memory_changed_is_told() -> None:
    folder = made("lora", search=False)
    change = Change(key="training.micro_batch", before=4, after=2)
    begun(folder, DEAD, Replanned(step=1, why="memory", changes=(change,), text="half the rows at once"))
    assert only(folder).changed == ("half the rows at once",)


def test_the_hours_in_which_nobody_carried_it_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made("lora", search=False)
    place = begun(folder)
    clock = [1000.0]
    monkeypatch.setattr("pegbox_runs.event_log.now", lambda: clock[0])
    stopped = Finished(reason="stopped", steps=1, kept_step=1, adapter=None, seconds=1.0)

    def at(seconds: float, event: Event) -> None:
        clock[0] = 1000.0 + seconds
        writer = EventWriter(place.events)
        writer.emit(event)
        writer.close()

    at(0, DEAD)
    at(5, step(1))
    at(6, stopped)
    at(5000, WorkerEnded(attempt=1, exit_code=None, signal=None))
    at(5001, Restarting(attempt=2, why="w", after_seconds=1.0, left=1))
    at(6000, msgspec.structs.replace(DEAD, attempt=2))
    at(6010, step(2))
    at(6030, Continued(step=2, seconds=15.0))
    at(6031, Phase(phase="saving"))
    assert only(folder).wall_seconds == pytest.approx(6 + 31 - 15)


def test_an_entry_says_itself_what_it_ran() -> None:
    """A rate that was chosen once holds, whatever the tries say later."""
    folder = made("lora", search=True)
    entry = Entry(contestant="lora", seed=1, steps=12, rate=3e-4)
    begun(folder, DEAD, entry=entry)
    reader = OutcomeReader(folder)
    comparison = read_comparison(folder)
    assert [one.entry for one in reader.read(comparison).values()] == [entry]
    assert [one.entry for one in reader.read(comparison).values()] == [entry]


def test_what_it_ran_is_read_too_where_its_folder_was_seen_empty_before() -> None:
    folder = made("lora", search=True)
    entry = Entry(contestant="lora", seed=1, steps=12, rate=3e-4)
    reader, comparison = OutcomeReader(folder), read_comparison(folder)
    place = begun(folder, entry=entry)
    assert reader.read(comparison)[entry.id].state == "new"
    tell(place, DEAD)
    assert reader.read(comparison)[entry.id].entry == entry


@pytest.mark.parametrize("rung", [0, 1])
def test_tries_of_rates_with_dots_are_known(rung: int) -> None:
    folder = made("lora", search=True)
    for entry in possible_entries(read_comparison(folder)).values():
        if entry.rung == rung:
            begun(folder, DEAD, entry=entry)
    assert sorted((one.entry.rate, one.state) for one in read_outcomes(folder, read_comparison(folder)).values()) == [
        (pytest.approx(3e-4), "stopped"),
        (pytest.approx(1e-3), "stopped"),
        (pytest.approx(3e-3), "stopped"),
    ]


def test_a_folder_of_no_entry_is_left_out_with_a_remark() -> None:
    folder = made("lora", search=False)
    begun(folder, DEAD)
    for name in ("other.seed-1", "lora.seed-9", "lora.trial-0-rate-0.001", "\x1b[31m", ".making-lora.seed-1"):
        (folder.entries / name).mkdir()
    (folder.entries / "file").touch()
    reader = OutcomeReader(folder)
    assert list(reader.read(read_comparison(folder))) == ["lora.seed-1"]
    assert len(reader.remarks) == 4
    assert not any("\x1b" in remark for remark in reader.remarks)


def test_damaged_folders_are_failures_that_say_why() -> None:
    folder = made("lora", search=False)
    place = begun(folder, DEAD, END)
    judge(place)
    recipe = place.recipe.read_bytes()
    place.recipe.write_bytes(b"[model")
    assert (only(folder).state, "recipe.toml" in only(folder).why) == ("failed", True)
    place.recipe.write_bytes(recipe.replace(b"training = 1\n", b"training = 5\n"))
    assert (only(folder).state, only(folder).why) == ("failed", "its recipe.toml is that of lora.seed-5")
    place.recipe.write_bytes(recipe)
    assert only(folder).state == "done"
    events = place.events.read_bytes()
    place.events.write_bytes(b"nonsense\n" * 3)
    assert (only(folder).state, "no line" in only(folder).why) == ("failed", True)
    place.events.unlink()
    assert only(folder).state == "failed"
    place.events.mkdir()
    assert (only(folder).state, "can't be read" in only(folder).why) == ("failed", True)
    place.events.rmdir()
    place.events.write_bytes(events)
    assert only(folder).state == "done"


def test_a_log_that_lost_its_tail_has_not_finished() -> None:
    folder = made("lora", search=False)
    place = begun(folder, DEAD, step(1), END)
    judge(place)
    place.events.write_bytes(place.events.read_bytes()[:-20])
    assert only(folder).state == "stopped"


def test_a_reader_gives_what_reading_anew_gives_and_reads_what_is_over_once(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made("lora", "dora", seeds=(1, 2), search=False)
    comparison = read_comparison(folder)
    reader = OutcomeReader(folder)
    places = {entry.id: begun(folder, entry=entry) for entry in due(comparison, {})}
    story: list[Event] = [DEAD, *STORY[1:], END]
    for event in story:
        for place in places.values():
            tell(place, event)
            if event is END:
                judge(place)
        assert reader.read(comparison) == read_outcomes(folder, comparison)
    assert {one.state for one in reader.read(comparison).values()} == {"done"}
    opened: list[Path] = []
    monkeypatch.setattr(Path, "open", lambda self, *_, **__: opened.append(self))
    monkeypatch.setattr(Path, "read_bytes", lambda self: opened.append(self))
    assert len(reader.read(comparison)) == 4
    assert not opened


def test_an_entry_that_was_made_anew_is_read_anew() -> None:
    folder = made("lora", search=False)
    place = begun(folder, DEAD, step(1), END)
    judge(place)
    reader, comparison = OutcomeReader(folder), read_comparison(folder)
    assert reader.read(comparison)[place.id].state == "done"
    shutil.rmtree(place.path)
    assert reader.read(comparison) == {}
    begun(folder, started(), step(1))
    assert reader.read(comparison)[place.id].state == "running"


def test_with_a_hundred_entries_a_look_takes_no_time() -> None:
    folder = made("lora", "dora", "third", "fourth", "fifth", seeds=range(20), search=False)
    comparison = read_comparison(folder)
    for entry in due(comparison, {}):
        judge(begun(folder, *STORY[:1], END, entry=entry))
    reader = OutcomeReader(folder)
    assert len(reader.read(comparison)) == 100
    begin = time.process_time()
    reader.read(comparison)
    assert time.process_time() - begin < 0.1


def test_the_pace_is_read_with_the_rest_and_shortens_what_is_due() -> None:
    folder = made("lora", seeds=(1, 2, 3), search=False, budget_seconds=60.0)
    assert read_comparison(folder).steps is None
    write_paced(Paced(steps=7, seconds=1.0), folder)
    assert [entry.steps for entry in due(read_comparison(folder), {}) if entry.rung is None] == [7, 7, 7]
    write_paced(Paced(steps=7, seconds=1.0, seeds=2), folder)
    assert read_comparison(folder).seeds == (1, 2)
    assert [entry.steps for entry in due(read_comparison(folder), {}) if entry.rung is None] == [7, 7]
    assert json.loads(folder.paced.read_bytes())["seeds"] == 2


def test_a_folder_in_which_nothing_happened_is_made_anew_and_one_with_a_past_is_kept() -> None:
    folder = made("lora", search=False)
    place = begun(folder)
    place.recipe.write_bytes(b"")  # as after a power cut
    assert only(folder).state == "new"
    assert begun(folder).recipe.stat().st_size
    tell(place, DEAD)
    before = place.recipe.stat().st_ino
    assert begun(folder).recipe.stat().st_ino == before


def test_what_a_killed_director_was_making_is_made_anew() -> None:
    folder = made("lora", search=False)
    (folder.entries / ".making-lora.seed-1").mkdir(parents=True)
    (folder.entries / ".making-lora.seed-1" / "recipe.toml").write_text("half")
    place = begun(folder)
    assert [one.name for one in folder.entries.iterdir()] == [place.id]
    assert place.path.stat().st_mode & 0o077 == 0


def test_entries_stand_on_the_rows_that_the_comparison_was_made_with() -> None:
    folder = made("lora", search=False)
    told = json.loads(folder.environment.read_bytes())
    folder.environment.write_bytes(msgspec.json.encode({**told, "rows_sha256": "abc", "model_sha256": "def"}))
    place = begun(folder)
    stands_on = json.loads(place.environment.read_bytes())
    assert (stands_on["rows_sha256"], stands_on["model_sha256"]) == ("abc", "def")


def test_started_twice_is_one_entry() -> None:
    folder = made("lora", search=False)
    again = msgspec.structs.replace(DEAD, attempt=2)
    assert isinstance(again, Started)
    judge(begun(folder, DEAD, step(1), again, step(2), END))
    assert len(read_outcomes(folder, read_comparison(folder))) == 1


def bare(judgement: Judgement) -> list[object]:
    assert judgement.general is not None
    return [judgement.held_out.nats, judgement.general.nats, *judgement.scores.values()]


def test_what_many_entries_have_alike_is_held_once() -> None:
    folder = made("lora", "dora", seeds=(1, 2), search=False)
    judged = Judged(
        before=Judgement(held_out=losses(3.0, 4.0), general=losses(5.0), scores={"token-f1": (0.5,)}),
        after=Judgement(held_out=losses(1.0, 2.0), general=losses(6.0), scores={"token-f1": (0.25,)}),
        kept_step=12,
        seconds=1.0,
    )
    comparison = read_comparison(folder)
    ground = Ground(folder, comparison.recipes["lora"])
    for entry in due(comparison, {}):
        place = entry_folder(folder, entry, comparison.recipes[entry.contestant], ground)
        end = Finished(reason="completed", steps=12, kept_step=12, adapter="adapter", seconds=1.0)
        tell(place, started(run=entry.id), prepared(), end)
        write_judged(judged, place.path)
    outcomes = read_outcomes(folder, comparison)
    found = [one.judged for one in outcomes.values()]
    assert [msgspec.to_builtins(one, enc_hook=tuple) for one in found] == [msgspec.to_builtins(judged)] * 4
    assert {type(values) for one in found if one for values in bare(one.after)} == {array}  # in a fifth of the room
    assert len({id(one.before.held_out.nats) for one in found if one}) == 1
    assert len({id(one.after.general.tokens) for one in found if one and one.after.general}) == 1

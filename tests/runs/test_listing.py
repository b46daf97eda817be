"""The list of runs: read once, and then only what is new; whatever lies in the folder."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.events import AnyEvent, Failed, Finished, Paused, Resumed
from pegbox_methods.recipe import Output
from pegbox_runs import listing
from pegbox_runs.event_log import EventWriter
from pegbox_runs.listing import ListedRun, Listing, Look, Outline
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.summary import summarise, write_summary
from pegbox_runs.viewing import state_of
from tests.stories import RECIPE, STORY, evaluation, made, started, step

NESTED = b"[" * 5000 + b"]" * 5000
DONE = Finished(reason="completed", steps=10, kept_step=3, adapter="adapter", seconds=61.0)


def run_of(name: str, *events: AnyEvent, ended: bool = False) -> RunFolder:
    folder = made()
    folder = RunFolder(folder.path.rename(folder.path.with_name(name)))
    tell(folder, *events)
    if ended:
        write_summary(summarise(folder.id, state_of(folder)), folder.summary)
    return folder


def tell(folder: RunFolder, *events: AnyEvent) -> None:
    writer = EventWriter(folder.events)
    for event in events:
        writer.emit(event)
    writer.close()


def last_look(runs: Listing) -> Look:
    return list(runs.look())[-1]


def listed(runs: Listing) -> dict[str, ListedRun]:
    return {run.id: run for run in last_look(runs).runs}


def test_where_there_is_no_folder_of_runs_there_are_none() -> None:
    assert last_look(Listing()) == ((), True)


def test_runs_come_newest_first_with_what_each_came_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.stories.RECIPE", msgspec.structs.replace(RECIPE, output=Output(note="for Ada")))
    run_of("20260101-000000-lora-aaaa", *STORY, DONE, ended=True)
    run_of("20260102-000000-lora-bbbb", *STORY)
    run_of("20260103-000000-lora-cccc", *STORY, Failed(what="it broke", where="training", remedy="Mend it."))
    run_of("20260104-000000-lora-dddd", *STORY, Paused(step=3, memory="kept"))
    runs = last_look(Listing()).runs
    assert [(run.id[-4:], run.status) for run in runs] == [
        ("dddd", "paused"),
        ("cccc", "failed"),
        ("bbbb", "running"),
        ("aaaa", "finished"),
    ]
    for run in runs:
        assert (run.method, run.model, run.rows, run.note) == ("lora", "bundled", "/rows.jsonl", "for Ada")
        assert (run.untrained_loss, run.best_loss, run.best_step) == (3.0, 2.5, 2)
        assert (run.steps, run.steps_planned) == (3, 10)
        assert run.started is not None
    assert runs[1].trouble == "failed while training: it broke"


def test_of_a_run_that_goes_on_only_what_is_new_is_read() -> None:
    folder = run_of("20260101-000000-lora-aaaa", *STORY)
    runs = Listing()
    assert listed(runs)[folder.id].steps == 3
    first, *others = folder.events.read_bytes().splitlines(keepends=True)
    folder.events.write_bytes(b"x" * (len(first) - 1) + b"\n" + b"".join(others))  # read again, it would start nowhere
    tell(folder, step(4))
    found = listed(runs)[folder.id]
    assert (found.steps, found.status, found.best_loss) == (4, "running", 2.5)
    assert listed(Listing())[folder.id].status == "new"


def test_an_ended_run_is_read_once_until_its_files_change(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_of("20260101-000000-lora-aaaa", *STORY, DONE, ended=True)
    runs = Listing()
    before = listed(runs)[folder.id]

    def never(*_: object) -> None:
        raise AssertionError("it was read again")

    with monkeypatch.context() as patched:
        patched.setattr(listing, "_summary", never)
        assert listed(runs)[folder.id] is before
    folder.summary.unlink()
    tell(folder, started(attempt=2), Resumed(step=2, folder="f"))
    assert listed(runs)[folder.id].status == "running"


def test_a_run_whose_log_went_on_behind_its_summary_is_what_its_log_says() -> None:
    folder = run_of("20260101-000000-lora-aaaa", *STORY, DONE, ended=True)
    tell(folder, started(attempt=2), Resumed(step=2, folder="f"))
    later = folder.summary.stat().st_mtime_ns + 10**9
    os.utime(folder.events, ns=(later, later))
    assert listed(Listing())[folder.id].status == "running"


def test_a_run_that_failed_and_goes_on_has_no_trouble_any_more() -> None:
    folder = run_of("20260101-000000-lora-aaaa", *STORY, Failed(what="w", where="training", remedy="r"))
    runs = Listing()
    assert listed(runs)[folder.id].trouble
    tell(folder, started(attempt=2))
    assert listed(runs)[folder.id].trouble == ""


def test_a_run_that_nobody_carries_is_lost() -> None:
    folder = run_of("20260101-000000-lora-aaaa", started(supervisor_mark="another", worker_mark="another"), *STORY[1:])
    assert listed(Listing())[folder.id].status == "lost"


def test_a_removed_run_is_gone_at_the_next_look() -> None:
    folder = run_of("20260101-000000-lora-aaaa", *STORY)
    runs = Listing()
    assert listed(runs)
    folder.path.rename(folder.path.with_name(".gone"))
    assert not listed(runs)


def test_a_first_look_gives_the_newest_before_it_knows_the_others(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "FIRST_BATCHES", (2,))
    for name in "abcd":
        (home / "runs" / name).mkdir(parents=True)
    runs = Listing()
    assert [([run.id for run in look.runs], look.whole) for look in runs.look()] == [
        (["d", "c"], False),
        (["d", "c", "b", "a"], True),
    ]
    assert [look.whole for look in runs.look()] == [True], "a later look would take the list apart"


def test_a_long_log_is_read_in_portions_and_the_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PORTION_CHUNKS", 1)
    monkeypatch.setattr("pegbox_runs.line_tail.CHUNK_BYTES", 1024)
    long = run_of("20260102-000000-lora-long", *STORY, *(step(number) for number in range(4, 30)))
    short = run_of("20260101-000000-lora-aaaa", *STORY, DONE, ended=True)
    runs = Listing()
    first = listed(runs)
    assert first[long.id].status == "reading"
    assert first[short.id].status == "finished"
    assert runs.reading
    portions = 0
    while runs.reading:
        found = {run.id: run for run in runs.read_on().runs}[long.id]
        portions += 1
    assert portions > 3
    assert (found.status, found.steps) == ("running", 29)


def test_what_is_left_out_of_a_log_changes_nothing_that_a_list_tells() -> None:
    story = [*STORY, *(step(i) for i in range(4, 9)), evaluation(8, 2.2), step(9), Resumed(step=8, folder="f"), step(9)]
    folder = run_of("20260101-000000-lora-aaaa", *story)
    outline = Outline(folder)
    assert outline.read()
    whole = state_of(folder)
    assert outline.state.peak != whole.peak, "nothing was left out"
    told = (
        "status",
        "started",
        "prepared",
        "steps_done",
        "evaluations",
        "ended",
        "first_time",
        "last_time",
        "last_seq",
    )
    for name in told:
        assert getattr(outline.state, name) == getattr(whole, name), name


@pytest.mark.parametrize(
    ("file", "content", "status", "trouble"),
    [
        ("recipe.toml", None, "damaged", "there is no recipe.toml in it"),
        ("recipe.toml", b"= \x1b[31m", "running", "its recipe.toml is damaged"),
        ("recipe.toml", b"\xff", "running", "its recipe.toml is damaged"),
        pytest.param("recipe.toml", b"a = " + NESTED, "running", "its values nest too deep", id="nested recipe"),
        ("recipe.toml", b"model = 3\n[rows]\nfile = 4\n", "running", ""),
        ("events.jsonl", None, "damaged", "there is no events.jsonl in it"),
        ("events.jsonl", b"\x00\xff\n\n[]\n", "damaged", "no line of its events.jsonl tells an event"),
        pytest.param("events.jsonl", b'{"more":' + NESTED + b"}\n", "damaged", "no line of its", id="nested log"),
        ("summary.json", b"{", "running", ""),
        pytest.param("summary.json", b'{"more":' + NESTED + b"}", "running", "", id="nested summary"),
    ],
)
def test_a_damaged_folder_is_a_line_with_its_reason(
    file: str, content: bytes | None, status: str, trouble: str
) -> None:
    folder = run_of("20260101-000000-lora-aaaa", *STORY)
    path = folder.path / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
        later = folder.events.stat().st_mtime_ns + 10**9
        os.utime(path, ns=(later, later))
    found = listed(Listing())[folder.id]
    assert found.status == status
    assert trouble in found.trouble
    assert bool(trouble) == bool(found.trouble)


def test_a_first_line_that_nests_too_deep_only_hides_when_an_ended_run_began() -> None:
    folder = run_of("20260101-000000-lora-aaaa", *STORY, DONE, ended=True)
    folder.events.write_bytes(b'{"time":1,"more":' + NESTED + b"}\n")
    earlier = folder.summary.stat().st_mtime_ns - 10**9
    os.utime(folder.events, ns=(earlier, earlier))
    found = listed(Listing())[folder.id]
    assert (found.status, found.started) == ("finished", None)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_log_that_must_not_be_read_is_told() -> None:
    folder = run_of("20260101-000000-lora-aaaa", *STORY)
    folder.events.chmod(0)
    assert "Permission denied" in listed(Listing())[folder.id].trouble


def test_a_folder_in_place_of_the_log_is_told() -> None:
    folder = run_of("20260101-000000-lora-aaaa", *STORY)
    folder.events.unlink()
    folder.events.mkdir()
    found = listed(Listing())[folder.id]
    assert (found.status, found.trouble) == ("damaged", "its events.jsonl can't be read: Is a directory")

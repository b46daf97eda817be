"""A comparison as lines, as JSON, and as a table, from folders in which nobody trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest
from rich.console import Console

from pegbox import comparison_watch
from pegbox.__main__ import main
from pegbox.comparison_view import show_results
from pegbox_methods.events import CommandAnswer, Failed, Finished, Notice
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.entries import Entry, EntryState, Outcome
from pegbox_runs.arena.results import read_results
from pegbox_runs.arena.watching.entry_watching import EntryNow
from pegbox_runs.arena.watching.watch import Contestant, Watched
from pegbox_runs.run_state import RunState
from tests.cli.made_comparisons import COMPLETED, ID, final, made_comparison, run_entry
from tests.runs.arena.made_up_results import KINDS, contestant, failed, interval, results
from tests.stories import started


def printed(kind: str, width: int, capsys: pytest.CaptureFixture[str], folder: ComparisonFolder) -> list[str]:
    show_results(KINDS[kind](), folder, Console(width=width, highlight=False, emoji=False, markup=False))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [60, 80, 93, 120, 200])
@pytest.mark.parametrize("kind", KINDS)
def test_a_leaderboard_fits_its_terminal_and_cuts_no_figure(
    kind: str, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_comparison()
    lines = printed(kind, width, capsys, folder)
    table = [line for line in lines if not line.startswith("The numbers so far")]
    assert max(map(len, table)) <= width
    assert not any("\x1b" in line for line in lines)
    if kind == "usual":
        (dora,) = (line for line in lines if line.startswith(" =1  dora"))
        assert " 1.434 " in dora, "to the digits that its range leaves"
        assert ("1 min 28 s" in dora) == (width > 60)
        assert "+0.0027 ±0.0060" in dora
        assert ("5,210" in dora) == (width > 93)


def test_the_base_model_is_row_zero_and_what_failed_stands_below(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed("usual", 100, capsys, made_comparison())
    assert lines[1].split() == ["base", "model", "1.9021"]
    assert "rslora: 2 of 3 trainings are done" in lines
    assert "full failed for memory: CUDA out of memory. Tried to allocate 96.00 MiB." in lines
    assert any(line.startswith("Take lora: it is tied with dora") for line in lines)
    assert "Mind: rslora has 2 of 3 seeds." in lines


def test_the_memory_of_a_process_is_told_as_an_upper_bound(capsys: pytest.CaptureFixture[str]) -> None:
    on_a_cpu = results(contestant("lora", 1.4312, 1, 1, device_peak=None))
    show_results(on_a_cpu, made_comparison(), Console(width=100))
    assert "<= 2.0 GiB" in capsys.readouterr().out


@pytest.fixture
def over() -> ComparisonFolder:
    """One in which one contestant came to a loss and the other broke."""
    folder = made_comparison(
        events=[
            Notice(text="the disk is slow", about="disk"),
            CommandAnswer(command="pause", id="a", taken=True, text="paused", latency=0.1),
            COMPLETED,
        ],
        results=results(contestant("lora", 1.4312, 1, 1), failed("dora"), recommendation="Take lora."),
    )
    run_entry(folder, final("lora"), 1.5)
    run_entry(folder, final("dora"), why="it \x1b[2Jbroke")
    folder.summary.write_text("{}")
    return folder


def test_plain_lines_tell_each_training_and_then_what_came_of_it(
    over: ComparisonFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", ID, "--plain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"comparison {ID}: lora, dora"
    assert lines[1:3] == ["notice: the disk is slow", "pause: paused"]
    assert lines[3].startswith("[1/2] lora, seed 1: loss 1.4312 in")
    assert lines[3].endswith("; peak 1.2 GiB")
    assert lines[4] == "[2/2] dora, seed 1: failed: it \\x1b[2Jbroke"
    assert "contestant" in lines[5]
    assert not any("pegbox resume" in line for line in lines)


def test_json_is_a_line_for_each_news_and_the_results_last(
    over: ComparisonFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", ID, "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [record.get("event") for record in records]
    assert kinds == ["started", "notice", "command-answer", "entry", "entry", "finished", None]
    lora, dora = records[3:5]
    assert (lora["entry"]["id"], lora["state"], lora["loss"]) == ("lora.seed-1", "done", 1.4312)
    assert (dora["entry"]["contestant"], dora["state"], dora["loss"]) == ("dora", "failed", None)
    assert records[-1]["recommendation"] == "Take lora."


@pytest.mark.parametrize(
    ("events", "code", "said"),
    [
        ([COMPLETED], 1, "no contestant came to a loss"),
        ([Finished(reason="stopped", steps=1, kept_step=0, adapter=None, seconds=1.0)], 0, "stopped after 1 training"),
        ([started(attempt=2, supervisor_mark="gone", worker_mark="gone")], 1, "lost: nobody carries"),
    ],
)
def test_an_end_without_results_says_so_and_how_to_go_on(
    events: list[Finished], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_comparison(events=events)
    folder.summary.write_text("{}")
    for words in (["compare", ID], ["watch", ID, "--plain"]):
        assert main(words) == code
        told = capsys.readouterr().out
        assert said in told
        assert (f"`pegbox resume {ID}` goes on with what is left" in told) == (events != [COMPLETED])
    assert main(["compare", ID, "--json"]) == code
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["results"] is None


def test_who_leaves_is_told_how_to_come_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made_comparison()

    def leaves(folder: ComparisonFolder) -> Iterator[Watched]:
        yield Watched(id=folder.id, state=RunState(status="running"))
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison_watch, "follow_comparison", leaves)
    assert main(["watch", ID]) == 0
    said = capsys.readouterr().out
    assert f"The comparison goes on. `pegbox compare {ID}` shows it, `pegbox stop {ID}` ends it." in said


def test_on_a_terminal_the_screen_opens_and_leaves_its_last_words(
    over: ComparisonFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pegbox_runs.arena.watching.watch import watched_now
    from pegbox_tui.arena import app

    opened: list[ComparisonFolder] = []

    def screen(folder: ComparisonFolder, **_: object) -> Watched:
        opened.append(folder)
        return watched_now(folder)

    monkeypatch.setattr(app, "watch_comparison", screen)
    monkeypatch.setattr(comparison_watch, "can_draw", lambda: True)
    assert main(["watch", ID]) == 0
    assert opened == [over]
    assert "Take lora." in capsys.readouterr().out.splitlines()


def test_records_that_cannot_be_read_are_named_and_the_rest_is_told(
    over: ComparisonFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    over.results.write_text("{")
    over.comparison.write_text("x =")
    assert main(["compare", ID, "--json"]) == 1
    told = capsys.readouterr()
    assert "comparison.toml: can't be read" in told.err
    assert "results.json: can't be read, or is of another version" in told.err
    assert json.loads(told.out)["results"] is None
    assert f"`pegbox compare {ID} --report` makes it anew" in json.loads(told.out)["results_fault"]
    assert main(["compare", ID, "--add", "ia3"]) == 2
    assert "comparison.toml: can't be read" in capsys.readouterr().err


def test_a_comparison_that_is_carried_on_says_so_and_names_its_contestants_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = made_comparison(events=[started(attempt=1), COMPLETED])
    folder.summary.write_text("{}")
    main(["watch", ID, "--plain"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"comparison {ID}: lora, dora", f"comparison {ID} is carried on"]


def test_a_comparison_whose_folder_goes_while_it_is_watched_is_deleted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made_comparison()

    def goes(folder: ComparisonFolder) -> Iterator[Watched]:
        shutil.rmtree(folder.path)
        yield Watched(id=folder.id, state=RunState(status="running", deleted=True))

    monkeypatch.setattr(comparison_watch, "follow_comparison", goes)
    assert main(["watch", ID]) == 1
    assert capsys.readouterr().out.splitlines() == ["deleted: the comparison's folder is gone"]


def test_who_joins_late_is_told_what_is_over_by_its_own_place_and_what_runs_by_its_own_recipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_comparison(seeds=(1, 2))
    decided = Entry(contestant="lora", seed=1, steps=60, rate=3e-3)
    run_entry(folder, decided)
    guessed = [final("lora"), final("dora"), final("lora", 2), final("dora", 2)]
    states: list[EntryState] = ["running", "done", "done", "new"]
    finals = [
        EntryNow(Outcome(entry=entry, state=state), loss=2.0 if state == "done" else None)
        for entry, state in zip(guessed, states, strict=True)
    ]
    contestant_now = Contestant(name="lora", method="lora", standing="running", finals=tuple(finals))
    watched = Watched(id=folder.id, state=RunState(status="finished"), contestants=(contestant_now,), done=2, entries=4)
    monkeypatch.setattr(comparison_watch, "follow_comparison", lambda folder: iter([watched]))
    main(["watch", ID, "--plain"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert lines == [
        "[1/4] dora, seed 1: loss 2.0000",
        "[2/4] lora, seed 2: loss 2.0000",
        "[3/4] lora, seed 1: 60 steps at a rate of 0.003",
    ]


@pytest.mark.parametrize("damage", ["{", None])
@pytest.mark.parametrize("words", [["compare", ID, "--report"], ["resume", ID]])
def test_results_that_are_damaged_or_gone_are_made_anew_from_the_trainings(
    over: ComparisonFolder, damage: str | None, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    over.results.unlink()
    if damage is not None:
        over.results.write_text(damage)
    assert main(["compare", ID]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"`pegbox compare {ID} --report` makes it anew" in said
    assert "no contestant came to a loss" not in said
    assert main(words) == 0
    assert "was made anew from the trainings" in " ".join(capsys.readouterr().out.split())
    found = read_results(over)
    assert found is not None
    assert found.complete
    assert [one.name for one in found.contestants if one.loss is not None] == ["lora"]
    assert (over.path / "report.html").is_file()


def test_what_failed_is_run_again_by_retry_and_not_by_resume(
    over: ComparisonFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", ID]) == 0
    assert f"`pegbox compare {ID} --retry` runs again what failed" in capsys.readouterr().out
    all_failed = Failed(what="no contestant came", where="carrying its entries", remedy="See them.", kind="refused")
    other = "20260103-030405-compare-abcd"
    folder = made_comparison(other, events=[all_failed], results=results(failed("lora"), failed("dora")))
    for name in ("lora", "dora"):
        run_entry(folder, final(name), why="it broke")
    assert main(["compare", other]) == 1
    said = capsys.readouterr().out
    assert f"`pegbox compare {other} --retry` runs again what failed" in said
    assert "pegbox resume" not in said
    assert main(["resume", other, "--detach"]) == 2
    assert "with --retry it runs again what failed" in capsys.readouterr().err


def test_where_rates_only_blew_up_nobody_is_sent_to_retry_which_would_run_none_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused = Failed(what="no contestant came", where="carrying its entries", remedy="See them.", kind="refused")
    folder = made_comparison(names=("lora",), events=[refused], results=results(failed("lora")), search=True)
    for rate in (3e-4, 1e-3, 3e-3):
        trial = Entry(contestant="lora", seed=1, steps=10, rate=rate, rung=0)
        run_entry(folder, trial, why="the training loss became nan", kind="diverged")
    assert main(["compare", ID]) == 1
    assert "--retry" not in capsys.readouterr().out


@pytest.mark.parametrize(("width", "in_the_table"), [(80, False), (200, True)])
def test_scores_of_answers_stand_in_the_table_or_below_it(
    width: int, in_the_table: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed("usual", width, capsys, made_comparison())
    assert ("Exact match" in lines[0]) == in_the_table
    assert any(line.startswith("lora: Exact match 41.0 % (35.0 to 47.0 %), ROUGE-L") for line in lines) != in_the_table
    assert any(line.startswith("base model: Exact match 5.0 %") for line in lines) != in_the_table


def test_what_makes_a_contestants_figures_mislead_is_told_and_the_mean_is_over_the_seeds_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unsure = results(
        contestant("lora", 1.66, 1, 1, rate_by="search-edge", rate=6e-4, loss=interval(1.66049, 0.12)),
        contestant("dora", 1.7, 2, 2, change=interval(-0.01, 0.02)),
        compared_seeds=(1, 2),
    )
    show_results(unsure, made_comparison(), Console(width=300))
    said = capsys.readouterr().out
    assert "Mind: lora: Its learning rate, 0.0006, is the highest that was tried" in said
    assert "Mind: dora: It can't be told to be better than its own base model" in said
    assert "mean of 2 trainings" in said
    assert " 1.66 " in said
    assert "1.660" not in said

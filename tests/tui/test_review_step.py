"""The last step: the recipe and its figures, what would be refused, measuring, saving, comparing, starting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from pegbox_hardware.forecast.memory import Forecast
from pegbox_methods.advice.records import Place
from pegbox_methods.recipe import Method, Model, Recipe, Rows
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs import comparison
from pegbox_runs.disk_need import DiskNeed
from pegbox_runs.drafts import Draft, PlannedCard
from pegbox_runs.jobs import JobFailed
from pegbox_runs.models import BUNDLED
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.starting import Begun
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.explaining import explained
from pegbox_tui.wizard.advice_words import warnings_of
from pegbox_tui.wizard.review import screen, working
from pegbox_tui.wizard.review.findings import Finding, findings
from pegbox_tui.wizard.review.save_screen import Exists, SaveScreen, save
from pegbox_tui.wizard.review.screen import ReviewStep
from pegbox_tui.wizard.workbench import Workbench
from tests.methods.advice_situations import model_70b, rows
from tests.tui.cardboard import CardboardBench, StepApp, draft, drawn, settled

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
GIB = 2**30
NEED = DiskNeed(
    download=15 * GIB, checkpoint=GIB // 2, checkpoints=3, adapter=GIB // 8, run_free=40 * GIB, model_free=50 * GIB
)
FOLDER = RunFolder(Path("/runs/20260101-000000-lora"))


class Started:
    """Stands in for the start of runs, and keeps what was to be started."""

    def __init__(self) -> None:
        self.recipes: list[Sequence[tuple[Recipe, str]]] = []
        self.gpus: list[str | None] = []
        self.refuses = ""

    def __call__(self, recipes: Sequence[tuple[Recipe, str]], _supervisor: Any, *, gpu: str | None) -> Begun:
        if self.refuses:
            raise Refusal(self.refuses)
        self.recipes.append(recipes)
        self.gpus.append(gpu)
        return Begun([FOLDER for _ in recipes], lambda: None)


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    """Give a home of its own, checks that pass, a disk that stays the same, and a start that starts nothing."""
    monkeypatch.setenv("PEGBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(screen, "findings", lambda recipe: ())
    monkeypatch.setattr(screen, "disk_need", lambda *given: NEED)
    stands_in = Started()
    monkeypatch.setattr(working, "begin_runs", stands_in)
    return stands_in


def app_of(bench: CardboardBench | None = None, **changes: Any) -> StepApp:
    return StepApp(ReviewStep(draft(step="review", **changes), bench or Here()))


class Here(CardboardBench):
    """A machine whose only card is the one that is advised for, unless one is planned for."""

    def place(self, draft: Draft) -> Place:
        found = super().place(draft)
        planned = draft.planned is not None
        named = "Radeon Planned" if planned else found.name
        return msgspec.structs.replace(found, planned=planned, uuid=None if planned else "GPU-2", name=named)


def left(app: StepApp) -> str:
    """Give what stands on the left of the recipe, or in a question over it."""
    lines = drawn(app).splitlines()
    if isinstance(app.screen, ConfirmScreen):
        return "\n".join(line[line.index("│") + 1 : line.rindex("│")] for line in lines if line.count("│") > 1)
    return "\n".join(line.partition("│")[0] for line in lines)


def pressed(*keys: str) -> Callable[[Pilot[Any]], Any]:
    async def run(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        for key in keys:
            await pilot.press(key)
            await settled(pilot)

    return run


@SIZES
def test_the_review_is_drawn(snap_compare: Any, started: Started, size: tuple[int, int]) -> None:
    assert snap_compare(app_of(), terminal_size=size, run_before=pressed("c"))


async def test_a_sound_recipe_is_started_by_one_key_on_the_card_that_was_advised_for(started: Started) -> None:
    app = app_of(values={"training.epochs": 5.0})
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "all passed" in drawn(app)
        await pilot.press("s")
        await settled(pilot)
        assert app.began == [FOLDER]
        ((recipe, _),) = started.recipes[0]
        assert recipe.training.epochs == 5.0
        assert started.gpus == ["GPU-2"]


async def test_what_would_be_refused_is_said_and_one_key_goes_where_it_is_mended(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = (Finding("rows.file = '/x\x1b[2J': it is gone.", "rows"), Finding("[red]no[/]", "settings"))
    monkeypatch.setattr(screen, "findings", lambda recipe: faults)
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "'/x\\x1b[2J': it is gone. → rows (Enter)" in " ".join(left(app).split())
        assert "[red]no[/]" in drawn(app)
        assert "\x1b" not in drawn(app)
        await pilot.press("s")
        await settled(pilot)
        assert started.recipes == []
        await pilot.press(*["down"] * 5, "enter")
        await settled(pilot)
        assert app.turns == ["rows"]


def test_findings_name_the_step_that_they_belong_to(tmp_path: Path) -> None:
    rows = Rows(file=str(BUNDLED / "rows.jsonl"))
    good = Recipe(model=Model(name="bundled"), rows=rows)
    assert findings(good) == ()
    gone_rows = msgspec.structs.replace(good, rows=Rows(file=str(tmp_path / "gone.jsonl")))
    assert [found.step for found in findings(gone_rows)] == ["rows"]
    gone_model = msgspec.structs.replace(good, model=Model(name=str(tmp_path / "gone")))
    assert [found.step for found in findings(gone_model)] == ["model"]
    bad_setting = msgspec.structs.replace(good, method=Method(settings={"rank": 0}))
    (found,) = findings(bad_setting)
    assert found == Finding("method.settings.rank = 0: expected a whole number from 1 to 4096.", "settings")
    packed = msgspec.structs.replace(good, model=Model(name="bundled", quantization="nf4"), method=Method(name="full"))
    assert {one.step for one in findings(packed)} == {"settings"}


def test_rows_are_looked_at_even_where_the_model_is_wrong(tmp_path: Path) -> None:
    both = Recipe(model=Model(name=str(tmp_path / "gone")), rows=Rows(file=str(tmp_path / "gone.jsonl")))
    assert [found.step for found in findings(both)] == ["model", "rows"]


async def test_values_that_settings_refuses_are_to_be_mended_and_nothing_is_done_with_others_in_their_place(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "measured", lambda *given, **named: pytest.fail("measured what nobody asked for"))
    values = {"training.micro_batch": -5, "training.learning_rate": "x"}
    app = app_of(method="gone-method", values=values)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        said = " ".join(left(app).split())
        assert "Can't start: 3 things are to be mended" in said
        assert "all passed" not in said
        for key in ("method.name = 'gone-method'", "training.micro_batch = -5", "training.learning_rate = 'x'"):
            assert f"! {key}" in said
        for key in ("s", "t", "v", "m", "c"):
            await pilot.press(key)
            await settled(pilot)
            assert isinstance(app.screen, ReviewStep)
        assert "To be mended first: method.name = 'gone-method'" in " ".join(left(app).split())
        assert started.recipes == []
        assert comparison.collected()[0] == ()
        await pilot.press(*["down"] * 5, "enter")
        await settled(pilot)
        assert app.turns == ["settings"]


async def test_a_draft_without_model_and_rows_says_that_it_cannot_start_and_why_again_by_the_key() -> None:
    app = StepApp(ReviewStep(draft(step="review", model=None, rows=None), Workbench()))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "being checked" not in drawn(app)
        assert "! no model is named yet. → model" in " ".join(left(app).split())
        await pilot.press("s")
        await settled(pilot)
        said = " ".join(left(app).split())
        assert "It can't be started: no model is named yet. ! no rows are named yet." in said
        await pilot.press(*["down"] * 6, "enter")
        await settled(pilot)
        assert app.turns == ["rows"]


def test_a_warning_of_rows_that_are_cut_is_of_the_length_that_is_taken() -> None:
    bench = Here(data=rows(length=400, limits=(64, 128, 1024)))
    assert not any("lose their end" in said for said in warnings_of(bench.settled(draft())))
    cut = [said for said in warnings_of(bench.settled(draft(values={"training.length": 128}))) if "their end" in said]
    assert len(cut) == 1
    assert cut[0].startswith("At length 128, ")


@SIZES
async def test_warnings_stand_under_the_checks(started: Started, size: tuple[int, int]) -> None:
    short = rows(length=400, limits=(64, 128))
    warning = next(one for one in Here(data=short).settled(draft()).advice.warnings if "lose their end" in one)
    app = app_of(Here(data=short))
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        said = " ".join(left(app).split())
        assert "all passed" not in said
        assert f"Checks: ✓ nothing would be refused, but: ! {warning[:1].upper()}{warning[1:]}." in said


async def test_a_planned_card_is_asked_about_with_this_machines_own_forecast(started: Started) -> None:
    app = app_of(planned=PlannedCard(gpu="RTX 4090"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("s")
        await settled(pilot)
        assert isinstance(app.screen, ConfirmScreen)
        assert "Radeon Planned, which isn't in this machine" in " ".join(left(app).split())
        assert "GeForce RTX 4090" in drawn(app)
        await pilot.press("n")
        await settled(pilot)
        assert app.began == []
        await pilot.press("s")
        await settled(pilot)
        await pilot.press("y")
        await settled(pilot)
        assert app.began == [FOLDER]
        assert started.gpus == [None]


async def test_a_recipe_that_does_not_fit_is_asked_about_with_the_figures(started: Started) -> None:
    app = app_of(Here(model_70b(), "GTX 1650"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("s")
        await settled(pilot)
        said = " ".join(left(app).split())
        assert "it doesn't fit: it likely takes 40.1 GiB" in said
        await pilot.press("y")
        await settled(pilot)
        assert app.began == [FOLDER]


async def test_a_supervisor_that_does_not_take_the_run_is_said_and_trying_again_works(started: Started) -> None:
    started.refuses = "the supervisor didn't take the run, and nothing was started."
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("s")
        await settled(pilot)
        assert "the supervisor didn't take the run" in " ".join(left(app).split())
        assert app.began == []
        started.refuses = ""
        await pilot.press("s")
        await settled(pilot)
        assert app.began == [FOLDER]


MEASURED = Forecast(
    level="measured",
    allocated_bytes=15 * GIB,
    card_bytes=17 * GIB,
    safe_bytes=18 * GIB,
    low_bytes=15 * GIB,
    high_bytes=18 * GIB,
    items={},
    phases={"worst shape": 15 * GIB},
    peak_phase="worst shape",
    trainable_weights=10**6,
    notes=("measured on here: the card",),
)


async def test_a_measurement_stands_beside_the_forecast_and_is_learned_from(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, forgotten, gpus = Here(), [], []

    def stand_in(*_given: Any, gpu: str | None, **_named: Any) -> Forecast:
        gpus.append(gpu)
        return MEASURED

    monkeypatch.setattr(working, "measured", stand_in)
    monkeypatch.setattr(bench, "forget", lambda *names: forgotten.extend(names))
    app = app_of(bench)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("t")
        await settled(pilot)
        assert "measured 17.0 GiB (M)" in drawn(app)
        assert "the forecast was 16.8 GiB: measured is +1%" in drawn(app)
        assert forgotten == ["learned"]
        assert gpus == ["GPU-2"], "it is measured where the run would be"
    for values, there in (({}, True), ({"training.epochs": 5.0}, False)):
        app = app_of(bench, values=values)
        async with app.run_test(size=(120, 40)) as pilot:
            await settled(pilot)
            assert ("measured 17.0 GiB (M)" in drawn(app)) == there, "it is this very recipe's, and outlives the step"


@pytest.mark.parametrize(
    "sentence",
    [
        "the measurement gave no answer: the worker of the job measure was ended by SIGKILL, which is what a system "
        "does whose memory ran out",
        "org/model-8b: its weights aren't on this machine, and a measurement needs them.",
    ],
)
async def test_a_measurement_that_gives_no_answer_is_a_sentence_and_the_draft_is_as_it_was(
    started: Started, monkeypatch: pytest.MonkeyPatch, sentence: str
) -> None:
    def dies(*_given: Any, **_named: Any) -> Forecast:
        raise Refusal(sentence)

    monkeypatch.setattr(working, "measured", dies)
    app = app_of(values={"training.epochs": 5.0})
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("t")
        await settled(pilot)
        assert sentence[:60] in " ".join(left(app).split())
        assert "Measure for real" in drawn(app)
        assert app.step.draft.values == {"training.epochs": 5.0}


async def test_a_measurement_can_be_given_up_and_ends_with_the_screen(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, ended = threading.Event(), threading.Event()

    def slow(*_given: Any, left: threading.Event, **_named: Any) -> Forecast:
        began.set()
        assert left.wait(20)
        ended.set()
        raise Refusal("the measurement gave no answer: the job measure was given up")

    monkeypatch.setattr(working, "measured", slow)
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("t")
        await pilot.pause()
        assert began.wait(5)
        assert "Give the measurement up" in drawn(app)
        await pilot.press("t")
        await settled(pilot)
        assert ended.is_set()
        assert "was given up" in drawn(app)
        began.clear()
        ended.clear()
        await pilot.press("t")
        await pilot.pause()
        assert began.wait(5)
        assert not ended.is_set()
    assert ended.wait(5)


def test_only_what_is_here_can_be_measured() -> None:
    bench = CardboardBench()
    asked = draft(planned=PlannedCard(gpu="RTX 4090"))
    with pytest.raises(Refusal, match="isn't in this machine"):
        working.measure_for_real(bench.settled(asked), asked, threading.Event())


async def test_the_recipe_is_saved_where_it_is_asked_for_and_never_over_another_unasked(
    started: Started, tmp_path: Path
) -> None:
    there = tmp_path / "mine.toml"
    there.write_text("precious")
    app = app_of()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("v")
        await settled(pilot)
        app.screen.query_one("#save-path").value = str(there)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("n")
        await settled(pilot)
        assert there.read_text() == "precious"
        assert isinstance(app.screen, SaveScreen)
        app.screen.query_one("#save-path").value = str(tmp_path / "no-folder" / "x.toml")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await settled(pilot)
        assert "there is no such folder" in drawn(app)
        app.screen.query_one("#save-path").value = str(there)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("y")
        await settled(pilot)
        assert read_recipe(there).method.name == "lora"
        assert isinstance(app.screen, ReviewStep)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["mine.toml"]


def test_nothing_half_made_is_left_where_saving_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert save("x", "~/r.toml", over=False) == tmp_path / "r.toml"
    with pytest.raises(Exists):
        save("y", "~/r.toml", over=False)
    assert save("y", str(tmp_path / "r.toml"), over=True).read_text() == "y"
    for wrong in ("", "~", "~nobody-of-that-name/x", "a\0b", str(tmp_path / "r.toml" / "x"), "x" * 5000):
        with pytest.raises(Refusal):
            save("z", wrong, over=False)
    assert [path.name for path in tmp_path.iterdir()] == ["r.toml"]


async def test_other_rows_are_refused_with_the_difference(started: Started) -> None:
    other = msgspec.structs.replace(Here().settled(draft()).recipe, rows=Rows(file="/tmp/other.jsonl"))
    comparison.add(other)
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await pilot.press("c")
        await settled(pilot)
        assert "rows.file is /tmp/rows.jsonl" in " ".join(left(app).split())
        assert len(comparison.collected()[0]) == 1


async def test_a_model_that_vanished_is_a_sentence_and_trying_again_works(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Here()
    real = bench.settled

    def gone(_draft: Draft) -> Any:
        raise Refusal("/models/mine: there is no such model folder.")

    monkeypatch.setattr(bench, "settled", gone)
    app = app_of(bench)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "there is no such model folder" in drawn(app)
        await pilot.press("s", "t", "v", "c")
        await settled(pilot)
        assert started.recipes == []
        monkeypatch.setattr(bench, "settled", real)
        await pilot.press("r")
        await settled(pilot)
        assert "all passed" in drawn(app)


async def test_everything_in_the_list_explains_itself_differently(started: Started) -> None:
    comparison.add(Here().settled(draft(method="dora")).recipe)
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        titles = []
        for _ in range(7):
            found = explained(app.screen)
            assert found is not None
            titles.append(found.title)
            await pilot.press("down")
        assert titles == [
            "Start the run",
            "Measure for real",
            "Save the recipe",
            "Compare methods",
            "Add to a comparison",
            "In the comparison",
            "Start the comparison",
        ]
        assert next(iter(ReviewStep(draft(), Here()).commands()))[0] == "Start the run"


def test_a_job_that_is_given_up_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pegbox_runs import jobs

    monkeypatch.setattr(jobs, "job_command", lambda: ["sleep", "60"])
    left = threading.Event()
    threading.Timer(0.3, left.set).start()
    with pytest.raises(JobFailed, match="given up"):
        jobs.ask_worker("measure", {}, SimpleNamespace, timeout_seconds=50, left=left)

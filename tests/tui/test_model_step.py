"""The wizard's second step: the list, its badges, folders by path, the Hub when it is asked, and what is broken."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from pegbox_hardware.machine import Machine
from pegbox_methods.recipe import Model, Rows
from pegbox_methods.refusal import Refusal
from pegbox_runs.drafts import Draft, PlannedCard
from pegbox_runs.fitting import Fit
from pegbox_runs.hub_cache import CachedModel
from pegbox_runs.hub_search import HubModel
from pegbox_runs.models import BUNDLED, FoundModel, inspect_config
from pegbox_tui.shell.explaining import explained
from pegbox_tui.wizard.model import listing
from pegbox_tui.wizard.model.columns import badge, columns, heading
from pegbox_tui.wizard.model.folders import completed, folders, is_path
from pegbox_tui.wizard.model.model_list import ModelList
from pegbox_tui.wizard.model.screen import ModelStep
from tests.runs.made_up_machines import GIB, gpu, machine
from tests.tui.test_machine_step import PARTLY, SLICES
from tests.tui.wizard_steps import CardboardBench, StepApp, drawn, notices, reaches, shows, words_of

SMALL = "HuggingFaceTB/SmolLM2-135M-Instruct"
HOSTILE = "evil/[red]model[/red]"
TAKEN = Model(name="Qwen/Qwen3-8B")


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLED / "model", tmp_path / "models" / "mine"))


def cached(name: str, *, complete: bool = True, folder: Path = BUNDLED / "model") -> CachedModel:
    return CachedModel(inspect_config(name, folder, from_hub=True), None, 1_200_000_000, complete)


def app_of(here: Machine = PARTLY, draft: Draft | None = None, **given: Any) -> StepApp:
    return StepApp(ModelStep, draft or Draft(), CardboardBench(here, **given))


def chosen(app: StepApp) -> str:
    """Name the highlighted line."""
    choice = app.screen.query_one(ModelList).chosen
    return "" if choice is None else choice.id


def type_in(app: StepApp, text: str) -> None:
    """Put a text into the field at once, as if it were pasted."""
    app.screen.query_one("#search", Input).value = text


async def judged(pilot: Pilot[Any]) -> None:
    """Wait until each model with a config has its verdict."""
    step = pilot.app.screen
    assert isinstance(step, ModelStep)
    await reaches(
        pilot,
        lambda: bool(step.known.entries) and all(entry.id in step.fits for entry in step.known.entries if entry.found),
    )
    await pilot.pause()


@pytest.mark.parametrize(
    ("here", "keys", "size"),
    [
        (PARTLY, ("down", "enter"), (80, 24)),
        (PARTLY, ("down", "enter"), (120, 40)),
        (machine(), (), (80, 24)),
        (SLICES, tuple("llama"), (80, 24)),
    ],
    ids=["taken-80x24", "taken-120x40", "no-gpu-80x24", "slices-narrowed-80x24"],
)
def test_how_it_looks(snap_compare: Any, here: Machine, keys: tuple[str, ...], size: tuple[int, int]) -> None:
    async def run(pilot: Pilot[Any]) -> None:
        await judged(pilot)
        await pilot.press(*keys)
        await pilot.pause()

    app = app_of(here, cached=[cached("org/tuned-here"), cached("org/half-fetched", complete=False)])
    assert snap_compare(app, terminal_size=size, run_before=run)


async def test_the_arrows_and_enter_take_a_model_and_enter_again_goes_on() -> None:
    app = app_of()
    async with app.run_test() as pilot:
        await judged(pilot)
        await pilot.press("ctrl+n")
        await reaches(pilot, lambda: "No model is taken yet: choose one and press Enter." in notices(app))
        await pilot.press("down", "enter")
        await reaches(pilot, lambda: bool(app.answers))
        assert app.answers[-1].model == Model(name=SMALL)
        assert "● SmolLM2-135M-Instruct" in words_of(app)
        assert "● Taken. Enter again or ctrl+n goes on." in words_of(app)
        await pilot.press("up")
        assert "● Taken" not in words_of(app)
        await pilot.press("down")
        assert "taken: HuggingFaceTB" in words_of(app)
        await pilot.press("enter")
        await reaches(pilot, lambda: app.turns == ["next"])


async def test_typing_narrows_the_list_and_a_click_takes_a_model() -> None:
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        await pilot.press(*"14b")
        seen = await shows(pilot, "Qwen/Qwen3-14B")
        assert "phi-4" not in seen
        await pilot.click("#models", offset=(6, 1))
        await reaches(pilot, lambda: bool(app.answers))
        assert app.answers[-1].model == Model(name="Qwen/Qwen3-14B")


async def test_a_change_of_the_model_loses_nothing_else() -> None:
    draft = Draft(model=TAKEN, rows=Rows(file="/rows.jsonl"), method="dora", values={"training.length": 512})
    app = app_of(draft=draft)
    async with app.run_test() as pilot:
        await judged(pilot)
        assert chosen(app) == "catalogue:Qwen/Qwen3-8B@"
        await pilot.press("up", "enter")
        await reaches(pilot, lambda: bool(app.answers))
        answer = app.answers[-1]
        assert answer.model == Model(name="ibm-granite/granite-3.3-8b-instruct")
        assert (answer.rows, answer.method, answer.values) == (draft.rows, "dora", draft.values)


async def test_badges_say_by_which_method_it_fits_and_what_is_to_spare() -> None:
    app = app_of()
    async with app.run_test(size=(120, 60)) as pilot:
        await judged(pilot)
        seen = words_of(app)
        assert "meta-llama/Llama-3.2-1B-Instruct 1.24 B Llama gated ↓ 2.3 GiB LoRA, 5.0 GiB to spare" in seen
        assert "meta-llama/Llama-3.1-8B-Instruct 8.03 B Llama gated ↓ 15 GiB QLoRA only, 0.5 GiB to spare" in seen
        assert "Qwen/Qwen3-32B 32.8 B Apache ↓ 61 GiB doesn't fit: lacks" in seen


async def test_badges_are_for_the_planned_card() -> None:
    app = app_of(draft=Draft(planned=PlannedCard(gpu="H200")))
    async with app.run_test(size=(120, 60)) as pilot:
        await judged(pilot)
        seen = words_of(app)
        assert "PLAN: H200" in seen
        assert "Llama-3.1-8B-Instruct 8.03 B Llama gated ↓ 15 GiB LoRA," in seen


async def test_details_say_what_to_download_whether_there_is_room_and_what_gated_asks_for() -> None:
    from tests.runs.made_up_machines import disk

    app = app_of(machine(gpu(), disks=(disk("models", free=10 * 10**9),)))
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        type_in(app, "llama-3.1-8b")
        seen = await shows(pilot, "context 131,072 tokens")
        assert "llama, 32 layers" in seen
        assert "Download: 15.0 GiB, but only 9.3 GiB are free for models." in seen
        assert "Gated: accept its terms at huggingface.co/meta-llama/Llama-3.1-8B-Instruct first." in seen
        assert "No login token is here: run `hf auth login` too." in seen
        assert "Chat template: there." in seen
        assert "Built with Llama" in seen
        assert "the sizes are those of Pegbox' catalogue" in seen


async def test_a_token_is_told_of_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwxyz")
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        type_in(app, "llama-3.1-8b")
        seen = await shows(pilot, "A login token is here.")
        assert "hf_abc" not in seen


async def test_a_download_that_was_broken_off_is_told_from_a_whole_one() -> None:
    app = app_of(cached=[cached("org/half", complete=False), cached("org/whole")])
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        await pilot.press("down")
        seen = await shows(pilot, "1.1 GiB of it lie here; how much is to download isn't known")
        assert "org/half 2.36 M ? ? … 1.1 GiB" in seen
        await pilot.press("down")
        await shows(pilot, "Its weights are here, 1.1 GiB on disk: nothing to download.")


async def test_a_path_is_completed_walked_through_and_a_folder_taken(folder: Path) -> None:
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        field = app.screen.query_one("#search", Input)
        field.value = f"{folder.parent.parent}/mod"
        await shows(pilot, f"{folder.parent}/")
        await pilot.press("tab")
        assert field.value == f"{folder.parent}/"
        await shows(pilot, f"model {folder}/")
        await pilot.press("enter")
        await reaches(pilot, lambda: bool(app.answers))
        assert app.answers[-1].model == Model(name=str(folder))
        await judged(pilot)
        assert "Taken" in drawn(app)
        assert field.value == ""


async def test_enter_on_a_folder_that_is_no_model_goes_into_it(folder: Path) -> None:
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        field = app.screen.query_one("#search", Input)
        field.value = f"{folder.parent.parent}/mod"
        await shows(pilot, f"{folder.parent}/")
        await pilot.press("enter")
        await shows(pilot, f"model {folder}/")
        assert field.value == f"{folder.parent}/"
        assert app.answers == []


async def test_a_folder_that_lacks_files_is_refused_and_the_draft_kept(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    app = app_of(draft=Draft(model=TAKEN))
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        type_in(app, f"{folder}/")
        await shows(pilot, f"model {folder}/")
        await pilot.press("enter")
        await reaches(pilot, lambda: any("has no tokenizer (tokenizer.json)" in said for said in notices(app)))
        assert app.answers == []
        assert app.step.draft.model == TAKEN


async def test_a_folder_that_vanished_between_screens_is_told_of_and_another_can_be_taken(folder: Path) -> None:
    draft = Draft(model=Model(name=str(folder)))
    shutil.rmtree(folder)
    app = app_of(draft=draft)
    async with app.run_test(size=(120, 40)) as pilot:
        await reaches(pilot, lambda: any("there is no such model folder" in said for said in notices(app)))
        await judged(pilot)
        seen = await shows(pilot, "Take another model.")
        assert seen.count("there is no such model folder") >= 1
        assert "Download" not in seen
        await pilot.press("ctrl+n", "enter")
        assert not app.turns
        assert "there is no such model folder" in (app.step.lacking() or "")
        await pilot.press("down", "down", "enter")
        await reaches(pilot, lambda: bool(app.answers))
        assert app.answers[-1].model == Model(name=SMALL)
        assert app.step.lacking() is None


async def test_a_folder_that_was_taken_is_shown_again_with_its_badge(folder: Path) -> None:
    app = app_of(draft=Draft(model=Model(name=str(folder))))
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Taken >●", "2.36 M", "here LoRA,")


async def test_a_place_that_cannot_be_listed_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        type_in(app, f"{tmp_path}/file/below")
        await shows(pilot, "Not a directory")
        type_in(app, f"{tmp_path}/nowhere/x")
        await shows(pilot, "No such file or directory")


async def test_offline_the_hub_is_not_asked_and_that_is_said() -> None:
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        type_in(app, "nobody knows")
        await shows(pilot, "Anything else")
        await pilot.press("ctrl+f")
        await shows(pilot, "HF_HUB_OFFLINE is set")
        assert app.answers == []


async def test_the_hub_is_asked_on_demand_alone_and_an_answer_can_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    found = inspect_config("org/new", BUNDLED / "model", from_hub=True)

    def search(words: str, given_up: Callable[[], bool]) -> tuple[HubModel, ...]:
        asked.append(words)
        return (
            HubModel(id=HOSTILE + "\x1b[31m", parameters=None, licence="[b]odd", gated=True, downloads=3),
            HubModel(id="org/new", parameters=7_000_000_000, licence="mit", gated=False, downloads=99),
        )

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(listing, "search_hub", search)
    monkeypatch.setattr(listing, "find_config", lambda model: found)
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        await pilot.press("ctrl+f")
        await reaches(pilot, lambda: "Type what to search for on the Hub first." in notices(app))
        type_in(app, "new one")
        await shows(pilot, "Search the Hub for “new one” (ctrl+f)")
        assert asked == []
        await pilot.press("ctrl+f")
        seen = await shows(pilot, "evil/[red]model[/red]\\x1b[31m", "org/new 7 B MIT")
        assert asked == ["new one"]
        assert "? its config.json isn't here" in seen
        assert "\x1b" not in seen
        await pilot.press("down", "enter")
        await reaches(pilot, lambda: bool(app.answers))
        assert app.answers[-1].model == Model(name="org/new")
        await shows(pilot, "Taken >● org/new")


async def test_an_answer_that_comes_too_late_replaces_neither_the_model_nor_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = inspect_config("org/slow", BUNDLED / "model", from_hub=True)
    gates = {name: threading.Event() for name in ("org/slow", "first", "second")}

    def look(model: Model) -> FoundModel:
        gates[model.name].wait(10)
        return found

    def search(words: str, given_up: Callable[[], bool]) -> tuple[HubModel, ...]:
        gates[words].wait(10)
        return (HubModel(id=f"org/{words}", parameters=None, licence=None, gated=False, downloads=1),)

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(listing, "search_hub", search)
    monkeypatch.setattr(listing, "find_config", look)
    app = app_of()
    came: list[str] = []
    for kind in ("on_checked", "on_hub_answered"):
        monkeypatch.setattr(ModelStep, kind, noted(getattr(ModelStep, kind), came))
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        type_in(app, "org/slow")
        await shows(pilot, "Take org/slow from the Hub, as typed")
        await pilot.press("enter")
        await shows(pilot, "looking at org/slow")
        type_in(app, "smollm2-135m")
        await reaches(pilot, lambda: chosen(app).endswith("SmolLM2-135M-Instruct@"))
        await pilot.press("enter")
        await reaches(pilot, lambda: bool(app.answers))
        gates["org/slow"].set()
        await reaches(pilot, lambda: came == ["org/slow"])
        assert [answer.model for answer in app.answers] == [Model(name=SMALL)]
        assert "Taken ·" not in words_of(app)
        assert "Taken >" not in words_of(app)
        for words in ("first", "second"):
            type_in(app, words)
            await pilot.press("ctrl+f")
        type_in(app, "third")
        await shows(pilot, "Anything else")
        gates["second"].set()
        await shows(pilot, "org/second", "Found on the Hub for “second”")
        gates["first"].set()
        await reaches(pilot, lambda: came == ["org/slow", "second", "first"])
        assert "org/first" not in words_of(app)


def noted(handle: Callable[[ModelStep, Any], None], came: list[str]) -> Callable[[ModelStep, Any], None]:
    """Note each message that was handled."""

    def handling(step: ModelStep, message: Any) -> None:
        handle(step, message)
        came.append(getattr(message, "words", "") or message.model.name)

    return handling


async def test_a_hub_that_cannot_be_reached_is_a_sentence_and_can_be_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def search(words: str, given_up: Callable[[], bool]) -> tuple[HubModel, ...]:
        raise Refusal("the Hub can't be reached (ConnectError). Search again when there is a network.")

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(listing, "search_hub", search)
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        type_in(app, "zzz")
        await pilot.press("ctrl+f")
        await shows(pilot, "the Hub can't be reached (ConnectError)", "Search the Hub for “zzz”")
        type_in(app, "smollm2-135m")
        last = "The download needs a network. When it was last tried, the Hub can't be reached (ConnectError)."
        await shows(pilot, "Anything else")
        await pilot.press("up")
        await shows(pilot, last)


async def test_what_is_downloaded_needs_a_network_and_what_is_here_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        assert "network" not in words_of(app)
        await pilot.press("down")
        await shows(pilot, "The download needs a network, and HF_HUB_OFFLINE forbids it")
        monkeypatch.delenv("HF_HUB_OFFLINE")
        await pilot.press("down")
        await shows(pilot, "The download needs a network when the run starts")


async def test_an_id_is_taken_as_typed_only_if_the_model_can_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        type_in(app, "somebody/something")
        await shows(pilot, "Take somebody/something from the Hub, as typed")
        await pilot.press("enter")
        await reaches(pilot, lambda: any("the Hub can't be reached" in said for said in notices(app)))
        assert app.answers == []


async def test_hostile_names_of_the_cache_are_shown_and_never_act() -> None:
    app = app_of(cached=[cached(HOSTILE + "\x1b[2J")])
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        seen = words_of(app)
        assert "evil/[red]model[/red]\\x1b[2J" in seen
        assert "\x1b" not in seen


async def test_a_config_of_another_kind_of_model_gets_a_question_mark_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    app = app_of(cached=[cached("org/bert", folder=tmp_path)])
    async with app.run_test(size=(80, 24)) as pilot:
        await judged(pilot)
        await pilot.press("down")
        await shows(pilot, "org/bert", "? see below", "can't be told: config.json: architectures = ['BertModel']")


async def test_a_machine_that_cannot_be_read_still_leaves_the_list() -> None:
    def broken() -> Machine:
        raise Refusal("no device: the driver is gone.")

    app = StepApp(ModelStep, Draft(), CardboardBench(broken))
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "The device isn't known", SMALL)
        assert any("the driver is gone" in said for said in notices(app))
        await pilot.press("down", "enter")
        await reaches(pilot, lambda: bool(app.answers))


async def test_a_forecast_that_breaks_costs_one_badge_and_not_the_list() -> None:
    class Breaking(CardboardBench):
        def fit(self, draft: Draft, model: FoundModel) -> Fit:
            if model.name == SMALL:
                raise ZeroDivisionError("division by zero")
            return super().fit(draft, model)

    async with StepApp(ModelStep, Draft(), Breaking(PARTLY)).run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        assert "↓ 0.3 GiB ? ZeroDivisionError: divisi…" in words_of(pilot.app)


async def test_the_list_survives_every_width_and_a_resize() -> None:
    app = app_of()
    async with app.run_test(size=(200, 60)) as pilot:
        await judged(pilot)
        for size in ((60, 20), (80, 24), (200, 60)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert "SmolLM2-135M" in words_of(app)


async def test_field_list_and_details_explain_themselves_each_model_in_its_own_words() -> None:
    app = app_of()
    async with app.run_test(size=(120, 40)) as pilot:
        await judged(pilot)
        texts = {}
        for part in ("#search", "#detail"):
            app.screen.set_focus(app.screen.query_one(part))
            texts[part] = explained(app.screen)
        models = app.screen.query_one(ModelList)
        app.screen.set_focus(models)
        for _ in range(8):
            models.move(1)
            choice = models.chosen
            assert choice is not None
            texts[choice.id] = explained(app.screen)
        assert all(said is not None and said.source for said in texts.values())
        assert len({(said.title, said.text) for said in texts.values() if said}) == len(texts)
        gemma = texts["catalogue:google/gemma-3-270m-it@"]
        assert gemma is not None
        for word in ("It is gated", "two bytes", "to spare", "Free memory counts"):
            assert word in gemma.text


@pytest.mark.parametrize(
    ("fit", "words", "short"),
    [
        (Fit(method="lora", margin_bytes=round(5.1 * GIB)), "LoRA, 5.1 GiB to spare", "LoRA, 5.1 GiB spare"),
        (Fit(method="qlora", margin_bytes=round(0.8 * GIB)), "QLoRA only, 0.8 GiB to spare", "QLoRA, 0.8 GiB spare"),
        (Fit(method="qlora", margin_bytes=round(-3.2 * GIB)), "doesn't fit: lacks 3.2 GiB", "lacks 3.2 GiB"),
        (Fit(method="lora", margin_bytes=-50 * 2**20), "doesn't fit: lacks 50 MiB", "lacks 50 MiB"),
        (Fit(method="lora", margin_bytes=round(121.3 * GIB)), "LoRA, 121.3 GiB to spare", "LoRA, 121 GiB spare"),
        (Fit(why="no shape"), "? no shape", "? see below"),
        (None, "…", "…"),
    ],
)
def test_a_badge_in_words(fit: Fit | None, words: str, short: str) -> None:
    assert badge(fit) == words
    assert badge(fit, short=True) == short
    assert len(short) <= columns(77).fit


def test_columns_fill_the_line_and_no_more() -> None:
    for width in (57, 77, 117, 197):
        parts = columns(width)
        assert len(heading(parts)) <= width
        assert parts.name >= 12


def test_folders_go_on_from_what_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("alpha", "alpine", ".hidden", "beta"):
        (tmp_path / name).mkdir()
    (tmp_path / "alpha" / "config.json").write_text("{}")
    (tmp_path / "alp.txt").write_text("")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    found = folders(f"{tmp_path}/al")
    assert [(folder.path.name, folder.is_model) for folder in found.folders] == [("alpha", True), ("alpine", False)]
    assert completed(f"{tmp_path}/al", found) == f"{tmp_path}/alp"
    assert completed(f"{tmp_path}/a", found) == f"{tmp_path}/a"  # it was read for another text
    assert [folder.path.name for folder in folders(f"{tmp_path}/").folders] == ["alpha", "alpine", "beta"]
    assert [folder.path for folder in folders(f"{tmp_path}/alpha/").folders] == [tmp_path / "alpha"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [folder.typed for folder in folders("~/b").folders] == ["~/beta/"]
    monkeypatch.chdir(tmp_path)
    assert [folder.typed for folder in folders("./b").folders] == ["./beta/"]
    assert folders("~nobody-at-all/x").fault is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_closed_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    assert "Permission denied" in (folders(f"{tmp_path}/closed/x").fault or "")


def test_paths_are_told_from_names_by_their_beginning() -> None:
    assert all(map(is_path, ("/", "/data", "~", "~/m", "./m", "../m", ".", "..")))
    assert not any(map(is_path, ("", "org/name", "qwen", ".5b")))

"""Starting runs: all or none, in one supervisor's hands, with the forecast beside each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pegbox_hardware.machine import Machine
from pegbox_methods.recipe import Recipe, RowSource
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs import expecting, starting
from pegbox_runs.data_card import card_of
from pegbox_runs.expected import Expected, read_expected
from pegbox_runs.expecting import expect, run_tokens
from pegbox_runs.learned import Observation, keep, now, torch_version
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import CheckedRecipe, check
from pegbox_runs.recipe_price import amount_of
from pegbox_runs.rows.doctor.examine import examine
from pegbox_runs.run_folder import RunFolder, all_runs
from pegbox_runs.starting import begin_runs, seen_by_worker, start_runs
from tests.commands import write_recipe_text
from tests.runs.made_up_machines import GIB, gpu, machine


def recipe(folder: Path, **tables: Any) -> Recipe:
    return read_recipe(write_recipe_text(folder, **tables))


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[RunFolder], str | None]]:
    """What supervisors were handed, in the place of starting any."""
    handed: list[tuple[list[RunFolder], str | None]] = []

    def launch(folders: Sequence[RunFolder], *, gpu: str | None = None) -> None:
        assert all(read_expected(folder) is None for folder in folders)  # the worker doesn't wait for a forecast
        handed.append(([*folders], gpu))

    monkeypatch.setattr(starting, "launch", launch)
    return handed


def warm(handed: list[tuple[list[RunFolder], str | None]]) -> Any:
    return SimpleNamespace(take=lambda folders: handed.append(([*folders], "warm")))


@pytest.fixture
def checked(tmp_path: Path) -> CheckedRecipe:
    return check(recipe(tmp_path), file="recipe.toml")


def test_all_runs_go_to_one_supervisor_and_each_has_its_forecast(tmp_path: Path, taken: list[Any]) -> None:
    one = recipe(tmp_path)
    folders = start_runs([(one, "one.toml"), (one, "two.toml")])
    assert taken == [(folders, None)]
    for folder in folders:
        found = read_expected(folder)
        assert found is not None
        assert found.memory is not None
        assert found.memory_total > found.memory_free > 0
        assert folder.forecast.stat().st_mode & 0o077 == 0
        assert not list(folder.path.glob("*.part"))


def test_runs_can_be_seen_before_their_forecasts_are_written(tmp_path: Path, taken: list[Any]) -> None:
    begun = begin_runs([(recipe(tmp_path), "one.toml")])
    assert taken == [(begun.folders, None)]
    assert read_expected(begun.folders[0]) is None
    begun.keep_forecasts()
    assert read_expected(begun.folders[0]) is not None


def test_a_recipe_that_is_refused_leaves_none_of_the_others_behind(tmp_path: Path, taken: list[Any]) -> None:
    good = recipe(tmp_path)
    bad = msgspec.structs.replace(good, method=msgspec.structs.replace(good.method, name="nothing"))
    with pytest.raises(Refusal):
        start_runs([(good, "good.toml"), (bad, "bad.toml")])
    assert not taken
    assert not all_runs()


def test_a_warm_supervisor_is_used_unless_another_device_was_chosen(tmp_path: Path, taken: list[Any]) -> None:
    one = recipe(tmp_path)
    first = start_runs([(one, "one.toml")], warm(taken))
    second = start_runs([(one, "one.toml")], warm(taken), gpu="GPU-2")
    assert taken == [(first, "warm"), (second, "GPU-2")]


def test_a_forecast_that_fails_is_told_as_unknown_and_starts_the_run_all_the_same(
    tmp_path: Path, taken: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError(f"no such thing as {Path.home()}/model")

    monkeypatch.setattr(expecting, "Ground", broken)
    (folder,) = start_runs([(recipe(tmp_path), "one.toml")])
    found = read_expected(folder)
    assert taken
    assert found is not None
    assert (found.memory, found.time) == (None, None)
    assert found.unknown is not None
    assert "no such thing as ~/model" in found.unknown


def test_a_forecast_that_cannot_be_written_starts_the_run_all_the_same(
    tmp_path: Path, taken: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(starting, "write_expected", full)
    (folder,) = start_runs([(recipe(tmp_path), "one.toml")])
    assert taken
    assert read_expected(folder) is None


def test_a_forecast_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for text in (b"", b"{", b'{"device": 3}', b"\xff\xfe"):
        folder.forecast.write_bytes(text)
        assert read_expected(folder) is None


def on(checked: CheckedRecipe, where: Machine) -> Expected:
    return expect(checked, where)


@pytest.fixture
def no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_choice")
def test_the_forecast_is_for_the_device_that_the_worker_gets(checked: CheckedRecipe) -> None:
    small, large = gpu(index=0, uuid="GPU-a", memory_free=4 * GIB), gpu(index=1, uuid="GPU-b", name="NVIDIA H100")
    both = machine(small, large)
    assert on(checked, both).device == "NVIDIA H100"
    assert on(checked, seen_by_worker(both, "GPU-a")).memory_free == 4 * GIB
    assert seen_by_worker(both, None) == seen_by_worker(both, "GPU-gone") == both
    assert on(checked, machine()).accelerator == "cpu"
    assert on(checked, machine(gpu(kind="mps", name="Apple M3"))).device == "AMD Ryzen 9 7950X"


@pytest.mark.usefixtures("no_choice")
def test_a_card_of_unknown_speed_has_a_forecast_of_memory_alone(checked: CheckedRecipe) -> None:
    found = on(checked, machine(gpu(name="NVIDIA Nobody Knows 1")))
    assert found.memory is not None
    assert found.time is None
    assert found.unknown == "the speed of NVIDIA Nobody Knows 1 isn't known"


@pytest.mark.usefixtures("no_choice")
def test_what_was_measured_on_the_card_counts(checked: CheckedRecipe, tmp_path: Path) -> None:
    card, torch = gpu(), torch_version()
    assert torch is not None
    before = on(checked, machine(card))
    seen = Observation(
        when=now(), allocated_bytes=GIB, reserved_bytes=2 * GIB, context_bytes=3 * GIB, tokens_per_second=123.0
    )
    keep(seen, expecting.setting_of(checked.recipe, checked.model.sha256()), card.name, card.driver, torch)
    after = on(checked, machine(card))
    assert before.memory is not None
    assert after.memory is not None
    assert after.memory.card_bytes >= 3 * GIB > before.memory.card_bytes
    assert after.time is not None
    assert (after.time.level, after.time.tokens_per_second) == ("measured", 123.0)


def test_the_tokens_of_a_run_follow_its_rows_its_steps_and_its_looks(tmp_path: Path) -> None:
    def found(**tables: Any) -> Any:
        return run_tokens(check(recipe(tmp_path, **tables), file="recipe.toml"))

    short, long = (found(training={"max_steps": steps}) for steps in (3, 6))
    assert long.tokens == pytest.approx(2 * short.tokens, rel=0.01)
    assert found(training={"max_steps": 6, "order": "shuffled"}).padding_share > long.padding_share
    packed = found(training={"max_steps": 6, "order": "packed"})
    assert (packed.row_tokens, packed.padding_share) == (None, 0.0)
    assert packed.tokens <= 6 * 8 * 256
    assert found(split={"share": 0}).evaluated == 0
    assert found(evaluation={"every": 1}).evaluated == pytest.approx(7 / 3 * long.evaluated, rel=0.01)


@pytest.mark.parametrize("share", [0.1, 0.0], ids=["a share", "a file of their own"])
def test_a_run_is_counted_before_it_is_named_as_when_it_begins(tmp_path: Path, share: float) -> None:
    tables: dict[str, Any] = {"training": {"epochs": 3}, "split": {"share": share}}
    source, other = BUNDLED / "rows.jsonl", tmp_path / "other.jsonl"
    if not share:
        other.write_text("".join(line + "\n" for line in source.read_text().splitlines()[40:140]))
        tables["split"]["file"] = str(other)
    checked = check(recipe(tmp_path, **tables), file="recipe.toml")
    rows = checked.recipe.rows
    asked = RowSource(file=rows.file, limit=rows.limit)
    held_out = None if share else RowSource(file=str(other))
    card = card_of(examine(asked, held_out=held_out, model=checked.model, split=checked.recipe.split))
    assert card is not None
    before, begun = amount_of(checked.recipe, card), run_tokens(checked)
    assert before.tokens == pytest.approx(begun.tokens, rel=0.1)
    assert before.evaluated_tokens == pytest.approx(begun.evaluated, rel=0.1)
    assert begun.evaluated > 0

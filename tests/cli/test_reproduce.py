"""One recipe gives one adapter, file by file; a capsule repeats a run, or says where it came out otherwise."""

from __future__ import annotations

import json
import os
import shutil
import signal
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.events import Finished, Started, Step
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.capsule.contents import ENDING, EVENTS, MANIFEST, RECIPE, TEMPLATE
from pegbox_runs.capsule.opening import opened
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.tuned import tuned_run
from tests.commands import BUNDLED, events_of, pegbox, start_detached, wait_for, wait_until, write_recipe_text

THREADS = {"OMP_NUM_THREADS": "1"}
METHODS = ("lora", "ia3")
"""LoRA draws in dropout; IA3 has a list of names in its config."""


def train(folder: Path, home: Path, *, hash_seed: str, recipes: list[Path]) -> list[RunFolder]:
    """Train recipes one after the other, in processes whose sets have the order that the seed gives them."""
    before = set((home / "runs").glob("*")) if home.exists() else set()
    done = pegbox("train", *map(str, recipes), "--plain", home=home, PYTHONHASHSEED=hash_seed, **THREADS)
    assert done.returncode == 0, done.stderr
    return [RunFolder(path) for path in sorted(set((home / "runs").iterdir()) - before)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reproduce")


@pytest.fixture(scope="module")
def runs(place: Path) -> list[RunFolder]:
    recipes = []
    for name in METHODS:
        folder = place / name
        folder.mkdir()
        recipes.append(write_recipe_text(folder, method={"name": name}, seeds={"training": 7}))
    return train(place, place / "home", hash_seed="1", recipes=recipes)


@pytest.fixture(scope="module")
def capsule(runs: list[RunFolder], place: Path) -> Path:
    path = place / f"lora{ENDING}"
    done = pegbox("capsule", runs[0].id, "--output", str(path), home=place / "home", **THREADS)
    assert done.returncode == 0, done.stderr
    return path


def files(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.adapter.iterdir()}


def test_a_runs_own_recipe_trains_the_same_adapter_file_by_file(runs: list[RunFolder], place: Path) -> None:
    again = train(place, place / "other-home", hash_seed="2", recipes=[run.recipe for run in runs])
    for first, second in zip(runs, again, strict=True):
        assert files(first) == files(second)
        assert "adapter_model.safetensors" in files(first)


@pytest.mark.slow
def test_so_it_does_in_four_bits_after_its_worker_was_killed(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    more: dict[str, Any] = {"method": {"name": "qlora"}, "training": {"max_steps": 15}, "evaluation": {"every": 3}}
    recipe = write_recipe_text(tmp_path, **more)
    (whole,) = train(tmp_path, home, hash_seed="1", recipes=[recipe])
    broken = start_detached(recipe, home)
    wait_for(broken, lambda event: isinstance(event, Step) and event.step >= 4)
    started = next(event for event in events_of(broken) if isinstance(event, Started))
    os.kill(started.worker_pid, signal.SIGKILL)
    wait_for(broken, lambda event: isinstance(event, Finished))
    wait_until(broken.summary.is_file)
    assert sum(isinstance(event, Started) for event in events_of(broken)) == 2, "it was killed, and went on"
    assert files(whole) == files(broken)


def test_a_capsule_is_the_same_bytes_each_time_and_holds_no_rows(
    runs: list[RunFolder], capsule: Path, tmp_path: Path, place: Path
) -> None:
    second = tmp_path / "second.zip"
    done = pegbox("capsule", runs[0].id, "--output", str(second), "--json", home=place / "home", **THREADS)
    told = json.loads(done.stdout)
    assert second.read_bytes() == capsule.read_bytes()
    assert told["sha256"] == sha256(capsule.read_bytes()).hexdigest()
    with zipfile.ZipFile(capsule) as archive:
        whole = b"".join(archive.read(name) for name in archive.namelist())
        assert archive.namelist()[0] == MANIFEST
    assert b"urllib.parse" not in whole, "a row, or an answer to one"
    assert str(Path.home()).encode() + b"/" not in whole


def test_with_rows_the_rows_are_in_it_and_that_is_said(runs: list[RunFolder], tmp_path: Path, place: Path) -> None:
    path = tmp_path / "rows.zip"
    done = pegbox("capsule", runs[0].id, "--output", str(path), "--with-rows", home=place / "home", **THREADS)
    assert "can read them" in done.stdout
    with zipfile.ZipFile(path) as archive:
        assert "rows/0/rows.jsonl" in archive.namelist()


def test_a_capsule_overwrites_nothing(runs: list[RunFolder], tmp_path: Path, place: Path) -> None:
    path = tmp_path / "mine.zip"
    path.write_text("mine")
    done = pegbox("capsule", runs[0].id, "--output", str(path), home=place / "home", **THREADS)
    assert done.returncode == 2
    assert "nothing is overwritten" in done.stderr
    assert path.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == ["mine.zip"]


def test_a_replay_of_a_capsule_comes_out_equal(capsule: Path, home: Path) -> None:
    done = pegbox("verify", str(capsule), "--discard", "--json", home=home, PYTHONHASHSEED="3")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["equal"], told["first"], told["weights"], told["steps"]) == (True, None, None, 6)
    assert not list((home / "runs").iterdir()), "it was to be discarded"


def test_a_replay_that_is_kept_says_that_its_packed_rows_are_not(
    runs: list[RunFolder], tmp_path: Path, place: Path, home: Path
) -> None:
    path = tmp_path / "rows.zip"
    asked = ("--output", str(path), "--with-rows")
    assert pegbox("capsule", runs[0].id, *asked, home=place / "home", **THREADS).returncode == 0
    done = pegbox("verify", str(path), "--json", home=home)
    assert done.returncode == 0, done.stderr
    (kept,) = (home / "runs").iterdir()
    assert not Path(read_recipe(RunFolder(kept).recipe).rows.file).exists()
    assert f"Its rows came out of the capsule for the training alone, and no copy was kept: {kept.name}" in done.stderr


def rewritten(capsule: Path, to: Path, change: dict[str, Any]) -> Path:
    """Write a capsule anew with some members changed, whose record agrees with them."""
    with zipfile.ZipFile(capsule) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop(MANIFEST))
    for name, edit in change.items():
        members[name] = edit(members[name])
        manifest["members"][name] = {"bytes": len(members[name]), "sha256": sha256(members[name]).hexdigest()}
    with zipfile.ZipFile(to, "w") as archive:
        archive.writestr(MANIFEST, json.dumps(manifest))
        for name, content in members.items():
            archive.writestr(name, content)
    return to


@pytest.mark.slow
def test_a_replay_that_differs_says_from_which_step_on_and_by_how_much(
    capsule: Path, tmp_path: Path, home: Path
) -> None:
    def higher_rate(recipe: bytes) -> bytes:
        assert b"learning_rate = 0.0002" in recipe
        return recipe.replace(b"learning_rate = 0.0002", b"learning_rate = 0.0003")

    other = rewritten(capsule, tmp_path / "other.zip", {RECIPE: higher_rate})
    done = pegbox("verify", str(other), "--json", home=home)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["first"]["step"] == 2, "the first step is taken before the rate matters"
    assert [one["step"] for one in told["evaluations"]] == [3, 6]
    assert told["weights"]["differing"] == told["weights"]["tensors"] > 0
    assert "lora_" in told["weights"]["tensor"]
    assert "DIFFERENT" in done.stderr
    assert [path.name for path in (home / "runs").iterdir()] == [told["run"]]


def test_other_rows_are_named_and_nothing_is_trained(capsule: Path, tmp_path: Path, home: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "completion": "b"}\n' * 20)
    done = pegbox("verify", str(capsule), "--rows", str(rows), home=home)
    assert done.returncode == 2
    assert "rows: isn't what the capsule's run had" in done.stderr
    assert not (home / "runs").exists()


def test_only_checking_trains_nothing_and_finds_nothing_here(capsule: Path, home: Path) -> None:
    done = pegbox("verify", str(capsule), "--only-check", "--json", home=home)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["differences"] == []
    assert not (home / "runs").exists()


def test_another_version_in_the_lock_is_named(capsule: Path, tmp_path: Path, home: Path) -> None:
    def older(environment: bytes) -> bytes:
        told = json.loads(environment)
        told["libraries"]["peft"] = "0.1.0"
        return json.dumps(told).encode()

    other = rewritten(capsule, tmp_path / "other.zip", {"environment.json": older})
    done = pegbox("verify", str(other), "--only-check", "--json", home=home)
    assert done.returncode == 1
    (found,) = json.loads(done.stdout)["differences"]
    assert (found["about"], found["there"], found["weight"]) == ("peft", "0.1.0", "may-explain")


@pytest.mark.slow
def test_a_stopped_run_is_replayed_to_the_very_step_where_it_was_stopped(tmp_path: Path, home: Path) -> None:
    recipe = write_recipe_text(tmp_path, training={"max_steps": 400}, evaluation={"every": 3})
    folder = start_detached(recipe, home)
    wait_for(folder, lambda event: isinstance(event, Step) and event.step >= 4)
    assert pegbox("stop", folder.id, home=home).returncode == 0
    wait_until(folder.summary.is_file)
    path = tmp_path / "stopped.zip"
    assert pegbox("capsule", folder.id, "--output", str(path), home=home).returncode == 0
    done = pegbox("verify", str(path), "--json", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["steps"] >= 4
    assert told["missing"] == []


def test_a_changed_byte_anywhere_is_found(capsule: Path, tmp_path: Path) -> None:
    content = bytearray(capsule.read_bytes())
    at = bytes(content).index(b'"event":"step"')
    content[at + 2] ^= 1
    path = tmp_path / "changed.zip"
    path.write_bytes(content)
    with pytest.raises(Refusal, match="damaged or was tampered"), opened(path):
        pass


def test_a_torn_capsule_is_refused(capsule: Path, tmp_path: Path) -> None:
    path = tmp_path / "torn.zip"
    path.write_bytes(capsule.read_bytes()[:-200])
    with pytest.raises(Refusal, match="damaged or was tampered"), opened(path):
        pass


@pytest.mark.parametrize(
    "name", [".", "../outside.txt", "/etc/outside", "a/../../b", "C:/x", "a\\..\\b", "adapter/./x"]
)
def test_a_name_that_leads_out_of_the_capsule_is_refused(name: str, capsule: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"
    path.write_bytes(capsule.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    with pytest.raises(Refusal, match="leads out of it"), opened(path):
        pass


def recorded(capsule: Path, to: Path, change: dict[str, Any]) -> Path:
    """Write a capsule anew with other words in its record, and the members as they were."""
    with zipfile.ZipFile(capsule) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[MANIFEST] = json.dumps({**json.loads(members[MANIFEST]), **change}).encode()
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return to


def test_a_record_that_tells_another_size_gets_no_member_past_its_hash(capsule: Path, tmp_path: Path) -> None:
    with opened(capsule) as one:
        told = {name: {"bytes": made.bytes, "sha256": made.sha256} for name, made in one.contents.members.items()}
    told["adapter/adapter_model.safetensors"] = {"bytes": 5, "sha256": sha256(b"").hexdigest()}
    path = recorded(capsule, tmp_path / "past.zip", {"members": told})
    with pytest.raises(Refusal, match="its size is another one"), opened(path):
        pass


def test_a_capsules_words_make_no_lines_of_their_own(capsule: Path, tmp_path: Path, home: Path) -> None:
    path = recorded(
        capsule, tmp_path / "lines.zip", {"base": "x\nEQUAL: forged", "method": "l\x1b[31m", "status": "a\nb"}
    )
    done = pegbox("verify", str(path), "--only-check", home=home)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert not any(line.startswith("EQUAL") for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    "asked",
    [
        ("verify", "~nosuch/x"),
        ("verify", "CAPSULE", "--rows", "~nosuch/x"),
        ("verify", "CAPSULE", "--held-out", "~nosuch/x"),
    ],
)
def test_the_home_of_a_user_who_is_not_here_is_named(asked: tuple[str, ...], capsule: Path, home: Path) -> None:
    done = pegbox(*(str(capsule) if word == "CAPSULE" else word for word in asked), home=home)
    assert done.returncode == 2
    assert "no such user's home" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_held_out_file_is_named_only_where_the_run_had_one(capsule: Path, tmp_path: Path, home: Path) -> None:
    done = pegbox("verify", str(capsule), "--held-out", str(tmp_path / "x.jsonl"), "--only-check", home=home)
    assert done.returncode == 2
    assert "held out a share of its rows" in done.stderr


def test_a_capsule_of_a_run_whose_base_was_moved_is_the_same_bytes(
    runs: list[RunFolder], capsule: Path, tmp_path: Path, place: Path
) -> None:
    moved, path = tmp_path / "moved", tmp_path / "moved.zip"
    shutil.copytree(tuned_run(str(runs[0].path)).model.folder, moved)
    done = pegbox("capsule", runs[0].id, "--base", str(moved), "--output", str(path), home=place / "home", **THREADS)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == capsule.read_bytes()


@pytest.fixture(scope="module")
def apart(place: Path) -> tuple[RunFolder, Path]:
    """Give a run with a held-out file and a chat template of its own, and the folder that both lie in."""
    folder = place / "apart"
    folder.mkdir()
    rows = [json.loads(line) for line in (BUNDLED / "rows.jsonl").read_text().splitlines()]
    (folder / "held-out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[-8:]))
    shutil.copy(next(BUNDLED.rglob("chat_template.jinja")), folder / "own.jinja")
    recipe = write_recipe_text(
        folder,
        model={"chat_template": str(folder / "own.jinja")},
        split={"file": str(folder / "held-out.jsonl"), "share": 0.0},
        training={"max_steps": 2},
    )
    (run,) = train(folder, place / "home-apart", hash_seed="1", recipes=[recipe])
    return run, folder


def differing(path: Path, home: Path, *more: str) -> dict[str, str]:
    done = pegbox("verify", str(path), "--only-check", "--json", *more, home=home, **THREADS)
    assert done.stdout, done.stderr
    return {one["about"]: one["weight"] for one in json.loads(done.stdout)["differences"]}


def test_template_and_held_out_rows_can_be_had_where_the_recipes_own_are_gone(
    apart: tuple[RunFolder, Path], tmp_path: Path, place: Path, home: Path
) -> None:
    run, folder = apart
    bare, whole = tmp_path / "bare.zip", tmp_path / "whole.zip"
    for path, more in ((bare, ()), (whole, ("--with-rows",))):
        done = pegbox("capsule", run.id, "--output", str(path), *more, home=place / "home-apart", **THREADS)
        assert done.returncode == 0, done.stderr
    kept, template = folder / "kept.jsonl", folder / "own.jinja"
    (folder / "held-out.jsonl").rename(kept)
    text = template.read_text()
    template.unlink()
    try:
        assert differing(bare, home) == {"held-out": "stops"}, "the template was packed, the rows weren't"
        assert differing(bare, home, "--held-out", str(kept)) == {}
        assert differing(whole, home, "--rows", str(BUNDLED / "rows.jsonl")) == {}, "held-out rows stay the packed ones"
        without = tmp_path / "without.zip"
        with zipfile.ZipFile(bare) as archive, zipfile.ZipFile(without, "w") as other:
            for name in archive.namelist():
                content = archive.read(name)
                if name == MANIFEST:
                    told = json.loads(content)
                    del told["members"][TEMPLATE]
                    content = json.dumps(told).encode()
                if name != TEMPLATE:
                    other.writestr(name, content)
        assert differing(without, home, "--held-out", str(kept)) == {"template": "stops"}
        done = pegbox("verify", str(without), "--held-out", str(kept), home=home, **THREADS)
        assert done.returncode == 2
        assert "Put the chat template there" in done.stderr
    finally:
        kept.rename(folder / "held-out.jsonl")
        template.write_text(text)


def test_what_unfolds_is_refused_before_it_is_unfolded(capsule: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(capsule.read_bytes())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", b"\0" * 10_000_000)
    with pytest.raises(Refusal, match="compressed"), opened(path):
        pass


def test_what_nobody_told_of_is_refused(capsule: Path, tmp_path: Path) -> None:
    path = tmp_path / "more.zip"
    path.write_bytes(capsule.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("adapter/more.safetensors", "x")
    with pytest.raises(Refusal, match=r"more\.safetensors lies in it and isn't told"), opened(path):
        pass


def test_any_other_file_is_no_capsule(tmp_path: Path) -> None:
    path = tmp_path / "notes.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "x")
    with pytest.raises(Refusal, match="isn't a capsule"), opened(path):
        pass
    with pytest.raises(Refusal, match="can't be read"), opened(tmp_path / "nowhere.zip"):
        pass


def test_events_that_may_quote_rows_are_left_out(capsule: Path) -> None:
    with opened(capsule) as one:
        kinds = {json.loads(line)["event"] for line in one.text(EVENTS).splitlines()}
    assert "step" in kinds
    assert kinds.isdisjoint({"sample", "notice", "started"})

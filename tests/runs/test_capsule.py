"""What a capsule says it holds, and what is said of a replay whose files differ; nothing is trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pegbox.capsule_view import show_verdict
from pegbox_runs.capsule import opening
from pegbox_runs.capsule.contents import README
from pegbox_runs.capsule.difference import Verdict, verdict_of
from pegbox_runs.capsule.opening import Opened, opened
from pegbox_runs.capsule.packing import plan_capsule, write_capsule
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.tuned import PEFT_CONFIG, tuned_run
from tests.runs.told_runs import base_at, told_run, write_record


@contextmanager
def packed(run: RunFolder, place: Path) -> Iterator[Opened]:
    """Open a capsule of a run."""
    assert write_capsule(plan_capsule(tuned_run(str(run.path)), place, with_rows=False))
    with opened(place) as one:
        yield one


def replay_of(run: RunFolder, folder: Path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(run.path, folder / "replay")))


def compared(run: RunFolder, replay: RunFolder, place: Path) -> Verdict:
    with packed(run, place) as capsule:
        return verdict_of(capsule, replay, (), kept=True)


def test_weights_that_no_memory_holds_are_told_as_other_ones_and_not_as_a_broken_capsule(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = told_run(base_at(tmp_path))
    replay = replay_of(run, tmp_path)
    save_file({"a": np.full(3000, 1.5, np.float32)}, replay.adapter / "adapter_model.safetensors")
    with packed(run, tmp_path / "one.zip") as capsule:
        small = verdict_of(capsule, replay, (), kept=True).weights
        monkeypatch.setattr(opening, "TEXT_BYTES", 11_000)
        large = verdict_of(capsule, replay, (), kept=True).weights
    assert small is not None
    assert large is not None
    assert (small.tensor, small.largest) == ("a", 0.5)
    assert large.tensor == "adapter_model.safetensors"
    assert large.largest != large.largest, "it wasn't looked at number by number"


def test_another_version_of_peft_that_wrote_the_same_adapter_is_equal(tmp_path: Path, home: Path) -> None:
    run = told_run(base_at(tmp_path))
    replay = replay_of(run, tmp_path)
    config = json.loads((replay.adapter / PEFT_CONFIG).read_text())
    (replay.adapter / PEFT_CONFIG).write_text(json.dumps({**config, "peft_version": "9.9", "inference_mode": True}))
    assert compared(run, replay, tmp_path / "one.zip").equal


def test_a_config_that_differs_alone_is_no_other_adapter(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = told_run(base_at(tmp_path))
    replay = replay_of(run, tmp_path)
    config = json.loads((replay.adapter / PEFT_CONFIG).read_text())
    (replay.adapter / PEFT_CONFIG).write_text(json.dumps({**config, "r": 9}))
    found = compared(run, replay, tmp_path / "one.zip")
    assert (found.equal, found.same_weights, found.config) == (False, True, ("r",))
    show_verdict(found, json=False)
    said = capsys.readouterr().out
    assert said.startswith("DIFFERENT: the adapter's weights are the same, bit by bit, and its config isn't.")
    assert "another adapter" not in said


def test_its_read_me_names_what_is_in_it_and_nothing_else(tmp_path: Path, home: Path) -> None:
    base = base_at(tmp_path)
    template = next(base.rglob("chat_template.jinja"))
    plain, full = told_run(base), told_run(base, chat_template=str(template))
    write_record(full.forecast, {})
    for run, more in ((plain, set()), (full, {"forecast.json", "chat_template.jinja"})):
        with packed(run, tmp_path / f"{run.id}.zip") as capsule:
            named = {line.split()[0] for line in capsule.text(README).decode().splitlines() if "  " in line.strip()}
            members = {name.partition("/")[0] + "/" if "/" in name else name for name in capsule.contents.members}
        listed = {name for name in named if name.endswith("/") or "." in name}
        assert listed == (members - {README}) | {"capsule.json"}
        assert more <= listed

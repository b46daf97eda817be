"""The truth: SmolLM2-135M-Instruct, tuned on real rows, judged by nothing but PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.events import Prepared
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.viewing import state_of
from tests.alpaca import alpaca_rows
from tests.commands import events_of, pegbox, write_recipe_text
from tests.plain_peft import evaluation_loss
from tests.smollm2 import smollm2


@pytest.mark.slow
def test_a_real_model_learns_real_rows_and_plain_peft_finds_the_same_loss(tmp_path: Path, home: Path) -> None:
    recipe = write_recipe_text(
        tmp_path,
        model={"name": str(smollm2())},
        rows={"file": str(alpaca_rows()), "limit": 60},
        training={"max_steps": 8, "micro_batch": 2, "accumulation": 2, "length": 128, "learning_rate": 5e-4},
        evaluation={"every": 4, "sample_tokens": 8},
    )
    done = pegbox("train", str(recipe), "--json", home=home)
    assert done.returncode == 0, done.stdout[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "finished"
    (path,) = (home / "runs").iterdir()
    folder = RunFolder(path)
    state = state_of(folder)
    assert state.untrained_evaluation is not None
    assert state.best_evaluation is not None
    assert state.best_evaluation.loss < state.untrained_evaluation.loss - 0.02
    (prepared,) = (event for event in events_of(folder) if isinstance(event, Prepared))
    assert prepared.trainable_weights == 4_884_480
    assert prepared.loss_path == "labelled-positions"
    assert evaluation_loss(folder) == pytest.approx(state.best_evaluation.loss, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "settings", "learning_rate"),
    [
        ("dora", {"rank": 8}, 5e-4),
        ("qlora", {"rank": 8}, 5e-4),
        ("adalora", {"rank": 8, "interval": 2}, 2e-2),
    ],
)
def test_each_method_learns_on_a_real_model(
    tmp_path: Path, home: Path, method: str, settings: dict[str, Any], learning_rate: float
) -> None:
    limit, length = (80, 192) if method == "adalora" else (60, 128)  # which learns slowly at first
    recipe = write_recipe_text(
        tmp_path,
        model={"name": str(smollm2())},
        rows={"file": str(alpaca_rows()), "limit": limit},
        method={"name": method},
        training={
            "max_steps": 10,
            "micro_batch": 2,
            "accumulation": 1,
            "length": length,
            "learning_rate": learning_rate,
        },
        evaluation={"every": 10, "samples": 0},
        **{"method.settings": settings},
    )
    done = pegbox("train", str(recipe), "--json", home=home)
    assert done.returncode == 0, done.stdout[-2000:]
    (path,) = (home / "runs").iterdir()
    folder = RunFolder(path)
    state = state_of(folder)
    assert state.untrained_evaluation is not None
    assert state.best_evaluation is not None
    assert state.best_evaluation.loss < state.untrained_evaluation.loss - 0.02
    judged = evaluation_loss(folder)  # in full precision: QLoRA's packed base is a little worse than that
    if method == "qlora":
        assert judged < state.best_evaluation.loss - 0.02
    else:
        assert judged == pytest.approx(state.best_evaluation.loss, abs=1e-3)

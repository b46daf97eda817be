"""Runs as their end leaves them, made by hand, and a worker that answers at once: no torch is needed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from pegbox_methods.recipe import Method, Model, Recipe, Rows, Training
from pegbox_runs.artefacts.artefact import Proof, QualityCost
from pegbox_runs.exporting.conversion import MadeLora, MakeLora, ProveAdapter, ProvenAdapter
from pegbox_runs.exporting.targets import Told
from pegbox_runs.jobs import JobFailed
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import create
from pegbox_runs.tuned import TunedRun, tuned_run

PROOF = Proof(
    of="lora",
    against="base + adapter",
    computed_in="float32",
    prompts=4,
    positions=40,
    largest_difference=0.0,
    mean_kl=0.0,
    largest_kl=0.0,
    same_answers=4,
    same_first=1.0,
    answer_tokens=8,
    bound_kl=1e-6,
    passed=True,
)


def left_behind(method: str = "lora", *, model: Model | None = None, **config: Any) -> TunedRun:
    """Make a run's folder with an adapter of one small matrix; `config` changes what PEFT would have written of it."""
    recipe = Recipe(
        model=model or Model(name="bundled"),
        rows=Rows(file=str(BUNDLED / "rows.jsonl"), limit=40),
        method=Method(name=method),
        training=Training(max_steps=100),
    )
    checked = check(recipe, file="test")
    folder = create(checked.recipe, checked.environment())
    folder.adapter.mkdir()
    save_file(
        {"base_model.model.x.lora_A.weight": np.ones((4, 8), np.float32)}, folder.adapter / "adapter_model.safetensors"
    )
    written = {
        "peft_type": "LORA",
        "base_model_name_or_path": checked.model.reference,
        "r": 16,
        "lora_alpha": 32,
        "target_modules": ["q_proj"],
        "bias": "none",
        "rank_pattern": {},
        "use_dora": method == "dora",
        "use_rslora": method == "rslora",
        **config,
    }
    (folder.adapter / "adapter_config.json").write_text(json.dumps(written))
    (folder.adapter / "README.md").write_text("# Model Card for Model ID")
    return tuned_run(str(folder.path))


class Worker:
    """Answers the job `convert`, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[MakeLora | ProveAdapter] = []
        self.proof = PROOF
        self.dies_at: type | None = None
        self.cost = QualityCost(rows=4, loss_before=1.0, loss_after=1.001, loss_base=1.2, low=0.0005, high=0.0015)

    def __call__(self, job: str, request: Any, _answer: type, *, timeout_seconds: float | None, told: Told) -> Any:
        assert job == "convert"
        assert timeout_seconds is None
        self.asked.append(request)
        if self.dies_at is type(request):
            raise JobFailed("the worker of the job convert was ended by SIGKILL")
        if isinstance(request, ProveAdapter):
            assert Path(request.scratch).is_dir()
            return ProvenAdapter(proof=self.proof, cost=self.cost if request.cost else None)
        folder = Path(request.folder)
        save_file({"a": np.zeros(3, np.float32)}, folder / "adapter_model.safetensors")
        config = {"peft_type": "LORA", "r": 32, "lora_alpha": 32}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        return MadeLora(rank=32, kept=0.99, matrices=1)


def contents(folder: Path) -> dict[str, str]:
    """Hash every file of a folder, what was exported left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "exports" not in path.relative_to(folder).parts
    }

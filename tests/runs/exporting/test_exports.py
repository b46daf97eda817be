"""Exports of adapters: whole or not at all, taken up where they broke off, nothing overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from pegbox_hardware.disk import Disk
from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts import room
from pegbox_runs.artefacts.artefact import ARTEFACT, TARGETS, QualityCost, read_artefact
from pegbox_runs.artefacts.making import LOCK
from pegbox_runs.artefacts.proof_words import verdict_of
from pegbox_runs.exporting import lora, proving
from pegbox_runs.exporting.adapter_files import is_plain_lora, with_plain_scale
from pegbox_runs.exporting.conversion import MakeLora, ProveAdapter, why_too_dear
from pegbox_runs.exporting.targets import MODULES, ExportOptions, default_place, exporting
from pegbox_runs.jobs import JobFailed
from pegbox_runs.models import BUNDLED
from pegbox_runs.tuned import TunedRun, tuned_run
from tests.runs.exporting.left_behind import PROOF, Worker, contents, left_behind

PLAIN = ExportOptions()


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Answer in the worker's place."""
    answering = Worker()
    monkeypatch.setattr(proving, "ask_worker", answering)
    monkeypatch.setattr(lora, "ask_worker", answering)
    return answering


def exported(run: TunedRun, target: str, options: ExportOptions = PLAIN) -> Path:
    place = default_place(run, target, options)  # type: ignore[arg-type]
    exporting(target).export(run, place, options, lambda _: None)  # type: ignore[arg-type]
    return place


def test_a_conversion_that_costs_too_much_of_the_tuning_is_not_proven(worker: Worker) -> None:
    """Measured once: rank 2 of a LoRA of rank 16 was near enough on prompts, and lost 30 % of what was learned."""
    worker.cost = QualityCost(rows=40, loss_before=2.0, loss_after=2.065, loss_base=2.22, low=0.058, high=0.073)
    found = read_artefact(exported(left_behind("dora"), "lora"))
    assert found is not None
    assert all(proof.passed for proof in found.proofs)
    assert not found.proven
    assert "+0.065 nats per token" in verdict_of(found)


def test_a_conversion_may_cost_little_and_less_of_a_little_tuning() -> None:
    cost = QualityCost(rows=40, loss_before=2.0, loss_after=2.004, loss_base=2.2, low=0.003, high=0.005)
    assert why_too_dear(cost) == ""
    assert "the tuning itself changed 0.02" in why_too_dear(msgspec.structs.replace(cost, loss_base=2.02))
    assert why_too_dear(msgspec.structs.replace(cost, low=-0.01)) == "", "chance alone may explain it"
    assert "at most 0.01" in why_too_dear(msgspec.structs.replace(cost, loss_base=9.0, loss_after=2.1, low=0.05))


def test_every_target_has_a_module() -> None:
    assert set(MODULES) == set(TARGETS)
    for target in TARGETS:
        assert exporting(target).folder_name(PLAIN)


def test_an_adapter_goes_with_its_tokenizer_and_without_pefts_empty_card(worker: Worker) -> None:
    run = left_behind()
    before = contents(run.folder.path)
    place = exported(run, "adapter")
    assert {path.name for path in place.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "tokenizer.json",
        "tokenizer_config.json",
        ARTEFACT,
    }
    found = read_artefact(place)
    assert found is not None
    assert found.proven
    assert found.adapter_sha256 == run.adapter_sha256()
    assert contents(run.folder.path) == before
    assert not list(place.parent.glob(".*"))
    (asked,) = worker.asked
    assert isinstance(asked, ProveAdapter)
    assert asked.exact
    assert asked.alone


def test_what_lies_there_already_is_found_and_not_made_anew(worker: Worker) -> None:
    run = left_behind()
    place = exported(run, "adapter")
    made = (place / "tokenizer.json").stat().st_ino
    assert exported(run, "adapter") == place
    assert (place / "tokenizer.json").stat().st_ino == made
    assert len(worker.asked) == 1


def test_what_was_made_without_proof_is_proven_when_somebody_asks(worker: Worker) -> None:
    run = left_behind()
    place = exported(run, "adapter", ExportOptions(prove=False))
    found = read_artefact(place)
    assert found is not None
    assert not found.proven
    assert worker.asked == []
    exported(run, "adapter")
    found = read_artefact(place)
    assert found is not None
    assert found.proven


def test_what_is_not_the_same_model_is_written_down_as_that(worker: Worker) -> None:
    worker.proof = msgspec.structs.replace(PROOF, passed=False, why="lora: differs.")
    found = read_artefact(exported(left_behind(), "adapter"))
    assert found is not None
    assert not found.proven


def test_something_else_in_the_place_is_left_alone() -> None:
    run = left_behind()
    place = default_place(run, "lora", PLAIN)
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("mine")
    with pytest.raises(Refusal, match="nothing is overwritten"):
        exported(run, "lora")
    assert [path.name for path in place.iterdir()] == ["mine.txt"]


def test_a_full_disk_is_told_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Disk(what="output", path="/", total=100, free=100, writable=True)
    monkeypatch.setattr(room, "read_disk", lambda *_: full)
    run = left_behind()
    for target in ("adapter", "lora", "vllm"):
        with pytest.raises(Refusal, match="needs about"):
            exported(run, target)
    assert not any((run.folder.path / "exports").iterdir())


def test_a_conversion_that_was_killed_before_its_proof_goes_on_from_there(worker: Worker) -> None:
    run = left_behind("dora")
    worker.dies_at = ProveAdapter
    with pytest.raises(JobFailed):
        exported(run, "lora")
    assert not default_place(run, "lora", PLAIN).exists()
    worker.dies_at = None
    place = exported(run, "lora")
    assert [type(one) for one in worker.asked] == [MakeLora, ProveAdapter, ProveAdapter]
    found = read_artefact(place)
    assert found is not None
    assert found.cost is not None
    assert any("rank 32 holds 99.0%" in remark for remark in found.remarks)


def test_a_conversion_that_was_killed_in_the_middle_is_made_anew(worker: Worker) -> None:
    run = left_behind("dora")
    aside = default_place(run, "lora", PLAIN).with_name(".lora.part")
    (aside / lora.CONVERTED).mkdir(parents=True)
    (aside / LOCK).touch()
    (aside / lora.CONVERTED / "adapter_model.safetensors").write_bytes(b"half")
    (aside / "adapter_model.safetensors").write_bytes(b"half")
    place = exported(run, "lora")
    assert (place / "adapter_model.safetensors").read_bytes() != b"half"
    assert not (place / lora.CONVERTED).exists()


def test_plain_lora_is_passed_on_and_rslora_gets_the_scale_that_everybody_reads(worker: Worker) -> None:
    lora_run, rslora_run = left_behind(), left_behind("rslora")
    for run, alpha in ((lora_run, 32), (rslora_run, 128)):
        place = exported(run, "lora")
        config = json.loads((place / "adapter_config.json").read_text())
        assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (16, alpha, False)
        weights = "adapter_model.safetensors"
        assert (place / weights).read_bytes() == (run.adapter / weights).read_bytes()
    assert all(isinstance(one, ProveAdapter) and one.exact for one in worker.asked)


def test_a_rank_that_is_named_converts_even_plain_lora(worker: Worker) -> None:
    run = left_behind()
    place = exported(run, "lora", ExportOptions(rank=8))
    assert place.name == "lora-8"
    made = worker.asked[0]
    assert isinstance(made, MakeLora)
    assert made.rank == 8


@pytest.mark.parametrize("rank", [0, -1, 1.5, 0.0])
def test_a_rank_that_is_none_is_refused(rank: int | float) -> None:
    with pytest.raises(Refusal, match="--rank"):
        exported(left_behind(), "lora", ExportOptions(rank=rank))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("use_dora", True),
        ("modules_to_save", ["lm_head"]),
        ("rank_pattern", {"x": 4}),
        ("alpha_pattern", {"x": 4}),
        ("bias", "lora_only"),
        ("trainable_token_indices", [1]),
        ("a_field_of_a_later_peft", {"kind": "new"}),
        ("peft_type", "LOHA"),
    ],
)
def test_what_is_more_than_plain_lora_is_not_taken_for_it(field: str, value: object) -> None:
    plain = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "bias": "none", "rank_pattern": {}, "use_dora": False}
    assert is_plain_lora(plain)
    assert not is_plain_lora({**plain, field: value})


def test_a_scale_that_is_no_whole_number_stays_exact() -> None:
    scaled = with_plain_scale({"r": 8, "lora_alpha": 16, "use_rslora": True})
    assert scaled["lora_alpha"] / 8 == pytest.approx(16 / 8**0.5, rel=1e-15)


def test_the_template_that_the_run_was_taught_takes_the_place_of_the_models(tmp_path: Path) -> None:
    template = tmp_path / "own.jinja"
    template.write_text((BUNDLED / "model" / "chat_template.jinja").read_text() + "{# own #}")
    run = left_behind(model=Model(name="bundled", chat_template=str(template)))
    place = exported(run, "adapter")
    assert (place / "chat_template.jinja").read_text() == template.read_text()
    assert "chat_template" not in json.loads((place / "tokenizer_config.json").read_text())
    template.unlink()
    with pytest.raises(Refusal, match="can't be read any more"):
        exported(run, "lora")


def test_a_base_that_was_changed_since_is_refused(tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(BUNDLED / "model", base)
    run = left_behind(model=Model(name=str(base)))
    weights = bytearray((base / "model.safetensors").read_bytes())
    weights[-100:] = bytes(100)
    (base / "model.safetensors").write_bytes(weights)
    with pytest.raises(Refusal, match="isn't the model that"):
        tuned_run(str(run.folder.path))


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(BUNDLED / "model", base)
    with pytest.raises(Refusal, match="says that it belongs to the base"):
        left_behind(model=Model(name=str(base)), base_model_name_or_path="somebody/else")


@pytest.mark.parametrize(
    ("method", "target", "said"),
    [
        ("prompt-tuning", "lora", "can't become a LoRA adapter"),
        ("prompt-tuning", "vllm", "can't be merged"),
        ("prompt-tuning", "mlx", "can't be merged"),
        ("ln-tuning", "lora", "changes norms"),
        ("trainable-tokens", "lora", "changes embeddings"),
        ("full", "adapter", "a whole model behind"),
        ("full", "lora", "a whole model behind"),
    ],
)
def test_what_a_target_cannot_take_is_said_before_and_refused_after(method: str, target: str, said: str) -> None:
    run = left_behind(method)
    place = default_place(run, target, PLAIN)  # type: ignore[arg-type]
    plan = exporting(target).plan(run, place, PLAIN)  # type: ignore[arg-type]
    assert said in (plan.cannot or "")
    with pytest.raises(Refusal, match=said):
        exported(run, target)
    assert not (run.folder.path / "exports" / target).exists()

"""A GGUF file is told from the untuned base, also where the adapter changes less than the number format costs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from gguf import Keys

from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.weight_files import stored_tensors
from pegbox_runs.exporting import gguf
from pegbox_runs.exporting.gguf_request import ProveGguf
from pegbox_runs.exporting.targets import ExportOptions
from pegbox_runs.models import BUNDLED
from pegbox_runs.tuned import TunedRun
from pegbox_worker.gguf import weights_held, writing
from pegbox_worker.gguf.fields import config_of
from pegbox_worker.gguf.reading import GgufFile
from pegbox_worker.jobs import gguf as gguf_job
from pegbox_worker.merge.memory_need import need_of
from pegbox_worker.merge.sources import source_for
from tests.worker.made_run import made_run
from tests.worker.test_gguf import written
from tests.worker.test_gguf_export import Asked, asked, deaf, program

__all__ = ["asked"]

BASE = BUNDLED / "model"


@pytest.fixture
def little() -> TunedRun:
    """A run that changed next to nothing."""
    return made_run("lora", moved=0.004)


def test_the_untuned_base_in_a_files_place_is_found_by_its_weights(
    little: TunedRun, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_job, "write_gguf", lambda _, *rest, **told: writing.write_gguf(BASE, *rest, **told))
    made = gguf.export(little, tmp_path / "out", ExportOptions(quant="q8_0"), deaf)
    last = made.proofs[-1]
    assert last.mean_kl < last.bound_kl, "probabilities tell it too: that shows nothing of weights"
    assert not made.proven
    assert "its weights aren't the merged model's, rounded: in one matrix they differ by" in last.why
    assert last.weights_apart is not None
    assert last.weights_apart > 0.5


def test_a_file_of_the_merged_weights_is_theirs_to_the_last_bit_and_says_what_rounding_costs(
    little: TunedRun, asked: Asked, tmp_path: Path
) -> None:
    made = gguf.export(little, tmp_path / "out", ExportOptions(quant="q5_0", name="qwen2.5-mine"), deaf)
    assert made.proven
    last = made.proofs[-1]
    assert last.weights_apart == 0
    assert last.effect_kl == made.proofs[0].effect_kl is not None
    assert any("The number format costs" in remark for remark in made.remarks)
    assert GgufFile(tmp_path / "out" / "qwen2.5-mine.q5_0.gguf").get(Keys.General.NAME) == "qwen2.5-mine"
    (asked_for,) = (request for request in asked.requests if isinstance(request, ProveGguf))
    assert Path(asked_for.scratch).parent == tmp_path / ".out.part", "logits lie in the artefact's own folder"
    assert not list((tmp_path / "out").glob(".*"))


def by_llama_quantize(run: TunedRun, tmp_path: Path, file: Path) -> tuple[bool, str, tuple[str, ...]]:
    """Export by a program that gives out a file as its own."""
    program(tmp_path / "cpp" / "llama-quantize", f'cp "{file}" "$2"')
    (tmp_path / "cpp" / "convert_hf_to_gguf.py").touch()
    options = ExportOptions(quant="q4_k_m", llama_cpp=str(tmp_path / "cpp"))
    made = gguf.export(run, tmp_path / "out", options, deaf)
    return made.proven, made.proofs[-1].why + made.unproven, made.remarks


def test_in_a_file_of_llama_quantize_the_adapters_change_is_looked_for(
    little: TunedRun, asked: Asked, tmp_path: Path
) -> None:
    written(BASE, "q8_0", tmp_path / "base.gguf")
    proven, why, _ = by_llama_quantize(little, tmp_path, tmp_path / "base.gguf")
    assert not proven
    assert "of what the adapter changes in the weights, " in why
    assert why.endswith("it isn't the tuned model.")


def test_a_file_of_llama_quantize_that_has_the_adapters_change_is_taken(
    little: TunedRun, asked: Asked, tmp_path: Path
) -> None:
    gguf.export(little, tmp_path / "own", ExportOptions(quant="q5_1"), deaf)
    (file,) = (tmp_path / "own").glob("*.gguf")
    proven, why, remarks = by_llama_quantize(little, tmp_path, file)
    assert (proven, why) == (True, "")
    assert any(remark.startswith("Of what the adapter changes in the weights, ") for remark in remarks)


def test_where_neither_weights_nor_answers_tell_it_from_the_base_it_stays_unproven(
    little: TunedRun, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsure = weights_held.HeldWeights(unsure="nothing is known of it")
    monkeypatch.setattr(gguf_job, "hold_weights", lambda *_, **__: unsure)
    made = gguf.export(little, tmp_path / "out", ExportOptions(quant="q5_0"), deaf)
    assert made.proofs[-1].passed
    assert not made.proven
    assert "too little to tell it from the untuned base" in made.unproven


def test_a_tensor_too_few_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = partial(weights_held.hold_weights, merged=BASE, base=BASE, config=config_of(BASE), quant="f16")
    file = written(BASE, "f16", tmp_path / "model.gguf")
    assert hold(file, own=True) == weights_held.HeldWeights(apart=0.0)
    assert hold(file, own=False).unsure == "the adapter changes none of the weights"
    fewer = dict(list(file.tensors().items())[1:])
    monkeypatch.setattr(file, "tensors", lambda: fewer)
    assert "its tensors aren't the merged model's" in hold(file, own=True).why
    assert "its tensors aren't the merged model's" in hold(file, own=False).why


def test_what_is_said_beforehand_is_what_the_jobs_reckon_with(little: TunedRun, tmp_path: Path) -> None:
    stored = stored_tensors(little.model.folder / file for file in little.model.weight_files)
    needed = next(iter(need_of(little, source_for(little, stored, None), stored).proving.values()))
    said = gguf.plan(little, tmp_path / "out", ExportOptions()).memory_bytes
    assert needed <= said <= 1.2 * needed


def test_a_file_that_can_not_be_named_by_gguf_stays_without_a_word_on_weights(
    little: TunedRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = written(BASE, "f16", tmp_path / "model.gguf")

    def refuse(*_: object) -> None:
        raise Refusal("model: can't be written as GGUF: its model type is odd.")

    monkeypatch.setattr(gguf_job, "config_of", refuse)
    request = ProveGguf(
        run="", base=None, model=str(BASE), file=str(file.path), quant="f16", own=False, effect_kl=None, scratch=""
    )
    assert gguf_job._hold_weights(request, little, file).unsure.endswith("its model type is odd")

"""The proof of a merge: what is right passes, and whatever is wrong with the files doesn't."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pegbox_runs.artefacts.artefact import Proof
from pegbox_runs.artefacts.making import Making, making
from pegbox_runs.artefacts.weight_files import stored_tensors
from pegbox_runs.tuned import TunedRun
from pegbox_worker.merge import proof
from pegbox_worker.merge.proof import Outcome, prove
from pegbox_worker.merge.small_files import write_small_files
from pegbox_worker.merge.sources import admit_for, source_for
from tests.methods_at_work import one_thread
from tests.worker.made_run import made_run

WORDS = {"F32": "float32", "BF16": "bfloat16"}
NEARLY_NOTHING = 1e-5
"""A movement of the adapter's weights that changes next-token distributions by less than the bound of a proof."""
Weights = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _few_prompts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    chosen = proof.proof_examples
    monkeypatch.setattr(proof, "proof_examples", lambda run, tokenizer: chosen(run, tokenizer, 3))
    with one_thread():
        yield


def merged(run: TunedRun, place: Path, word: str = "F32") -> Path:
    admit_for(run)
    stored = stored_tensors(run.model.folder / file for file in run.model.weight_files)
    with making(place, "order") as begun:
        assert isinstance(begun, Making)
        source_for(run, stored, word).write(begun, lambda *_: None)
        write_small_files(run, begun, WORDS[word], stored.keys())
        return begun.finish()


def proven(run: TunedRun, folder: Path) -> Outcome:
    return prove(run, folder, torch.float32, lambda *_: None, scratch=None)


def adapter_skipped(base: Weights, _right: Weights) -> Weights:
    return dict(base)


def scaled_twice(base: Weights, right: Weights) -> Weights:
    return {name: base[name] + 2 * (right[name] - base[name]) for name in right}


def one_map_left_out(base: Weights, right: Weights) -> Weights:
    first = next(name for name in right if not torch.equal(right[name], base[name]))
    return {**right, first: base[first]}


SABOTAGES: tuple[Callable[[Weights, Weights], Weights], ...] = (adapter_skipped, scaled_twice, one_map_left_out)


@pytest.mark.parametrize("moved", [0.02, NEARLY_NOTHING])
def test_a_wrong_merge_fails_its_proof_even_where_the_adapter_changes_next_to_nothing(
    moved: float, tmp_path: Path
) -> None:
    run = made_run("lora", moved=moved)
    folder = merged(run, tmp_path / "merged")
    right = proven(run, folder).proof
    assert right is not None
    assert right.passed, right.why
    assert right.weights_apart == 0
    assert right.same_answers == right.prompts
    assert right.mean_kl <= 1e-6
    assert right.effect_kl is not None
    assert (right.effect_kl < right.bound_kl) == (moved == NEARLY_NOTHING)
    file = folder / "model.safetensors"
    base = {name: weight.float() for name, weight in load_file(run.model.folder / file.name).items()}
    good = {name: weight.clone() for name, weight in load_file(file).items()}
    for sabotage in SABOTAGES:
        save_file(sabotage(base, good), file, metadata={"format": "pt"})
        wrong = proven(run, folder).proof
        assert wrong is not None
        assert not wrong.passed, sabotage
        assert "merged: " in wrong.why
        assert wrong.weights_apart is not None
        assert wrong.weights_apart > 0.9


@pytest.mark.parametrize("name", ["dora", "ln-tuning", "full", "loftq"])
def test_merges_of_every_sort_are_proven(name: str, tmp_path: Path) -> None:
    run = made_run(name)
    found = proven(run, merged(run, tmp_path / "merged")).proof
    assert found is not None
    assert found.passed, found.why
    assert found.weights_apart == 0


def test_what_rounding_costs_is_told_apart_from_a_wrong_merge(tmp_path: Path) -> None:
    run = made_run("lora")
    folder = merged(run, tmp_path / "merged", "BF16")
    found = proven(run, folder).proof
    assert found is not None
    assert found.passed, found.why
    assert found.rounding_kl is not None
    assert found.rounding_kl > 1e-6
    assert found.mean_kl == pytest.approx(found.rounding_kl)
    file = folder / "model.safetensors"
    base = load_file(run.model.folder / file.name)
    save_file(one_map_left_out(base, load_file(file)), file, metadata={"format": "pt"})
    wrong = proven(run, folder).proof
    assert wrong is not None
    assert not wrong.passed


def test_an_adapter_that_rounding_swallows_is_told(tmp_path: Path) -> None:
    run = made_run("lora", moved=NEARLY_NOTHING)
    outcome = proven(run, merged(run, tmp_path / "merged", "BF16"))
    assert any("much of what was learned is lost" in remark for remark in outcome.remarks)


def test_weights_that_are_no_numbers_fail(tmp_path: Path) -> None:
    run = made_run("lora")
    folder = merged(run, tmp_path / "merged")
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, file, metadata={"format": "pt"})
    wrong = proven(run, folder).proof
    assert wrong is not None
    assert not wrong.passed
    assert "aren't finite" in wrong.why


def test_a_template_that_writes_other_prompts_fails_the_proof_by_name(tmp_path: Path) -> None:
    run = made_run("lora")
    folder = merged(run, tmp_path / "merged")
    template = folder / "chat_template.jinja"
    template.write_text("You are a pirate. " + template.read_text())
    wrong = proven(run, folder).proof
    assert wrong is not None
    assert wrong.same_prompts is False
    assert not wrong.passed
    assert "chat template" in wrong.why


def test_in_16_bits_a_proof_fails_nothing_that_rounding_explains(tmp_path: Path) -> None:
    run = made_run("lora", moved=NEARLY_NOTHING)
    folder = merged(run, tmp_path / "merged")
    outcome = prove(run, folder, torch.bfloat16, lambda *_: None, scratch=None)
    assert outcome.proof is None
    assert "all that memory allowed" in outcome.unproven


def no_number(_base: Weights, right: Weights) -> Weights:
    return {**right, "model.norm.weight": torch.full_like(right["model.norm.weight"], float("nan"))}


def an_untouched_weight_changed(_base: Weights, right: Weights) -> Weights:
    return {**right, "model.norm.weight": right["model.norm.weight"] * 1.0001}


@pytest.mark.parametrize("moved", [0.02, NEARLY_NOTHING])
def test_in_16_bits_a_wrong_merge_fails_all_the_same(moved: float, tmp_path: Path) -> None:
    run = made_run("lora", moved=moved)
    folder = merged(run, tmp_path / "merged")
    file = folder / "model.safetensors"
    base = {name: weight.float() for name, weight in load_file(run.model.folder / file.name).items()}
    good = {name: weight.clone() for name, weight in load_file(file).items()}
    for sabotage in (*SABOTAGES, no_number, an_untouched_weight_changed):
        save_file(sabotage(base, good), file, metadata={"format": "pt"})
        outcome = prove(run, folder, torch.bfloat16, lambda *_: None, scratch=tmp_path)
        assert outcome.proof is not None, (sabotage, outcome.unproven)
        assert not outcome.proof.passed, sabotage
        assert ("aren't finite" if sabotage is no_number else "merged: its weights") in outcome.proof.why


def test_in_16_bits_what_is_farther_than_the_adapter_reaches_fails_though_no_weights_could_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "_by_maps", lambda *_: None)
    run = made_run("lora")
    folder = merged(run, tmp_path / "merged")
    file = folder / "model.safetensors"
    weights = {name: torch.randn_like(weight) for name, weight in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})
    wrong = prove(run, folder, torch.bfloat16, lambda *_: None, scratch=tmp_path).proof
    assert wrong is not None
    assert not wrong.passed
    assert "more than rounding to bfloat16 explains" in wrong.why


def test_a_weight_that_nothing_was_to_change_is_told_in_words_and_in_json(tmp_path: Path) -> None:
    run = made_run("lora")
    folder = merged(run, tmp_path / "merged")
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"][0] *= 1.000001
    save_file(weights, file, metadata={"format": "pt"})
    wrong = proven(run, folder).proof
    assert wrong is not None
    assert not wrong.passed
    assert "differs from the base model's where the adapter changes nothing" in wrong.why
    assert msgspec.json.decode(msgspec.json.encode(wrong), type=Proof) == wrong

"""The job `merge` from its request to the folder that it makes: taken up, refused, marked, proven later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from pegbox_hardware.memory import Memory
from pegbox_runs.artefacts.artefact import read_artefact
from pegbox_runs.artefacts.making import aside_of
from pegbox_runs.artefacts.merging import Dtype, MergeAnswer, MergeRequest, merge_there
from pegbox_runs.event_log import EventWriter
from pegbox_runs.tuned import TunedRun
from pegbox_worker.jobs import merge
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.merge import memory_need, proof, sources
from pegbox_worker.merge.hollow import HollowModel
from tests.methods_at_work import one_thread
from tests.worker.made_run import copied_base, made_run


@pytest.fixture(autouse=True)
def _few_prompts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    chosen = proof.proof_examples
    monkeypatch.setattr(proof, "proof_examples", lambda run, tokenizer: chosen(run, tokenizer, 2))
    with one_thread():
        yield


def asked(run: TunedRun, place: Path, *, dtype: Dtype = "auto", prove: bool = False) -> MergeAnswer:
    request = MergeRequest(run=str(run.folder.path), base=None, place=str(place), dtype=dtype, prove=prove)
    return merge.run(msgspec.json.encode(request), Contact(EventWriter(place.parent / "events.jsonl")))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def in_shards(folder: Path) -> Path:
    """Make a copy of the bundled model whose weights lie in several files."""
    base = copied_base(folder)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    (base / "model.safetensors").unlink()
    model.save_pretrained(base, max_shard_size="1MB")
    assert len(list(base.glob("model-*.safetensors"))) > 2
    return base


def no_memory(monkeypatch: pytest.MonkeyPatch, available: int) -> None:
    held = Memory(total=available, available=available, limit=None, host_total=available)
    monkeypatch.setattr(memory_need, "read_memory", lambda: held)


def test_a_merge_leaves_a_model_that_loads_and_the_run_as_it_was(tmp_path: Path) -> None:
    run = made_run("lora")
    before = contents(run.folder.path)
    place = tmp_path / "merged"
    made = asked(run, place, prove=True).artefact
    assert made is not None
    assert made.proven, made
    assert made == read_artefact(place)
    assert contents(run.folder.path) == before
    assert made.number_format == "bfloat16"
    config = json.loads((place / "config.json").read_text())
    assert {config.get("dtype"), config.get("torch_dtype")} <= {"bfloat16", None}
    model, said = AutoModelForCausalLM.from_pretrained(place, output_loading_info=True)
    assert not said["missing_keys"]
    assert not said["unexpected_keys"]
    assert model.dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(place).chat_template
    first = (place / "model.safetensors").stat()
    assert asked(run, place, prove=True).artefact == made
    assert (place / "model.safetensors").stat().st_mtime_ns == first.st_mtime_ns


def test_a_merge_broken_off_half_way_keeps_its_whole_files_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made_run("dora", model=str(in_shards(tmp_path / "base")))
    asked(run, tmp_path / "at-once")
    whole = contents(tmp_path / "at-once")
    merged, parts = HollowModel.merge, 0

    def breaks(self: HollowModel, part: str) -> dict[str, torch.Tensor]:
        nonlocal parts
        parts += 1
        if parts == 15:
            raise KeyboardInterrupt
        return merged(self, part)

    monkeypatch.setattr(HollowModel, "merge", breaks)
    place = tmp_path / "taken-up"
    with pytest.raises(KeyboardInterrupt):
        asked(run, place)
    kept = {path.name: path.stat().st_ino for path in aside_of(place).glob("*.safetensors")}
    assert kept
    assert not place.exists()
    monkeypatch.setattr(HollowModel, "merge", merged)
    asked(run, place)
    assert {name: (place / name).stat().st_ino for name in kept} == kept
    taken_up = contents(place)
    for name in whole.keys() - {"pegbox-artefact.json"}:
        assert taken_up[name] == whole[name], name
    index = json.loads(whole["model.safetensors.index.json"])
    assert index["metadata"]["total_size"] == sum(
        weight.numel() * weight.element_size()
        for file in set(index["weight_map"].values())
        for weight in load_file(place / file).values()
    )


def test_a_model_merged_as_a_whole_is_written_anew_where_one_of_its_files_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, place = made_run("lora"), tmp_path / "merged"
    whole = merge.Whole(run, "F32", 1, "it is a test")
    monkeypatch.setattr(merge, "source_for", lambda *_: whole)
    monkeypatch.setattr(sources, "SHARD_BYTES", 10**6)

    def breaks(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(merge, "write_small_files", breaks)
        with pytest.raises(KeyboardInterrupt):
            asked(run, place)
    shards = sorted(aside_of(place).glob("*.safetensors"))
    assert len(shards) > 2
    shards[1].write_bytes(b"damaged")
    made = asked(run, place, prove=True).artefact
    assert made is not None
    assert made.proven, made.proofs
    assert {shard.name for shard in shards} <= made.files.keys()


def test_a_merge_is_known_as_the_runs_own_until_a_byte_of_it_or_of_the_adapter_is_another(tmp_path: Path) -> None:
    run, place = made_run("lora"), tmp_path / "merged"
    assert merge_there(run, place) is None
    made = asked(run, place, dtype="float32").artefact
    assert merge_there(run, place) == (made, "float32")
    config = run.adapter / "adapter_config.json"
    told = config.read_text()
    config.write_text(json.dumps({**json.loads(told), "lora_alpha": 1024}))
    assert merge_there(run, place) is None
    assert "another export lies there" in asked(run, place, dtype="float32").refused
    config.write_text(told)
    assert merge_there(run, place) == (made, "float32")
    with (place / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        last = weights.read(1)[0]
        weights.seek(-1, 2)
        weights.write(bytes([last ^ 1]))
    assert merge_there(run, place) is None
    assert "damaged or gone" in asked(run, place, dtype="float32", prove=True).refused


def test_what_a_proof_keeps_aside_lies_beside_the_model_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, place = made_run("lora"), tmp_path / "merged"
    asked(run, place)
    seen: list[Path | None] = []
    needed: list[int] = []

    def noted(*_: object, scratch: Path | None) -> proof.Outcome:
        seen.append(scratch)
        return proof.Outcome(None, "it is a test")

    monkeypatch.setattr(merge, "prove", noted)
    monkeypatch.setattr(merge, "refuse_too_little_room", lambda _place, bytes_, **_: needed.append(bytes_))
    asked(run, place, prove=True)
    asked(run, tmp_path / "other", prove=True)
    assert seen == [tmp_path, aside_of(tmp_path / "other")]
    logits = 32 * 33 * 4 * run.model.config["vocab_size"]
    weights = sum((place / file).stat().st_size for file in run.model.weight_files)
    assert needed[0] == logits
    assert abs(needed[1] - logits - weights) < 2**16 < logits


def test_what_memory_forbade_to_prove_is_marked_and_proven_by_the_same_command_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, place = made_run("lora"), tmp_path / "merged"
    with monkeypatch.context() as little:
        no_memory(little, 150 * 2**20)
        made = asked(run, place, prove=True).artefact
    assert made is not None
    assert not made.proven
    assert "a proof needs" in made.unproven
    later = asked(run, place, prove=True).artefact
    assert later is not None
    assert later.proven
    assert later == read_artefact(place)
    assert later.files == made.files


def test_a_machine_without_the_memory_to_merge_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_memory(monkeypatch, 10 * 2**20)
    refused = asked(made_run("lora"), tmp_path / "merged").refused
    assert "merging needs about" in refused
    assert not (tmp_path / "merged").exists()
    assert not aside_of(tmp_path / "merged").exists()


@pytest.mark.parametrize("name", ["prompt-tuning", "prefix-tuning", "p-tuning"])
def test_a_method_that_cannot_be_merged_is_refused_with_its_cards_reason(name: str, tmp_path: Path) -> None:
    run = made_run(name)
    refused = asked(run, tmp_path / "merged").refused
    assert run.card.cannot["merge"] in refused
    assert not aside_of(tmp_path / "merged").exists()


def test_what_lies_there_is_never_overwritten(tmp_path: Path) -> None:
    run, place = made_run("lora"), tmp_path / "merged"
    place.mkdir()
    (place / "mine.txt").write_text("mine")
    assert "something else lies there" in asked(run, place).refused
    assert contents(place) == {"mine.txt": b"mine"}


def test_the_recipes_own_template_goes_with_the_model_and_one_that_is_gone_is_named(tmp_path: Path) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text("{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}")
    run = made_run("lora", template=str(template))
    made = asked(run, tmp_path / "merged", prove=True).artefact
    assert made is not None
    assert made.proven, made.proofs
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").chat_template == template.read_text()
    template.unlink()
    assert "chat template isn't the one that" in asked(run, tmp_path / "again").refused


def test_weights_beyond_float16_are_refused_by_name(tmp_path: Path) -> None:
    base = copied_base(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    model.model.norm.weight.data[0] = 1e6
    model.save_pretrained(base)
    run = made_run("lora", model=str(base))
    refused = asked(run, tmp_path / "merged", dtype="float16").refused
    assert refused.startswith("model.norm.weight: holds numbers beyond what float16 reaches")
    assert not (tmp_path / "merged").exists()


def test_the_whole_merge_and_the_one_map_by_map_write_the_same_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made_run("lora")
    asked(run, tmp_path / "by-maps", dtype="float16")
    whole = merge.Whole(run, "F16", 1, "it is a test")
    monkeypatch.setattr(merge, "source_for", lambda *_: whole)
    asked(run, tmp_path / "whole", dtype="float16")
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("by-maps", "whole"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)

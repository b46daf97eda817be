"""From a run to GGUF and Ollama, through all of the targets, with the worker's jobs in this process."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts import merging
from pegbox_runs.artefacts.artefact import read_artefact
from pegbox_runs.event_log import EventWriter
from pegbox_runs.exporting import gguf, ollama
from pegbox_runs.exporting.gguf_request import ProveGguf, WriteGguf
from pegbox_runs.exporting.targets import ExportOptions
from pegbox_runs.jobs import JobFailed
from pegbox_runs.tuned import TunedRun, tuned_run
from pegbox_worker import proving
from pegbox_worker.gguf import vocabulary, writing
from pegbox_worker.jobs import gguf as gguf_job
from pegbox_worker.jobs import merge as merge_job
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.merge import proof as merge_proof
from tests.methods_at_work import one_thread
from tests.smollm2 import smollm2
from tests.worker.made_run import made_run

JOBS = {"gguf": gguf_job.run, "merge": merge_job.run}


class Asked:
    """The jobs that were asked for, each done in this process."""

    def __init__(self, scratch: Path) -> None:
        self.requests: list[Any] = []
        self._contact = Contact(EventWriter(scratch / "events.jsonl"))

    def __call__(self, job: str, request: object, answer: type[Any], **_: object) -> Any:
        self.requests.append(request)
        given = JOBS[job](msgspec.json.encode(request), self._contact)
        return msgspec.json.decode(msgspec.json.encode(given), type=answer)

    def count(self, kind: type) -> int:
        return sum(isinstance(request, kind) for request in self.requests)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    doing = Asked(tmp_path)
    for module in (gguf, merging):
        monkeypatch.setattr(module, "ask_worker", doing)
    for module in (gguf_job, merge_proof):  # shorter proofs: what is compared is the same
        monkeypatch.setattr(module, "look_at", partial(proving.look_at, tokens=4))
        monkeypatch.setattr(module, "proof_examples", partial(proving.proof_examples, count=4))
    with one_thread():
        yield doing


@pytest.fixture
def run() -> TunedRun:
    return made_run("lora")


def deaf(_: object) -> None:
    pass


def test_a_run_becomes_a_gguf_file_that_is_shown_to_be_the_same_model(
    run: TunedRun, asked: Asked, tmp_path: Path
) -> None:
    made = gguf.export(run, tmp_path / "out", ExportOptions(), deaf)
    assert made.proven
    assert read_artefact(tmp_path / "out") == made
    assert [proof.of for proof in made.proofs] == ["merged", "gguf f16"]
    assert made.proofs[1].mean_kl < 1e-6
    assert made.proofs[1].same_prompts
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{run.id}.f16.gguf",
        "pegbox-artefact.json",
    ]
    before = len(asked.requests)
    assert gguf.export(run, tmp_path / "out", ExportOptions(), deaf) == made
    assert len(asked.requests) == before, "what is there is made again"


def test_a_file_written_wrong_is_kept_and_not_called_the_same_model(
    run: TunedRun, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_permuted", lambda _source, _config: 0)
    made = gguf.export(run, tmp_path / "out", ExportOptions(quant="q8_0"), deaf)
    assert not made.proven
    assert not made.proofs[-1].passed
    assert "differ from those of merged" in made.proofs[-1].why
    assert (tmp_path / "out" / f"{run.id}.q8_0.gguf").is_file()


def test_a_template_that_writes_otherwise_is_found(
    run: TunedRun, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "without_marks", lambda source: source.replace("<|im_start|>", "<|im_start|> "))
    made = gguf.export(run, tmp_path / "out", ExportOptions(), deaf)
    assert not made.proven
    assert "write the same conversations otherwise" in made.proofs[-1].why


def test_without_a_proof_a_file_is_unproven_until_one_is_asked_for(run: TunedRun, asked: Asked, tmp_path: Path) -> None:
    made = gguf.export(run, tmp_path / "out", ExportOptions(prove=False), deaf)
    assert not made.proven
    assert made.proofs == ()
    assert asked.count(ProveGguf) == 0
    now = gguf.export(run, tmp_path / "out", ExportOptions(), deaf)
    assert now.proven
    assert (asked.count(WriteGguf), asked.count(ProveGguf)) == (1, 1)
    assert read_artefact(tmp_path / "out") == now


def test_a_broken_off_proof_leaves_the_file_for_the_next_try(
    run: TunedRun, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary, "_remarks", lambda _: ("What must be known.",))

    def killed(*_: object) -> None:
        raise JobFailed("the worker of the job gguf was ended by SIGKILL")

    with monkeypatch.context() as patch:
        patch.setattr(gguf, "_shown", killed)
        with pytest.raises(JobFailed):
            gguf.export(run, tmp_path / "out", ExportOptions(), deaf)
    assert not (tmp_path / "out").exists()
    made = gguf.export(run, tmp_path / "out", ExportOptions(), deaf)
    assert made.proven
    assert made.remarks == ("What must be known.",)
    assert asked.count(WriteGguf) == 1


def test_nothing_is_overwritten(run: TunedRun, asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(Refusal, match="nothing is overwritten"):
        gguf.export(run, tmp_path / "out", ExportOptions(), deaf)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert asked.requests == []


def program(place: Path, body: str) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"#!/bin/sh\n{body}\n")
    place.chmod(0o755)
    return place


def test_k_quants_are_made_by_llama_quantize_from_float16(run: TunedRun, asked: Asked, tmp_path: Path) -> None:
    program(
        tmp_path / "llama.cpp" / "build" / "bin" / "llama-quantize",
        f'echo "$3" > {tmp_path}/asked; env > {tmp_path}/environment; cp "$1" "$2"',
    )
    (tmp_path / "llama.cpp" / "convert_hf_to_gguf.py").write_text("raise SystemExit('not needed')")
    options = ExportOptions(quant="q4_k_m", llama_cpp=str(tmp_path / "llama.cpp"))
    os.environ["HF_TOKEN"] = "hf_secret"
    try:
        made = gguf.export(run, tmp_path / "out", options, deaf)
    finally:
        del os.environ["HF_TOKEN"]
    assert (tmp_path / "asked").read_text() == "Q4_K_M\n"
    assert "hf_secret" not in (tmp_path / "environment").read_text()
    assert [request.quant for request in asked.requests if isinstance(request, WriteGguf)] == ["f16"]
    assert made.proven
    assert any("llama-quantize, from float16" in remark for remark in made.remarks)
    assert list((tmp_path / "out").glob("*.gguf")) == [tmp_path / "out" / f"{run.id}.q4_k_m.gguf"]
    assert not list((tmp_path / "out").glob(".*"))


def test_a_program_that_fails_says_why_and_leaves_nothing_half_done(
    run: TunedRun, asked: Asked, tmp_path: Path
) -> None:
    program(tmp_path / "cpp" / "llama-quantize", 'echo "bad type" >&2; printf half > "$2"; exit 3')
    (tmp_path / "cpp" / "convert_hf_to_gguf.py").touch()
    with pytest.raises(JobFailed, match="llama-quantize failed with exit code 3: bad type"):
        gguf.export(run, tmp_path / "out", ExportOptions(quant="q4_k_m", llama_cpp=str(tmp_path / "cpp")), deaf)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("*.gguf"))


def spoilt(run: TunedRun, **config: Any) -> TunedRun:
    return dataclasses.replace(run, model=dataclasses.replace(run.model, config={**run.model.config, **config}))


def test_a_model_that_pegbox_can_not_write_is_written_by_llama_cpps_script(
    run: TunedRun, asked: Asked, tmp_path: Path
) -> None:
    folder = tmp_path / "cpp"
    folder.mkdir()
    (folder / "convert_hf_to_gguf.py").write_text(
        f"import json, pathlib, sys\npathlib.Path({str(tmp_path / 'argv')!r}).write_text(json.dumps(sys.argv[1:]))\n"
        "pathlib.Path(sys.argv[3]).write_bytes(b'made elsewhere')\n"
    )
    odd = spoilt(run, model_type="gemma3")
    options = ExportOptions(llama_cpp=str(folder))
    made = gguf.export(odd, tmp_path / "out", options, deaf)
    argv = json.loads((tmp_path / "argv").read_text())
    assert argv[0].endswith("exports/merged")
    assert argv[3:] == ["--outtype", "f16"]
    assert asked.count(WriteGguf) == 0
    assert not made.proven
    assert "can't be read as GGUF" in made.unproven


def test_a_refusal_of_the_job_is_a_refusal_of_the_export(
    run: TunedRun, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Refusal("model.norm.weight: holds numbers that aren't finite.")

    monkeypatch.setattr(writing, "_packed", refuse)
    with pytest.raises(Refusal, match="aren't finite"):
        gguf.export(run, tmp_path / "out", ExportOptions(), deaf)
    assert tuned_run(run.id).adapter_sha256() == run.adapter_sha256()


def test_where_memory_does_not_suffice_the_file_is_made_and_stays_unproven(
    run: TunedRun, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_job, "PROOF_BYTES", 2**40)
    made = gguf.export(run, tmp_path / "out", ExportOptions(), deaf)
    assert not made.proven
    assert "a proof needs" in made.unproven


def test_ollama_gets_the_same_file_and_a_modelfile(run: TunedRun, asked: Asked, tmp_path: Path) -> None:
    made = ollama.export(run, tmp_path / "out", ExportOptions(name="mine"), deaf)
    assert made.proven
    assert made.target == "ollama"
    assert made.number_format == "q8_0"
    file = tmp_path / "out" / "mine.q8_0.gguf"
    assert file.samefile(run.folder.path / "exports" / "gguf-q8_0" / "mine.q8_0.gguf")
    assert "FROM ./mine.q8_0.gguf\n" in (tmp_path / "out" / "Modelfile").read_text()
    assert set(made.files) == {"mine.q8_0.gguf", "Modelfile"}
    before = len(asked.requests)
    assert ollama.export(run, tmp_path / "out", ExportOptions(name="mine"), deaf) == made
    assert len(asked.requests) == before


@pytest.mark.slow
def test_a_real_model_stays_itself_in_float16_and_nearly_so_in_q8_0(asked: Asked, tmp_path: Path) -> None:
    run = made_run("lora", moved=0.002, model=str(smollm2()))
    whole = gguf.export(run, tmp_path / "f16", ExportOptions(quant="f16"), deaf)
    assert whole.proven
    assert whole.proofs[-1].mean_kl < 1e-4
    assert whole.proofs[-1].same_prompts
    small = ollama.export(run, tmp_path / "ollama", ExportOptions(), deaf)
    assert small.proven
    assert 1e-5 < small.proofs[-1].mean_kl < 0.02
    assert 'SYSTEM """You are a helpful AI assistant named SmolLM' in (tmp_path / "ollama" / "Modelfile").read_text()

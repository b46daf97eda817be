"""Measuring on the real device, with real processes behind it, and what is remembered of it."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

import huggingface_hub
import msgspec
import pytest

from pegbox_hardware.forecast.memory import Learned
from pegbox_hardware.processor import processor
from pegbox_methods.events import Step
from pegbox_methods.recipe import Evaluation, Method, Model, Output, Recipe, Rows, Seeds, Training
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs import jobs, learned
from pegbox_runs.jobs import JobFailed
from pegbox_runs.learned import MOST_OBSERVATIONS, learned_findings, learned_for, learned_tokens_per_second
from pegbox_runs.measured import Measurement, measure, remember, setting_of
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder
from tests.commands import events_of, pegbox, write_recipe_text
from tests.smollm2 import smollm2

GIB = 2**30
SMALL = Training(micro_batch=2, accumulation=1, length=64, precision="float32")
RECIPE = Recipe(model=Model(name="bundled"), rows=Rows(file=str(BUNDLED / "rows.jsonl"), limit=60), training=SMALL)
LONG = 400.0
LIMITED = """
import resource, sys
import pegbox_worker.jobs.measure
(size,) = (int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (size + 400_000_000,) * 2)
from pegbox_worker.jobs.__main__ import main
sys.exit(main())
"""
"""A worker that may take 400 MB beside its libraries."""
KILLED = "import os, signal, sys; sys.stdin.readline(); os.kill(os.getpid(), signal.SIGKILL)"


def worker(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(jobs, "job_command", lambda: [sys.executable, "-P", "-c", program])


def found(**changes: Any) -> Measurement:
    """Give what a probe on a card found: 10 GiB allocated, 12 reserved, half a GiB of context."""
    facts: dict[str, Any] = {
        "figures": "card",
        "device_kind": "cuda",
        "device": "NVIDIA GeForce RTX 4090",
        "driver": "570.10",
        "torch": "2.13.0",
        "setting": "a" * 64,
        "parts": (),
        "allocated_bytes": 10 * GIB,
        "card_bytes": 25 * GIB // 2,
        "context_bytes": GIB // 2,
        "reserved_bytes": 12 * GIB,
        "reserved_ratio": 1.2,
        "cache_flushes": 0,
        "tokens_per_second": 4000.0,
        "step_seconds": 2.0,
        "fits": True,
        "ran_out_of_memory": None,
    }
    return Measurement(**{**facts, **changes})


CARD = ("NVIDIA GeForce RTX 4090", "570.10", "2.13.0")


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_a_recipe_is_measured_on_this_machine_and_its_rate_remembered(home: Path, method: str) -> None:
    recipe = msgspec.structs.replace(RECIPE, method=Method(name=method))
    measured = measure(recipe, timeout_seconds=LONG)
    assert measured.fits
    assert [part.name for part in measured.parts][-1] == "evaluation"
    assert measured.device == processor()[0]
    assert measured.tokens_per_second is not None
    checked = check(recipe, file="recipe")
    assert measured.setting == setting_of(checked.recipe, checked.model.sha256())
    rate = learned_tokens_per_second(measured.setting, measured.device, None, measured.torch)
    assert rate == measured.tokens_per_second
    assert learned_for(measured.device, None, measured.torch) is None  # a CPU has neither context nor allocator
    assert sorted(path.name for path in home.iterdir()) == ["learned", "learned.lock"]


def test_running_out_of_memory_is_an_answer_and_teaches_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker(monkeypatch, LIMITED)
    training = msgspec.structs.replace(SMALL, micro_batch=64, length=512)
    measured = measure(msgspec.structs.replace(RECIPE, training=training), timeout_seconds=LONG)
    assert (measured.fits, measured.ran_out_of_memory) == (False, "worst shape")
    assert measured.allocated_bytes > 10**7
    assert not home.exists()


def test_a_worker_that_the_system_killed_is_said_to_have_run_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    worker(monkeypatch, KILLED)
    with pytest.raises(JobFailed) as failed:
        measure(RECIPE, timeout_seconds=LONG)
    assert failed.value.sentence == (
        "the worker of the job measure was ended by SIGKILL, which is what a system does whose memory ran out"
    )


def test_what_train_refuses_is_refused_before_anything_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    worker(monkeypatch, KILLED)
    recipe = msgspec.structs.replace(RECIPE, method=Method(settings={"targets": ["query"]}))
    with pytest.raises(Refusal, match="the model has no such matrix"):
        measure(recipe, file="my.toml")


def test_weights_that_are_not_here_are_not_fetched_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker(monkeypatch, KILLED)
    folder = Path(shutil.copytree(BUNDLED / "model", tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda _repo, file, revision: str(folder / file))
    recipe = msgspec.structs.replace(RECIPE, model=Model(name="org/tiny"))
    with pytest.raises(Refusal, match=r"weights aren't on this machine.*`hf download org/tiny`"):
        measure(recipe)


def test_what_the_worker_refuses_is_one_sentence() -> None:
    recipe = msgspec.structs.replace(
        RECIPE, method=Method(name="adalora"), training=msgspec.structs.replace(SMALL, max_steps=3)
    )
    with pytest.raises(JobFailed) as failed:
        measure(recipe, timeout_seconds=LONG)
    assert failed.value.sentence.startswith("this run takes 3 steps, and AdaLoRA's schedule needs at least")


def test_a_place_that_cannot_be_written_costs_the_memory_and_not_the_answer(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_text("a file where the folder should be")
    monkeypatch.setattr("pegbox_runs.measured.ask_worker", lambda *_, **__: found())
    measured = measure(RECIPE)
    assert measured.fits
    assert "can't be stored" in measured.notes[-1]
    assert str(home) in measured.notes[-1]


def test_a_card_teaches_its_context_and_ratio_for_this_driver_and_torch_only() -> None:
    remember(found())
    assert learned_for(*CARD) == Learned(context_bytes=GIB // 2, reserved_ratio=1.2)
    assert learned_tokens_per_second("a" * 64, *CARD) == 4000.0
    for other in (("NVIDIA A100", *CARD[1:]), (CARD[0], "580.1", CARD[2]), (*CARD[:2], "2.14.0"), (CARD[0], None, "")):
        assert learned_for(*other) is None
        assert learned_tokens_per_second("a" * 64, *other) is None
    assert learned_tokens_per_second("b" * 64, *CARD) is None


def test_a_large_run_teaches_the_ratio_and_the_most_kernels_the_context() -> None:
    remember(found())
    tiny = found(setting="b" * 64, allocated_bytes=2**20, reserved_bytes=22 * 2**20, context_bytes=GIB)
    remember(tiny)
    taught = learned_for(*CARD)
    assert taught is not None
    assert taught.context_bytes == GIB
    assert taught.reserved_ratio == pytest.approx(1.2, rel=0.01)


def test_the_same_setting_measured_again_replaces_what_was_known() -> None:
    remember(found())
    remember(found(reserved_bytes=11 * GIB, tokens_per_second=5000.0))
    assert learned_for(*CARD) == Learned(context_bytes=GIB // 2, reserved_ratio=1.1)
    assert learned_tokens_per_second("a" * 64, *CARD) == 5000.0


@pytest.mark.parametrize("changes", [{"fits": False, "ran_out_of_memory": "evaluation"}, {"cache_flushes": 1}])
def test_a_card_that_was_too_full_teaches_nothing(home: Path, changes: dict[str, Any]) -> None:
    remember(found(**changes))
    assert not home.exists()


def test_a_card_whose_context_could_not_be_told_teaches_its_rate_alone() -> None:
    remember(found(context_bytes=None))
    assert learned_for(*CARD) is None
    assert learned_tokens_per_second("a" * 64, *CARD) == 4000.0


def test_only_the_newest_observations_are_kept() -> None:
    for number in range(MOST_OBSERVATIONS + 5):
        remember(found(setting=f"{number:064}"))
    known = [learned_tokens_per_second(f"{number:064}", *CARD) for number in range(MOST_OBSERVATIONS + 5)]
    assert known == [None] * 5 + [4000.0] * MOST_OBSERVATIONS


def test_two_measurements_at_once_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read = learned._read

    def slow(path: Path) -> Any:
        known = read(path)
        time.sleep(0.05)  # long enough for the others to read the same
        return known

    monkeypatch.setattr(learned, "_read", slow)
    settings = [f"{number:064}" for number in range(6)]
    threads = [Thread(target=lambda setting=setting: remember(found(setting=setting))) for setting in settings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [learned_tokens_per_second(setting, *CARD) for setting in settings] == [4000.0] * 6


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff\xfe", b'{"card": 3}', b"[]", b'{"card":"","driver":"","torch":"","observations":{"a":{}}}'],
)
def test_a_broken_file_is_passed_over_told_and_written_anew(home: Path, text: bytes) -> None:
    remember(found())
    (path,) = (home / "learned").iterdir()
    assert learned_findings() == ()
    path.write_bytes(text)
    assert learned_for(*CARD) is None
    (finding,) = learned_findings()
    assert (finding.level, finding.about) == ("yellow", "learned")
    assert str(path) in finding.text
    remember(found())
    assert learned_for(*CARD) is not None
    assert learned_findings() == ()


def test_absurd_figures_in_a_file_are_not_believed(home: Path) -> None:
    remember(found())
    (path,) = (home / "learned").iterdir()
    path.write_text(path.read_text().replace('"tokens_per_second": 4000.0', '"tokens_per_second": -1.0'))
    assert learned_tokens_per_second("a" * 64, *CARD) is None
    assert "tokens_per_second" in learned_findings()[0].text


def test_a_disk_that_fills_leaves_what_was_known(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(found())

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(learned.os, "fdopen", full)
    with pytest.raises(OSError, match="No space left"):
        remember(found(tokens_per_second=1.0))
    assert learned_tokens_per_second("a" * 64, *CARD) == 4000.0
    assert len(list((home / "learned").iterdir())) == 1


def test_a_cards_name_may_hold_anything(home: Path) -> None:
    odd = "../../NVIDIA\x1b[0m / ü \n card" + "x" * 300
    remember(found(device=odd))
    assert learned_for(odd, *CARD[1:]) is not None
    (path,) = (home / "learned").iterdir()
    assert path.name.startswith("nvidia-0m-card")


def test_a_setting_is_all_that_moves_a_steps_time_and_nothing_else() -> None:
    known = setting_of(RECIPE, "m")
    same = msgspec.structs.replace(
        RECIPE, output=Output(note="x"), seeds=Seeds(training=1), evaluation=Evaluation(samples=9)
    )
    assert setting_of(same, "m") == known
    others = [
        setting_of(RECIPE, "n"),
        setting_of(msgspec.structs.replace(RECIPE, method=Method(name="dora")), "m"),
        setting_of(msgspec.structs.replace(RECIPE, method=Method(settings={"rank": 8})), "m"),
        *(
            setting_of(msgspec.structs.replace(RECIPE, training=msgspec.structs.replace(SMALL, **change)), "m")
            for change in (
                {"micro_batch": 9},
                {"accumulation": 9},
                {"length": 99},
                {"optimizer": "adafactor"},
                {"precision": "bfloat16"},
                {"activation_checkpointing": "on"},
            )
        ),
    ]
    assert len({known, *others}) == 1 + len(others)


@pytest.mark.slow
def test_a_real_model_takes_in_a_run_what_was_measured_before(tmp_path: Path, home: Path) -> None:
    """Rows that are all cut at training.length, so that the run meets its worst case too."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"text": "{number} {"a long story about pegs " * 60}"}}\n' for number in range(20)))
    written = write_recipe_text(
        tmp_path,
        model={"name": str(smollm2())},
        rows={"file": str(rows), "allow": ["end-not-learned"]},
        training={"max_steps": 2, "micro_batch": 2, "accumulation": 2, "length": 192},
        evaluation={"every": 2, "samples": 0, "micro_batch": 2},
    )
    done = pegbox("train", str(written), "--json", home=home)
    assert done.returncode == 0, done.stdout[-2000:]
    (path,) = (home / "runs").iterdir()
    steps = [event for event in events_of(RunFolder(path)) if isinstance(event, Step)]
    measured = measure(read_recipe(written), timeout_seconds=LONG)
    assert measured.card_bytes == pytest.approx(steps[-1].memory.process_peak, rel=0.15)

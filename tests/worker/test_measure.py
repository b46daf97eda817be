"""The job that measures: real steps on the bundled model, the card's side faked at torch.cuda."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import torch

from pegbox_hardware.gpu import Gpu, Holder
from pegbox_methods.recipe import Evaluation, Method, Model, Recipe, Rows, Training
from pegbox_methods.recipe_file import complete_recipe
from pegbox_methods.registry import find_card
from pegbox_runs.measured import Measurement, MeasureRequest
from pegbox_runs.rows.masking import IGNORED
from pegbox_worker import assembly
from pegbox_worker.jobs import measure
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.measure.meters import CardMeter, ProcessMeter
from pegbox_worker.measure.rows import STEPS, evaluation_rows, ordinary_tokens, probe_rows
from pegbox_worker.trainer import MeasuredTrainer

UNHEARD = cast(Contact, None)
"""Neither job says anything on its way."""

CPU = torch.device("cpu")
MIB = 2**20
GIB = 2**30
LENGTH = 32
ORDER = ["loading", "worst shape", "mixed lengths", "worst shape again", "evaluation"]


def recipe(method: str = "lora", **training: Any) -> Recipe:
    small = {"micro_batch": 3, "accumulation": 2, "length": LENGTH, "precision": "float32", **training}
    written = Recipe(
        model=Model(name="bundled"),
        rows=Rows(file="/rows"),
        method=Method(name=method),
        training=Training(**small),
        evaluation=Evaluation(micro_batch=5),
    )
    return complete_recipe(written, find_card(method), file="test")


def ask(folder: Path, asked: Recipe | None = None, *, evaluates: bool = True) -> Measurement:
    request = MeasureRequest(
        recipe=asked or recipe(), trained_rows=600, evaluates=evaluates, setting="x", scratch=str(folder)
    )
    return measure.run(msgspec.json.encode(request), UNHEARD)


class FakeCuda:
    """The functions of torch.cuda that the meter calls, over figures that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0
        self.free = 20 * GIB
        self.retries = 0
        for name, function in {
            "reset_peak_memory_stats": self._reset,
            "max_memory_allocated": lambda _device: self.peak_allocated,
            "max_memory_reserved": lambda _device: self.peak_reserved,
            "memory_reserved": lambda _device: self.reserved,
            "mem_get_info": lambda _device: (self.free, 24 * GIB),
            "memory_stats": lambda _device: {"num_alloc_retries": self.retries} if self.retries else {},
            "synchronize": lambda _device: None,
        }.items():
            monkeypatch.setattr(torch.cuda, name, function)

    def hold(self, allocated: int, reserved: int, *, context: int) -> None:
        """Take memory, which `free` feels; peaks remember it."""
        self.allocated, self.reserved = allocated, reserved
        self.peak_allocated = max(self.peak_allocated, allocated)
        self.peak_reserved = max(self.peak_reserved, reserved)
        self.free = 20 * GIB - reserved - context

    def _reset(self, _device: torch.device) -> None:
        self.peak_allocated, self.peak_reserved = self.allocated, self.reserved


def gpu(*holders: Holder, **changes: Any) -> Gpu:
    facts = {"memory_total": 24 * GIB, "memory_free": 20 * GIB, **changes}
    return Gpu(index=0, name="NVIDIA RTX", uuid="GPU-1", compute_capability="8.9", holders=holders, **facts)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    return FakeCuda(monkeypatch)


def test_a_whole_probe_has_every_part_in_order_and_keeps_nothing(tmp_path: Path) -> None:
    found = ask(tmp_path)
    assert [part.name for part in found.parts] == ORDER
    assert [len(part.step_seconds) for part in found.parts] == [0, 3, 3, 1, 0]
    worst, mixed, again = found.parts[1:4]
    assert worst.step_tokens == (2 * (3 * LENGTH - 1),) * 3
    assert again.step_tokens == worst.step_tokens[:1]
    assert max(mixed.step_tokens) < worst.step_tokens[0]
    assert found.allocated_bytes == max(part.allocated_bytes for part in found.parts) > MIB
    assert found.card_bytes > found.allocated_bytes + 100 * MIB  # the libraries are in it
    assert (found.figures, found.device_kind, found.fits, found.ran_out_of_memory) == ("process", "cpu", True, None)
    assert (found.context_bytes, found.reserved_ratio) == (None, None)
    assert found.tokens_per_second == pytest.approx(worst.step_tokens[0] / found.step_seconds)  # type: ignore[operator]
    assert list(tmp_path.rglob("*.safetensors")) == []
    assert list(tmp_path.glob("checkpoints/*")) == []


def test_the_trainer_takes_the_rows_in_their_order_and_then_one_evaluation_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, seen = MeasuredTrainer.compute_loss, []

    def compute_loss(self: Any, model: Any, inputs: Any, *arguments: Any, **named: Any) -> Any:
        mask = inputs["attention_mask"]
        seen.append((self.model.training, tuple(mask.shape), int(mask.sum())))
        return plain(self, model, inputs, *arguments, **named)

    monkeypatch.setattr(MeasuredTrainer, "compute_loss", compute_loss)
    found = ask(tmp_path)
    *trained, evaluated = seen
    tokens = [tokens for part in found.parts for tokens in part.step_tokens]
    assert [first[2] + second[2] for first, second in zip(trained[::2], trained[1::2], strict=True)] == tokens
    assert {shape for _, shape, _ in (*trained[:6], *trained[12:])} == {(3, LENGTH)}
    assert max(shape[1] for _, shape, _ in trained[6:12]) < LENGTH
    assert evaluated == (False, (5, LENGTH), 5 * LENGTH - 1)


def test_a_run_that_holds_nothing_out_is_measured_without_an_evaluation(tmp_path: Path) -> None:
    assert [part.name for part in ask(tmp_path, evaluates=False).parts] == ORDER[:-1]


def test_a_method_with_a_schedule_and_an_added_loss_is_measured_too(tmp_path: Path) -> None:
    found = ask(tmp_path, recipe("adalora", accumulation=1))
    assert found.fits
    assert [part.name for part in found.parts] == ORDER


def test_many_micro_batches_are_cut_short_and_the_steps_time_is_that_of_all(tmp_path: Path) -> None:
    found = ask(tmp_path, recipe(accumulation=40, micro_batch=1))
    assert found.parts[1].step_tokens == (measure.MOST_ACCUMULATED * LENGTH,) * 3
    assert found.tokens_per_second is not None
    assert found.step_seconds == pytest.approx(40 * LENGTH / found.tokens_per_second)


def failing_at(micro_batch: int, error: Exception, before: Callable[[], None]) -> Callable[..., Any]:
    """Make a compute_loss that raises in one micro-batch, counted from 1."""
    plain, calls = MeasuredTrainer.compute_loss, iter(range(1, 1000))

    def compute_loss(self: Any, *arguments: Any, **named: Any) -> Any:
        if next(calls) == micro_batch:
            before()
            raise error
        return plain(self, *arguments, **named)

    return compute_loss


@pytest.mark.parametrize(("micro_batch", "part"), [(1, 1), (9, 2), (13, 3), (15, 4)])
def test_a_card_that_runs_out_of_memory_is_an_answer_with_what_was_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuda: FakeCuda, micro_batch: int, part: int
) -> None:
    monkeypatch.setattr(measure, "ProcessMeter", lambda: CardMeter(CPU, gpu))
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    reached = failing_at(micro_batch, error, lambda: cuda.hold(15 * GIB, 18 * GIB, context=GIB))
    monkeypatch.setattr(MeasuredTrainer, "compute_loss", reached)
    cuda.retries = 3
    found = ask(tmp_path)
    assert (found.fits, found.ran_out_of_memory) == (False, ORDER[part])
    assert [ended.name for ended in found.parts] == ORDER[: part + 1]
    assert (found.allocated_bytes, found.reserved_bytes) == (15 * GIB, 18 * GIB)
    assert (found.context_bytes, found.card_bytes) == (GIB, 19 * GIB)
    assert found.reserved_ratio == pytest.approx(1.2)
    assert found.cache_flushes == 3
    assert found.figures == "card"


def test_running_out_while_the_model_is_loaded_is_an_answer_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(assembly, "load_model", load)
    found = ask(tmp_path)
    assert (found.fits, found.ran_out_of_memory) == (False, "loading")
    assert (found.tokens_per_second, found.step_seconds) == (None, None)


def test_any_other_error_is_a_failure_and_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MeasuredTrainer, "compute_loss", failing_at(2, RuntimeError("shapes differ"), lambda: None))
    with pytest.raises(RuntimeError, match="shapes differ"):
        ask(tmp_path)


@pytest.mark.parametrize(
    ("error", "ran_out"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_ran_out_of_memory_is_told_from_what_broke(error: Exception, ran_out: bool) -> None:
    assert measure.is_out_of_memory(error) is ran_out


def test_the_context_is_what_the_driver_says_of_this_process_beside_torchs_part(cuda: FakeCuda) -> None:
    own = Holder(pid=os.getpid(), name="python", memory=7 * GIB)
    other = Holder(pid=1, name="other", memory=9 * GIB)
    meter = CardMeter(CPU, lambda: gpu(other, own))
    cuda.hold(5 * GIB, 6 * GIB, context=3 * GIB)
    assert meter.read().outside == GIB


def test_in_a_container_the_context_is_told_by_what_is_free_before_and_after(cuda: FakeCuda) -> None:
    meter = CardMeter(CPU, lambda: gpu(Holder(pid=4_000_000, name=None, memory=7 * GIB)))
    cuda.hold(5 * GIB, 6 * GIB, context=500 * MIB)
    assert meter.read().outside == 500 * MIB


@pytest.mark.parametrize("context", [-2 * GIB, 0, 6 * GIB])
def test_another_process_that_came_or_went_makes_the_context_unknown(cuda: FakeCuda, context: int) -> None:
    meter = CardMeter(CPU, gpu)
    cuda.hold(5 * GIB, 6 * GIB, context=context)
    assert meter.read().outside is None


@pytest.mark.parametrize("card", [None, gpu(unified=True), gpu(memory_free=None)])
def test_where_the_driver_does_not_tell_the_context_is_unknown(cuda: FakeCuda, card: Gpu | None) -> None:
    meter = CardMeter(CPU, lambda: card)
    cuda.hold(5 * GIB, 6 * GIB, context=GIB)
    assert meter.read().outside is None


def test_an_unknown_context_is_assumed_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuda: FakeCuda
) -> None:
    monkeypatch.setattr(measure, "ProcessMeter", lambda: CardMeter(CPU, lambda: None))
    cuda.hold(5 * GIB, 6 * GIB, context=GIB)
    found = ask(tmp_path)
    assert found.context_bytes is None
    assert found.card_bytes == 6 * GIB + 500 * MIB
    assert "500 MiB are assumed" in found.notes[0]


def test_each_part_has_its_own_peak(cuda: FakeCuda) -> None:
    meter = CardMeter(CPU, gpu)
    cuda.hold(5 * GIB, 6 * GIB, context=GIB)
    cuda.hold(2 * GIB, 6 * GIB, context=GIB)
    assert meter.read().allocated == 5 * GIB
    meter.begin()
    cuda.hold(3 * GIB, 6 * GIB, context=GIB)
    assert (meter.read().allocated, meter.read().reserved) == (3 * GIB, 6 * GIB)


def test_the_process_meter_sees_a_peak_and_forgets_it() -> None:
    meter = ProcessMeter()
    with mmap.mmap(-1, 300 * MIB) as taken:  # malloc could hand out again what earlier tests have left resident
        for _ in range(300):
            taken.write(b"x" * MIB)
    assert 280 * MIB < meter.read().allocated < 400 * MIB
    meter.begin()
    assert meter.read().allocated < 150 * MIB


def test_the_rows_are_full_where_they_should_be_and_all_labelled(tokenizer: Any) -> None:
    vocabulary = ordinary_tokens(tokenizer, 4096)
    rows = probe_rows(recipe(), vocabulary)
    steps = [list(map(len, rows.input_ids[i : i + 6])) for i in range(0, len(rows.input_ids), 6)]
    assert len(steps) == len(STEPS) == 7
    for part, lengths in zip(STEPS, steps, strict=True):
        if part == "mixed lengths":
            assert all(LENGTH // 8 <= length < LENGTH for length in lengths)
            assert len(set(lengths)) > 2
        else:
            assert lengths == [LENGTH, LENGTH, LENGTH - 1] * 2
    assert all(label == [IGNORED, *ids[1:]] for ids, label in zip(rows.input_ids, rows.labels, strict=True))
    assert list(map(len, evaluation_rows(recipe(), vocabulary).input_ids)) == [LENGTH] * 4 + [LENGTH - 1]
    assert list(map(len, probe_rows(recipe(micro_batch=1), vocabulary).input_ids))[:2] == [LENGTH] * 2


def test_no_made_up_token_is_a_special_one_or_lacks_an_embedding(tokenizer: Any) -> None:
    ordinary = ordinary_tokens(tokenizer, 500)
    assert max(ordinary) < 500
    assert set(ordinary).isdisjoint(tokenizer.all_special_ids)
    assert len(ordinary) > 400

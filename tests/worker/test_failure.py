from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pegbox_methods.events import Sample
from pegbox_methods.life_events import Trouble
from pegbox_methods.recipe import Evaluation
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import BrokenPromise
from pegbox_methods.zoo.adalora.half_torch import RanksNotMoved
from pegbox_runs.checkpoints import Unfit
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.rows.example import Completion
from pegbox_worker.checkpoint import LacksWeights
from pegbox_worker.failure import Diverged, SentinelFailed, explain
from pegbox_worker.out_of_memory import OutOfMemoryAt
from pegbox_worker.samples import Sampler
from pegbox_worker.sentinel.gradients import NoGradient


def os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Refusal("the rows are gone; bring them back."), "refused"),
        (LacksWeights("checkpoint-3 holds other weights"), "refused"),
        (Diverged("the training loss became nan at step 7"), "diverged"),
        (SentinelFailed("2 frozen tensors aren't what they were"), "inspection"),
        (NoGradient("no weight of the adapter got a gradient"), "inspection"),
        (RanksNotMoved("448 ranks are left"), "inspection"),
        (BrokenPromise("a guest's own"), "inspection"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "device-memory"),
        (RuntimeError("CUDA error: out of memory"), "device-memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), "device-memory"),
        (RuntimeError("CUDA driver error: cudaErrorMemoryAllocation"), "device-memory"),
        (torch.AcceleratorError("CUDA error: out of memory"), "device-memory"),
        (MemoryError(), "host-memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."), "host-memory"),
        (os_error(errno.ENOMEM), "host-memory"),
        (os_error(errno.ENOSPC), "disk"),
        (os_error(errno.EDQUOT), "disk"),
        (os_error(errno.EROFS), "disk"),
        (OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"), "disk"),
        (
            Exception('Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space" })'),
            "disk",
        ),
        (Exception("I/O error: Read-only file system (os error 30)"), "disk"),
        (RuntimeError("CUDA error: unspecified launch failure"), "device-lost"),
        (RuntimeError("CUDA error: device-side assert triggered"), "device-lost"),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), "device-lost"),
        (RuntimeError("No CUDA GPUs are available"), "device-lost"),
        (RuntimeError("CUDA error: no CUDA-capable device is detected"), "device-lost"),
        (RuntimeError("Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost."), "device-lost"),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), "device-lost"),
        (os_error(errno.EACCES), "error"),
        (ValueError("out of memory"), "error"),
        (KeyError("no space"), "error"),
        (RuntimeError("shapes differ"), "error"),
    ],
)
def test_every_kind_of_trouble_is_known_by_what_was_raised(error: Exception, kind: Trouble) -> None:
    told = explain(error, "training at step 7", "forward and backward of 4 rows of 512 positions", 6)
    assert told.kind == kind
    assert told.what
    assert "\n" not in told.what
    assert told.remedy.endswith(".")
    assert (told.where, told.doing, told.step) == (
        "training at step 7",
        "forward and backward of 4 rows of 512 positions",
        6,
    )


def test_what_a_library_wrapped_is_judged_by_its_cause() -> None:
    def writing() -> None:
        try:
            raise os_error(errno.ENOSPC)
        except OSError as cause:
            raise RuntimeError("the writer failed") from cause

    with pytest.raises(RuntimeError) as raised:
        writing()
    assert explain(raised.value, "saving").kind == "disk"


def test_words_of_libraries_are_cut_to_one_printable_line() -> None:
    told = explain(RuntimeError("first\n\x1b[31msecond " + "x" * 1000), "training")
    assert len(told.what) <= 400
    assert told.what.startswith("RuntimeError: first \\x1b[31msecond")


@pytest.fixture
def questions() -> list[Completion]:
    return [Completion(prompt=f"question {number}", completion="answer") for number in range(2)]


class Breaking(nn.Linear):
    """A model that answers once, and then runs out of memory."""

    def __init__(self, error: Exception) -> None:
        super().__init__(1, 1)
        self._answers: Iterator[torch.Tensor] = iter([torch.tensor([[5, 6]])])
        self._error = error

    def generate(self, input_ids: torch.Tensor, **_: Any) -> torch.Tensor:
        try:
            return torch.cat((input_ids, next(self._answers)), dim=1)
        except StopIteration:
            raise self._error from None


def asked(error: Exception, questions: list[Completion], tokenizer: Any, folder: Path) -> Exception:
    sampler = Sampler(questions, tokenizer, Evaluation(samples=2, sample_tokens=8), 512, set())
    with pytest.raises(type(error) if not isinstance(error, torch.OutOfMemoryError) else OutOfMemoryAt) as raised:
        sampler.ask(Breaking(error), 0, EventWriter(folder / "events.jsonl"))
    return raised.value


def test_running_out_of_memory_at_an_answer_is_told_with_its_question(
    questions: list[Completion], tokenizer: Any, tmp_path: Path
) -> None:
    error = asked(torch.OutOfMemoryError("CUDA out of memory"), questions, tokenizer, tmp_path)
    told = explain(error, "preparing", "", 0)
    assert (told.kind, told.where) == ("device-memory", "answering question 2")
    assert told.doing.startswith("an answer of at most 8 tokens to a question of ")


def test_an_answer_leaves_each_module_in_the_mode_that_it_was_in(
    questions: list[Completion], tokenizer: Any, tmp_path: Path
) -> None:
    class Mixed(Breaking):
        def __init__(self) -> None:
            super().__init__(ValueError("a second answer"))
            self.inner, self.frozen = nn.Dropout(), nn.Dropout().eval()

        def generate(self, input_ids: torch.Tensor, **named: Any) -> torch.Tensor:
            assert not any(module.training for module in self.modules())
            return super().generate(input_ids, **named)

    model, log = Mixed(), tmp_path / "events.jsonl"
    one = Sampler(questions, tokenizer, Evaluation(samples=1, sample_tokens=8), 512, set())
    one.ask(model, 3, EventWriter(log))
    assert [module.training for module in (model, model.inner, model.frozen)] == [True, True, False]
    with pytest.raises(ValueError, match="a second answer"):
        one.ask(model, 4, EventWriter(log))
    assert [module.training for module in (model, model.inner, model.frozen)] == [True, True, False]
    (told,) = (event for block in EventReader(log).new() for event in block)
    assert isinstance(told, Sample)
    assert told.seconds > 0


def test_any_other_error_at_an_answer_stays_what_it_is(
    questions: list[Completion], tokenizer: Any, tmp_path: Path
) -> None:
    told = explain(asked(RuntimeError("shapes differ"), questions, tokenizer, tmp_path), "preparing")
    assert (told.kind, told.where) == ("error", "preparing")


def test_a_checkpoint_of_another_kind_of_run_is_refused_and_not_tried_again() -> None:
    found = explain(Unfit("the checkpoint is of a run that wasn't in float16"), "training")
    assert found.kind == "refused"
    assert found.what == "the checkpoint is of a run that wasn't in float16"

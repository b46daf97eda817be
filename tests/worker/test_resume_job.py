"""The whole job, stumbling and going on: one adapter, one curve, and the log says what happened."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from msgspec import structs

from pegbox_methods.events import (
    AnyEvent,
    Change,
    Checkpoint,
    CommandAnswer,
    Finished,
    Notice,
    Paused,
    Phase,
    Prepared,
    Resumed,
    Sample,
    Started,
    Step,
    WorkerFailed,
)
from pegbox_methods.events import Evaluation as EvaluationTold
from pegbox_methods.recipe import Evaluation, Method, Model, Output, Recipe, Rows, Training
from pegbox_methods.refusal import Refusal
from pegbox_runs.changes import Revision, add_revision
from pegbox_runs.commands import send
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.models import BUNDLED, FoundModel
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, create
from pegbox_runs.run_state import RunState, catch_up
from pegbox_worker import adapter_folder, going_on, job, precision
from pegbox_worker.control import Control
from pegbox_worker.out_of_memory import OutOfMemoryAt
from pegbox_worker.samples import Sampler
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.trainer import MeasuredTrainer


@pytest.fixture(autouse=True)
def _one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PEGBOX_HOME", str(tmp_path / "home"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def new_run(sample_at: Literal["evaluations", "ends"] = "evaluations", **training: Any) -> RunFolder:
    asked = Recipe(
        model=Model(name="bundled"),
        rows=Rows(file=str(BUNDLED / "rows.jsonl"), limit=24),
        method=Method(name="lora", settings={"rank": 2, "dropout": 0.1}),
        training=Training(
            **{
                "max_steps": 8,
                "length": 128,
                "micro_batch": 2,
                "accumulation": 2,
                "precision": "float32",
                "learning_rate": 2e-3,
                **training,
            }
        ),
        evaluation=Evaluation(every=3, samples=1, sample_tokens=4, sample_at=sample_at),
        output=Output(checkpoints=2),
    )
    checked = check(asked, file="recipe.toml")
    return create(checked.recipe, checked.environment())


def carry(folder: RunFolder, attempt: int = 1, prepare: Callable[[Control], None] = lambda _: None) -> int:
    """Be the worker of a run's attempt, as the supervisor starts it."""
    writer = EventWriter(folder.events)
    writer.emit(
        Started(
            run=folder.id,
            method="lora",
            model="bundled",
            host="here",
            supervisor_pid=1,
            supervisor_mark="",
            worker_pid=2,
            worker_mark="",
            version="0",
            attempt=attempt,
        )
    )
    state = state_of(folder)
    control = Control(folder, writer, StopFlag(), answered=state.answered)
    prepare(control)
    return job.carry(folder, writer, control, state)


def events(folder: RunFolder) -> list[AnyEvent]:
    return [event for block in EventReader(folder.events).new() for event in block]  # type: ignore[misc]


def told(folder: RunFolder, kind: type[Any]) -> list[Any]:
    return [event for event in events(folder) if isinstance(event, kind)]


def state_of(folder: RunFolder) -> RunState:
    return catch_up(EventReader(folder.events), RunState())


def adapter_hash(folder: RunFolder) -> str:
    return hashlib.sha256((folder.adapter / "adapter_model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that nothing happened to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEGBOX_HOME", str(tmp_path_factory.mktemp("whole")))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        folder = new_run()
        assert carry(folder) == 0
        torch.set_num_threads(threads)
    return folder


def fail_at(monkeypatch: pytest.MonkeyPatch, micro_batch: int, error: BaseException) -> None:
    """Make one training micro-batch raise, counted from 1 within the process."""
    plain, counted = MeasuredTrainer.compute_loss, iter(range(1, 10_000))

    def compute_loss(self: Any, model: Any, *arguments: Any, **named: Any) -> Any:
        if model.training and next(counted) == micro_batch:
            raise error
        return plain(self, model, *arguments, **named)

    monkeypatch.setattr(MeasuredTrainer, "compute_loss", compute_loss)


def test_a_run_that_ran_out_of_memory_goes_on_from_the_step_before_and_ends_the_same(
    whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run()
    fail_at(monkeypatch, 10, torch.OutOfMemoryError("out of memory"))  # the second half of step 5
    assert carry(folder) == 1
    (failed,) = told(folder, WorkerFailed)
    assert (failed.kind, failed.step) == ("device-memory", 4)
    assert failed.doing.startswith("forward and backward of 2 rows of ")
    assert events(folder)[-1] == failed
    assert [(event.step, event.reason) for event in told(folder, Checkpoint)] == [(3, "planned"), (4, "rescue")]
    monkeypatch.undo()
    assert carry(folder, 2) == 0
    assert [(event.step, event.folder) for event in told(folder, Resumed)] == [(4, "checkpoints/checkpoint-4")]
    assert adapter_hash(folder) == adapter_hash(whole)
    state, other = state_of(folder), state_of(whole)
    assert state.loss == other.loss
    assert [e.loss for e in state.evaluations] == [e.loss for e in other.evaluations]
    assert (state.tokens, state.padding) == (other.tokens, other.padding)
    assert [sample.answer for sample in state.samples] == [sample.answer for sample in other.samples]
    assert len(told(folder, Prepared)) == 2
    assert state.status == "finished"
    assert told(folder, Finished)[0].kept_step == told(whole, Finished)[0].kept_step
    assert told(folder, Step)[-1].epoch == told(whole, Step)[-1].epoch


def test_a_run_whose_newest_checkpoint_is_torn_goes_on_from_the_one_before_and_says_so(
    whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run()
    fail_at(monkeypatch, 13, ValueError("strange"))  # in step 7: the sixth ends its epoch with one micro-batch
    assert carry(folder) == 1
    assert told(folder, WorkerFailed)[0].kind == "error"
    torn = folder.checkpoints / "checkpoint-6" / "optimizer.safetensors"
    torn.write_bytes(torn.read_bytes()[:100])
    monkeypatch.undo()
    assert carry(folder, 2) == 0
    assert told(folder, Resumed)[0].step == 3
    (rejected,) = [event for event in told(folder, Notice) if event.about == "checkpoint-rejected"]
    assert rejected.text.startswith("checkpoint-6 can't be used (optimizer.safetensors has 100 of ")
    assert adapter_hash(folder) == adapter_hash(whole)
    assert state_of(folder).loss == state_of(whole).loss


def test_without_a_good_checkpoint_it_begins_anew_with_its_samples(
    whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run()
    fail_at(monkeypatch, 2, ValueError("strange"))
    assert carry(folder) == 1
    assert told(folder, Checkpoint) == []
    monkeypatch.undo()
    assert carry(folder, 2) == 0
    (resumed,) = told(folder, Resumed)
    assert (resumed.step, resumed.folder) == (0, None)
    assert [sample.step for sample in told(folder, Sample)] == [0, 0, 3, 6, 8]
    assert [sample.step for sample in state_of(folder).samples] == [0, 3, 6, 8]
    assert adapter_hash(folder) == adapter_hash(whole)


def test_answers_on_the_way_change_nothing_in_the_training(whole: RunFolder) -> None:
    folder = new_run("ends")
    assert carry(folder) == 0
    assert [sample.step for sample in told(folder, Sample)] == [0, 8]
    assert [sample.step for sample in told(whole, Sample)] == [0, 3, 6, 8]
    assert adapter_hash(folder) == adapter_hash(whole)
    assert state_of(folder).loss == state_of(whole).loss
    assert [look.loss for look in state_of(folder).evaluations] == [look.loss for look in state_of(whole).evaluations]


def test_memory_that_runs_out_at_an_answer_on_the_way_costs_no_step_and_no_evaluation(
    whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = new_run(), Sampler.ask

    def ask(self: Sampler, model: Any, step: int, writer: EventWriter) -> None:
        if step == 6:
            doing = "an answer of at most 4 tokens to a question of 9"
            raise OutOfMemoryAt("answering question 1", doing) from torch.OutOfMemoryError("CUDA out of memory")
        real(self, model, step, writer)

    monkeypatch.setattr(Sampler, "ask", ask)
    assert carry(folder) == 1
    assert told(folder, WorkerFailed)[0].kind == "device-memory"
    assert told(folder, Checkpoint)[-1].reason == "rescue"
    monkeypatch.undo()
    assert carry(folder, 2) == 0
    assert told(folder, Resumed)[0].step == 6
    assert [look.step for look in told(folder, EvaluationTold)] == [0, 3, 6, 8]
    assert adapter_hash(folder) == adapter_hash(whole)
    assert told(folder, Finished)[0].kept_step == told(whole, Finished)[0].kept_step


def test_a_worker_killed_after_its_last_step_only_saves(whole: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run()
    monkeypatch.setattr(job, "write_adapter", lambda *_: (_ for _ in ()).throw(ValueError("killed")))
    assert carry(folder) == 1
    assert not folder.adapter.exists()
    monkeypatch.undo()
    steps = len(told(folder, Step))
    assert carry(folder, 2) == 0
    assert len(told(folder, Step)) == steps
    assert told(folder, Resumed)[0].step == 8
    assert adapter_hash(folder) == adapter_hash(whole)
    assert told(folder, Finished)[0].steps == 8


def stopping_at(folder: RunFolder, at: int) -> Callable[[Control], None]:
    """Ask for a stop while a step is taken."""

    def stop(control: Control) -> None:
        plain = control.advanced

        def advanced(step: int, seconds: float) -> None:
            plain(step, seconds)
            if step == at:
                send(folder.commands, "stop")
                control.poll()

        control.advanced = advanced  # type: ignore[method-assign]

    return stop


def test_a_stopped_run_goes_on_and_its_adapter_is_replaced(whole: RunFolder) -> None:
    folder = new_run()
    assert carry(folder, 1, stopping_at(folder, 4)) == 0
    (stopped,) = told(folder, Finished)
    assert (stopped.reason, stopped.steps) == ("stopped", 4)
    assert told(folder, Checkpoint)[-1].reason == "ending"
    first = adapter_hash(folder)
    assert carry(folder, 2) == 0
    assert told(folder, Finished)[-1].reason == "completed"
    assert adapter_hash(folder) == adapter_hash(whole) != first
    assert state_of(folder).loss == state_of(whole).loss
    assert sorted(path.name for path in folder.path.iterdir() if path.name.startswith(".")) == []


def test_a_pause_that_releases_memory_ends_the_worker_behind_a_checkpoint_and_without_an_adapter(
    whole: RunFolder,
) -> None:
    folder = new_run()

    def pause(control: Control) -> None:
        send(folder.commands, "pause-release")
        control.poll()

    assert carry(folder, 1, pause) == 0
    assert not folder.adapter.exists()
    assert events(folder)[-1].memory == "released"  # type: ignore[union-attr]
    assert [event.reason for event in told(folder, Checkpoint)] == ["pause"]
    assert told(folder, Paused)[0].step == 1
    assert carry(folder, 2) == 0
    assert adapter_hash(folder) == adapter_hash(whole)


def test_a_finished_run_goes_on_with_more_steps(whole: RunFolder) -> None:
    folder = RunFolder(Path(shutil.copytree(whole.path, whole.path.with_name("copied"))))
    try:
        change = Change(key="training.max_steps", before=8, after=10)
        add_revision(folder, Revision(time=0.0, step=8, why="asked", changes=(change,)))
        assert carry(folder, 2) == 0
    finally:
        state = state_of(folder)
        shutil.rmtree(folder.path)
    assert state.status == "finished"
    assert state.steps_done == 10
    assert list(state.loss.steps) == list(range(1, 11))
    assert [remark.about for remark in state.remarks if isinstance(remark, Notice)] == ["other-schedule"]


def test_a_run_that_had_a_gpu_never_goes_on_on_a_cpu(whole: RunFolder) -> None:
    state = state_of(whole)
    had_a_gpu = structs.replace(state, prepared=structs.replace(state.prepared, device="cuda:0"))
    with pytest.raises(going_on.DeviceGone, match="the run was on cuda:0"):
        going_on.device_to_go_on_with(had_a_gpu)


def test_a_run_that_had_none_stays_on_the_cpu(whole: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going_on, "this_device", lambda: torch.device("cuda", 0))
    assert going_on.device_to_go_on_with(state_of(whole)).type == "cpu"
    assert going_on.device_to_go_on_with(RunState()).type == "cuda"


def forget_started(folder: RunFolder, attempt: int) -> None:
    """Be a disk that was full while a worker's `started` was to be written."""
    lines = folder.events.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not (b'"started"' in line and b'"attempt":%d' % attempt in line)]
    assert len(kept) == len(lines) - 1
    folder.events.write_bytes(b"".join(kept))


@pytest.mark.parametrize("attempts", [[2], [1, 2]])
def test_a_worker_whose_start_is_not_in_the_log_goes_on_from_what_lies_on_disk(
    attempts: list[int], whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run()
    fail_at(monkeypatch, 13, ValueError("strange"))
    assert carry(folder) == 1
    monkeypatch.undo()
    plain = going_on.checkpoint_to_go_on_from

    def with_lost_lines(place: RunFolder, _state: RunState, writer: EventWriter) -> Any:
        for attempt in attempts:
            forget_started(place, attempt)
        return plain(place, state_of(place), writer)

    monkeypatch.setattr(job, "checkpoint_to_go_on_from", with_lost_lines)
    assert carry(folder, 2) == 0
    assert [event.step for event in told(folder, Resumed)] == [6]
    assert adapter_hash(folder) == adapter_hash(whole)
    assert state_of(folder).loss == state_of(whole).loss


def test_without_a_checkpoint_a_log_that_was_begun_is_told_that_the_run_begins_anew(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    writer = EventWriter(folder.events)
    assert going_on.checkpoint_to_go_on_from(folder, state_of(folder), writer) is None
    assert told(folder, Resumed) == []
    writer.emit(Phase(phase="loading"))
    assert going_on.checkpoint_to_go_on_from(folder, state_of(folder), writer) is None
    assert [event.step for event in told(folder, Resumed)] == [0]


def test_a_base_model_that_was_changed_meanwhile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run()
    fail_at(monkeypatch, 10, ValueError("strange"))
    assert carry(folder) == 1
    monkeypatch.undo()
    monkeypatch.setattr(FoundModel, "sha256", lambda _: "another")
    assert carry(folder, 2) == 1
    failed = told(folder, WorkerFailed)[-1]
    assert failed.kind == "refused"
    assert "the base model was changed after the run was started" in failed.what


def test_auto_is_decided_once_in_a_run(whole: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run(precision="auto")
    monkeypatch.setattr(precision, "processor", lambda: ("", ()))
    fail_at(monkeypatch, 10, ValueError("strange"))
    assert carry(folder) == 1
    monkeypatch.undo()
    monkeypatch.setattr(precision, "processor", lambda: ("", ("avx512_bf16",)))
    assert carry(folder, 2) == 0
    assert [event.precision for event in told(folder, Prepared)] == ["float32", "float32"]
    assert adapter_hash(folder) == adapter_hash(whole)


def test_a_format_that_the_new_device_cannot_train_in_is_refused_and_not_exchanged(
    whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(model=Model(name="bundled"), rows=Rows(file="-"))
    state = state_of(whole)
    begun = structs.replace(state, prepared=structs.replace(state.prepared, precision="bfloat16"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    with pytest.raises(Refusal, match=r"begun in 'bfloat16', by training.precision = 'auto'"):
        going_on.recipe_to_go_on_with(recipe, begun, torch.device("cuda", 0))
    chosen = structs.replace(recipe, training=structs.replace(recipe.training, precision="float16"))
    assert going_on.recipe_to_go_on_with(chosen, begun, torch.device("cuda", 0)) == chosen
    odd = structs.replace(state, prepared=structs.replace(state.prepared, precision="nn"))
    assert going_on.recipe_to_go_on_with(recipe, odd, torch.device("cpu")) == recipe


def test_a_stops_own_evaluation_is_told_as_extra_and_lasts_no_longer_than_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = new_run()
    assert carry(folder, 1, stopping_at(folder, 4)) == 0
    assert [(event.step, event.extra) for event in told(folder, EvaluationTold)] == [(0, False), (3, False), (4, True)]
    assert told(folder, EvaluationTold)[-1].seconds < 60


def test_an_evaluation_of_a_run_that_was_all_done_has_its_own_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run()

    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("strange")

    with monkeypatch.context() as patch:
        plain = MeasuredTrainer.prediction_step

        def at_the_end(self: Any, *arguments: Any, **named: Any) -> Any:
            return broken() if self.state.global_step == 8 else plain(self, *arguments, **named)

        patch.setattr(MeasuredTrainer, "prediction_step", at_the_end)
        assert carry(folder) == 1
    assert told(folder, Checkpoint)[-1].step == 8

    def ask(control: Control) -> None:
        send(folder.commands, "pause-release")
        control.poll()  # taken while nobody knows yet that no step is left
        controls.append(control)

    controls: list[Control] = []
    assert carry(folder, 2, ask) == 0
    last = told(folder, EvaluationTold)[-1]
    assert (last.step, last.extra) == (8, False)
    assert 0 < last.seconds < 60
    send(folder.commands, "checkpoint")
    controls[0].poll()
    assert [event.taken for event in told(folder, CommandAnswer)] == [True, False]
    assert told(folder, Finished)[-1].reason == "completed"


def test_what_cannot_be_done_any_more_while_the_adapter_is_saved_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run(max_steps=2)
    controls: list[Control] = []
    plain = job.write_adapter

    def write(*arguments: Any) -> None:
        for name in ("pause", "pause-release", "checkpoint", "resume"):
            send(folder.commands, name)
        controls[0].poll()
        plain(*arguments)

    monkeypatch.setattr(job, "write_adapter", write)
    assert carry(folder, 1, controls.append) == 0
    answers = told(folder, CommandAnswer)
    assert [event.taken for event in answers] == [False, False, False, True]
    assert {event.text for event in answers[:3]} == {"the training is done; the run is saving its adapter"}


def test_a_lost_device_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run()

    def gone(_state: RunState) -> torch.device:
        raise going_on.DeviceGone("the run was on cuda:0, and no CUDA GPUs are available to its new worker")

    monkeypatch.setattr(job, "device_to_go_on_with", gone)
    assert carry(folder) == 1
    assert told(folder, WorkerFailed)[0].kind == "device-lost"


def full() -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_waited_for_and_told_again_every_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(adapter_folder.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(adapter_folder.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    heard: list[Any] = []

    def until(seconds: float) -> Callable[[], None]:
        return lambda: full() if clock[0] < seconds else None

    adapter_folder.when_there_is_room(until(1500), heard.append, lambda: False)
    assert [event.about for event in heard] == ["waiting-for-room"] * 3
    assert 1500 <= clock[0] < 1510
    with pytest.raises(OSError, match="No space"):
        adapter_folder.when_there_is_room(until(1e9), heard.append, lambda: False)
    assert 5100 <= clock[0] < 5120
    begun = clock[0]
    with pytest.raises(OSError, match="No space"):
        adapter_folder.when_there_is_room(until(1e9), heard.append, lambda: clock[0] > begun + 20)
    assert clock[0] < begun + 30


def test_another_error_is_not_waited_for() -> None:
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        adapter_folder.when_there_is_room(broken, lambda _: None, lambda: False)


@pytest.mark.parametrize("boundary", ["adapter-write", "adapter-rename"])
def test_an_adapter_that_was_there_stays_until_the_new_one_is_whole(
    boundary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)

    def write(content: str) -> Callable[[Path], None]:
        return lambda place: (place / "weights").write_text(content) and None

    adapter_folder.write_adapter(folder, write("old"))

    def strike(passed: str) -> None:
        if passed == boundary:
            raise OSError(5, "broken")

    monkeypatch.setattr(adapter_folder, "strike", strike)
    with pytest.raises(OSError, match="broken"):
        adapter_folder.write_adapter(folder, write("new"))
    monkeypatch.undo()
    adapter_folder.mend_adapter(folder)
    assert (folder.adapter / "weights").read_text() == "old"
    adapter_folder.write_adapter(folder, write("new"))
    assert (folder.adapter / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]

"""Judging: row by row what the evaluations say as one number, before and after, and without a trace in the training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from pegbox_methods.events import AnyEvent, Finished, Notice, Phase, Started, WorkerFailed
from pegbox_methods.events import Evaluation as EvaluationTold
from pegbox_methods.recipe import Evaluation, Judging, Method, Model, Recipe, Rows, Training
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.judging.judged import JUDGED, Judged, read_judged
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, create
from pegbox_runs.run_state import RunState, catch_up
from pegbox_worker import job, judge
from pegbox_worker.base_shelf import BaseShelf
from pegbox_worker.control import Control
from pegbox_worker.general_rows import general_rows
from pegbox_worker.labelled_loss import LabelledLoss
from pegbox_worker.stop_flag import StopFlag
from tests.methods_at_work import one_thread

ROWS = Judging(rows=True)
ALL = Judging(rows=True, general="bundled", metrics=("exact-match", "token-f1", "rouge-l"), answers=3)
FIRST_IS_BASE = ("lora", "dora", "qlora", "ia3", "full")
"""Methods that begin at the base's output; of the first four the base is frozen, of qlora packed."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@dataclass(frozen=True)
class Ran:
    """A run that was carried in this process."""

    folder: RunFolder
    code: int

    @property
    def events(self) -> list[AnyEvent]:
        return [event for block in EventReader(self.folder.events).new() for event in block]  # type: ignore[misc]

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def judged(self) -> Judged:
        found = read_judged(self.folder.path)
        assert found is not None
        return found

    @property
    def losses(self) -> dict[int, float]:
        return {event.step: event.loss for event in self.told(EvaluationTold)}

    @property
    def adapter_hash(self) -> str:
        files = sorted(self.folder.adapter.glob("*.safetensors"))
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def new_run(
    judging: Judging, method: str = "lora", *, rows: dict[str, Any] | None = None, keep: Any = "best", **training: Any
) -> RunFolder:
    asked = Recipe(
        model=Model(name="bundled"),
        rows=Rows(**{"file": str(BUNDLED / "rows.jsonl"), "limit": 60, **(rows or {})}),
        method=Method(name=method),
        training=Training(
            **{
                "max_steps": 4,
                "length": 128,
                "micro_batch": 4,
                "accumulation": 1,
                "precision": "float32",
                "learning_rate": 2e-3,
                **training,
            }
        ),
        evaluation=Evaluation(every=2, keep=keep, samples=0, sample_tokens=6),
        judging=judging,
    )
    checked = check(asked, file="recipe.toml")
    return create(checked.recipe, checked.environment())


def carry(folder: RunFolder, attempt: int = 1, *, shelf: BaseShelf | None = None, stop: StopFlag | None = None) -> Ran:
    """Be the worker of a run's attempt."""
    writer = EventWriter(folder.events)
    told = {"method": "lora", "model": "bundled", "host": "here", "version": "0", "attempt": attempt}
    marks = {"supervisor_pid": 1, "supervisor_mark": "", "worker_pid": 2, "worker_mark": ""}
    writer.emit(Started(run=folder.id, **told, **marks))  # type: ignore[arg-type]
    state = catch_up(EventReader(folder.events), RunState())
    return Ran(folder, job.carry(folder, writer, Control(folder, writer, stop or StopFlag()), state, shelf))


def run(judging: Judging, method: str = "lora", **named: Any) -> Ran:
    return carry(new_run(judging, method, **named))


def without_time(judged: Judged) -> Judged:
    return msgspec.structs.replace(judged, seconds=0.0, before_seconds=0.0, look_seconds=0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run with all that can be judged, that nothing happened to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEGBOX_HOME", str(tmp_path_factory.mktemp("whole")))
        torch.set_num_threads(1)
        ran = run(ALL)
    assert ran.code == 0
    return ran


@pytest.mark.parametrize("method", FIRST_IS_BASE)
def test_the_rows_come_to_what_the_runs_own_evaluations_tell(method: str) -> None:
    ran = run(ROWS, method)
    judged = ran.judged
    assert judged.kept_step in ran.losses
    assert judged.before.held_out.mean == pytest.approx(ran.losses[0], rel=1e-5)
    assert judged.after.held_out.mean == pytest.approx(ran.losses[judged.kept_step], rel=1e-5)
    assert judged.before.held_out.tokens == judged.after.held_out.tokens
    assert sum(judged.after.held_out.tokens) == ran.told(EvaluationTold)[-1].tokens


@pytest.mark.parametrize("method", ["prompt-tuning", "prefix-tuning"])
def test_where_trls_head_computes_the_loss_it_scores_the_rows_too(method: str) -> None:
    ran = run(ROWS, method)
    assert ran.judged.after.held_out.mean == pytest.approx(ran.losses[ran.judged.kept_step], rel=1e-5)
    assert ran.judged.before.held_out.mean != pytest.approx(ran.losses[0], rel=1e-5), "it doesn't begin at the base"


@pytest.mark.parametrize("training", [{"precision": "bfloat16"}, {"order": "packed"}, {"order": "shuffled"}])
def test_sixteen_bits_and_other_orders_agree_as_well(training: dict[str, Any]) -> None:
    ran = run(ROWS, **training)
    assert ran.judged.before.held_out.mean == pytest.approx(ran.losses[0], rel=1e-5)
    assert ran.judged.after.held_out.mean == pytest.approx(ran.losses[ran.judged.kept_step], rel=1e-5)


def test_the_kept_weights_are_judged_though_they_are_not_the_last() -> None:
    ran = run(ROWS, learning_rate=0.3, max_steps=6)
    kept = ran.judged.kept_step
    assert kept < 6
    assert ran.judged.after.held_out.mean == pytest.approx(ran.losses[kept], rel=1e-5)
    assert ran.judged.after.held_out.mean != pytest.approx(ran.losses[6], rel=1e-2)


def test_the_last_weights_are_kept_and_judged_where_the_recipe_says_so() -> None:
    ran = run(ROWS, keep="last", learning_rate=0.3, max_steps=6)
    assert ran.judged.kept_step == ran.told(Finished)[0].kept_step == 6
    assert min(ran.losses, key=ran.losses.__getitem__) < 6, "or there was nothing to choose"
    assert ran.judged.after.held_out.mean == pytest.approx(ran.losses[6], rel=1e-5)


def test_each_row_is_judged_in_the_rows_own_order_and_with_no_one_elses_loss(whole: Ran) -> None:
    """Each alone, without a batch and without our code, on the base model."""
    from pegbox_runs.models import find_model
    from pegbox_runs.rows.loading import load_rows
    from pegbox_worker.base_model import load_model, load_tokenizer
    from pegbox_worker.tokens import tokenize

    named = Model(name="bundled")
    model = load_model(find_model(named), torch.float32, torch.device("cpu")).eval()
    recipe = msgspec.structs.replace(new_recipe(whole), judging=Judging())
    rows = tokenize(load_rows(recipe).held_out, load_tokenizer(find_model(named), named), 128)
    assert len(rows) == len(whole.judged.before.held_out.nats) > 3
    assert list(rows.table["length"]) != sorted(rows.table["length"], reverse=True), "their order is not by length"
    for row, nats, tokens in zip(
        rows.table, whole.judged.before.held_out.nats, whole.judged.before.held_out.tokens, strict=True
    ):
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
        with torch.no_grad():
            own = torch.nn.functional.cross_entropy(model(input_ids=ids).logits[0, :-1], labels[0, 1:], reduction="sum")
        assert nats == pytest.approx(float(own), rel=1e-4)
        assert tokens == int((labels[0, 1:] != -100).sum())


def new_recipe(ran: Ran) -> Recipe:
    from pegbox_methods.recipe_file import read_recipe

    return read_recipe(ran.folder.recipe)


def test_general_rows_and_answers_are_judged_before_and_after(whole: Ran) -> None:
    for side in (whole.judged.before, whole.judged.after):
        assert side.general is not None
        assert len(side.general.nats) == len(side.general.tokens) == 64
        assert min(side.general.tokens) >= 1
        assert {name: len(scores) for name, scores in side.scores.items()} == dict.fromkeys(ALL.metrics, 3)
        assert all(0.0 <= score <= 1.0 for scores in side.scores.values() for score in scores)
    assert whole.judged.before.general != whole.judged.after.general
    judged = whole.judged
    assert 0 < judged.look_seconds < judged.after_seconds < judged.seconds, "answers take longer than a look"
    assert judged.before_seconds > 0


def test_judging_leaves_no_trace_in_the_training(whole: Ran) -> None:
    plain = run(Judging())
    assert plain.adapter_hash == whole.adapter_hash
    assert plain.losses == whole.losses


def test_who_asks_for_none_pays_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "Judge", lambda *_, **__: pytest.fail("nobody asked for one"))
    ran = run(Judging())
    assert ran.code == 0
    assert not (ran.folder.path / JUDGED).exists()
    assert "judging" not in [event.phase for event in ran.told(Phase)]


def test_the_same_run_is_judged_the_same_to_the_last_bit(whole: Ran) -> None:
    assert without_time(run(ALL).judged) == without_time(whole.judged)


def test_a_base_is_judged_once_for_all_runs_of_a_process(whole: Ran) -> None:
    shelf = BaseShelf()
    first, second = (carry(new_run(ALL, method), shelf=shelf) for method in ("lora", "ia3"))
    assert next(event.detail for event in first.told(Phase) if event.phase == "judging") == "the base model"
    assert [event.detail for event in second.told(Phase) if event.phase == "judging"] == ["the weights of step 4"]
    assert first.judged.before == second.judged.before == whole.judged.before
    assert first.judged.after != second.judged.after
    assert first.judged.before_seconds > 0 == second.judged.before_seconds < second.judged.after_seconds


def test_what_is_remembered_of_a_base_is_only_taken_where_all_is_the_same() -> None:
    shelf = BaseShelf()
    carry(new_run(ALL), shelf=shelf)
    known = len(shelf.judgements)
    trial = carry(new_run(ROWS), shelf=shelf)  # its rows' losses are part of what is known
    assert len(shelf.judgements) == known
    assert trial.judged.before.general is None
    cut: dict[str, Any] = {"length": 64, "rows": {"allow": ("untrained-rows", "end-not-learned")}}
    others: list[dict[str, Any]] = [cut, {"precision": "bfloat16"}, {"rows": {"limit": 50}}, {"micro_batch": 3}]
    for number, other in enumerate(others, start=1):
        assert carry(new_run(ROWS, **other), shelf=shelf).code == 0
        assert len(shelf.judgements) == known + number
    carry(new_run(ROWS, "qlora"), shelf=shelf)
    assert len(shelf.judgements) == known + 5, "packed in 4 bits it is another base"


def at_judging(monkeypatch: pytest.MonkeyPatch, do: Callable[[int], None]) -> None:
    """Do something where the base (step 0) or the kept weights are judged next."""
    monkeypatch.setattr(judge, "strike", lambda _, *, step: do(step))


def test_a_stop_while_the_kept_weights_are_judged_ends_there_and_the_run_can_go_on(
    whole: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, stop = new_run(ALL), StopFlag()

    def halt(step: int) -> None:
        stop.raised = stop.raised or step > 0

    at_judging(monkeypatch, halt)
    stopped = carry(folder, stop=stop)
    (end,) = stopped.told(Finished)
    assert (stopped.code, end.reason, end.steps, end.adapter) == (0, "stopped", 4, "adapter")
    assert read_judged(folder.path) is None
    monkeypatch.undo()
    monkeypatch.setenv("PEGBOX_HOME", str(folder.path.parents[1]))
    done = carry(folder, 2)
    assert [event.reason for event in done.told(Finished)] == ["stopped", "completed"]
    assert without_time(done.judged) == without_time(whole.judged)
    assert done.adapter_hash == whole.adapter_hash


def test_a_stop_while_the_base_is_judged_ends_the_run_before_its_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, stop = new_run(ALL), StopFlag()
    at_judging(monkeypatch, lambda _: setattr(stop, "raised", True))
    stopped = carry(folder, stop=stop)
    (end,) = stopped.told(Finished)
    assert (end.reason, end.steps) == ("stopped", 0)
    assert read_judged(folder.path) is None


def test_a_run_that_is_continued_forgets_how_it_was_judged(whole: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run(ROWS)
    carry(folder)
    assert read_judged(folder.path) is not None
    stop = StopFlag()
    at_judging(monkeypatch, lambda _: setattr(stop, "raised", True))
    carry(folder, 2, stop=stop)
    assert read_judged(folder.path) is None


@pytest.mark.parametrize("phase", ["the base model", "the kept weights"])
def test_running_out_of_memory_is_told_with_its_place(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, folder = LabelledLoss.of_rows, new_run(ROWS)
    calls = iter(range(1000))

    def of_rows(self: LabelledLoss, inputs: Any) -> Any:
        if next(calls) >= (0 if phase == "the base model" else 2):  # six rows in batches of four
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, inputs)

    monkeypatch.setattr(LabelledLoss, "of_rows", of_rows)
    ran = carry(folder)
    (told,) = ran.told(WorkerFailed)
    assert (ran.code, told.kind, told.where) == (1, "device-memory", "judging held-out rows")
    assert told.doing.startswith("judging of 4 rows of ")
    assert told.step == (0 if phase == "the base model" else 4)
    assert read_judged(folder.path) is None


def test_a_loss_that_is_no_number_is_a_failure_not_a_judgement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LabelledLoss, "of_rows", lambda _, inputs: torch.full((len(inputs["labels"]),), torch.nan))
    ran = carry(new_run(ROWS))
    (told,) = ran.told(WorkerFailed)
    assert (told.kind, told.where) == ("diverged", "judging")
    assert "held-out" in told.what


def test_rows_without_a_question_have_no_answers_to_measure(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f'{{"text": "Line {number} of a plain text."}}\n' for number in range(30)))
    ran = run(Judging(rows=True, metrics=("rouge-l",)), rows={"file": str(file)})
    assert ran.code == 0
    assert ran.judged.before.scores == ran.judged.after.scores == {}
    assert "no-questions" in [notice.about for notice in ran.told(Notice)]


def test_general_rows_of_which_nothing_is_left_are_told_of(tmp_path: Path) -> None:
    file = tmp_path / "general.jsonl"
    file.write_text('{"prompt": "' + "a long question " * 50 + '?", "completion": " No."}\n' * 3)
    ran = run(Judging(rows=True, general=str(file)))
    assert ran.judged.after.general is None
    assert "no-general-rows" in [notice.about for notice in ran.told(Notice)]


def test_a_model_without_a_template_sees_general_rows_as_plain_text(tokenizer: Any, home: Path) -> None:
    import copy

    bare = copy.deepcopy(tokenizer)
    bare.chat_template = None
    asked = Recipe(model=Model(name="bundled"), rows=Rows(file="-"), judging=ALL)
    home.mkdir()
    rows = general_rows(asked, bare, frozenset())
    assert rows is not None
    assert len(rows) == 64
    assert bare.chat_template is None
    assert bare.decode(rows.input_ids[6]) == "What is the capital of Japan?\nThe capital of Japan is Tokyo.<|im_end|>"
    learned = [label for label in rows.labels[6] if label != -100]
    assert bare.decode(learned) == "The capital of Japan is Tokyo.<|im_end|>"


def test_a_template_that_refuses_general_rows_is_put_aside_for_them(tokenizer: Any, home: Path) -> None:
    import copy

    strict = copy.deepcopy(tokenizer)
    strict.chat_template = "{{ raise_exception('only for my own rows') }}"
    asked = Recipe(model=Model(name="bundled"), rows=Rows(file="-"), judging=ALL)
    home.mkdir()
    rows = general_rows(asked, strict, frozenset())
    assert rows is not None
    assert strict.decode(rows.input_ids[6]).startswith("What is the capital of Japan?\n")


def test_modes_and_chance_stay_where_they_were(model: Any) -> None:
    from pegbox_worker.row_losses import in_use

    model.train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    with in_use(model, torch.bfloat16, torch.device("cpu")):
        torch.rand(7)
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
    assert torch.rand(1) == wanted
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()


def test_trls_head_is_only_lent_to_a_base(model: Any) -> None:
    from pegbox_worker.row_losses import fused_head_lent, score_as

    ids = torch.arange(20, 60)[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    with torch.no_grad():
        before = model(input_ids=ids).logits
        with fused_head_lent(model):
            (nats,) = score_as(model, None)(inputs)
        assert "forward" not in vars(model)
        assert torch.equal(model(input_ids=ids).logits, before)
        (ours,) = score_as(model, LabelledLoss(model, torch.float32))(inputs)
    assert float(nats) == pytest.approx(float(ours), rel=1e-5)


@pytest.mark.slow
def test_a_real_model_is_judged_as_its_evaluations_say(tmp_path: Path) -> None:
    from tests.smollm2 import smollm2

    asked = Recipe(
        model=Model(name=str(smollm2())),
        rows=Rows(file=str(BUNDLED / "rows.jsonl"), limit=24),
        training=Training(max_steps=2, length=128, micro_batch=4, accumulation=1, learning_rate=5e-4),
        evaluation=Evaluation(every=1, samples=0, sample_tokens=8),
        judging=ALL,
    )
    checked = check(asked, file="recipe.toml")
    ran = carry(create(checked.recipe, checked.environment()))
    judged = ran.judged
    assert judged.before.held_out.mean == pytest.approx(ran.losses[0], rel=1e-5)
    assert judged.after.held_out.mean == pytest.approx(ran.losses[judged.kept_step], rel=1e-5)
    assert judged.before.general is not None
    assert judged.before.general.mean < 2.5, "a real model knows such things"
    assert set(judged.before.scores["exact-match"]) == {0.0}

"""A run that goes on from a checkpoint is the run that never ended: the same losses, the same weights, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec import structs
from transformers import TrainerCallback

from pegbox_methods.events import Notice
from pegbox_methods.recipe import Output, Recipe
from pegbox_runs.checkpoints import Progress
from pegbox_worker import checkpoint_shelf, saving
from pegbox_worker.base_model import admit_bitsandbytes
from pegbox_worker.late_evaluation import progress_with_late, write_late
from pegbox_worker.random_state import RandomState, chance_put_aside
from pegbox_worker.row_order import RowOrder
from pegbox_worker.trainer import MeasuredTrainer
from pegbox_worker.training_record import Evaluated
from tests.worker.tiny_runs import LENGTHS, Interrupted, TinyRun, changed, tiny_model, tiny_recipe, tiny_run

SETTINGS: dict[str, dict[str, Any]] = {
    "grouped": {},
    "shuffled, accumulated, linear": {"order": "shuffled", "accumulation": 2, "schedule": "linear"},
    "packed, constant": {"order": "packed", "schedule": "constant", "warmup": 0.3},
    "grouped, accumulated, adafactor": {"accumulation": 3, "micro_batch": 1, "optimizer": "adafactor"},
    "with decay": {"weight_decay": 0.1, "warmup": 0.4},
}


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same(one: TinyRun, other: TinyRun, *, since: int = 0) -> None:
    """Compare every loss, rate and norm after a step, every evaluation, and the final weights."""
    assert other.losses.steps
    assert {k: v for k, v in one.losses.steps.items() if k > since} == other.losses.steps
    assert {k: v for k, v in one.losses.looks.items() if k > since} == {
        k: v for k, v in other.losses.looks.items() if k > since
    }
    expected, found = one.weights(), other.weights()
    assert expected.keys() == found.keys()
    for name, weight in expected.items():
        assert torch.equal(weight, found[name]), name


def whole_run(folder: Path, recipe: Recipe | None = None, **named: Any) -> TinyRun:
    run = tiny_run(folder, recipe, **named)
    run.trainer.train()
    return run


@pytest.mark.parametrize("name", SETTINGS)
def test_whatever_the_step_it_goes_on_as_if_it_had_never_ended(name: str, tmp_path: Path) -> None:
    recipe = tiny_recipe(**SETTINGS[name])
    whole = whole_run(tmp_path / "whole", recipe)
    last = whole.trainer.state.max_steps
    per_epoch = last // 2
    assert not whole.told.failed
    points = range(1, last) if name == "grouped" else (per_epoch - 1, per_epoch, per_epoch + 1)
    for step in points:
        resumed = tiny_run(tmp_path / f"resumed-{step}", recipe, save_every=1000)
        random.seed(step)
        np.random.seed(step)
        torch.manual_seed(step)  # what another process would have
        resumed.trainer.train(str(whole.checkpoint(step)))
        same(whole, resumed, since=step)
        assert resumed.told.notices() == []


def test_a_run_that_is_all_done_takes_no_further_step_and_has_the_last_weights(tmp_path: Path) -> None:
    whole = whole_run(tmp_path / "whole")
    last = whole.trainer.state.max_steps
    resumed = tiny_run(tmp_path / "whole")
    resumed.trainer.train(str(whole.checkpoint(last)))
    assert resumed.losses.steps == {}
    assert resumed.trainer.state.global_step == last
    for name, weight in whole.weights().items():
        assert torch.equal(weight, resumed.weights()[name])
    assert resumed.trainer.keep_best() == whole.trainer.keep_best()
    assert resumed.losses.looks == {}, "the last evaluation is known, and not done again"


def test_looking_and_saving_more_or_less_often_changes_nothing(tmp_path: Path) -> None:
    often = whole_run(tmp_path / "often")
    never = whole_run(tmp_path / "never", save_every=1000, evaluating=False)
    assert len(often.told.written) == 12
    assert len(never.told.written) == 1
    assert often.losses.steps == never.losses.steps
    for name, weight in often.weights().items():
        assert torch.equal(weight, never.weights()[name])


class At(TrainerCallback):
    """Does something at one place of one step."""

    def __init__(self, place: str, step: int, does: Callable[..., None]) -> None:
        def hook(_args: Any, state: Any, control: Any, *_: Any, **__: Any) -> None:
            if state.global_step == step:
                does(state, control)

        setattr(self, place, hook)


def interrupt(*_: Any) -> None:
    raise Interrupted


@pytest.mark.parametrize(
    ("place", "step", "rescued"),
    [
        ("on_step_begin", 5, 5),
        ("on_substep_end", 5, 5),
        ("on_epoch_begin", 3, 3),
        ("on_prediction_step", 4, 4),
        ("on_evaluate", 4, 4),
        ("on_optimizer_step", 3, None),
        ("on_step_end", 5, None),
        ("on_step_begin", 0, None),
    ],
)
def test_what_was_done_before_an_exception_is_saved_unless_the_weights_were_on_their_way(
    place: str, step: int, rescued: int | None, tmp_path: Path
) -> None:
    recipe = tiny_recipe(accumulation=2)
    whole = whole_run(tmp_path / "whole", recipe)
    stumbled = tiny_run(tmp_path / "stumbled", recipe, save_every=2, callbacks=[At(place, step, interrupt)])
    with pytest.raises(Interrupted):
        stumbled.trainer.train()
    torch.rand(3)  # the failed step drew too
    assert stumbled.trainer.rescue() == rescued
    reasons = [event.reason for event in stumbled.told.written]
    assert reasons[step // 2 - (step == 4) :] == ([] if rescued is None else ["rescue"])
    if rescued is None:
        return
    resumed = tiny_run(tmp_path / "stumbled", recipe, save_every=2)
    resumed.trainer.train(str(stumbled.checkpoint(rescued)))
    same(whole, resumed, since=rescued)
    assert stumbled.losses.looks | resumed.losses.looks == whole.losses.looks, "an evaluation that was due was left out"
    assert (resumed.trainer._best, resumed.trainer._evaluated) == (whole.trainer._best, whole.trainer._evaluated)


@pytest.mark.parametrize(("every", "said"), [(2, "from the checkpoint of step 2"), (100, "from the beginning")])
def test_what_a_failure_costs_is_told_where_nobody_holds_the_whole_weights(
    every: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(tmp_path, save_every=every, callbacks=[At("on_step_begin", 3, interrupt)])
    with pytest.raises(Interrupted):
        run.trainer.train()
    monkeypatch.setattr(saving, "is_sharded", lambda _: True)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert run.trainer.rescue() is None
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    (notice,) = [event for event in run.told.events if isinstance(event, Notice) and event.about == "not-rescued"]
    assert said in notice.text


def test_an_evaluation_that_ran_out_of_memory_is_done_again(tmp_path: Path) -> None:
    stumbled = tiny_run(tmp_path / "run", save_every=1000, callbacks=[At("on_prediction_step", 6, interrupt)])
    with pytest.raises(Interrupted):
        stumbled.trainer.train()
    assert stumbled.trainer.rescue() == 6
    resumed = tiny_run(tmp_path / "run", save_every=1000, callbacks=[At("on_step_end", 7, interrupt)])
    with pytest.raises(Interrupted):
        resumed.trainer.train(str(stumbled.checkpoint(6)))
    assert set(resumed.losses.looks) == {6}


RISING: dict[str, Any] = {"learning_rate": 1.0, "schedule": "constant", "warmup": 0.0}
"""So high a rate that the first evaluation is the best."""


@pytest.mark.parametrize("killed_once_more", [False, True])
def test_an_evaluation_that_is_done_again_is_the_best_if_it_would_have_been(
    killed_once_more: bool, tmp_path: Path
) -> None:
    recipe = structs.replace(tiny_recipe(**RISING), output=Output(checkpoints=2))
    whole = whole_run(tmp_path / "whole", recipe, save_every=2)
    best = min((step for step in whole.losses.looks if step), key=lambda step: whole.losses.looks[step])
    assert best < 12, "the rate was to be so high that later weights are worse"
    place = tmp_path / "run"
    stumbled = tiny_run(place, recipe, save_every=2, callbacks=[At("on_prediction_step", best, interrupt)])
    with pytest.raises(Interrupted):
        stumbled.trainer.train()
    assert stumbled.trainer.rescue() == best
    if killed_once_more:
        again = tiny_run(place, recipe, save_every=2, callbacks=[At("on_step_end", best + 1, interrupt)])
        with pytest.raises(Interrupted):
            again.trainer.train(str(stumbled.checkpoint(best)))
        assert set(again.losses.looks) == {best}
        looked = progress_with_late(Progress(step=best, best_loss=99.0, best_step=2), stumbled.checkpoint(best))
        assert (looked.best_loss, looked.best_step) == (whole.losses.looks[best], best)
    resumed = tiny_run(place, recipe, save_every=2)
    resumed.trainer.train(str(stumbled.checkpoint(best)))
    assert (best in resumed.losses.looks) != killed_once_more
    assert resumed.trainer._best == whole.trainer._best
    assert resumed.trainer.keep_best() == whole.trainer.keep_best() == best
    for name, weight in whole.weights().items():
        assert torch.equal(weight, resumed.weights()[name])


def test_the_last_evaluation_counts_too_if_it_was_interrupted(tmp_path: Path) -> None:
    whole = whole_run(tmp_path / "whole")
    whole.trainer.keep_best()
    stumbled = tiny_run(tmp_path / "run", callbacks=[At("on_prediction_step", 12, interrupt)])
    with pytest.raises(Interrupted):
        stumbled.trainer.train()
    assert stumbled.trainer.rescue() == 12
    resumed = tiny_run(tmp_path / "run")
    resumed.trainer.train(str(stumbled.checkpoint(12)))
    kept = resumed.trainer.keep_best()
    assert (kept, resumed.trainer._best) == (whole.trainer._best.step, whole.trainer._best)  # type: ignore[union-attr]
    for name, weight in whole.weights().items():
        assert torch.equal(weight, resumed.weights()[name])


def test_the_record_of_a_late_evaluation_counts_only_whole_and_of_its_own_step(tmp_path: Path) -> None:
    late = Evaluated(step=4, loss=0.5)
    write_late(tmp_path, late)
    before = Progress(step=4, best_loss=1.0, best_step=2)
    assert progress_with_late(before, tmp_path).best_step == 4
    other = Progress(step=6, best_loss=1.0, best_step=2)
    assert progress_with_late(other, tmp_path) == other
    record = tmp_path / "evaluated.json"
    for torn in (record.read_bytes()[:-9], record.read_bytes().replace(b"0.5", b"0.4"), b""):
        record.write_bytes(torn)
        assert progress_with_late(before, tmp_path) == before


def test_a_best_checkpoint_stays_until_the_better_one_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = structs.replace(tiny_recipe(), output=Output(checkpoints=1))
    run = tiny_run(tmp_path / "run", recipe)
    room = iter([2**40] * 3 + [0] * 100)
    monkeypatch.setattr(checkpoint_shelf, "free_bytes", lambda _: next(room))
    run.trainer.train()
    assert [step for step, _ in run.told.failed] == list(range(4, 13))
    assert run.checkpoint(2).is_dir()
    assert run.losses.looks[4] < run.losses.looks[2]
    assert run.trainer._best is not None
    assert run.trainer._best.step == 2


def test_a_stop_ends_behind_its_checkpoint_and_its_own_evaluation_is_not_in_it(tmp_path: Path) -> None:
    def stop(_state: Any, control: Any) -> None:
        control.should_training_stop = control.should_save = True

    whole = whole_run(tmp_path / "whole", save_every=2)
    stopped = tiny_run(tmp_path / "stopped", save_every=2, callbacks=[At("on_step_end", 7, stop)])
    stopped.trainer.checkpoint_reason = "ending"
    stopped.trainer.train()
    stopped.trainer.keep_best()
    assert 7 in stopped.losses.looks
    resumed = tiny_run(tmp_path / "stopped", save_every=2)
    resumed.trainer.train(str(stopped.checkpoint(7)))
    same(whole, resumed, since=7)
    assert resumed.trainer.keep_best() == whole.trainer.keep_best()


@pytest.mark.parametrize("order", ["grouped", "shuffled"])
def test_the_same_rows_come_in_the_same_steps_however_a_step_is_divided(order: str, tmp_path: Path) -> None:
    seen = []
    for micro_batch, accumulation in ((4, 1), (2, 2), (1, 4)):
        rows: list[list[int]] = []
        recipe = tiny_recipe(micro_batch=micro_batch, accumulation=accumulation, order=order)
        run = tiny_run(tmp_path / str(micro_batch), recipe, evaluating=False, save_every=1000)
        plain = run.trainer.get_batch_samples

        def watched(iterator: Any, count: int, device: Any, plain: Any = plain, rows: Any = rows) -> Any:
            batches, items = plain(iterator, count, device)
            rows.append(sorted(int(mask.sum()) for batch in batches for mask in batch["attention_mask"]))
            return batches, items

        run.trainer.get_batch_samples = watched  # type: ignore[method-assign]
        run.trainer.train()
        seen.append(rows)
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][:3] != seen[0][3:], "each epoch has an order of its own"


def test_a_run_may_go_on_with_smaller_micro_batches_and_says_nothing(tmp_path: Path) -> None:
    whole = whole_run(tmp_path / "whole", tiny_recipe(micro_batch=4))
    smaller = tiny_run(tmp_path / "smaller", tiny_recipe(micro_batch=2, accumulation=2))
    smaller.trainer.train(str(whole.checkpoint(4)))
    assert smaller.told.notices() == []
    assert sorted(smaller.losses.steps) == list(range(5, 7))
    for step, taken in smaller.losses.steps.items():
        assert taken[:2] == pytest.approx(whole.losses.steps[step][:2], rel=1e-2)  # dropout draws other masks


def test_another_effective_batch_is_told(tmp_path: Path) -> None:
    whole = whole_run(tmp_path / "whole", tiny_recipe(micro_batch=4))
    other = tiny_run(tmp_path / "other", tiny_recipe(micro_batch=2))
    other.trainer.train(str(whole.checkpoint(4)))
    assert "other-batch" in other.told.notices()


def test_more_steps_give_the_schedule_its_new_length_and_say_where_the_rate_jumps(tmp_path: Path) -> None:
    short = whole_run(tmp_path / "short", tiny_recipe(epochs=1.0))
    last = short.trainer.state.max_steps
    longer = tiny_run(tmp_path / "short", tiny_recipe(epochs=2.0))
    longer.trainer.train(str(short.checkpoint(last)))
    assert longer.told.notices() == ["other-schedule"]
    whole = whole_run(tmp_path / "whole", tiny_recipe(epochs=2.0))
    rates = {step: rate for step, (_, rate, _) in whole.losses.steps.items()}
    assert {step: rate for step, (_, rate, _) in longer.losses.steps.items()} == {
        step: rate for step, rate in rates.items() if step > last
    }


def test_a_continued_run_takes_the_rate_and_the_decay_it_is_given(tmp_path: Path) -> None:
    recipe = tiny_recipe(schedule="constant", warmup=0.0)
    whole = whole_run(tmp_path / "whole", recipe)
    other = tiny_run(tmp_path / "other", changed(recipe, learning_rate=1e-3, weight_decay=0.5))
    other.trainer.train(str(whole.checkpoint(4)))
    assert {rate for _, rate, _ in other.losses.steps.values()} == {1e-3}
    assert {group["weight_decay"] for group in other.trainer.optimizer.param_groups if group["params"]} >= {0.5}
    assert other.told.notices() == ["other-schedule"]


def test_another_kind_of_optimizer_begins_anew_and_says_so(tmp_path: Path) -> None:
    whole = whole_run(tmp_path / "whole")
    other = tiny_run(tmp_path / "other", tiny_recipe(optimizer="adafactor"))
    other.trainer.train(str(whole.checkpoint(4)))
    assert other.told.notices() == ["other-optimizer"]
    assert sorted(other.losses.steps) == list(range(5, 13))
    assert {k: v[1] for k, v in other.losses.steps.items()} == {k: v[1] for k, v in whole.losses.steps.items() if k > 4}


def test_a_distance_between_evaluations_that_was_changed_is_heeded(tmp_path: Path) -> None:
    whole = whole_run(tmp_path / "whole")
    recipe = tiny_recipe()
    other = tiny_run(
        tmp_path / "other", structs.replace(recipe, evaluation=structs.replace(recipe.evaluation, every=5))
    )
    other.trainer.train(str(whole.checkpoint(4)))
    assert sorted(other.losses.looks) == [5, 10, 12]


def test_full_fine_tuning_goes_on_too_and_writes_no_model_twice(tmp_path: Path) -> None:
    whole = whole_run(tmp_path / "whole", model=tiny_model())
    resumed = tiny_run(tmp_path / "resumed", model=tiny_model(seed=1))
    resumed.trainer.train(str(whole.checkpoint(5)))
    same(whole, resumed, since=5)
    assert not list(whole.checkpoint(5).glob("adapter*"))


@pytest.mark.parametrize("optimizer", ["adamw_8bit", "paged_adamw_8bit"])
def test_states_in_8_bits_go_on_too(optimizer: str, tmp_path: Path) -> None:
    admit_bitsandbytes()
    recipe = tiny_recipe(optimizer=optimizer)
    whole = whole_run(tmp_path / "whole", recipe, model=tiny_model())
    assert any(state["state1"].dtype is torch.uint8 for state in whole.trainer.optimizer.optimizer.state.values())
    resumed = tiny_run(tmp_path / "resumed", recipe, model=tiny_model(seed=1), save_every=1000)
    resumed.trainer.train(str(whole.checkpoint(7)))
    same(whole, resumed, since=7)


def test_the_best_weights_are_taken_back_at_the_end(tmp_path: Path) -> None:
    run = tiny_run(tmp_path / "run", tiny_recipe(learning_rate=1.0, schedule="constant", warmup=0.0))
    kept: dict[int, Any] = {}

    class Keep(TrainerCallback):
        def on_save(self, _args: Any, state: Any, *_: Any, **__: Any) -> None:
            kept[state.global_step] = run.weights()

    run.trainer.add_callback(Keep())
    run.trainer.train()
    best = run.trainer.keep_best()
    looks = {step: loss for step, loss in run.losses.looks.items() if step}
    assert looks[best] == min(looks.values())
    assert best < 12, "the rate was to be so high that later weights are worse"
    for name, weight in kept[best].items():
        assert torch.equal(weight, run.weights()[name])


def test_a_best_checkpoint_that_was_damaged_is_told_and_the_last_weights_are_kept(tmp_path: Path) -> None:
    run = whole_run(tmp_path / "run", tiny_recipe(learning_rate=1.0, schedule="constant", warmup=0.0))
    assert run.trainer._best is not None
    (run.checkpoint(run.trainer._best.step) / "trained.safetensors").write_bytes(b"")
    assert run.trainer.keep_best() == 12
    assert run.told.notices() == ["best-lost"]


@pytest.mark.parametrize(
    "missing", ["optimizer.safetensors", "random.safetensors", "training.json", "trained.safetensors"]
)
def test_a_part_that_is_missing_is_an_error_and_never_begun_anew(missing: str, tmp_path: Path) -> None:
    whole = whole_run(tmp_path / "whole", tiny_recipe(epochs=1.0))
    (whole.checkpoint(2) / missing).unlink()
    resumed = tiny_run(tmp_path / "resumed", tiny_recipe(epochs=1.0))
    with pytest.raises(OSError):
        resumed.trainer.train(str(whole.checkpoint(2)))


def test_nothing_in_a_checkpoint_is_a_pickle(tmp_path: Path) -> None:
    whole = whole_run(tmp_path / "whole", tiny_recipe(epochs=1.0))
    files = {path.name for path in whole.checkpoint(2).iterdir()}
    assert files == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "complete.json",
        "optimizer.safetensors",
        "random.safetensors",
        "trained.safetensors",
        "trainer_state.json",
        "training.json",
    }


def test_an_order_depends_on_seed_and_epoch_alone() -> None:
    def drawn(seed: int, epoch: int, *, lengths: Any = None) -> list[int]:
        torch.rand(5)
        order = RowOrder(11, seed=seed, lengths=lengths, step_rows=2)
        order.set_epoch(epoch)
        return list(order)

    for lengths in (None, LENGTHS):
        assert drawn(1, 0, lengths=lengths) == drawn(1, 0, lengths=lengths)
        assert sorted(drawn(1, 0, lengths=lengths)) == list(range(11))
        assert len({tuple(drawn(seed, epoch, lengths=lengths)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


def test_what_draws_beside_training_leaves_its_chance_alone_even_if_it_fails() -> None:
    @chance_put_aside()
    def draw_and_fail() -> None:
        random.random()  # noqa: S311
        np.random.rand()
        torch.rand(1)
        raise Interrupted

    before = RandomState.now()
    with pytest.raises(Interrupted):
        draw_and_fail()
    after = RandomState.now()
    assert after.python == before.python
    assert torch.equal(after.cpu, before.cpu)
    assert all(np.array_equal(one, other) for one, other in zip(after.numpy, before.numpy, strict=True))


def test_the_trainer_knows_the_shape_of_the_batch_in_hand(tmp_path: Path) -> None:
    run = whole_run(tmp_path / "run", tiny_recipe(epochs=1.0))
    assert run.trainer.batch_shape is not None
    assert isinstance(run.trainer, MeasuredTrainer)
    rows, positions = run.trainer.batch_shape
    assert 1 <= rows <= 2
    assert positions in LENGTHS

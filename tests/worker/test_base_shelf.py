"""A base model that serves several runs of a process: each is the run that it would have been by itself."""

from __future__ import annotations

import copy
import gc
import hashlib
import os
import shutil
import sys
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.state import GradientState
from msgspec import structs
from torch import nn
from transformers import TrainerCallback

from pegbox_methods.events import AnyEvent, Evaluation, Finished, Notice, Step
from pegbox_methods.recipe import Evaluation as Looks
from pegbox_methods.recipe import Method, Model, Recipe, Rows, Training
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import Attached, load_torch_half
from pegbox_runs.event_log import EventWriter
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, create
from pegbox_runs.run_state import RunState
from pegbox_worker import base_shelf, checksum, job, memory, start
from pegbox_worker.as_loaded import AsLoaded
from pegbox_worker.base_model import admit_bitsandbytes
from pegbox_worker.base_shelf import BaseShelf
from pegbox_worker.checksum import word_sum
from pegbox_worker.clean_slate import CleanSlate
from pegbox_worker.control import Control
from pegbox_worker.stop_flag import StopFlag
from tests.commands import events_of
from tests.methods_at_work import CPU, FEW_STEPS, logits, one_thread, packed_base, plain_base
from tests.methods_at_work import recipe as settled

METHODS = ("lora", "dora", "qlora", "adalora", "ia3", "pissa", "prompt-tuning", "full")
CHANGES_WEIGHTS = {"pissa", "full"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def slate() -> Iterator[CleanSlate]:
    yield CleanSlate()
    gc.unfreeze()  # other tests ask what still lives


@dataclass(frozen=True)
class Ran:
    """What a run came to."""

    losses: tuple[float | None, ...]
    """Of each step, with the gradients' norms, then of each evaluation."""
    adapter: str
    """Hash of its weights."""
    told: tuple[str, ...]
    """What it had to remark."""


def asked(name: str, **training: Any) -> Recipe:
    return Recipe(
        model=Model(name="bundled"),
        rows=Rows(file=str(BUNDLED / "rows.jsonl"), limit=24),
        method=Method(name=name, settings=FEW_STEPS.get(name, {})),
        training=Training(
            **{
                "max_steps": 4,
                "length": 128,
                "micro_batch": 2,
                "accumulation": 1,
                "precision": "float32",
                "learning_rate": 5e-3,
                **training,
            }
        ),
        evaluation=Looks(every=2, samples=0),
    )


def run(recipe: Recipe, shelf: BaseShelf, slate: CleanSlate) -> Ran:
    """Carry a run as a worker does that carries several."""
    checked = check(recipe, file="recipe.toml")
    folder = create(checked.recipe, checked.environment())
    writer = EventWriter(folder.events)
    assert job.carry(folder, writer, Control(folder, writer, StopFlag()), RunState(), shelf) == 0
    shelf.put_back()
    slate.wipe()
    events = events_of(folder)
    assert isinstance(events[-1], Finished)
    return Ran(tuple(_losses(events)), _hash(folder), tuple(e.text for e in events if isinstance(e, Notice)))


def _losses(events: Sequence[AnyEvent | Any]) -> Iterator[float | None]:
    for event in events:
        if isinstance(event, Step):
            yield from (event.loss, event.gradient_norm)
        elif isinstance(event, Evaluation):
            yield event.loss


def _hash(folder: RunFolder) -> str:
    (weights,) = folder.adapter.glob("*.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def settled_asked(**changes: Any) -> Recipe:
    """Make a recipe that a shelf can be asked with."""
    return structs.replace(settled("lora"), **changes)


def each_alone_and_in_turn(order: Sequence[str], slate: CleanSlate) -> BaseShelf:
    """Run methods by themselves, then in this order with one shelf: that must be the same. Returns: the shelf."""
    alone = {name: run(asked(name), BaseShelf(), slate) for name in dict.fromkeys(order)}
    assert len({ran.adapter for ran in alone.values()}) == len(alone)
    shelf = BaseShelf(keeps=True)
    before = None
    for name in order:
        shared = shelf.shared
        assert run(asked(name), shelf, slate) == alone[name], name
        packs = [find_card(each).needs.quantized_base for each in (before or name, name)]
        reusable = before is not None and packs[0] == packs[1] and before not in CHANGES_WEIGHTS
        assert shelf.shared - shared == reusable, (before, name)
        before = name
    assert shelf.loaded + shelf.shared == len(order)
    return shelf


def test_methods_train_behind_others_bit_for_bit_as_they_do_alone(
    slate: CleanSlate, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = each_alone_and_in_turn(("lora", "pissa", "lora", "full", "lora"), slate)
    assert (shelf.loaded, shelf.shared) == (3, 2)
    said = capsys.readouterr().out
    assert said.count("the run before has changed the base model's weights") == 2
    assert said.count("serves this run too") == 2


@pytest.mark.slow
def test_every_kind_of_method_trains_behind_every_other_bit_for_bit_as_it_does_alone(slate: CleanSlate) -> None:
    each_alone_and_in_turn((*METHODS, *reversed(METHODS)), slate)


@pytest.mark.slow
def test_runs_of_other_orders_checkpointing_and_optimizers_leave_nothing_to_the_next(slate: CleanSlate) -> None:
    shelf = BaseShelf(keeps=True)
    recipes = [
        asked("lora"),
        asked("lora", order="packed", micro_batch=1),
        asked("dora", activation_checkpointing="on", order="shuffled"),
        asked("lora-plus", optimizer="adafactor"),
        asked("lora", optimizer="adamw_8bit"),
        asked("lora", precision="bfloat16"),
        asked("lora"),
    ]
    alone = [run(each, BaseShelf(), slate) for each in recipes]
    together = [run(each, shelf, slate) for each in recipes]
    assert together == alone
    assert alone[0] == alone[-1]
    assert shelf.loaded == 3  # bfloat16 is another format of numbers, and back


def test_nothing_of_a_run_lives_on_behind_it(slate: CleanSlate, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = BaseShelf(keeps=True)
    alive: list[weakref.ref[Any]] = []

    def watched(*arguments: Any, **named: Any) -> Any:
        trainer = real(*arguments, **named)
        trainer.add_callback(_Watch(alive, trainer))
        return trainer

    real = job.make_trainer
    monkeypatch.setattr(job, "make_trainer", watched)
    monkeypatch.setattr(slate, "_environment", {**os.environ, "HF_HUB_OFFLINE": "0"})
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    run(asked("adalora", max_steps=12), shelf, slate)
    assert len(alive) > 10
    assert [ref() for ref in alive if ref() is not None] == []
    assert GradientState._shared_state == {}
    assert os.environ["HF_HUB_OFFLINE"] == "0"  # loading had set it to 1
    assert "ACCELERATE_MIXED_PRECISION" not in os.environ


class _Watch(TrainerCallback):  # type: ignore[misc]
    """Looks, at the training's end, at what should go with the run."""

    def __init__(self, alive: list[weakref.ref[Any]], trainer: Any) -> None:
        self._alive, self._trainer = alive, weakref.ref(trainer)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        trainer: Any = self._trainer()
        self._alive += [weakref.ref(trainer), weakref.ref(trainer.model), weakref.ref(trainer.optimizer.optimizer)]
        trained = [weight for weight in trainer.model.parameters() if weight.requires_grad]
        self._alive += [weakref.ref(weight) for weight in trained]


def test_records_of_32_bit_weights_do_not_outlive_their_run(slate: CleanSlate) -> None:
    admit_bitsandbytes()
    optimizers: Any = sys.modules["bitsandbytes.optim"]
    kept = optimizers.GlobalOptimManager.get_instance()
    kept.override_config(nn.Parameter(torch.zeros(2)), "optim_bits", 32)
    kept.register_module_override(nn.Embedding(2, 2), "weight", {"optim_bits": 32})
    assert (len(kept.pid2config), len(kept.module_weight_config_triple)) == (1, 1)
    slate.wipe()
    assert (kept.pid2config, kept.module_weight_config_triple, kept.uses_config_override) == ({}, [], False)


def test_packed_rows_that_see_each_other_do_not_cost_another_load(
    slate: CleanSlate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "keeps_apart", lambda *_: False)
    shelf = BaseShelf(keeps=True)
    alone = run(asked("lora", order="packed"), BaseShelf(), slate)
    assert "grouped by length instead" in alone.told[-1]
    assert run(asked("lora", order="packed"), shelf, slate) == alone
    assert (shelf.loaded, shelf.shared) == (1, 1)
    assert run(asked("lora", order="packed"), shelf, slate) == alone
    assert (shelf.loaded, shelf.shared) == (1, 3)


def test_another_model_format_device_or_template_is_loaded_anew(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(BUNDLED / "model", folder)
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages }}")
    shelf = BaseShelf(keeps=True)

    def loads(recipe: Recipe) -> int:
        before = shelf.loaded
        base = shelf.base(recipe, CPU)
        assert base.card.name == recipe.method.name
        del base
        return shelf.loaded - before

    plain, own = settled_asked(), settled_asked(model=Model(name=str(folder)))
    bfloat16 = structs.replace(plain, training=structs.replace(plain.training, precision="bfloat16"))
    plain = structs.replace(plain, training=structs.replace(plain.training, precision="float32"))
    assert (loads(plain), loads(plain), loads(bfloat16), loads(plain)) == (1, 0, 1, 1)
    assert (loads(own), loads(own)) == (1, 0)
    os.utime(folder / "model.safetensors", (1, 1))
    assert (loads(own), loads(own)) == (1, 0)
    with_template = structs.replace(plain, model=Model(name="bundled", chat_template=str(template)))
    assert (loads(plain), loads(with_template), loads(with_template)) == (1, 1, 0)
    template.write_text("{{ messages[0] }}")
    assert loads(with_template) == 1
    assert shelf.base(with_template, CPU).tokenizer.chat_template == "{{ messages[0] }}"


def test_a_run_gets_a_tokenizer_that_none_before_has_changed() -> None:
    shelf = BaseShelf(keeps=True)
    first = shelf.base(settled_asked(), CPU).tokenizer
    wanted = first.backend_tokenizer.to_str(), first.padding_side, first.pad_token
    given = first
    for _ in range(2):
        given("a b c d", truncation=True, max_length=2)
        given.padding_side, given.pad_token = "left", "other"
        assert given.backend_tokenizer.to_str() != wanted[0]
        given = shelf.base(settled_asked(), CPU).tokenizer
        assert (given.backend_tokenizer.to_str(), given.padding_side, given.pad_token) == wanted


def test_the_old_base_is_given_up_before_the_next_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = BaseShelf(keeps=True)
    first = weakref.ref(shelf.base(settled_asked(), CPU).model)
    alive: list[bool] = []

    def load(*arguments: Any) -> Any:
        alive.append(first() is not None)
        return real(*arguments)

    real = base_shelf.load_base
    monkeypatch.setattr(base_shelf, "load_base", load)
    shelf.base(settled("qlora"), CPU)
    assert alive == [False]


def test_without_keeping_every_base_is_loaded_and_none_is_held() -> None:
    shelf = BaseShelf()
    first = weakref.ref(shelf.base(settled_asked(), CPU).model)
    shelf.put_back()
    assert first() is None
    shelf.base(settled_asked(), CPU)
    assert (shelf.loaded, shelf.shared) == (2, 0)


# ---- taking off --------------------------------------------------------------------------------------------------


def picture(model: Any) -> dict[str, Any]:
    """Describe a model as far as a run could see it."""
    parts = {
        name: (type(part), part.training, sorted(vars(part)), [len(v) for v in vars(part).values() if type(v) is dict])
        for name, part in model.named_modules()
    }
    weights = {name: (id(weight), weight.requires_grad) for name, weight in model.named_parameters()}
    return {
        "parts": parts,
        "weights": weights,
        "config": copy.deepcopy(model.config.to_dict()),
        "generation": copy.deepcopy(model.generation_config.to_dict()),
    }


@pytest.mark.parametrize(
    "name", ["lora", "ia3", "adalora", "prefix-tuning", "trainable-tokens", "vera", "oft", "shira"]
)
def test_what_a_method_put_on_comes_off(name: str) -> None:
    model = plain_base()
    before, expected = picture(model), logits(model.eval())
    as_loaded = AsLoaded(model)
    for _ in range(2):
        attached = load_torch_half(find_card(name)).attach(model, settled(name))
        disturb(model, attached)
        assert picture(model) != before
        as_loaded.take_off()
        assert picture(model) == before
        assert as_loaded.intact()
    assert torch.equal(logits(model), expected)


def disturb(model: Any, attached: Attached) -> None:
    """Do to a model what trainers do, and more."""
    attached.model.train()
    model.forward = lambda *_, **__: None
    model.config.use_cache = False
    model.config.rope_parameters["rope_theta"] = 5.0
    model.generation_config.max_length = 3
    model.model_tags = ["sft"]
    model.model.layers[0].register_forward_hook(lambda *_: None)
    model.model.layers[1].__class__ = type("Parametrized", (type(model.model.layers[1]),), {})
    model.gradient_checkpointing_enable()
    for weight in model.parameters():
        weight.requires_grad_(True)
        weight.grad = torch.ones_like(weight)
        weight.mark = "mine"


def test_an_own_way_of_packing_comes_off_too() -> None:
    model = packed_base()
    before, as_loaded = picture(model), AsLoaded(model)
    load_torch_half(find_card("qlora")).attach(model, settled("qlora"))
    as_loaded.take_off()
    assert picture(model) == before
    assert as_loaded.intact()


def _nudge(model: Any) -> None:
    weight = model.model.layers[1].mlp.up_proj.weight.data
    weight.view(torch.int32)[3, 5] ^= 1


def _nudge_buffer(model: Any) -> None:
    model.model.rotary_emb.inv_freq[-1] *= 1.0001


def _halve(model: Any) -> None:
    weight = model.model.norm.weight
    weight.data = weight.data.half()


def _swap(model: Any) -> None:
    rows = model.model.embed_tokens.weight.data
    rows[[7, 9]] = rows[[9, 7]]


def _transpose(model: Any) -> None:
    weight = model.model.layers[0].self_attn.q_proj.weight
    weight.data = weight.data.t().contiguous().t()


def _hook(model: Any) -> None:
    model.model.norm.weight.requires_grad_(True).register_hook(lambda gradient: gradient * 2)


def _hook_late(model: Any) -> None:
    model.model.norm.weight.requires_grad_(True).register_post_accumulate_grad_hook(lambda _: None)


@pytest.mark.parametrize("change", [_nudge, _nudge_buffer, _halve, _swap, _transpose, _hook, _hook_late])
def test_whatever_is_not_as_it_was_is_found_out(change: Any) -> None:
    model = plain_base()
    as_loaded = AsLoaded(model)
    change(model)
    as_loaded.take_off()
    assert not as_loaded.intact()


def test_a_change_of_how_a_weight_is_packed_is_found_out() -> None:
    model: Any = packed_base()
    as_loaded = AsLoaded(model)
    assert as_loaded.intact()
    packing = model.model.layers[0].mlp.up_proj.weight.quant_state
    packing.state2.absmax[0] *= 1.5
    assert not as_loaded.intact()


# ---- the sum that a device makes of its weights ----------------------------------------------------------------


def test_a_devices_sum_tells_any_bit_any_order_and_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    content = torch.from_numpy(np.random.default_rng(0).integers(0, 256, 4099, dtype=np.uint8))
    whole = word_sum(content)
    assert word_sum(content, chunk_words=64) == word_sum(content, chunk_words=1) == whole
    assert word_sum(torch.cat([torch.zeros(3, dtype=torch.uint8), content])[3:]) == whole  # where no word begins
    sums = {whole}
    for place in (0, 1, 7, 8, 2000, 4090, 4096, 4098):
        for bit in (1, 128):
            other = content.clone()
            other[place] ^= bit
            sums.add(word_sum(other))
    for one, two in ((0, 8), (8, 4000), (4096, 4097)):
        other = content.clone()
        other[[one, two]] = other[[two, one]]
        sums.add(word_sum(other))
    swapped = content.clone()
    swapped[:8], swapped[8:16] = content[8:16], content[:8]
    sums |= {word_sum(swapped), word_sum(content[:-1]), word_sum(torch.zeros(16, dtype=torch.uint8))}
    sums.add(word_sum(torch.zeros(24, dtype=torch.uint8)))
    assert len(sums) == 1 + 16 + 3 + 4


def test_a_model_on_a_device_is_summed_there_by_the_same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    model = plain_base()
    by_host = checksum.checksum(model)
    monkeypatch.setattr(checksum, "_on_host", lambda _: False)
    by_device = checksum.checksum(model)
    assert by_device == checksum.checksum(plain_base()) != by_host
    as_loaded = AsLoaded(model)
    _nudge(model)
    assert not as_loaded.intact()


# ---- peaks -------------------------------------------------------------------------------------------------------


def test_a_small_run_behind_a_big_one_tells_its_own_peak() -> None:
    shelf = BaseShelf(keeps=True)
    held = torch.ones(100 * 2**20)  # 400 MiB
    assert memory.memory(CPU).process_peak is not None
    big = memory.most_resident()
    del held
    shelf.base(settled_asked(), CPU)
    small = memory.memory(CPU).process_peak
    assert small is not None
    assert small < big - 300 * 2**20


def test_a_run_of_its_own_tells_the_peak_from_its_process_beginning() -> None:
    held = torch.ones(100 * 2**20)
    big = memory.most_resident()
    del held
    BaseShelf().base(settled_asked(), CPU)
    assert memory.most_resident() > big - 2**24  # the kernel counts pages in handfuls


def test_a_devices_peaks_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    monkeypatch.setattr(
        memory.torch,
        "cuda",
        SimpleNamespace(
            is_initialized=lambda: True,
            empty_cache=lambda: done.append("emptied"),
            reset_peak_memory_stats=done.append,
        ),
    )
    device = torch.device("cuda", 0)
    memory.forget_peaks(device)
    assert done == ["emptied", device]

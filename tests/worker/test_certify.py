"""The conformance kit catches lies: methods made of LoRA, each broken in one way, each found out by its own check."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback

from pegbox_methods.card import Card, Footprint
from pegbox_methods.certificate import CHECKS, Check, CheckName
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf, is_quantized, lora_config
from pegbox_methods.zoo.shared.low_rank import ALPHA, DROPOUT, RANK, TARGETS
from pegbox_worker.certify import case as case_module
from pegbox_worker.certify import kit
from pegbox_worker.certify.bench import Bench, open_bench
from pegbox_worker.certify.tensors import BaseWeights, differing, distance
from tests.methods_at_work import one_thread

LORA = find_card("lora")
SETTINGS = (
    msgspec.structs.replace(RANK, default=4),
    ALPHA,
    DROPOUT,
    msgspec.structs.replace(TARGETS, default="attention"),
)
OF_THE_MAIN_RUN: tuple[CheckName, ...] = (
    *("count", "start", "gradients", "own", "base", "learns", "loads", "peft", "merge"),
)
"""The cheap ones: they look at one short run."""


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with one_thread():
        yield open_bench()


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(case_module, "STEPS", 3)
    with one_thread():
        yield


def made_up(half: object = None, **changes: Any) -> tuple[Card, object]:
    """Make a method of a small LoRA that learns fast."""
    card = dataclasses.replace(LORA, name="made-up", settings=SETTINGS, learning_rate=5e-3, **changes)
    return card, half or PeftHalf(lora_config)


def certify(
    method: tuple[Card, object], bench: Bench, scratch: Path, monkeypatch: pytest.MonkeyPatch, *checks: CheckName
) -> dict[str, Check]:
    """Try a made-up method. Returns: its checks by name."""
    card, half = method
    monkeypatch.setattr(kit, "load_torch_half", lambda _card: half)
    found = kit.certify({card.name: card}, {card.name: "a test"}, bench, scratch, checks or OF_THE_MAIN_RUN)
    return {check.name: check for check in found[card.name].checks}


@dataclass(frozen=True)
class Lie(PeftHalf):
    """A LoRA that does something more at one of its verbs."""

    config: Any = lora_config
    attached: Callable[[Attached], Attached] = lambda attached: attached
    before: Callable[[nn.Module], object] = lambda _model: None
    saved: Callable[[Path], object] = lambda _folder: None
    merged: Callable[[Any], Any] | None = None
    loaded: Callable[[Any], Any] = lambda model: model

    def attach(self, model: nn.Module, recipe: Any) -> Attached:
        self.before(model)
        return self.attached(super().attach(model, recipe))

    def save(self, attached: Attached, folder: Path) -> None:
        super().save(attached, folder)
        self.saved(folder)

    def load(self, model: nn.Module, folder: Path) -> Any:
        return self.loaded(super().load(model, folder))

    def merge(self, model: nn.Module) -> Any:
        return super().merge(model) if self.merged is None else self.merged(model)


def one_bit(model: Any) -> None:
    """Change a weight of the base by the least that there is: no logit shows it."""
    weight = model.model.layers[0].mlp.up_proj.weight.data.view(-1)
    weight[0] = torch.nextafter(weight[0], torch.tensor(1.0))


class AfterEachStep(TrainerCallback):
    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._work()


def nudges_the_norm(attached: Attached) -> Attached:
    norm = attached.model.get_base_model().model.norm.weight
    return dataclasses.replace(attached, callbacks=(AfterEachStep(lambda: norm.data.add_(0.05)),))


def counts_in_a_buffer(attached: Attached) -> Attached:
    attached.model.register_buffer("steps", torch.zeros(1))
    return dataclasses.replace(attached, callbacks=(AfterEachStep(lambda: attached.model.steps.add_(1)),))


def shrinks_after_the_fourth_step(attached: Attached) -> Attached:
    steps = [0]

    def shrink() -> None:
        steps[0] += 1
        if steps[0] == 4:
            for weight in attached.model.parameters():
                if weight.requires_grad:
                    weight.data *= 0.9

    return dataclasses.replace(attached, callbacks=(AfterEachStep(shrink),))


def cannot_tell_its_state(attached: Attached) -> Attached:
    return dataclasses.replace(attached, state=SimpleNamespace(state_dict=lambda: {"step": 4}))


def idle_weight(attached: Attached) -> Attached:
    attached.model.register_parameter("idle", nn.Parameter(torch.ones(3)))
    return attached


def with_idle_weight(shape: Any, settings: Mapping[str, Any]) -> Footprint:
    told = LORA.footprint(shape, settings)
    return dataclasses.replace(told, trainable_weights=told.trainable_weights + 3)


def one_more(shape: Any, settings: Mapping[str, Any]) -> Footprint:
    told = LORA.footprint(shape, settings)
    return dataclasses.replace(told, trainable_weights=told.trainable_weights + (isinstance(settings["targets"], list)))


def merges_too_much(model: Any) -> Any:
    if is_quantized(model):
        raise Refusal("no")
    merged = model.merge_and_unload()
    merged.model.layers[0].mlp.up_proj.weight.data *= 1.1
    return merged


def leaves_the_adapter(model: Any) -> Any:
    model.merge_adapter()
    return model


def forgets_a_tensor(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    del tensors[next(name for name in tensors if "lora_B" in name)]
    save_file(tensors, file)


def breaks_under_autocast(attached: Attached) -> Attached:
    def refuse(*_: Any) -> None:
        if torch.is_autocast_enabled("cpu"):
            raise TypeError("expected Float but found BFloat16")

    attached.model.get_base_model().model.layers[0].register_forward_pre_hook(refuse)
    return attached


def says_other_things_the_second_time(attached: Attached) -> Attached:
    base, calls = attached.model.get_base_model(), [0]

    def louder(_module: Any, _inputs: Any, output: Any) -> Any:
        calls[0] += 1
        return output * 1.1 if calls[0] > 1 else output

    base.model.register_forward_pre_hook(lambda *_: calls.__setitem__(0, 0))
    base.model.layers[0].input_layernorm.register_forward_hook(louder)
    return attached


def refuses_packed(model: Any) -> None:
    if is_quantized(model):
        raise Refusal("not on such a base.")


def own_optimizer(attached: Attached) -> Attached:
    trained = [weight for weight in attached.model.parameters() if weight.requires_grad]
    return dataclasses.replace(attached, optimizer=torch.optim.AdamW(trained, lr=5e-3))


def broken(_anything: Any) -> Any:
    raise KeyError("adapter")


STALE = {"start": "it begins elsewhere", "base": "it changes them", "merge": "it is no change of weights"}
LIES: dict[str, tuple[tuple[Card, object], set[CheckName], str]] = {
    "a wrong count": (made_up(footprint=one_more), {"count"}, "with targets = ['q_proj', 'down_proj'] says"),
    "a footprint that breaks": (
        made_up(footprint=lambda *_: 1 / 0),
        {"count"},
        "the footprint: ZeroDivisionError: division",
    ),
    "a change at the start": (
        made_up(Lie(lambda model, recipe: lora_config(model, recipe, init_lora_weights=False))),
        {"start"},
        "claims that nothing has changed yet",
    ),
    "a base that is changed at the start": (made_up(Lie(before=one_bit)), {"base"}, "layers.0.mlp.up_proj.weight"),
    "a base that is changed by training": (
        made_up(Lie(attached=nudges_the_norm)),
        {"own", "base", "loads", "peft"},
        "norm.weight",
    ),
    "a buffer that no checkpoint holds": (made_up(Lie(attached=counts_in_a_buffer)), {"own", "resume"}, "steps"),
    "a weight without a gradient": (
        made_up(Lie(attached=idle_weight), footprint=with_idle_weight),
        {"gradients"},
        "no gradient in two steps: idle",
    ),
    "a rate that teaches nothing": (made_up(), {"learns"}, "in 24 steps at 1e-08"),
    "a save that forgets": (made_up(Lie(saved=forgets_a_tensor)), {"loads", "peft"}, "its logits differ"),
    "a pickle": (
        made_up(Lie(saved=lambda folder: (folder / "extra.bin").write_bytes(b"x"))),
        {"loads"},
        "save wrote extra.bin",
    ),
    "a load that breaks": (made_up(Lie(loaded=broken)), {"loads", "merge"}, "KeyError: 'adapter'"),
    "a merge that is off": (made_up(Lie(merged=merges_too_much)), {"merge"}, "merged, its logits differ"),
    "a merge that leaves the adapter": (
        made_up(Lie(merged=leaves_the_adapter)),
        {"merge"},
        "isn't made like the base model",
    ),
    "a stale denial": (made_up(cannot=STALE), {"start", "base", "merge"}, "the card says it can't, but"),
    "a beginning by chance": (
        made_up(Lie(before=lambda _model: torch.seed())),
        {"resume"},
        "attached twice with the same seed, these are others",
    ),
    "a memory that no checkpoint holds": (
        made_up(Lie(attached=shrinks_after_the_fourth_step)),
        {"resume"},
        "after 6 steps, resumed after 3, these are others",
    ),
    "a memory that cannot be written": (
        made_up(Lie(attached=cannot_tell_its_state)),
        {"resume"},
        "the checkpoint at step 3 could not be written ('int' object has no attribute 'detach')",
    ),
    "a refusal of 4 bits unsaid": (made_up(Lie(before=refuses_packed)), {"4-bit"}, "refused: not on such a base"),
    "a merge into 4 bits": (
        made_up(Lie(merged=lambda model: model.merge_and_unload())),
        {"4-bit"},
        "merges into a 4-bit base",
    ),
    "a second pass that differs": (
        made_up(Lie(attached=says_other_things_the_second_time)),
        {"checkpointing"},
        "the gradient of",
    ),
    "a format that breaks it": (
        made_up(Lie(attached=breaks_under_autocast)),
        {"bfloat16"},
        "TypeError: expected Float but found BFloat16",
    ),
    "an optimizer of its own unsaid": (
        made_up(Lie(attached=own_optimizer)),
        {"optimizer"},
        'asks for "adafactor", and the run took AdamW',
    ),
    "a denial of the optimizer that is stale": (
        made_up(cannot={"optimizer": "it has its own"}),
        {"optimizer"},
        "attach brings no optimizer",
    ),
}
"""What is broken -> the method, the checks that must fail, and what one of them must say."""


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_fails_its_own_check_and_no_other(
    lie: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (card, half), fails, says = LIES[lie]
    if "rate" in lie:
        card = dataclasses.replace(card, learning_rate=1e-8)
    asked = [name for name in CHECKS if name in OF_THE_MAIN_RUN or name in fails]
    found = certify((card, half), bench, tmp_path, monkeypatch, *asked)
    assert {name for name, check in found.items() if check.outcome == "failed"} == fails, found
    assert says in " ".join(found[name].detail for name in fails)
    assert "\n" not in "".join(check.detail for check in found.values())


def test_an_honest_method_passes_every_check_of_one_process(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = certify(made_up(), bench, tmp_path, monkeypatch, *kit.ALONE)
    assert {name for name, check in found.items() if check.outcome != "passed"} == set(), found
    assert "6 other values" in found["count"].detail
    assert found["optimizer"].detail == "adafactor, paged_adamw_8bit"


def test_a_denial_is_told_with_its_reason_where_a_recipe_is_refused_with_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cannot = {name: f"of {name}" for name in ("4-bit", "checkpointing", "bfloat16", "optimizer", "processes")}
    method = made_up(Lie(attached=own_optimizer), cannot=cannot)
    found = certify(method, bench, tmp_path, monkeypatch, *cannot)
    assert {name: (check.outcome, check.detail) for name, check in found.items()} == {
        name: ("cannot", reason) for name, reason in cannot.items()
    }


def test_a_method_that_starts_elsewhere_changes_the_base_and_cannot_merge_is_believed_when_it_says_so(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_model: Any) -> Any:
        raise Refusal("it is no change of weights.")

    def elsewhere(model: Any, recipe: Any) -> Any:
        return lora_config(model, recipe, init_lora_weights=False)

    found = certify(made_up(Lie(elsewhere, before=one_bit, merged=refuse), cannot=STALE), bench, tmp_path, monkeypatch)
    assert {name for name, check in found.items() if check.outcome == "cannot"} == set(STALE)
    assert all(check.outcome != "failed" for check in found.values()), found


def test_a_method_that_needs_a_longer_run_gets_one(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Patient(PeftHalf):
        def attach(self, model: nn.Module, recipe: Any) -> Attached:
            if recipe.training.max_steps < 11:
                raise Refusal("this run takes too few steps.")
            return super().attach(model, recipe)

    found = certify(made_up(Patient(lora_config)), bench, tmp_path, monkeypatch, "learns", "resume")
    assert "in 12 steps" in found["learns"].detail
    assert found["resume"].detail == "12 steps, resumed after 6, with dropout"


@pytest.mark.parametrize(
    ("half", "says"),
    [
        (SimpleNamespace(attach=1, save=1, load=1, merge=1), "its torch half has no attach(model, recipe)"),
        (
            SimpleNamespace(**{verb: lambda *_: None for verb in ("attach", "save", "load")}, merge=lambda: None),
            "its torch half's merge doesn't take (model): too many positional arguments",
        ),
        (SimpleNamespace(**{verb: lambda *_: 1 for verb in kit.VERBS}), "attach gave back int, and the contract asks"),
    ],
)
def test_a_half_that_is_none_fails_every_check_with_one_sentence(
    half: object, says: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = certify(made_up(half), bench, tmp_path, monkeypatch, *kit.ALONE)
    assert {check.outcome for check in found.values()} == {"failed"}
    assert all(says in check.detail for check in found.values()), found


def test_a_half_that_cannot_be_imported_is_told(bench: Bench, tmp_path: Path) -> None:
    card = dataclasses.replace(LORA, torch_half="pegbox_nowhere:half")
    (found,) = kit.certify({"lora": card}, {"lora": "a test"}, bench, tmp_path).values()
    assert {check.outcome for check in found.checks} == {"failed"}
    assert "its torch half pegbox_nowhere:half: ModuleNotFoundError" in found.checks[-1].detail


def test_a_library_that_is_missing_makes_a_check_not_applicable(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = dataclasses.replace(bench, no_packing="bitsandbytes can't be loaded")
    found = certify(made_up(), without, tmp_path, monkeypatch, "4-bit", "optimizer")
    assert (found["4-bit"].outcome, found["4-bit"].detail) == ("not-applicable", "bitsandbytes can't be loaded")
    assert (found["optimizer"].outcome, found["optimizer"].detail) == ("passed", "adafactor")


def test_tensors_are_compared_bit_by_bit() -> None:
    zeros, nan = torch.zeros(3), torch.tensor(float("nan"))
    assert differing({"a": zeros, "b": nan}, {"a": zeros.clone(), "b": nan.clone()}) == []
    assert differing({"a": zeros}, {"a": -zeros}) == ["a"]
    assert differing({"a": zeros, "b": zeros}, {"b": zeros.double()}) == ["a", "b"]
    assert distance(torch.full((2,), float("nan")), torch.ones(2)) == float("inf")
    assert distance(torch.ones(2), torch.ones(3)) == float("inf")


def test_a_base_weight_is_found_again_inside_its_wrapper_and_as_another_object() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    weights = BaseWeights(model)
    wrapped = nn.ModuleDict({"inner": model[0], "other": nn.Linear(2, 2)})
    wrapped["other"].weight, wrapped["other"].bias = model[1].weight, model[1].bias
    model[0].weight = nn.Parameter(model[0].weight.detach().clone())
    assert weights.changed(wrapped) == []
    model[0].weight.data[0, 0] += 1
    assert weights.changed(wrapped) == ["0.weight"]
    assert weights.changed(nn.Linear(2, 2)) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_a_4_bit_base_is_compared_with_its_scales_and_its_copies_answer_alike(bench: Bench) -> None:
    one, other = bench.base(packed=True), bench.base(packed=True)
    ids = torch.arange(20, 40)[None]
    with torch.no_grad():
        assert torch.equal(one(input_ids=ids).logits, other(input_ids=ids).logits)
    assert not isinstance(one, PeftModel)
    weights = BaseWeights(one)
    assert weights.changed(one) == []
    one.model.layers[0].self_attn.q_proj.weight.quant_state.state2.absmax += 1
    assert weights.changed(one) == ["model.layers.0.self_attn.q_proj.weight.state2.absmax"]
    assert BaseWeights(other).changed(other) == []

"""EVA's torch half: A begins with the directions in which the inputs of its map vary most over some rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import torch
from peft import EvaConfig, LoraConfig, PeftModel, initialize_lora_eva_weights
from peft.tuners.lora.eva import SVDHook
from torch import Tensor, nn
from torch.nn.functional import pad

from pegbox_methods.events import Event, Notice
from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf, lora_config
from pegbox_methods.zoo.shared.map_sizes_torch import map_sizes
from pegbox_methods.zoo.shared.rank_limit import refuse_rank_above

ADAPTER = "default"
IGNORED = -100
FILL = {"input_ids": 0, "attention_mask": 0, "labels": IGNORED}


@dataclass(frozen=True)
class EvaHalf(PeftHalf):
    """LoRA that looks at rows before its first step."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model; until it has looked at rows, the adapter is LoRA's, drawn at random.

        Raises: Refusal: a map has fewer inputs than the rank; a target's name is not in the model.
        """
        settings = recipe.method.settings
        sizes = map_sizes(model, settings["targets"])
        refuse_rank_above({name: d_in for name, (_, d_in) in sizes.items()}, settings["rank"])
        tuned = super().attach(model, recipe).model
        look = Look(cast(PeftModel, tuned), rank=settings["rank"], batches=settings["batches"])
        return Attached(model=tuned, look=look, tell=look.tell)


class Look:
    """Finds the directions, by PEFT's incremental principal components of what each map is given."""

    def __init__(self, model: PeftModel, *, rank: int, batches: int) -> None:
        self._model = model
        self._rank = rank
        self._batches = batches
        self._left = 0
        self._notice: Notice | None = None

    def __call__(self, rows: Iterable[Mapping[str, Tensor]]) -> None:
        """Let A begin with what the first micro-batches show; too few labelled tokens leave it as it is."""
        seen = list(widened(islice(rows, self._batches), self._rank))
        if not seen:
            self._notice = Notice(
                text=f"EVA found fewer than {self._rank} tokens with a label in the first {self._batches} "
                "micro-batches, and begins at random, as LoRA does. Lower method.settings.rank, or raise "
                "method.settings.batches.",
                about="eva-random",
            )
            return
        # Once for all of them, after a pass in which PEFT looks for maps that are given the same. It would go round and
        # round while a direction turns: forever, where the rows have fewer directions than the rank.
        self._left = 1 + len(seen)
        initialize_lora_eva_weights(
            self._model,
            seen,
            forward_fn=self._forward,
            prepare_model_inputs_fn=lambda batch, _config: labelled(batch).flatten(),
            prepare_layer_inputs_fn=chosen,
            # Every process is shown the same rows: put together, each would only count several times.
            gather_distributed_inputs=False,
            show_progress_bar=False,
        )

    def tell(self, _step: int) -> Iterator[Event]:
        """Tell once, after the first step, that nothing was found."""
        if self._notice is not None:
            notice, self._notice = self._notice, None
            yield notice

    def _forward(self, model: PeftModel, inputs: Mapping[str, Tensor]) -> None:
        """Run the layers without the head, and after the last pass take every direction as found."""
        model.get_base_model().base_model(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
        )
        self._left -= 1
        if self._left <= 0:
            for part in model.modules():
                for hook in part._forward_hooks.values():
                    if isinstance(hook, SVDHook):
                        _settle(part, hook)


def _settle(part: Any, hook: SVDHook) -> None:
    """Take a map's directions as found; one that hardly a token went through keeps those that were drawn."""
    if not hasattr(hook.svd, "components_"):
        drawn = part.lora_A[ADAPTER].weight.detach().clone()
        hook.svd.components_, hook.svd.explained_variance_ratio_ = drawn, torch.zeros_like(drawn[:, 0])
    hook.converged = torch.ones_like(hook.converged)


def widened(batches: Iterable[Mapping[str, Tensor]], rank: int) -> Iterator[dict[str, Tensor]]:
    """Put micro-batches together until each holds as many labelled tokens as the rank asks for.

    PEFT skips one that holds fewer, and says so on standard output each time.
    """
    waiting: list[Mapping[str, Tensor]] = []
    last: dict[str, Tensor] | None = None
    for batch in batches:
        waiting.append(batch)
        if sum(int(labelled(batch).sum()) for batch in waiting) >= rank:
            if last is not None:
                yield last
            last, waiting = _together(waiting), []
    if last is not None:
        yield _together([last, *waiting])


def labelled(batch: Mapping[str, Tensor]) -> Tensor:
    """Tell which positions have a label, (rows, positions): the answers, which are what is learned."""
    return (batch["labels"] != IGNORED) & batch["attention_mask"].bool()


def chosen(given: tuple[Tensor, ...], mask: Tensor, _name: str) -> Tensor:
    """Choose from a map's inputs those at labelled positions; all of them where it is given a part of the positions.

    PEFT's own choice takes inputs to come as (rows, positions, width). A shared expert gets its rows flattened.
    """
    inputs = given[0].flatten(0, -2)
    return inputs[mask] if len(inputs) == len(mask) else inputs


def _together(batches: list[Any]) -> dict[str, Tensor]:
    width = max(batch["input_ids"].shape[1] for batch in batches)
    return {
        name: torch.cat([pad(batch[name], (0, width - batch[name].shape[1]), value=fill) for batch in batches])
        for name, fill in FILL.items()
    }


def eva_config(model: nn.Module, recipe: Recipe) -> LoraConfig:
    """Translate the settings into PEFT's words. With rho at 1, every map keeps the rank that was asked for."""
    return lora_config(model, recipe, init_lora_weights="eva", eva_config=EvaConfig(rho=1.0))


half = EvaHalf(eva_config)

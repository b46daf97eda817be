"""PiSSA's torch half: what it takes out of the base's weights at its beginning is kept, to be told from what it
learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import save_file
from torch import Tensor, nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf, is_quantized, lora_config
from pegbox_methods.zoo.shared.map_sizes_torch import map_sizes
from pegbox_methods.zoo.shared.rank_limit import refuse_rank_above

ADAPTER = "default"
DECOMPOSITIONS = {"fast": "pissa_niter_4", "exact": "pissa"}


class FirstAdapter:
    """The adapter as it was taken out of the base's weights, on the CPU: PEFT's name of a weight -> the weight."""

    def __init__(self, model: PeftModel) -> None:
        self._model = model
        found = get_peft_model_state_dict(model, save_embedding_layers=False)
        self._weights = {name: weight.detach().cpu().clone().contiguous() for name, weight in found.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """Give all of it."""
        return self._weights

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take out of the base what the run took out when it began, wherever that isn't what was taken out now.

        Another processor, or another number of threads, decomposes a matrix a little differently.
        """
        for name in state:
            path, a, _ = name.rpartition(".lora_A.weight")
            if a:
                self._move(path, state)
        self._weights = dict(state)

    def _move(self, path: str, state: Mapping[str, Tensor]) -> None:
        """Put back into one map what was taken out now, and take out what `state` holds."""
        first, second = f"{path}.lora_A.weight", f"{path}.lora_B.weight"
        if torch.equal(self._weights[first], state[first]) and torch.equal(self._weights[second], state[second]):
            return
        part: Any = self._model.get_submodule(path)
        moved = self._weights[second] @ self._weights[first] - state[second] @ state[first]
        change = part.scaling[ADAPTER] * (moved.T if part.fan_in_fan_out else moved)
        weight = part.get_base_layer().weight
        weight.data += change.to(weight)


@dataclass(frozen=True)
class ChangedBaseHalf(PeftHalf):
    """LoRA that begins with a part of the base's weights, and leaves the base without it."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model and take the adapter's beginning out of its weights, in fp32 and back in their own format.

        Raises: Refusal: the base is packed; a map has fewer directions than the rank; a target isn't in the model.
        """
        settings = recipe.method.settings
        if is_quantized(model):
            raise Refusal(
                f'the method "{recipe.method.name}" takes its beginning out of the base model\'s weights, and packed '
                'ones would be rounded anew. Set model.quantization = "none", or take the method "loftq".'
            )
        sizes = map_sizes(model, settings["targets"])
        refuse_rank_above({name: min(size) for name, size in sizes.items()}, settings["rank"])
        tuned = super().attach(model, recipe).model
        return Attached(model=tuned, state=FirstAdapter(cast(PeftModel, tuned)))

    def save(self, attached: Attached, folder: Path) -> None:
        """Write what was learned as plain LoRA of twice the rank, for the base as it was: B A less the first B A."""
        first = cast(FirstAdapter, attached.state)
        with TemporaryDirectory() as aside:
            beginning = Path(aside, "first")  # PEFT gives the adapter that it reads there the folder's name
            beginning.mkdir()
            save_file(first.state_dict(), beginning / SAFETENSORS_WEIGHTS_NAME)
            cast(PeftModel, attached.model).save_pretrained(
                str(folder), save_embedding_layers=False, path_initial_model_for_weight_conversion=str(beginning)
            )


def pissa_config(model: nn.Module, recipe: Recipe) -> LoraConfig:
    """Translate the settings into PEFT's words; the fast decomposition draws from torch's seeded generator."""
    return lora_config(model, recipe, init_lora_weights=DECOMPOSITIONS[recipe.method.settings["decomposition"]])


half = ChangedBaseHalf(pissa_config)

"""Output gains: one trained number for each output of a linear map. Drop this file into $PEGBOX_HOME/methods.

SSF (Lian et al. 2022, arXiv:2210.08823) scales and shifts what each operation gives. This is its scale, on the linear
maps; the shift is left out, since the maps of most language models have no bias that could hold it once merged.

The card must stay light, so torch is imported inside the verbs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pegbox_methods import Card, Footprint, Needs, Reason, Refusal, hookimpl
from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.low_rank import TARGETS, wanted

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPER = "Lian et al. 2022, arXiv:2210.08823"
WEIGHTS = "gains.safetensors"


def footprint(shape: Any, settings: Mapping[str, Any]) -> Footprint:
    """Count one gain for each output."""
    maps = shape.adapted(wanted(settings["targets"]))
    return Footprint(
        trainable_weights=sum(layers * d_out for layers, _, d_out, _ in maps),
        step_time_ratio=None,
        step_time_source="nobody has published one",
    )


CARD = Card(
    name="output-gains",
    title="Output gains",
    summary="Trains one gain for each output of a linear map, and nothing else.",
    source=f"{PAPER}, the scale alone",
    settings=(TARGETS,),
    learning_rate=5e-3,
    learning_rate_source=(
        "measured: 40 steps on the bundled model bring its loss from 5.4 to 4.2, and to 2.6 at 2e-2; larger models "
        "take lower rates"
    ),
    needs=Needs(),
    footprint=footprint,
    recommended=(
        Reason(
            when="the adapter shall have less than a thousandth of the model's weights",
            why="a gain is one number for a whole row of the weight",
            source=PAPER,
        ),
    ),
    discouraged=(
        Reason(
            when="something new is to be learned",
            why="it turns up or down what the model computes already",
            source=PAPER,
        ),
    ),
    torch_half=f"{__name__}:half",
)


@hookimpl
def pegbox_card() -> Card:
    """Bring the method in."""
    return CARD


class OutputGainsHalf:
    """A parameter on each map, and a hook that multiplies by it: the model keeps its parts and their names."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Freeze the base model and give each map that the targets name its gains.

        Raises: Refusal: a target isn't in the model.
        """
        import torch
        from pegbox_methods.zoo.shared.half_torch import adapted_maps

        model.requires_grad_(False)
        for linear in adapted_maps(model, recipe.method.settings["targets"]).values():
            _put(linear, torch.zeros(linear.out_features, device=linear.weight.device))
        return Attached(model=model)

    def save(self, attached: Attached, folder: Path) -> None:
        """Write the gains, named after their maps."""
        from safetensors.torch import save_file

        gains = {path: part.gain.detach().cpu().contiguous() for path, part in _gained(attached.model).items()}
        save_file(gains, folder / WEIGHTS, metadata={"format": "pt"})
        (folder / "gains.json").write_text(json.dumps({"method": CARD.name}) + "\n", encoding="utf-8")

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put saved gains on a base model."""
        from safetensors.torch import load_file

        for path, gain in load_file(folder / WEIGHTS).items():
            linear: Any = model.get_submodule(path)
            _put(linear, gain.to(linear.weight.device))
        return model.requires_grad_(False)

    def merge(self, model: nn.Module) -> nn.Module:
        """Multiply each row of the weights, and the bias, by its gain.

        Raises: Refusal: the base model is quantized.
        """
        import torch
        from pegbox_methods.zoo.shared.half_torch import is_quantized

        if is_quantized(model):
            raise Refusal(
                "the base model is loaded in 4 or 8 bits, and rounded weights aren't multiplied: that ruins them. "
                "Load the base model in full precision, put the adapter on that, and merge there."
            )
        for linear in _gained(model).values():
            factor = 1 + linear.gain.detach().float()
            with torch.no_grad():
                linear.weight.mul_(factor[:, None])
                if linear.bias is not None:
                    linear.bias.mul_(factor)
            linear.gain_hook.remove()
            del linear.gain, linear.gain_hook
        return model


def _put(linear: Any, gain: Tensor) -> None:
    from torch import nn

    linear.gain = nn.Parameter(gain)
    linear.gain_hook = linear.register_forward_hook(_multiply)


def _multiply(linear: Any, _inputs: Any, output: Tensor) -> Tensor:
    """Add the surplus over 1 times the output: near 1, 16 bits would be too coarse for the gain itself."""
    return output + output * linear.gain.to(output.dtype)


def _gained(model: nn.Module) -> dict[str, Any]:
    return {path: part for path, part in model.named_modules() if hasattr(part, "gain_hook")}


half = OutputGainsHalf()

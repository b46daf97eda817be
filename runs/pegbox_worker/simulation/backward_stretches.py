"""Parts of the backward pass, as phases of their own: it may be fullest at its beginning or at its end.

Activations go as it proceeds, gradients come. Between the first and the last layer of a kind both are linear, so a
deep model's peak lies in the stretch of one of these.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from torch import Tensor, nn

from pegbox_worker.simulation.storage_trace import StorageTrace

BACKWARD = "backward"
BETWEEN = f"{BACKWARD} between"
"""Layers that are neither the first nor the last of their kind."""
EMBEDDING = f"{BACKWARD} embedding"


def follow_stretches(model: nn.Module, kinds: Sequence[Hashable], trace: StorageTrace) -> None:
    """Enter a phase as the gradient of each decoder layer's output comes. `kinds`: of each layer, from the first."""
    layers = _decoder_layers(model, len(kinds))
    if layers is None:
        return
    for place, (layer, kind) in enumerate(zip(layers, kinds, strict=True)):
        phase = BETWEEN
        if kind not in kinds[place + 1 :]:
            phase = f"{BACKWARD} last {kind}"
        elif kind not in kinds[:place]:
            phase = f"{BACKWARD} first {kind}"
        layer.register_forward_hook(_enter_on_gradient(trace, phase))
    layers[0].register_forward_pre_hook(_enter_on_input_gradient(trace), with_kwargs=True)


def merged(phases: dict[str, Any], size: Any) -> dict[str, Any]:
    """Keep of all stretches of the backward pass the largest, by `size(value)`, under the one name `backward`."""
    stretches = {name: value for name, value in phases.items() if name.startswith(BACKWARD)}
    kept = {name: value for name, value in phases.items() if name not in stretches}
    if stretches:
        kept[BACKWARD] = max(stretches.values(), key=size)
    return kept


def _decoder_layers(model: nn.Module, count: int) -> nn.ModuleList | None:
    lists = [part for part in model.modules() if isinstance(part, nn.ModuleList) and len(part) == count]
    return lists[0] if lists else None


def _enter_on_gradient(trace: StorageTrace, phase: str) -> Any:
    def hook(_layer: nn.Module, _inputs: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        if isinstance(hidden, Tensor) and hidden.requires_grad:
            hidden.register_hook(lambda _: trace.enter(phase))

    return hook


def _enter_on_input_gradient(trace: StorageTrace) -> Any:
    def hook(_layer: nn.Module, inputs: Any, named: Any) -> None:
        hidden = inputs[0] if inputs else named.get("hidden_states")
        if isinstance(hidden, Tensor) and hidden.requires_grad and not hidden.is_leaf:
            hidden.register_hook(lambda _: trace.enter(EMBEDDING))

    return hook

"""A model as its files gave it: what a method puts on it comes off again, and what it changed within is found out."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn
from transformers import GenerationConfig, PreTrainedConfig

from pegbox_worker.checksum import checksum

CONFIGS = (PreTrainedConfig, GenerationConfig)


class AsLoaded:
    """Remembers how a model is put together: parts, hooks, flags, configs, what trains, and the sum of its weights.

    Make it before anything else touches the model. It holds no copy of a weight.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._parts = [_Part(part) for part in model.modules()]
        self._weights = [(weight, weight.requires_grad, dict(vars(weight))) for weight in model.parameters()]
        self._configs = [(config, _kept(config)) for config in _configs_of(model)]
        self._checksum = checksum(model)

    def take_off(self) -> None:
        """Put every part, hook, flag and config back to where it was, whatever was done to the model since.

        Values of weights stay as they are: `intact` tells.
        """
        for part in self._parts:
            part.put_back()
        for weight, trains, held in self._weights:
            weight.grad = None
            weight.requires_grad_(trains)
            vars(weight).clear()
            vars(weight).update(held)
        for config, held in self._configs:
            vars(config).clear()
            vars(config).update(_copied(held))

    def intact(self) -> bool:
        """Tell, of a model that nothing is on any more, whether its weights are bit for bit those that were loaded."""
        hooked: Any = (weight for weight, *_ in self._weights)
        if any(weight._backward_hooks or weight._post_accumulate_grad_hooks for weight in hooked):
            return False
        return checksum(self.model) == self._checksum


class _Part:
    """One module, with what it holds: its attributes, and what lies in those that are containers, as its hooks do."""

    def __init__(self, part: nn.Module) -> None:
        self._part = part
        self._kind = type(part)
        self._attributes = dict(vars(part))
        self._contents = {
            name: copy.copy(value) for name, value in self._attributes.items() if isinstance(value, dict | list | set)
        }

    def put_back(self) -> None:
        if type(self._part) is not self._kind:
            self._part.__class__ = self._kind
        held = vars(self._part)
        held.clear()
        held.update(self._attributes)
        for name, content in self._contents.items():
            value = held[name]
            value.clear()
            if isinstance(value, list):
                value.extend(content)
            else:
                value.update(content)


def _configs_of(model: nn.Module) -> list[Any]:
    """List the configs that the model's parts hold, and those within them, each once."""
    found: dict[int, Any] = {}
    asked = [value for part in model.modules() for value in vars(part).values() if isinstance(value, CONFIGS)]
    while asked:
        config = asked.pop()
        if id(config) not in found:
            found[id(config)] = config
            asked += [value for value in vars(config).values() if isinstance(value, CONFIGS)]
    return list(found.values())


def _kept(config: Any) -> dict[str, Any]:
    return _copied(vars(config))


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    """Copy values to their depth, but for configs within: their parts of the model point to those very ones."""
    return {key: value if isinstance(value, CONFIGS) else copy.deepcopy(value) for key, value in values.items()}

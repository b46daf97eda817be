"""The torch half of trainable tokens: tokens by their text or by the rows, and a head that TRL can score with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel, TrainableTokensConfig
from peft.tuners.trainable_tokens.layer import TrainableTokensLayer
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import AutoTokenizer

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf
from pegbox_methods.zoo.trainable_tokens.card import FREQUENT, count_tokens

ADAPTER = "default"
MOST_LOOKED_AT = 10_000
"""Micro-batches in which tokens are counted; more would hardly change which are frequent."""


@dataclass(frozen=True)
class TrainableTokensHalf(PeftHalf):
    """PEFT's trainable tokens, for models whose head is the embedding table too."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model. Frequent tokens are the first of the vocabulary until it has looked at the rows.

        Raises: Refusal: a text is no single token of the model's tokenizer.
        """
        attached = super().attach(model, recipe)
        tokens = ChosenTokens(cast(PeftModel, _with_shared_head(attached.model)))
        looks = recipe.method.settings["tokens"] == FREQUENT
        return replace(attached, look=tokens.look if looks else None, state=tokens)

    def save(self, attached: Attached, folder: Path) -> None:
        """Write PEFT's standard files, with PEFT's own layer at the head, whose weights it looks for at loading."""
        _put_back_head(attached.model)
        super().save(attached, folder)
        _with_shared_head(attached.model)

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved embeddings on a base model."""
        return _with_shared_head(super().load(model, folder))

    def merge(self, model: nn.Module) -> nn.Module:
        """Write the embeddings into the base model's table.

        Raises: Refusal: the base model is quantized.
        """
        _put_back_head(model)
        return super().merge(model)


class SharedHead(nn.Module):  # type: ignore[misc]  # mypy doesn't read torch
    """The head of a model that scores with its embedding table, the learned rows among the others.

    PEFT puts a layer of its own there, whose `weight` is the table as it was. TRL scores with the head's `weight`, and
    therefore refuses any layer of PEFT's; it takes this one, which tells the truth.
    """

    def __init__(self, table: TrainableTokensLayer, replaced: TrainableTokensLayer) -> None:
        super().__init__()
        # In a tuple, they aren't parts of this module: the table is one of the model's already.
        self._layers = (table, replaced)
        self.register_parameter("bias", replaced.get_base_layer().bias)

    @property
    def replaced(self) -> TrainableTokensLayer:
        """Give the layer that PEFT had put here."""
        return self._layers[1]

    @property
    def weight(self) -> Tensor:
        """Put the table together (vocabulary, hidden), with a gradient to the learned rows."""
        table = self._layers[0]
        if table.disable_adapters or table.merged:
            return cast(Tensor, table.get_base_layer().weight)
        return cast(Tensor, table.get_merged_weights(table.active_adapters))

    def forward(self, hidden: Tensor) -> Tensor:
        """Score hidden states. PEFT's layer would leave a bias out."""
        return linear(hidden, self.weight, self.bias)


class ChosenTokens:
    """Which tokens learn: chosen from the rows once, and remembered by every checkpoint."""

    def __init__(self, model: PeftModel) -> None:
        self._config = model.peft_config[ADAPTER]
        self._table: Any = _table(model)
        self._remembered = False

    def look(self, micro_batches: Iterable[Mapping[str, Tensor]]) -> None:
        """Choose the tokens that come most often; of those that come equally often, the lower."""
        if self._remembered:
            return
        counts = torch.zeros(len(self._table.weight), dtype=torch.long)
        for _, batch in zip(range(MOST_LOOKED_AT), micro_batches, strict=False):
            seen = batch["input_ids"][batch["attention_mask"].bool()].cpu()
            counts += torch.bincount(seen, minlength=len(counts))
        chosen = counts.argsort(descending=True, stable=True)[: len(self._config.token_indices)]
        self._set(chosen)
        with torch.no_grad():
            self._table.trainable_tokens_delta[ADAPTER].copy_(self._table.weight[chosen])

    def state_dict(self) -> Mapping[str, Tensor]:
        """Give the chosen tokens' ids."""
        return {"tokens": torch.tensor(self._config.token_indices)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the ids back; what was learned of them comes with the weights."""
        self._remembered = True
        self._set(state["tokens"])

    def _set(self, ids: Tensor) -> None:
        chosen = ids.tolist()
        self._config.token_indices = chosen
        self._table.token_indices[ADAPTER] = chosen
        self._table.trainable_tokens_original[ADAPTER] = self._table.weight[chosen].detach().clone()


def _table(model: nn.Module) -> TrainableTokensLayer:
    return cast(TrainableTokensLayer, cast(Any, model).get_base_model().get_input_embeddings())


def _with_shared_head(tuned: nn.Module) -> nn.Module:
    """Replace PEFT's layer at the head, which is there only where the head shares the embedding table."""
    base = cast(Any, tuned).get_base_model()
    head = base.get_output_embeddings()
    if isinstance(head, TrainableTokensLayer):
        base.set_output_embeddings(SharedHead(_table(tuned), head))
    return tuned


def _put_back_head(tuned: nn.Module) -> None:
    base = cast(Any, tuned).get_base_model()
    head = base.get_output_embeddings()
    if isinstance(head, SharedHead):
        base.set_output_embeddings(head.replaced)


def trainable_tokens_config(model: nn.Module, recipe: Recipe) -> TrainableTokensConfig:
    """Give PEFT the tokens' ids.

    Raises: Refusal: a text is no single token, or two are the same.
    """
    tokens = recipe.method.settings["tokens"]
    words = len(cast(Any, model).get_input_embeddings().weight)
    ids = list(range(count_tokens(tokens, words))) if tokens == FREQUENT else _ids_of(tokens, model, recipe, words)
    return TrainableTokensConfig(task_type="CAUSAL_LM", token_indices=ids)


def _ids_of(tokens: list[str], model: nn.Module, recipe: Recipe, words: int) -> list[int]:
    """Look texts up in the tokenizer that lies beside the model; the worker has fetched it.

    Raises: Refusal.
    """
    name = cast(Any, model).name_or_path
    tokenizer: Any = AutoTokenizer.from_pretrained(
        name, revision=recipe.model.revision, trust_remote_code=False, local_files_only=True
    )
    known = tokenizer.get_vocab()
    found: dict[int, str] = {}
    for text in tokens:
        parts = [known[text]] if text in known else tokenizer.encode(text, add_special_tokens=False)
        if len(parts) == 1 and parts[0] >= words:
            raise Refusal(
                f"method.settings.tokens: {text!r} is known to the tokenizer, and the model has no embedding for it: "
                f"there are {words}. Resize the model's embeddings first."
            )
        if len(parts) != 1:
            raise Refusal(
                f"method.settings.tokens: {text!r} is {len(parts)} tokens to this model "
                f"({' '.join(tokenizer.convert_ids_to_tokens(parts))}), and one is expected. A new token must be added "
                "to the tokenizer and the model's embeddings first."
            )
        if parts[0] in found:
            raise Refusal(f"method.settings.tokens: {text!r} and {found[parts[0]]!r} are the same token.")
        found[parts[0]] = text
    return list(found)


half = TrainableTokensHalf(trainable_tokens_config)

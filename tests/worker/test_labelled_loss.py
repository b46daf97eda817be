"""Our loss is the model's own loss, and so are its gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model

from pegbox_runs.rows.masking import IGNORED
from pegbox_worker.labelled_loss import LabelledLoss, labelled_loss_of


def batch() -> dict[str, torch.Tensor]:
    """Two rows of 40 and 25 tokens, half of them labelled."""
    torch.manual_seed(1)
    ids = torch.randint(10, 3000, (2, 40))
    mask = torch.ones_like(ids)
    mask[1, 25:] = 0
    labels = ids.masked_fill(torch.arange(40) < 15, IGNORED).masked_fill(mask == 0, IGNORED)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@pytest.fixture
def tuned(model: Any) -> Any:
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    return adapted


@pytest.mark.parametrize("chunk", [7, 512])
def test_loss_and_gradients_equal_the_models_own(tuned: Any, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pegbox_worker.labelled_loss.CHUNK_ROWS", chunk)
    inputs = batch()
    count = int((inputs["labels"][:, 1:] != IGNORED).sum())
    own = tuned(**inputs).loss
    own.backward()
    expected = {name: w.grad.clone() for name, w in tuned.named_parameters() if w.requires_grad}
    tuned.zero_grad()
    ours = LabelledLoss(tuned.get_base_model(), torch.float32).sum(inputs) / count
    ours.backward()
    torch.testing.assert_close(ours, own)
    for name, weight in tuned.named_parameters():
        if weight.requires_grad:
            torch.testing.assert_close(weight.grad, expected[name], rtol=1e-4, atol=1e-6)


def test_a_trainable_head_gets_its_gradient(model: Any) -> None:
    inputs = batch()
    count = int((inputs["labels"][:, 1:] != IGNORED).sum())
    model.get_output_embeddings().weight.requires_grad_(True)
    model(**inputs).loss.backward()
    expected = model.get_output_embeddings().weight.grad.clone()
    model.zero_grad()
    (LabelledLoss(model, torch.float32).sum(inputs) / count).backward()
    torch.testing.assert_close(model.get_output_embeddings().weight.grad, expected, rtol=1e-4, atol=1e-6)


def row() -> tuple[torch.Tensor, torch.Tensor]:
    inputs = batch()
    return inputs["input_ids"][:1], inputs["labels"][:1]


def test_a_plain_and_an_adapted_model_get_it(model: Any, tuned: Any) -> None:
    assert labelled_loss_of(model, *row(), torch.float32) is not None
    assert labelled_loss_of(tuned, *row(), torch.float32) is not None


@pytest.mark.parametrize("change", [lambda x: x * 0.5, lambda x: 10 * torch.tanh(x / 10)], ids=["scaled", "capped"])
def test_a_model_that_does_more_to_its_logits_does_not(model: Any, change: Any) -> None:
    head = model.lm_head.forward
    model.lm_head.forward = lambda hidden: change(head(hidden))
    assert labelled_loss_of(model, *row(), torch.float32) is None


@pytest.mark.parametrize(
    "config",
    [
        PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
        LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"], modules_to_save=["lm_head"]),
    ],
    ids=["prompt tuning", "saved head"],
)
def test_a_method_that_goes_around_the_backbone_or_the_head_does_not(model: Any, config: Any) -> None:
    assert labelled_loss_of(get_peft_model(model, config), *row(), torch.float32) is None


def test_a_module_without_the_usual_parts_does_not() -> None:
    assert labelled_loss_of(torch.nn.Linear(2, 2), *row(), torch.float32) is None


def test_asking_leaves_the_model_in_its_mode(model: Any) -> None:
    model.train()
    labelled_loss_of(model, *row(), torch.float32)
    assert model.training

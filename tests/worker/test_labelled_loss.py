"""Our loss is the model's own loss, and so are its gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from pegbox_worker.labelled_loss import LabelledLoss, agrees
from pegbox_worker.tokens import IGNORED


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


def test_it_agrees_with_a_plain_model_and_not_with_one_that_scales_its_logits(model: Any) -> None:
    inputs = batch()
    row = (inputs["input_ids"][:1], inputs["labels"][:1])
    assert agrees(model, *row)
    head = model.lm_head.forward
    model.lm_head.forward = lambda hidden: head(hidden) * 0.5
    assert not agrees(model, *row)
    model.lm_head.forward = lambda hidden: 10 * torch.tanh(head(hidden) / 10)
    assert not agrees(model, *row)


def test_asking_leaves_the_model_in_its_mode(model: Any) -> None:
    inputs = batch()
    model.train()
    agrees(model, inputs["input_ids"][:1], inputs["labels"][:1])
    assert model.training

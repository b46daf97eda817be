"""Whether two models are the same one: their greedy answers, and their next-token distributions, on real prompts.

The two needn't be in memory at once: what the first one does is kept aside (`look_at`), and the second is held
against it (`hold_against`). Both are computed by the same code, on the same tokens.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pegbox_runs.artefacts.artefact import NOT_FINITE, SAME_KL, Proof
from pegbox_runs.exporting.needs import ANSWER_TOKENS, AT_ONCE
from pegbox_worker.answering import answers
from pegbox_worker.proof_prompts import proof_examples, proof_prompts, render
from pegbox_worker.questions import resting

__all__ = [
    "ANSWER_TOKENS",
    "Distance",
    "Seen",
    "distance_from",
    "hold_against",
    "look_at",
    "proof_examples",
    "proof_prompts",
    "render",
]

Heard = Callable[[int, int], None]
"""Called with the prompts done and those in all."""


@dataclass(frozen=True)
class Seen:
    """What a model does with some prompts; its logits lie on disk, so that no vocabulary is too large for memory."""

    prompts: list[list[int]]
    answers: list[list[int]]
    """Greedy; an end token is in them."""
    tokens: int
    padding: int
    ends: frozenset[int]
    folder: Path
    """Holds the logits: `N.npy` for prompt N, float32 (answer tokens + 1, vocabulary)."""

    def logits(self, prompt: int) -> Tensor:
        """Read what the model found at the end of a prompt and at each token of its answer."""
        return torch.from_numpy(np.load(self.folder / f"{prompt}.npy", allow_pickle=False))


@dataclass(frozen=True)
class Distance:
    """How far one model is from another, over all positions that were looked at."""

    positions: int
    largest_difference: float
    mean_kl: float
    largest_kl: float
    same_first: float

    @property
    def finite(self) -> bool:
        """Whether every logit of both is a number."""
        return max(self.largest_difference, self.mean_kl, self.largest_kl) < NOT_FINITE


def look_at(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    tokens: int = ANSWER_TOKENS,
    padding: int,
    ends: Set[int],
    device: torch.device,
    folder: Path,
    heard: Heard | None = None,
) -> Seen:
    """Let a model answer greedily, and keep its logits at the last prompt position and at every one of its answer.

    `folder`: an empty one, for the logits: 4 bytes x vocabulary x positions; whoever names it removes it.
    """
    asked = [list(prompt) for prompt in prompts]
    told = None if heard is None else _part_of(heard, 0, 2 * len(asked))
    given = answers(model, asked, tokens=tokens, padding=padding, ends=ends, batch=AT_ONCE, device=device, on_done=told)
    seen = Seen(asked, given, tokens, padding, frozenset(ends), folder)
    for number, logits in enumerate(logits_of(model, seen, device)):
        np.save(folder / f"{number}.npy", logits.numpy())
        if heard is not None:
            heard(len(asked) + number + 1, 2 * len(asked))
    return seen


def logits_of(model: nn.Module, seen: Seen, device: torch.device) -> Iterator[Tensor]:
    """Give a model's logits on what another one answered, a prompt at a time: float32 (answer tokens + 1, vocabulary).

    Each prompt goes through the model alone, so that nothing is padded.
    """
    with resting(model), torch.no_grad():
        for prompt, answer in zip(seen.prompts, seen.answers, strict=True):
            ids = torch.tensor([prompt + answer], device=device)
            count = len(answer) + 1
            few = {"logits_to_keep": count} if _keeps_few(model) else {}
            output: Any = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **few)
            yield output.logits[0, -count:].float().cpu()


def distance_from(seen: Seen, model: nn.Module, device: torch.device, heard: Heard | None = None) -> Distance:
    """Measure how far a model is from what another one did, on that one's answers.

    Raises: ValueError: it tells another number of tokens apart.
    """
    largest = most = total = 0.0
    positions = same = 0
    for number, found in enumerate(logits_of(model, seen, device)):
        expected = seen.logits(number)
        if found.shape != expected.shape:
            raise ValueError(f"it tells {found.shape[-1]} tokens apart, and {expected.shape[-1]} are expected")
        log_p, log_q = expected.double().log_softmax(-1), found.double().log_softmax(-1)
        divergence = (log_p.exp() * (log_p - log_q)).sum(-1)
        largest = _larger(largest, float((found - expected).abs().max()))
        most = _larger(most, float(divergence.max()))
        total += float(divergence.sum())
        positions += len(divergence)
        same += int((found.argmax(-1) == expected.argmax(-1)).sum())
        if heard is not None:
            heard(number + 1, len(seen.prompts))
    return Distance(
        positions=positions,
        largest_difference=_told(largest),
        mean_kl=_told(_larger(0.0, total / positions)),  # rounding may bring a sum of next to nothing below zero
        largest_kl=_told(_larger(0.0, most)),
        same_first=same / positions,
    )


def hold_against(
    seen: Seen,
    model: nn.Module,
    *,
    of: str,
    against: str,
    computed_in: str,
    device: torch.device,
    bound_kl: float = SAME_KL,
    answers_must_agree: bool = True,
    same_prompts: bool | None = None,
    heard: Heard | None = None,
) -> Proof:
    """Hold a model against what another one did: on that one's answers position by position, and by its own answers.

    It fails where the mean KL exceeds `bound_kl`, where any number isn't finite, where `same_prompts` is False, and,
    if `answers_must_agree`, where a greedy answer differs.
    Raises: ValueError: it tells another number of tokens apart.
    """
    all_of_it = 2 * len(seen.prompts)
    far = distance_from(seen, model, device, None if heard is None else lambda done, _: heard(done, all_of_it))
    given = answers(
        model,
        seen.prompts,
        tokens=seen.tokens,
        padding=seen.padding,
        ends=seen.ends,
        batch=AT_ONCE,
        device=device,
        on_done=None if heard is None else _part_of(heard, len(seen.prompts), all_of_it),
    )
    same = sum(mine == theirs for mine, theirs in zip(given, seen.answers, strict=True))
    why = _why(far, bound_kl, len(seen.prompts) - same if answers_must_agree else 0, same_prompts, of, against)
    return Proof(
        of=of,
        against=against,
        computed_in=computed_in,
        prompts=len(seen.prompts),
        positions=far.positions,
        largest_difference=far.largest_difference,
        mean_kl=far.mean_kl,
        largest_kl=far.largest_kl,
        same_answers=same,
        same_first=far.same_first,
        answer_tokens=max(map(len, seen.answers)),
        bound_kl=bound_kl,
        same_prompts=same_prompts,
        passed=not why,
        why=why,
    )


def _why(far: Distance, bound: float, differing: int, same_prompts: bool | None, of: str, against: str) -> str:
    """Say in a sentence why these aren't the same model; empty: nothing speaks against it."""
    if not far.finite:
        return f"{of}: gives numbers that aren't finite where {against} doesn't, or both do."
    if far.mean_kl > bound:
        return (
            f"{of}: its next-token distributions differ from those of {against} by {far.mean_kl:.2g} nats per token, "
            f"and one and the same model by {bound:.2g} at most."
        )
    if differing:
        return f"{of}: answers {differing} prompt{'s' if differing > 1 else ''} in other words than {against}."
    if same_prompts is False:
        return f"{of}: its tokenizer and chat template write the same conversations otherwise than the run's."
    return ""


def _told(figure: float) -> float:
    return figure if math.isfinite(figure) else NOT_FINITE


def _larger(one: float, other: float) -> float:
    """Give the larger; what is no number wins, where max() would lose it."""
    return other if not one >= other else one


def _part_of(heard: Heard, before: int, of: int) -> Callable[[int], None]:
    return lambda done: heard(before + done, of)


def _keeps_few(model: Any) -> bool:
    """Tell whether a model can be asked for its last logits alone; below an adapter, whether its base can."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(base.forward).parameters

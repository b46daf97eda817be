"""Writes the README of the bundled model and rows, with the figures of the run that made them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from make_bundled_check import BATCH_ROWS, EPOCHS, Outcome
from make_bundled_train import CONTEXT, VOCABULARY

SAMPLES_AT = 2e-3  # the learning rate whose answers the README shows


@dataclass(frozen=True)
class Figures:
    """What one run of the maker measured."""

    python: str
    versions: dict[str, str]
    entries: int
    familiar: int
    corpus_tokens: int
    read_tokens: int
    chat_passes: int
    weights: int
    row_tokens: list[int]  # of each row, ascending
    losses: tuple[float, float]  # last training loss on documents, on chats
    seconds: float
    outcomes: list[Outcome]


def readme_text(figures: Figures, folder: Path) -> str:
    """The README; sizes are read from the files in the folder."""
    versions = ", ".join(f"{name} {number}" for name, number in figures.versions.items())
    shown = next(outcome for outcome in figures.outcomes if outcome.rate == SAMPLES_AT)
    lengths = figures.row_tokens
    return f"""\
# The bundled model and rows

A very small language model and a set of rows to fine-tune it on, so that Pegbox has something to run on a
computer without a network. The model answers about names of Python's standard library and nothing else, and
it is often wrong. `python runs/make_bundled.py` makes every file here.

## Text and licence

All text is Python's own docstrings, collected from Python {figures.python}, and short questions around them.
`LICENSE-PSF.txt` is the licence of that text. Changes to it: long docstrings are cut; lines that name people
are left out, and so are docstrings that are not ASCII; chats and rows take opening sentences only, without
backquotes.

## Model

- Llama architecture, {figures.weights:,} weights in bfloat16, tied embeddings, {CONTEXT:,} positions.
- Byte-level BPE tokenizer of {VOCABULARY:,} tokens, with `<|im_start|>`, `<|im_end|>` (end of a turn) and
  `<|endoftext|>` (padding, and between documents).
- ChatML template. Its generation marks enclose the assistant's words and the `<|im_end|>` after them.
- Trained from seeded random weights in {figures.seconds / 60:.1f} minutes on two CPU threads, in two stages:
  1. {figures.read_tokens:,} tokens of documents, drawn from {figures.entries:,} docstrings
     ({figures.corpus_tokens:,} tokens). The {figures.familiar:,} names that rows may ask about come up in five
     forms, the others less often. Last training loss {figures.losses[0]:.2f}.
  2. {figures.chat_passes} passes over chats that answer in plain sentences, worded anew in each pass.
     Last training loss {figures.losses[1]:.2f}.
- Made with {versions}.
  Another processor may give slightly other weights.

## Rows

`rows.jsonl` has {len(lengths)} chats of one question and one answer, each about another name, from {lengths[0]} to
{lengths[-1]} tokens long (median {lengths[len(lengths) // 2]}). Every answer has the form of a card: Name, Purpose,
sometimes Details, Import. The base model is trained on neither these questions nor this form. It has read the
docstrings of all these names, though, those of held-out rows too. So the loss on held-out rows shows how well
the form is learned and how well the model recalls; it does not show that fine-tuning adds knowledge.
The training settings were chosen while looking at such rows, so the figures below are on the favourable side.

## Fine-tuning, measured

LoRA of rank 16 (alpha 32) on every linear layer, AdamW with linear descent, batches of {BATCH_ROWS} rows,
{EPOCHS} epochs, float32, two threads. {shown.asked} rows picked by a seed are held out; the loss is the mean over
the tokens of their answers. "Right" counts the held-out rows whose greedy answer is the row's, word for word.

| Learning rate | Loss before | Loss after | Lower by | Right | Seconds |
|---:|---:|---:|---:|---:|---:|
{_table(figures.outcomes)}

The first held-out questions, before and after fine-tuning at {SAMPLES_AT:g}:

{_samples(shown)}
## Files

{_sizes(folder)}
"""


def _table(outcomes: list[Outcome]) -> str:
    """One line a learning rate."""
    return "\n".join(
        f"| {outcome.rate:g} | {outcome.before:.3f} | {outcome.after:.3f} "
        f"| {1 - outcome.after / outcome.before:.0%} | {outcome.right} of {outcome.asked} "
        f"| {outcome.seconds:.0f} |"
        for outcome in outcomes
    )


def _samples(outcome: Outcome) -> str:
    """Each question with both answers, as indented blocks."""
    blocks = []
    for question, before, after in outcome.samples:
        answer = after.replace("\n", "\n" + " " * 14)
        blocks.append(f"    Question: {question}\n    Before:   {before}\n    After:    {answer}\n")
    return "\n".join(blocks)


def _sizes(folder: Path) -> str:
    """Every file but the README, with its size in bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "README.md")
    return "\n".join(f"- `{path.relative_to(folder).as_posix()}`: {path.stat().st_size:,}" for path in files)

"""Makes the bundled model and rows from the docstrings of the Python that runs it.

    python runs/make_bundled.py [--out FOLDER]

Takes about ten minutes on two cores: most of it trains the model, the rest measures what fine-tuning does
to it. The same Python and library versions on the same kind of processor give the same files.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import sysconfig
import time
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from make_bundled_check import measure
from make_bundled_readme import Figures, readme_text
from make_bundled_rows import is_familiar, make_base_chats, make_rows
from make_bundled_text import Entry, collect_entries
from make_bundled_train import Batch, chat_batches, document_batches, documents_of, make_model, make_tokenizer, train

SEED = 7
LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "peft")
THREADS = 2  # another number adds floats in another order, which gives other weights
# (steps, rows, positions): short first, then the full context.
DOCUMENT_PLAN = [(960, 8, 256), (120, 2, 1024)]
DOCUMENT_RATE = 1e-2
CHAT_PASSES = 7
CHAT_ROWS = 32  # chats a step
CHAT_RATE = 4e-3


def main() -> None:
    """Writes model/, rows.jsonl, README.md and LICENSE-PSF.txt into the folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pegbox_runs" / "bundled", metavar="FOLDER")
    out: Path = parser.parse_args().out
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    out.mkdir(parents=True, exist_ok=True)

    entries = collect_entries()
    rows = make_rows(entries, SEED)
    rows_file = out / "rows.jsonl"
    rows_file.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), "utf-8")
    shutil.copyfile(Path(sysconfig.get_path("stdlib")) / "LICENSE.txt", out / "LICENSE-PSF.txt")

    chats = make_base_chats(entries, SEED)
    texts = [text for entry in entries for text in documents_of(entry)]
    texts += [message["content"] for chat in chats for message in chat]
    tokenizer = make_tokenizer(texts)
    model = make_model(tokenizer)
    start = time.perf_counter()
    losses = _train_both(model, tokenizer, entries)
    seconds = time.perf_counter() - start

    model_folder = out / "model"
    model.to(torch.bfloat16).save_pretrained(model_folder)
    tokenizer.save_pretrained(model_folder)
    figures = Figures(
        python=platform.python_version(),
        versions={name: version(name) for name in LIBRARIES},
        entries=len(entries),
        familiar=sum(map(is_familiar, entries)),
        corpus_tokens=_count_tokens(tokenizer, [documents_of(entry)[0] for entry in entries]),
        read_tokens=sum(steps * rows * positions for steps, rows, positions in DOCUMENT_PLAN),
        chat_passes=CHAT_PASSES,
        weights=model.num_parameters(),
        row_tokens=sorted(len(tokenizer.apply_chat_template(row)["input_ids"]) for row in rows),
        losses=losses,
        seconds=seconds,
        outcomes=measure(model_folder, rows_file),
    )
    (out / "README.md").write_text(readme_text(figures, out), "utf-8")
    print((out / "README.md").read_text("utf-8"))


def _train_both(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, entries: list[Entry]
) -> tuple[float, float]:
    """Reads the documents, then the chats; the last training loss of each."""
    print("documents", flush=True)
    steps = sum(part[0] for part in DOCUMENT_PLAN)
    batches = document_batches(entries, tokenizer, DOCUMENT_PLAN, SEED)
    document_loss = train(model, batches, steps, DOCUMENT_RATE)
    print("chats", flush=True)
    chat_steps = [batch for number in range(CHAT_PASSES) for batch in _chat_pass(entries, tokenizer, number)]
    return document_loss, train(model, iter(chat_steps), len(chat_steps), CHAT_RATE)


def _chat_pass(entries: list[Entry], tokenizer: PreTrainedTokenizerFast, number: int) -> list[Batch]:
    """Batches of a chat about each familiar name and about an eighth of the others, asked anew each pass."""
    pick = random.Random(SEED + number)
    others = [entry for entry in entries if not is_familiar(entry)]
    asked = [*filter(is_familiar, entries), *pick.sample(others, len(others) // 8)]
    return chat_batches(make_base_chats(asked, SEED + number), tokenizer, CHAT_ROWS, SEED + number)


def _count_tokens(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> int:
    """The texts' length in tokens."""
    return sum(len(encoding.ids) for encoding in tokenizer.backend_tokenizer.encode_batch(texts))


if __name__ == "__main__":
    main()

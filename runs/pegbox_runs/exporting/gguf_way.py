"""By which way a run becomes a GGUF file: Pegbox' own writer, or llama.cpp's tools where the user has them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.weight_files import stored_tensors
from pegbox_runs.base_prints import TOKENIZER
from pegbox_runs.exporting.gguf_architectures import ARCHITECTURES, cannot_write
from pegbox_runs.exporting.gguf_pretokenizers import UnknownCut, cut_of
from pegbox_runs.exporting.gguf_quants import QUANTS
from pegbox_runs.exporting.gguf_tools import QUANTIZE, WRITES, converter, quantizer
from pegbox_runs.printable import printable
from pegbox_runs.tuned import TunedRun

HEADS = ("embed_tokens.weight", "lm_head.weight")
NAME = re.compile(r"[\w][\w.-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class Way:
    """How a file is made."""

    quant: str
    script: Path | None = None
    """llama.cpp's script writes it; None: Pegbox does."""
    why_script: str = ""
    """Why Pegbox doesn't, in a clause."""
    quantizer: Path | None = None
    """llama.cpp's program that makes it smaller; None: that isn't needed."""
    cannot: str | None = None
    """Why there is no way, and what would make one, in a sentence or two."""


def way_of(run: TunedRun, quant: str, llama_cpp: str | None) -> Way:
    """Find the way, without torch and before anything is made.

    Raises: Refusal: there is no llama.cpp in the folder that was named.
    """
    if "merge" in run.card.cannot:
        why_not = run.card.cannot["merge"]
        return Way(quant, cannot=f"A GGUF file holds a whole model, and {run.card.title} can't be merged: {why_not}.")
    script = converter(llama_cpp)
    why = unwritable(run)
    if why is not None and script is None:
        known = ", ".join(ARCHITECTURES)
        return Way(
            quant,
            cannot=f"{run.model.name}: {why}. Pegbox writes {known} with byte-level BPE; for other models name a "
            "checkout of llama.cpp with --llama-cpp DIR, and its script is taken.",
        )
    by_script = script if why is not None else None
    needs_quantizer = quant not in WRITES if by_script else not QUANTS[quant].own
    program = quantizer(llama_cpp) if needs_quantizer else None
    if needs_quantizer and program is None:
        own = ", ".join(name for name, one in QUANTS.items() if one.own)
        return Way(
            quant,
            cannot=f"--quant {quant}: llama.cpp's {QUANTIZE} makes it, and it is neither on the PATH nor in a folder "
            f"named by --llama-cpp DIR. Install llama.cpp, or take one of {own}, which Pegbox makes itself.",
        )
    return Way(quant, script=by_script, why_script=why or "", quantizer=program)


def unwritable(run: TunedRun) -> str | None:
    """Say in a clause why Pegbox' own writer can't take a run's model; None: it can."""
    why = cannot_write(run.model.config)
    if why is not None:
        return why
    try:
        cut_of(json.loads((run.model.folder / TOKENIZER).read_bytes()))
    except UnknownCut as error:
        return str(error)
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        return f"its {TOKENIZER} can't be read ({type(error).__name__})"
    return None


def weights_of(run: TunedRun) -> tuple[int, int]:
    """Count a model's weights, and those of its embedding and its head among them."""
    if run.model.complete:
        stored = stored_tensors(run.model.folder / file for file in run.model.weight_files)
        heads = sum(one.count for one in stored.values() if one.name.endswith(HEADS))
        return sum(one.count for one in stored.values()), heads
    shape = run.model.shape
    if shape is None:
        return 0, 0
    return math.ceil(shape.weights), shape.vocabulary * shape.hidden * (1 if shape.tied_head else 2)


def named(run: TunedRun, name: str | None) -> str:
    """Name the model in its file, and the file. Raises: Refusal: not a name that a file can have."""
    if name is not None and not NAME.fullmatch(name):
        raise Refusal(f"--name {printable(name)[:100]}: take letters, digits, dots, hyphens and underscores.")
    return name or run.id

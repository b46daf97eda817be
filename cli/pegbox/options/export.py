"""What `pegbox export` can be asked."""

from __future__ import annotations

import argparse

TARGETS = ("adapter", "merged", "lora", "gguf", "ollama", "vllm", "mlx", "trl-script")
"""The same as in `pegbox_runs.artefacts.artefact`; parsing imports no wing."""
SUMMARY = "make a run's model ready for another tool, and prove that it is the same model"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="last", help="(default: last)")
    parser.add_argument("--to", metavar="TARGET", choices=TARGETS, required=True, help=f"one of {', '.join(TARGETS)}")
    parser.add_argument(
        "--output", metavar="DIR", help="the new folder (default: exports/TARGET in the run's own folder)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be made and what it takes; make nothing")
    parser.add_argument(
        "--no-proof", action="store_true", help="don't hold the result against the run; it is marked as unproven"
    )
    parser.add_argument("--base", metavar="MODEL", help="where the base model lies now, if it was moved since")
    parser.add_argument("--name", metavar="NAME", help="what a server shall call the model (default: the run's id)")
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="merged: number format of the weights (default: auto, that of the base)",
    )
    parser.add_argument("--quant", metavar="FORMAT", help="gguf, ollama: number format of the weights, such as q8_0")
    parser.add_argument(
        "--llama-cpp", metavar="DIR", help="gguf, ollama: a llama.cpp, for what Pegbox doesn't write itself"
    )
    parser.add_argument(
        "--rank",
        type=_rank,
        metavar="R",
        help="lora: rank of the converted adapter, the share of each matrix's change to keep (0.99), or auto (the "
        "default: all of it at a low rank, else 99%%)",
    )
    parser.add_argument(
        "--via",
        choices=("auto", "adapter", "lora", "merged"),
        default="auto",
        help="vllm: what it is given (default: auto, the adapter where vLLM loads it, else the merged model)",
    )


def _rank(text: str) -> int | float | None:
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no rank: give 32, 0.99 or auto") from None

"""The targets of `pegbox export`: what each module of this package gives, and which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol, cast

import msgspec

from pegbox_methods.events import Event
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact, NumberFormatName, Target
from pegbox_runs.tuned import TunedRun

Told = Callable[[Event], None]
"""Hears how an export goes on."""


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of an export beside its target; see `refuse_strange`."""

    dtype: NumberFormatName | Literal["auto"] = "auto"
    """Of a merged model's weights."""
    quant: str | None = None
    """Of a GGUF file's weights: `f16`, `q8_0`...; None: the target's own choice."""
    rank: int | float | None = None
    """Of a converted LoRA: a whole number, or the share of each matrix's energy that must be kept; None: the target's
    own choice."""
    via: Literal["auto", "adapter", "lora", "merged"] = "auto"
    """What a server is given, where it could take one of several."""
    name: str | None = None
    """What a server shall call the model; None: made of the run's id."""
    llama_cpp: str | None = None
    """A folder of llama.cpp, for GGUF files that its tools alone make."""
    prove: bool = True
    """Whether it is held against the run's own model."""


OPTIONS: Mapping[str, tuple[Target, ...]] = {
    "dtype": ("merged",),
    "quant": ("gguf", "ollama"),
    "llama_cpp": ("gguf", "ollama"),
    "rank": ("lora", "vllm"),
    "via": ("vllm",),
    "name": ("gguf", "ollama", "vllm"),
}
"""The targets that read an option; `prove` is for all."""
_DEFAULTS = ExportOptions()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an export would do, found without torch and without writing anything."""

    target: Target
    place: str
    makes: tuple[str, ...]
    """What would lie there, each in a few words: `model.safetensors: the whole model in bfloat16`."""
    disk_bytes: int
    """Beside the place, at its highest."""
    memory_bytes: int
    """Of the machine's memory, at its highest; 0: next to none."""
    cannot: str | None = None
    """Why this target can't take it, and what to do instead, in a sentence or two; None: it can."""
    remarks: tuple[str, ...] = ()
    """What must be known beforehand."""


class Exporting(Protocol):
    """What the module of a target gives."""

    def folder_name(self, options: ExportOptions) -> str:
        """Name the folder below a run's `exports` in which it lies where no place is named: `gguf-q8_0`."""

    def plan(self, run: TunedRun, place: Path, options: ExportOptions) -> Plan:
        """Tell what would be made. Raises: Refusal: an option that this target doesn't know."""

    def export(self, run: TunedRun, place: Path, options: ExportOptions, told: Told) -> Artefact:
        """Make it, or find it made.

        A broken-off one is taken up where it was (`artefacts.making`), room on the disk is looked for first
        (`artefacts.room`), nothing is overwritten, and the record is written last.
        Raises: Refusal: it can't be made; `plan`'s `cannot` says the same. JobFailed. OSError.
        """


MODULES: Mapping[Target, str] = {
    "adapter": "pegbox_runs.exporting.adapter",
    "merged": "pegbox_runs.exporting.merged",
    "lora": "pegbox_runs.exporting.lora",
    "gguf": "pegbox_runs.exporting.gguf",
    "ollama": "pegbox_runs.exporting.ollama",
    "vllm": "pegbox_runs.exporting.vllm",
    "mlx": "pegbox_runs.exporting.mlx",
    "trl-script": "pegbox_runs.exporting.trl_script",
}
"""By target; imported only when it is asked for."""


def refuse_strange(target: Target, options: ExportOptions) -> None:
    """Refuse what was asked beside a target that has no use for it: it would be passed over without a word.

    Raises: Refusal.
    """
    for name, targets in OPTIONS.items():
        if target not in targets and getattr(options, name) != getattr(_DEFAULTS, name):
            raise Refusal(
                f"--{name.replace('_', '-')} belongs to --to {' and --to '.join(targets)}; {target} has no use for it. "
                "Leave it out."
            )
    if target == "vllm" and options.rank is not None and options.via != "lora":
        raise Refusal("--rank belongs to a converted adapter: add --via lora, or leave it out.")


def exporting(target: Target) -> Exporting:
    """Give the module of a target."""
    return cast(Exporting, import_module(MODULES[target]))


def commands(target: Target, run: TunedRun, place: Path, options: ExportOptions) -> tuple[str, ...]:
    """Give what to type next, a line each; shown, and never run. A target's module may have a function of that name."""
    given = getattr(import_module(MODULES[target]), "commands", None)
    return () if given is None else tuple(given(run, place, options))


def default_place(run: TunedRun, target: Target, options: ExportOptions) -> Path:
    """Name where an export lies when nobody names a place: in the run's own folder."""
    return run.folder.exports / exporting(target).folder_name(options)

"""The target `adapter`: a run's adapter as it is, with the tokenizer and the template that it was taught with."""

from __future__ import annotations

from pathlib import Path

from pegbox_methods.advice.serving import SAVED
from pegbox_methods.recipe_file import portable
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact
from pegbox_runs.artefacts.making import Making, order_of
from pegbox_runs.artefacts.template import taught_template
from pegbox_runs.checkpoints import tree_bytes
from pegbox_runs.exporting.adapter_files import adapter_config, put_adapter, put_tokenizer
from pegbox_runs.exporting.needs import TOKENIZER_BYTES, float32_bytes
from pegbox_runs.exporting.proving import Written, base_facts, make_adapter, peft_alone
from pegbox_runs.exporting.targets import ExportOptions, Plan, Told
from pegbox_runs.tuned import TunedRun

FORM = 1


def folder_name(_options: ExportOptions) -> str:
    """Name the folder below a run's `exports`."""
    return "adapter"


def plan(run: TunedRun, place: Path, options: ExportOptions) -> Plan:
    """Tell what would be made."""
    return Plan(
        target="adapter",
        place=str(place),
        makes=("the run's adapter, unchanged", "the base model's tokenizer, with the template that the run was taught"),
        disk_bytes=disk_bytes(run),
        memory_bytes=float32_bytes(run) if options.prove else 0,
        cannot=_cannot(run),
        remarks=remarks(run),
    )


def export(run: TunedRun, place: Path, options: ExportOptions, told: Told) -> Artefact:
    """Copy it, and see that the copy, loaded anew, computes what the run's does."""
    why = _cannot(run)
    if why is not None:
        raise Refusal(f"{run.id}: {why}")
    order = order_of("adapter", FORM, *base_facts(run), run.model.reference, taught_template(run))

    def write(begun: Making) -> Written:
        put_whole_adapter(begun, run)
        return Written(of="adapter", exact=True, remarks=remarks(run))

    needed = disk_bytes(run)
    return make_adapter(
        run, place, "adapter", order, write, of="adapter", needed=needed, prove=options.prove, told=told
    )


def commands(run: TunedRun, place: Path, _options: ExportOptions) -> tuple[str, ...]:
    """Give what loads it in Python."""
    if not peft_alone(run, "adapter"):
        return ()
    loaded = f"AutoModelForCausalLM.from_pretrained({run.model.reference!r})"
    return (
        "from peft import PeftModel; from transformers import AutoModelForCausalLM",
        f"model = PeftModel.from_pretrained({loaded}, {str(place)!r})",
    )


def put_whole_adapter(begun: Making, run: TunedRun) -> None:
    """Put adapter and tokenizer there; PEFT's config names the base so that other tools find it."""
    config = None
    if run.is_peft:
        config = adapter_config(run.adapter) | {"base_model_name_or_path": run.model.reference}
    put_adapter(begun, run, config)
    put_tokenizer(begun, run)


def disk_bytes(run: TunedRun) -> int:
    """Add up what a copy takes."""
    return tree_bytes(run.adapter) + TOKENIZER_BYTES


def base_remarks(run: TunedRun) -> tuple[str, ...]:
    """Say what must be known to find the base elsewhere."""
    if run.model.from_hub:
        return ()
    return (
        f"It names the base model's folder on this machine, {portable(run.model.reference)}: elsewhere, name the base "
        "where the adapter is loaded.",
    )


def remarks(run: TunedRun) -> tuple[str, ...]:
    """Say what must be known to load it elsewhere."""
    saved = SAVED.get(run.recipe.method.name)
    found = list(base_remarks(run))
    if saved is None:
        found.append(f"PEFT doesn't know {run.card.title} by itself: its plugin must be there too.")
    if saved == "packed base":
        found.append(
            f"{run.card.title}'s adapter is right on a base that is packed into 4 bits as the run packed it (NF4, "
            "doubly quantized), and on no other."
        )
    return tuple(found)


def _cannot(run: TunedRun) -> str | None:
    if SAVED.get(run.recipe.method.name) != "model":
        return None
    return f"{run.card.title} leaves a whole model behind, and no adapter: export it with --to merged."

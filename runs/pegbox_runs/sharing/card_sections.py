"""The sections of a card that tell what the training stood on. No rows, no names of files, no name of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

import msgspec

from pegbox_methods.hub_name import is_hub_id
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import recipe_text
from pegbox_runs.figures import duration, size
from pegbox_runs.peak_held import measured_peak
from pegbox_runs.reporting.markdown_text import block, code, table, words
from pegbox_runs.reporting.recipe_places import renamed
from pegbox_runs.run_report.facts import RunFacts
from pegbox_runs.run_report.sections.origin import machine_pairs
from pegbox_runs.sharing.base import Base


def data(run: RunFacts) -> Iterator[str]:
    """Tell the rows by their number, form and fingerprint."""
    yield "None of the rows is in this repository. Whoever has them can tell that they are the same:"
    yield ""
    told: list[tuple[str, str]] = []
    recipe, prepared, environment = run.recipe, run.state.prepared, run.environment
    if recipe is not None:
        if is_hub_id(recipe.rows.file):
            told.append(("data set", code(recipe.rows.file)))
        if recipe.rows.format != "auto":
            told.append(("format", words(recipe.rows.format)))
    if prepared is not None:
        told.append(("rows trained on", f"{prepared.rows_trained:,}"))
        told.append(("rows held out", f"{prepared.rows_evaluated:,}"))
        told.append(("learned tokens of an epoch", f"{prepared.tokens_trained:,} of {prepared.tokens:,}"))
    if environment is not None:
        told.append(("SHA-256 of the rows' file", code(environment.rows_sha256)))
        if environment.held_out_sha256:
            told.append(("SHA-256 of the held-out rows' file", code(environment.held_out_sha256)))
    yield from table(("what", ""), told)


def recipe_lines(run: RunFacts, base: Base) -> Iterator[str]:
    """Show the recipe, without this machine's paths."""
    if run.recipe is None:
        return
    yield "Pegbox trains from it once the names of the rows are filled in:"
    yield ""
    yield from block(recipe_text(shareable(run.recipe, base)), "toml")
    for one in run.changes:
        for change in one.changes:
            yield ""
            yield words(f"Since step {one.step:,}, {change.key} was {change.after}; before, {change.before}.")


def shareable(recipe: Recipe, base: Base) -> Recipe:
    """Give a recipe in which the base has its public name, files are named by their kind alone, and no note is."""
    told = renamed(
        recipe,
        rows=lambda place: f"rows{PurePath(place).suffix}",
        model=lambda _: base.hub_id or base.name,
        template=lambda _: "chat_template.jinja",
    )
    return msgspec.structs.replace(told, output=msgspec.structs.replace(told.output, note=""))


def cost(run: RunFacts) -> Iterator[str]:
    """Tell time and memory as they were measured."""
    state = run.state
    told = [("optimizer steps", f"{state.steps_done:,}")]
    if state.training_seconds:
        told.append(("training time", duration(state.training_seconds)))
        told.append(("tokens a second", f"{state.tokens / state.training_seconds:,.0f}"))
    peak = measured_peak(state, run.expected)
    if peak is not None:
        what = "GPU" if state.peak.device_peak is not None else "process"
        told.append((f"peak memory of the {what}", size(peak)))
    if state.prepared is not None:
        told.append(("weights that were trained", f"{state.prepared.trainable_weights:,}"))
        told.append(("computed in", words(state.prepared.precision)))
    yield from table(("what", "measured"), told)


def machine(run: RunFacts) -> Iterator[str]:
    """Tell the machine and the libraries."""
    found = run.environment
    if found is None:
        return
    told = [(what, said) for what, said in machine_pairs(found.machine) if what in {"Processor", "GPU"}]
    told += [("pegbox", found.pegbox), ("python", found.machine.python)]
    told += [(name, said) for name, said in found.libraries.items() if said]
    yield from table(("what", ""), ((words(what), words(said)) for what, said in told))


def licence(base: Base) -> Iterator[str]:
    """Tell the base's terms, which go along with what is made of it."""
    terms = base.licence
    if terms is None:
        yield f"The base's licence isn't known here: look at {words(base.name)} before you use or share this."
        return
    yield words(f"The base is under {terms.id}, as {terms.told_by} says: {terms.words}.")

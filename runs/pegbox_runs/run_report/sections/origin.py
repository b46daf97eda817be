"""What the run stood on: its recipe, the machine, the libraries' versions, the fingerprints."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_hardware.machine import Machine
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import recipe_text
from pegbox_runs.figures import size
from pegbox_runs.reporting.phrases import setting, short
from pegbox_runs.reporting.recipe_places import renamed
from pegbox_runs.run_report.facts import RunFacts
from pegbox_runs.run_report.parts import Grid, Pairs, Part, Said, Section, Verbatim


def recipe(facts: RunFacts) -> Section:
    """Show the recipe as it is now, and what was changed on the way."""
    if facts.recipe is None:
        return Section("recipe", "Recipe", (Said("The recipe can't be read.", "bad"),))
    parts: list[Part] = [
        Said(
            "The whole of the run, defaults written out. Saved as a file, pegbox train takes it once the folders of "
            "this machine, which are left out here, stand before the names.",
            "quiet",
        ),
        Verbatim("recipe.toml, as the run ended with it", recipe_text(_without_folders(facts.recipe)), "toml"),
    ]
    changes = tuple(
        (
            f"{one.step:,}",
            "memory" if one.why == "memory" else "asked for",
            change.key,
            setting(change.before),
            setting(change.after),
        )
        for one in facts.changes
        for change in one.changes
    )
    if changes:
        parts.insert(
            1, Grid(("After step", "Why", "Key", "Before", "Since"), changes, frozenset({0}), "Changed on the way.")
        )
    return Section("recipe", "Recipe", tuple(parts))


def _without_folders(recipe: Recipe) -> Recipe:
    return renamed(recipe, rows=short, model=short, template=short)


def origin(facts: RunFacts) -> Section:
    """Tell the machine, the versions and the fingerprints."""
    found = facts.environment
    if found is None:
        return Section("origin", "Where it ran", (Said("The record of the machine can't be read.", "bad"),))
    versions = {"pegbox": found.pegbox, "python": found.machine.python, **found.libraries}
    prints = [
        ("Rows' file", found.rows_sha256),
        ("Held-out rows' file", found.held_out_sha256),
        ("Model: config and sizes", found.model_sha256),
        ("Model: blocks of its weights", found.weights_sha256),
    ]
    return Section(
        "origin",
        "Where it ran, and on what",
        (
            Pairs(tuple(machine_pairs(found.machine))),
            Grid(("Library", "Version"), tuple((name, said or "not installed") for name, said in versions.items())),
            Grid(("Fingerprint, SHA-256", ""), tuple((name, said) for name, said in prints if said)),
        ),
    )


def machine_pairs(machine: Machine) -> Iterator[tuple[str, str]]:
    """Tell the machine, without its name."""
    yield "System", machine.system
    yield "Processor", f"{machine.cpu}, {machine.cores} cores"
    yield "Memory", size(machine.memory_total)
    for gpu in machine.gpus:
        driver = f", driver {gpu.driver}" if gpu.driver else ""
        yield "GPU", f"{gpu.name}, {size(gpu.memory_total)}{driver}"
    if not machine.gpus:
        yield "GPU", "none"

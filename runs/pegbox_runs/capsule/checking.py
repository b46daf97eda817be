"""Holding what a capsule's run stood on against what is here: each thing that differs, by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from pegbox_hardware.machine import Machine
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import portable
from pegbox_methods.refusal import Refusal
from pegbox_runs.capsule.lock import installed, normalised
from pegbox_runs.environment import Environment, describe, prints_of
from pegbox_runs.models import find_model
from pegbox_runs.rows.loading import find_rows

NUMBERS = frozenset({"torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "tokenizers", "numpy"})
"""Distributions whose code decides a run's numbers, or the rows' tokens."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that isn't as it was for the capsule's run."""

    about: str
    """`base`, `rows`, `held-out`, `tokenizer`, `template`, `python`, `pegbox`, `processor`, `device`, `threads`, or a
    distribution's name."""
    there: str
    """As the capsule has it."""
    here: str
    weight: Literal["stops", "may-explain", "unlikely"]
    """Whether it makes the same result impossible to ask for, may explain another one, or hardly can."""


def differences(told: Environment, constraints: str, recipe: Recipe) -> list[Difference]:
    """Hold everything against this machine.

    Raises: Refusal: the base model can't be found.
    """
    model = find_model(recipe.model)
    here = describe(rows_sha256="", held_out_sha256=None, base=prints_of(model, recipe.model))
    found = [*_base(recipe, told, here, from_hub=model.from_hub)]
    found += _tokenizer(recipe, told, here)
    found += _rows(recipe, told)
    found += _versions(told, here, constraints)
    found += _machine(told.machine, here.machine)
    if told.threads != here.threads:
        found.append(_explains("threads", _threads(told), _threads(here)))
    return found


def _base(recipe: Recipe, told: Environment, here: Environment, *, from_hub: bool) -> Iterator[Difference]:
    name = portable(recipe.model.name)
    if told.weights_sha256 and here.weights_sha256:
        if told.weights_sha256 != here.weights_sha256:
            yield _stops("base", told.weights_sha256, f"{here.weights_sha256} ({name})")
    elif not from_hub and told.model_sha256 != here.model_sha256:
        yield _stops("base", told.model_sha256, f"{here.model_sha256} ({name})")


def _tokenizer(recipe: Recipe, told: Environment, here: Environment) -> Iterator[Difference]:
    named = recipe.model.chat_template
    if named is not None and here.template_sha256 is None:
        yield _stops("template", told.template_sha256 or "not noted", f"can't be read: {portable(named)}")
        told = msgspec.structs.replace(told, template_sha256=None)
    for about, there, now in (
        ("tokenizer", told.tokenizer_sha256, here.tokenizer_sha256),
        ("template", told.template_sha256, here.template_sha256),
    ):
        if there is not None and there != now:
            yield Difference(about=about, there=there, here=now or "none", weight="may-explain")


def _rows(recipe: Recipe, told: Environment) -> Iterator[Difference]:
    try:
        found = find_rows(recipe)
    except Refusal as refusal:
        yield _missing(recipe, told, refusal)
        return
    if found.sha256 != told.rows_sha256:
        yield _stops("rows", told.rows_sha256, f"{found.sha256} ({portable(recipe.rows.file)})")
    if found.held_out_sha256 != told.held_out_sha256:
        yield _stops("held-out", told.held_out_sha256 or "none", found.held_out_sha256 or "none")


def _missing(recipe: Recipe, told: Environment, refusal: Refusal) -> Difference:
    """Say which rows can't be found: the rest are looked for without the held-out file."""
    said = f"not found: {refusal.sentence}"
    if recipe.split.file is not None:
        try:
            find_rows(msgspec.structs.replace(recipe, split=msgspec.structs.replace(recipe.split, file=None)))
        except Refusal:
            return _stops("rows", told.rows_sha256, said)
        return _stops("held-out", told.held_out_sha256 or "none", said)
    return _stops("rows", told.rows_sha256, said)


def _versions(told: Environment, here: Environment, constraints: str) -> Iterator[Difference]:
    if told.pegbox != here.pegbox:
        yield _explains("pegbox", told.pegbox, here.pegbox)
    locked = dict(_locked(constraints)) | {
        normalised(name): version for name, version in told.libraries.items() if version
    }
    now = installed() | {normalised(name): version for name, version in here.libraries.items() if version}
    for name in sorted(locked.keys() - {"pegbox"}):
        if locked[name] != now.get(name):
            weight: Literal["may-explain", "unlikely"] = "may-explain" if name in NUMBERS else "unlikely"
            yield Difference(about=name, there=locked[name], here=now.get(name) or "not installed", weight=weight)


def _locked(constraints: str) -> Iterator[tuple[str, str]]:
    for line in constraints.splitlines():
        name, pinned, version = line.partition("==")
        if pinned and not line.startswith("#"):
            yield normalised(name.strip()), version.strip()


def _machine(told: Machine, here: Machine) -> Iterator[Difference]:
    if _minor(told.python) != _minor(here.python):
        yield _explains("python", told.python, here.python)
    there, now = _processor(told), _processor(here)
    if there != now:
        yield _explains("processor", there, now)
    devices = [", ".join(gpu.name for gpu in machine.gpus) or "no GPU" for machine in (told, here)]
    if devices[0] != devices[1]:
        yield _explains("device", *devices)


def _processor(machine: Machine) -> str:
    return f"{machine.cpu}, {machine.cores} cores, {' '.join(sorted(machine.cpu_flags)) or 'no vector units known'}"


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])


def _threads(environment: Environment) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(environment.threads.items())) or "as many as cores"


def _stops(about: str, there: str, here: str) -> Difference:
    return Difference(about=about, there=there, here=here, weight="stops")


def _explains(about: str, there: str, here: str) -> Difference:
    return Difference(about=about, there=there, here=here, weight="may-explain")

"""From the options of `pegbox compare` to what shall be compared."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import msgspec

from pegbox_methods.home import user_path
from pegbox_methods.recipe import Metric, Recipe
from pegbox_methods.recipe_file import BUNDLED_GENERAL, read_recipe
from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_runs.arena.asking.budget import Budget
from pegbox_runs.arena.asking.checking import judged_recipe
from pegbox_runs.arena.asking.contestants import SEEDS, contestants_named, contestants_of, seeds_of
from pegbox_runs.arena.asking.creating import Wanted
from pegbox_runs.arena.spec import MOST_SEEDS
from pegbox_runs.this_machine import this_machine

DEFAULT_SEEDS = "3"
METRICS: tuple[Metric, ...] = get_args(Metric)


def read_wanted(asked: argparse.Namespace) -> Wanted:
    """Read the recipes and all options.

    Raises: Refusal.
    """
    recipes = [(_judged(read_recipe(Path(file), asked.set), asked), file) for file in asked.what]
    return Wanted(
        contestants=_contestants(recipes, asked.methods),
        seeds=read_seeds(asked.seeds or DEFAULT_SEEDS, recipes[0][0]),
        search=not asked.no_search,
        budget=None if asked.budget is None else Budget.parse(asked.budget),
        rank_budget=asked.rank_budget,
        gpus=read_gpus(asked.gpus),
        on=asked.on,
        at_once=asked.at_once,
    )


def _contestants(recipes: Sequence[tuple[Recipe, str]], methods: str | None) -> Mapping[str, Recipe]:
    if methods is None and len(recipes) == 1:
        raise Refusal("one recipe is nothing to compare: name methods, as in --methods lora,dora, or more recipes.")
    if methods is None:
        return contestants_of(recipes)
    if len(recipes) > 1:
        raise Refusal(
            "--methods makes contestants of one recipe, and several were named. Leave --methods out to compare the "
            "recipes as they are, or name one recipe."
        )
    return contestants_named(recipes[0][0], methods)


def _judged(recipe: Recipe, asked: argparse.Namespace) -> Recipe:
    """Put what shall be written down of the models into a recipe; what isn't asked for stays as a comparison has it."""
    judging = judged_recipe(recipe).judging
    if asked.general is not None:
        judging = msgspec.structs.replace(judging, general=_general(asked.general))
    if asked.metrics is not None:
        judging = msgspec.structs.replace(judging, metrics=read_metrics(asked.metrics))
    return msgspec.structs.replace(recipe, judging=judging)


def _general(named: str) -> str | None:
    if named in {"none", BUNDLED_GENERAL}:
        return None if named == "none" else BUNDLED_GENERAL
    path = user_path(named).absolute()
    if not path.is_file():
        raise Refusal(f"--general {named}: there is no such file. Give rows, or `bundled`, or `none`.")
    return str(path)


def read_metrics(text: str) -> tuple[Metric, ...]:
    """Read names with commas. Raises: Refusal: one isn't known."""
    names = _words(text)
    for name in names:
        if name not in METRICS:
            raise Refusal(f"--metrics: {name} is no measure; {did_you_mean(name, METRICS)}")
    return tuple(one for one in METRICS if one in names)


def read_seeds(text: str, recipe: Recipe) -> tuple[int, ...]:
    """Read how many, from the recipe's own on, or which; a list has a comma.

    Raises: Refusal.
    """
    words = _words(text)
    if not words or not all(_number(word) < SEEDS for word in words):
        raise Refusal(
            f"--seeds {text}: expected how many trainings each contestant gets, as in 3, or their seeds, as in 1,2,3."
        )
    if "," not in text:
        return seeds_of(recipe, int(words[0]))
    seeds = tuple(int(word) for word in words)
    if len(set(seeds)) < len(seeds):
        raise Refusal(f"--seeds {text}: a seed is there twice, and the same training twice says nothing new.")
    if len(seeds) > MOST_SEEDS:
        raise Refusal(f"--seeds {text}: these are {len(seeds)}, and a comparison has {MOST_SEEDS} at most.")
    return seeds


def read_gpus(text: str | None) -> tuple[str, ...]:
    """Read which GPUs work side by side, as CUDA_VISIBLE_DEVICES names them. Empty: one, in turn.

    Raises: Refusal: there is no such GPU here.
    """
    if text is None:
        return ()
    there = this_machine().gpus
    names = [gpu.uuid or str(place) for place, gpu in enumerate(there)]
    if not names:
        raise Refusal(f"--gpus {text}: no GPU can be used here; `pegbox doctor` says why. Leave --gpus out.")
    if text == "all":
        return tuple(names)
    chosen = []
    for word in _words(text):
        place = names.index(word) if word in names else _number(word)
        if place >= len(names):
            last = f"0 to {len(names) - 1}" if len(names) > 1 else "0 alone"
            raise Refusal(f"--gpus {text}: there is no GPU {word} here; expected `all`, or numbers of {last}.")
        chosen.append(names[place])
    if not chosen or len(set(chosen)) < len(chosen):
        raise Refusal(f"--gpus {text}: expected `all`, or each GPU's number once, as in 0,1.")
    return tuple(chosen)


def _number(word: str) -> int:
    """Read a small number; what is none counts as one that is too large."""
    return int(word) if word.isdecimal() and len(word) < 12 else SEEDS


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]

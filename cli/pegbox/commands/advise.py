"""pegbox advise MODEL"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

import msgspec

from pegbox.advice_view import show_advice
from pegbox.answer import answer_json, say
from pegbox_methods.advice.goals import Goal, parse_goal
from pegbox_methods.advice.records import Advice
from pegbox_methods.home import user_path
from pegbox_methods.recipe_file import portable, recipe_text
from pegbox_methods.refusal import Refusal
from pegbox_runs.advising import advise_for, recipe_of
from pegbox_runs.whole_file import write_new


def run(asked: argparse.Namespace) -> int:
    """Recommend a method and its settings. Exit code 1: nothing fits."""
    rows = None if asked.data is None else Path(asked.data)
    _refuse_write(asked.write, rows)
    advice = advise_for(
        asked.model,
        file=rows,
        goal=_goal(asked),
        gpu=asked.gpu,
        vram_gib=asked.vram,
        price_per_hour=asked.price_per_hour,
        devices=asked.devices,
        nodes=asked.nodes,
        network_gbit=asked.network,
    )
    written = _written(advice, asked, rows)
    command = _command(advice, asked, written)
    if asked.json:
        named = {"model": asked.model, "recipe": written and str(written), "command": command}
        answer_json({**named, **msgspec.to_builtins(advice)})
    else:
        show_advice(advice, model=asked.model, command=command)
    if asked.write and written is None:
        say(f"{asked.write} was not written, as nothing fits.", json=asked.json)
    return 0 if advice.fits else 1


def _goal(asked: argparse.Namespace) -> Goal:
    """Read --goal and --priority. Raises: Refusal."""
    return parse_goal([*asked.goal, *([asked.priority] if asked.priority else [])])


def _refuse_write(target: str | None, rows: Path | None) -> None:
    """Refuse what couldn't be written, before any work. Raises: Refusal."""
    if target is None:
        return
    if rows is None:
        raise Refusal("--write: a recipe names its rows; give --data FILE too.")
    if user_path(target).exists():
        raise _there_already(target)


def _there_already(target: str) -> Refusal:
    return Refusal(f"--write {target}: there is such a file already; name another one.")


def _written(advice: Advice, asked: argparse.Namespace, rows: Path | None) -> Path | None:
    """Write the recipe where it was asked for and the run fits. Raises: Refusal: it isn't accepted."""
    if asked.write is None or rows is None or not advice.fits:
        return None
    path = user_path(asked.write)
    text = recipe_text(recipe_of(advice, asked.model, rows))
    try:
        write_new(path, text.encode())
    except FileExistsError:
        raise _there_already(asked.write) from None
    except OSError as error:
        raise Refusal(f"--write {asked.write}: {error.strerror or error}.") from None
    return path


def _command(advice: Advice, asked: argparse.Namespace, written: Path | None) -> str | None:
    """Give the one command to run next; None: nothing fits, so none would help."""
    if not advice.fits:
        return None
    uuids = ",".join(advice.devices.uuids) if advice.devices else advice.place.uuid
    device = f"CUDA_VISIBLE_DEVICES={shlex.quote(uuids)} " if uuids else ""
    spread = 1 if advice.devices is None else advice.devices.nodes
    nodes = "" if spread == 1 else f" --nodes {spread} --node-rank 0 --rendezvous HOST:PORT"  # the first of them
    if written is not None:
        return f"{device}pegbox train {shlex.quote(portable(str(written)))}{nodes}".replace("'~/", "~/'")
    words: list[Any] = ["pegbox", "advise", asked.model, "--data", asked.data or "ROWS.jsonl"]
    for goal in asked.goal:
        words += ["--goal", goal]
    for flag in ("priority", "gpu", "vram", "devices", "nodes", "network"):
        value = getattr(asked, flag)
        words += [] if value is None or (flag == "nodes" and value == 1) else [f"--{flag}", value]
    words += ["--write", "recipe.toml"]
    return f"{shlex.join(map(str, words))} && {device}pegbox train recipe.toml{nodes}"

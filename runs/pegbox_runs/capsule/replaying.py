"""Repeating a capsule's run: an ordinary run from its recipe, stopped where that one was."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pegbox_methods.events import Finished, Phase
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.capsule import contents as names
from pegbox_runs.capsule.contents import Contents, PackedSource
from pegbox_runs.capsule.opening import Opened
from pegbox_runs.changes import overrides
from pegbox_runs.commands import send
from pegbox_runs.environment import THREADS
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.starting import start_runs
from pegbox_runs.viewing import Advance, follow, state_of


@dataclass(frozen=True)
class Replay:
    """What is to be run."""

    recipe: Recipe
    stop_after: int | None
    """The step behind which the capsule's run was stopped; None: it wasn't."""


def recipe_of(opened: Opened, aside: Path, *, rows: Path | None, held_out: Path | None, model: str | None) -> Recipe:
    """Read the packed recipe, with what takes the place of its rows, held-out rows and base. `aside`: an empty folder
    that stays as long as the replay runs: rows and a chat template that were packed are laid there.

    Raises: Refusal.
    """
    written = aside / names.RECIPE
    written.write_bytes(opened.text(names.RECIPE))
    changed = [override for one in opened.revisions() if one.step == 0 for override in overrides(one.changes)]
    recipe = read_recipe(written, [*changed, *([f"model.name={model}"] if model else [])])
    contents = opened.contents
    if contents.sources:
        for source in (*contents.sources, *([contents.held_out] if contents.held_out else [])):
            _refuse_elsewhere(source, contents)
        opened.unpack(names.ROWS, aside)
        recipe = _with_rows(recipe, contents.sources, contents.held_out, aside)
    if names.TEMPLATE in contents.members and recipe.model.chat_template is not None:
        template = aside / names.TEMPLATE
        template.write_bytes(opened.text(names.TEMPLATE))
        recipe = msgspec.structs.replace(
            recipe, model=msgspec.structs.replace(recipe.model, chat_template=str(template))
        )
    return _with_given(recipe, rows, held_out)


def _with_given(recipe: Recipe, rows: Path | None, held_out: Path | None) -> Recipe:
    """Let the recipe name the rows that were given. Raises: Refusal: its run had no held-out file."""
    if rows is not None:
        recipe = msgspec.structs.replace(recipe, rows=msgspec.structs.replace(recipe.rows, file=str(rows)))
    if held_out is not None:
        if recipe.split.file is None:
            raise Refusal(
                "--held-out: the capsule's run held out a share of its rows, and no file. Leave --held-out out."
            )
        recipe = msgspec.structs.replace(recipe, split=msgspec.structs.replace(recipe.split, file=str(held_out)))
    return recipe


def replay_of(opened: Opened, recipe: Recipe) -> Replay:
    """Decide how the run is repeated.

    Raises: Refusal: it can't be repeated exactly, and why.
    """
    summary, late = opened.summary(), [one for one in opened.revisions() if one.step > 0]
    if late:
        what = one_line(", ".join(change.key for one in late for change in one.changes), 200)
        raise Refusal(
            f"{one_line(opened.contents.run, 80)}: was changed after step {late[0].step} ({what}), and a replay can't "
            "change a run at the same moment. `--only-check` says what differs here; its recipe.toml is what "
            "it began with."
        )
    if summary.status == "finished":
        return Replay(recipe, None)
    if summary.status == "stopped" and summary.steps:
        whole = summary.steps_planned is not None and summary.steps >= summary.steps_planned
        return Replay(recipe, None if whole else summary.steps)
    raise Refusal(
        f"{one_line(opened.contents.run, 80)}: ended as {summary.status}, so there is no end that a "
        "replay could come to."
    )


def take_threads(told: dict[str, str]) -> None:
    """Let what is started from here on compute on as many threads as the capsule's run."""
    for variable in THREADS:  # the worker takes them from here; a capsule may say what it likes, and gets a number
        os.environ.pop(variable, None)
        if told.get(variable, "").isdecimal():
            os.environ[variable] = told[variable]


def start(replay: Replay, *, name: str) -> RunFolder:
    """Start the replay. Raises: Refusal."""
    (folder,) = start_runs([(replay.recipe, name)])
    return folder


def wait(folder: RunFolder, replay: Replay, seen: Callable[[Advance], None]) -> RunState:
    """Follow the replay to its end, and stop it where the capsule's run was stopped.

    Raises: Refusal: it came to another end.
    """
    asked = replay.stop_after is None
    state = RunState()
    for advance in follow(folder):
        state = advance.state
        if not asked and replay.stop_after and any(isinstance(event, Phase) for event in advance.news):
            send(folder.commands, "stop", after=replay.stop_after)
            asked = True
        seen(advance)
    wanted = "stopped" if replay.stop_after else "finished"
    if state.status != wanted or (replay.stop_after and state.steps_done != replay.stop_after):
        ended = f"after step {state.steps_done}" if isinstance(state.ended, Finished) else ""
        raise Refusal(
            f"{folder.id}: the replay came to another end than the capsule's run: {state.status} {ended}".rstrip()
            + f". `pegbox watch {folder.id}` shows why."
        )
    return state


def give_up(folder: RunFolder) -> None:
    """Let a replay that nobody waits for any more end at once. Raises: OSError."""
    if not state_of(folder).over:
        send(folder.commands, "abort")


def _with_rows(recipe: Recipe, sources: tuple[PackedSource, ...], held_out: PackedSource | None, aside: Path) -> Recipe:
    """Let the recipe name the packed rows. Raises: Refusal: there are more or fewer than it names."""
    own, *mixed = sources
    if len(mixed) != len(recipe.rows.mix):
        raise Refusal("the capsule's rows aren't those that its recipe names.")
    rows = msgspec.structs.replace(
        recipe.rows,
        file=_place(own, aside),
        mix=tuple(
            msgspec.structs.replace(asked, file=_place(one, aside))
            for asked, one in zip(recipe.rows.mix, mixed, strict=True)
        ),
    )
    split = recipe.split
    if held_out is not None:
        split = msgspec.structs.replace(split, file=_place(held_out, aside))
    return msgspec.structs.replace(recipe, rows=rows, split=split)


def _refuse_elsewhere(source: PackedSource, contents: Contents) -> None:
    """Refuse a place that isn't one of the capsule's own rows. Raises: Refusal."""
    inside = source.place.startswith(names.ROWS) and any(name.startswith(source.place) for name in contents.members)
    if not inside or (source.one_file and f"{source.place}{source.one_file}" not in contents.members):
        raise Refusal("the capsule names rows that don't lie in it; it is damaged or was tampered with.")


def _place(source: PackedSource, aside: Path) -> str:
    folder = aside / source.place.removeprefix(names.ROWS)
    return str(folder / source.one_file if source.one_file else folder)

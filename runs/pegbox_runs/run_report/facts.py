"""All that a report of a run is made of, read from its folder. What isn't there, or can't be read, is left out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pegbox_methods.events import UNDECODABLE
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact, read_artefact
from pegbox_runs.artefacts.making import is_whole
from pegbox_runs.changes import Revision, current_recipe, revisions
from pegbox_runs.environment import Environment, read_environment
from pegbox_runs.evaluating.keeping import Telling, telling
from pegbox_runs.expected import Expected, read_expected
from pegbox_runs.judging.judged import Judged, read_judged
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_report.course import Course, read_course
from pegbox_runs.run_state import RunState


@dataclass(frozen=True)
class Made:
    """An artefact that was made of the run."""

    name: str
    """Its folder's name."""
    artefact: Artefact
    whole: bool
    """Whether all its files are there, in their size."""


@dataclass(frozen=True)
class RunFacts:
    """One moment of a run."""

    folder: RunFolder
    course: Course
    recipe: Recipe | None
    """As it is now; None: it can't be read."""
    changes: tuple[Revision, ...]
    environment: Environment | None
    expected: Expected | None
    judged: Judged | None
    telling: Telling
    """The evaluations against the base that have a say."""
    artefacts: tuple[Made, ...]
    adapter_bytes: int | None
    """None: there is no adapter."""
    now: float
    """Seconds since 1970."""

    @property
    def state(self) -> RunState:
        """What the log comes to."""
        return self.course.state


def read_facts(folder: RunFolder) -> RunFacts:
    """Read them. Raises: OSError: the log can't be read."""
    recipe, changes = _recipe(folder)
    return RunFacts(
        folder=folder,
        course=read_course(folder),
        recipe=recipe,
        changes=changes,
        environment=_environment(folder),
        expected=read_expected(folder),
        judged=read_judged(folder.path),
        telling=telling(folder),
        artefacts=tuple(_artefacts(folder.exports)),
        adapter_bytes=_bytes(folder.adapter),
        now=time.time(),
    )


def _recipe(folder: RunFolder) -> tuple[Recipe | None, tuple[Revision, ...]]:
    try:
        return current_recipe(folder), tuple(revisions(folder))
    except Refusal:
        return None, ()


def _environment(folder: RunFolder) -> Environment | None:
    try:
        return read_environment(folder.environment)
    except (OSError, *UNDECODABLE):
        return None


def _artefacts(exports: Path) -> list[Made]:
    places = sorted(path for path in exports.glob("*") if not path.name.startswith("."))
    found = [(path, read_artefact(path)) for path in places]
    return [Made(path.name, artefact, is_whole(path)) for path, artefact in found if artefact is not None]


def _bytes(adapter: Path) -> int | None:
    try:
        return sum(path.stat().st_size for path in adapter.rglob("*.safetensors")) or None
    except OSError:
        return None

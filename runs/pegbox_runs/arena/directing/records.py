"""What is written of a comparison as it goes on: results.json after every entry, the report in the end.

Where there are so many entries that making results.json takes long, it is made for several of them at once. None of it
is worth a training: what fails is told, once, and all goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.metadata import version

from pegbox_hardware.machine import Machine
from pegbox_methods.events import Event, Notice
from pegbox_methods.recipe_file import portable
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing.entry_folder import first_ground
from pegbox_runs.arena.entries import Outcome
from pegbox_runs.arena.outcomes import OutcomeReader
from pegbox_runs.arena.results import Results, write_results
from pegbox_runs.arena.schedule import is_over
from pegbox_runs.arena.spec import Comparison, read_comparison
from pegbox_runs.figures import gib
from pegbox_runs.printable import one_line

CHEAP_SECONDS, SHARE = 0.1, 0.05
"""Of the processor: results.json that takes more to make waits until it takes no more than such a share of the time."""


class Records:
    """Writes them. `tell`: where trouble is told."""

    behind = False
    """Whether something was to be written that waits."""

    def __init__(self, folder: ComparisonFolder, tell: Callable[[Event], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._told: set[str] = set()
        self._next_at = 0.0

    def keep(self, results: Callable[[], Results], *, report: bool) -> None:
        """Write results.json anew, and the report too if it is wanted; without it, perhaps later: see `behind`."""
        self.behind = not report and time.monotonic() < self._next_at
        if self.behind:
            return
        began = time.thread_time()
        made: Results | None = None
        try:
            made = results()
            write_results(made, self._folder)
        except Exception as error:  # noqa: BLE001  # the trainings go on
            self._tell_once("results.json", error)
        took = time.thread_time() - began
        self._next_at = time.monotonic() + (took / SHARE if took > CHEAP_SECONDS else 0.0)
        if made is not None and report:
            try:
                _write_report(made, self._folder)
            except Exception as error:  # noqa: BLE001
                self._tell_once("the report", error)

    def _tell_once(self, what: str, error: Exception) -> None:
        if what not in self._told:
            self._told.add(what)
            said = error.sentence if isinstance(error, Refusal) else f"{type(error).__name__}: {error}"
            text = f"{what} couldn't be written ({one_line(said, 300)}); nothing that was trained is lost by that"
            self._tell(Notice(text=text, about="results"))


def results_now(
    folder: ComparisonFolder,
    comparison: Comparison,
    outcomes: Mapping[str, Outcome],
    *,
    device: str | None,
    complete: bool,
    remarks: tuple[str, ...] = (),
) -> Results:
    """Make the record of what is known by now. `device`: where it is trained, as torch names it; None: not known."""
    from pegbox_runs.arena.verdict.summing_up import Facts, results_of  # brings numpy, which a director may never need

    recipe, ground = next(iter(comparison.recipes.values())), first_ground(folder)
    return results_of(
        comparison,
        outcomes,
        Facts(
            comparison=folder.id,
            complete=complete,
            machine="" if ground is None else _described(ground.machine),
            device=device,
            model=portable(recipe.model.name),
            rows_file=portable(recipe.rows.file),
            version=version("pegbox"),
            remarks=remarks,
        ),
    )


def records_anew(folder: ComparisonFolder) -> Results | None:
    """Make results.json and the report from what the entries tell. Returns: None: no training is done yet.

    Raises: Refusal: comparison.toml or a recipe can't be read. OSError.
    """
    comparison = read_comparison(folder)
    reader = OutcomeReader(folder)
    outcomes = reader.read(comparison)
    if not any(one.state == "done" for one in outcomes.values()):
        return None
    complete = is_over(comparison, outcomes)
    made = results_now(folder, comparison, outcomes, device=reader.device, complete=complete, remarks=reader.remarks)
    write_results(made, folder)
    _write_report(made, folder)
    return made


def _described(machine: Machine) -> str:
    """Name what computes, in a line."""
    gpus = [gpu.name for gpu in machine.gpus]
    cores = f"{machine.cores} core{'s' if machine.cores > 1 else ''}"
    return ", ".join([*gpus, machine.cpu, cores, gib(machine.memory_total)])


def _write_report(results: Results, folder: ComparisonFolder) -> None:
    from pegbox_runs.arena.report.writing import write_report

    write_report(results, folder)

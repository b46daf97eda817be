"""What the list says around its lines: headline, the chosen run, questions. Text without markup throughout."""

from __future__ import annotations

from rich.text import Text

from pegbox_runs.figures import duration, size
from pegbox_runs.listing import ListedRun
from pegbox_runs.printable import one_line
from pegbox_runs.removing import Holdings
from pegbox_runs.together import processes
from pegbox_tui.runs_list.columns import COLUMNS, loss, moment, state_in_words, steps
from pegbox_tui.runs_list.order import IN_WORDS, View
from pegbox_tui.runs_list.states import STATES
from pegbox_tui.shell.explaining import Explanation

MOST_OF_TROUBLE = 230
"""Characters: three lines of the narrowest terminal. All of it stands where the run is opened."""
NONE_YET = (
    "There are no runs yet. `pegbox` leads to a first one, `pegbox demo` trains the bundled model in half a minute, "
    "`pegbox train RECIPE` starts one from a file."
)
NONE_SHOWN = "No run is as asked for. Escape empties the filter, r shows more than the running ones."


def headline(view: View, count_shown: int, count_all: int, *, whole: bool) -> str:
    """Say how many runs there are, which are shown, and in which order."""
    number = f"{count_all:,}" if count_shown == count_all else f"{count_shown:,} of {count_all:,}"
    said = [f"Runs: {number}{'' if whole else ', reading'}", IN_WORDS[view.sort]]
    if view.only_running:
        said.append("only running ones")
    if view.words:
        said.append(f'with "{one_line(view.words, 40)}"')
    return " · ".join(said)


def details(run: ListedRun) -> Text:
    """Tell all of the chosen run, a line each: what the list cuts or leaves out too."""
    figures = [f"steps {steps(run)}", f"evaluation loss {loss(run)}"]
    if run.best_step is not None:
        figures[-1] += f" at step {run.best_step}"
    if run.seconds > 0:
        figures.append(f"took {duration(run.seconds)}")
    said = Text()
    said.append(state_in_words(run), f"bold {STATES[run.status].color}".rstrip())
    said.append(f"  {one_line(run.id, 100)}{'' if run.started is None else f'  started {moment(run.started)}'}\n")
    if run.trouble:
        said.append(f"{one_line(run.trouble, MOST_OF_TROUBLE)}\n", "red")
    if run.status == "damaged" and run.model is None:
        return said.append(one_line(str(run.folder.path), 300))
    together = f", {processes(run.processes, run.engine)}" if run.engine else ""
    said.append(f"{one_line(run.method or '-', 60)} on {one_line(run.model or '-', 90)}{together}\n")
    said.append(f"rows {one_line(run.rows or '-', 150)}\n")
    said.append(f"{' · '.join(figures)}\n")
    if run.note:
        said.append(f"note {one_line(run.note, 300)}")
    return said


def removal_question(run: str, goes: Holdings) -> str:
    """Ask before a run is deleted, and name what goes."""
    parts = [
        "its result, the adapter" if goes.adapter else "",
        f"{goes.checkpoints} checkpoint{'' if goes.checkpoints == 1 else 's'}" if goes.checkpoints else "",
        "its recipe, its log and its figures",
    ]
    return (
        f"Delete {one_line(run, 100)}? {size(goes.bytes)} go for good: {', '.join(filter(None, parts))}. "
        "The model and the rows that it used stay."
    )


def explanation(run: ListedRun | None) -> Explanation:
    """Explain the chosen run's state, then every column and the other states."""
    columns = "\n".join(f"{column.title}: {column.meaning}" for column in COLUMNS)
    states = "\n".join(f"{told.sign} {name}: {told.meaning}" for name, told in STATES.items())
    if run is None:
        return Explanation("All runs", f"A line for each run in Pegbox' folder.\n\n{columns}\n\nThe states\n{states}")
    return Explanation(
        f"A run that is {run.status}" if run.status != "lost" else "A run that was lost",
        f"{state_in_words(run)}: {STATES[run.status].meaning}\n\nThe columns\n{columns}\n\nAll states\n{states}",
    )

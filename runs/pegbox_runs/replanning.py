"""What a run goes on with after memory ran out: settings that need less, and leave the experiment as it was.

What was in hand is read off the log here, in the supervisor. What needs less is found in a process of its own
(`less_memory.py`): the forecast would stay in the supervisor's memory for the rest of the run, and a guest's card,
which may do anything, is asked for its price.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import msgspec

from pegbox_methods.events import Change, WorkerFailed
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.run_state import RunState

MODULE = "pegbox_runs.less_memory"
LONGEST_SECONDS = 120.0
"""A forecast takes less than one; guests' cards may take some more."""

Work = Literal["start", "sample", "training", "evaluation", "other"]


class Replan(msgspec.Struct, frozen=True):
    """What changes, and the same for people: what it costs, and what stays."""

    changes: tuple[Change, ...]
    text: str


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """What ran out of memory: a present recipe, what was in hand, and the worker's device as torch names it."""

    recipe: Recipe
    work: Work
    device: str | None
    """None: the worker hadn't told."""


def replan(recipe: Recipe, state: RunState) -> Replan | None:
    """Find what needs less memory than what was in hand when it ran out; None: nothing is left.

    `recipe` is the present one, with all that was changed before.
    Raises: Refusal: it couldn't be found out.
    """
    if _of_the_machine(state):
        return None
    shortage = Shortage(recipe=recipe, work=work_in_hand(state), device=_device(state))
    if shortage.work in ("start", "other"):
        return None
    return _asked(shortage)


def work_in_hand(state: RunState) -> Work:
    """Say what the newest worker was doing: by its own word, or, if the kernel killed it, by the log's last phase."""
    trouble = _newest_trouble(state)
    place = trouble.where if trouble is not None else state.phase.phase if state.phase is not None else ""
    if place.startswith("answering"):
        return "sample"
    if place.startswith("judging answers"):
        return "other"  # shorter ones couldn't be compared with those of other runs
    if place.startswith(("evaluating", "judging")):
        return "evaluation"
    if place.startswith("training"):
        return "training"
    if place.startswith("preparing"):
        # Questions are answered before the first step; a worker that was killed there could have been at one.
        return "sample" if _killed(trouble) and not state.samples else "start"
    return "other"


def _killed(trouble: WorkerFailed | None) -> bool:
    """Tell whether the kernel killed the worker, or one of its several processes: that one said nothing of its work."""
    return trouble is None or (trouble.kind == "host-memory" and not trouble.doing)


def _newest_trouble(state: RunState) -> WorkerFailed | None:
    """Give what the newest worker told of its end; what one before it told is of no use."""
    began = state.started.seq if state.started is not None else 0
    return state.trouble if state.trouble is not None and state.trouble.seq >= began else None


def _of_the_machine(state: RunState) -> bool:
    """Tell whether it was the machine's memory in a run that trains on a card: no setting moves that."""
    trouble, device = _newest_trouble(state), _device(state)
    own = trouble is None or trouble.kind == "host-memory"
    return own and device is not None and device != "cpu"


def _device(state: RunState) -> str | None:
    return None if state.prepared is None else state.prepared.device


def _asked(shortage: Shortage) -> Replan | None:
    try:
        found = subprocess.run(
            [sys.executable, "-P", "-m", MODULE],
            input=msgspec.json.encode(shortage),
            stdout=subprocess.PIPE,
            check=True,
            timeout=LONGEST_SECONDS,
        )
        return msgspec.json.decode(found.stdout, type=Replan | None)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
        raise Refusal(f"what needs less memory couldn't be found out ({type(error).__name__}): {error}") from error

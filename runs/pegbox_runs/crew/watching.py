"""Whether processes that carry a run together can still come to its end, judged by what was seen of each.

Pure: facts in, a sentence out. Seconds are the watcher's own, counted from when it last saw something change: the
clocks of several machines differ, and one may be set back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pegbox_runs.crew.rank_files import Doing
from pegbox_runs.printable import one_line

GONE_SECONDS = 5.0
"""How long the launcher may take to see that a process of its own is gone."""
STOPPED_SECONDS = 15.0
"""How long one may be held by a signal or a debugger."""
SILENT_SECONDS = 60.0
"""How long one that lives may say nothing: a library may keep its threads from their turn for some seconds."""
SILENT_LOADING_SECONDS = 600.0
"""The same while a base model is read, perhaps from another machine's disk."""
STILL_SECONDS = 120.0
LONGEST_STEPS = 10
"""As many times the longest that anything took so far may pass without any progress, and `STILL_SECONDS` at least."""
STILL_AT_FIRST_SECONDS = 600.0
"""The same where nothing is known yet of how long a layer's pass takes, and in judging and saving."""
STILL_READING_SECONDS = 1800.0
"""The same while a base model or rows are read: nothing is told on the way. Torch's own patience.

Source: torch.distributed.distributed_c10d.default_pg_timeout.
"""
COMING_SECONDS = 180.0
"""How long after the first process the last one may come, on one machine."""
STARTING_SECONDS = 300.0
"""How long a launcher may take until there is a process."""
STEPPING: frozenset[Doing] = frozenset({"training", "evaluating"})
RESTING: frozenset[Doing] = frozenset({"paused", "ended"})
READING: frozenset[Doing] = frozenset({"starting", "loading", "preparing"})


@dataclass(frozen=True)
class Seen:
    """One process, as it was seen last."""

    rank: int
    host: str
    step: int
    doing: Doing
    quiet: float
    """Seconds since it said anything."""
    still: float
    """Seconds since it had done anything."""
    gone: float | None = None
    """Seconds since its process ended; None: it lives, or is on a machine into which nobody can look from here."""
    stopped: bool = False
    """Whether the system says that its process is held."""
    failing: bool = False
    """Whether it has said why it is about to end."""

    @property
    def name(self) -> str:
        """Name it for people."""
        return f"rank {self.rank} on {one_line(self.host, 80)}"


@dataclass(frozen=True)
class Facts:
    """All processes, by rank."""

    ranks: Sequence[Seen]
    expected: int
    since_first: float
    """Seconds since the first one came; since the launcher was started, where none has come."""
    longest: float | None = None
    """Seconds between two signs of progress, the most there were in steps and batches; None: there were none yet."""
    coming: float = COMING_SECONDS


@dataclass(frozen=True)
class Broken:
    """What keeps the run from going on."""

    rank: int | None
    """Whose fault it is; None: it can't be told."""
    what: str
    gone: bool = False
    """Whether that one ended by itself, so that its launcher knows how."""


def judge(facts: Facts) -> Broken | None:
    """Say what is wrong; None: all may be well. The surest is told first."""
    return _gone(facts) or _silent(facts) or _absent(facts) or _hung(facts)


def _gone(facts: Facts) -> Broken | None:
    ended = [seen for seen in facts.ranks if seen.gone is not None and seen.doing != "ended"]
    late = [seen for seen in ended if seen.gone is not None and seen.gone > GONE_SECONDS]
    if not late:
        return None
    first = max(late, key=lambda seen: seen.gone or 0.0)
    return Broken(first.rank, f"{first.name} ended, and told no reason", gone=True)


def _silent(facts: Facts) -> Broken | None:
    there = [seen for seen in facts.ranks if seen.gone is None and seen.doing != "ended"]
    for seen in there:
        if seen.stopped and seen.quiet > STOPPED_SECONDS:
            held = "is held by a signal (SIGSTOP?) or a debugger, and the others wait for it"
            return Broken(seen.rank, f"{seen.name} {held}")
    for seen in sorted(there, key=lambda seen: -seen.quiet):
        patience = SILENT_LOADING_SECONDS if seen.doing in READING else SILENT_SECONDS
        if seen.quiet > patience:
            return Broken(
                seen.rank,
                f"{seen.name} has said nothing for {patience:g} s while {seen.doing}: its machine is cut off or stuck",
            )
    return None


def _absent(facts: Facts) -> Broken | None:
    if not facts.ranks:
        if facts.since_first <= max(STARTING_SECONDS, facts.coming):
            return None
        return Broken(None, "the launcher lives, and has started no process in all the time that it had")
    missing = sorted(set(range(facts.expected)) - {seen.rank for seen in facts.ranks})
    if not missing or facts.since_first <= facts.coming:
        return None
    shown = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
    ranks = f"rank {shown} hasn't" if len(missing) == 1 else f"ranks {shown} haven't"
    here = len(facts.ranks)
    came = f"{here} of {facts.expected} did"
    return Broken(missing[0], f"{ranks} come within {facts.coming:g} s of the first one; {came}")


def _hung(facts: Facts) -> Broken | None:
    """See whether nobody gets on. One that waits for another gets on as little as that one does."""
    if not facts.ranks or any(seen.doing in RESTING or seen.failing for seen in facts.ranks):
        return None
    still = min(seen.still for seen in facts.ranks)
    patience = _patience(facts)
    if still <= patience:
        return None
    waited = f"nothing was done for {patience:.0f} s"
    fewest, most = min(seen.step for seen in facts.ranks), max(seen.step for seen in facts.ranks)
    behind = [seen for seen in facts.ranks if seen.step == fewest]
    if fewest < most and len(behind) < len(facts.ranks):
        first = behind[0]
        return Broken(first.rank, f"{waited}: {first.name} is in step {fewest + 1}, others wait in step {most + 1}")
    apart = {seen.doing for seen in facts.ranks}
    if len(apart) > 1:
        at = "; ".join(f"{seen.name} is {seen.doing}" for seen in facts.ranks[:4])
        return Broken(None, f"{waited}, in step {most + 1}: {at}")
    return Broken(None, f"{waited}: all processes hang in step {most + 1}, {facts.ranks[0].doing}")


def _patience(facts: Facts) -> float:
    """Give how long all may stand still: each work has its own time, and one that waits has that of the other."""
    longest = LONGEST_STEPS * (facts.longest or 0.0)
    if any(seen.doing in READING for seen in facts.ranks):
        return max(STILL_READING_SECONDS, longest)
    if facts.longest is None or any(seen.doing not in STEPPING for seen in facts.ranks):
        return max(STILL_AT_FIRST_SECONDS, longest)
    return max(STILL_SECONDS, longest)

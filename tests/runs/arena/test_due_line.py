"""The line of what is due, kept up to date, is always what the whole schedule says."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_runs.arena.due_line import DueLine
from pegbox_runs.arena.entries import Entry, EntryState, Outcome
from pegbox_runs.arena.schedule import due, is_over
from pegbox_runs.arena.spec import Comparison
from tests.runs.arena.made_up_comparisons import comparison, done, failed, losses

STATES: list[EntryState] = ["new", "running", "stopped", "failed", "done"]


def outcome(entry: Entry, state: EntryState, diverged: bool, off: float) -> Outcome:
    if state == "done":
        return done(entry, losses(math.inf if diverged else 10 + off))
    if state == "failed":
        return failed(entry, diverged=diverged)
    return Outcome(entry=entry, state=state)


def agrees(line: DueLine, game: Comparison, outcomes: dict[str, Outcome], in_hand: dict[str, Entry]) -> None:
    every = due(game, outcomes)
    waiting = [entry for entry in every if entry.id not in in_hand]
    assert [*line.waiting()] == waiting
    assert line.waits == len(waiting)
    assert line.over == is_over(game, outcomes)
    assert line.outcomes == outcomes
    assert line.over_count == sum(one.over for one in outcomes.values())
    assert line.states["done"] == sum(one.state == "done" for one in outcomes.values())
    ran = [one for one in waiting if one.id in outcomes and outcomes[one.id].state == "running"]
    assert line.left_running == ran


@settings(max_examples=300)
@given(st.data())
def test_whatever_happens_the_line_gives_the_schedules_order(data: st.DataObject) -> None:
    asked = {
        "search": data.draw(st.booleans()),
        "budget_seconds": data.draw(st.sampled_from([None, 10.0])),
    }
    names = ["a", "b", "c"][: data.draw(st.integers(1, 3))]
    game = comparison(*names, seeds=range(data.draw(st.integers(1, 4))), **asked)
    outcomes: dict[str, Outcome] = {}
    in_hand: dict[str, Entry] = {}
    line = DueLine(game, outcomes)
    for _ in range(data.draw(st.integers(0, 25))):
        deed = data.draw(st.sampled_from(["take", "end", "end", "end", "meddle", "gone", "paced", "joins", "whole"]))
        waiting = [entry for entry in due(game, outcomes) if entry.id not in in_hand]
        if deed == "take":
            barred = set(data.draw(st.lists(st.sampled_from(waiting or [None]), max_size=2)))
            found = line.take(lambda entry: None if entry in barred else "a lane")  # noqa: B023  # called at once
            may = [entry for entry in waiting if entry not in barred]
            assert found == ((may[0], "a lane") if may else None)
            if found is not None:
                in_hand[found[0].id] = found[0]
        elif deed == "end" and in_hand:
            entry = in_hand.pop(data.draw(st.sampled_from(sorted(in_hand))))
            line.give_back(entry)
            one = outcome(
                entry, data.draw(st.sampled_from(STATES)), data.draw(st.booleans()), data.draw(st.floats(0, 9))
            )
            outcomes[entry.id] = one
            line.learn_one(one)
        elif deed == "meddle" and (waiting or outcomes):
            entry = data.draw(st.sampled_from([*waiting, *(one.entry for one in outcomes.values())]))
            outcomes[entry.id] = outcome(entry, data.draw(st.sampled_from(STATES)), data.draw(st.booleans()), 1.0)
            line.learn(game, dict(outcomes))
        elif deed == "gone" and outcomes:
            del outcomes[data.draw(st.sampled_from(sorted(outcomes)))]
            line.learn(game, dict(outcomes))
        elif deed == "paced" and game.asked.budget_seconds is not None:
            seeds = data.draw(st.integers(1, len(game.asked.seeds)))
            game = comparison(*names, seeds=game.asked.seeds, paced=40, **asked)
            assert game.paced is not None
            game = Comparison(game.asked, game.recipes, type(game.paced)(steps=40, seconds=1.0, seeds=seeds))
            line.learn(game, dict(outcomes))
        elif deed == "joins" and len(names) < 5:
            names = [*names, f"late{len(names)}"]
            new = comparison(*names, seeds=game.asked.seeds, **asked)
            game = Comparison(new.asked, new.recipes, game.paced)
            line.learn(game, dict(outcomes))
        elif deed == "whole":
            line.learn(game, dict(outcomes))
        agrees(line, game, outcomes, in_hand)


def test_taking_one_leaves_those_that_have_no_place_where_they_were() -> None:
    game = comparison("a", "b", seeds=(1, 2), search=False)
    line = DueLine(game, {})
    found = line.take(lambda entry: 7 if entry.contestant == "b" else None)
    assert found is not None
    assert (found[0].id, found[1]) == ("b.seed-1", 7)
    assert [entry.id for entry in line.waiting()] == ["a.seed-1", "a.seed-2", "b.seed-2"]
    line.give_back(found[0])
    assert [entry.id for entry in line.waiting()][1] == "b.seed-1"

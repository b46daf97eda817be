"""What the dashboard says of a state, without a screen: pace, figures, memory, answers, ranks, advice, starting."""

from __future__ import annotations

import math

import msgspec
import pytest
from rich.cells import cell_len

from pegbox_methods.events import Load, Phase, Prepared, Queued, Ranks, Resumed, Sample, Step
from pegbox_methods.recipe import Output
from pegbox_runs.advisor import Hint
from pegbox_runs.figures import duration
from pegbox_runs.peak_held import measured_peak, peak_verdict
from pegbox_runs.run_state import KEPT_LOADS, RunState, fold
from pegbox_tui.dashboard.advice_text import advice_lines
from pegbox_tui.dashboard.answers_text import answer_lines
from pegbox_tui.dashboard.evaluations_text import evaluation_lines
from pegbox_tui.dashboard.figures_text import COLUMN, figure_lines, figures
from pegbox_tui.dashboard.memory_text import memory_lines
from pegbox_tui.dashboard.ranks_text import by_layer, rank_lines
from pegbox_tui.dashboard.starting_text import starting_lines
from pegbox_tui.dashboard.timeline_text import timeline_lines
from pegbox_tui.dashboard.view import View
from pegbox_tui.dashboard.words import headline, progress
from pegbox_tui.shell.clock import clock
from pegbox_tui.shell.progress_bar import bar
from tests.stories import RECIPE, STORY, evaluation, prepared, started, step
from tests.tui.dashboards import EXPECTED, GIB, gpu_run

NOW = 1000.0


def view(*events: object, **more: object) -> View:
    told = [msgspec.structs.replace(event, seq=number, time=NOW) for number, event in enumerate(events, start=1)]  # type: ignore[type-var]
    state = fold(told, RunState())  # type: ignore[arg-type]
    return View("run", state, NOW + 5, **more)  # type: ignore[arg-type]


def plain(lines: object) -> str:
    return "\n".join(line.plain for line in lines)  # type: ignore[attr-defined]


def planned(**changes: object) -> Prepared:
    return msgspec.structs.replace(prepared(), **{"steps": 100, "every": 25, **changes})


def taken(count: int) -> list[Step]:
    return [step(number) for number in range(1, count + 1)]


def test_the_time_left_counts_each_evaluation_to_come_once() -> None:
    slow = [msgspec.structs.replace(evaluation(at, 2.0), seconds=30.0) for at in (0, 25)]
    shown = view(started(), planned(), Phase(phase="training"), *taken(30), *slow)
    assert duration(70 * 2.0 + 3 * 30.0) == "3 min 50 s"
    assert " · 3 min 50 s left, until " in progress(shown)


def test_the_time_left_is_a_range_until_enough_steps_were_taken() -> None:
    early, later = (
        progress(view(started(), planned(), Phase(phase="training"), evaluation(0, 3.0), *taken(count)))
        for count in (1, 30)
    )
    assert (
        " · 1 min 45 s to 4 min 59 s left, until about " in early
    )  # 48 % to each side of 99 steps of 2 s and 4 evaluations
    assert " to " not in later
    assert "about" not in later


@pytest.mark.parametrize(
    ("plan", "known", "said"),
    [
        (planned(), False, True),
        (planned(), True, False),
        (planned(every=None), True, True),
        (planned(rows_evaluated=0), False, False),
    ],
    ids=["none was seen", "one was seen", "how many isn't told", "no rows are held out"],
)
def test_only_evaluations_whose_time_is_not_known_are_said_to_be_left_out(
    plan: Prepared, known: bool, said: bool
) -> None:
    looked = [evaluation(0, 3.0)] if known else []
    shown = view(started(), plan, Phase(phase="training"), *looked, *taken(30))
    assert " left" in progress(shown)
    assert ("left without evaluations" in progress(shown)) is said


def test_the_epoch_is_that_of_the_steps_that_are_done_also_where_a_run_went_back() -> None:
    story = started(), planned(), Phase(phase="training"), *taken(30)
    assert " · epoch 3.00/10 · " in progress(view(*story, recipe=RECIPE))
    back = Resumed(step=25, folder="f", training_seconds=50.0)
    assert " · epoch 2.50/10 · " in progress(view(*story, back, recipe=RECIPE))


@pytest.mark.parametrize("moment", [1e308, -1e308, 1e17, math.inf, math.nan])
def test_a_time_that_no_calendar_has_is_a_dash(moment: float) -> None:
    assert clock(moment, NOW) == clock(NOW, moment) == "-"


@pytest.mark.parametrize("width", [66, 78, 88, 108, 129])
def test_on_a_narrow_terminal_the_time_left_is_kept_and_the_rest_is_shortened(width: int) -> None:
    plan = msgspec.structs.replace(prepared(), steps=123_456)
    shown = view(started(), plan, Phase(phase="training"), step(1), recipe=RECIPE)
    assert cell_len(progress(shown)) > 78
    said = progress(shown, width)
    assert cell_len(said) <= width
    assert " left" in said
    assert ", until " in said
    assert "step 1/123,456" in said
    told = ("epoch" in said, "without evaluations" in said, "35 h 39 min to 101 h 30 min left" in said)
    assert told == (width >= 129, width >= 108, width >= 88)


def test_the_headline_says_since_when_a_training_run_is_silent() -> None:
    shown = view(started(), prepared(), Phase(phase="training"), step(1))
    assert "no news" not in headline(shown)
    later = View(shown.run, shown.state, NOW + 300)
    assert "no news for 5 min 00 s" in headline(later)


def test_the_note_of_the_recipe_is_shown_as_text() -> None:
    recipe = msgspec.structs.replace(RECIPE, output=Output(note="try [b]2[/b]\x1b[2J"))
    assert headline(view(*STORY, recipe=recipe)).endswith(r"try [b]2[/b]\x1b[2J")


@pytest.mark.parametrize(("share", "drawn"), [(0.0, "░" * 14), (0.5, "█" * 7 + "░" * 7), (7.0, "█" * 14)])
def test_the_bar_of_progress(share: float, drawn: str) -> None:
    assert bar(share) == drawn


def test_figures_stand_beside_what_was_forecast() -> None:
    said = dict(figures(view(*gpu_run(), expected=EXPECTED)))
    assert said["its forecast"] == "1,500-2,500, it is in"
    assert said["rows/model/opt"] == "2 / 90 / 8 %"
    assert said["torch reserved"] == "7.0 GiB, peak 9.0 GiB"
    assert said["mem. forecast"] == "8.0 GiB to 12.0 GiB"
    assert said["GPU use"] == "97 %, 71 C, 68/72 W"
    slower = msgspec.structs.replace(
        EXPECTED, time=msgspec.structs.replace(EXPECTED.time, tokens_per_second_low=2400.0)
    )
    assert dict(figures(view(*gpu_run(), expected=slower)))["its forecast"].endswith(", below")


def test_a_processor_is_said_to_be_no_gpu() -> None:
    assert dict(figures(view(*STORY)))["GPU"] == "no GPU: processor only"


@pytest.mark.parametrize("width", [20, COLUMN, 78, 200])
def test_figures_fill_the_width_and_none_is_lost(width: int) -> None:
    rows = [(f"name{number}", f"value{number}") for number in range(11)]
    lines = figure_lines(rows, width)
    assert all(line.cell_len <= width for line in lines)
    assert all(f"name{number} " in plain(lines) for number in range(11))


@pytest.mark.parametrize("width", [38, 78])
def test_a_long_figure_goes_on_in_the_next_line_and_loses_nothing(width: int) -> None:
    rows = [("loss", "1.2"), ("GPU use", "not told, 71 C, 1,402/1,450 W"), ("step", "2 s"), ("tokens", "9")]
    lines = figure_lines(rows, width)
    assert all(line.cell_len <= width for line in lines)
    assert "…" not in plain(lines)
    shown = " ".join(plain(lines).split())
    assert all(word in shown for _, value in rows for word in value.split())
    at = plain(lines).split("\n")
    begin = next(n for n, line in enumerate(at) if "GPU use" in line)
    assert "1,450 W" in at[begin + 1]


def test_the_usual_figures_of_a_fast_card_stand_in_the_overview_uncut_and_unfolded() -> None:
    load = Load(step=40, device_use=1.0, temperature_c=71.0, power_w=402.0, power_limit_w=450.0)
    rows = figures(view(*gpu_run(), load, expected=EXPECTED))
    for width in (78, 39):  # of 80 and of 120 columns
        assert len(figure_lines(rows, width)) == -(-len(rows) // max((width + 1) // COLUMN, 1)) <= 12


def test_the_memory_bar_counts_as_the_wizard_s_and_marks_what_the_card_holds_more_than_before() -> None:
    asked = msgspec.structs.replace(EXPECTED, usable_bytes=21 * GIB)
    assert "usable 21.0 GiB of 24.0 GiB" in plain(memory_lines(view(*gpu_run(), expected=asked), 78, full=True))
    assert "usable 22.0 GiB" in plain(memory_lines(view(*gpu_run(), expected=EXPECTED), 78, full=True))
    held = Load(
        step=40, device_use=1.0, temperature_c=None, power_w=None, power_limit_w=None, memory_used=int(12.5 * GIB)
    )
    shown = view(*gpu_run(), held, expected=asked)
    assert measured_peak(shown.state, shown.expected) == int(10.5 * GIB)  # 2 of 24 GiB were others' when it began
    said = plain(memory_lines(shown, 78, full=True))
    assert "measured 10.5 GiB (M)" in said
    assert "torch reserved 7.0 GiB, peak 9.0 GiB" in said
    assert measured_peak(view(*gpu_run()).state, asked) == 9 * GIB
    assert measured_peak(view(*gpu_run(), held).state, None) == 9 * GIB


def test_what_the_card_once_held_counts_however_long_ago_it_was() -> None:
    held, less = (
        Load(
            step=40,
            device_use=1.0,
            temperature_c=None,
            power_w=None,
            power_limit_w=None,
            memory_used=used and used * GIB,
        )
        for used in (15, 11)
    )
    untold = msgspec.structs.replace(less, memory_used=None)
    shown = view(*gpu_run(), held, *[less, untold] * KEPT_LOADS, expected=EXPECTED)
    assert measured_peak(shown.state, shown.expected) == 13 * GIB  # 2 of them were others' when it began
    assert peak_verdict(shown.state, shown.expected) == "the peak lies 1.0 GiB above the forecast's range"


@pytest.mark.parametrize(("peak", "said"), [(9, "within"), (7, "below"), (13, "above")])
def test_the_measured_peak_is_held_against_the_forecast(peak: int, said: str) -> None:
    shown = view(*STORY[:5], step(1, device=peak * GIB), expected=EXPECTED)
    assert said in (peak_verdict(shown.state, shown.expected) or "")
    assert said in plain(memory_lines(shown, 78, full=True))


def test_the_memory_page_lists_every_item_and_says_what_is_lacking() -> None:
    said = plain(memory_lines(view(*gpu_run(), expected=EXPECTED), 78, full=True))
    assert EXPECTED.memory is not None
    assert all(name in said for name in EXPECTED.memory.items)
    unpriced = msgspec.structs.replace(EXPECTED, memory=None, unknown="nobody knows this method")
    assert "nobody knows this method" in plain(memory_lines(view(*STORY, expected=unpriced), 78, full=True))


def test_evaluations_tell_the_best_the_untrained_and_the_change() -> None:
    said = plain(evaluation_lines(view(*STORY).state)).splitlines()
    assert said[1].split()[:3] == ["3", "2.6000", "+0.1000"]
    assert said[2].split()[:4] == ["2", "2.5000", "-0.5000", "best"]
    assert "untrained" in said[3]


def test_a_question_tells_how_its_answer_changed() -> None:
    texts = {0: "a", 5: "b", 10: "b", 15: "e"}
    samples = [Sample(step=at, index=0, question="q", answer=text, expected="e") for at, text in texts.items()]
    said = plain(answer_lines(view(*STORY[:3], *samples).state)).splitlines()
    assert [line.split(maxsplit=2)[:2] for line in said[1:5]] == [
        ["expected", "e"],
        ["step", "15"],
        ["step", "5"],
        ["untrained", "a"],
    ]
    assert said[2].endswith("[as expected]")
    assert said[3].endswith("[the same until step 10]")


def test_ranks_are_drawn_by_layer_whatever_the_names() -> None:
    ranks = {"model.layers.0.self_attn.q_proj": 4, "model.layers.1.self_attn.q_proj": 0, "odd": 2, "h.1.mlp.up_proj": 3}
    assert by_layer(ranks) == {0: {"q_proj": 4}, 1: {"q_proj": 0, "up_proj": 3}, -1: {"odd": 2}}
    said = plain(rank_lines(view(*STORY, Ranks(step=3, ranks=ranks, before=32)).state, 78))
    assert "9 ranks in use of 32" in said
    assert "1 of 4 have none left" in said
    assert "AdaLoRA" in plain(rank_lines(view(*STORY).state, 78))


@pytest.mark.parametrize("width", [30, 78, 200])
def test_many_kinds_of_matrices_fit_any_width(width: int) -> None:
    ranks = {f"layers.{layer}.kind_number_{kind}": kind for layer in range(3) for kind in range(30)}
    lines = rank_lines(view(*STORY, Ranks(step=3, ranks=ranks, before=999)).state, width)
    assert all(line.cell_len <= max(width, 45) for line in lines[2:-1])


def test_hints_come_in_order_with_a_word_and_a_source() -> None:
    hints = [
        Hint(name="a", level="act", text="do [b]this[/b]\x1b", source="a paper"),
        Hint(name="b", level="good", text="all well", source="us"),
    ]
    said = plain(advice_lines(hints, view(*STORY).state)).splitlines()
    assert said == [r"ACT: do [b]this[/b]\x1b", "  source: a paper", "well: all well", "  source: us"]


def test_before_its_first_step_a_run_says_what_it_does_and_for_how_long() -> None:
    said = plain(starting_lines(view(started(), Phase(phase="loading", detail="2 of 9 files"))))
    assert said.startswith("loading: the model and its tokenizer are loaded\n2 of 9 files\nfor 5 s now")
    queued = Queued(place=3, host="h", supervisor_pid=1, supervisor_mark="m")
    assert "behind 2 other runs" in plain(starting_lines(view(queued)))
    assert "first word" in plain(starting_lines(view()))


def test_what_happened_is_told_with_the_newest_first() -> None:
    assert plain(timeline_lines("r", view(*STORY).state)) == "nothing out of the ordinary happened"

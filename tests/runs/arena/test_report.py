"""What is written into a comparison's folder, and what it says."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.report.cards import cards
from pegbox_runs.arena.report.charts.scatter_chart import costs
from pegbox_runs.arena.report.html import report_html
from pegbox_runs.arena.report.leaderboard import leaderboard, memory_of, place, to_the_best
from pegbox_runs.arena.report.wording import front, how_done, ties, verdict
from pegbox_runs.arena.report.writing import write_report
from pegbox_runs.arena.results import Interval, Results
from pegbox_runs.reporting import digits
from pegbox_runs.reporting.phrases import listed, short
from pegbox_runs.reporting.thinning import mean_curve, thinned
from tests.runs.arena.judged_comparisons import compared
from tests.runs.arena.made_up_results import (
    KINDS,
    alone,
    contestant,
    early,
    folder_with_entries,
    hostile,
    interval,
    many,
    nothing,
    results,
    usual,
    won,
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_of_any_results_is_five_kinds_of_files_that_are_whole_and_its_owners(
    kind: str, tmp_path: Path
) -> None:
    made = KINDS[kind]()
    folder = folder_with_entries(made, tmp_path)
    write_report(made, folder)
    there = {path.name for path in folder.path.iterdir()}
    assert there == {"entries", "recipes", "results.csv", "seeds.csv", "report.md", "report.html"}
    for file in folder.path.glob("*.*"):
        assert file.stat().st_mode & 0o777 == 0o600
        file.read_bytes().decode()


def test_each_training_that_counts_has_the_recipe_that_repeats_it_where_its_result_says(tmp_path: Path) -> None:
    made = usual()
    folder = folder_with_entries(made, tmp_path)
    write_report(made, folder)
    seeds = [seed for one in made.contestants for seed in one.seeds]
    assert len(seeds) == 11
    for seed in seeds:
        assert (folder.path / seed.recipe).read_bytes() == folder.entry(seed.entry).recipe.read_bytes()
    assert len(list((folder.path / "recipes").iterdir())) == len(seeds)


def test_a_report_is_written_again_with_the_newest_and_keeps_recipes_of_entries_that_are_gone(tmp_path: Path) -> None:
    made = usual()
    folder = folder_with_entries(made, tmp_path)
    write_report(early(), folder)
    assert "nothing is known yet" in (folder.path / "report.md").read_text().lower()
    write_report(made, folder)
    before = {path: path.stat().st_mtime_ns for path in (folder.path / "recipes").iterdir()}
    gone = folder.entry("lora.seed-1")
    gone.recipe.unlink()
    gone.path.rmdir()
    write_report(made, folder)
    assert {path: path.stat().st_mtime_ns for path in (folder.path / "recipes").iterdir()} == before
    assert "tied" in (folder.path / "report.md").read_text()


def test_what_a_real_verdict_says_is_what_the_report_says(tmp_path: Path) -> None:
    made = compared({"lora": 1.5, "dora": 1.5, "ia3": 1.9, "bad": 2.4})
    folder = folder_with_entries(made, tmp_path)
    write_report(made, folder)
    for file in ("report.md", "report.html"):
        assert "are tied for the first place: 100 held-out rows and 3 seeds" in (folder.path / file).read_text()
    assert [place(one, made) for one in made.contestants] == ["1 =", "1 =", "3", "4"]
    assert all(to_the_best(one, made) for one in made.contestants[1:])


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    made = hostile()
    folder = folder_with_entries(made, tmp_path)
    write_report(made, folder)
    assert {path.name for path in (folder.path / "recipes").iterdir()} == {f"lora-seed-{n}.toml" for n in (1, 2, 3)}
    outside = folder.path / "other.seed-1"
    outside.mkdir()
    (outside / "recipe.toml").write_text("# of another")
    write_report(results(contestant("../other", 1.0, 1, 1)), folder)
    assert not (folder.path / "other-seed-1.toml").exists()


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        write_report(usual(), ComparisonFolder(tmp_path / "missing"))


def test_the_verdict_says_who_won_who_is_tied_or_that_nothing_can_be_told() -> None:
    assert verdict(won()) == "lora is better than every other, on 156 held-out rows and 3 seeds."
    assert verdict(usual()).startswith("lora and dora are tied for the first place: 156 held-out rows and 3 seeds")
    assert verdict(alone()) == "Only lora has a result: a loss of 1.4300, where the base model has 1.9021."
    assert verdict(early()) == "Nothing is known yet."
    assert verdict(nothing()) == "Nothing can be told: no contestant came to a result."
    assert verdict(replace(won(), complete=False)).startswith("So far: lora is better")
    untold = results(contestant("a", 1.0, 1, 1, group=None), contestant("b", 1.1, 2, 2, group=None), pairs=())
    assert verdict(untold) == "No winner can be told."


def test_ties_are_said_group_by_group_with_what_they_mean() -> None:
    said = list(ties(usual()))
    assert said[0] == "lora and dora are tied: 156 held-out rows and 3 seeds can't tell them apart."
    assert said[1].startswith("Tied doesn't mean equal.")
    assert next(ties(won())) == "Nothing is tied: each group holds one contestant."
    assert list(ties(early())) == ["Nothing can be said of ties yet."]


def test_the_front_names_its_axes_and_its_members() -> None:
    assert front(usual()) == "Nobody beats lora and dora on loss, peak memory and training time at once."
    assert front(early()) == front(alone()) == ""


def test_the_leaderboard_has_the_base_as_row_zero_the_groups_in_bands_and_the_failed_last() -> None:
    board = leaderboard(usual())
    assert board.base is not None
    assert (board.base.place, board.base.cells[0].value) == ("0", "1.9021")
    assert [[row.name for row in band.rows] for band in board.bands] == [
        ["lora", "dora"], ["rslora"], ["lora-harmful"], ["full"],
    ]  # fmt: skip
    assert [row.place for band in board.bands for row in band.rows] == ["1 =", "1 =", "3", "4", "–"]
    first, last = board.bands[0].rows[0], board.bands[-1].rows[0]
    assert (first.cells[0].value, first.cells[0].range) == ("1.431", "1.418 to 1.444")
    assert last.cells[0].note == "out of memory"
    assert board.bands[1].rows[0].cells[0].note == "some seeds are done"


def test_the_leaderboard_leaves_out_columns_that_nobody_fills() -> None:
    assert {column.title for column in leaderboard(usual()).columns} >= {"Forgetting", "Exact match", "ROUGE-L"}
    assert not {column.title for column in leaderboard(won()).columns} & {"Forgetting", "Exact match", "Token F1"}
    (memory,) = (column for column in leaderboard(won()).columns if column.title == "Peak memory")
    assert memory.unit == "of the process, at most"


def test_the_memory_of_a_process_is_told_as_an_upper_bound_and_held_against_no_loss() -> None:
    assert memory_of(won().contestants[0], won()).startswith("≤ ")
    assert memory_of(usual().contestants[0], usual()) == "1.35 GiB"
    assert dict(cards(won())[0].facts)["Peak memory of the process"].startswith("≤ ")
    assert [cost.key for cost in costs(won())] == ["size", "time"]
    assert [cost.key for cost in costs(usual())] == ["memory", "time"]


def test_the_difference_to_the_first_is_the_pairs_own_in_either_direction() -> None:
    made = usual()
    one = made.contestants[2]
    known = to_the_best(one, made)
    assert known is not None
    turned = [
        replace(
            pair,
            one=pair.other,
            other=pair.one,
            difference=Interval(value=-pair.difference.value, low=0.0529, high=0.0649),
        )
        for pair in made.pairs
    ]
    again = to_the_best(one, replace(made, pairs=tuple(turned)))
    assert again is not None
    assert (again.value, again.low, again.high) == pytest.approx((known.value, known.low, known.high), abs=1e-4)
    assert to_the_best(made.contestants[0], made) is None
    assert place(made.contestants[2], made) == "3"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (interval(1.23456, 0.0134), ("1.235", "1.221 to 1.248")),
        (interval(1.23456, 0.5), ("1.23", "0.73 to 1.73")),
        (interval(12.3456, 31.0), ("12", "−19 to 43")),
        (interval(1.23456, 1e-9), ("1.234560", "")),
        (interval(1.23456), ("1.2346", "")),
        (interval(-0.00001), ("0.0000", "")),
        (interval(math.inf, 1.0), ("not finite", "")),
        (interval(math.nan), ("not finite", "")),
        (None, ("–", "")),
    ],
)
def test_the_width_of_a_range_decides_the_digits(given: Interval | None, shown: tuple[str, str]) -> None:
    assert digits.plain(given) == shown


def test_figures_have_units_and_differences_a_sign() -> None:
    assert digits.plain(interval(0.0123, 0.004), sign=True) == ("+0.0123", "+0.0083 to +0.0163")
    assert digits.share(interval(0.4123, 0.0312)) == ("41.2 %", "38.1 to 44.4 %")
    assert digits.seconds(interval(8.314, 0.22)) == ("8.31 s", "8.09 to 8.53 s")
    assert digits.seconds(interval(200.0, 12.0)) == ("3 min 20 s", "3 min 08 s to 3 min 32 s")
    assert digits.rate(interval(12345.6, 310.0)) == ("12,350", "12,040 to 12,660")
    assert [digits.memory(number) for number in (None, 2**20, 2**30, 35 * 2**30)] == [
        "–", "1.0 MiB", "1.00 GiB", "35.0 GiB",
    ]  # fmt: skip
    assert digits.few_digits(6e-5) == "6e-5"


def test_how_it_was_done_names_no_folder_of_whoever_did_it() -> None:
    done = dict(how_done(usual()))
    assert done["Rows"] == "support.jsonl"
    assert done["Model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert done["Held-out rows"].startswith("208; 156 decide the verdict; 52 more chose learning rates")
    assert short("/home/somebody/models/mine/") == "mine"
    for made in (usual(), won(), early(), nothing()):
        assert all(what and said for what, said in how_done(made))


def test_many_names_are_listed_in_short() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdef")) == "a, b, c, d, e and f"
    assert listed(list("abcdefgh")) == "a, b, c, d, e and 3 others"


def test_a_thinned_curve_keeps_its_ends_and_its_peaks() -> None:
    curve = [(step, math.sin(step / 30)) for step in range(1000)]
    curve[437] = (437, 9.0)
    curve[438] = (438, math.nan)
    thin = thinned(curve, 60)
    assert len(thin) <= 60
    assert (thin[0], thin[-1]) == (curve[0], curve[-1])
    assert (437, 9.0) in thin
    assert [step for step, _ in thin] == sorted(step for step, _ in thin)
    assert thinned(curve[:9], 60) == curve[:9]


def test_a_mean_curve_has_the_steps_that_all_have() -> None:
    assert mean_curve([[(0, 2.0), (5, 1.0), (9, 0.5)], [(0, 4.0), (9, 1.5)]]) == [(0, 3.0), (9, 1.0)]
    assert mean_curve([]) == []


def test_fifty_contestants_with_five_seeds_cost_half_a_second_and_a_megabyte() -> None:
    made = many(points=500)
    report_html(won())  # the template is compiled once
    taken = []
    for _ in range(3):
        began = time.process_time()
        page = report_html(made)
        taken.append(time.process_time() - began)
    assert len(page) < 7e5
    assert min(taken) < 0.5


def test_made_up_results_survive_being_written_and_read(tmp_path: Path) -> None:
    import msgspec

    for make in (usual, won, alone, early, nothing, many):
        made = make()
        assert msgspec.json.decode(msgspec.json.encode(made), type=Results) == made

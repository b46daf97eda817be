"""From a recipe to its examples: found, parted, mixed, the same in every process."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.recipe import MixedRows, Model, Recipe, Rows, Split
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.example import Completion
from pegbox_runs.rows.loading import LoadedRows, find_rows, load_rows
from tests.alpaca import BESIDE


def row(number: int, **columns: Any) -> dict[str, Any]:
    return {"prompt": f"Question {number}?", "completion": f"Answer {number}.", **columns}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def written(name: str, rows: list[dict[str, Any]]) -> str:
        (tmp_path / name).write_text("".join(json.dumps(one) + "\n" for one in rows))
        return str(tmp_path / name)

    return written


def load(file: str, *, mix: tuple[MixedRows, ...] = (), split: Split | None = None, **rows: Any) -> LoadedRows:
    return load_rows(
        Recipe(model=Model(name="bundled"), rows=Rows(file=file, mix=mix, **rows), split=split or Split(share=0.2))
    )


def asked(examples: Any) -> list[str]:
    return [example.prompt for example in examples]


def test_a_share_is_held_out_and_the_rest_trained_in_the_files_order(write: Any) -> None:
    loaded = load(write("a.jsonl", [row(number) for number in range(50)]))
    assert (len(loaded.trained), len(loaded.held_out)) == (40, 10)
    numbers = [int(prompt.split()[1][:-1]) for prompt in asked(loaded.trained)]
    assert numbers == sorted(numbers)
    assert not set(asked(loaded.trained)) & set(asked(loaded.held_out))
    assert (loaded.format, loaded.conversational) == ("prompt-completion", False)
    assert asked(loaded.trained) == asked(loaded.trained)


def test_the_order_in_the_file_does_not_change_the_sides(write: Any) -> None:
    rows = [row(number % 40) for number in range(50)]
    first = load(write("a.jsonl", rows))
    rows.sort(key=lambda one: one["prompt"][::-1])
    second = load(write("b.jsonl", rows))
    assert Counter(asked(first.held_out)) == Counter(asked(second.held_out))


def test_each_rows_place_is_known(write: Any) -> None:
    loaded = load(
        write("a.jsonl", [row(number) for number in range(50)]),
        mix=(MixedRows(file=write("b.jsonl", [row(number) for number in range(100, 110)]), weight=2.0),),
    )
    for number, prompt in enumerate(asked(loaded.trained)):
        place = loaded.trained.place(number)
        first = 0 if place.file == "a.jsonl" else 100
        assert prompt == f"Question {first + place.number - 1}?"


def test_rows_of_a_group_stay_together_and_each_stratum_gives_its_share(write: Any) -> None:
    file = write(
        "a.jsonl", [row(number, author=number % 10, label="rare" if number < 20 else "often") for number in range(100)]
    )
    held = {
        int(prompt.split()[1][:-1]) % 10 for prompt in asked(load(file, split=Split(share=0.2, by="author")).held_out)
    }
    assert len(held) == 2
    stratified = load(file, split=Split(share=0.2, stratify="label"))
    assert sum(int(prompt.split()[1][:-1]) < 20 for prompt in asked(stratified.held_out)) == 4


def test_a_row_without_the_column_that_parts_rows_is_refused(write: Any) -> None:
    file = write("a.jsonl", [row(1, author="a"), row(2)])
    with pytest.raises(Refusal, match=r"1 of 2 rows(.|\n)*a.jsonl, line 2(.|\n)*author"):
        load(file, split=Split(by="author"))


def test_a_share_that_groups_let_nobody_meet_is_told(write: Any) -> None:
    file = write("a.jsonl", [row(n, author="often" if n < 80 else "seldom") for n in range(100)])
    loaded = load(file, split=Split(share=0.1, by="author"))
    assert len(loaded.held_out) == 20
    assert loaded.remarks[0].startswith("20 of 100 rows are held out, 20 % where split.share asks for 10 %")
    assert load(file, split=Split(share=0.2, by="author")).remarks == ()


def test_rows_that_are_all_rejected_are_refused_with_the_first_though_rejected_rows_are_allowed(write: Any) -> None:
    mine, other = write("a.jsonl", [row(1), row(2)]), write("b.jsonl", [{"prompt": "x"}] * 3)
    with pytest.raises(Refusal, match=r"b.jsonl: (no row can be taken; all 3 are rejected|none of the 3 rows)"):
        load(mine, mix=(MixedRows(file=other, format="prompt-completion"),), allow=("rejected-rows",))
    with pytest.raises(Refusal, match=r"^\S*b.jsonl: 1 of 2 rows"):
        load(mine, mix=(MixedRows(file=write("b.jsonl", [row(3), {"prompt": "x"}])),))


def test_one_group_can_not_be_parted(write: Any) -> None:
    with pytest.raises(Refusal, match="all rows belong to one group of author"):
        load(write("a.jsonl", [row(n, author="a") for n in range(5)]), split=Split(by="author"))


def test_held_out_rows_of_their_own_are_not_trained_on(write: Any) -> None:
    file = write("a.jsonl", [row(number) for number in range(10)])
    loaded = load(file, split=Split(share=0.0, file=write("b.jsonl", [row(3), row(4), row(99)])))
    assert asked(loaded.held_out) == ["Question 3?", "Question 4?", "Question 99?"]
    assert len(loaded.trained) == 8
    assert loaded.remarks == ("2 training rows are also in the held-out rows' own file, and left out of the training.",)
    assert loaded.held_out_sha256 is not None


def test_weights_repeat_rows_and_shares_bring_general_ones_that_are_never_held_out(write: Any) -> None:
    mine = write("mine.jsonl", [row(number) for number in range(100)])
    more = write("more.jsonl", [row(number) for number in range(100, 150)])
    general = write("general.jsonl", [row(number) for number in range(1000, 2000)])
    loaded = load(mine, mix=(MixedRows(file=more, weight=2.0), MixedRows(file=general, share=0.1)))
    assert len(loaded.held_out) == 30
    numbers = Counter(int(prompt.split()[1][:-1]) for prompt in asked(loaded.trained))
    seen = [sum(count for n, count in numbers.items() if a <= n < b) for a, b in ((0, 100), (100, 150), (1000, 2000))]
    assert set(numbers.values()) == {1, 2}
    assert seen[2] == pytest.approx(0.1 * sum(seen), abs=1)
    assert seen[0] + seen[1] // 2 == 120
    assert all(int(prompt.split()[1][:-1]) < 150 for prompt in asked(loaded.held_out))


def test_a_row_of_several_sources_is_on_one_side_and_a_held_out_one_is_in_no_general_share(write: Any) -> None:
    rows = [row(number) for number in range(60)]
    loaded = load(
        write("a.jsonl", rows),
        mix=(MixedRows(file=write("b.jsonl", rows)), MixedRows(file=write("c.jsonl", rows), share=0.4)),
    )
    assert not set(asked(loaded.trained)) & set(asked(loaded.held_out))
    assert any("are also held out" in remark for remark in loaded.remarks)


def test_a_share_that_asks_for_more_than_there_is_says_so(write: Any) -> None:
    loaded = load(
        write("a.jsonl", [row(n) for n in range(100)]),
        mix=(MixedRows(file=write("b.jsonl", [row(999)]), share=0.5),),
    )
    assert "has 1 rows to mix in, and its share asks for 80" in loaded.remarks[0]


def test_rejected_rows_are_refused_with_their_places_or_left_out_if_allowed(write: Any) -> None:
    file = write("a.jsonl", [row(1), {"prompt": "no answer"}, row(2), row(3)])
    with pytest.raises(
        Refusal, match=r"1 of 4 rows can\'t be taken(.|\n)*rejected-rows(.|\n)*a.jsonl, line 2.*keys are prompt"
    ):
        load(file)
    loaded = load(file, allow=("rejected-rows",))
    assert len(loaded.trained) + len(loaded.held_out) == 3
    assert loaded.remarks[0].startswith("1 row can't be taken and is left out; 3 are good. The first: a.jsonl, line 2")


def test_only_the_first_ten_rejected_rows_are_named(write: Any) -> None:
    with pytest.raises(Refusal) as caught:
        load(write("a.jsonl", [row(1), *[{"prompt": "no answer"}] * 25]))
    assert caught.value.sentence.count("a.jsonl, line ") == 10
    assert caught.value.sentence.endswith("... and 15 more")


def test_one_row_cannot_be_split_and_all_rows_held_out_leave_nothing(write: Any) -> None:
    file = write("a.jsonl", [row(1), row(1)])
    with pytest.raises(Refusal, match="only one distinct row"):
        load(file)
    assert len(load(file, split=Split(share=0.0)).trained) == 2
    with pytest.raises(Refusal, match="all 2 rows are also in split"):
        load(file, split=Split(share=0.0, file=file))


def test_a_limit_takes_the_rows_from_the_top(write: Any) -> None:
    loaded = load(write("a.jsonl", [row(number) for number in range(50)]), limit=10, split=Split(share=0.0))
    assert asked(loaded.trained) == [f"Question {number}?" for number in range(10)]


def test_the_hash_of_one_plain_file_is_its_bytes_and_of_several_all_of_theirs(write: Any) -> None:
    import hashlib

    file = write("a.jsonl", [row(1), row(2)])
    recipe = Recipe(model=Model(name="bundled"), rows=Rows(file=file))
    assert find_rows(recipe).sha256 == hashlib.sha256(Path(file).read_bytes()).hexdigest()
    other = write("b.jsonl", [row(3)])
    mixed = Recipe(model=Model(name="bundled"), rows=Rows(file=file, mix=(MixedRows(file=other),)))
    before = find_rows(mixed).sha256
    write("b.jsonl", [row(4)])
    assert find_rows(mixed).sha256 != before != find_rows(recipe).sha256


def test_a_file_that_changes_while_it_is_read_is_refused(write: Any) -> None:
    loaded = load(write("a.jsonl", [row(number) for number in range(10)]))
    write("a.jsonl", [row(number + 1) for number in range(10)])
    with pytest.raises(Refusal, match="has changed"):
        list(loaded.trained)


@pytest.mark.skipif(not BESIDE.is_file(), reason="the Alpaca rows aren't here")
def test_every_one_of_the_real_alpaca_rows_is_understood() -> None:
    loaded = load(str(BESIDE), split=Split(share=0.1))
    assert loaded.format == "alpaca"
    assert len(loaded.trained) + len(loaded.held_out) == 999
    assert not any(isinstance(example, Completion) for example in loaded.trained)

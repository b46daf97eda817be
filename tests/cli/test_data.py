"""`pegbox data` as a person runs it: what it says, its JSON, its exit codes, and rows that would like to act."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pegbox import mask_lines
from pegbox.__main__ import main
from pegbox.commands import data
from pegbox.data_view import show_report
from pegbox_runs.models import BUNDLED
from pegbox_runs.rows.place import Rejected
from tests.commands import pegbox
from tests.made_up_report import HOSTILE, SHOWN_HOSTILE, MadeUpRows, made_up_report

ROWS = str(BUNDLED / "rows.jsonl")
ACTING = set("\x1b\x00\x07\u202e\u202c\u200f")


def conversation(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def write_rows(folder: Path, *rows: dict[str, Any] | str, name: str = "rows.jsonl") -> str:
    """Write rows, or lines as they are, into a JSONL file."""
    path = folder / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def good_rows(count: int) -> list[dict[str, Any]]:
    """Make rows in which nothing is wrong."""
    words = ["fiddle", "lute", "viol", "harp", "cittern", "oud", "sitar", "banjo", "zither", "lyre"]
    return [
        conversation(
            f"How is the {words[place % 10]} number {place * 7919} tuned, please?",
            f"Number {place * 7919} is tuned in {words[(place * 3 + 1) % 10]} steps of {place * 31 + 5} cents each.",
        )
        for place in range(count)
    ]


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[..., MadeUpRows]:
    """Let the command find made-up rows."""

    def give(*texts: str, **changes: Any) -> MadeUpRows:
        rows = MadeUpRows(*texts, **changes)
        monkeypatch.setattr(data, "look_at", lambda asked, told: rows)
        return rows

    return give


def drawn(show: Callable[[Console], None], *, width: int = 80, **options: Any) -> str:
    """Draw into a text."""
    console = Console(file=io.StringIO(), width=width, highlight=False, emoji=False, markup=False, **options)
    show(console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(said, str)
    return said


def report_of(rejected: list[Rejected] | None = None, *, all_rejected: bool = False, **changes: Any) -> str:
    report = made_up_report(**changes)
    return drawn(lambda c: show_report(report, rejected or [], name="r.jsonl", console=c, all_rejected=all_rejected))


def unfolded(text: str) -> str:
    return text.replace(" ", "").replace("\n", "")


def test_people_are_told_findings_first_the_worst_first() -> None:
    said = report_of()
    assert max(map(len, said.splitlines())) <= 80
    assert "not fit to train on: a finding is in the way; 1 is worth a look" in said
    places = [said.index(word) for word in (" bad  2 rows", "rows that train nothing", "look 41 rows", "note 30 rows")]
    assert places == sorted(places)
    for words in ("2 rows (0.3 %)", "41 rows (6.8 %)", "rows.jsonl, line 77", "as line 60", "→ Keep one of each."):
        assert words in said
    assert said.index("Findings") < said.index("Tokens in a row") < said.index("Balance") < said.index("Advice")


def test_people_are_told_lengths_limits_padding_and_the_split() -> None:
    said = report_of()
    (longest,) = (line for line in said.splitlines() if "32 –  63" in line)
    assert longest.count("█") == 30
    (chosen,) = (line for line in said.splitlines() if "← advised" in line)
    assert chosen.split()[:5] == ["256", "0.5", "%", "<0.1", "%"]
    for words in ("training.length = 256: it keeps", "shuffled   27 %", "540 trained, 60 held out", "67 % are trained"):
        assert words in said
    assert "[a paper]" in " ".join(said.split())


def test_what_is_not_known_has_no_section() -> None:
    said = report_of(lengths=None, balance=None, split=None, advice=(), findings=(), model=None)
    assert "fit to train on" in said
    for title in ("Findings", "Tokens", "Padding", "Balance", "Split", "Advice", "Rejected"):
        assert title not in said


def test_ten_rejected_rows_are_told_and_all_where_asked() -> None:
    rejected = [Rejected("rows.jsonl", number, "line", ("a", "b"), f"reason {number}") for number in range(1, 13)]
    said = report_of(rejected)
    assert "rows.jsonl, line 10: reason 10; its keys are a, b" in said
    assert "reason 11" not in said
    assert "and 2 more: --rejected lists them all" in said
    assert "rows.jsonl, line 12: reason 12" in report_of(rejected, all_rejected=True)


@pytest.mark.parametrize("width", [60, 80, 110])
def test_text_from_outside_is_shown_folded_and_never_acts(width: int) -> None:
    rejected = [Rejected(HOSTILE, 3, "line", (HOSTILE,), HOSTILE)]
    report = made_up_report(source=HOSTILE, format=HOSTILE, evidence=HOSTILE, model=HOSTILE)
    said = drawn(lambda c: show_report(report, rejected, name=HOSTILE, console=c, all_rejected=True), width=width)
    assert not ACTING & set(said)
    assert unfolded(said).count(unfolded(SHOWN_HOSTILE)) >= 7
    colored = drawn(
        lambda c: show_report(report, rejected, name=HOSTILE, console=c, all_rejected=True), force_terminal=True
    )
    assert "\x1b]8;" not in colored
    assert "\x00" not in colored


def test_a_row_is_shown_in_colors_on_a_terminal_and_in_brackets_elsewhere() -> None:
    row = MadeUpRows("a\tb\n", "c").row(7)
    plain = drawn(lambda c: mask_lines.show_rows([row], of=600, console=c))
    assert "row 7 of 600, rows.jsonl, line 7: 15 tokens, 10 trained, 2 cut away" in plain
    assert "a⇥   b↵" in plain
    assert "c⟦ 7 lute lute" in plain
    assert "⟦trained⟧ context" in plain
    assert "\x1b" not in plain
    colored = drawn(lambda c: mask_lines.show_rows([row], of=600, console=c), force_terminal=True)
    assert "⟦" not in colored
    assert "\x1b[" in colored
    assert "special, trained" in colored


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color_and_dumb_terminals_get_brackets(environment: dict[str, str]) -> None:
    row = MadeUpRows().row(1)
    options = {"force_terminal": True, "_environ": {"TERM": "xterm-256color", **environment}}
    said = drawn(lambda c: mask_lines.show_rows([row], of=600, console=c), **options)
    assert "⟦ 1" in said
    assert "⟦trained⟧" in said


def test_a_row_that_cant_be_shown_says_why_and_has_no_legend() -> None:
    row = MadeUpRows().row(1)
    broken = type(row)(1, "rows.jsonl, line 1", None, f"the template fails: {HOSTILE}")
    said = drawn(lambda c: mask_lines.show_rows([broken], of=600, console=c))
    assert unfolded(f"the template fails: {SHOWN_HOSTILE}") in unfolded(said)
    assert "context" not in said


def test_json_is_the_report_as_it_is_and_the_rows_beside_it(
    made_up: Callable[..., MadeUpRows], capfd: pytest.CaptureFixture[str]
) -> None:
    made_up()
    assert main(["data", "rows.jsonl", "--model", "bundled", "--rows", "2", "--json"]) == 1
    said = capfd.readouterr()
    assert said.err == ""
    record = json.loads(said.out)
    report = made_up_report()
    for name in report.__struct_fields__:
        assert name in record
    assert record["fit"] is False
    assert record["findings"][0]["examples"][1]["text"] == HOSTILE
    assert record["lengths"]["limits"][1]["rows_truncated"] == pytest.approx(0.0466)
    assert record["rejected_rows"][0]["number"] == 5
    assert [row["number"] for row in record["shown_rows"]] == [1, 2]
    assert record["shown_rows"][0]["shown"]["tokens"][0] == {"text": "<|im_start|>", "special": True}
    assert "fixed" not in record


def test_the_exit_code_is_0_where_a_run_would_take_the_rows(made_up: Callable[..., MadeUpRows]) -> None:
    made_up(findings=())
    assert main(["data", "rows.jsonl"]) == 0
    made_up()
    assert main(["data", "rows.jsonl"]) == 1


def test_a_shown_row_that_trains_nothing_is_exit_code_1(
    made_up: Callable[..., MadeUpRows], monkeypatch: pytest.MonkeyPatch
) -> None:
    import msgspec

    rows = made_up(findings=())
    assert main(["data", "rows.jsonl", "--model", "bundled", "--row", "4"]) == 0
    row = rows.row(4)
    untrained = msgspec.structs.replace(row.shown, trained=0)  # type: ignore[type-var]
    monkeypatch.setattr(rows, "row", lambda number: type(row)(number, row.place, untrained))
    assert main(["data", "rows.jsonl", "--model", "bundled", "--row", "4"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--row", "1"], "give --model too"),
        (["--rows", "0", "--model", "bundled"], "show 1 or more"),
        (["--keep", "x"], "give --fix FILE too"),
        (["--column", "prompt"], "give NAME=COLUMN"),
        (["--column", "prmpt=frage"], "prmpt"),
        (["--format", "sharegtp"], "sharegpt"),
        (["--hold-out", "2"], "split.share"),
        (["--limit", "0"], "rows.limit"),
        (["--length", "0"], "training.length"),
        (["--micro-batch", "0"], "training.micro_batch"),
        (["--screen"], "needs a terminal"),
        (["--screen", "--json"], "needs a terminal"),
    ],
)
def test_bad_input_is_refused_in_one_line(
    made_up: Callable[..., MadeUpRows], capfd: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    made_up()
    assert main(["data", "rows.jsonl", *arguments]) == 2
    told = capfd.readouterr()
    assert said in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert "--json" in arguments or told.out == ""


def test_the_options_reach_the_examination(made_up: Callable[..., MadeUpRows], monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []
    monkeypatch.setattr(data, "look_at", lambda asked, told: heard.append(asked) or MadeUpRows())
    columns = ["--column", "prompt=frage", "--column", "completion=antwort", "--format", "prompt-completion"]
    main(["data", "a.jsonl", *columns, "--limit", "9", "--eval", "held.jsonl", "--balance", "topic"])
    main(["data", "a.jsonl", "--by", "author", "--hold-out", "0.2", "--micro-batch", "8", "--length", "99"])
    main(["data", "a.jsonl", "--stratify", "label", "--model", "bundled"])
    first, second, third = heard
    assert Path(first.source.file).name == "a.jsonl"
    assert first.source.columns == {"prompt": "frage", "completion": "antwort"}
    assert (first.source.format, first.source.limit) == ("prompt-completion", 9)
    assert Path(first.held_out.file).name == "held.jsonl"
    assert first.held_out.limit is None
    assert first.held_out.columns == first.source.columns
    assert (first.balance, first.model, first.micro_batch, first.length) == ("topic", None, 4, None)
    assert (second.split.by, second.split.share) == ("author", 0.2)
    assert (second.micro_batch, second.length) == (8, 99)
    assert third.split.stratify == "label"
    assert third.model.name == "bundled"


def test_the_bundled_rows_are_described_at_80_columns(home: Path) -> None:
    done = pegbox("data", ROWS, "--model", "bundled", home=home, COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "400 rows" in done.stdout
    assert "format messages: " in done.stdout
    for said in ("fit to train on", "Tokens in a row", "← advised", "training.length = ", "shuffled", "360 trained"):
        assert said in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.rpartition("Next")[0].splitlines())


def test_without_a_model_no_tokens_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["data", ROWS, "--json"]) == 0
    record = json.loads(capfd.readouterr().out)
    assert (record["lengths"], record["model"]) == (None, None)
    assert record["rows"] == 400


def test_json_of_real_rows_holds_every_rejected_row_and_nothing_else_is_printed(tmp_path: Path, home: Path) -> None:
    file = write_rows(tmp_path, *good_rows(20), *["not json"] * 15)
    done = pegbox("data", file, "--model", "bundled", "--rows", "2", "--json", home=home)
    assert (done.returncode, done.stderr) == (1, "")
    record = json.loads(done.stdout)
    assert (record["rows"], record["rejected"]) == (20, 15)
    assert [row["number"] for row in record["rejected_rows"]] == list(range(21, 36))
    assert {"file", "number", "unit", "keys", "reason"} == set(record["rejected_rows"][0])
    assert record["findings"][0]["name"] == "rejected-rows"
    (first, second) = record["shown_rows"]
    assert (first["number"], second["number"]) == (1, 2)
    trained = "".join(token["text"] for token in first["shown"]["tokens"] if token.get("trained"))
    assert trained == good_rows(20)[0]["messages"][1]["content"] + "<|im_end|>"


def test_a_shown_row_is_cut_at_the_length_given(capfd: pytest.CaptureFixture[str]) -> None:
    # At that length no row has its end left, and a run would be refused.
    assert main(["data", ROWS, "--model", "bundled", "--row", "2", "--length", "40", "--json"]) == 1
    (row,) = json.loads(capfd.readouterr().out)["shown_rows"]
    tokens = row["shown"]["tokens"]
    assert [bool(token.get("cut")) for token in tokens] == [place >= 40 for place in range(len(tokens))]
    assert main(["data", ROWS, "--model", "bundled", "--row", "2", "--length", "10"]) == 1
    assert "Nothing of this row is trained." in capfd.readouterr().out


def test_rows_beyond_the_last_are_refused_and_too_many_are_cut_short(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = write_rows(tmp_path, *good_rows(3))
    assert main(["data", file, "--model", "bundled", "--row", "4"]) == 2
    assert "the good rows go from 1 to 3" in capfd.readouterr().err
    assert main(["data", file, "--model", "bundled", "--rows", "9"]) == 0
    assert capfd.readouterr().out.count("tokens, ") == 3


def test_hostile_rows_are_shown_and_never_act(tmp_path: Path, home: Path) -> None:
    file = write_rows(
        tmp_path,
        conversation(HOSTILE, f"{HOSTILE}\ttab"),
        {HOSTILE: HOSTILE},
        "\x1b[2J[red]",
        conversation(HOSTILE, ""),
        name="[red]\x1b[31m\u202e.jsonl",
    )
    for more in ((), ("--rejected",), ("--row", "1"), ("--json",)):
        done = pegbox("data", file, "--model", "bundled", *more, home=home)
        assert done.returncode == 1, done.stderr
        assert not set("\x1b\x00\x07") & set(done.stdout + done.stderr)
        if "--json" not in more:
            assert not ACTING & set(done.stdout)
            assert "[link=file:///etc]y[/link]" in done.stdout


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("org/name", "the Hub can't be reached"),
        ("nowhere.jsonl", "there is no such file"),
        ("\x1b[31m/nowhere.jsonl", "there is no such file"),
    ],
)
def test_rows_that_are_nowhere_are_refused_in_one_sentence(home: Path, file: str, said: str) -> None:
    for more in ((), ("--json",)):
        done = pegbox("data", file, *more, home=home)
        assert done.returncode == 2
        assert said in done.stderr
        assert "\x1b" not in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert bool(more) == bool(done.stdout)


def test_fix_writes_a_cleaned_copy_and_says_what_it_did(tmp_path: Path, home: Path) -> None:
    rows = good_rows(20)
    damaged = conversation("What does \x07 ring?", "It rings a bell, once and loudly.")
    file = write_rows(tmp_path, *rows, rows[0], "not json", damaged)
    before = Path(file).read_bytes()
    target = tmp_path / "cleaned.jsonl"
    done = pegbox("data", file, "--fix", str(target), home=home, COLUMNS="80")
    assert done.returncode == 1, done.stderr
    assert Path(file).read_bytes() == before
    copied = [json.loads(line) for line in target.read_text().splitlines()]
    assert copied == [*rows, conversation("What does  ring?", "It rings a bell, once and loudly.")]
    for said in (
        f"{target}: 21 rows",
        "left out  1  exact-duplicates",
        "1  rejected-rows",
        "mended    1  control-char",
    ):
        assert said in done.stdout
    assert f"{target}.report.md\n" in done.stdout
    assert Path(f"{target}.report.md").is_file()
    assert f"{file} is untouched" in done.stdout
    assert pegbox("data", str(target), home=home).returncode == 0


def test_fix_as_json_tells_what_it_wrote_and_keeps_what_it_should(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = good_rows(20)
    file, target = write_rows(tmp_path, *rows, rows[0]), tmp_path / "cleaned.jsonl"
    assert main(["data", file, "--fix", str(target), "--keep", "exact-duplicates", "--json"]) == 0
    fixed = json.loads(capfd.readouterr().out)["fixed"]
    assert (fixed["target"], fixed["rows_after"], fixed["left_out"]) == (str(target), 21, {})
    assert fixed["kept"] == ["exact-duplicates"]


def test_fix_writes_over_nothing_and_refuses_names_it_doesnt_know(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file, target = write_rows(tmp_path, *good_rows(20)), tmp_path / "cleaned.jsonl"
    assert main(["data", file, "--fix", str(target), "--keep", "exact-duplicate"]) == 2
    assert 'did you mean "exact-duplicates"' in capfd.readouterr().err
    assert not target.exists()
    target.write_text("mine")
    assert main(["data", file, "--fix", str(target)]) == 2
    assert "there is such a file already" in capfd.readouterr().err
    assert target.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "pegbox data rows.jsonl --fix cleaned.jsonl"),
        (["--eval", "e.jsonl"], "pegbox data rows.jsonl --eval e.jsonl --fix cleaned.jsonl"),
    ],
)
def test_the_next_command_mends_what_can_be_mended(
    made_up: Callable[..., MadeUpRows], capfd: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    made_up()
    main(["data", "rows.jsonl", *options])
    assert capfd.readouterr().out.endswith(f" {said}\n")


def test_the_next_command_shows_rows_where_there_is_nothing_to_mend(
    made_up: Callable[..., MadeUpRows], capfd: pytest.CaptureFixture[str]
) -> None:
    made_up(findings=())
    main(["data", "two words.jsonl", "--model", "bundled"])
    assert capfd.readouterr().out.endswith(" pegbox data 'two words.jsonl' --model bundled --screen\n")


def test_the_data_command_loads_nothing_heavy(tmp_path: Path, home: Path) -> None:
    import subprocess
    import sys

    program = (
        f"import sys; from pegbox.__main__ import main; main(['data', {ROWS!r}, '--model', 'bundled', '--row', '1']); "
        "sys.exit(sorted({'torch', 'transformers', 'datasets', 'trl', 'textual', 'pandas'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

"""The doctor: each check finds what was planted, and nothing else."""

from __future__ import annotations

import json
import random
import string
import time
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.recipe import Model, RowSource, Split
from pegbox_methods.refusal import Refusal
from pegbox_runs.models import find_config
from pegbox_runs.rows.doctor.advice import advised
from pegbox_runs.rows.doctor.examine import examine
from pegbox_runs.rows.doctor.examined import Examined
from pegbox_runs.rows.doctor.mending import find_damage, mend_controls, mend_encoding
from pegbox_runs.rows.doctor.secrets import find_secret, without_secrets
from pegbox_runs.rows.report import RowFinding

CHANCE = random.Random(3)  # noqa: S311 - the same rows every time
LETTERS = string.ascii_letters + string.digits
SYLLABLES = [first + last for first in "bdfghklmnprstvwz" for last in "aeiou"]


def some(count: int, letters: str = LETTERS) -> str:
    return "".join(CHANCE.choices(letters, k=count))


def words(count: int) -> str:
    return " ".join("".join(CHANCE.choices(SYLLABLES, k=3)) for _ in range(count))


def chat(question: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], **more}


def clean(count: int) -> list[dict[str, Any]]:
    return [chat(f"{words(12)}?", f"{words(30)}.") for _ in range(count)]


def examined(tmp_path: Path, rows: list[Any], **wanted: Any) -> Examined:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return examine(RowSource(file=str(path)), **{"split": Split(), **wanted})


def findings(tmp_path: Path, rows: list[Any], **wanted: Any) -> dict[str, RowFinding]:
    return {finding.name: finding for finding in examined(tmp_path, rows, **wanted).report.findings}


LONG = words(16)
# Put together here, so that nobody who looks for secrets in files takes them for some.
SECRETS = {
    "AWS": "AKIA" + some(16, string.ascii_uppercase[8:] + "234567"),
    "GitHub": "ghp" + "_" + some(36),
    "GitHub, fine-grained": "github" + "_pat_" + some(22) + "_" + some(59),
    "Anthropic": "sk-" + "ant-api03-" + some(90),
    "OpenAI": "sk-" + "proj-" + some(120),
    "OpenAI, old": "sk-" + some(48),
    "Hugging Face": "hf" + "_" + some(34),
    "Google": "AI" + "za" + some(35),
    "Slack": "xox" + "b-" + some(12, string.digits) + "-" + some(24),
    "Stripe": "sk" + "_live_" + some(24),
    "JWT": ".".join(("ey" + "J" + some(30), "ey" + "J" + some(60), some(43))),
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----\n" + "\n".join(some(64) for _ in range(5)),
}
PLANTED = {
    "empty-answers": {
        "messages": [
            {"role": "user", "content": words(5)},
            {"role": "assistant", "content": " \n"},
            {"role": "user", "content": words(5)},
            {"role": "assistant", "content": words(5)},
        ]
    },
    "one-word-answers": chat(words(9), "positive"),
    "encoding-damage": chat(words(9), f"{LONG} schön für alle".encode().decode("latin-1")),
    "control-characters": chat(words(9), f"{LONG} \x1b[31mred\x1b[0m"),
    "echoes": chat(LONG, f" {LONG}\n"),
    "refusals": chat(words(9), "As an AI language model, I have no opinion on that, and so on."),
    "unanswered": {"messages": [*chat(words(9), words(9))["messages"], {"role": "user", "content": words(9)}]},
    "outliers": chat(words(9), words(900)),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_check_finds_its_row_and_nothing_else(tmp_path: Path, name: str) -> None:
    rows = clean(60)
    rows.insert(40, PLANTED[name])
    found = findings(tmp_path, rows)
    assert list(found) == [name]
    assert found[name].rows == 1
    assert found[name].share == pytest.approx(1 / 61)
    assert [shown.place for shown in found[name].examples] == ["rows.jsonl, line 41"]
    assert found[name].examples[0].text
    assert found[name].todo.endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        "Grüße aus München, déjà vu, naïve, Straße",
        "привет, как дела? 日本語のテキスト العربية ไทย",
        "<b>bold</b> &amp; [red]markup[/red] https://example.org/?a=1&b=2",
        "C:\\users\\bin \\frac{a}{b} \\u0041 tab\there\nand a line",
        "“Curly” quotes — and an ellipsis… 5 €, ½, №",
        "👩‍👩‍👧 family, flags 🇩🇪",
        "a password is not a key: sk-learn, AKIA, hf_hub_download, xoxo, eyJ, ghp_",
        "sk-" + "x" * 48,
        "AKIAIOSFODNN7" + "EXAMPLE",
    ],
)
def test_ordinary_text_is_not_found(tmp_path: Path, text: str) -> None:
    assert findings(tmp_path, [*clean(30), chat(words(9), f"{LONG} {text}")]) == {}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_and_never_shown_whole(tmp_path: Path, kind: str) -> None:
    secret = SECRETS[kind]
    row = chat(f"my key is {secret}", words(12))
    report = examined(tmp_path, [*clean(30), row, row], balance="messages").report
    found = {finding.name: finding for finding in report.findings}
    assert found["secrets"].rows == 2
    assert found["exact-duplicates"].rows == 1
    for shown in [*found["secrets"].examples, *found["exact-duplicates"].examples]:
        assert secret[5:-5] not in shown.text
        assert secret.split()[-1][-12:] not in shown.text
    assert secret not in without_secrets(f"a {secret} b")
    assert find_secret(f"x{secret}") is None or kind == "private key", "a part of a longer word is none"


def test_a_passage_shows_no_half_of_a_secret(tmp_path: Path) -> None:
    secret, key = SECRETS["OpenAI"], SECRETS["private key"]
    rows = [
        *clean(30),
        chat("What?", f"{words(9)} {secret} \x00 {words(9)}"),
        chat("Which?", f"{key}{key}{key}"),
        chat("Who?", key.replace("\n", "\\n")),
        chat(f"{secret} {words(900)}", words(9)),
    ]
    report = examined(tmp_path, rows).report
    found = {finding.name: finding for finding in report.findings}
    assert found["secrets"].rows == 4
    assert found["control-characters"].rows == 1
    shown = str(report)
    for text in (secret, *key.split("\n")[1:]):
        assert all(text[at : at + 10] not in shown for at in range(0, len(text) - 10, 5) if text[at : at + 10].strip())


def test_mending_restores_what_was_meant() -> None:
    broken = "Fußgänger überqueren".encode().decode("latin-1")
    assert find_damage(broken)
    assert mend_encoding(broken) == "Fußgänger überqueren"
    assert find_damage(mend_encoding(broken)) is None
    assert mend_controls("\x1b[1;31mred\x1b[0m and \x1b]0;title\x07plain\x00\tkept\n") == "red and plain\tkept\n"


def test_rejected_rows_come_first_with_place_and_reason(tmp_path: Path) -> None:
    rows = [*clean(30), {"messages": []}, {"what": "[bold]x[/bold]\x1b[2J"}, PLANTED["outliers"]]
    report = examined(tmp_path, rows).report
    assert [finding.name for finding in report.findings] == ["rejected-rows", "outliers"]
    assert not report.fit
    assert report.rejected == 2
    shown = report.findings[0].examples
    assert [example.place for example in shown] == ["rows.jsonl, line 31", "rows.jsonl, line 32"]
    assert "\x1b" not in str(report)


def test_duplicates_are_counted_without_the_first(tmp_path: Path) -> None:
    rows = clean(40)
    rows += [rows[3], rows[3], rows[5]]
    near = json.loads(json.dumps(rows[7]).replace("?", " really?"))
    rows.append(near)
    seen = examined(tmp_path, rows)
    found = {finding.name: finding for finding in seen.report.findings}
    assert found["exact-duplicates"].rows == 3
    assert found["near-duplicates"].rows == 1
    assert seen.found["exact-duplicates"].tolist() == [40, 41, 42]
    assert seen.found["near-duplicates"].tolist() == [43]
    assert "the same as rows.jsonl, line 4" in found["exact-duplicates"].examples[0].text
    assert "much like rows.jsonl, line 8" in found["near-duplicates"].examples[0].text
    assert "99 %" in found["near-duplicates"].source


def test_nearly_every_planted_near_duplicate_is_found(tmp_path: Path) -> None:
    rows, pairs = [], 300
    for _ in range(pairs):
        said = words(40).split()
        rows.append(chat(" ".join(said[:12]), " ".join(said[12:])))
        said[20] = words(1)  # 35 of 41 runs of three words stay: 0.85
        rows.append(chat(" ".join(said[:12]), " ".join(said[12:])))
    assert findings(tmp_path, rows)["near-duplicates"].rows >= 0.97 * pairs


def test_rows_that_differ_in_reasoning_system_prompt_or_tools_are_no_near_duplicates(tmp_path: Path) -> None:
    question, answer = f"{words(20)}?", words(20)
    thinking = [chat(question, answer) for _ in range(4)]
    for row in thinking:
        row["messages"][1]["reasoning_content"] = words(80)
    asked, answered = f"{words(20)}?", words(20)
    instructed = [chat(asked, answered) for _ in range(4)]
    for row in instructed:
        row["messages"].insert(0, {"role": "system", "content": words(60)})
    wanted, called = f"{words(20)}?", words(20)
    equipped = [
        chat(wanted, called, tools=[{"type": "function", "function": {"name": words(1), "description": words(60)}}])
        for _ in range(4)
    ]
    seen = examined(tmp_path, [*clean(30), *thinking, *instructed, *equipped])
    assert len(seen.survey) == 42
    assert "near-duplicates" not in seen.found or not len(seen.found["near-duplicates"])


def test_a_system_prompt_that_all_rows_share_makes_none_alike(tmp_path: Path) -> None:
    shared = {"role": "system", "content": words(400)}
    rows = clean(30)
    rows.append(json.loads(json.dumps(rows[4]).replace("?", " really?")))
    # Alike enough for a key in common, and not for a near duplicate.
    for _ in range(40):
        said = words(40).split()
        rows += [chat("Why?", " ".join(said)), chat("Why?", " ".join([*said[:34], *words(6).split()]))]
    for row in rows:
        row["messages"].insert(0, shared)
    assert examined(tmp_path, rows).found["near-duplicates"].tolist() == [30]


def test_half_alike_is_no_near_duplicate(tmp_path: Path) -> None:
    rows = []
    for _ in range(100):
        said = words(30).split()
        rows += [chat("Why?", " ".join(said)), chat("Why?", " ".join([*said[:22], *words(8).split()]))]
    found = findings(tmp_path, rows)
    assert "near-duplicates" not in found
    assert found["several-answers"].rows == 200


def test_the_order_of_rows_changes_no_count(tmp_path: Path) -> None:
    rows = clean(60)
    rows += [rows[1], rows[1], *PLANTED.values(), {"messages": 3}]
    rows += [json.loads(json.dumps(row).replace("?", " now?")) for row in rows[:20]]
    rows += [chat(f"{LONG} {number}", "yes") for number in range(90)]
    counts = []
    for _ in range(3):
        counts.append({name: finding.rows for name, finding in findings(tmp_path, rows).items()})
        CHANCE.shuffle(rows)
    assert counts[0] == counts[1] == counts[2]
    assert {"near-duplicates", "exact-duplicates", "rejected-rows"} < set(counts[0])


def test_the_order_of_rows_changes_no_group_of_near_duplicates(tmp_path: Path) -> None:
    # More of a kind than are all compared with each other, some of them alike through others only.
    chance = random.Random(5)  # noqa: S311 - the same rows every time
    said = words(60).split()
    rows = []
    for number in range(60):
        changed = said.copy()
        for place in chance.sample(range(60), chance.choice((1, 1, 2))):
            changed[place] = f"other{number}"
        rows.append(chat(" ".join(changed[:20]), " ".join(changed[20:])))
    groups = []
    for _ in range(4):
        looked = examined(tmp_path, rows).looked
        alike, group = looked.doubles.alike, {}
        for row, first in zip(alike.rows.tolist(), alike.first.tolist(), strict=True):
            group.setdefault(looked.survey.key[first].tobytes(), set()).add(looked.survey.key[row].tobytes())
        groups.append({frozenset({first, *others}) for first, others in group.items()})
        chance.shuffle(rows)
    assert groups[0]
    assert all(others == groups[0] for others in groups)


def test_many_rows_from_one_template_take_seconds(tmp_path: Path) -> None:
    template = words(30)
    rows = [chat(f"{template} {number}?", "So it is.") for number in range(20_000)]
    begin = time.monotonic()
    found = findings(tmp_path, rows)
    assert found["near-duplicates"].rows > 19_000
    assert time.monotonic() - begin < 30


def test_rows_known_to_the_evaluation_are_leaks(tmp_path: Path) -> None:
    rows, held_out = clean(50), clean(20)
    near = json.loads(json.dumps(held_out[3]).replace("?", " please?"))
    same_question = chat(held_out[4]["messages"][0]["content"], words(20))
    rows = [*rows, held_out[0], held_out[0], near, same_question]
    path = tmp_path / "held_out.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*held_out, held_out[0]]))
    seen = examined(tmp_path, rows, held_out=RowSource(file=str(path)))
    found = {finding.name: finding for finding in seen.report.findings}
    assert seen.found["leaks"].tolist() == [50, 51, 52]
    assert seen.found["asked-in-evaluation"].tolist() == [53]
    assert "2 of them are the same there, 1 much like one" in found["leaks"].text
    assert "held_out.jsonl, line 1" in found["leaks"].examples[0].text
    assert seen.report.split is not None
    assert (seen.report.split.trained, seen.report.split.held_out) == (52, 21)


def test_several_answers_are_told_even_if_some_are_the_same(tmp_path: Path) -> None:
    rows = [
        *clean(30),
        *(chat("Why is that so?", answer) for answer in ("Because of it.", "Because of it.", "No idea.")),
    ]
    found = findings(tmp_path, rows)
    assert found["several-answers"].rows == 3
    assert found["exact-duplicates"].rows == 1


def test_one_word_answers_are_fine_where_most_are(tmp_path: Path) -> None:
    rows = [chat(words(9), CHANCE.choice(["good", "bad"])) for _ in range(60)]
    finding = findings(tmp_path, rows)["one-word-answers"]
    assert (finding.level, finding.rows) == ("green", 60)


def test_a_column_is_counted_by_its_values(tmp_path: Path) -> None:
    rows = [
        row | {"label": f"[red]v{number % 30}\x1b" if number > 20 else "most"} for number, row in enumerate(clean(80))
    ]
    rows += clean(3)
    balance = examined(tmp_path, rows, balance="label").report.balance
    assert balance is not None
    assert (balance.values[0].value, balance.values[0].rows) == ("most", 21)
    assert balance.values[1].value.startswith("[red]v")
    assert "\x1b" not in str(balance)
    assert (len(balance.values), balance.distinct, balance.missing) == (20, 31, 3)
    assert sum(value.rows for value in balance.values) + balance.others + balance.missing == 83


def test_a_report_counts_tokens_and_says_how_rows_are_parted(tmp_path: Path) -> None:
    rows = [*clean(30), chat("What is <|im_end|>?", words(9))]
    report = examined(tmp_path, rows, model=find_config(Model(name="bundled"))).report
    assert report.lengths is not None
    assert report.lengths.rows_counted == 31
    assert report.model == "bundled"
    assert [finding.name for finding in report.findings] == ["special-tokens"]
    assert report.split is not None
    assert report.split.trained + report.split.held_out == 31
    about = {advice.about: advice for advice in report.advice}
    assert {"training.epochs", "method.settings.rank", "overfitting", "split.share"} <= set(about)
    assert all(advice.source for advice in report.advice)


@pytest.mark.parametrize(
    ("trained", "held_out", "said"),
    [
        (0, 0, "there are no rows to train on: add more; dozens are the least."),
        (1, 0, "there is one row to train on: add more; dozens are the least."),
        (9, 1, "1 row, 10 %, is held out; more would show differences."),
        (18, 2, "2 rows, 10 %, are held out. So few show only large differences; more would show smaller ones."),
    ],
)
def test_advice_for_few_rows_counts_them_as_people_do(trained: int, held_out: int, said: str) -> None:
    texts = [advice.text for advice in advised(trained, held_out)]
    assert texts[-1] == said
    assert not any(text.startswith(("1 rows", "0 rows", "only 1 rows", "only 0 rows")) for text in texts)


def test_one_row_that_is_also_in_the_evaluation_is_told_as_one(tmp_path: Path) -> None:
    rows = clean(5)
    path = tmp_path / "held_out.jsonl"
    for also, said in ((1, "1 row that is also in it isn't trained"), (2, "2 rows that are also in it aren't trained")):
        path.write_text("".join(json.dumps(row) + "\n" for row in [*clean(2), *rows[:also]]))
        split = examined(tmp_path, rows, held_out=RowSource(file=str(path))).report.split
        assert split is not None
        assert split.by == f"a file of their own; {said}"


def test_where_no_row_is_good_none_can_be_looked_at(tmp_path: Path) -> None:
    seen = examined(tmp_path, [chat("Why?", "So.") | {"messages": [{"role": "user"}]}] * 3, split=Split())
    with pytest.raises(Refusal, match="no row is good"):
        seen.row(1)


def test_any_row_can_be_looked_at(tmp_path: Path) -> None:
    seen = examined(tmp_path, clean(5))
    place, example = seen.row(5)
    assert place.number == 5
    assert example.messages[0].role == "user"  # type: ignore[union-attr]
    with pytest.raises(Refusal, match="no row 6"):
        seen.row(6)

"""The card of a file of rows: the same tokens as training sees, without transformers."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from pegbox_methods.recipe import Model, RowSource, Split
from pegbox_methods.refusal import Refusal
from pegbox_runs import data_card as data_card_module
from pegbox_runs.data_card import card_of, data_card
from pegbox_runs.light_tokenizer import LightTokenizer
from pegbox_runs.models import BUNDLED, FoundModel, find_config, find_model
from pegbox_runs.rows.doctor import examine as examine_module
from pegbox_runs.rows.doctor.examine import examine, parted_anew
from pegbox_runs.rows.doctor.examined import Examined
from pegbox_runs.rows.example import Completion, Conversation, Example, Message, PlainText
from pegbox_runs.rows.lengths import RowTokens, exact_rows
from tests.example_rows import examples_of

ROWS = BUNDLED / "rows.jsonl"


def bundled() -> FoundModel:
    return find_config(Model(name="bundled"))


def write_rows(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def copied(folder: Path, *left_out: str) -> FoundModel:
    """Copy the bundled model without some of its files."""
    shutil.copytree(BUNDLED / "model", folder, ignore=shutil.ignore_patterns(*left_out))
    return find_config(Model(name=str(folder)))


def test_its_tokens_and_labels_are_those_that_the_worker_trains() -> None:
    from transformers import AutoTokenizer

    from pegbox_runs.rows.masking import IGNORED
    from pegbox_worker.tokens import tokenize

    examples: list[Example] = examples_of(ROWS, 60)
    examples += [Completion("One and one is", " two."), PlainText("Nothing but a text."), Completion("", "Alone.")]
    examples.append(
        Conversation(
            (
                Message("system", "Be brief."),
                Message("user", "A list?"),
                Message("assistant", "Mutable."),
                Message("user", "A tuple?"),
                Message("assistant", "Not so."),
            )
        )
    )
    theirs = tokenize(examples, AutoTokenizer.from_pretrained(BUNDLED / "model"), 10**6)
    ours = exact_rows(examples, LightTokenizer(BUNDLED / "model"))
    assert [row.length for row in ours] == [len(ids) for ids in theirs.input_ids]
    learned = [[place for place, label in enumerate(labels) if label != IGNORED] for labels in theirs.labels]
    assert [[place for span in row.learned for place in range(*span)] for row in ours] == learned


def test_it_counts_rows_lengths_and_the_share_that_is_learned() -> None:
    card = data_card(ROWS, bundled())
    assert (card.rows, card.rows_counted, card.format, card.estimate) == (400, 400, "messages", None)
    sizes = [card.percentiles[key] for key in ("p50", "p90", "p95", "p99", "max")]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    assert 0.3 < card.trained_share < 0.95


def test_longer_limits_cut_less_and_the_longest_cuts_nothing() -> None:
    card = data_card(ROWS, bundled())
    kept = [at.trained_kept for at in card.lengths]
    assert kept == sorted(kept)
    assert (kept[-1], card.lengths[-1].rows_truncated) == (1.0, 0.0)
    assert kept[0] < 0.99
    assert card.shortest(0.99).trained_kept >= 0.99


def test_what_a_limit_leaves_is_counted_by_tokens() -> None:
    row = RowTokens(10, ((2, 4), (6, 9)))
    assert [row.kept(length) for length in (1, 3, 7, 10)] == [0, 1, 3, 5]


def test_a_large_file_is_sampled_and_the_card_says_so() -> None:
    whole, part = data_card(ROWS, bundled()), data_card(ROWS, bundled(), sample=100)
    assert (part.rows, part.rows_counted) == (400, 100)
    assert "100 of 400 rows" in part.counted_with
    assert part.mean_tokens == pytest.approx(whole.mean_tokens, rel=0.15)
    assert part == data_card(ROWS, bundled(), sample=100)


def test_without_a_tokenizer_tokens_are_guessed_and_the_card_says_so(tmp_path: Path) -> None:
    card = data_card(ROWS, copied(tmp_path / "model", "tokenizer.json"))
    assert card.estimate
    assert "tokenizer.json" in card.estimate
    assert card.mean_tokens == pytest.approx(data_card(ROWS, bundled()).mean_tokens, rel=0.5)


def test_without_a_template_its_overhead_is_guessed_and_the_card_says_so(tmp_path: Path) -> None:
    card = data_card(ROWS, copied(tmp_path / "model", "chat_template.jinja"))
    assert card.estimate == "the tokenizer has no chat template"
    assert card.mean_tokens == pytest.approx(data_card(ROWS, bundled()).mean_tokens, rel=0.2)


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('roles!') }}",
        "{% for",
        "{{ messages[7].content.nothing }}",
        "{{ 1 / 0 }}",
        "{{ '{}'.format() }}",
        "{{ 'a'.encode('nope') }}",
    ],
)
def test_a_template_that_fails_is_an_estimate_not_a_traceback(tmp_path: Path, template: str) -> None:
    model = copied(tmp_path / "model")
    (model.folder / "chat_template.jinja").write_text(template)
    assert "template" in str(data_card(ROWS, model).estimate)


def test_a_template_can_not_leave_its_sandbox(tmp_path: Path) -> None:
    model = copied(tmp_path / "model")
    (model.folder / "chat_template.jinja").write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}")
    assert "template" in str(data_card(ROWS, model).estimate)


def test_a_template_that_never_ends_is_stopped_and_the_card_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copied(tmp_path / "model")
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    (model.folder / "chat_template.jinja").write_text(endless)
    monkeypatch.setattr(data_card_module, "RENDERING_SECONDS", 0.3)
    former, begin = signal.getsignal(signal.SIGVTALRM), time.monotonic()
    card = data_card(ROWS, model)
    assert time.monotonic() - begin < 10
    assert card.estimate.startswith("the chat template takes more than 0.3 s for a row; the row begins ")
    assert "tokens around each turn" in card.counted_with
    assert card.mean_tokens == pytest.approx(data_card(ROWS, bundled()).mean_tokens, rel=0.2)
    assert signal.getsignal(signal.SIGVTALRM) is former


def test_rows_are_counted_outside_the_main_thread_too() -> None:
    cards: list[object] = []
    thread = threading.Thread(target=lambda: cards.append(data_card(ROWS, bundled(), sample=20)))
    thread.start()
    thread.join(60)
    assert cards == [data_card(ROWS, bundled(), sample=20)]


def test_generation_marks_are_let_through(tmp_path: Path) -> None:
    model = copied(tmp_path / "model")
    marked = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    (model.folder / "chat_template.jinja").write_text(marked)
    assert data_card(ROWS, model).estimate is None


def test_a_broken_tokenizer_is_an_estimate_not_a_traceback(tmp_path: Path) -> None:
    model = copied(tmp_path / "model")
    (model.folder / "tokenizer.json").write_text("{}")
    assert "can't be used" in str(data_card(ROWS, model).estimate)


def test_plain_texts_are_learned_whole(tmp_path: Path) -> None:
    card = data_card(write_rows(tmp_path, {"text": "One."}, {"text": "Two and three."}), bundled())
    assert card.format == "text"
    assert card.trained_share > 0.7


def test_rows_that_fit_no_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="in a known format"):
        data_card(write_rows(tmp_path, {"what": "ever"}), bundled())


def examined(file: Path, model: FoundModel | None, **asked: Any) -> Examined:
    return examine(RowSource(file=str(file), **asked), model=model, split=Split())


def test_the_card_of_examined_rows_is_the_one_that_another_reading_gives(tmp_path: Path) -> None:
    assert card_of(examined(ROWS, bundled())) == data_card(ROWS, bundled())
    texts = write_rows(tmp_path, {"text": "One."}, {"text": "Two and three."})
    model = copied(tmp_path / "model", "tokenizer.json")
    assert card_of(examined(texts, model)) == data_card(texts, model)


def test_the_card_of_examined_rows_keeps_to_their_limit_and_says_what_was_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card = card_of(examined(ROWS, bundled(), limit=30))
    assert card is not None
    assert (card.rows, card.rows_counted) == (30, 30)
    monkeypatch.setattr(examine_module, "COUNTED_ROWS", 100)
    card = card_of(examined(ROWS, bundled()))
    assert card is not None
    assert (card.rows, card.rows_counted) == (400, 100)
    assert "100 of 400 rows" in card.counted_with
    assert card.mean_tokens == pytest.approx(data_card(ROWS, bundled()).mean_tokens, rel=0.15)


def test_held_out_rows_of_their_own_are_counted_and_those_that_are_in_both(tmp_path: Path) -> None:
    here = write_rows(tmp_path, *({"text": f"Text {n}."} for n in range(30)))
    (tmp_path / "other").mkdir()
    other = write_rows(tmp_path / "other", *({"text": f"Text {n}."} for n in range(20, 60)))
    split = Split(share=0.0, file=str(other))
    found = examine(RowSource(file=str(here)), held_out=RowSource(file=str(other)), model=bundled(), split=split)
    card = card_of(found)
    assert card is not None
    assert (card.rows, card.held_out, card.also_held_out) == (30, 40, 10)
    alone = card_of(examined(here, bundled()))
    assert alone is not None
    assert (alone.held_out, alone.also_held_out) == (None, 0)


def test_rows_whose_tokens_were_not_counted_or_of_which_none_is_good_have_no_card(tmp_path: Path) -> None:
    assert card_of(examined(ROWS, None)) is None
    rows = write_rows(tmp_path, {"prompt": "a", "completion": ""}, {"prompt": "b", "completion": 7})
    assert card_of(examined(rows, bundled())) is None


def test_another_share_gives_the_report_that_another_reading_gives(tmp_path: Path) -> None:
    first = examined(ROWS, None)
    for share in (0.0, 0.25, 0.5):
        anew = examine(RowSource(file=str(ROWS)), split=Split(share=share))
        parted = parted_anew(first, share)
        assert parted.split == anew.split
        assert structs.replace(parted.report, seconds=0) == structs.replace(anew.report, seconds=0)
    assert parted_anew(first, first.split.share) is first
    one = examined(write_rows(tmp_path, {"text": "Alone."}), None)
    assert [found.name for found in one.report.findings] == ["nothing-to-train"]
    assert not parted_anew(one, 0.0).report.findings
    assert [found.name for found in parted_anew(parted_anew(one, 0.0), 0.5).report.findings] == ["nothing-to-train"]


def test_a_config_alone_is_enough_for_a_forecast_and_not_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((BUNDLED / "model" / "config.json").read_text())
    assert find_config(Model(name=str(tmp_path))).shape is not None
    with pytest.raises(Refusal, match="no tokenizer"):
        find_model(Model(name=str(tmp_path)))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_a_config_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(Refusal, match=r"config\.json"):
        find_config(Model(name=str(tmp_path)))

"""The report of a run: one page, the same as Markdown, whatever became of the run, and nobody's text is markup."""

from __future__ import annotations

import html
import os
import re
import time
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.events import Change, Failed, Replanned, Sample, Step
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact, MadeFile, Proof, write_artefact
from pegbox_runs.evaluating.keeping import keep
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_report.facts import read_facts
from pegbox_runs.run_report.html import run_html
from pegbox_runs.run_report.markdown import run_markdown
from pegbox_runs.run_report.report import report_of
from pegbox_runs.run_report.writing import write_run_report
from pegbox_runs.tuned import adapter_sha256_in
from tests.report_pages import BROWSER, Page, check_safe, opened
from tests.runs.arena.made_up_results import HOSTILE
from tests.runs.told_runs import (
    GIB,
    base_at,
    evaluated,
    forecast,
    told_look,
    told_run,
    told_step,
    whole_story,
    write_events,
    write_record,
)
from tests.stories import made, prepared, started

WILD = HOSTILE.replace("\ud800", "")  # no JSON holds that


def written(folder: RunFolder) -> tuple[str, str]:
    """Make the page and the Markdown."""
    report = report_of(read_facts(folder))
    return run_html(report).decode(), run_markdown(report).decode()


def artefact_in(folder: RunFolder, name: str, *, passed: bool, **changes: object) -> Path:
    """Lay an artefact into a run's exports."""
    place = folder.path / "exports" / name
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(b"w" * 10)
    proof = Proof(
        of="merged", against="base + adapter", computed_in="float32", prompts=32, positions=900,
        largest_difference=1e-4, mean_kl=1e-9, largest_kl=1e-8, same_answers=32, same_first=1.0, answer_tokens=32,
        bound_kl=1e-6, passed=passed, why="" if passed else "it is another model",
    )  # fmt: skip
    record = Artefact(
        target="merged", order="o", run=folder.id, method="lora", base="b", base_sha256=None, adapter_sha256="s",
        number_format="bfloat16", files={"model.safetensors": MadeFile(bytes=10, sha256="x")}, proofs=(proof,),
        libraries={}, seconds=2.0,
    )  # fmt: skip
    write_artefact(msgspec.structs.replace(record, **changes), place)
    return place


@pytest.fixture
def whole(tmp_path: Path) -> RunFolder:
    """Give a finished run with all that a report can tell."""
    folder = told_run(base_at(tmp_path), note="our first")
    write_record(folder.forecast, forecast())
    keep(evaluated(folder, adapter_sha256_in(folder.adapter)), folder)
    artefact_in(folder, "merged", passed=True)
    artefact_in(folder, "gguf-q8_0", passed=False)
    return folder


def test_the_page_tells_all_of_a_run_in_order(whole: RunFolder) -> None:
    page, markdown = written(whole)
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())
    parts = [
        "The tuned model is better on these rows.",
        "At a glance",
        "rank = 8",
        "our first",
        "Curves",
        "Loss of the",
    ]
    parts += ["Forecast and measured", "Peak memory 4.0 GiB 2.0 GiB to 5.0 GiB 4.0 GiB within the forecast's range"]
    parts += ["Tokens a second 80 60 to 90 50 below", "Training and evaluation 12 s 10 s to 16 s 23 s above"]
    parts += ["linear maps", "measured peak", "Evaluation", "−0.75 (−0.90 to −0.60)", "no difference shown"]
    parts += ["untrained 3.0000", "Sample answers", "the question", "before what the model said", "After step 10"]
    parts += ["What happened", "noticed: what the model said", "the learning rate is 0.0001 now", "completed"]
    parts += ["What was made of it", "gguf-q8_0", "NO", "merged", "yes", "it is another model", "Recipe"]
    parts += ["max_gradient_norm", "Fingerprint", "a" * 64]
    at = 0
    for part in parts:
        assert part in text[at:], part
        at = text.index(part, at)
    flat = " ".join(markdown.split())
    for part in ("the learning rate is 0.0001 now", "| Peak memory | 4.0 GiB |", "before what the", "```toml"):
        assert part in flat


def test_the_page_is_whole_and_refers_to_nothing_outside(whole: RunFolder) -> None:
    page = Page(text := written(whole)[0])
    check_safe(page)
    assert not re.search(r"url\(|@import|expression", text[text.index("<style>") : text.index("</style>")])
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    named = [part for value in page.values("aria-labelledby") for part in value.split()]
    assert set(named) | {target[1:] for target in page.values("href") if target.startswith("#")} <= set(ids)
    charts = [attributes for tag, attributes in page.elements if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) == 8  # five over the steps, the items of memory, and two units of differences


def test_text_from_outside_is_shown_and_never_acts(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path), whole_story(said=WILD), note=WILD.replace("\x00", "")[:400])
    keep(evaluated(folder, adapter_sha256_in(folder.adapter), said=WILD), folder)
    hostile = forecast()
    assert hostile.memory is not None
    memory = msgspec.structs.replace(hostile.memory, items={WILD: GIB}, notes=("</p><script>",))
    write_record(folder.forecast, msgspec.structs.replace(hostile, device="<img src=x>", memory=memory))
    artefact_in(folder, "merged", passed=False, unproven="<b onclick=x>", remarks=("<script>alert(1)</script>",))
    page, markdown = written(folder)
    check_safe(Page(page))
    assert "</script><script>alert(1)</script>" in Page(page).text
    assert "\\x1b[31m" in Page(page).text
    assert "{{ 7 * 7 }}" in Page(page).text
    for text in (page, markdown):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    outside_of_code = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", markdown)
    assert not re.search(r"(?<!\\)<(?!!-- -->)", outside_of_code)
    assert "\n```\n" not in outside_of_code


def test_a_row_cannot_end_the_fence_that_it_stands_in(tmp_path: Path) -> None:
    story = [started(), prepared(), Sample(step=0, index=0, question="```\n# mine\n````", answer="a", expected="")]
    _, markdown = written(told_run(base_at(tmp_path), story))
    assert "`````\n```\n# mine\n````\n`````" in markdown


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (whole_story(until=8, finished=False), "Running at step 4 of 10"),
        (
            [*whole_story(until=8, finished=False), Failed(what="no room", where="saving", remedy="Free some.")],
            "Failed",
        ),
        ([], "lost"),
    ],
    ids=["running", "failed", "nothing told"],
)
def test_a_run_that_did_not_finish_says_so(events: list, said: str, tmp_path: Path) -> None:
    folder = made()
    write_events(folder, events)
    if not events:
        os.utime(folder.recipe, (0, 0))
    page, markdown = written(folder)
    check_safe(Page(page))
    heading = markdown.split("\n")[2] + markdown.split("\n")[4]
    assert said in heading
    assert ("isn't over" in Page(page).text) == (said.startswith("Running"))
    if said == "Failed":
        assert "Free some." in Page(page).text


def test_a_run_of_an_earlier_version_without_forecast_or_readable_records_has_a_report(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path))
    folder.environment.write_text("{}")
    folder.recipe.write_text("not = [toml")
    folder.forecast.write_text("{")
    page, markdown = written(folder)
    check_safe(Page(page))
    assert "No forecast is kept with this run" in Page(page).text
    assert "The recipe can't be read" in markdown
    assert "The record of the machine can't be read" in markdown


def test_advice_is_told_with_the_steps_at_which_it_was_seen_and_what_was_changed_then(tmp_path: Path) -> None:
    change = Change(key="training.learning_rate", before=2e-4, after=1e-4)
    story = [started(), prepared(), told_look(0, 3.0), *map(told_step, range(1, 4)), told_look(3, 2.0, best=True)]
    story += [*map(told_step, range(4, 7)), told_look(6, 2.4)]
    story += [Replanned(step=6, why="asked", changes=(change,), text="half the rate"), *map(told_step, range(7, 10))]
    story += [told_look(9, 1.5, best=True)]
    facts = read_facts(told_run(base_at(tmp_path), story))
    (seen,) = [one for one in facts.course.advised if one.hint.name == "overfitting"]
    assert (seen.first_step, seen.last_step, seen.at_the_end) == (6, 6, False)
    _, markdown = written(facts.folder)
    assert "not seen any more after step 6; changed after step 6: half the rate" in markdown


def test_a_spike_among_many_steps_is_drawn_and_a_million_steps_make_a_small_page(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path), [started(), prepared(), told_step(1)])
    steps = [told_step(number, loss=9.0 if number == 50_001 else 2.0 + number % 7 / 7) for number in range(2, 100_001)]
    lines = [msgspec.json.encode(_numbered(one, place)) for place, one in enumerate(steps, 4)]
    with folder.events.open("ab") as log:
        log.write(b"\n".join(lines) + b"\n")
    began = time.perf_counter()
    page, _ = written(folder)
    assert time.perf_counter() - began < 20
    assert len(page) < 400_000
    assert read_facts(folder).state.steps_done == 100_000
    band = re.search(r'<path d="M([^"]+)" class="spread k1"', page)
    assert band is not None
    heights = [float(y) for y in band[1].split()[1::2]]
    assert sum(height < min(heights) + 1 for height in heights) == 1


def _numbered(step: Step, seq: int) -> dict:
    return {**msgspec.to_builtins(step), "type": "step", "seq": seq}


def test_a_report_is_written_again_over_itself_and_over_nothing_else(whole: RunFolder, tmp_path: Path) -> None:
    report = report_of(read_facts(whole))
    for _ in range(2):
        page, markdown = write_run_report(report, tmp_path / "out")
        assert page.is_file()
        assert markdown.is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.md").write_text("my own report")
    with pytest.raises(Refusal, match="nothing is overwritten"):
        write_run_report(report, tmp_path / "mine")
    assert (tmp_path / "mine" / "report.md").read_text() == "my own report"
    assert not (tmp_path / "mine" / "report.html").exists()


def test_the_home_s_path_and_tokens_are_taken_out_of_what_is_written(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path), note=f"see {Path.home()}/secret and hf_{'a' * 34}")
    page, markdown = write_run_report(report_of(read_facts(folder)), tmp_path / "out")
    for path in (page, markdown):
        assert f"{Path.home()}/" not in path.read_text()
        assert "hf_aaaa" not in path.read_text()
        assert "hidden" in path.read_text()


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_real_browser_opens_the_page_without_a_network_and_complains_of_nothing(
    whole: RunFolder, tmp_path: Path
) -> None:
    page, _ = write_run_report(report_of(read_facts(whole)), tmp_path / "out")
    shown, said = opened(page, tmp_path / "profile")
    check_safe(Page(shown))
    assert "What was made of it" in shown
    assert "CONSOLE" not in said, said


def test_the_report_s_recipe_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    for text in written(told_run(base_at(tmp_path), note="ours")):
        assert str(tmp_path) not in text
        assert "/data/acme" not in text
        assert "customers.jsonl" in text

"""Which evaluations have a say in a card and a report, and how a card tells of what was measured on something else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pegbox_methods.events import Prepared
from pegbox_runs.artefacts.artefact import QualityCost
from pegbox_runs.evaluating.evaluated import Evaluated
from pegbox_runs.evaluating.keeping import keep, telling
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_report.facts import read_facts
from pegbox_runs.run_report.html import run_html
from pegbox_runs.run_report.markdown import run_markdown
from pegbox_runs.run_report.report import report_of
from pegbox_runs.tuned import adapter_sha256_in
from tests.report_pages import Page
from tests.runs.test_sharing import merged_of, metadata, pushed
from tests.runs.told_runs import base_at, evaluated, told_run, whole_story

OF_FILE = "Far better on rows of its own choice."


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Give a run that left an adapter."""
    return told_run(base_at(tmp_path))


def kept(folder: RunFolder, weights: str | None = None, verdict: str = "", **rows: object) -> Evaluated:
    """Keep one more evaluation of a run, of its own weights unless others are named."""
    told = evaluated(folder, adapter_sha256_in(folder.adapter) if weights is None else weights)
    told = msgspec.structs.replace(
        told, verdict=verdict or told.verdict, rows=msgspec.structs.replace(told.rows, **rows)
    )
    keep(told, folder)
    return told


def headline(folder: RunFolder) -> str:
    """Give a report's."""
    return report_of(read_facts(folder)).headline


def report(folder: RunFolder) -> str:
    """Give the whole report as Markdown, on one line."""
    return " ".join(run_markdown(report_of(read_facts(folder))).decode().split())


def test_a_newer_evaluation_on_a_file_takes_neither_the_card_s_word_nor_the_report_s(run: RunFolder) -> None:
    own = kept(run)
    kept(run, verdict=OF_FILE, source="file", rows=7, of=7)
    push = pushed()
    assert push.results.verdict == headline(run) == own.verdict
    assert {one["args"]["rows"] for one in metadata(push)["model-index"][0]["results"][0]["metrics"]} == {40}
    assert "On rows that aren't the run's held-out ones" in push.card
    assert "On 7 of rows of a file of its own" in push.card
    assert OF_FILE in report(run)
    page = Page(run_html(report_of(read_facts(run))).decode())
    assert len(page.values("id")) == len(set(page.values("id")))


def test_an_evaluation_on_a_file_alone_is_told_as_such_and_its_figures_are_in_no_metadata(run: RunFolder) -> None:
    kept(run, verdict=OF_FILE, source="file", trained_on=None)
    push = pushed()
    metrics = metadata(push)["model-index"][0]["results"][0]["metrics"]
    assert [one["name"] for one in metrics] == ["Loss on held-out rows, nats per token"]  # the run's own look
    assert OF_FILE not in (push.results.verdict, headline(run))
    assert "Whether these rows were trained on can't be told" in push.card
    assert any("no evaluation of these weights on the held-out rows" in remark for remark in push.remarks)


def test_an_evaluation_of_all_held_out_rows_goes_before_a_newer_one_of_some(run: RunFolder) -> None:
    whole = kept(run)
    kept(run, verdict="Three rows say so.", rows=3)
    assert telling(run).held_out == whole
    assert pushed().results.verdict == headline(run) == whole.verdict


def test_an_evaluation_of_some_held_out_rows_is_told_as_one(run: RunFolder) -> None:
    kept(run, rows=3)
    assert "On 3 of the run's held-out rows, the first of 40, " in pushed().card


def test_a_report_tells_no_evaluation_of_other_weights(run: RunFolder) -> None:
    kept(run, "other weights", verdict="It was well once.")
    assert "fell from 3.0000 to 2.2500" in headline(run)
    told = report(run)
    assert "It was well once" not in told
    assert "All evaluations of this run are of other weights" in told


def test_a_loss_that_the_run_itself_told_otherwise_is_said_in_the_card_and_the_report(run: RunFolder) -> None:
    told = "The run itself told a loss of {} of these weights on these rows, and it is 2.2500 here"
    for loss, said in ((2.2501, False), (2.5, True)):
        keep(msgspec.structs.replace(evaluated(run, adapter_sha256_in(run.adapter)), kept_loss=loss), run)
        for text in (pushed().card, report(run)):
            assert (told.format("2.5000") in text) is said
            assert ("the adapter isn't what was trained" in text) is said


def test_rows_that_were_trained_on_are_told_once_in_a_report(run: RunFolder) -> None:
    said = "3 of these 40 rows were trained on"
    kept(run, source="file", trained_on=3, remarks=(f"{said}.",))
    assert report(run).count("were trained on") == 1
    assert said in report(run)


def test_each_figure_of_the_metadata_has_its_own_number_of_rows(run: RunFolder) -> None:
    told = evaluated(run, adapter_sha256_in(run.adapter))
    loss, exact = told.figures
    keep(msgspec.structs.replace(told, figures=(loss, msgspec.structs.replace(exact, rows=4))), run)
    (results,) = metadata(pushed())["model-index"][0]["results"]
    assert results["dataset"]["name"] == "held-out rows"
    assert [(one["type"], one["args"]["rows"]) for one in results["metrics"]] == [("loss", 40), ("exact_match", 4)]


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "gguf", "number_format": "f16"},
        {"target": "mlx"},
        {"target": "lora", "cost": QualityCost(rows=40, loss_before=2.0, loss_after=2.1, low=0.05, high=0.15)},
        {"unproven": "nobody looked."},
    ],
    ids=["gguf", "mlx", "at a cost", "unproven"],
)
def test_a_converted_model_has_no_figures_of_the_unconverted_one_in_its_metadata(changes: dict, run: RunFolder) -> None:
    kept(run)
    merged_of(run, **changes)
    push = pushed("merged")
    assert "model-index" not in metadata(push)
    assert "measured of the run's own model, before it was converted" in push.results.verdict
    assert "−0.75 (−0.90 to −0.60)" in push.card


def test_a_merged_model_that_was_shown_to_be_the_same_keeps_the_figures(run: RunFolder) -> None:
    kept(run)
    merged_of(run)
    push = pushed("merged")
    assert len(metadata(push)["model-index"][0]["results"][0]["metrics"]) == 2
    assert "before it was converted" not in push.card


def test_an_adapter_that_was_trained_on_a_4_bit_base_is_loaded_on_one(tmp_path: Path) -> None:
    events = [
        msgspec.structs.replace(one, precision="bfloat16") if isinstance(one, Prepared) else one
        for one in whole_story()
    ]
    folder = told_run(base_at(tmp_path), events, quantization="nf4")
    told = evaluated(folder, adapter_sha256_in(folder.adapter))
    keep(msgspec.structs.replace(told, computed=msgspec.structs.replace(told.computed, weights="nf4")), folder)
    card = pushed().card
    code = card.split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert 'bnb_4bit_quant_type="nf4"' in code
    assert "bnb_4bit_compute_dtype=torch.bfloat16" in code
    assert "from_pretrained('acme/base-1b', quantization_config=packed)" in code
    assert "the base's weights in nf4" in card


def test_an_adapter_on_a_base_of_full_weights_is_loaded_without_packing_it(run: RunFolder) -> None:
    code = pushed().card.split("```python\n")[1].split("```")[0]
    compile(code, "card", "exec")
    assert "BitsAndBytes" not in code

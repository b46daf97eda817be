"""What is published of a run: which files, what the card says, and that nothing private is in any of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
import yaml
from huggingface_hub import ModelCard

from pegbox_methods.recipe import MixedRows, Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import ARTEFACT, Artefact
from pegbox_runs.artefacts.making import made_file
from pegbox_runs.evaluating.keeping import keep
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.sharing.base import Base
from pegbox_runs.sharing.card_sections import shareable
from pegbox_runs.sharing.pushing import Push, prepare, refuse_unfit
from pegbox_runs.tuned import tuned_run
from tests.runs.arena.made_up_results import HOSTILE
from tests.runs.test_run_report import artefact_in
from tests.runs.told_runs import ROWS, base_at, evaluated, told_run

README = "---\nlicense: apache-2.0\n---\n# A base\n"
WILD = HOSTILE.replace("\ud800", "").replace("\x00", "")


def pushed(what: str = "adapter", **options: object) -> Push:
    """Put the newest run's push together."""
    asked = {"what": what, "base_id": "acme/base-1b", "branch": None, "public": False, **options}
    return prepare("last", "me/model", **asked)  # type: ignore[arg-type]


def content(push: Push, name: str) -> bytes:
    """Give what is sent under a name."""
    source = next(item.source for item in push.items if item.name == name)
    return source if isinstance(source, bytes) else source.read_bytes()


def metadata(push: Push) -> dict:
    """Read the card's front matter as the Hub does."""
    told = yaml.safe_load(push.card.split("---\n")[1])
    assert ModelCard(push.card).data.to_dict() is not None
    return told


def merged_of(folder: RunFolder, **changes: object) -> Path:
    """Lay a merged model of the run's own weights into its exports."""
    place = artefact_in(folder, "merged", passed=True)
    (place / "config.json").write_text(json.dumps({"_name_or_path": tuned_run(folder.id).model.reference}))
    files = {name: made_file(place / name) for name in ("model.safetensors", "config.json")}
    record = msgspec.json.decode((place / ARTEFACT).read_bytes(), type=Artefact)
    weights = tuned_run(folder.id).adapter_sha256()
    told = {"files": files, "adapter_sha256": weights, "base": tuned_run(folder.id).model.reference, **changes}
    (place / ARTEFACT).write_bytes(msgspec.json.encode(msgspec.structs.replace(record, **told)))
    return place


def test_an_adapter_is_sent_with_its_weights_as_they_are_and_its_base_by_its_public_name(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path, README))
    push = pushed()
    assert [item.name for item in push.items] == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert content(push, "adapter_model.safetensors") == (folder.adapter / "adapter_model.safetensors").read_bytes()
    assert json.loads(content(push, "adapter_config.json"))["base_model_name_or_path"] == "acme/base-1b"
    assert all(item.bytes == len(content(push, item.name)) for item in push.items)
    assert str(tmp_path) in (folder.adapter / "adapter_config.json").read_text()  # the run's own is as it was


def test_nothing_that_is_sent_names_this_machine_s_paths_its_host_or_the_rows(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path, README), note="for the board meeting")
    keep(evaluated(folder, tuned_run("last").adapter_sha256()), folder)
    merged_of(folder)
    for what in ("adapter", "merged"):
        for item in pushed(what).items:
            sent = content(pushed(what), item.name)
            for private in (str(tmp_path), ROWS, "customers", "board meeting", "what the model said"):
                assert private.encode() not in sent, (item.name, private)
            assert b"the question" not in sent


def test_the_card_s_metadata_names_base_licence_library_relation_and_figures(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path, README))
    keep(evaluated(folder, tuned_run("last").adapter_sha256()), folder)
    told = metadata(pushed())
    assert (told["base_model"], told["base_model_relation"]) == ("acme/base-1b", "adapter")
    assert (told["license"], told["library_name"], told["tags"]) == ("apache-2.0", "peft", ["pegbox", "lora"])
    metrics = told["model-index"][0]["results"][0]["metrics"]
    assert [(one["type"], one["value"]) for one in metrics] == [("loss", 2.25), ("exact_match", 0.2)]
    assert metrics[0]["args"] == {
        "rows": 40,
        "base": 3.0,
        "difference": -0.75,
        "difference_low_95": -0.9,
        "difference_high_95": -0.6,
    }


def test_the_card_tells_figures_with_ranges_fingerprints_cost_and_how_to_load(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path, README))
    keep(evaluated(folder, tuned_run("last").adapter_sha256()), folder)
    card = pushed().card
    for part in ("**The tuned model is better on these rows.**", "−0.75 (−0.90 to −0.60)", "no difference shown"):
        assert part in card
    for part in ("a" * 64, "rows held out", "4.0 GiB", "PeftModel.from_pretrained(base, 'me/model')", "```toml"):
        assert part in card
    assert "under apache-2.0, as the base's own model card says: Apache 2.0: use, change, sell it" in card


def test_an_evaluation_of_other_weights_has_no_say_and_the_run_s_own_looks_are_told_as_what_they_are(
    tmp_path: Path,
) -> None:
    folder = told_run(base_at(tmp_path))
    keep(evaluated(folder, "other weights"), folder)
    push = pushed()
    assert push.results.evaluated is None
    assert "better on these rows" not in push.card
    assert "They have no ranges, so chance isn't ruled out" in push.card
    assert "There are only evaluations of other weights" in push.card
    assert "The base's licence isn't known here" in push.card
    assert any("licence" in remark for remark in push.remarks)


def test_a_model_shown_to_be_worse_is_said_to_be(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path))
    keep(evaluated(folder, tuned_run("last").adapter_sha256(), worse=True), folder)
    assert any("shown to be worse" in remark for remark in pushed().remarks)


@pytest.mark.parametrize(
    "readme",
    [
        "---\nlicense: [a, b]\n---\n",
        "---\nlicense: '../x <script>'\n---\n",
        "---\n: : [\n---\n",
        "---\n- a\n---\n",
        "# no",
    ],
)
def test_a_base_s_card_that_says_nothing_usable_leaves_the_licence_unknown(readme: str, tmp_path: Path) -> None:
    told_run(base_at(tmp_path, readme))
    assert "license" not in metadata(pushed())
    assert "script" not in pushed().card


def test_the_licence_of_a_catalogue_model_is_known_without_its_card(tmp_path: Path) -> None:
    told_run(base_at(tmp_path))
    card = pushed(base_id="HuggingFaceTB/SmolLM2-135M-Instruct").card
    assert "license: apache-2.0" in card
    assert "as Pegbox' catalogue says" in card


def test_texts_from_outside_are_neither_markup_nor_metadata_of_the_card(tmp_path: Path) -> None:
    base = base_at(tmp_path)
    wild = base.rename(tmp_path / "x]()<img src=x>\n# mine\nlicense: mit")
    folder = told_run(wild)
    told = evaluated(folder, tuned_run("last").adapter_sha256())
    keep(msgspec.structs.replace(told, verdict=WILD), folder)
    merged_of(folder, remarks=(WILD,), unproven=WILD)
    for what in ("adapter", "merged"):
        push = pushed(what, base_id=None)
        assert set(metadata(push)) <= {"library_name", "pipeline_tag", "tags", "model-index"}
        plain = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$", "", push.card)
        assert not re.search(r"(?<!\\)<(?!!-- -->)", plain)
        assert not re.search(r"(?m)^# mine", plain)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", push.card)


def test_a_shared_recipe_names_no_file_of_rows_and_keeps_all_else(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path), note="private")
    recipe = tuned_run(folder.id).recipe
    mixed = msgspec.structs.replace(
        recipe.rows, mix=(MixedRows(file="/data/more.csv", weight=2.0), MixedRows(file="org/set"))
    )
    whole = msgspec.structs.replace(
        recipe,
        rows=mixed,
        split=msgspec.structs.replace(recipe.split, file="~/held.jsonl"),
        model=msgspec.structs.replace(recipe.model, chat_template="/x/t.jinja"),
    )
    shared = shareable(whole, Base("acme/base-1b", "acme/base-1b", None, None))
    assert isinstance(shared, Recipe)
    assert (shared.rows.file, shared.split.file) == ("rows.jsonl", "rows.jsonl")
    assert [one.file for one in shared.rows.mix] == ["rows.csv", "org/set"]
    assert (shared.model.name, shared.model.chat_template, shared.output.note) == (
        "acme/base-1b",
        "chat_template.jinja",
        "",
    )
    assert shared.training == recipe.training
    assert shared.method == recipe.method


def test_the_recipe_s_own_chat_template_goes_along_and_the_card_says_how_it_is_used(tmp_path: Path) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text("{{ messages }}")
    folder = told_run(base_at(tmp_path), chat_template=str(template))
    push = pushed()
    assert content(push, "chat_template.jinja") == b"{{ messages }}"
    assert "tokenizer.chat_template = " in push.card
    template.unlink()
    with pytest.raises(Refusal, match="chat template isn't the one"):
        pushed()
    told = msgspec.json.decode(folder.environment.read_bytes())
    folder.environment.write_bytes(msgspec.json.encode({**told, "template_sha256": None}))  # as earlier versions did
    assert any("is gone" in remark for remark in pushed().remarks)


def test_what_lies_beside_an_adapter_stays_here_and_is_named(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path))
    (folder.adapter / "training_rows.jsonl").write_text("{}")
    (folder.adapter / "notes.txt").write_text("mine")
    (folder.adapter / "linked.safetensors").symlink_to("/etc/passwd")
    push = pushed()
    assert set(push.left_out) == {"training_rows.jsonl", "notes.txt", "linked.safetensors"}
    assert not {item.name for item in push.items} & set(push.left_out)


def test_a_file_that_holds_a_token_is_not_sent(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path))
    (folder.adapter / "tokenizer_config.json").write_text(json.dumps({"auth": "hf_" + "a" * 34}))
    with pytest.raises(Refusal, match=r"tokenizer_config.json: holds what looks like an access token"):
        pushed()


def test_an_artefact_is_sent_whole_with_its_proof_and_the_base_by_its_public_name(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path))
    place = merged_of(folder)
    push = pushed("merged")
    record = msgspec.json.decode(content(push, ARTEFACT), type=Artefact)
    assert record.base == "acme/base-1b"
    for name, made in record.files.items():  # also of what was written anew
        assert len(content(push, name)) == made.bytes
    assert json.loads(content(push, "config.json"))["_name_or_path"] == "acme/base-1b"
    assert metadata(push)["base_model_relation"] == "finetune"
    assert "Held against the run's own model" in push.card
    assert "AutoModelForCausalLM.from_pretrained('me/model')" in push.card
    assert pushed(str(place)).items[1:] == push.items[1:]


def test_a_damaged_a_strange_and_a_stale_artefact_are_refused(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path))
    with pytest.raises(Refusal, match="`pegbox merge"):
        pushed("merged")
    place = merged_of(folder, run="another")
    with pytest.raises(Refusal, match="was made of the run another"):
        pushed("merged")
    _again(place, run=folder.id, adapter_sha256="other")
    with pytest.raises(Refusal, match="made of other weights"):
        pushed("merged")
    _again(place, adapter_sha256=tuned_run("last").adapter_sha256())
    (place / "model.safetensors").write_bytes(b"v" * 10)
    with pytest.raises(Refusal, match="was changed since it was made and proven"):
        pushed("merged")


def _again(place: Path, **changes: object) -> None:
    record = msgspec.json.decode((place / ARTEFACT).read_bytes(), type=Artefact)
    (place / ARTEFACT).write_bytes(msgspec.json.encode(msgspec.structs.replace(record, **changes)))


def test_rows_in_an_artefact_are_never_sent(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path))
    place = merged_of(folder)
    (place / "rows.jsonl").write_text("{}")
    files = {"rows.jsonl": made_file(place / "rows.jsonl")}
    _again(place, files=files)
    with pytest.raises(Refusal, match="no rows are ever sent"):
        pushed("merged")


def test_what_is_not_shown_to_be_the_same_model_is_refused_unless_it_is_said(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path))
    merged_of(folder, unproven="nobody looked.")
    push = pushed("merged")
    with pytest.raises(Refusal, match=r"isn't shown to be the model that was trained: nobody looked\."):
        refuse_unfit(push, None, unproven=False)
    refuse_unfit(push, None, unproven=True)
    assert "**Not shown to be the same model:** nobody looked." in push.card


def test_an_adapter_that_peft_cannot_load_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = told_run(base_at(tmp_path))
    (folder.adapter / "adapter_config.json").unlink()
    with pytest.raises(Refusal, match=r"no adapter of PEFT.*pegbox merge"):
        pushed()


@pytest.mark.parametrize("name", ["model", "a/b/c", "../x", "me/mo del", "me/--x", "http://x/y"])
def test_a_name_that_is_no_repository_is_refused(name: str, tmp_path: Path) -> None:
    told_run(base_at(tmp_path))
    with pytest.raises(Refusal, match=r"--repo .*OWNER/NAME"):
        prepare("last", name, what="adapter", base_id=None, branch=None, public=False)

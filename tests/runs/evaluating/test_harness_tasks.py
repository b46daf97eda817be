"""lm-eval's tasks in a user's folder: followed through groups, tags and includes, and none brings code unasked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pegbox_methods.refusal import Refusal
from pegbox_runs.evaluating.outside.harness_tasks import LocalTasks, local_tasks

PLAIN = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files: {{test: rows.jsonl}}
doc_to_text: "{{{{question}}}}"
metric_list:
  - metric: acc
"""


def task(folder: Path, name: str, more: str = "") -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(PLAIN.format(name=name) + more)
    return file


def look(folder: Path, *names: str, allow_code: bool = False, fetch: bool = False) -> LocalTasks:
    return local_tasks(folder, names, allow_code=allow_code, fetch=fetch)


def test_a_plain_task_passes_with_its_measures(tmp_path: Path) -> None:
    file = task(tmp_path, "plain")
    assert look(tmp_path, "plain", "arc_easy") == LocalTasks((file,), ("arc_easy",), frozenset({"acc"}))


def test_the_task_of_the_documentation_passes(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "outside-judges.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my_task.yaml").write_text(block)
    assert look(tmp_path, "my_task").metrics == {"acc"}


def test_without_a_folder_all_names_are_lm_evals_own() -> None:
    assert local_tasks(None, ("arc_easy",), allow_code=False, fetch=False).elsewhere == ("arc_easy",)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("process_docs: !function utils.f\n", "!function utils.f runs Python code"),
        ("fewshot_config: {samples: !function utils.f}\n", "!function utils.f"),
        ("class: anything\n", "class = anything brings code"),
        ("custom_dataset: anything\n", "custom_dataset"),
        ("generation_kwargs: {custom_generate: org/name}\n", "custom_generate = org/name"),
        ("generation_kwargs: {trust_remote_code: true}\n", "trust_remote_code"),
        ("unsafe_code: true\n", "unsafe_code"),
        ("dataset_path: pandas\n", "dataset_path = pandas: expected one of arrow, csv, json, parquet, text"),
        ("dataset_path: ./scripts\n", "dataset_path"),
        ("dataset_path: /tmp\n", "dataset_path"),
        ("dataset_path: here/it-is\n", "dataset_path"),
        ("metric_list: [{metric: acc, hf_evaluate: true}]\n", "hf_evaluate"),
        ("dataset_kwargs: {data_files: {test: 'https://example.com/a.json'}}\n", "--lm-eval-fetch"),
    ],
)
def test_what_brings_code_is_refused_with_the_file_and_the_way_out(tmp_path: Path, more: str, says: str) -> None:
    (tmp_path / "here" / "it-is").mkdir(parents=True)
    file = tmp_path / "bad.yaml"
    keys = {line.partition(":")[0] for line in more.splitlines()}
    kept = [line for line in PLAIN.format(name="bad").splitlines() if line.partition(":")[0] not in keys]
    kept = [line for line in kept if not ("dataset_kwargs" in keys and "data_files" in line)]
    kept = [line for line in kept if not ("metric_list" in keys and "metric: acc" in line)]
    file.write_text("\n".join(kept) + "\n" + more)
    with pytest.raises(Refusal) as refused:
        look(tmp_path, "bad")
    assert says in refused.value.sentence
    assert str(file) in refused.value.sentence
    assert look(tmp_path, "bad", allow_code=True).files == (file,)


def test_a_hub_id_is_data_and_passes(tmp_path: Path) -> None:
    (tmp_path / "hub.yaml").write_text("task: hub\ndataset_path: org/name\n")
    assert look(tmp_path, "hub").files


def test_rows_at_another_machine_pass_where_fetching_is_allowed(tmp_path: Path) -> None:
    text = "task: far\ndataset_path: json\ndataset_kwargs: {data_files: {test: 'https://example.com/a.json'}}\n"
    (tmp_path / "far.yaml").write_text(text)
    assert look(tmp_path, "far", fetch=True).files


def test_code_behind_an_include_a_group_or_a_tag_is_found(tmp_path: Path) -> None:
    (tmp_path / "_base").write_text("process_docs: !function utils.f\n")
    task(tmp_path, "leaf", "include: _base\ntag: many\n")
    (tmp_path / "group.yaml").write_text("group: outer\ntask:\n  - {group: inner, task: [leaf]}\n")
    for name in ("leaf", "many", "outer"):
        with pytest.raises(Refusal, match="!function"):
            look(tmp_path, name)


def test_code_inside_a_group_itself_is_found(tmp_path: Path) -> None:
    (tmp_path / "group.yaml").write_text("group: outer\ntask:\n  - {task: inline, dataset_path: pandas}\n")
    with pytest.raises(Refusal, match="pandas"):
        look(tmp_path, "outer")


def test_code_of_tasks_that_nobody_asked_for_is_no_matter(tmp_path: Path) -> None:
    plain = task(tmp_path, "plain")
    task(tmp_path, "other", "process_docs: !function utils.f\n")
    (tmp_path / "broken.yaml").write_text("task: [")
    (tmp_path / "loop.yaml").write_text("task: loop\ninclude: loop.yaml\n")
    assert look(tmp_path, "plain").files == (plain,)


def test_a_tag_of_python_is_never_obeyed(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    (tmp_path / "py.yaml").write_text(f"task: py\nx: !!python/object/apply:os.mkdir ['{gone}']\n")
    assert look(tmp_path, "py").elsewhere == ("py",)
    assert not gone.exists()


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no such folder"):
        look(tmp_path / "nowhere", "a")

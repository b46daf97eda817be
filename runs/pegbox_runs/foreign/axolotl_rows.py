"""Axolotl's data sets and chat templates in our words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pegbox_methods.home import user_path
from pegbox_runs.foreign.carrying import Carrying, Entry
from pegbox_runs.foreign.values import PLACEHOLDER, rows_place, there

TYPES = {
    "alpaca": "alpaca",
    "chat_template": "auto",
    "sharegpt": "sharegpt",
    "completion": "text",
    "context_qa": "question-answer",
}
"""First word of a data set's `type` -> our format."""
OWN = {
    "path": "rows.file",
    "split": "rows.hub_split",
    "name": "rows.hub_subset",
    "revision": "rows.revision",
}
COLUMNS = {
    "field_messages": "messages",
    "field_tools": "tools",
    "field_thinking": "reasoning",
    "field": "text",
    "field_instruction": "prompt",
    "field_input": "input",
    "field_output": "completion",
    "field_system": "system",
}
NEUTRAL = {
    "ds_type": "Pegbox reads a file's kind off its name",
    "conversation": "the model's own chat template renders the rows",
    "chat_template": "the model's own chat template renders the rows; a file of one goes to model.chat_template",
    "message_property_mappings": "Pegbox knows the usual names of roles and contents by itself",
    "message_field_role": "Pegbox knows the usual names of roles and contents by itself",
    "message_field_content": "Pegbox knows the usual names of roles and contents by itself",
    "roles": "Pegbox knows the usual names of roles by itself",
    "preprocess_shards": "how rows are read changes nothing in what is learned",
    "trust_remote_code": "Pegbox runs no code that comes with a data set",
    "split_thinking": "reasoning is a column of its own, or part of the answer",
}


def rows(carrying: Carrying, folders: tuple[Path, ...]) -> None:
    """Take `datasets` and `test_datasets`."""
    sources: list[dict[str, Any]] = []
    if carrying.has("datasets"):
        sources = _sources(carrying, "datasets", folders)
    if sources:
        for name, value in sources[0].items():
            carrying.put(f"rows.{name}", value)
        if sources[1:]:
            carrying.put("rows.mix", sources[1:])
    else:
        carrying.put("rows.file", PLACEHOLDER)
        carrying.to_do.append(f"no rows could be carried over: set rows.file, which is {PLACEHOLDER} now.")
    if carrying.has("test_datasets"):
        held_out = _sources(carrying, "test_datasets", folders)
        if held_out:
            carrying.put("split.file", held_out[0]["file"])
            carrying.put("split.share", 0.0)
            if len(held_out) > 1:
                carrying.to_do.append("only the first of test_datasets is held out: Pegbox takes one file or folder.")


def _sources(carrying: Carrying, key: str, folders: tuple[Path, ...]) -> list[dict[str, Any]]:
    listed = carrying.given[key]
    if not isinstance(listed, list):
        carrying.leave(key, "expected a list of data sets")
        return []
    found = []
    for number, asked in enumerate(listed, start=1):
        if isinstance(asked, dict) and isinstance(asked.get("path"), str):
            found.append(_source(carrying, f"{key}[{number}]", asked, folders))
        else:
            carrying.deeper(Entry(key=f"{key}[{number}]", value=asked, fate="left", why="it has no path"))
    carrying.same(key, f"{len(found)} of {len(listed)}; what became of each key in them is told beside")
    return found


def _source(carrying: Carrying, at: str, asked: dict[str, Any], folders: tuple[Path, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    files = asked.get("data_files")
    if isinstance(files, str) or (isinstance(files, list) and len(files) == 1 and isinstance(files[0], str)):
        named = files if isinstance(files, str) else files[0]
    else:
        named = asked["path"]
    place, why = rows_place(named, folders)
    made["file"] = place
    if why.startswith("there is no"):
        carrying.to_do.append(f"{at}: {why}.")
    for name, value in asked.items():
        _key(carrying, f"{at}.{name}", name, value, made, why=why)
    return made


def _key(carrying: Carrying, at: str, name: str, value: Any, made: dict[str, Any], *, why: str) -> None:
    """Take one key of a data set."""

    def note(fate: Any, to: str = "", why: str = "") -> None:
        carrying.deeper(Entry(key=at, value=value, fate=fate, to=to, why=why))

    if value is None or value in ("", [], {}):
        note("empty")
    elif name in ("path", "data_files"):
        if name == "data_files" and isinstance(value, list) and len(value) > 1:
            note("left", why="several files; put them into one folder, and name that as rows.file")
        else:
            note("translated", f"rows.file = {made['file']}", why)
    elif name in OWN:
        made[OWN[name].partition(".")[2]] = value
        note("carried", f"{OWN[name]} = {value}")
    elif name == "type":
        _type(note, value, made)
    elif name in COLUMNS and isinstance(value, str):
        made.setdefault("columns", {})[COLUMNS[name]] = value
        note("carried", f"rows.columns.{COLUMNS[name]} = {value}")
    elif name in NEUTRAL:
        note("translated", why=NEUTRAL[name])
    elif name == "roles_to_train" and value in (["assistant"], ["gpt"], ["assistant", "gpt"]):
        note("translated", why="Pegbox trains on the answers alone")
    elif name == "train_on_eos" and value == "turn":
        note("translated", why="Pegbox trains the end of each answer")
    else:
        note("left", why="Pegbox has no counterpart; `pegbox data FILE` shows what it makes of the rows")


def _type(note: Any, value: Any, made: dict[str, Any]) -> None:
    """Take a data set's type: a word for a format, or a table of columns."""
    if isinstance(value, dict):
        columns = made.setdefault("columns", {})
        lost = []
        for name, column in value.items():
            if name in COLUMNS and isinstance(column, str) and column:
                columns[COLUMNS[name]] = column
            elif column:
                lost.append(name)
        made["format"] = "instruction-response"
        why = "the model's chat template renders the rows; not carried over: " + ", ".join(lost) if lost else ""
        note("translated", f"rows.columns = {columns}", why)
        return
    word = str(value).partition(".")[0].partition(":")[0]
    if word in TYPES:
        made["format"] = TYPES[word]
        note(
            "translated", f"rows.format = {TYPES[word]}", "" if word == str(value) else "its variant isn't carried over"
        )
    else:
        made["format"] = "auto"
        note("left", why="Pegbox recognises rows by their keys: rows.format = auto. `pegbox data FILE` shows as what")


def template(carrying: Carrying, folders: tuple[Path, ...]) -> None:
    """Take the chat template: a file of one, or the model's own."""
    if carrying.has("chat_template_jinja"):
        named = str(carrying.given["chat_template_jinja"])
        inline = "\n" in named or "{%" in named or "{{" in named
        places = [] if inline else [folder / user_path(named) for folder in folders]
        found = next((place for place in places if there(place) and place.is_file()), None)
        if found is not None:
            carrying.translate("chat_template_jinja", "model.chat_template", str(found.absolute()))
        else:
            what = "it isn't a file's name" if inline else "there is no file of that name"
            carrying.leave("chat_template_jinja", f"{what}; write the template into one for model.chat_template")
    if carrying.has("chat_template"):
        asked = str(carrying.given["chat_template"])
        if asked == "jinja" or asked.startswith("tokenizer_default"):
            carrying.same("chat_template", "the model's own, or the file that model.chat_template names")
        else:
            carrying.leave(
                "chat_template", f"{asked} is a template of Axolotl's; Pegbox takes the model's own, as serving it does"
            )

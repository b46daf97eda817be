"""LLaMA-Factory's data sets, which dataset_info.json describes, in our words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pegbox_methods.home import user_path
from pegbox_runs.foreign.carrying import Carrying
from pegbox_runs.foreign.values import PLACEHOLDER, rows_place, whole

INFO = "dataset_info.json"
MOST_BYTES = 16 * 2**20
COLUMNS = {
    "prompt": "prompt",
    "query": "input",
    "response": "completion",
    "history": "history",
    "messages": "messages",
    "system": "system",
    "tools": "tools",
}
ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}
"""Columns where a description names none at all; where it names some, the others aren't there."""
CHAT = {"messages": "conversations"}
CHAT_FORMS = ("sharegpt", "openai")
"""Both hold turns under keys that `tags` names; they differ in how calls of tools are read.

Source: data/README.md, src/llamafactory/data/parser.py and converter.py of LLaMA-Factory.
"""


def rows(carrying: Carrying, folders: tuple[Path, ...]) -> None:
    """Take `dataset` and `eval_dataset`. Raises: Refusal: dataset_dir lies in an unknown user's home."""
    place = user_path(str(carrying.value("dataset_dir", "data")))
    found = [_read(folder / place) for folder in folders]
    info = next(((folder / place, table) for folder, table in zip(folders, found, strict=True) if table), None)
    if carrying.has("dataset"):
        sources = _named(carrying, "dataset", info, folders)
        if sources:
            for name, value in sources[0].items():
                carrying.put(f"rows.{name}", value)
            limit = whole(carrying.value("max_samples"))
            if sources[1:]:
                told = {"limit": limit} if isinstance(limit, int) and limit else {}
                mixed = [{**source, **told} for source in sources[1:]]
                carrying.put("rows.mix", mixed)
    if carrying.at("rows.file") is None:
        carrying.put("rows.file", PLACEHOLDER)
        carrying.to_do.append(f"no rows could be carried over: set rows.file, which is {PLACEHOLDER} now.")
    if carrying.has("eval_dataset"):
        held_out = _named(carrying, "eval_dataset", info, folders)
        if held_out:
            carrying.put("split.file", held_out[0]["file"])
            carrying.put("split.share", 0.0)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / INFO
    try:
        if path.stat().st_size > MOST_BYTES:
            return {}
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _named(
    carrying: Carrying, key: str, info: tuple[Path, dict[str, Any]] | None, folders: tuple[Path, ...]
) -> list[dict[str, Any]]:
    told = carrying.given[key]
    names = told if isinstance(told, list) else [one.strip() for one in str(told).split(",") if one.strip()]
    sources, said = [], []
    for name in names:
        described = info[1].get(str(name)) if info is not None else None
        if info is None or not isinstance(described, dict):
            why = (
                f"{name} isn't in a {INFO} here" if info else f"there is no {INFO} in dataset_dir that says what it is"
            )
            carrying.to_do.append(f"{key}: {why}; name its file as rows.file or in rows.mix.")
            said.append(f"{name}: left, {why}")
            continue
        source, why = _source(described, info[0], folders)
        if source is None:
            said.append(f"{name}: left, {why}")
            carrying.to_do.append(f"{key}: {name}: {why}.")
        else:
            sources.append(source)
            said.append(f"{name}: {source['file']}" + (f" ({why})" if why else ""))
    if sources:
        carrying.translate(key, "rows.file" if key == "dataset" else "split.file", sources[0]["file"], "; ".join(said))
    else:
        carrying.leave(key, "; ".join(said))
    return sources


def _source(told: dict[str, Any], folder: Path, folders: tuple[Path, ...]) -> tuple[dict[str, Any] | None, str]:
    """Read one description. Returns: a source of ours, or None; and what must be said of it."""
    if told.get("ranking"):
        return None, "it holds preferences, which Pegbox doesn't tune on"
    source: dict[str, Any] = {}
    read = {"formatting", "columns", "ranking"}
    if isinstance(told.get("hf_hub_url"), str):
        source["file"] = told["hf_hub_url"]
        for name, ours in (("subset", "hub_subset"), ("split", "hub_split")):
            if isinstance(told.get(name), str):
                source[ours] = told[name]
        why = "a data set of the Hub"
        read |= {"hf_hub_url", "subset", "split"}
    elif isinstance(told.get("file_name"), str):
        source["file"], why = rows_place(told["file_name"], (folder, *folders))
        read |= {"file_name"}
    else:
        return None, "it lies neither in a file nor on the Hub"
    why_not = _columns(told, source)
    if why_not:
        return None, why_not
    unread = sorted(str(name) for name, value in told.items() if name not in read and value not in (None, "", [], {}))
    if unread:
        why = "; ".join([*([why] if why else []), f"not carried over: {', '.join(unread)}"])
    return source, why


def _columns(told: dict[str, Any], source: dict[str, Any]) -> str:
    """Put a description's format and columns into a source of ours. Returns: why it can't be; empty: it is done."""
    form = told.get("formatting") or "alpaca"
    chat = form in CHAT_FORMS
    if not chat and form != "alpaca":
        return f"it is in the formatting {form}, which Pegbox doesn't read"
    given = told.get("columns")
    columns = given if isinstance(given, dict) else CHAT if chat else ALPACA
    unknown = sorted(str(name) for name in columns if name not in COLUMNS)
    if unknown:
        return f"it has {', '.join(unknown)}, which Pegbox doesn't tune on"
    named = {name: str(column) for name, column in columns.items() if column}
    needed = ("messages",) if chat else ("prompt", "query")
    if not any(name in named for name in needed):
        return f"its columns don't name {' or '.join(needed)}"
    if chat:
        source["columns"] = {COLUMNS[name]: column for name, column in named.items()}
    elif named.keys() == {"prompt"}:
        source["format"] = "text"
        source["columns"] = {"text": named["prompt"]}
    else:
        source["format"] = "instruction-response"
        if "prompt" not in named:  # the query is the whole question then
            named["prompt"] = named.pop("query")
        source["columns"] = {COLUMNS[name]: column for name, column in named.items()}
    return ""

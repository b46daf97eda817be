"""lm-eval's tasks in a folder of the user's: read before the harness does, to see that none of them brings code.

A task of lm-eval is YAML, and YAML can run code there: by the tag `!function`, by `class`, by metrics and data sets
that are scripts or pickles. None of it is wanted unasked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line

PLAIN_FORMATS = frozenset({"json", "csv", "parquet", "arrow", "text"})
"""What `datasets` reads without running anything; `pandas` would be a pickle."""
CODE_KEYS = frozenset({"class", "custom_dataset", "custom_generate", "trust_remote_code", "unsafe_code", "use_prompt"})
"""Keys whose value is code, or fetches some."""
SKIPPED = frozenset({"__pycache__", ".ipynb_checkpoints"})
"""Folders that lm-eval doesn't look into."""
HOW = "Say --allow-task-code if you know what it does."


class _Function(str):
    """What stood behind `!function`."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """Reads YAML, and knows lm-eval's own tag without obeying it."""


_Loader.add_constructor("!function", lambda loader, node: _Function(loader.construct_scalar(node)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class LocalTasks:
    """What is needed of a folder for the asked tasks."""

    files: tuple[Path, ...]
    """Each was read."""
    elsewhere: tuple[str, ...]
    """Names that no file of the folder has: lm-eval's own tasks, or none."""
    metrics: frozenset[str]
    """Names of measures that the files ask for."""


def local_tasks(folder: Path | None, tasks: Iterable[str], *, allow_code: bool, fetch: bool) -> LocalTasks:
    """Follow tasks, groups and tags through a folder's files.

    Raises: Refusal: the folder or a file can't be read; one brings code, and code isn't allowed; it names an address,
    and nothing shall be fetched.
    """
    if folder is None:
        return LocalTasks((), tuple(tasks), frozenset())
    if not folder.is_dir():
        raise Refusal(f"--lm-eval-tasks {one_line(str(folder), 200)}: no such folder.")
    whole = {file: found for file in _yaml_files(folder) if (found := _read_quietly(file)) is not None}
    wanted, seen, files, elsewhere = list(tasks), set[str](), dict[Path, Any](), list[str]()
    while wanted:
        name = wanted.pop(0)
        if name in seen:
            continue
        seen.add(name)
        having = [file for file, config in whole.items() if name in _names(config)]
        if not having:
            elsewhere.append(name)
        for file in having:
            files[file] = whole[file]
            wanted += _members(whole[file])
    if not allow_code:
        for file, config in files.items():
            _refuse_code(folder, file, config, fetch=fetch)
    metrics = frozenset(metric for config in files.values() for metric in _metrics(config))
    return LocalTasks(tuple(files), tuple(elsewhere), metrics)


def _yaml_files(folder: Path) -> list[Path]:
    found = (file for file in folder.rglob("*.yaml") if not SKIPPED & set(file.parts))
    return sorted(found, key=lambda file: file.as_posix())


def _read_quietly(file: Path) -> dict[str, Any] | None:
    """Read a file with what it includes; None: it is none of lm-eval's, which leaves such out too.

    Raises: Refusal: it has a name, and what it includes can't be read.
    """
    try:
        return _read(file, frozenset())
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return None


def _read(file: Path, through: frozenset[Path]) -> dict[str, Any]:
    """Raises: OSError, ValueError, yaml.YAMLError."""
    file = file.expanduser().resolve()
    if file in through:
        raise ValueError(f"{file} includes itself")
    config = yaml.load(file.read_bytes(), Loader=_Loader)  # noqa: S506  # a SafeLoader with one tag more
    if not isinstance(config, dict):
        raise ValueError(f"{file}: no mapping")
    included = config.pop("include", [])
    merged: dict[str, Any] = {}
    for name in included if isinstance(included, list) else [included]:
        other = _read(file.parent / str(name), through | {file})
        other.pop("task_list", None)
        merged |= other
    return merged | config


def _names(config: dict[str, Any]) -> set[str]:
    """Give the names by which a file is asked for: a task's, a group's, tags."""
    tags = config.get("tag")
    named = [config.get("task"), config.get("group"), *(tags if isinstance(tags, list) else [tags])]
    return {name for name in named if isinstance(name, str)}


def _members(config: dict[str, Any]) -> list[str]:
    """Give the names that a group holds, inner groups' too."""
    tasks = config.get("task")
    members = []
    for one in tasks if isinstance(tasks, list) else []:
        if isinstance(one, str):
            members.append(one)
        elif isinstance(one, dict):
            members += [name for name in (one.get("task"), one.get("group")) if isinstance(name, str)]
            members += _members(one)
    return members


def _metrics(config: object) -> Iterator[str]:
    for mapping in _mappings(config):
        listed = mapping.get("metric_list")
        for one in listed if isinstance(listed, list) else []:
            if isinstance(one, dict) and isinstance(one.get("metric"), str):
                yield one["metric"]


def _refuse_code(folder: Path, file: Path, config: dict[str, Any], *, fetch: bool) -> None:
    """Raises: Refusal."""
    where = one_line(str(file), 200)
    for value in _values(config):
        if isinstance(value, _Function):
            raise Refusal(f"{where}: !function {one_line(value, 80)} runs Python code of the task's. {HOW}")
    for mapping in _mappings(config):
        for key in sorted(CODE_KEYS & {str(key) for key in mapping}):
            if mapping[key] not in (None, False):
                raise Refusal(f"{where}: {key} = {one_line(str(mapping[key]), 80)} brings code. {HOW}")
        if mapping.get("hf_evaluate"):
            raise Refusal(f"{where}: hf_evaluate measures with a script from elsewhere. {HOW}")
        _refuse_data(folder, where, mapping, fetch=fetch)


def _refuse_data(folder: Path, where: str, mapping: dict[Any, Any], *, fetch: bool) -> None:
    """Raises: Refusal."""
    path = mapping.get("dataset_path")
    if path is None:
        return
    name = one_line(str(path), 80)
    if path in PLAIN_FORMATS:
        read = _values(mapping.get("dataset_kwargs"))
        if not fetch and any("://" in value for value in read if isinstance(value, str)):
            raise Refusal(f"{where}: its rows lie at another machine. Say --lm-eval-fetch to have them fetched.")
    elif not isinstance(path, str) or path.count("/") != 1 or path[0] in "./~" or (folder / path).exists():
        known = ", ".join(sorted(PLAIN_FORMATS))
        raise Refusal(f"{where}: dataset_path = {name}: expected one of {known} with data_files, or a Hub id. {HOW}")


def _values(value: object) -> Iterator[object]:
    """Walk through all that a configuration holds."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _values(one)
    elif isinstance(value, list | tuple | set):
        for one in value:
            yield from _values(one)
    else:
        yield value


def _mappings(value: object) -> Iterator[dict[Any, Any]]:
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from _mappings(one)

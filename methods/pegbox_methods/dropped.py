"""Drop-in folders: each Python file in $PEGBOX_HOME/methods is a plugin, and brings the method of its name; so does one
in $PEGBOX_HOME/tasks with a task."""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from pegbox_methods.fence import Broken
from pegbox_methods.home import home


def dropped_files(folder: str) -> tuple[Path, ...]:
    """List the files of a drop-in folder that are plugins, in alphabetical order; none is opened.

    `folder`: its name in Pegbox' home. It may not exist.
    """
    try:
        found = sorted((home() / folder).iterdir())
    except OSError:
        return ()
    return tuple(file for file in found if file.suffix == ".py" and file.name[0] not in "._" and file.is_file())


def name_of(file: Path) -> str:
    """Name what a file brings."""
    return readable(file.stem).replace("_", "-")


def readable(name: str) -> str:
    """Write a file's name as a text that can be printed; a name that is no UTF-8 gets escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def import_file(file: Path, package: str) -> ModuleType:
    """Import a drop-in file, once in a process, from where it lies; nothing is put on `sys.path`.

    It stays in `sys.modules`, below `package`, so that a card can name a torch half in the same file:
    f"{__name__}:half".
    Raises: Broken: somebody else could have written it; whatever the file raises.
    """
    for place in (file.parent, file):
        _refuse_foreign(place)
    name = f"{package}.{file.stem}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(file):
        return known
    loader = _Uncompiled(name, str(file))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None  # noqa: S101  # it is None only without a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses look their module up
    try:
        loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


class _Uncompiled(SourceFileLoader):
    """Reads the source alone: no bytecode is written into the folder, and none that lies there is believed."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _refuse_foreign(place: Path) -> None:
    """Refuse a place that others can write to, as ssh does: a plugin is code that runs as this user.

    Raises: Broken: says what is wrong, and the command that mends it.
    """
    if sys.platform == "win32":
        return
    found = place.stat()
    if found.st_uid not in (os.geteuid(), 0):
        raise Broken(f"{place} belongs to another user, and a plugin is code; copy what you trust")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Broken(f"others can write {place}, and a plugin is code; mend it with: chmod go-w '{place}'")

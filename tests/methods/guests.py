"""Guests for tests: a distribution on `sys.path` with an entry point, or a file in the drop-in folder."""

from __future__ import annotations

from pathlib import Path

SOURCE = '''
"""A method like LoRA, under another name and with a setting of its own."""

import dataclasses

import msgspec

from pegbox_methods import hookimpl
from pegbox_methods.zoo.lora.card import CARD as LORA

RANK = msgspec.structs.replace(LORA.settings[0], default=3, maximum=77)
CARD = dataclasses.replace(
    LORA, name="{name}", title="A guest", summary="Comes to stay.", settings=(RANK, *LORA.settings[1:]), {changes}
)


@hookimpl
def pegbox_card():
    return CARD
'''


def source(name: str, *, before: str = "", changes: str = "", after: str = "") -> str:
    """Write a plugin's module. `changes` of the card's fields; `before` and `after` are lines of code."""
    return f"{before}\n{SOURCE.format(name=name, changes=changes)}\n{after}\n"


def drop(home: Path, file: str, text: str, *, folder_name: str = "methods") -> Path:
    """Put a file into a drop-in folder."""
    folder = home / folder_name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / file
    path.write_text(text)
    path.chmod(0o600)
    return path


def distribution(folder: Path, name: str, text: str, *, dist: str = "a-guest", group: str = "pegbox") -> Path:
    """Install a distribution that brings one method, or one task, into a folder.

    Returns: the folder, to be put on `sys.path`.
    """
    module = f"{dist}_{name}".replace("-", "_")
    info = folder / f"{dist.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
    (folder / f"{module}.py").write_text(text)
    return folder

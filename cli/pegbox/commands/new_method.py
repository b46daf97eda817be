"""pegbox new-method NAME [--folder DIR]"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from string import Template

import pegbox_methods
from pegbox import __version__
from pegbox.answer import answer_json, say
from pegbox_methods.home import user_path
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import method_names, origin_of

TEMPLATE = Path(pegbox_methods.__file__).parent / "template"
SUFFIX = ".template"
"""Keeps linters and importers off files whose words are filled in later."""
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def run(asked: argparse.Namespace) -> int:
    """Write a distribution that brings one method, and say what to do next."""
    name: str = asked.method
    package = _package(name)
    folder = user_path(asked.folder or f"pegbox-{name}")
    files = _write(folder, _words(name, package))
    next_commands = _next(name, folder)
    if asked.json:
        answer_json(
            {
                "method": name,
                "distribution": f"pegbox-{name}",
                "package": package,
                "folder": str(folder.absolute()),
                "files": files,
                "next": next_commands,
            }
        )
    else:
        say(_report(name, package, folder, next_commands))
    return 0


def _package(name: str) -> str:
    """Name the package of a new method.

    Raises: Refusal: the method's name can't be one, or it or its package is taken.
    """
    if not NAME.fullmatch(name):
        raise Refusal(
            f"\"{name}\" can't be a method's name: it has small letters, digits and single hyphens between them, as in "
            '"my-method".'
        )
    if name in method_names():
        raise Refusal(f'"{name}" is taken by {origin_of(name)}; take another name.')
    package = f"pegbox_{name.replace('-', '_')}"
    if importlib.util.find_spec(package) is not None:
        raise Refusal(f'"{name}" would make a package called {package}, and there is one already; take another name.')
    return package


def _words(name: str, package: str) -> dict[str, str]:
    """Give what the template leaves open."""
    return {
        "name": name,
        "distribution": f"pegbox-{name}",
        "package": package,
        "title": name.replace("-", " ").capitalize(),
        "version": __version__,
    }


def _write(folder: Path, words: dict[str, str]) -> list[str]:
    """Write the distribution aside and move it into its place. Returns: its files, relative to the folder.

    Raises: Refusal: there is something in the folder already, or no folder that it could lie in. Nothing was written.
    """
    there = folder.is_dir()
    if not there and (folder.exists() or folder.is_symlink()):
        raise Refusal(f"{folder}: there is such a file already; name another folder with --folder.")
    if there and any(folder.iterdir()):
        raise Refusal(f"{folder}: the folder isn't empty, and nothing is overwritten; name another with --folder.")
    if not folder.parent.is_dir():
        raise Refusal(f"{folder.parent}: there is no such folder to write into; make it first.")
    with tempfile.TemporaryDirectory(prefix=".new-method-", dir=folder if there else folder.parent) as aside:
        written = Path(aside) / folder.absolute().name
        files = sorted(_fill(file, written, words) for file in TEMPLATE.rglob(f"*{SUFFIX}"))
        if there:  # the folder itself stays: a shell may stand in it
            for part in written.iterdir():
                part.rename(folder / part.name)
        else:
            written.rename(folder)
    return files


def _fill(file: Path, written: Path, words: dict[str, str]) -> str:
    """Fill one file of the template in. Returns: its path in the distribution."""
    place = file.relative_to(TEMPLATE).as_posix().removesuffix(SUFFIX).replace("/package/", f"/{words['package']}/")
    target = written / place
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(Template(file.read_text(encoding="utf-8")).substitute(words), encoding="utf-8")
    return place


def _next(name: str, folder: Path) -> list[str]:
    """Give the three commands that come next, to be run from here."""
    ours = Path(sys.executable)
    found = shutil.which("python")
    python = "python" if found and Path(found).parent == ours.parent else str(ours)
    return [
        shlex.join([python, "-m", "pip", "install", "--editable", str(folder)]),
        f"pegbox certify {name}",
        shlex.join(["pegbox", "train", str(folder / "recipe.toml")]),
    ]


def _report(name: str, package: str, folder: Path, next_commands: list[str]) -> str:
    source = f"src/{package}"
    parts = {
        f"{source}/card.py": "its name, settings, weights and sources; no torch",
        f"{source}/half_torch.py": "what it does to a model",
        "tests/test_certified.py": "that it keeps what it promises",
        "recipe.toml": "a toy to train it on, with rows.jsonl",
    }
    width = max(map(len, parts))
    said = [f'{folder} brings a method called "{name}". It is LoRA, and works; make it yours:\n']
    said += [f"  {part.ljust(width)}  {what}" for part, what in parts.items()]
    said += ["\nNext:\n", *(f"  {command}" for command in next_commands)]
    return "\n".join(said)

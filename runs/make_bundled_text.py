"""Collects the public names of Python's standard library with their docstrings.

The walk is in sorted order and keeps nothing that differs between two runs of one Python: no memory
addresses, no paths, no default values other than short literals.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import pkgutil
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any


def words_of(text: str) -> frozenset[str]:
    """The text's words, for a set that reads like a paragraph."""
    return frozenset(text.split())


# Importing these prints, opens a browser or starts a window; or they are there only for tests and
# installers; or (sysconfig) their defaults tell how this Python was installed.
SKIPPED_MODULES = words_of("""
    antigravity ensurepip idlelib lib2to3 distutils genericpath ntpath nturl2path pip posixpath profile pydoc_data
    setuptools sre_compile sre_constants sre_parse sysconfig test this tkinter turtle turtledemo venv
""")
# The names people know os.path by; the walk meets it only as posixpath.
EXTRA_MODULES = ("os.path",)
LONGEST_DOC = 1200  # characters; a longer docstring is cut at a paragraph


@dataclass(frozen=True)
class Entry:
    """One documented thing of the standard library."""

    module: str
    name: str  # dotted inside the module, as in "Path.exists"; empty for the module itself
    kind: str  # "module", "function", "class", "exception" or "method"
    signature: str  # "(a, b=1)", or empty where Python does not know it
    doc: str

    @property
    def full_name(self) -> str:
        """The dotted name a reader would type; names of builtins go without their module."""
        if not self.name:
            return self.module
        return self.name if self.module == "builtins" else f"{self.module}.{self.name}"


def collect_entries() -> list[Entry]:
    """Everything documented, in the order of the walk, each docstring once.

    A Python of its own does the walk: transformers adds methods with docstrings to logging.Logger, and those
    are not the standard library's.

    Raises subprocess.CalledProcessError where that Python fails.
    """
    command = [sys.executable, "-I", "-S", __file__]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    return [Entry(**fields) for fields in json.loads(told.stdout)]


def _walk() -> list[Entry]:
    """What collect_entries gives, from this very process."""
    entries: list[Entry] = []
    seen_docs: set[str] = set()
    for module in _import_library():
        for entry in _module_entries(module):
            if entry.doc not in seen_docs:
                seen_docs.add(entry.doc)
                entries.append(entry)
    return entries


def _import_library() -> Iterator[ModuleType]:
    """Each public module that this platform can import."""
    for name in sorted({*sys.stdlib_module_names, *EXTRA_MODULES}):
        if name.startswith("_") or name in SKIPPED_MODULES:
            continue
        module = _import_quietly(name)
        if module is None:
            continue
        yield module
        if name in EXTRA_MODULES:
            continue
        for found in sorted(pkgutil.iter_modules(getattr(module, "__path__", [])), key=lambda item: item.name):
            if not found.name.startswith("_") and found.name not in {"tests", "test"}:
                child = _import_quietly(f"{name}.{found.name}")
                if child is not None:
                    yield child


def _import_quietly(name: str) -> ModuleType | None:
    """The module, or None where importing it fails; whatever it prints or warns is dropped."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except ImportError:  # a module of another platform
            return None


def _module_entries(module: ModuleType) -> Iterator[Entry]:
    """The module, then its public functions and classes, each class followed by its methods."""
    # os.path calls itself posixpath here, and the reader should not see that.
    path = "os.path" if module.__name__ == "posixpath" else module.__name__
    doc = clean_doc(module.__doc__)
    if doc:
        yield Entry(path, "", "module", "", doc)
    values = {name: getattr(module, name, None) for name in _public_names(module)}
    for name, value in values.items():
        # Functions first: random.shuffle is a method of random.Random too, and nobody calls it by that name.
        if inspect.isroutine(value) and not inspect.isclass(value):
            doc = clean_doc(value.__doc__)
            if doc:
                yield Entry(path, name, "function", signature_of(value), doc)
    for name, value in values.items():
        if inspect.isclass(value):
            yield from _class_entries(path, name, value)


def _public_names(module: ModuleType) -> list[str]:
    """What the module exports; where it has no __all__, what it defines itself."""
    exported = getattr(module, "__all__", None)
    if exported is not None:
        return sorted(set(exported))
    homes = {module.__name__, f"_{module.__name__}", None}
    return [
        name
        for name in sorted(vars(module))
        if not name.startswith("_") and getattr(vars(module)[name], "__module__", "") in homes
    ]


def _class_entries(module: str, name: str, value: type) -> Iterator[Entry]:
    """The class and the methods that its own body documents."""
    doc = clean_doc(value.__doc__)
    kind = "exception" if issubclass(value, BaseException) else "class"
    if doc and not doc.startswith(f"{name}("):
        # A docstring that only repeats the signature is one that dataclass or namedtuple made up.
        yield Entry(module, name, kind, signature_of(value), doc)
    elif doc and "\n" in doc:
        yield Entry(module, name, kind, "", doc)
    for attribute in sorted(vars(value)):
        member = inspect.getattr_static(value, attribute)
        if isinstance(member, (classmethod, staticmethod)):
            member = member.__func__
        if attribute.startswith("_") or not inspect.isroutine(member):
            continue
        doc = clean_doc(member.__doc__)
        if doc:
            yield Entry(module, f"{name}.{attribute}", "method", signature_of(member), doc)


def signature_of(value: Any) -> str:
    """The parameters with their short literal defaults, or "" where Python does not know them."""
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except (ValueError, TypeError, AttributeError):  # the last where a default names what is not set up
        return ""
    parts: list[str] = []
    for position, parameter in enumerate(parameters):
        if position == 0 and parameter.name in {"self", "cls", "type"}:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not any(part.startswith("*") for part in parts):
            parts.append("*")
        stars = _STARS.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_shown_default(parameter.default)}"
        parts.append(f"{stars}{parameter.name}{default}")
    return f"({', '.join(parts)})"


_STARS: dict[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def _shown_default(default: object) -> str:
    """The literal, or "..." for what could differ between machines."""
    if default is None or isinstance(default, (bool, int, float, str, bytes)):
        shown = repr(default)
        if len(shown) <= 20 and "/" not in shown and not shown.startswith("<"):
            return shown
    return "..."


def clean_doc(doc: object) -> str:
    """The docstring dedented, without lines that name people; "" for one that is not worth keeping."""
    if not isinstance(doc, str) or not doc.isascii() or " at 0x" in doc or sys.prefix in doc:
        return ""
    lines = [line.rstrip() for line in inspect.cleandoc(doc).splitlines()]
    named = re.compile(r"\S@\S+\.\w|\b(written|contributed|copyright|author)\b", re.IGNORECASE)
    text = "\n".join(line for line in lines if not named.search(line)).strip()
    if len(text) > LONGEST_DOC:
        text = text[:LONGEST_DOC].rpartition("\n\n")[0].strip()
    return text if len(text) >= 20 and " " in text else ""


def opening_sentences(doc: str, limit: int = 1) -> list[str]:
    """Up to `limit` sentences of the first paragraph of prose, backquotes dropped; [] where the first is not clean."""
    for paragraph in doc.split("\n\n"):
        text = " ".join(paragraph.replace("`", "").split())
        if _CALL_LINE.match(text):
            continue  # "name(...) -> value", which says nothing in words
        if not text.endswith((".", ":", "!", "?")):
            text += "."
        sentences = _SENTENCE_END.split(text)
        clean = [sentence for sentence in sentences if _PLAIN_SENTENCE.match(sentence)]
        return clean[:limit] if clean[:1] == sentences[:1] else []
    return []


_CALL_LINE = re.compile(r"^[\w.]+\(.*\)(\s*->.*)?$")
_SENTENCE_END = re.compile(r"(?<=[\w)'\"\]]\.)(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)\s+(?=['A-Z])")
_PLAIN_SENTENCE = re.compile(r"^[A-Z](?!.*(->|>>>|::|\.\.\.|[|{}]|--| :)).{18,238}\.$")


if __name__ == "__main__":
    print(json.dumps([asdict(entry) for entry in _walk()]))

"""What must not leave the machine with a run's folder: access tokens, and where the user's home lies."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

import msgspec

SECRET_NAME = re.compile(r"(^|_)(TOKEN|API_?KEY|SECRET|PASSWORD|ACCESS_KEY)$", re.IGNORECASE)
"""Environment variables whose value is a secret by their name: HF_TOKEN, HUGGING_FACE_HUB_TOKEN, WANDB_API_KEY..."""
LEAST_CHARACTERS = 12
"""Of a secret. Shorter values are switches and placeholders (`HF_TOKEN=dummy`), and may be ordinary words of a text."""
HIDDEN = b"[hidden]"
_HUB_TOKEN = re.compile(rb"\bhf_[A-Za-z0-9]{20,}")
"""Hugging Face's user access tokens have 34 characters behind `hf_`."""
_GOES_ON = rb"(?![\w.-])"
"""A home is one only where its name ends: that of `ann` isn't the beginning of that of `anna`."""
_SOMETHING_IN_IT = rb"(?=/[\w.~-])"
_BLOCK_BYTES = 256 * 1024
_ASIDE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class Redactor:
    """Takes secrets and the home's path out of bytes; costs a few plain searches where there are none."""

    def __init__(self, environment: Mapping[str, str], homes: Iterable[str]) -> None:
        self._tokens = tuple(sorted({form for secret in _secrets(environment) for form in _forms(secret)}, key=len))
        roots = {home.rstrip("/") for home in homes}
        self._homes = tuple(sorted((form for root in roots if len(root) > 1 for form in _forms(root)), key=len))
        any_home = rb"(?:" + rb"|".join(re.escape(home) for home in reversed(self._homes)) + rb")"  # the longest first
        self._home = re.compile(any_home + _GOES_ON)
        self._below = re.compile(any_home + _SOMETHING_IN_IT)

    def clean(self, text: bytes) -> bytes:
        """Give the text with `[hidden]` in place of each secret, and `~` in place of the home."""
        text = self.without_tokens(text)
        if any(home in text for home in self._homes):
            text = self._home.sub(b"~", text)
        return text

    def without_tokens(self, text: bytes) -> bytes:
        """Give the text with `[hidden]` in place of each secret; paths stay as they are."""
        for token in reversed(self._tokens):  # the longest first: one may begin as another
            if token in text:
                text = text.replace(token, HIDDEN)
        if b"hf_" in text:
            text = _HUB_TOKEN.sub(HIDDEN, text)
        return text

    def without_paths_below(self, text: bytes) -> bytes:
        """Give the text with `~` in place of the home where a path goes on below it. The home alone stays: a model's
        vocabulary has `/root` as a word."""
        return self._below.sub(b"~", text) if any(home in text for home in self._homes) else text

    def clean_values(self, value: Any) -> Any:
        """Clean each string of a JSON value; the keys of its objects, and numbers, stay as they are."""
        if isinstance(value, str):
            return self.clean(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
        if isinstance(value, dict):
            return {key: self.clean_values(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean_values(item) for item in value]
        return value


@cache
def redactor() -> Redactor:
    """Give the one of this process, made from its environment when it is first asked for."""
    return Redactor(os.environ, _homes())


def clean(text: bytes) -> bytes:
    """Take this process's secrets and the home's path out of text."""
    return redactor().clean(text)


class CleanStream:
    """A text stream that takes secrets out of what goes through, write by write."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text without what mustn't be in it. Returns: the number of characters that were given."""
        self._stream.write(redactor().clean_values(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def clean_streams() -> None:
    """Let nothing through Python's two output streams that mustn't lie in a log.

    What C libraries print goes past them; `clean_file` catches that once the run is over.
    """
    sys.stdout, sys.stderr = CleanStream(sys.stdout), CleanStream(sys.stderr)


def clean_file(path: Path) -> bool:
    """Take secrets out of a log that nobody writes any more; aside and renamed, and only where it has some.

    Returns: whether it had. A file that isn't there, or can't be written, is left as it is.
    """
    try:
        if not _needs_cleaning(path):
            return False
        aside = path.with_name(f".{path.name}.part")
        with path.open("rb") as found, os.fdopen(os.open(aside, _ASIDE, 0o600), "wb") as file:
            for lines in iter(lambda: found.readlines(_BLOCK_BYTES), []):
                file.write(clean(b"".join(lines)))
        aside.replace(path)
    except OSError:
        return False
    return True


def _needs_cleaning(path: Path) -> bool:
    with path.open("rb") as file:
        for lines in iter(lambda: file.readlines(_BLOCK_BYTES), []):
            block = b"".join(lines)
            if clean(block) != block:
                return True
    return False


def _secrets(environment: Mapping[str, str]) -> list[str]:
    return [
        value.strip()
        for name, value in environment.items()
        if SECRET_NAME.search(name) and len(value.strip()) >= LEAST_CHARACTERS
    ]


def _forms(text: str) -> set[bytes]:
    """Give the bytes of a text as it is, and as it stands in JSON."""
    plain = text.encode("utf-8", "surrogateescape")
    try:
        return {plain, msgspec.json.encode(text)[1:-1]}
    except UnicodeError:
        return {plain}


def _homes() -> list[str]:
    """Name the home as the environment, the system and the disk do."""
    homes = {os.environ.get("HOME", ""), os.environ.get("USERPROFILE", "")}
    with contextlib.suppress(ImportError, KeyError):  # the system may know no such user, or have no such list
        import pwd

        homes.add(pwd.getpwuid(os.getuid()).pw_dir)
    homes |= {os.path.realpath(home) for home in homes if home}
    return [home for home in homes if Path(home).is_absolute()]

"""One address that speaks OpenAI's chat form, and how it is asked: nothing is sent that wasn't asked for."""

from __future__ import annotations

import http.client
import ipaddress
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.secrets import clean

PATH = "/chat/completions"
TRIES = 5
FIRST_WAIT_SECONDS = 1.0
"""Before the second try; twice as long before each further one."""
LONGEST_WAIT_SECONDS = 60.0
"""A judge that asks for more patience than that is taken for one that doesn't answer."""
TIMEOUT_SECONDS = 120.0
"""A large model on a small machine is slow to say its first word."""
MOST_BYTES = 2**20
"""Of a reply."""
BUSY = frozenset({408, 429, 500, 502, 503, 504, 529})
"""Answers after which it is worth trying again."""
ROW_REFUSED = frozenset({400, 413, 422})
"""Answers that may be one row's fault: it is too long for the judge, say."""
HINTS = {401: " (is the key right?)", 403: " (is the key right?)", 404: " (is the address, or the model, right?)"}


class Unanswered(Exception):
    """One question stayed without a reply after all tries; the message says why, in one line."""


class Unreached(Unanswered):
    """Nobody was there, or too slowly."""


class Turned(Exception):
    """The endpoint won't answer any question: a wrong key, a wrong name. The message is one line."""


@dataclass(frozen=True)
class Endpoint:
    """Where a judge answers, and what it is called there."""

    url: str
    """Of the chat completions, whole."""
    model: str
    key: str | None = field(default=None, repr=False)
    """Goes into the request's header and nowhere else."""

    @property
    def shown(self) -> str:
        """The address without its query, which may hold what nobody else shall see."""
        return urlunsplit(urlsplit(self.url)._replace(query=""))


def endpoint(url: str, model: str, *, key_from: str | None, insecure: bool) -> Endpoint:
    """Make an endpoint of what the user named. `key_from`: the environment variable that holds the key, if any does.

    Raises: Refusal: the address or the key can't be used; plain HTTP to another machine, unless `insecure`.
    """
    parts = _parts(url)
    if parts.scheme == "http" and not insecure and not _is_here(parts.hostname or ""):
        raise Refusal(
            f"--judge {one_line(url, 200)}: over plain HTTP anybody on the way can read the rows, the answers and the "
            "key. Take https, or say --judge-insecure if the way is yours."
        )
    path = parts.path.rstrip("/")
    whole = parts._replace(path=path if path.endswith(PATH) else path + PATH, fragment="")
    return Endpoint(urlunsplit(whole), model, None if key_from is None else _key(key_from))


def _parts(url: str) -> SplitResult:
    """Raises: Refusal."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        url.encode("ascii")
    except ValueError:
        good = False
    if not good or any(letter.isspace() for letter in url):
        raise Refusal(f"--judge {one_line(url, 200)}: expected an address such as http://localhost:11434/v1.")
    if parts.username is not None or parts.password is not None:
        raise Refusal("--judge: a name or password in the address would be seen; give a key by --judge-key-env.")
    return parts


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine, by its name alone: no resolver is asked."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _key(variable: str) -> str:
    """Raises: Refusal."""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise Refusal(
            f"--judge-key-env {one_line(variable, 60)}: the environment has no such variable, or it is empty."
        )
    if not (key.isascii() and key.isprintable()):
        raise Refusal(f"--judge-key-env {variable}: its value can't be a key: it has characters that no header takes.")
    return key


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the key and the rows go to the address that the user named, and to no other."""

    def redirect_request(self, *_: object) -> None:
        return None


class Asking:
    """Asks one endpoint, patiently; it learns which parameters the endpoint doesn't take."""

    def __init__(self, there: Endpoint, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Prepare to ask; nothing is sent yet. `sleep` waits so many seconds between tries."""
        self._there = there
        self._sleep = sleep
        handlers: list[Any] = [_NoRedirect]
        if _is_here(urlsplit(there.url).hostname or ""):
            handlers.append(urllib.request.ProxyHandler({}))  # this machine isn't reached through another
        self._opener = urllib.request.build_opener(*handlers)
        self._parameters: dict[str, object] = {"temperature": 0, "max_tokens": 1024}

    def ask(self, messages: list[dict[str, str]]) -> str:
        """Give what the judge replies.

        Raises: Unanswered: nothing came after all tries; Turned: it answers nothing; ValueError: the reply isn't one.
        """
        why, reached, asked_to_wait = "", False, 0.0
        for number in range(TRIES):
            if number:
                own = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (number - 1))
                self._sleep(asked_to_wait or own)
            asked_to_wait = 0.0
            try:
                return _said(self._send(messages))
            except urllib.error.HTTPError as error:
                reached = True
                with error:
                    why = self._http_fault(error)
                    if error.code == 400 and self._adapted(why):
                        continue
                    if error.code in ROW_REFUSED:
                        raise Unanswered(why) from None
                    if error.code not in BUSY:
                        raise Turned(why) from None
                    asked_to_wait = _retry_after(error.headers)
                    if asked_to_wait > LONGEST_WAIT_SECONDS:
                        raise Unanswered(f"{why} (it asks to wait {asked_to_wait:.0f} s)") from None
            except (OSError, http.client.HTTPException) as error:
                cause = getattr(error, "reason", error)
                why = self._shown(str(cause) or type(cause).__name__)
                if isinstance(cause, ssl.SSLCertVerificationError):
                    raise Turned(why) from None
        raise (Unanswered if reached else Unreached)(f"{why} ({TRIES} tries)")

    def _send(self, messages: list[dict[str, str]]) -> bytes:
        body = msgspec.json.encode({"model": self._there.model, "messages": messages, **self._parameters})
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "pegbox"}
        request = urllib.request.Request(self._there.url, body, headers, method="POST")  # noqa: S310  # http(s) alone
        if self._there.key is not None:
            request.add_unredirected_header("Authorization", f"Bearer {self._there.key}")
        reply: IO[bytes]
        with self._opener.open(request, timeout=TIMEOUT_SECONDS) as reply:
            return reply.read(MOST_BYTES + 1)

    def _http_fault(self, error: urllib.error.HTTPError) -> str:
        if 300 <= error.code < 400:
            return f"HTTP {error.code}: it sends on to another address, which isn't followed; name that one"
        try:
            said = error.read(4096).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            said = ""
        return f"HTTP {error.code}{HINTS.get(error.code, '')}: {self._shown(said)}"

    def _shown(self, text: str) -> str:
        """Fold what came from outside into a line, without the key, should it have been sent back."""
        if self._there.key:
            text = text.replace(self._there.key, "[hidden]")
        return one_line(clean(text.encode("utf-8", "replace")).decode("utf-8", "replace"), 300)

    def _adapted(self, why: str) -> bool:
        """Leave out what the endpoint says it doesn't take. Returns: whether there was something."""
        if "max_completion_tokens" in why and "max_tokens" in self._parameters:
            self._parameters["max_completion_tokens"] = self._parameters.pop("max_tokens")
            return True
        for name in ("temperature", "max_tokens"):
            if name in why and name in self._parameters:
                del self._parameters[name]
                return True
        return False


def _retry_after(headers: Message | Mapping[str, str]) -> float:
    """Read how many seconds the endpoint wants to be left alone; 0: it doesn't say, or says it as a date."""
    said = (headers.get("Retry-After") or "").strip()
    return float(said) if said.isascii() and said.isdecimal() else 0.0


class _Words(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Words


class _Reply(msgspec.Struct):
    choices: list[_Choice]


def _said(reply: bytes) -> str:
    """Take the words out of a reply. Raises: ValueError."""
    try:
        choices = msgspec.json.decode(reply, type=_Reply).choices
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("the reply isn't of OpenAI's chat form") from error
    if not choices or choices[0].message.content is None:
        raise ValueError("the reply has no words")
    return choices[0].message.content

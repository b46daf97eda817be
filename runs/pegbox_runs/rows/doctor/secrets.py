"""Keys and tokens that a model would learn by heart, found by the marks that their makers gave them.

A mark is followed by letters that are drawn by chance; a text with the mark alone, as in a manual, is none. What is
found is never shown whole.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SHOWN_LETTERS = 4
"""Of either end; the ends alone open nothing, and the owner can tell which one it is."""

DISTINCT_LETTERS = 6
"""Real ones have more. The shortest, an AWS key, has 16 drawn from 32: 6 or fewer that differ come once in 10^6."""


class Kind(NamedTuple):
    """One maker's secrets."""

    name: str
    marks: tuple[bytes, ...]
    """One of them is in every such secret; a row without any needs no closer look."""
    pattern: re.Pattern[str]
    source: str


def _kind(name: str, marks: str, pattern: str, source: str) -> Kind:
    # Neither end may be part of a longer word: hashes and base64 are full of short marks.
    whole = rf"(?<![A-Za-z0-9_-])(?:{pattern})(?![A-Za-z0-9_-])"
    return Kind(name, tuple(mark.encode() for mark in marks.split()), re.compile(whole), source)


_AWS = "AWS IAM user guide, unique identifiers: AKIA for keys, ASIA for temporary ones, 20 letters in all"
_GITHUB = "GitHub docs, about authentication, token formats: ghp_, gho_, ghu_, ghs_, ghr_, github_pat_"
_PEM = "RFC 7468, textual encodings of PKIX, PKCS, and CMS structures; OpenSSH's PROTOCOL.key"

KINDS = (
    _kind("an AWS access key", "AKIA ASIA", r"(?:AKIA|ASIA)[A-Z2-7]{16}", _AWS),
    _kind("a GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{36,251}", _GITHUB),
    _kind("a GitHub token", "github_pat_", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", _GITHUB),
    _kind("an Anthropic key", "sk-ant-", r"sk-ant-[A-Za-z0-9]{2,12}-[A-Za-z0-9_-]{40,200}", "docs.anthropic.com"),
    _kind(
        "an OpenAI key",
        "sk-",
        r"sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,200}|[A-Za-z0-9]{48})",
        "platform.openai.com, API keys",
    ),
    _kind("a Hugging Face token", "hf_", r"hf_[A-Za-z0-9]{34,40}", "huggingface.co/docs/hub/security-tokens"),
    _kind("a Google API key", "AIza", r"AIza[A-Za-z0-9_-]{35}", "Google Cloud docs, API keys"),
    _kind("a Slack token", "xox", r"xox[abeprs]-[A-Za-z0-9-]{20,250}", "Slack API docs, token types"),
    _kind("a Stripe key", "k_live_", r"[sr]k_live_[A-Za-z0-9]{20,250}", "docs.stripe.com/keys"),
    _kind(
        "a JSON web token",
        "eyJ",
        r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
        "RFC 7519, section 3; both parts begin with an object's brace and quote in base64url",
    ),
    Kind(
        "a private key",
        (b"PRIVATE KEY-----",),
        re.compile(r"-----BEGIN (?:[A-Z]{2,12} ){0,2}PRIVATE KEY-----[A-Za-z0-9+/=:,\s\\-]{40,}"),
        _PEM,
    ),
)
MARKS = tuple(dict.fromkeys(mark for kind in KINDS for mark in kind.marks))


def find_secret(text: str) -> str | None:
    """Name the first secret in a text, masked; None if there is none."""
    for kind in KINDS:
        for found in kind.pattern.finditer(text):
            if _by_chance(found[0]):
                return f"{kind.name}: {masked(found[0])}"
    return None


def without_secrets(text: str) -> str:
    """Mask all secrets in a text, so that it can be shown."""
    for kind in KINDS:
        text = kind.pattern.sub(lambda found: masked(found[0]) if _by_chance(found[0]) else found[0], text)
    return text


def masked(secret: str) -> str:
    """Show a secret's ends alone."""
    secret = secret.strip()
    return f"{secret[:SHOWN_LETTERS]}…{secret[-SHOWN_LETTERS:]}"


def _by_chance(secret: str) -> bool:
    """Whether it may be real: placeholders such as sk-xxxx repeat a few letters, and manuals write EXAMPLE."""
    return len(set(secret)) > DISTINCT_LETTERS and "EXAMPLE" not in secret

"""What must not be shown of another tool's recipe, nor written into one of ours: tokens, keys and passwords."""

from __future__ import annotations

import re
from typing import Any

from pegbox_runs.secrets import SECRET_NAME, redactor

HIDDEN = "[hidden]"
NO_SECRETS = frozenset(f"{name}_token" for name in ("bos", "eos", "eot", "pad", "unk", "sep", "cls", "mask"))
"""A tokenizer's own marks, which are called tokens too."""
_SIGNED_IN = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*:/{1,2})[^/\s@]+@")
"""An address with a user's name and password in it; a path made of one has a slash less."""


def is_secret(name: str) -> bool:
    """Tell by its name whether a key holds a secret."""
    return name not in NO_SECRETS and bool(SECRET_NAME.search(name) or name.endswith("webhook_url"))


def hidden_text(text: str) -> str:
    """Give a text without tokens, and without the names and passwords of addresses."""
    plain = redactor().without_tokens(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
    return _SIGNED_IN.sub(rf"\g<1>{HIDDEN}@", plain)


def hidden(value: Any) -> Any:
    """Give a value without secrets, however deep they lie in it."""
    if isinstance(value, str):
        return hidden_text(value)
    if isinstance(value, dict):
        return {key: HIDDEN if is_secret(str(key)) and item else hidden(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hidden(item) for item in value]
    return value

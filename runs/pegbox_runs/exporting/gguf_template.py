"""A chat template for those who know plain Jinja alone."""

from __future__ import annotations

import re

from pegbox_runs.light_tokenizer import LightTokenizer
from pegbox_runs.rows.chat_template import NoTemplate
from pegbox_runs.rows.example import Message

_MARK = re.compile(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}")


def without_marks(template: str) -> str:
    """Put blocks that always apply in the place of `generation` blocks; what is written stays the same.

    transformers alone knows those blocks, which mark what is learned: others refuse the whole template
    (llama-cpp-python#2225).
    """
    return _MARK.sub(lambda mark: f"{{%{mark[1]} {'endif' if mark[2] else 'if true'} {mark[3]}%}}", template)


def begin_of(tokenizer: LightTokenizer) -> str:
    """Give the text of the first token that llama.cpp puts before a prompt by itself; empty: none.

    It does where the file says so, and that is said where the tokenizer does too and the chat template writes the
    token: of a template that doesn't, no prompt may begin with it.
    """
    bare, dressed = (tokenizer.encode(["a"], templated=templated)[0][0] for templated in (True, False))
    template = tokenizer.template
    if template is None or list(dressed[:1]) == list(bare[:1]):
        return ""
    begin = tokenizer.show(dressed[0])
    try:
        written = template.render([Message("user", "a")], prompting=True).text
    except NoTemplate:
        return ""
    return begin if written.startswith(begin) else ""

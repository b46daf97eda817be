"""Which keys and roles public data sets use, and what each of them means.

A key is compared in lower case, with `_` for spaces and hyphens. Earlier names win over later ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CONVERSATION_KEYS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat")
SURE_CONVERSATION_KEYS = CONVERSATION_KEYS[:3]
"""The others count only where a list of turns lies in them: a `chat` may be one long text."""

PAIRS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "alpaca": (("instruction",), ("output",)),
    "prompt-completion": (("prompt",), ("completion",)),
    # The working of a task comes before its bare result: NuminaMath and LIMO have both.
    "question-answer": (
        ("question", "problem", "query"),
        ("generated_solution", "solution", "answer", "answers"),
    ),
    # Dolly: instruction, response. OpenOrca: question, response. FLAN: inputs, targets. Counselling: context, response.
    "instruction-response": (
        ("instruction", "prompt", "query", "question", "problem", "input", "inputs", "user", "human", "context"),
        ("response", "output", "completion", "answer", "solution", "assistant", "targets"),
    ),
}
"""Formats of one question and one answer, in the order in which they are looked for: (questions, answers)."""

EXTRAS: dict[str, tuple[str, ...]] = {
    "input": ("input", "context"),
    "system": ("system", "system_prompt", "system_message"),
    "history": ("history",),
    "reasoning": (
        "reasoning",
        "reasoning_content",
        "thinking",
        "thoughts",
        "thought",
        "chain_of_thought",
        "cot",
        "complex_cot",
    ),
    "tools": ("tools", "functions"),
}
"""Columns that may lie beside the answer."""

CONVERSATION_EXTRAS = ("system", "reasoning", "tools")
PAIR_EXTRAS = tuple(EXTRAS)

MEDIA_KEYS = ("image", "images", "video", "videos", "audio", "audios")
VERDICT_KEYS = ("label", "kto_tag")
"""With `true` or `false` in it: whether an answer is a good one, as KTO's rows say."""

CALL = "call"
"""Stands for the assistant where its whole turn is the JSON of a function call."""

ROLES = {
    "system": "system",
    "developer": "system",  # OpenAI's newer name
    "user": "user",
    "human": "user",
    "prompter": "user",  # OpenAssistant
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "ipython": "tool",  # Llama 3
    "function_response": "tool",
    "tool_response": "tool",
    "environment": "tool",  # Tulu's and Olmo's
    "function_call": CALL,
    "tool_call": CALL,
}


def plain(name: str) -> str:
    """Write a key or role as this module's tables do."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def by_plain_name(keys: Iterable[object]) -> Mapping[str, str]:
    """Find a row's keys by their plain names; a key that is itself plain wins over one that only looks like it."""
    texts = [key for key in keys if isinstance(key, str)]
    return {plain(key): key for key in reversed(texts)} | {key: key for key in texts if key == plain(key)}

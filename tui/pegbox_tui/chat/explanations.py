"""What `?` says of the chat."""

from __future__ import annotations

from pegbox_tui.shell.explaining import Explanation

CHAT = Explanation(
    "Chat",
    "Each column is a model: the base as it was before the training, and each run's. All are asked the same, in the "
    "form that the run was trained in, and answer side by side; every one remembers what it said itself. At "
    "temperature 0 each answer is the likeliest one, so that only the model makes a difference. F3 shows the prompt "
    "as the model sees it, special tokens and all: of what is typed, or of the last question.\n"
    "One or two answers tell how a model speaks, not how good it is: `pegbox evaluate` measures that on held-out rows.",
)

"""The model step in plain words, each with whose word it is."""

from __future__ import annotations

from pegbox_runs.catalogue import licence_words
from pegbox_runs.fitting import Fit
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.wizard.model.columns import badge
from pegbox_tui.wizard.model.entries import Entry

STEP = Explanation(
    "Model",
    "Which model learns from your rows. Take the smallest that does the task well: it trains faster, needs less "
    "memory, and is cheaper to serve. An instruct model, which already answers in a chat, is the usual start.",
    "LoRA Without Regret (Thinking Machines, 2025-09); Pegbox' catalogue",
)
FIELD = Explanation(
    "Find a model",
    "Type a part of a name to narrow the list. A folder is typed as a path (/..., ~/..., ./...), and Tab completes it. "
    "The id of a model on the Hugging Face Hub is typed as org/name. ctrl+f asks the Hub for what is typed; nothing "
    "leaves this machine before that. The arrows move in the list from here too; Enter takes the highlighted model.",
    "ids: https://huggingface.co/docs/hub/repositories",
)
DETAILS = Explanation(
    "What is known of the model",
    "Parameters are the numbers that a model has learned; in 16 bits each takes two bytes, so 8 billion of them take "
    "15 GiB on disk and in memory. Layers are worked through one after the other. The context is the longest text, in "
    "tokens, that the model was built to read at once. A chat template says how a conversation is written down for it.",
    "the model's config.json; Vaswani et al. 2017, arXiv:1706.03762",
)
PARAMETERS = (
    "Its parameters are the numbers it has learned: more of them know more, and take more memory and time. "
    "In 16 bits each is two bytes."
)
BADGE = (
    "The badge says whether it can be tuned on the device you plan for. LoRA: the model is held in 16 bits and small "
    "matrices beside it are trained. QLoRA only: it must be packed to 4 bits first, which takes a little quality and "
    "time. What is to spare is what the leanest setting leaves (one row at a time) of the memory that is free, after a "
    "safety margin; longer rows and larger batches take some of it. Free memory counts, not the card's whole: what "
    "other programs hold can't be used."
)
GATED = (
    "It is gated: its publisher wants you to accept terms on its page on the Hub, and to be logged in when it is "
    "downloaded (hf auth login). That is free, and most often granted at once."
)
NO_BADGE = (
    "Its sizes aren't known yet: they are in its config.json, which lies on the Hub. Taking it fetches that small file."
)
SIZES = "The size is what it takes on disk: with an arrow it is still to be downloaded, with … a part of it is here."
SOURCE = (
    "the memory forecast, held against measured runs (`pegbox forecast` tells its range); Hu et al. 2021, "
    "arXiv:2106.09685; Dettmers et al. 2023, arXiv:2305.14314; gated models: https://huggingface.co/docs/hub/models-gated"
)


def explain(entry: Entry, fit: Fit | None) -> Explanation:
    """Explain the columns by the model that is highlighted."""
    said = [PARAMETERS, f"{badge(fit)}: {BADGE}" if fit is not None else NO_BADGE]
    said.append(SIZES)
    if entry.gated:
        said.append(GATED)
    if entry.licence:
        said.append(f"Licence: {licence_words(entry.licence)}.")
    return Explanation(entry.name, "\n\n".join(said), SOURCE)

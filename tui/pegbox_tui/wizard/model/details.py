"""All that is known of one model, in a few lines. Names and licences come from outside."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pegbox_hardware.disk import Disk
from pegbox_methods.advice.records import Place
from pegbox_runs.catalogue import licence_words
from pegbox_runs.drafts import Draft
from pegbox_runs.figures import count, size
from pegbox_runs.fitting import Fit
from pegbox_runs.hub_search import offline
from pegbox_runs.printable import one_line, printable
from pegbox_tui.wizard.model.columns import METHODS, badge_style
from pegbox_tui.wizard.model.entries import Entry
from pegbox_tui.wizard.model.messages import Listed

TAKEN = "● Taken. Enter again or ctrl+n goes on."
LOGIN = "hf auth login"


def details(
    entry: Entry, fit: Fit | None, known: Listed, *, taken: bool = False, gone: str = "", hub_fault: str = ""
) -> Text:
    """Write all about a model, the most telling lines first: a small terminal shows those alone.

    `gone`: why it is no model any more. `hub_fault`: why the Hub couldn't be reached when it was last asked.
    """
    said = Text(f"{TAKEN}\n", "bold green") if taken and not gone else Text()
    said.append(one_line(entry.name, 70), "bold")
    if gone:
        return said.append(f"\n{printable(gone)}", "bold red").append("\nTake another model.")
    said.append(f" · {_figures(entry)}\n")
    said.append(f"{fit_sentence(entry, fit, known.place)}\n", badge_style(fit))
    for line in _more(entry, known, hub_fault):
        said.append(f"{line}\n")
    said.rstrip()
    return said


def _figures(entry: Entry) -> str:
    parts = [] if entry.parameters is None else [f"{count(entry.parameters)} parameters"]
    shape = entry.found.shape if entry.found else None
    if shape is not None:
        kind = one_line(shape.architecture, 24) + ("" if shape.known else " (unknown: read as Llama-like)")
        parts.append(f"{kind}, {shape.layers} layers")
        parts += [f"context {shape.positions:,} tokens"] if shape.positions else []
    if entry.downloads is not None:
        parts.append(f"{count(entry.downloads)} downloads a month")
    return " · ".join(parts) or "nothing is known of its sizes before its config.json is fetched"


def fit_sentence(entry: Entry, fit: Fit | None, place: Place | None) -> str:
    """Say the badge in a sentence."""
    if fit is None and entry.found is None:
        return "Whether it fits is known once its config.json is here; taking it fetches that."
    if fit is None:
        return "Whether it fits is being forecast." if place else "Whether it fits can't be told without a device."
    if fit.method is None:
        return f"Whether it fits can't be told: {printable(fit.why)}."
    name, amount = METHODS[fit.method], size(abs(fit.margin_bytes))
    counts = f" of {size(place.usable_bytes)}" if place else ""
    if not fit.fits:
        return f"Doesn't fit: even the leanest {name} lacks {amount}{counts}."
    if fit.method == "qlora":
        return f"QLoRA fits (base packed to 4 bits): {amount} to spare{counts}. LoRA doesn't."
    return f"LoRA fits: {amount} to spare{counts}, at one row at a time."


def _more(entry: Entry, known: Listed, hub_fault: str) -> Iterator[str]:
    yield f"{_disk(entry, known.disk)} {_template(entry)}"
    if not entry.complete:
        yield _network(hub_fault)
    if entry.gated is not False and entry.section != "bundled" and not entry.complete:
        yield _gate(entry, token=known.token)
    if entry.known is not None:
        yield f"Good for: {entry.known.good_for}"
    yield f"Licence: {printable(licence_words(entry.licence))}." if entry.licence else "Licence: see its page."
    if entry.found is not None and entry.found.told:
        yield f"Note: {entry.found.told}."


def _network(hub_fault: str) -> str:
    """Say that a download needs a network, and what is known to stand in its way."""
    if offline():
        return "The download needs a network, and HF_HUB_OFFLINE forbids it: unset it, or take a model that is here."
    if hub_fault:
        return f"The download needs a network. When it was last tried, {printable(hub_fault)}"
    return "The download needs a network when the run starts; models that are here need none."


def _template(entry: Entry) -> str:
    if entry.found is None:
        return ""
    return "Chat template: there." if entry.found.has_template else "Chat template: none; rows of chats need a file."


def place_text(place: Place | None, draft: Draft) -> str:
    """Say for which device models are judged, and which model is taken."""
    said = "The device isn't known"
    if place is not None:
        said = (
            f"{'PLAN: ' if place.planned else 'For '}{one_line(place.name, 30)}, {size(place.usable_bytes)} to count on"
        )
    model = draft.model
    return f"{said} · {'nothing taken yet' if model is None else f'taken: {one_line(model.name, 60)}'}"


def _gate(entry: Entry, *, token: bool) -> str:
    said = "A login token is here." if token else f"No login token is here: run `{LOGIN}` too."
    page = one_line(f"huggingface.co/{entry.name}", 90)
    if entry.gated is None:
        return f"It may be gated: if so, accept its terms at {page}. {said}"
    return f"Gated: accept its terms at {page} first. {said}"


def _disk(entry: Entry, disk: Disk | None) -> str:
    free = "" if disk is None or disk.free is None else f"; {size(disk.free)} are free there"
    if entry.complete:
        taken = f", {size(entry.disk_bytes)} on disk" if entry.disk_bytes else ""
        return f"Its weights are here{taken}: nothing to download."
    here = f"{size(entry.disk_bytes)} of it lie here; " if entry.disk_bytes else ""
    if entry.download_bytes is None:
        return f"{here}how much is to download isn't known{free}." if here else f"Download: size not known{free}."
    if disk is not None and disk.free is not None and disk.free < entry.download_bytes:
        return f"{here}Download: {size(entry.download_bytes)}, but only {size(disk.free)} are free for models."
    return f"{here}Download: {size(entry.download_bytes)}{free}."

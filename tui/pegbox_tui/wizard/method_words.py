"""What is said of a method in the list of all of them."""

from __future__ import annotations

from rich.cells import set_cell_size

from pegbox_runs.figures import size
from pegbox_runs.method_offers import Offer
from pegbox_runs.printable import one_line, printable
from pegbox_tui.shell.explaining import Explanation

HEADER = f"  {'method':<18}{'fits':<9}{'needs':>9}{'time':>8}  {'tried':<6} note"
TRIED = {"yes": "yes", "no": "no", "fails": "FAILS"}


def offer_line(offer: Offer, width: int) -> str:
    """Write a method in a line."""
    needs = "-" if offer.safe_bytes is None else size(offer.safe_bytes)
    ratio = "-" if offer.seconds_ratio is None else f"{offer.seconds_ratio:.2f}x"
    name = one_line(offer.name, 17)
    line = f"  {name:<18}{fits_in_words(offer):<9}{needs:>9}{ratio:>8}  {TRIED[offer.certified]:<6} {note(offer)}"
    return line if len(line) <= width else set_cell_size(line, width - 1) + "…"


def fits_in_words(offer: Offer) -> str:
    """Say in a word or two whether it can be taken here."""
    if offer.obstacle is not None:
        return "can't"
    if offer.fits:
        return "fits"
    return "maybe" if offer.likely_fits else "no"


def note(offer: Offer) -> str:
    """Say the most telling thing."""
    if offer.advised:
        return "advised"
    if offer.obstacle is not None:
        return one_line(offer.obstacle.partition(": ")[2] or offer.obstacle, 200)
    if offer.unservable is not None:
        return one_line(offer.unservable, 200)
    return one_line(offer.summary, 200)


def details(offer: Offer) -> str:
    """Say everything of a method in a few lines."""
    said = [f"{offer.title}: {offer.summary}"]
    if offer.obstacle is not None:
        said.append(f"Not here: {offer.obstacle}")
    if offer.unservable is not None:
        said.append(f"Where you serve it: {offer.unservable}")
    if offer.safe_bytes is not None:
        left = f"{size(offer.margin_bytes)} left" if offer.margin_bytes >= 0 else f"{size(-offer.margin_bytes)} short"
        said.append(f"Needs {size(offer.safe_bytes)} to be safe: {left}.")
    tried = {"yes": "tried and certified", "no": "nobody has tried it yet", "fails": "failed when it was tried"}
    whose = "One of Pegbox' own" if offer.origin.startswith("pegbox ") else f"From {offer.origin}"
    said.append(f"{whose}; {tried[offer.certified]}.")
    return printable(" ".join(said))


def explained_offer(offer: Offer) -> Explanation:
    """Explain a method."""
    return Explanation(offer.title, details(offer), offer.source)

"""What was forecast to hold the memory at the peak, item by item, and the peak that was measured."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from pegbox_runs.figures import size
from pegbox_runs.reporting.charts.frame import picture
from pegbox_runs.reporting.charts.svg import percent, tag, words
from pegbox_runs.run_report.parts import Drawn

_ROW = 34
_BAR = 11


def item_chart(items: Mapping[str, int], forecast: int, measured: int | None) -> Drawn | None:
    """Draw a bar for each item, then one for all that the card holds, and one for what was measured. Bytes.

    None: nothing was forecast.
    """
    rows = [(name, taken, "k1") for name, taken in sorted(items.items(), key=lambda item: -item[1]) if taken > 0]
    if not rows:
        return None
    rows.append(("in all, with what torch and the driver keep", forecast, "k2"))
    if measured is not None:
        rows.append(("measured peak", measured, "k3"))
    most = max(taken for _, taken, _ in rows)
    drawn: list[Markup] = []
    for place, (name, taken, kind) in enumerate(rows):
        top = place * _ROW
        drawn += [
            words(name, "0", top + 13, "name"),
            words(size(taken), "100%", top + 13, "figure end"),
            tag("rect", x="0", y=top + 18, width=percent(taken / most), height=_BAR, class_=f"bar {kind}"),
        ]
    said = "; ".join(f"{name}: {size(taken)}" for name, taken, _ in rows) + "."
    shown = picture("items", "Memory at the peak, item by item", said, _ROW * len(rows), *drawn, full=True)
    caption = "What holds the memory at the peak, as forecast; the last bar is the peak that was measured."
    return Drawn(shown, caption if measured is not None else caption.partition(";")[0] + ".", said, broad=True)

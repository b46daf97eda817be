"""Reports on rows that nobody has, with text that would like to act: what screens and commands draw in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pegbox_methods.advice.data_card import AtLength
from pegbox_runs.rows.mask_view import ShownRow, ShownToken
from pegbox_runs.rows.place import Rejected
from pegbox_runs.rows.report import (
    Advised,
    Balance,
    Bin,
    Lengths,
    Padding,
    Report,
    RowFinding,
    Shown,
    SplitFacts,
    Value,
)
from pegbox_tui.rows.browsing import BrowsedRow

HOSTILE = (
    "[bold]x[/bold] [link=file:///etc]y[/link] [@click=app.quit]z[/] \x1b[31mred\x1b[0m \x00 \u202eabc\u202c "
    "שלום 日本語 🎻"
)
SHOWN_HOSTILE = (
    r"[bold]x[/bold] [link=file:///etc]y[/link] [@click=app.quit]z[/] \x1b[31mred\x1b[0m \x00 \u202eabc\u202c "
    "שלום 日本語 🎻"
)
"""The same on a terminal: seen, and without effect."""

LENGTHS = Lengths(
    rows_counted=600,
    tokens=36_000,
    tokens_trained=24_000,
    percentiles={"p50": 52, "p90": 83, "p95": 95, "p99": 130, "max": 412},
    histogram=tuple(
        Bin(begin, begin + 32, rows)
        for begin, rows in zip(range(0, 416, 32), (12, 300, 180, 80, 16, 6, 2, 1, 1, 1, 0, 0, 1), strict=True)
    ),
    limits=tuple(
        AtLength(length=length, rows_truncated=cut, trained_kept=kept, mean_tokens=50.0)
        for length, cut, kept in ((64, 0.38, 0.81), (128, 0.0466, 0.9912), (256, 0.005, 0.9995), (448, 0.0, 1.0))
    ),
    recommended=256,
    why="it keeps 99.9 % of the trained tokens; longer rows cost memory for 0.5 % of the rows",
    micro_batch=4,
    padding=(Padding("grouped", 0.021), Padding("shuffled", 0.274), Padding("packed", 0.0)),
    counted_with="the model's tokenizer and chat template",
)

FINDINGS = (
    RowFinding(
        name="untrained-rows",
        title="rows that train nothing",
        level="red",
        rows=2,
        share=2 / 600,
        text="Nothing of these rows is learned: the answer is empty, or stands behind the limit on the length.",
        examples=(Shown("rows.jsonl, line 3", "the answer is cut away"), Shown("rows.jsonl, line 9", HOSTILE)),
        todo="Leave them out, or raise training.length.",
        fix="leaves out",
    ),
    RowFinding(
        name="exact-duplicates",
        title="exact duplicates",
        level="yellow",
        rows=41,
        share=41 / 600,
        text="These rows say the same as another one; the model sees them several times an epoch.",
        examples=(
            Shown("rows.jsonl, line 12", "as line 7: Which module has the function unsetenv?"),
            Shown("rows.jsonl, line 40", "as line 7: Which module has the function unsetenv?"),
            Shown("rows.jsonl, line 77", "as line 60: When would I use the function divmod?"),
        ),
        todo="Keep one of each.",
        fix="leaves out",
        source="Lee et al. 2022, arXiv:2107.06499",
    ),
    RowFinding(
        name="reasoning",
        title="rows with reasoning",
        level="green",
        rows=30,
        share=0.05,
        text="The assistant thinks before it answers.",
        todo="Nothing, if that is what you want to teach.",
    ),
)


def made_up_report(**changes: Any) -> Report:
    """Make a report that has everything."""
    whole: dict[str, Any] = {
        "source": "rows.jsonl",
        "files": 1,
        "bytes": 112_039,
        "format": "messages",
        "evidence": 'every row of 600 has "messages", a list of turns with "role" and "content"',
        "rows": 600,
        "rejected": 2,
        "findings": FINDINGS,
        "balance": Balance(
            column="topic",
            values=(Value("os", 300, 0.5), Value(HOSTILE, 200, 1 / 3), Value("日本語", 90, 0.15)),
            others=6,
            distinct=9,
            missing=4,
        ),
        "split": SplitFacts(trained=540, held_out=60, by="by a hash of the row's content"),
        "advice": (
            Advised("training.epochs", "2 or 3: from 500 to 2,000 rows a model begins to overfit soon.", "a paper"),
            Advised("overfitting", "Watch the loss on held-out rows.", ""),
        ),
        "model": "bundled",
        "lengths": LENGTHS,
        "seconds": 0.31,
    }
    return Report(**{**whole, **changes})


class MadeUpRows:
    """Six hundred rows, all alike but for their numbers."""

    def __init__(self, *texts: str, **changes: Any) -> None:
        self.report = made_up_report(**changes)
        self.length = 256
        self.rejected = [Rejected("rows.jsonl", 5, "line", ("messages", HOSTILE), f"isn't JSON: {HOSTILE}")]
        self._texts = texts or ("A question about ", "the", " lute\n", "\tand its strings. ", HOSTILE)

    def row(self, number: int) -> BrowsedRow:
        """Give a row: context, then an answer of twelve tokens of which two are cut."""
        tokens = [ShownToken("<|im_start|>", special=True)]
        tokens += [ShownToken(text) for text in self._texts]
        tokens += [ShownToken(f" {number}", trained=True)]
        tokens += [ShownToken(" lute", trained=True, cut=place > 8) for place in range(10)]
        tokens += [ShownToken("<|im_end|>", trained=True, special=True, cut=True)]
        shown = ShownRow(tokens=tuple(tokens), length=len(tokens), trained=10, truncated_at=len(tokens) - 2)
        return BrowsedRow(number, f"rows.jsonl, line {number}", shown)

    def rows_of(self, finding: str) -> Sequence[int]:
        """Give made-up rows of a finding."""
        return {"untrained-rows": [3, 9], "exact-duplicates": [12, 40, 77]}.get(finding, [])

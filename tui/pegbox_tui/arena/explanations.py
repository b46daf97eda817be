"""What `?` says of each pane of the arena."""

from __future__ import annotations

from pegbox_tui.arena.columns import COLUMNS
from pegbox_tui.shell.explaining import Explanation

TIED = (
    "tied: the difference of two is so small that other seeds or other rows could turn it round, so nobody is called "
    "better. More seeds or more held-out rows can tell; more steps rarely do."
)
RANGE = (
    "The range is where the figure would lie in 95 of 100 such comparisons, were the held-out rows and the seeds drawn "
    "anew. Two ranges may overlap and yet differ for certain: differences are taken row by row, which cancels what all "
    "rows have in common."
)
FORGETTING = (
    "Forgetting is by how much the loss rose on general rows that have nothing to do with the task: what the model "
    "knew and lost. Above 0 something was lost, near 0 or below nothing was."
)
SEARCH = (
    "Before the trainings that count each contestant may try a few learning rates for a short while, all as many: the "
    "best rate of one method is seldom that of another. Rows that chose a rate say nothing in the verdict."
)

ARENA = Explanation(
    "The arena",
    "It compares ways to tune on the same rows in the same order, from the files in the comparison's folder. It may be "
    "closed and opened again at any time, by several people at once: the comparison goes on by itself.\n\n"
    f"{SEARCH}\n\n{TIED}\n\n{RANGE}\n\n{FORGETTING}",
)

PANES = {
    "board": Explanation(
        "Leaderboard",
        "Best first; it sorts itself as results come in. Row 0 is the base model before any training.\n\n"
        + "\n".join(f"{column.title}: {column.meaning}" for column in COLUMNS)
        + f"\n\n{TIED}\n\n{RANGE}\n\n{FORGETTING}",
        "differences per held-out row, resampled over rows and seeds: Efron and Tibshirani, An Introduction to the "
        "Bootstrap, 1993",
    ),
    "curves": Explanation(
        "Curves",
        "Each contestant's loss on the held-out rows as its training goes on, all seeds, by color and letter; the "
        "chosen one is drawn over the others. Step 0 is the base model. A curve that falls and then rises learns its "
        "rows by heart; each is judged as it was after its last step. One that still falls at its end would "
        "gain from more steps.\n\nWhile a contestant looks for its learning rate, its tries are shown by their "
        "numbers.\n\nUp and down choose, left and right take one seed alone, z shows only the later part.",
        "cross-entropy per labelled token, in nats, without any method's extra terms",
    ),
    "plane": Explanation(
        "Loss against its cost",
        "Each contestant by its letter: the lower, the better it guesses; the further left, the less it costs. Those "
        "in brackets are beaten by nobody both ways, and the dots between them show where a better one would have to "
        "lie. Whoever isn't among them is worse than another one in both. x takes the next cost: peak memory, training "
        "time, adapter's size, forgetting. On a CPU memory is an upper bound: trainings share a process, and who takes "
        "less can't be told from it.",
        "the front of Pareto: what can't be bettered in one without loss in the other",
    ),
    "card": Explanation(
        "One contestant",
        "Its settings, its learning rate and who chose that, its tries, each seed's training, how it stands to each "
        "other one on the same rows, what it cost, what memory made it change, and the files that repeat it. Enter "
        "opens the dashboard of a training: that which runs, or that of the seed that left and right chose. j and k "
        f"take the next contestant.\n\n{SEARCH}",
    ),
    "verdict": Explanation(
        "Verdict",
        f"What may be said, and what it rests on.\n\n{TIED}\n\n{RANGE}\n\n{FORGETTING}",
    ),
}

"""What `?` says of the review and of each thing that can be done in it."""

from __future__ import annotations

from pegbox_tui.shell.explaining import Explanation

REVIEW_EXPLAINED = Explanation(
    "Review",
    "This is the whole of the run: what is written on the right is kept with it, and `pegbox train` does the same "
    "with that file. Nothing has begun yet. Go back with Escape and everything is as you left it.\n\nThe checks are "
    "those of the start itself: the model and the rows are found and read, and every value is held against what the "
    "method and this machine can do.",
)
ACTIONS_EXPLAINED = {
    "start": Explanation(
        "Start the run",
        "A supervisor of its own carries the run: closing this terminal, the laptop or the connection doesn't touch "
        "it. `pegbox watch last` shows it again from anywhere.",
    ),
    "measure": Explanation(
        "Measure for real",
        "A process that is thrown away afterwards takes the recipe's first steps on this machine, with the longest "
        "rows there can be, and an evaluation. It says what memory that took; the forecast learns from it. It takes "
        "from half a minute to some minutes, mostly for loading the model. The run isn't started by it.",
    ),
    "save": Explanation(
        "Save the recipe",
        "Writes the text on the right into a file. `pegbox train FILE` starts it, here or on another machine.",
    ),
    "methods": Explanation(
        "Compare methods",
        "Trains several methods on these rows, with as many steps each, and says which is best, with chance taken into "
        "account. You choose which, how often and within which budget, and see what it takes before it starts. It goes "
        "on without this terminal; `pegbox compare last` shows it from anywhere.",
        "Differences under 3 points from one seed mean nothing: PEFT's method_comparison re-run at the same seed",
    ),
    "compare": Explanation(
        "Add to a comparison",
        "Keeps this recipe beside others, to be compared with them: the same method with other settings, for instance. "
        "They must share model, rows and split, or their losses would mean different things.",
    ),
    "start-all": Explanation(
        "Start the comparison",
        "Compares the collected recipes: each is trained several times, and judged on the same held-out rows. Nothing "
        "starts before you have seen what it takes.",
    ),
    "finding": Explanation(
        "To be mended", "The start would refuse the recipe for this. Enter goes to the step where it is mended."
    ),
    "entry": Explanation("In the comparison", "A recipe that was collected. Enter takes it out again, after asking."),
}

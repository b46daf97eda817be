"""What the held-out rows say: the run's own looks, and the newest evaluation against the base, with its ranges."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.arena.report.wording import METRICS
from pegbox_runs.arena.results import Interval
from pegbox_runs.evaluating.evaluated import Evaluated, Figure, TaskResult
from pegbox_runs.evaluating.verdict import loss_told_otherwise
from pegbox_runs.judging.judged import Judged
from pegbox_runs.reporting import digits
from pegbox_runs.run_report.charts.difference_chart import Difference, difference_charts
from pegbox_runs.run_report.facts import RunFacts
from pegbox_runs.run_report.parts import Grid, Pairs, Part, Said, Section, Verbatim
from pegbox_runs.run_state import RunState

_SHOWN = 60
"""Looks of the run that are listed: the first and the newest."""
_ROWS = 5
"""Rows that gained or lost most, of each kind."""
LOSSES = {"loss": "Loss", "general-loss": "Loss on general rows"}
NATS = "nats per token"


def evaluation(facts: RunFacts) -> Section:
    """Make it."""
    return Section("evaluation", "Evaluation", tuple(_parts(facts)))


def name_of(figure: Figure) -> str:
    """Name a measure for people."""
    return LOSSES.get(figure.measure) or METRICS[figure.measure]  # type: ignore[index]


def shown(figure: Figure) -> tuple[str, str, str, str]:
    """Write a figure: base, tuned, difference with its range, what was found."""
    if figure.measure in LOSSES:
        difference = digits.together(digits.plain(figure.difference, sign=True))
        return digits.loss(figure.base), digits.loss(figure.tuned), difference, figure.finding
    base, tuned = (f"{100 * one:.1f} %" for one in (figure.base, figure.tuned))
    return base, tuned, digits.together(digits.share(figure.difference)), figure.finding


def _parts(facts: RunFacts) -> Iterator[Part]:
    told = facts.telling
    if told.held_out is not None:
        yield from _evaluated(told.held_out)
    elif facts.adapter_bytes is not None:
        yield Said(
            "The figures below are the run's own looks, without ranges: whether a difference is more than chance, and "
            "what the training made the model forget, is told by: pegbox evaluate " + facts.folder.id,
            "remark",
        )
    if told.only_others:
        yield Said("All evaluations of this run are of other weights than it has now, and aren't told here.", "remark")
    yield from _looks(facts.state)
    if facts.judged is not None:
        yield from _judged(facts.judged)
    if told.of_file is not None:
        yield Said("Evaluated on the rows of a file too, which aren't the run's held-out ones:", "quiet")
        yield from _evaluated(told.of_file)


def _judged(judged: Judged) -> Iterator[Part]:
    before, after = judged.before, judged.after
    pairs = [("Held-out rows", _both(digits.loss(before.held_out.mean), digits.loss(after.held_out.mean)))]
    if before.general is not None and after.general is not None:
        pairs.append(("General rows", _both(digits.loss(before.general.mean), digits.loss(after.general.mean))))
    pairs += [
        (METRICS[metric], _both(_mean(before.scores.get(metric, ())), _mean(scores)))
        for metric, scores in after.scores.items()
    ]
    yield Said(f"Judged row by row with the weights of step {judged.kept_step:,}:", "quiet")
    yield Pairs(tuple(pairs))


def _both(before: str, after: str) -> str:
    return f"{before} before, {after} after"


def _evaluated(found: Evaluated) -> Iterator[Part]:
    yield Said(found.verdict, "bad" if found.worse else "plain")
    rows = found.rows
    where = "the run's held-out rows" if rows.source == "held-out" else f"rows of {rows.name}"
    part = "" if rows.rows == rows.of else f" of {rows.of:,}"
    caption = (
        f"{rows.rows:,}{part} of {where}, {rows.tokens:,} learned tokens; {found.computed.precision} on "
        f"{found.computed.device}. In brackets: where the difference lies with 95 % confidence. Made {found.made}."
    )
    titles = ("Measure", "Rows", "Base", "Tuned", "Difference", "Finding")
    lines = tuple((name_of(one), f"{one.rows:,}", *shown(one)) for one in found.figures)
    yield Grid(titles, lines, frozenset({1, 2, 3, 4}), caption)
    yield from difference_charts([_difference(one) for one in found.figures], rows.source)
    if found.tasks:
        yield Grid(
            ("Measure from outside", "Rows", "Base", "Tuned", "Difference", "Remark"),
            tuple(_task(one) for one in found.tasks),
            frozenset({1, 2, 3, 4}),
        )
    remarks = (*rows.remarks, *loss_told_otherwise(found))
    yield from (Said(remark, "remark") for remark in remarks)
    for title, chosen in (("gained", found.gained), ("lost", found.lost)):
        for row in chosen[:_ROWS]:
            label = (
                f"Row {row.number} {title}: {digits.loss(row.base_loss)} before, {digits.loss(row.tuned_loss)} after"
            )
            yield Verbatim(label, _row(row.question, row.expected, row.base_answer, row.tuned_answer))


def _row(question: str, expected: str, base: str | None, tuned: str | None) -> str:
    told = [("question", question or None), ("expected", expected), ("base", base), ("tuned", tuned)]
    return "\n".join(f"{name}: {text}" for name, text in told if text is not None)


def _difference(figure: Figure) -> Difference:
    said = shown(figure)[2]
    if figure.measure in LOSSES:
        return Difference(name_of(figure), figure.difference, said, NATS)
    low, high = (None if end is None else 100 * end for end in (figure.difference.low, figure.difference.high))
    percent = Interval(value=100 * figure.difference.value, low=low, high=high)
    return Difference(name_of(figure), percent, said, "percent of the answers")


def _task(task: TaskResult) -> tuple[str, ...]:
    base, tuned = (digits.NO_FIGURE if one is None else f"{one:.4g}" for one in (task.base, task.tuned))
    difference = digits.together(digits.plain(task.difference, sign=True))
    return f"{task.name} ({task.source}, {task.measure})", f"{task.rows:,}", base, tuned, difference, task.remark


def _looks(state: RunState) -> Iterator[Part]:
    looks = state.evaluations
    if not looks:
        none = state.prepared is not None and not state.prepared.rows_evaluated
        yield Said("No rows are held out, so nothing was evaluated." if none else "There was no evaluation yet.")
        return
    best = state.best_evaluation
    kept = looks if len(looks) <= _SHOWN else (*looks[:1], *looks[1 - _SHOWN :])
    lines = tuple(
        (
            "untrained" if one.step == 0 else f"{one.step:,}",
            digits.loss(one.loss),
            f"{one.perplexity:.4g}",
            digits.seconds_once(one.seconds),
            "the best" if one is best else "",
        )
        for one in kept
    )
    left = "" if len(kept) == len(looks) else f" Of {len(looks):,}, the first and the newest."
    caption = f"The run's own looks at its held-out rows; {NATS}.{left}"
    yield Grid(("After step", "Loss", "Perplexity", "Took", ""), lines, frozenset({0, 1, 2, 3}), caption)


def _mean(scores: tuple[float, ...]) -> str:
    return f"{100 * sum(scores) / len(scores):.1f} %" if scores else digits.NO_FIGURE

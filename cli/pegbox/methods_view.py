"""The methods as people read them: the list, as wide as the terminal, and the page of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pegbox_methods.card import ABILITIES, Needs
from pegbox_methods.certificate import CHECKS
from pegbox_methods.setting import Setting
from pegbox_methods.task import Task
from pegbox_runs.figures import count
from pegbox_runs.method_facts import MethodFacts
from pegbox_runs.printable import printable

ABLE = "What it can, and what it can't"
CANT: dict[str, str] = {
    "start": "start at the base's output",
    "base": "leave the base as it is",
    "merge": "be merged",
    "4-bit": "train on a 4-bit base",
    "checkpointing": "train with checkpointing",
    "bfloat16": "train in bfloat16",
    "optimizer": "take another optimizer",
    "processes": "train in several processes",
}
"""What a method can't, in words that follow "can't"."""
WIDE = 110
"""Columns from which it is said when to take a method."""
WIDEST = 160
"""Columns from which needs and lacks get columns of their own."""


def console_for_people() -> Console:
    """Make a console that shows what comes from plugins as it is written."""
    return Console(highlight=False, emoji=False, markup=False)


def show_list(facts: Sequence[MethodFacts], *, model: str | None, console: Console | None = None) -> None:
    """Print all methods: those that can be used here, then those that can't, with the reason."""
    console = console or console_for_people()
    usable = [one for one in facts if one.obstacle is None]
    console.print(_table(usable, console.width))
    other = [one for one in facts if one.obstacle is not None]
    if other:
        where = "on this machine" if model is None else f"with {model} on this machine"
        console.print()
        console.print(Text(printable(f"Can't be used {where}"), "bold underline"))
        console.print(_table(other, console.width))
    console.print()
    for line in _legend(facts):
        console.print(_indented(line, 0))


def show_tasks(tasks: Sequence[tuple[Task, str]]) -> None:
    """Print the tasks that plugins bring, each with whose it is."""
    console = console_for_people()
    if not tasks:
        console.print("There are no tasks here. docs/outside-judges.md says how to bring one.")
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for task, origin in tasks:
        table.add_row(Text(task.name, "bold"), Text(printable(task.summary)), Text(printable(origin), "dim"))
    console.print(table)


def show_method(facts: MethodFacts, *, model_weights: int, console: Console | None = None) -> None:
    """Print everything that is known of one method."""
    console = console or console_for_people()
    card = facts.card
    console.print(Text(printable(f"{card.title} ({card.name})"), "bold"))
    console.print(_indented(card.summary))
    console.print(_indented(f"Source: {card.source}. Brought by {facts.origin}."))
    if facts.obstacle is not None:
        console.print(_indented(f"Can't be used here: {facts.obstacle.why}. {facts.obstacle.remedy}", style="yellow"))
    _title(console, "Settings, under [method.settings] in a recipe")
    for setting in card.settings:
        value, accepted = _value(setting.default), _accepted(setting)
        console.print(_indented(Text.assemble((setting.name, "bold"), f" = {value}  ", (accepted, "dim"))))
        console.print(_indented(setting.help, 4))
    if not card.settings:
        console.print(_indented("It has none."))
    for title, lines in _sections(facts, model_weights):
        _title(console, title)
        for line in lines:
            console.print(_indented(line))
        if title == ABLE:
            console.print(_abilities(facts))
            console.print(_indented(_tried_on(facts)))


def _table(facts: Sequence[MethodFacts], width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    for header, column in _columns(facts, width).items():
        table.add_column(header, **column)
    for one in facts:
        cells = _cells(one, width)
        table.add_row(*(cells[header] for header in _columns(facts, width)), style="dim" if one.obstacle else "")
    return table


def _columns(facts: Sequence[MethodFacts], width: int) -> dict[str, dict[str, Any]]:
    """Choose the columns that there is room for, and something to say in."""
    figure = {"justify": "right", "no_wrap": True}
    columns: dict[str, dict[str, Any]] = {"name": {"no_wrap": True}, "time": figure}
    if width >= WIDE and any(one.footprint and one.footprint.cpu_step_time_ratio for one in facts):
        columns["on CPU"] = figure
    columns["what it does"] = {"ratio": 5}
    if width >= WIDEST:
        columns |= {"needs": {"ratio": 2}, "can't": {"ratio": 2}}
    if width >= WIDE:
        columns["take it when"] = {"ratio": 4}
        if any(one.certificate for one in facts):
            columns["certified"] = {"no_wrap": True}
    return columns


def _cells(one: MethodFacts, width: int) -> dict[str, Text]:
    price, card = one.footprint, one.card
    cant = ", ".join(CANT.get(lack, f"pass {lack}") for lack in one.lacks())
    said = [] if one.obstacle is None else [f"Not here: {one.obstacle.why}."]
    if width < WIDEST:
        told = ("needs a 4-bit base" if card.needs.quantized_base else "", cant and f"can't {cant}")
        said += ["; ".join(part for part in told if part)] if any(told) else []
    return {
        "name": Text(printable(card.name), "" if one.obstacle else "bold"),
        "time": Text(ratio(price.step_time_ratio if price else None)),
        "on CPU": Text(ratio(price.cpu_step_time_ratio if price else None)),
        "what it does": Text.assemble(printable(card.summary), *((f"\n{printable(line)}", "dim") for line in said)),
        "needs": Text("; ".join(needs_in_words(card.needs))),
        "can't": Text(printable(cant)),
        "take it when": Text(printable(card.recommended[0].when if card.recommended else "")),
        "certified": Text(certified_in_words(one)),
    }


def _legend(facts: Sequence[MethodFacts]) -> Iterator[str]:
    yield (
        "time: seconds of a step on a GPU, relative to LoRA's; - : nobody has measured it. "
        "`pegbox methods NAME` tells all of one."
    )
    named = {word: [one.card.name for one in facts if certified_in_words(one) == word] for word in ("no", "fails")}
    if named["fails"]:
        yield f"Failed their certification: {', '.join(named['fails'])}."
    if len(named["no"]) == len(facts):
        yield "None is certified yet: `pegbox certify NAME` tries what a method's card says of it."
    elif named["no"]:
        yield f"Not certified: {', '.join(named['no'])}. `pegbox certify NAME` tries what a method's card says of it."


def _sections(facts: MethodFacts, model_weights: int) -> Iterator[tuple[str, list[str]]]:
    card = facts.card
    yield "Learning rate", [f"{card.learning_rate:g} unless the recipe names one [{card.learning_rate_source}]"]
    yield f"Price, with these defaults on {printable(facts.model)}", [*_price(facts, model_weights)]
    yield "Needs", [*needs_in_words(card.needs)] or ["nothing special"]
    yield ABLE, []
    for title, reasons in (("Take it when", card.recommended), ("Leave it when", card.discouraged)):
        if reasons:
            yield title, [f"{reason.when}: {reason.why} [{reason.source}]" for reason in reasons]


def _price(facts: MethodFacts, model_weights: int) -> Iterator[str]:
    price = facts.footprint
    if price is None:
        yield facts.unpriced or "unknown"
        return
    many, share = f"{price.trainable_weights:,}", 100 * price.trainable_weights / model_weights
    yield f"{many} trained weights ({count(price.trainable_weights)}), {share:.2g} % of the model's"
    for where, figure in (("a GPU", price.step_time_ratio), ("a CPU", price.cpu_step_time_ratio)):
        if figure is not None:
            yield f"a step takes {ratio(figure)} LoRA's time on {where}"
    yield f"time: {price.step_time_source}"


def _abilities(facts: MethodFacts) -> Table:
    """Tell each ability with how that is known, then the checks that belong to none."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    lacks = facts.lacks()
    for ability, meaning in ABILITIES.items():
        why = f": {lacks[ability]}" if ability in lacks else ""
        table.add_row(Text(f" {facts.can(ability)}", "bold"), Text(printable(f"{meaning}{why}")))
    for check in facts.certificate.checks if facts.certificate else ():
        if check.name not in ABILITIES and check.outcome != "not-applicable":
            word = {"passed": "yes", "failed": "fails", "cannot": "no"}[check.outcome]
            detail = f": {check.detail}" if check.detail else ""
            table.add_row(Text(f" {word}", "bold"), Text(printable(f"{CHECKS[check.name]}{detail}")))
    return table


def _tried_on(facts: MethodFacts) -> str:
    found = facts.certificate
    if found is None:
        return f"untried: claimed by its card alone; `pegbox certify {facts.card.name}` tries it"
    return f"tried on {found.model} with {', '.join(f'{name} {version}' for name, version in found.libraries.items())}"


def needs_in_words(needs: Needs) -> Iterator[str]:
    """Say what a method can't do without."""
    if needs.quantized_base:
        yield "a 4-bit base"
    if needs.compute_capability is not None:
        yield f"compute capability {needs.compute_capability[0]}.{needs.compute_capability[1]} on a GPU"
    if needs.linear_layers_only:
        yield "Linear maps, not GPT-2's"


def certified_in_words(facts: MethodFacts) -> str:
    """Say in a word whether what a card claims was tried."""
    found = facts.certificate
    return "no" if found is None else "yes" if found.certified else "fails"


def ratio(figure: float | None) -> str:
    """Write a ratio of times; a dash where nobody has measured it."""
    return "-" if figure is None else f"{figure:.2f}x"


def _accepted(setting: Setting) -> str:
    unit = "" if setting.kind == "names" else setting.unit  # there it is in the words already
    return printable(f"({setting.accepted()}{', ' if unit else ''}{unit})")


def _value(value: Any) -> str:
    """Write a default as a recipe has it."""
    if isinstance(value, str):
        return f'"{printable(value)}"'
    return str(value).lower() if isinstance(value, bool) else printable(str(value))


def _title(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, "bold underline"))


def _indented(text: str | Text, indent: int = 1, style: str = "") -> Table:
    """Fold a sentence behind an indent."""
    table = Table.grid()
    table.add_column(width=indent)
    table.add_column(overflow="fold")
    table.add_row("", Text(printable(text), style) if isinstance(text, str) else text)
    return table

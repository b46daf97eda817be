"""The parts of the documentation that are made from the code. `make docs` writes them; a test compares."""

from __future__ import annotations

import argparse
import ast
import contextlib
import inspect
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec

from pegbox.methods_view import certified_in_words, needs_in_words, ratio
from pegbox.parser import build_parser
from pegbox_methods import event, events, job_events, life_events, rank_events, recipe, side_events
from pegbox_methods.card import Card
from pegbox_methods.certificate import read_certificates
from pegbox_methods.recipe import Model
from pegbox_methods.registry import find_card, method_names, origin_of
from pegbox_methods.suitability import Conditions
from pegbox_runs.arena import results
from pegbox_runs.method_facts import PACKAGED, MethodFacts, facts_of
from pegbox_runs.models import find_config

ROOT = Path(__file__).parents[2]


def blocks() -> dict[tuple[str, str], str]:
    """Give the text of each generated block by (file, name)."""
    return {
        ("runs/README.md", "events"): "\n".join(_events()),
        ("docs/recipe.md", "recipe"): "\n".join(_recipe()),
        ("docs/command-line.md", "help"): "\n".join(_help()),
        ("methods/README.md", "methods"): "\n".join(methods_in_short(ours())),
        ("docs/comparisons.md", "results"): "\n".join(_results()),
        ("docs/methods.md", "compared"): "\n".join(methods_compared(ours())),
        ("docs/methods.md", "one-by-one"): "\n".join(methods_one_by_one(ours())),
    }


def with_block(text: str, name: str, content: str) -> str:
    """Put a block's content between its two marks.

    Raises: ValueError: the text has no such marks.
    """
    pattern = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- /generated -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no marks for {name}")
    return pattern.sub(lambda match: f"{match[1]}\n{content}\n\n{match[2]}", text)


def _attribute_docs(module: Any) -> dict[str, list[tuple[str, str, str]]]:
    """Read each class's fields as (name, type, docstring behind it), in order."""
    tree = ast.parse(inspect.getsource(module))
    found: dict[str, list[tuple[str, str, str]]] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        fields = found.setdefault(node.name, [])
        for statement, behind in zip(node.body, [*node.body[1:], None], strict=True):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                said = behind.value if isinstance(behind, ast.Expr) else None
                text = said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
                fields.append((statement.target.id, ast.unparse(statement.annotation), " ".join(text.split())))
    return found


def _events() -> Iterator[str]:
    docs = {
        name: fields
        for module in (event, life_events, rank_events, side_events, job_events, events)
        for name, fields in _attribute_docs(module).items()
    }
    for kind in (
        events.Event,
        *events.KINDS,
        events.Memory,
        events.AcrossRanks,
        events.Member,
        events.Check,
        events.Change,
    ):
        tag = kind.__struct_config__.tag
        title = f"`{tag}`" if isinstance(tag, str) and kind is not events.Event else kind.__name__
        yield f"### {title}\n"
        yield f"{inspect.getdoc(kind)}\n"
        yield "| field | type | meaning |\n|---|---|---|"
        for name, declared, text in docs[kind.__name__]:
            yield f"| `{name}` | {_cell(declared)} | {_cell(text)} |"
        yield ""


def _results() -> Iterator[str]:
    docs = _attribute_docs(results)
    for alias in ("Standing", "Axis", "Metric"):
        values = ", ".join(f'`"{value}"`' for value in get_args(getattr(results, alias)))
        yield f"- `{alias}` is one of {values}."
    yield ""
    parts = ("ContestantResult", "SeedResult", "Trial", "Interval", "Pair", "Base", "Pareto", "Rows")
    for name in ("Results", *parts):
        yield f"### {name}\n\n{inspect.getdoc(getattr(results, name))}\n"
        yield "| field | type | meaning |\n|---|---|---|"
        for field, declared, text in docs[name]:
            yield f"| `{field}` | {_cell(declared)} | {_cell(text)} |"
        yield ""


def _recipe() -> Iterator[str]:
    schema = msgspec.json.schema(recipe.Recipe)["$defs"]
    parts = [(f"[{field.name}]", field.type.__name__) for field in msgspec.structs.fields(recipe.Recipe)]
    parts.insert(2, ("[[rows.mix]]", "MixedRows"))
    for title, name in parts:
        part = schema[name]
        yield f"### {title}\n\n{part['description']}\n"
        yield "| key | accepted | default | meaning |\n|---|---|---|---|"
        for key, kind in part["properties"].items():
            default = kind.get("default", "needed" if key in part.get("required", ()) else "")
            shown = default if default == "needed" else "" if default in (None, [], (), {}) else f"`{_toml(default)}`"
            yield f"| `{key}` | {_cell(_accepted(kind))} | {_cell(shown)} | {_cell(kind['description'])} |"
        yield ""


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _accepted(kind: dict[str, Any]) -> str:
    if "anyOf" in kind:
        return " or ".join(_accepted(part) for part in kind["anyOf"] if part.get("type") != "null")
    if "enum" in kind:
        return ", ".join(f'`"{value}"`' for value in kind["enum"])
    if kind.get("type") == "array":
        items = kind["items"]
        return "list of tables, below" if "$ref" in items else f"list of {_accepted(items)}"
    if "propertyNames" in kind:
        return "table of columns"
    words = {"integer": "whole number", "number": "number", "string": "text", "object": "table"}
    word = {**words, "boolean": "true or false"}[kind["type"]]
    if "maximum" not in kind:
        return word
    low = f"{kind['minimum']:g} to" if "minimum" in kind else f"above {kind['exclusiveMinimum']:g}, to"
    return f"{word}, {low} {kind['maximum']:,} {kind.get('unit', '')}".rstrip()


def _help() -> Iterator[str]:
    parser = build_parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for name, inner in [("", parser), *commands.choices.items()]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            inner.formatter_class = _fixed_width(inner.formatter_class)
            inner.print_help()
        yield f"## pegbox {name}".rstrip() + f"\n\n```text\n{printed.getvalue().rstrip()}\n```\n"


def _fixed_width(base: Any) -> Any:
    """Write help at 88 columns, whatever the terminal."""
    return lambda prog: base(prog, width=88)


def ours() -> tuple[Card, ...]:
    """List our own methods: what else is installed where the documentation is made doesn't belong in it."""
    return tuple(find_card(name) for name in method_names() if origin_of(name).startswith("pegbox "))


def methods_in_short(cards: Iterable[Card]) -> Iterator[str]:
    """List methods by name."""
    yield "| name | method | what it does | source |\n|---|---|---|---|"
    for card in cards:
        yield f"| `{card.name}` | {card.title} | {_cell(card.summary)} | {_cell(card.source)} |"


def methods_compared(cards: Iterable[Card]) -> Iterator[str]:
    """Compare methods by what they need, can, and cost."""
    abilities = ("start", "base", "merge", "4-bit", "checkpointing", "bfloat16", "optimizer", "processes")
    yield f"| name | what it does | needs | {' | '.join(abilities)} | GPU | CPU | certified |"
    yield "|---|---|---|" + "---|" * (len(abilities) + 3)
    for one in _facts(cards):
        price = one.footprint
        ratios = (price.step_time_ratio, price.cpu_step_time_ratio) if price else (None, None)
        cells = [one.card.summary, "; ".join(needs_in_words(one.card.needs))]
        cells += [*(one.can(ability) for ability in abilities), *map(ratio, ratios), certified_in_words(one)]
        yield f"| [`{one.card.name}`](#{one.card.name}) | {' | '.join(map(_cell, cells))} |"


def methods_one_by_one(cards: Iterable[Card]) -> Iterator[str]:
    """Describe methods, each under a heading of its name."""
    for one in _facts(cards):
        card = one.card
        yield f"### {card.name}\n\n{card.title}: {card.summary} Source: {card.source}.\n"
        if card.settings:
            yield "| setting | accepted | default | meaning |\n|---|---|---|---|"
            for setting in card.settings:
                accepted = setting.accepted() + (f" ({setting.unit})" if setting.unit else "")
                yield f"| `{setting.name}` | {_cell(accepted)} | `{_toml(setting.default)}` | {_cell(setting.help)} |"
            yield ""
        yield f"- learning rate: {card.learning_rate:g} ({card.learning_rate_source})"
        yield f"- time: {one.footprint.step_time_source if one.footprint else one.unpriced}"
        for lack, why in one.lacks().items():
            yield f"- can't `{lack}`: {why}"
        for word, reasons in (("take", card.recommended), ("leave", card.discouraged)):
            for reason in reasons:
                yield f"- {word} it when {reason.when}: {reason.why} ({reason.source})"
        yield ""


def _facts(cards: Iterable[Card]) -> Iterator[MethodFacts]:
    """Collect what holds of methods whatever the machine, priced on the bundled model."""
    model = find_config(Model(name="bundled"))
    shape = model.shape
    assert shape is not None
    certificates = read_certificates(PACKAGED)
    return (facts_of(card, model.name, shape, Conditions(), certificates) for card in cards)


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|")


def main() -> None:
    for (file, name), content in blocks().items():
        path = ROOT / file
        path.write_text(with_block(path.read_text(), name, content))


if __name__ == "__main__":
    main()

"""pegbox methods [NAME]"""

from __future__ import annotations

import argparse

from pegbox.answer import answer_json, say
from pegbox.methods_view import show_list, show_method, show_tasks
from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card
from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import all_cards, all_tasks, find_card, task_origin
from pegbox_runs.conditions import conditions_here
from pegbox_runs.method_facts import MethodFacts, facts_of, known_certificates
from pegbox_runs.models import FoundModel, find_config, named_model
from pegbox_runs.printable import one_line

BUNDLED = Model(name="bundled")


def run(asked: argparse.Namespace) -> int:
    """List the methods, or describe one, for this machine and perhaps a model; or list the tasks."""
    if asked.tasks:
        return _list_tasks(json=asked.json)
    model = None if asked.model is None else find_config(named_model(asked.model))
    priced = model or find_config(BUNDLED)
    shape = _shape(priced)
    if asked.method:
        ((found,), warnings) = _facts((find_card(asked.method),), model, priced.name, shape)
        if asked.json:
            answer_json(found.record())
        else:
            show_method(found, model_weights=shape.weights)
    else:
        cards, broken = all_cards()
        facts, unread = _facts(cards, model, priced.name, shape)
        warnings = (*broken, *unread)
        if asked.json:
            answer_json({"methods": [one.record() for one in facts], "warnings": warnings})
        else:
            show_list(facts, model=asked.model)
    for warning in warnings:
        say(f"warning: {warning}", json=True)
    return 0


def _list_tasks(*, json: bool) -> int:
    tasks, warnings = all_tasks()
    if json:
        told = [{"name": task.name, "summary": task.summary, "origin": task_origin(task.name)} for task in tasks]
        answer_json({"tasks": told, "warnings": warnings})
    else:
        show_tasks([(task, task_origin(task.name)) for task in tasks])
    for warning in warnings:
        say(f"warning: {warning}", json=True)
    return 0


def _facts(
    cards: tuple[Card, ...], model: FoundModel | None, priced_on: str, shape: ModelShape
) -> tuple[tuple[MethodFacts, ...], tuple[str, ...]]:
    """Collect what there is to say of methods. Returns: (of each, warnings)."""
    certificates, warnings = known_certificates(tuple(card.name for card in cards))
    given = conditions_here(model)
    return tuple(facts_of(card, priced_on, shape, given, certificates) for card in cards), warnings


def _shape(model: FoundModel) -> ModelShape:
    """Give a model's shape. Raises: Refusal: its config tells none."""
    if model.shape is None:
        raise Refusal(f"{one_line(model.name, 200)}: its config.json doesn't tell the model's shape; mend it.")
    return model.shape

"""Reading the machine for its step, in a thread: whatever goes wrong becomes a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pegbox_methods.refusal import Refusal
from pegbox_runs.drafts import Draft
from pegbox_tui.wizard.machine.messages import Found, MachineRead, TorchAnswered
from pegbox_tui.wizard.workbench import Workbench

if TYPE_CHECKING:
    from pegbox_hardware.machine import Machine
    from pegbox_methods.advice.records import Place

AGAIN = "r tries again; w plans for a card by its name."
EXAMPLES = ("HuggingFaceTB/SmolLM2-135M-Instruct", "Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-7B-Instruct")
"""A small, a middling and a large model, to say how long things take without a GPU."""


def look_at(draft: Draft, bench: Workbench) -> Iterator[MachineRead]:
    """Read the machine, then find the device that the draft is for, then say what it means; each as soon as it is
    known. The doctor judges what doesn't need torch."""
    found = Found(planned=draft.planned)
    try:
        machine = bench.machine()
    except Exception as error:  # noqa: BLE001 - a driver may raise anything, and the person must still get on
        yield MachineRead(
            replace(found, refusal=f"the machine can't be read: {type(error).__name__}: {error}. {AGAIN}")
        )
        return
    from pegbox_runs.doctor import findings

    judged = tuple(finding for finding in findings(machine, "") if finding.about != "torch")
    found = replace(found, machine=machine, judged=judged)
    yield MachineRead(found)
    try:
        place = bench.place(draft)
    except Refusal as refused:
        yield MachineRead(replace(found, refusal=refused.sentence))
        return
    found = replace(found, place=place, faster=_faster(place, machine, bench))
    yield MachineRead(found)
    if place.accelerator == "cpu" and not place.planned:
        yield MachineRead(replace(found, paces=_paces(place, bench)))


def ask_torch(bench: Workbench) -> TorchAnswered:
    """Ask torch, and have the doctor judge all; that it can't be asked is a finding too."""
    try:
        torch = bench.torch()
    except Exception as error:  # noqa: BLE001 - a broken installation may raise anything
        torch = f"{type(error).__name__}: {error}"
    from pegbox_runs.doctor import findings

    try:
        return TorchAnswered(findings(bench.machine(), torch))
    except Exception:  # noqa: BLE001 - that the machine can't be read is told by the other thread
        return TorchAnswered(())


def _faster(place: Place, machine: Machine, bench: Workbench) -> Place | None:
    """Find the device that the advice would weigh against the roomiest; None: the roomiest is the fastest."""
    if place.planned or len(machine.gpus) < 2:
        return None
    from pegbox_methods.advice.places import places_of

    others = places_of(machine, bench.profiles())[1:]
    return others[0] if others else None


def _paces(place: Place, bench: Workbench) -> tuple[tuple[str, float], ...]:
    """Forecast how fast a processor trains the examples that fit it."""
    from pegbox_methods.advice.goals import Goal
    from pegbox_methods.recipe import Model
    from pegbox_runs.fitting import Wanted, tokens_per_second
    from pegbox_runs.models import by_catalogue

    wanted = Wanted(place=place, goal=Goal(), data=None, profiles=bench.profiles())
    found = []
    for name in EXAMPLES:
        model = by_catalogue(Model(name=name))
        pace = None if model is None else tokens_per_second(model, wanted)
        if pace:
            found.append((name.rpartition("/")[2].removesuffix("-Instruct"), pace))
    return tuple(found)

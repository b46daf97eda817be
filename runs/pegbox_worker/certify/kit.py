"""The whole kit: every check of a method, each by itself, and the certificate they make."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pegbox_methods.card import Card
from pegbox_methods.certificate import CHECKS, Certificate, Check, CheckName
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import TorchHalf, load_torch_half
from pegbox_worker.certify import saving, trials, weights
from pegbox_worker.certify.bench import MODEL, Bench
from pegbox_worker.certify.case import Case
from pegbox_worker.certify.processes import processes
from pegbox_worker.certify.verdict import Shortfall, Verdict, sentence_of

ALONE: dict[CheckName, Callable[[Case], Verdict]] = {
    "count": weights.count,
    "start": weights.start,
    "gradients": weights.gradients,
    "own": weights.own,
    "base": weights.base,
    "learns": trials.learns,
    "loads": saving.loads,
    "peft": saving.peft,
    "merge": saving.merge,
    "resume": saving.resume,
    "4-bit": trials.four_bit,
    "checkpointing": trials.checkpointing,
    "bfloat16": trials.bfloat16,
    "optimizer": trials.optimizer,
}
"""What one process can try. Two are started for all methods at once."""
VERBS = {
    "attach": ("model", "recipe"),
    "save": ("attached", "folder"),
    "load": ("model", "folder"),
    "merge": ("model",),
}
LIBRARIES = ("pegbox", "torch", "transformers", "peft", "trl", "bitsandbytes")


def certify(
    cards: Mapping[str, Card],
    origins: Mapping[str, str],
    bench: Bench,
    scratch: Path,
    checks: Iterable[CheckName] = tuple(CHECKS),
) -> dict[str, Certificate]:
    """Try methods. `scratch` is an empty folder that is thrown away afterwards.

    Returns: by method a certificate with the checks that were asked for.
    """
    asked = [name for name in CHECKS if name in set(checks)]
    cases: dict[str, Case] = {}
    verdicts: dict[str, dict[CheckName, Verdict]] = {}
    for name, card in cards.items():
        try:
            cases[name] = Case(card, half_of(card), bench, scratch / "alone" / name)
        except Exception as error:  # noqa: BLE001  # a guest may raise anything
            verdicts[name] = dict.fromkeys(asked, Verdict("failed", sentence_of(error)))
    if "processes" in asked:
        for name, verdict in processes(list(cases.values()), scratch).items():
            verdicts.setdefault(name, {})["processes"] = verdict
    for name, case in cases.items():
        for check in asked:
            if check in ALONE:
                verdicts.setdefault(name, {})[check] = _tried(ALONE[check], case)
        case.forget()
    return {name: _certificate(name, origins[name], asked, verdicts[name]) for name in cards}


def half_of(card: Card) -> TorchHalf:
    """Load a card's torch half, and see that it has the contract's verbs.

    Raises: Shortfall.
    """
    try:
        half = load_torch_half(card)
    except Refusal as refusal:
        raise Shortfall(refusal.sentence) from refusal
    for verb, takes in VERBS.items():
        function = getattr(half, verb, None)
        if not callable(function):
            raise Shortfall(f"its torch half has no {verb}({', '.join(takes)})")
        try:
            inspect.signature(function).bind(*takes)
        except TypeError as error:
            raise Shortfall(f"its torch half's {verb} doesn't take ({', '.join(takes)}): {error}") from error
    return half


def _tried(check: Callable[[Case], Verdict], case: Case) -> Verdict:
    try:
        return check(case)
    except Exception as error:  # noqa: BLE001  # a fault ends its check alone
        return Verdict("failed", sentence_of(error))


def _certificate(
    name: str, origin: str, asked: Iterable[CheckName], verdicts: Mapping[CheckName, Verdict]
) -> Certificate:
    return Certificate(
        method=name,
        origin=origin,
        model=MODEL.name,
        libraries=libraries(),
        checks=tuple(
            Check(name=check, outcome=verdicts[check].outcome, detail=verdicts[check].detail) for check in asked
        ),
    )


def libraries() -> dict[str, str]:
    """Give the versions of what was tried; one that isn't installed is missing."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

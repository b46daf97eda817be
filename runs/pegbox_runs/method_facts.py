"""All that can be said of a method here: its card, its certificate, its price on a model, and what rules it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

import pegbox_methods
from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import ABILITIES, Ability, Card, Footprint
from pegbox_methods.certificate import Certificate, read_certificates
from pegbox_methods.fence import one_line_of
from pegbox_methods.home import home
from pegbox_methods.registry import origin_of
from pegbox_methods.suitability import Conditions, Obstacle, obstacle

PACKAGED = Path(pegbox_methods.__file__).with_name("capabilities.json")
"""Certificates of our own methods, as CI has found them."""

Word = Literal["yes", "no", "fails", "untried"]


@dataclass(frozen=True, kw_only=True)
class MethodFacts:
    """One method."""

    card: Card
    origin: str
    certificate: Certificate | None
    """None: nobody has tried this version of it."""
    model: str
    """The model that it is priced on."""
    footprint: Footprint | None
    """With the settings' defaults."""
    unpriced: str | None
    """Why there is no footprint."""
    obstacle: Obstacle | None
    """Why it can't be used with the model on this machine."""

    def can(self, ability: Ability) -> Word:
        """Say whether the method has an ability: as it was tried, else as its card says."""
        tried = self.certificate and self.certificate.outcome(ability)
        if tried and tried.outcome == "failed":
            return "fails"
        if ability in self.card.cannot:
            return "no"
        return "yes" if tried and tried.outcome == "passed" else "untried"

    def lacks(self) -> dict[str, str]:
        """Say what the method can't, and what it claims and failed at: ability or check -> reason."""
        failed = [check for check in self.certificate.checks if check.outcome == "failed"] if self.certificate else []
        told = {check.name: f"failed when tried: {check.detail}" for check in failed}
        return {str(lack): why for lack, why in (*self.card.cannot.items(), *told.items())}

    def record(self) -> dict[str, Any]:
        """Give all of it as a record for JSON."""
        card, price = self.card, self.footprint
        return {
            "name": card.name,
            "title": card.title,
            "summary": card.summary,
            "source": card.source,
            "origin": self.origin,
            "learning_rate": card.learning_rate,
            "learning_rate_source": card.learning_rate_source,
            "settings": [
                {**msgspec.to_builtins(setting), "accepted": setting.accepted(), "schema": setting.schema()}
                for setting in card.settings
            ],
            "needs": msgspec.to_builtins(card.needs),
            "cannot": dict(card.cannot),
            "abilities": {ability: self.can(ability) for ability in ABILITIES},
            "certified": None if self.certificate is None else self.certificate.certified,
            "certificate": msgspec.to_builtins(self.certificate),
            "model": self.model,
            "trainable_weights": price and price.trainable_weights,
            "step_time_ratio": price and price.step_time_ratio,
            "cpu_step_time_ratio": price and price.cpu_step_time_ratio,
            "step_time_source": price and price.step_time_source,
            "unpriced": self.unpriced,
            "unusable": self.obstacle and msgspec.to_builtins(self.obstacle),
            "recommended": msgspec.to_builtins(card.recommended),
            "discouraged": msgspec.to_builtins(card.discouraged),
        }


def facts_of(
    card: Card, model: str, shape: ModelShape, given: Conditions, certificates: Mapping[str, Certificate]
) -> MethodFacts:
    """Collect what there is to say of a card's method; a guest's footprint may break without harm.

    `model` and its `shape`: what it is priced on; `given`: what it would be used with.
    """
    price, unpriced = None, None
    try:
        price = card.price(shape, {setting.name: setting.default for setting in card.settings})
    except Exception as error:  # noqa: BLE001  # a guest's function may raise anything
        unpriced = f"its card can't price this model: {one_line_of(error)}"
    return MethodFacts(
        card=card,
        origin=origin_of(card.name),
        certificate=certificates.get(card.name),
        model=model,
        footprint=price,
        unpriced=unpriced,
        obstacle=obstacle(card, given),
    )


def known_certificates(names: tuple[str, ...]) -> tuple[dict[str, Certificate], tuple[str, ...]]:
    """Find the certificates of methods: our own in the package, those of guests where `pegbox certify` keeps them.

    One that was made for another version of a plugin doesn't count.
    Returns: (by method, a sentence for each file that can't be read).
    """
    packaged, said = _read(PACKAGED)
    kept, said_of_kept = _read(home() / "capabilities.json")
    ours = {name for name in names if origin_of(name).startswith("pegbox ")}
    valid = {name: found for name, found in kept.items() if name in names and found.origin == origin_of(name)}
    return {**valid, **{name: packaged[name] for name in ours if name in packaged}}, (*said, *said_of_kept)


def _read(path: Path) -> tuple[dict[str, Certificate], tuple[str, ...]]:
    try:
        return read_certificates(path), ()
    except (ValueError, OSError) as error:
        return {}, (f"certificates are passed over: {one_line_of(error)}",)

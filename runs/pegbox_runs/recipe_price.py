"""What a complete recipe takes on a device: memory, time, steps; at level 1, from the model's shape alone."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pegbox_hardware.forecast.memory import Forecast, Learned
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.time import TimeForecast, forecast_time
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.advice.pricing import PER_MILLION, STACKS, method_cost, on_processor
from pegbox_methods.advice.records import Place
from pegbox_methods.advice.several import link_for
from pegbox_methods.card import Card, Footprint
from pegbox_methods.fence import one_line_of
from pegbox_methods.recipe import Recipe
from pegbox_runs.forecasting import analytic, setup_of
from pegbox_runs.plan import Amount, amount

MIXED = "more sources are mixed in, which aren't counted before the run begins"


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes and seconds. None: it can't be told, and a fault says why; of time also: the device's speed isn't known."""

    memory: Forecast | None
    time: TimeForecast | None
    steps: int | None
    """Optimizer steps; None: nothing is known of the rows, or not all of them are, as `uncounted` says."""
    uncounted: str = ""
    """Why the steps and the time of the whole run aren't known, though rows are: a clause. The time is of a million
    tokens then."""
    faults: tuple[str, ...] = ()


def price_of(
    recipe: Recipe, shape: ModelShape, place: Place, card: Card, data: DataCard | None, learned: Learned | None
) -> Price:
    """Price a complete recipe. Never raises: what can't be priced is a fault."""
    uncounted = MIXED if data is not None and recipe.rows.mix else ""
    known = None if data is None or uncounted else amount_of(recipe, data)
    steps = None if known is None else known.steps
    try:
        setup = setup_on(recipe, shape, place, card)
        footprint = card.price(shape, recipe.method.settings)
        memory = _memory(shape, setup, place, card, footprint, learned)
        time = _time(shape, setup, place, footprint, known)
    except Exception as error:  # noqa: BLE001  # a guest's footprint may raise anything
        faults = tuple(_why_unpriced(error, recipe, shape, card))
        return Price(memory=None, time=None, steps=steps, uncounted=uncounted, faults=faults)
    return Price(memory=memory, time=time, steps=steps, uncounted=uncounted)


def setup_on(recipe: Recipe, shape: ModelShape, place: Place, card: Card) -> TrainingSetup:
    """Give a recipe's set-up as it would run on a device."""
    setup = setup_of(recipe, bf16=place.bf16, processor=place.accelerator == "cpu", card=card)
    # Models that cap their scores are run with plain attention, whatever the recipe.
    return msgspec.structs.replace(setup, attention="eager") if shape.attention_cap else setup


def amount_of(recipe: Recipe, data: DataCard) -> Amount:
    """Count what a recipe computes on rows like these, as far as it names no other source."""
    if recipe.split.file is None:
        held_out = barred = round(recipe.split.share * data.rows)
    else:
        held_out, barred = data.held_out or 0, data.also_held_out
    trained = max(1, round(recipe.rows.weight * (data.rows - barred)))
    return amount(recipe, trained, held_out, data.at(recipe.training.length).mean_tokens)


def _memory(
    shape: ModelShape,
    setup: TrainingSetup,
    place: Place,
    card: Card,
    footprint: Footprint,
    learned: Learned | None,
) -> Forecast:
    cost = method_cost(card, footprint, setup, shape)
    found = analytic(shape, setup, cost, stack=STACKS[place.accelerator], learned=learned)
    return on_processor(found) if place.accelerator == "cpu" else found


def _time(
    shape: ModelShape, setup: TrainingSetup, place: Place, footprint: Footprint, known: Amount | None
) -> TimeForecast | None:
    if place.card is None:
        return None
    # The forecast counts the unpacking of a 4-bit base itself, and what training all weights takes.
    ratio = 1.0 if setup.quantized or setup.full else footprint.step_time_ratio or 1.0
    return forecast_time(
        shape,
        setup,
        footprint.trainable_weights,
        place.card,
        tokens=PER_MILLION if known is None else known.tokens,
        evaluation_tokens=0 if known is None else known.evaluated_tokens,
        step_time_ratio=ratio,
        row_tokens=None if known is None else known.row_tokens,
        link=link_for(place, setup.processes),
    )


def _why_unpriced(error: Exception, recipe: Recipe, shape: ModelShape, card: Card) -> Iterator[str]:
    """Say why there is no price; targets that the model lacks are told by the recipe's own checks."""
    targets = recipe.method.settings.get("targets")
    if isinstance(error, KeyError) and isinstance(targets, list) and error.args and error.args[0] in targets:
        return
    yield f"method.name = {card.name!r}: its card can't price {shape.architecture}: {one_line_of(error)}."

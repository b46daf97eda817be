"""What a comparison is asked to do: comparison.toml, and a recipe for each contestant beside it."""

from __future__ import annotations

import fcntl
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import msgspec
import tomli_w
from msgspec import Meta

from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_fields import Part, Seed, StepCount, Text
from pegbox_methods.recipe_file import read_recipe, recipe_text
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.aside import aside_seconds
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.printable import one_line
from pegbox_runs.whole_file import write_whole

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""What a contestant may be called: a method's name, or one of the person's own."""
MOST_CONTESTANTS, MOST_SEEDS = 100, 100
MOST_AT_ONCE = 10_000
LOCK = "adding.lock"


class Asked(Part, frozen=True):
    """comparison.toml."""

    contestants: Annotated[
        tuple[Text, ...],
        Meta(min_length=1, max_length=MOST_CONTESTANTS, description="Their names, in the order in which they came."),
    ]
    seeds: Annotated[
        tuple[Seed, ...],
        Meta(min_length=1, max_length=MOST_SEEDS, description="Each contestant is trained once with each."),
    ]
    steps: Annotated[StepCount, Meta(description="Optimizer steps of a training that counts, the same for all.")]
    trial_steps: Annotated[
        StepCount, Meta(description="Optimizer steps of the shortest try of a learning rate, the same for all.")
    ]
    search: Annotated[
        bool, Meta(description="Look for each contestant's learning rate first, with as many tries for each.")
    ] = True
    budget_steps: Annotated[
        StepCount | None, Meta(description="Optimizer steps that all may take together, as asked for.")
    ] = None
    budget_seconds: Annotated[
        Annotated[float, Meta(gt=0, extra_json_schema={"unit": "s"})] | None,
        Meta(
            description="Seconds that all may take together, as asked for; `steps` is then what one takes at most, "
            "and paced.json what the pace allowed.",
        ),
    ] = None
    rank_budget: Annotated[
        Annotated[int, Meta(ge=1, extra_json_schema={"unit": "weights"})] | None,
        Meta(description="Trainable weights that each contestant's rank was chosen for."),
    ] = None
    gpus: Annotated[
        tuple[Text, ...],
        Meta(description="GPUs that work side by side, as CUDA_VISIBLE_DEVICES names them. Empty: one, in turn."),
    ] = ()
    on: Annotated[
        Text | None,
        Meta(description="A cluster that carries the entries, as --on names it. None: this machine does."),
    ] = None
    at_once: Annotated[
        Annotated[int, Meta(ge=1, le=MOST_AT_ONCE)] | None,
        Meta(description="Entries that a cluster carries at once."),
    ] = None
    at_most: Annotated[
        Annotated[int, Meta(ge=1, le=MOST_AT_ONCE)] | None,
        Meta(description="What at_once may grow to with the cluster, as asked for. None: to all that it has room for."),
    ] = None
    entry_bytes: Annotated[
        Annotated[int, Meta(ge=1, extra_json_schema={"unit": "B"})] | None,
        Meta(description="Memory of a node that each entry is given, as forecast. None: none is asked for."),
    ] = None

    @property
    def places(self) -> tuple[str | None, ...]:
        """Give where entries work side by side: each GPU's name; None for a device that is chosen elsewhere."""
        return (None,) * (self.at_once or 1) if self.on is not None else self.gpus or (None,)


class Paced(msgspec.Struct, frozen=True, kw_only=True):
    """paced.json: what a budget of time allows, by the pace that was measured. The steps are written once and hold."""

    steps: int
    """Optimizer steps of a training that counts."""
    seconds: float
    """What the tries had taken by then."""
    seeds: int | None = None
    """How many of the seeds the budget paid for, the first ones; None: all, as far as is known."""


@dataclass(frozen=True)
class Comparison:
    """All that decides what is run."""

    asked: Asked
    recipes: Mapping[str, Recipe]
    """Contestant -> its recipe with everything filled in, the method's own learning rate too."""
    paced: Paced | None = None
    """None: there is no budget of time, or the pace isn't known yet."""
    aside_seconds: float = 0.0
    """What entries took that were put aside to be tried again: a budget of time has paid for them."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that each contestant is trained with, as far as a budget of time allows."""
        return self.asked.seeds if self.paced is None else self.asked.seeds[: self.paced.seeds]

    @property
    def steps(self) -> int | None:
        """Optimizer steps of a training that counts; None: the pace must be known first."""
        if self.asked.budget_seconds is None:
            return self.asked.steps
        return None if self.paced is None else self.paced.steps


@contextmanager
def alone(folder: ComparisonFolder) -> Iterator[None]:
    """Hold the lock of who changes a comparison that is there; it ends with the process. Raises: OSError."""
    with (folder.path / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_comparison(asked: Asked, recipes: Mapping[str, Recipe], folder: ComparisonFolder) -> None:
    """Write what was asked for; recipes first, so that comparison.toml names none that isn't there.

    Raises: OSError.
    """
    folder.contestants.mkdir(mode=0o700, exist_ok=True)
    for name, recipe in recipes.items():
        write_whole(folder.contestants / f"{name}.toml", recipe_text(recipe).encode())
    table = {key: value for key, value in msgspec.to_builtins(asked).items() if value is not None}
    write_whole(folder.comparison, tomli_w.dumps(table).encode())


def read_comparison(folder: ComparisonFolder) -> Comparison:
    """Read it.

    Raises: Refusal: it isn't there, or isn't whole.
    """
    try:
        table = tomllib.loads(folder.comparison.read_bytes().decode())
        asked = msgspec.convert(table, Asked)
    except (OSError, ValueError, msgspec.ValidationError, RecursionError) as error:
        raise Refusal(f"{folder.comparison}: can't be read: {one_line(str(error), 200)}.") from None
    wrong = [name for name in asked.contestants if not NAME.fullmatch(name)]
    if wrong or len(set(asked.contestants)) < len(asked.contestants):
        raise Refusal(f"{folder.comparison}: contestants are named twice, or by more than small letters and digits.")
    recipes = {name: read_recipe(folder.contestants / f"{name}.toml") for name in asked.contestants}
    return Comparison(asked, recipes, read_paced(folder), aside_seconds(folder))


def read_paced(folder: ComparisonFolder) -> Paced | None:
    """Read what the pace allowed; None: it isn't known yet. Raises: Refusal: the file holds something else."""
    try:
        return msgspec.json.decode(folder.paced.read_bytes(), type=Paced)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise Refusal(f"{folder.paced}: can't be read: {one_line(str(error), 200)}.") from None


def write_paced(paced: Paced, folder: ComparisonFolder) -> None:
    """Write what the pace allows. Raises: OSError."""
    write_whole(folder.paced, msgspec.json.encode(paced) + b"\n")

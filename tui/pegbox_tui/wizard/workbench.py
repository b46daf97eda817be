"""What the steps find out, in threads, and what of it is kept while the wizard is open.

Each method may take a while, is safe to call from several threads, and gives the same answer again at once. They
raise Refusal with a sentence for people. Steps take a workbench, so that their tests give them one of cardboard.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from pegbox_methods.refusal import Refusal

if TYPE_CHECKING:
    from pegbox_hardware.forecast.memory import Forecast, Learned
    from pegbox_hardware.machine import Machine
    from pegbox_hardware.profiles import Profiles
    from pegbox_methods.advice.data_card import DataCard
    from pegbox_methods.advice.records import Place
    from pegbox_methods.recipe import Recipe
    from pegbox_runs.drafts import Draft
    from pegbox_runs.fitting import Fit
    from pegbox_runs.hub_cache import CacheScan
    from pegbox_runs.launch import WarmSupervisor
    from pegbox_runs.models import FoundModel
    from pegbox_runs.settling import Settled
    from pegbox_runs.torch_facts import TorchFacts
    from pegbox_tui.rows.examined_rows import ExaminedRows

Found = TypeVar("Found")

HELD_SECONDS = 1.0
"""A bound: the machine is looked at even if nobody tells that the first frame is drawn."""

MEASURED_KEPT = 20
"""Measurements: a person takes few, each lasts half a minute at least."""


class Workbench:
    """Heavy modules are imported by the method that needs them: the first frame waits for none."""

    def __init__(self) -> None:
        self._kept: dict[str, object] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._forgotten: dict[str, int] = {}
        """How often what has a name was forgotten: what was being found out meanwhile isn't kept."""
        self._lock = threading.Lock()
        self._measured: list[tuple[Recipe, Forecast]] = []
        self._warming = threading.Lock()
        self._supervisor: WarmSupervisor | None = None
        self.left = threading.Event()
        """Set once the wizard is left: whoever asks a worker may hand it on."""
        self._drawn = threading.Event()
        self._drawn.set()

    def hold(self) -> None:
        """Let what looks at the machine wait for `go`: it shares the interpreter with the first frame."""
        self._drawn.clear()

    def go(self) -> None:
        """Let it begin."""
        self._drawn.set()

    def machine(self) -> Machine:
        """Read this machine, once; `forget("machine")` has it read anew."""

        def read() -> Machine:
            self._drawn.wait(HELD_SECONDS)
            from pegbox_runs.this_machine import this_machine

            return this_machine()

        return self._once("machine", read)

    def torch(self) -> TorchFacts | str:
        """Ask a worker what torch makes of this machine: some seconds. Returns: why it couldn't be asked."""

        def ask() -> TorchFacts | str:
            with contextlib.suppress(Exception):
                self.machine()  # first what is quick, and seen first
            from pegbox_runs.jobs import JobFailed
            from pegbox_runs.torch_facts import torch_facts

            try:
                return torch_facts(self.left)
            except JobFailed as failed:
                return failed.sentence

        return self._once("torch", ask)

    def profiles(self) -> Profiles:
        """Load the table of cards. Raises: Refusal: the person's own table is broken."""

        def load() -> Profiles:
            from pegbox_hardware.profiles import BadProfiles, load_profiles

            try:
                return load_profiles()
            except BadProfiles as error:
                raise Refusal(str(error)) from None

        return self._once("profiles", load)

    def place(self, draft: Draft) -> Place:
        """Give the device that a draft is for: the planned card, else this machine's best. Raises: Refusal."""

        def find() -> Place:
            from pegbox_methods.advice.places import places_of, planned_card, planned_memory

            planned = draft.planned
            if planned is not None and planned.gpu is not None:
                return planned_card(planned.gpu, self.profiles())
            if planned is not None and planned.vram_gib is not None:
                return planned_memory(planned.vram_gib, self.profiles())
            return places_of(self.machine(), self.profiles())[0]

        return self._once(_key("place", draft.planned), find)

    def model(self, draft: Draft) -> FoundModel | None:
        """Find a draft's model by its small files; None: none is named yet. Raises: Refusal."""

        def find() -> FoundModel | None:
            from pegbox_runs.models import find_config

            return None if draft.model is None else find_config(draft.model)

        return self._once(_key("model", draft.model), find)

    def cached_models(self) -> CacheScan:
        """Read the local Hub cache, once; `forget("cached")` has it read anew."""

        def scan() -> CacheScan:
            from pegbox_runs.hub_cache import cached_models

            return cached_models()

        return self._once("cached", scan)

    def fit(self, draft: Draft, model: FoundModel) -> Fit:
        """Judge whether a model can be tuned on the draft's device, for its goal and rows. Raises: Refusal."""

        def judge() -> Fit:
            from pegbox_runs.fitting import Wanted, fit_of

            place = self.place(draft)
            learned = None if place.planned else self.learned().get(place.name)
            data = self.data(draft) if examined else None
            wanted = Wanted(place=place, goal=draft.goal, data=data, profiles=self.profiles(), learned=learned)
            return fit_of(model, wanted)

        rows = self._rows_key(draft)
        examined = rows in self._kept
        return self._once(_key("fit", draft.planned, draft.goal, rows, examined, model.name, model.sha256()), judge)

    def examine(self, draft: Draft, told: Callable[[float], None]) -> ExaminedRows:
        """Examine a draft's rows as its model sees them; `told` hears the share done, and ends it where it raises.

        Raises: Refusal: they can't be read, or none are named.
        """

        def look() -> ExaminedRows:
            from pegbox_methods.recipe import RowSource
            from pegbox_runs.rows.held_out import held_out_rows
            from pegbox_tui.rows.examined_rows import RowsAsked, look_at

            if draft.rows is None:
                raise Refusal("no rows are named yet.")
            source = RowSource(**{field: getattr(draft.rows, field) for field in RowSource.__struct_fields__})
            asked = RowsAsked(
                source=source, split=draft.split, held_out=held_out_rows(draft.rows, draft.split), model=draft.model
            )
            return look_at(asked, told)

        return self._once(self._rows_key(draft), look).parted(draft.split.share)

    def data(self, draft: Draft) -> DataCard | None:
        """Give a draft's rows in figures; None: they weren't examined yet, or no row of theirs is good."""
        from pegbox_runs.data_card import card_of

        examined = self._kept.get(self._rows_key(draft))
        return None if examined is None else card_of(cast("ExaminedRows", examined).examined)

    def settled(self, draft: Draft) -> Settled:
        """Make the recipe that a draft stands for, with its price: some milliseconds once its model is known.

        Raises: Refusal: no model is named, or no method can be used.
        """
        from pegbox_runs.settling import Shelf

        model = self.model(draft)
        if model is None:
            raise Refusal("no model is named yet.")
        shelf = self._once("advices", Shelf)
        place, data = self.place(draft), self.data(draft)
        return shelf.settle(draft, place, model, data, self.profiles(), self.learned(), self._other_kinds(place))

    def _other_kinds(self, place: Place) -> tuple[Place, ...]:
        """List the kinds of this machine of which several could carry a run together, beside the one at hand."""
        if place.planned or len(self.machine().gpus) < 3:
            return ()
        from pegbox_methods.advice.places import places_of

        kinds = places_of(self.machine(), self.profiles())
        return tuple(kind for kind in kinds if kind.team is not None and kind != place)

    def learned(self) -> Mapping[str, Learned]:
        """Collect what measurements taught of this machine's cards; `forget("learned")` after one more."""

        def collect() -> Mapping[str, Learned]:
            from pegbox_runs.advising import learned_here

            return learned_here(self.machine())

        return self._once("learned", collect)

    def keep_measured(self, recipe: Recipe, found: Forecast) -> None:
        """Keep what a recipe took when it was measured; the newest of each stands for it."""
        self._measured = [(recipe, found), *(kept for kept in self._measured if kept[0] != recipe)][:MEASURED_KEPT]

    def measured_of(self, recipe: Recipe) -> Forecast | None:
        """Give what this very recipe took; None: it wasn't measured while the wizard is open."""
        return next((found for known, found in self._measured if known == recipe), None)

    def warm_up(self) -> None:
        """Start a supervisor whose worker imports its libraries while the person still chooses; a second call does
        nothing while it waits. Where it can't be started, the run is started cold later: nobody is told.
        """
        from pegbox_runs.launch import WarmSupervisor

        with self._warming:
            if self.left.is_set() or self.supervisor() is not None:
                return
            with contextlib.suppress(OSError, Refusal):
                self._supervisor = WarmSupervisor()

    def supervisor(self) -> WarmSupervisor | None:
        """Give the supervisor that was warmed up; None: there is none, it died, or it has got its runs already."""
        supervisor = self._supervisor
        return supervisor if supervisor is not None and supervisor.waits else None

    def close(self) -> None:
        """Let a supervisor that got no run end, and questions whose answers nobody will see."""
        self.left.set()
        with self._warming:
            if (supervisor := self.supervisor()) is not None:
                supervisor.close()

    def forget(self, *names: str) -> None:
        """Forget what was found out under these names, so that it is found anew: `machine`, `model`, `rows`..."""
        with self._lock:
            for name in names:
                self._forgotten[name] = self._forgotten.get(name, 0) + 1
                self._drop(name)

    def _drop(self, name: str) -> None:
        for key in [key for key in self._kept if key.partition(":")[0] == name]:
            del self._kept[key]

    def _once(self, key: str, find: Callable[[], Found]) -> Found:
        """Find something, unless it is known; what raised is tried again. Two threads don't find the same."""
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            with self._lock:
                if key in self._kept:
                    return cast(Found, self._kept[key])
                name = key.partition(":")[0]
                before = self._forgotten.get(name, 0)
            found = find()
            with self._lock:
                if self._forgotten.get(name, 0) == before:
                    if name == "rows":  # they may hold as much memory as the file does
                        self._drop(name)
                    self._kept[key] = found
            return found

    def _rows_key(self, draft: Draft) -> str:
        """Name an examination by what is read, and how. What is allowed, and which share is held out, come later."""
        rows = None if draft.rows is None else msgspec.structs.replace(draft.rows, allow=())
        return _key("rows", draft.model, rows, msgspec.structs.replace(draft.split, share=0.0))


def _key(name: str, *parts: object) -> str:
    return f"{name}:{msgspec.json.encode(parts).decode()}"

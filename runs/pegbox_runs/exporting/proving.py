"""From an adapter's files to a whole artefact: held against the run, written down, given its name."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pegbox_methods.advice.serving import SAVED
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact, Target, read_artefact, write_artefact
from pegbox_runs.artefacts.making import Made, Making, making
from pegbox_runs.artefacts.record import record
from pegbox_runs.artefacts.room import refuse_too_little_room
from pegbox_runs.exporting.conversion import EXACT, NOTE, MadeLora, ProveAdapter, ProvenAdapter, why_too_dear
from pegbox_runs.exporting.targets import Told
from pegbox_runs.jobs import ask_worker
from pegbox_runs.printable import printable
from pegbox_runs.tuned import TunedRun

NOT_ASKED = "it wasn't held against the run's model, as --no-proof asks."


@dataclass(frozen=True)
class Written:
    """An adapter's files are there."""

    of: str
    """What it is: `adapter`, or `lora`."""
    exact: bool
    """It claims to be the same model but for rounding."""
    remarks: tuple[str, ...] = ()


def make_adapter(
    run: TunedRun,
    place: Path,
    target: Target,
    order: str,
    write: Callable[[Making], Written],
    *,
    of: str,
    needed: int,
    prove: bool,
    told: Told,
) -> Artefact:
    """Have an adapter's files written, and prove it. Where the same lies there, nothing is done but what is missing.

    `of`: what `write` writes: `adapter` or `lora`. `needed`: bytes of disk that it takes in all.
    Raises: Refusal; JobFailed; OSError.
    """
    began = time.monotonic()
    with making(place, order) as begun:
        if isinstance(begun, Made):
            return _proven_now(run, place, of, told) if prove else there(place)
        refuse_too_little_room(place, needed, there=sum(file.bytes for file in begun.files.values()))
        written = write(begun)
        proven = _prove(run, begun.folder, begun.folder, written.of, written.exact, told) if prove else None
        found = record(run, target, begun, began=began, unproven=NOT_ASKED, remarks=written.remarks)
        artefact = with_proof(found, proven)
        write_artefact(artefact, begun.folder)
        begun.finish()
    return artefact


def with_proof(artefact: Artefact, proven: ProvenAdapter | None) -> Artefact:
    """Add what was found when the adapter was held against the run; None: it wasn't."""
    if proven is None:
        return artefact
    remarks = (*artefact.remarks, *([proven.unmeasured] if proven.unmeasured else []))
    dear = "" if proven.cost is None else why_too_dear(proven.cost)
    return msgspec.structs.replace(artefact, proofs=(proven.proof,), cost=proven.cost, unproven=dear, remarks=remarks)


def base_facts(run: TunedRun) -> tuple[str, ...]:
    """Give what decides what an adapter is worth: run, adapter and base, for `order_of`."""
    return (run.id, run.adapter_sha256(), run.environment.weights_sha256 or "", run.environment.model_sha256)


def peft_alone(run: TunedRun, of: str) -> bool:
    """Tell whether PEFT loads it right on the base in full precision, without the method's own torch half."""
    return of == "lora" or (run.is_peft and SAVED.get(run.recipe.method.name) != "packed base")


def _prove(run: TunedRun, folder: Path, beside: Path, of: str, exact: bool, told: Told) -> ProvenAdapter:
    with tempfile.TemporaryDirectory(prefix=".pegbox-proof-", dir=beside, ignore_cleanup_errors=True) as scratch:
        asked = ProveAdapter(
            run=str(run.folder.path.absolute()),
            base=run.moved_base,
            folder=str(folder),
            scratch=scratch,
            of=of,
            alone=peft_alone(run, of),
            exact=exact,
            cost=not exact,
        )
        return ask_worker("convert", asked, ProvenAdapter, timeout_seconds=None, told=told)


def there(place: Path) -> Artefact:
    """Read what `making` has just found. Raises: Refusal: it was taken away meanwhile."""
    found = read_artefact(place)
    if found is None:  # `making` has read it just now
        raise Refusal(f"{printable(str(place))}: its record was taken away meanwhile. Export it anew.")
    return found


def _proven_now(run: TunedRun, place: Path, of: str, told: Told) -> Artefact:
    """Prove what lies there unproven; it was asked for with --no-proof then."""
    found = there(place)
    if not found.proofs:
        found = with_proof(found, _prove(run, place, place.parent, of, _is_exact(found, place), told))
        write_artefact(found, place)
    return found


def _is_exact(found: Artefact, place: Path) -> bool:
    """Tell whether an adapter claims to be the same model but for rounding: it was copied, or all of it was kept."""
    if NOTE not in found.files:
        return True
    return msgspec.json.decode((place / NOTE).read_bytes(), type=MadeLora).kept >= EXACT

"""The target `trl-script`: a Python script that repeats the run with TRL alone, its rows beside it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pegbox_methods.abilities import packs_base
from pegbox_methods.events import Prepared, Progress, Step
from pegbox_methods.recipe_file import portable
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import Artefact, read_artefact, write_artefact
from pegbox_runs.artefacts.making import Made, Making, making, order_of
from pegbox_runs.artefacts.record import record
from pegbox_runs.artefacts.room import refuse_too_little_room
from pegbox_runs.changes import revisions
from pegbox_runs.checkpoints import tree_bytes
from pegbox_runs.event_log import EventReader
from pegbox_runs.exporting.adapter_files import PRIVATE, put_copy, put_text
from pegbox_runs.exporting.targets import ExportOptions, Plan, Told
from pegbox_runs.exporting.trl_lines import ScriptFacts
from pegbox_runs.exporting.trl_parts import AskParts, Parts
from pegbox_runs.exporting.trl_text import script
from pegbox_runs.jobs import ask_worker
from pegbox_runs.launch import worker_environment
from pegbox_runs.models import CATALOGUE
from pegbox_runs.printable import one_line
from pegbox_runs.tuned import TunedRun

SCRIPT, REQUIREMENTS, ROWS, MODEL = "train.py", "requirements.txt", "rows.jsonl", "model"
FORM = 1
NEEDED = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
COMPARED_STEPS = 20
CLOSE = {"float32": 1e-4, "bfloat16": 5e-3, "float16": 5e-3}
"""By number format of the computation: the largest difference between two losses, in nats, that rounding in another
order explains over that many steps. Measured on the bundled model in bfloat16: 7e-7 where all is rounded in the same
places, 2e-3 where the loss or the number of threads is another."""
PROOF_SECONDS = 3600.0
ROW_BYTES = 64
"""Of what stands around a row's tokens."""
OF_THEIR_OWN = {
    "adalora": "takes ranks away on the way, which plain TRL doesn't call for",
    "boft": "computes with a kernel of Pegbox' own",
    "eva": "begins from what it sees of the rows",
    "loftq": "begins from what packing took away from the base",
    "prefix-tuning": "begins from the rows",
    "prompt-tuning": "begins from the rows",
    "shira": "draws its positions in a way of Pegbox' own",
    "trainable-tokens": "chooses its tokens from the rows",
}
"""Methods that do more in a run than a config of PEFT's says."""


@dataclass(frozen=True)
class Log:
    """What the run's log tells a script."""

    prepared: Prepared
    losses: tuple[float, ...]
    """Of the first steps."""


def folder_name(_options: ExportOptions) -> str:
    """Name the folder below a run's `exports`."""
    return "trl-script"


def plan(run: TunedRun, place: Path, _options: ExportOptions) -> Plan:
    """Tell what would be made."""
    makes = [
        f"{SCRIPT}: the run as a script, without Pegbox",
        f"{REQUIREMENTS}: the versions that the run had",
        f"{ROWS}: your rows in tokens, in plain text: as private as the rows are",
    ]
    if run.model.name in CATALOGUE:
        makes.append(f"{MODEL}/: the bundled model")
    return Plan(
        target="trl-script",
        place=str(place),
        makes=tuple(makes),
        disk_bytes=_disk_bytes(run),
        memory_bytes=0,
        cannot=_cannot(run),
        remarks=_remarks(run),
    )


def export(run: TunedRun, place: Path, options: ExportOptions, told: Told) -> Artefact:
    """Make it, and run its first steps to see that they are the run's."""
    why = _cannot(run)
    if why is not None:
        raise Refusal(why)
    began = time.monotonic()
    order = order_of("trl-script", FORM, run.id, run.adapter_sha256(), run.environment.rows_sha256, _model_named(run))
    with making(place, order) as begun:
        if isinstance(begun, Made):
            found = read_artefact(begun.folder)
            if found is None:
                raise Refusal(f"{begun.folder}: its record can't be read. Remove the folder.")
            return _proven_now(found, place, _log(run), told) if options.prove and found.unproven else found
        refuse_too_little_room(place, _disk_bytes(run), there=sum(file.bytes for file in begun.files.values()))
        log = _log(run)
        told(Progress(doing="writing the rows in tokens"))
        _write(begun, run, log)
        unproven, remarks = _proved(begun.folder, log, told) if options.prove else ("it wasn't asked for", ())
        artefact = record(
            run,
            "trl-script",
            begun,
            began=began,
            number_format=log.prepared.precision,
            unproven=unproven,
            remarks=(*_remarks(run), *remarks),
        )
        write_artefact(artefact, begun.folder)
        begun.finish()
    return artefact


def _proven_now(found: Artefact, place: Path, log: Log, told: Told) -> Artefact:
    """Try what lies there unproven: it was asked for without a proof, or something stood in the way then."""
    unproven, remarks = _proved(place, log, told)
    found = msgspec.structs.replace(found, unproven=unproven, remarks=(*found.remarks, *remarks))
    write_artefact(found, place)
    return found


def _cannot(run: TunedRun) -> str | None:
    name = run.recipe.method.name
    if name in OF_THEIR_OWN:
        return (
            f'the method "{name}" {OF_THEIR_OWN[name]}, so a short script with TRL alone would train something else. '
            "`pegbox capsule` packs the run so that Pegbox can repeat it."
        )
    if not run.is_peft and name != "full":
        return f"the method \"{name}\" isn't PEFT's, and plain TRL knows nothing of it."
    return None


def _remarks(run: TunedRun) -> tuple[str, ...]:
    remarks = [
        f"{ROWS} holds your rows in tokens: whoever has the folder can read them.",
        "the script ends with the weights of its last step; the run may have kept those of its best evaluation.",
    ]
    if revisions(run.folder):
        remarks.append("the run was changed on its way; the script takes the last settings from its beginning on.")
    return tuple(remarks)


def _disk_bytes(run: TunedRun) -> int:
    prepared = _log(run).prepared
    model = tree_bytes(run.model.folder) if run.model.name in CATALOGUE else 0
    digits = len(str(run.model.config.get("vocab_size") or 10**6))
    token = digits + len(", ") + max(digits + len(", "), len("-100, "))  # it and its label
    return token * prepared.tokens + ROW_BYTES * (prepared.rows_trained + (prepared.sequences or 0)) + model


def _log(run: TunedRun) -> Log:
    """Read what the run told of itself. Raises: Refusal: nothing of its training."""
    prepared: Prepared | None = None
    losses: dict[int, float] = {}
    for block in EventReader(run.folder.events).new():
        for event in block:
            if isinstance(event, Prepared):
                prepared = event
            elif isinstance(event, Step) and event.step <= COMPARED_STEPS:
                losses[event.step] = event.loss
    if prepared is None:
        raise Refusal(f"{run.folder.events}: doesn't tell how the run was prepared, so it can't be written down.")
    return Log(prepared, tuple(losses[step] for step in sorted(losses)))


def _write(begun: Making, run: TunedRun, log: Log) -> None:
    # Beside the place, where room for them was looked for; what begins anew there removes it after a crash.
    with tempfile.TemporaryDirectory(prefix=".pegbox-rows-", dir=begun.folder, ignore_cleanup_errors=True) as aside:
        rows = Path(aside, ROWS)
        asked = AskParts(
            run=str(run.folder.path), base=run.moved_base, rows=str(rows), packed=log.prepared.order == "packed"
        )
        parts = ask_worker("trl-script", asked, Parts, timeout_seconds=None)
        begun.add(ROWS, lambda path: _moved(rows, path))
    if run.model.name in CATALOGUE:
        for file in sorted(run.model.folder.iterdir()):
            if file.is_file():
                put_copy(begun, f"{MODEL}/{file.name}", file)
    facts = ScriptFacts(
        run=run.id,
        recipe=run.recipe,
        prepared=log.prepared,
        parts=parts,
        model=_model_named(run),
        revision=run.recipe.model.revision if run.model.from_hub else None,
        quantized=packs_base(run.recipe, run.card),
        losses=log.losses,
    )
    put_text(begun, SCRIPT, script(facts))
    put_text(begun, REQUIREMENTS, _requirements(run, quantized=facts.quantized))


def _moved(source: Path, path: Path) -> None:
    source.replace(path)
    path.chmod(PRIVATE)


def _model_named(run: TunedRun) -> str:
    """Give what the script loads as its base model."""
    return f"./{MODEL}" if run.model.name in CATALOGUE else portable(run.model.reference)


def _requirements(run: TunedRun, *, quantized: bool) -> str:
    needed = [*NEEDED, *(["bitsandbytes"] if quantized or run.recipe.training.optimizer.endswith("8bit") else [])]
    lines = ["# The versions that the run had."]
    for name in needed:
        found = run.environment.libraries.get(name)
        public, _, local = (found or "").partition("+")
        lines.append(f"{name}=={public}" if public else name)
        if local:
            lines[-1] += f"  # the run had the build {local}"
    return "\n".join(lines) + "\n"


def _proved(folder: Path, log: Log, told: Told) -> tuple[str, tuple[str, ...]]:
    """Run the script's first steps without Pegbox.

    Returns: why it isn't shown to be the same; and what is to be said.
    """
    steps = min(COMPARED_STEPS, len(log.losses))
    told(Progress(doing=f"running the script's first {steps} steps"))
    with tempfile.TemporaryDirectory(prefix="pegbox-script-") as aside:
        asked = [sys.executable, "-I", str(folder / SCRIPT), "--steps", str(steps), "--output", aside]
        try:
            done = subprocess.run(
                asked,
                capture_output=True,
                text=True,
                cwd=aside,
                env=worker_environment(),
                timeout=PROOF_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"its first {steps} steps took more than an hour", ()
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"it failed when it was tried: {one_line(last, 200)}", ()
    losses = [float(line.split()[3]) for line in done.stdout.splitlines() if line.startswith("step ")]
    if len(losses) != steps:
        return f"it took {len(losses)} steps of {steps} when it was tried", ()
    largest = max(abs(one - other) for one, other in zip(losses, log.losses, strict=False))
    precision = log.prepared.precision
    most = CLOSE[precision]
    if not largest <= most:  # a loss that is no number is none of the run's
        return (
            f"its first {steps} losses differ from the run's by up to {largest:.1e} nats; {most:.0e} would be rounding "
            f"in {precision}"
        ), ()
    bound = f"up to {most:.0e} would be rounding in {precision}"
    return "", (f"its first {steps} losses were the run's, to {largest:.1e} nats ({bound}).",)

"""What is sent: the files of an adapter or of an artefact, each looked at, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.artefact import ARTEFACT, Artefact, MadeFile, Target, read_artefact
from pegbox_runs.artefacts.making import made_file
from pegbox_runs.changes import current_recipe
from pegbox_runs.printable import one_line, printable
from pegbox_runs.secrets import clean
from pegbox_runs.sharing.base import README, Base
from pegbox_runs.sharing.scanning import scanned
from pegbox_runs.tuned import PEFT_CONFIG, TunedRun

CONVERTED: set[Target] = {"gguf", "ollama", "mlx"}
"""Computed by other tools than those that measured the run's model, and mostly with fewer bits."""
TEMPLATE = "chat_template.jinja"
ADAPTER_SUFFIX = ".safetensors"
ADAPTER_FILES = {PEFT_CONFIG, TEMPLATE, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}


@dataclass(frozen=True)
class Item:
    """One file of the parcel."""

    name: str
    """In the repository."""
    source: Path | bytes
    bytes: int
    sha256: str
    remark: str = ""
    """What was done to it, for people; empty: it is sent as it lies there."""


@dataclass(frozen=True)
class Parcel:
    """All that is sent but the card."""

    target: Target
    artefact: Artefact | None
    """None: it is the run's own adapter."""
    items: tuple[Item, ...]
    left_out: tuple[str, ...]
    """Files that lie there and aren't sent."""
    remarks: tuple[str, ...] = ()

    @property
    def converted(self) -> bool:
        """Whether it isn't the model that the run's figures were measured of, nor shown to be the same one."""
        found = self.artefact
        return found is not None and (found.target in CONVERTED or found.cost is not None or not found.proven)

    @property
    def unproven(self) -> str:
        """Why it isn't shown to be the same model, in a sentence; empty: it is, or nothing in it could differ."""
        if self.artefact is None or self.artefact.proven:
            return ""
        failed = next((proof.why for proof in self.artefact.proofs if not proof.passed), "")
        return self.artefact.unproven or failed or "its proof failed"


def pack(run: TunedRun, what: str, base: Base) -> Parcel:
    """Gather what is sent: `adapter`, the name of one of the run's artefacts, or an artefact's folder.

    Raises: Refusal: it isn't there, is damaged, is of another run, or holds what mustn't be sent. OSError.
    """
    return _adapter(run, base) if what == "adapter" else _artefact(run, what, base)


def _adapter(run: TunedRun, base: Base) -> Parcel:
    if not run.is_peft:
        raise Refusal(
            f"{run.id}: what the method {run.recipe.method.name} saved is no adapter of PEFT, so nobody could load it. "
            f"`pegbox merge {run.id}` makes a whole model of it, which --what merged sends."
        )
    there = sorted(path for path in run.adapter.rglob("*") if path.is_file())
    names = {str(path.relative_to(run.adapter)): path for path in there}
    sent = {name: path for name, path in names.items() if _is_adapter_s(name, path)}
    items = [_item(name, path, _names(run, base)) for name, path in sent.items()]
    items = [_config(item, base) if item.name == PEFT_CONFIG else item for item in items]
    template, remarks = _template(run, base)
    if template is not None and TEMPLATE not in sent:
        items.append(template)
    left_out = tuple(name for name in names if name not in sent and name != README)
    return Parcel("adapter", None, tuple(items), left_out, remarks)


def _is_adapter_s(name: str, path: Path) -> bool:
    return not path.is_symlink() and (path.suffix == ADAPTER_SUFFIX or name in ADAPTER_FILES)


def _artefact(run: TunedRun, what: str, base: Base) -> Parcel:
    folder = artefact_folder(run, what)
    shown = printable(str(folder))
    found = read_artefact(folder)
    if found is None:
        makes = f"`pegbox merge {run.id}` makes it." if what == "merged" else f"`pegbox export {run.id}` makes some."
        raise Refusal(f"{shown}: there is no artefact of Pegbox, or it isn't whole. {makes}")
    if found.run != run.id:
        raise Refusal(f"{shown}: was made of the run {printable(found.run)}, not of {run.id}.")
    if found.adapter_sha256 != run.adapter_sha256():
        raise Refusal(
            f"{shown}: was made of other weights than {run.id} has now: it was trained further. Make it anew."
        )
    for name, made in found.files.items():
        _refuse_outside(folder, name)
        _refuse_damaged(folder / name, made)
    items = [_item(name, folder / name, _names(run, base)) for name in sorted(found.files) if name != README]
    items.append(_record(found, items, base))
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    left_out = tuple(sorted(there - found.files.keys() - {ARTEFACT, README}))
    return Parcel(found.target, found, tuple(items), left_out)


def artefact_folder(run: TunedRun, what: str) -> Path:
    """Give the folder of a run's artefact by its name below `exports`, or any other by its path."""
    own = run.folder.exports / what
    return own if len(Path(what).parts) == 1 and own.is_dir() else own if what == "merged" else Path(what).expanduser()


def _refuse_outside(folder: Path, name: str) -> None:
    """Refuse a record's name that leads out of its folder, or through a link: records come from outside too."""
    parts = PurePosixPath(name).parts
    inner = [folder.joinpath(*parts[:count]) for count in range(1, len(parts))]
    plain = parts and "/".join(parts) == name and ".." not in parts and "\\" not in name and name.isprintable()
    if not plain or name.startswith("/") or any(part.is_symlink() for part in inner):
        raise Refusal(
            f"{printable(str(folder))}: its record names the file {one_line(name, 100)}, which isn't one below that "
            "folder. It isn't sent; make the artefact anew."
        )


def _refuse_damaged(path: Path, made: MadeFile) -> None:
    try:
        same = path.resolve().is_file() and not path.is_symlink() and made_file(path) == made
    except OSError:
        same = False
    if not same:
        raise Refusal(f"{printable(str(path))}: is gone, or was changed since it was made and proven. Make it anew.")


def _item(name: str, path: Path, named: dict[str, str]) -> Item:
    content = scanned(name, path, named)
    if content is None:
        made = made_file(path)
        return Item(name, path, made.bytes, made.sha256)
    return of_bytes(name, content, "paths of this machine taken out")


def of_bytes(name: str, content: bytes, remark: str) -> Item:
    """Make a file of what was written now."""
    return Item(name, content, len(content), hashlib.sha256(content).hexdigest(), remark)


def _config(item: Item, base: Base) -> Item:
    """Name the base as others can get it in PEFT's config."""
    content = item.source if isinstance(item.source, bytes) else item.source.read_bytes()
    try:
        told = json.loads(content)
        told["base_model_name_or_path"] = base.hub_id or base.name
    except (ValueError, TypeError, RecursionError):
        raise Refusal(f"{item.name}: can't be read as JSON; the adapter is damaged.") from None
    written = json.dumps(told, indent=2, sort_keys=True).encode()
    return of_bytes(item.name, written, "names the base as others can get it")


def _template(run: TunedRun, base: Base) -> tuple[Item | None, tuple[str, ...]]:
    """Take the recipe's own chat template along: without it, the questions are rendered in another way."""
    if run.recipe.model.chat_template is None:
        return None, ()
    path = Path(run.recipe.model.chat_template)
    if not path.is_file():
        return None, ("the chat template that the recipe names is gone, so it can't be sent along",)
    return _item(TEMPLATE, path, _names(run, base)), ()


def _record(found: Artefact, items: list[Item], base: Base) -> Item:
    """Write the artefact's record anew: the base by its name, the files as they are sent."""
    files = {item.name: MadeFile(bytes=item.bytes, sha256=item.sha256) for item in items}
    told = msgspec.structs.replace(found, base=base.hub_id or base.name, files=files)
    content = msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"
    return of_bytes(ARTEFACT, clean(content), "names the base as others can get it")


def _names(run: TunedRun, base: Base) -> dict[str, str]:
    """Say what is written for the paths that a file of the run may hold."""
    return dict(_paths(run, base))


def _paths(run: TunedRun, base: Base) -> Iterator[tuple[str, str]]:
    was = current_recipe(run.folder).model.name  # another, where the base was moved since
    for place in (run.model.reference, run.recipe.model.name, was, str(run.model.folder.absolute())):
        if place.startswith("/") and len(place) > 1:
            yield place, base.hub_id or base.name
    yield str(run.folder.path.absolute()), run.id

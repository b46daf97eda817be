"""A push: all that would be sent, put together before anything is asked, and what may not be sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import msgspec

from pegbox_methods.abilities import packs_base
from pegbox_methods.hub_name import is_hub_id
from pegbox_methods.refusal import Refusal
from pegbox_runs.changes import current_recipe
from pegbox_runs.printable import one_line
from pegbox_runs.run_report.facts import read_facts
from pegbox_runs.sharing.base import README, Base, base_of
from pegbox_runs.sharing.card import CardFacts, card_text
from pegbox_runs.sharing.hub import There
from pegbox_runs.sharing.parcel import Item, of_bytes, pack
from pegbox_runs.sharing.results import CardResults, card_results
from pegbox_runs.tuned import TunedRun, tuned_run

_OWN = {".gitattributes"}
"""What the Hub itself makes with a repository. A model card there is somebody's."""
_BRANCH = re.compile(r"[A-Za-z0-9][\w./-]{0,100}")


@dataclass(frozen=True)
class Push:
    """All of it, before anything is sent."""

    run: str
    repo: str
    branch: str | None
    """None: the repository's main one."""
    public: bool
    """Whether everybody shall see it."""
    what: str
    items: tuple[Item, ...]
    """The card among them."""
    card: str
    left_out: tuple[str, ...]
    unproven: str
    results: CardResults
    remarks: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """In all."""
        return sum(item.bytes for item in self.items)

    def replaced(self, there: There | None) -> tuple[str, ...]:
        """Name the files of the repository that would be replaced, those that it was made with left out."""
        names = {item.name for item in self.items} if there else set()
        return tuple(sorted(names & there.files - _OWN)) if there else ()


class SentFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a push."""

    path: str
    bytes: int
    sha256: str
    remark: str


class PushTold(msgspec.Struct, frozen=True, kw_only=True):
    """What `pegbox push --json` answers."""

    run: str
    repo: str
    revision: str | None
    what: str
    visibility: str
    """`private` or `public`, as it will be, or is already."""
    exists: bool | None
    """None: the Hub wasn't asked, or gave no answer."""
    files: tuple[SentFile, ...]
    bytes: int
    replaces: tuple[str, ...]
    left_out: tuple[str, ...]
    unproven: str
    remarks: tuple[str, ...]
    card: str
    sent: bool
    commit: str | None = None
    error: str | None = None


def prepare(
    run: str, repo: str, *, what: str, branch: str | None, public: bool, base: str | None = None, base_id: str | None
) -> Push:
    """Put all together; nobody is asked.

    `base`: where the base lies now, if it was moved since. `base_id`: its name on the Hub, where the run took a folder.
    Raises: Refusal. OSError.
    """
    if not is_hub_id(repo):
        raise Refusal(f"--repo {one_line(repo, 100)}: isn't the name of a repository. Give it as OWNER/NAME.")
    if branch is not None and (not _BRANCH.fullmatch(branch) or ".." in branch):
        raise Refusal(f"--revision {one_line(branch, 100)}: isn't the name of a branch.")
    found = tuned_run(run, base=base)
    called = _base(found, base_id)
    parcel = pack(found, what, called)
    facts = read_facts(found.folder)
    results = card_results(facts.state, facts.telling, converted=parcel.converted)
    packed = packs_base(found.recipe, found.card)
    text = card_text(CardFacts(repo, called, parcel, facts, results, packed))
    card = of_bytes(README, text.encode(), "the model card")
    remarks = list(parcel.remarks)
    if called.hub_id is None:
        remarks.append("the base lies in a folder, so the card can't link to it: --base-id OWNER/NAME names it there")
    if called.licence is None:
        remarks.append("the base's licence isn't known here: look at it before you publish what is made of it")
    if results.evaluated is None:
        remarks.append(
            f"there is no evaluation of these weights on the held-out rows: pegbox evaluate {found.id} makes one"
        )
    elif results.evaluated.worse:
        remarks.append("it is shown to be worse than its base on the evaluated rows, and the card says so")
    return Push(
        run=found.id,
        repo=repo,
        branch=branch,
        public=public,
        what=what,
        items=(card, *parcel.items),
        card=text,
        left_out=parcel.left_out,
        unproven=parcel.unproven,
        results=results,
        remarks=tuple(remarks),
    )


def _base(found: TunedRun, base_id: str | None) -> Base:
    """Name the base. Where one of the Hub was moved to a folder since, its name is still the one that the run took."""
    was = current_recipe(found.folder).model
    if found.moved_base is not None and base_id is None and is_hub_id(was.name) and not found.model.from_hub:
        return replace(base_of(found.model, None, called=was.name), revision=was.revision)
    return base_of(found.model, found.recipe.model.revision, called=base_id)


def refuse_unfit(push: Push, there: There | None, *, unproven: bool) -> None:
    """See that what is pushed was shown to be the run's model, and that nobody is shown it unawares.

    Raises: Refusal.
    """
    if push.unproven and not unproven:
        raise Refusal(
            f"{push.what}: isn't shown to be the model that was trained: {push.unproven} It isn't published unless you "
            "say --unproven; the card tells it then."
        )
    if there is not None and there.private is False and not push.public:
        raise Refusal(f"{push.repo}: is there already, and is public. Say --public if everybody shall see this.")


def visibility(push: Push, there: There | None) -> str:
    """Say who will see it; an existing repository stays as it is."""
    if there is not None and there.private is not None:
        return "private" if there.private else "public"
    return "public" if push.public else "private"


def told(push: Push, there: There | None, *, commit: str | None = None, error: str | None = None) -> PushTold:
    """Make the record."""
    return PushTold(
        run=push.run,
        repo=push.repo,
        revision=push.branch,
        what=push.what,
        visibility=visibility(push, there),
        exists=None if there is None else there.exists,
        files=tuple(
            SentFile(path=item.name, bytes=item.bytes, sha256=item.sha256, remark=item.remark) for item in push.items
        ),
        bytes=push.bytes,
        replaces=push.replaced(there),
        left_out=push.left_out,
        unproven=push.unproven,
        remarks=push.remarks,
        card=push.card,
        sent=commit is not None,
        commit=commit,
        error=error,
    )

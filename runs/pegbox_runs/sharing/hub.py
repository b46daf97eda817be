"""Asking the Hub, and sending to it: by its own library, with the person's own login."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pegbox_methods.refusal import Refusal
from pegbox_runs.hub_search import offline
from pegbox_runs.printable import one_line
from pegbox_runs.sharing.parcel import Item

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

Answer = TypeVar("Answer")
LOGIN = "Run `hf auth login` with a token that may write: huggingface.co/settings/tokens makes one."
SAID = {
    401: f"the Hub doesn't know this login (401). {LOGIN}",
    403: f"the Hub doesn't let this login write there (403): another owner's, or a token that may only read. {LOGIN}",
    404: "the Hub has no such place (404): see that the owner is you or an organisation of yours.",
    409: "somebody else changed it at the same moment (409). Look at it, and try again.",
    412: "it was changed since it was shown here (412), so nothing was sent. Try again: what lies there is shown anew.",
    413: "the Hub takes no such amount (413).",
    429: "the Hub asks to wait, as too much was asked of it (429). Try again in some minutes.",
}


class NotSent(Exception):
    """The Hub didn't take it. `sentence` says why, and what is there now."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class BrokenOff(KeyboardInterrupt):
    """A person broke the sending off. `sentence` says what is there now."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True)
class There:
    """What the Hub has before anything is sent."""

    user: str
    """Whose login it is."""
    exists: bool
    private: bool | None
    """None: it doesn't exist."""
    branch_exists: bool
    commit: str | None
    """The newest of the branch; of the main one, where the branch isn't there yet and begins as it."""
    files: frozenset[str]
    """Of that commit."""


def look(repo: str, branch: str | None) -> There:
    """See who is logged in, and what lies in a repository.

    Raises: Refusal: the network is forbidden, nobody is logged in, or the login may not. NotSent: there is no answer.
    """
    if offline():
        raise Refusal("the Hub isn't asked, as HF_HUB_OFFLINE is set. Unset it to publish; --dry-run works without.")
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    if get_token() is None:
        raise Refusal(f"nobody is logged in to the Hub here. {LOGIN}")
    api = HfApi()
    user = _user(_asked(repo, api.whoami))
    try:
        found = api.model_info(repo, revision=branch)
    except RevisionNotFoundError:
        main = _asked(repo, lambda: api.model_info(repo))
        return There(user, True, bool(main.private), False, main.sha, _files(main))  # the branch begins as main is
    except RepositoryNotFoundError:
        return There(user, False, None, False, None, frozenset())
    except Exception as error:  # noqa: BLE001 - whatever the library or the network raises is one sentence
        raise NotSent(sentence_of(error, repo)) from None
    return There(user, True, bool(found.private), True, found.sha, _files(found))


def _files(found: ModelInfo) -> frozenset[str]:
    return frozenset(one.rfilename for one in found.siblings or ())


def send(repo: str, items: Sequence[Item], there: There, *, public: bool, branch: str | None, message: str) -> str:
    """Make the repository where it isn't there, and put all files into one commit: all of it is there, or none.

    Returns: the commit's address. Raises: NotSent, BrokenOff: say what is there now.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    made = ""
    try:
        if not there.exists:
            api.create_repo(repo, private=not public, repo_type="model", exist_ok=False)
            made = f" The repository {repo} was made, and is empty; the same command goes on."
        if branch is not None and not there.branch_exists:
            api.create_branch(repo, branch=branch, revision=there.commit, exist_ok=True)
        commit = api.create_commit(
            repo,
            [
                CommitOperationAdd(
                    path_in_repo=item.name,
                    path_or_fileobj=item.source if isinstance(item.source, bytes) else str(item.source),
                )
                for item in items
            ],
            commit_message=message,
            revision=branch,
            parent_commit=there.commit,
        )
    except KeyboardInterrupt:
        raise BrokenOff(f"{repo}: broken off. The Hub confirmed no commit.{made}") from None
    except Exception as error:  # noqa: BLE001 - whatever the library or the network raises is one sentence
        raise NotSent(f"{sentence_of(error, repo)} Nothing was published.{made}") from None
    return str(commit.commit_url)


def sentence_of(error: BaseException, repo: str) -> str:
    """Say what the Hub, the library or the network meant. A token is in none of it."""
    status = _status(error)
    kind = type(error).__name__
    if status is not None and status >= 500:
        return f"{repo}: the Hub itself is in trouble ({status}). Try again later."
    if status in SAID:
        return f"{repo}: {SAID[status]}"
    if "Timeout" in kind:
        return f"{repo}: the Hub gave no answer in time ({kind}). Try again."
    if status is None and ("Connect" in kind or "Network" in kind or "Protocol" in kind or "Offline" in kind):
        return f"{repo}: the Hub can't be reached ({kind}). Try again with a network."
    return f"{repo}: the Hub didn't take it: {kind}: {one_line(str(error), 300)}."


def _status(error: BaseException | None) -> int | None:
    """Find the Hub's answer behind what its library raised."""
    for _ in range(8):
        if error is None:
            return None
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__ or error.__context__
    return None


def _asked(repo: str, ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - whatever the library or the network raises is one sentence
        raise (Refusal if _status(error) in {401, 403} else NotSent)(sentence_of(error, repo)) from None


def _user(told: Any) -> str:
    """Read who it is. Raises: Refusal: the token may only read."""
    name = str(told.get("name", "")) if isinstance(told, dict) else ""
    token = (told.get("auth") or {}).get("accessToken") or {} if isinstance(told, dict) else {}
    if isinstance(token, dict) and token.get("role") == "read":
        raise Refusal(f"the login of {one_line(name, 80)} may only read. {LOGIN}")
    return name

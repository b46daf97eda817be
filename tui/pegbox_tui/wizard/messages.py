"""What a step tells the wizard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual.message import Message

from pegbox_runs.drafts import Draft, StepName

if TYPE_CHECKING:
    from textual.message_pump import MessagePump

    from pegbox_runs.run_folder import RunFolder
    from pegbox_runs.starting import Begun


@dataclass
class Answered(Message):
    """An answer was given or changed. Carries the whole draft; the wizard keeps it at once."""

    draft: Draft

    def can_replace(self, message: Message) -> bool:
        """Let the newest draft stand for those still queued: it holds their answers too."""
        return isinstance(message, Answered)


@dataclass
class Turned(Message):
    """The person goes to another step."""

    to: Literal["next", "back"] | StepName


@dataclass
class StartAsked(Message):
    """Runs are to be started. The wizard does it, so that it outlives the step."""

    asker: MessagePump
    """The step, which hears NotStarted if nothing was."""
    begin: Callable[[], Begun]
    """Called in a thread. Raises: Refusal: nothing was started."""
    ends_draft: bool
    """Whether the draft's own recipe is among them, so that nothing is left of it to be kept."""


@dataclass
class RunsBegan(Message):
    """Runs were started, in this order."""

    folders: Sequence[RunFolder]
    ends_draft: bool = True


@dataclass
class NotBegun(Message):
    """Nothing was started; for the wizard, which tells the step that asked."""

    asker: MessagePump
    trouble: str


@dataclass
class NotStarted(Message, bubble=False):
    """Nothing was started; for the step."""

    trouble: str


@dataclass
class TakenUp(Message):
    """The person said whether to go on with the draft that was left."""

    go_on: bool


@dataclass
class NotKept(Message):
    """The draft can't be put on the disk."""

    sentence: str

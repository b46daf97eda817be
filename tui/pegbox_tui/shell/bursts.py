"""Text that a terminal without bracketed paste (GNU screen) sends as keys: taken by the handful, not one by one."""

from __future__ import annotations

from textual import events
from textual.message_pump import MessagePump

from pegbox_tui.shell.fields import LONGEST, Field


def takes_letters(focused: object) -> bool:
    """Tell whether letters go into a text field, where each would otherwise be searched for and drawn by itself."""
    return isinstance(focused, Field)


async def gathered(first: events.Key, queue: MessagePump) -> events.Key | events.Paste:
    """Take the letters that wait behind a letter. Returns: them as one paste; the key itself where none waits."""
    letters = [first.character or ""]
    while len(letters) < LONGEST and is_letter(queue._peek_message()):
        following = await queue._get_message()
        letters.append(getattr(following, "character", None) or "")
    return first if len(letters) == 1 else events.Paste("".join(letters))


def is_letter(event: object) -> bool:
    """Tell whether an event is a key that writes something."""
    return isinstance(event, events.Key) and event.is_printable and not event.is_forwarded

"""The chat on its own, as `pegbox chat` opens it."""

from __future__ import annotations

from pegbox_runs.chatting.talk import Talk
from pegbox_tui.chat.screen import ChatScreen
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.shell.look import Look


class ChatApp(PegboxApp[str]):
    """One chat. Returns why no model could be loaded; empty: one could."""

    def __init__(self, talk: Talk, *, both: bool, look: Look | None = None) -> None:
        super().__init__(look)
        self.chat = ChatScreen(talk, both=both)

    def on_mount(self) -> None:
        """Open the chat; what it returns is the app's answer."""
        self.push_screen(self.chat, self.exit)

    def action_leave(self) -> None:
        """Interrupt whoever speaks; else leave."""
        if not self.chat.interrupted():
            self.action_quit_now()

    async def action_quit(self) -> None:
        """Leave, whoever speaks."""
        self.action_quit_now()

    def action_quit_now(self) -> None:
        """Leave, whatever lies over the chat."""
        self.exit(self.chat.never_opened)


def chat(talk: Talk, *, both: bool, look: Look) -> str:
    """Talk until the person leaves. Returns: why no model could be loaded; empty: one could.

    Raises: JobFailed: the worker can't be started.
    """
    talk.open()
    return ChatApp(talk, both=both, look=look).run() or ""

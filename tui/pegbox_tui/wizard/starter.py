"""Starts runs for the app, not for the screen that asked: a start is seen to its end, whoever looks."""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_tui.wizard.keeper import DraftKeeper
from pegbox_tui.wizard.messages import NotBegun, RunsBegan, StartAsked

if TYPE_CHECKING:
    from textual.app import App


class RunStarter:
    """Takes one start at a time. The app hears RunsBegan or NotBegun, and then calls `rest`."""

    def __init__(self, app: App[Any], keeper: DraftKeeper) -> None:
        self._app = app
        self._keeper = keeper
        self._ended = threading.Event()
        self._ended.set()
        self.busy = False
        """Whether runs are being started, or the app hasn't heard yet how that went."""

    def begin(self, asked: StartAsked) -> None:
        """Start, unless a start is under way."""
        if self.busy:
            return
        self.busy = True
        self._ended.clear()
        self._app.run_worker(partial(self._work, asked), thread=True, group="start")

    def rest(self) -> None:
        """Be ready for the next start."""
        self.busy = False

    def wait(self, seconds: float) -> bool:
        """Wait until the runs are handed over and their forecasts written. Returns: False if that took too long."""
        return self._ended.wait(seconds)

    def _work(self, asked: StartAsked) -> None:
        try:
            begun = asked.begin()
        except Refusal as refusal:
            self._app.post_message(NotBegun(asked.asker, refusal.sentence))
        except Exception as error:  # noqa: BLE001 - whatever it was, the person must be able to go on
            said = one_line(f"{type(error).__name__}: {error}", 200)
            trouble = f"the start broke ({said}). `pegbox runs` says whether a run began."
            self._app.post_message(NotBegun(asked.asker, trouble))
        else:
            if asked.ends_draft:  # at once: the terminal may be gone, and with it whoever would hear of the start
                self._keeper.keep(None)
            self._app.post_message(RunsBegan(begun.folders, asked.ends_draft))
            with contextlib.suppress(Exception):  # the runs go on, with or without a forecast
                begun.keep_forecasts()
        finally:
            self._ended.set()

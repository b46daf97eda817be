"""The other machines of a run, as its crew sees them; none where there is one machine."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pegbox_methods.events import Notice
from pegbox_runs.crew.launched import DYING_SECONDS, RankExit
from pegbox_runs.crew.launching import Launch
from pegbox_runs.crew.nodes.desk import Desk
from pegbox_runs.crew.nodes.place import Nodes, read_nodes
from pegbox_runs.crew.nodes.words import Word
from pegbox_runs.crew.watching import Broken
from pegbox_runs.run_folder import RunFolder


class Meeting:
    """All of it does nothing where the run is on one machine."""

    def __init__(self, folder: RunFolder, attempt: int) -> None:
        self._folder, self._attempt = folder, attempt
        self._nodes: Nodes | None = None
        self._desk: Desk | None = None

    def look_up(self) -> int:
        """Give how many machines there are. Raises: Refusal: what tells them can't be read."""
        self._nodes = read_nodes(self._folder)
        return self.count

    @property
    def count(self) -> int:
        """How many machines there are, as far as was looked up."""
        return 1 if self._nodes is None else self._nodes.nodes

    def await_all(
        self, launch: Launch, called_off: Callable[[], bool], tell: Callable[[Notice], None]
    ) -> Launch | None:
        """Wait for the others. Returns: how this machine's part is started; None: it was called off before.

        Raises: Refusal: they can't come, or don't.
        """
        if self._nodes is None:
            return launch
        self._desk = Desk(self._folder, self._attempt, self._nodes)
        self._desk.open()
        if not self._desk.await_nodes(called_off, tell):
            return None
        port, interface = self._desk.begin(), self._desk.interface
        return msgspec.structs.replace(launch, host=self._nodes.host, port=port, interface=interface)

    def broken(self) -> Broken | None:
        """Say which other machine's processes ended before the run did; None: all go on, or ended well."""
        if self._desk is None:
            return None
        for end in self._desk.ends().values():
            for rank in sorted(end.exits):
                if (said := end.said(rank)) is not None:
                    return Broken(rank, f"rank {rank} on {end.host}: {said}")
            if end.gone is not None:
                return Broken(None, end.gone)
        return None

    @property
    def all_ended(self) -> bool:
        """Whether no other machine has a process left, as far as can be known."""
        return self._desk is None or len(self._desk.ends()) == self.count - 1

    def exits(self) -> list[RankExit]:
        """Tell how processes of other machines failed."""
        ends = () if self._desk is None else self._desk.ends().values()
        return [RankExit(rank, 0, code) for end in ends for rank, code in sorted(end.exits.items()) if code]

    def kill(self) -> bool:
        """End all processes of other machines. Returns: whether they are gone, or can't be asked."""
        if self._desk is None:
            return True
        self._desk.kill()
        return self._desk.await_dead(DYING_SECONDS)

    def close(self, word: Word) -> None:
        """Tell the others how it ended."""
        if self._desk is not None:
            self._desk.close(word)

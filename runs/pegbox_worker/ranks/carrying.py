"""The main job, as one of several processes: all do the same, on the same beginning; the leading one writes it down."""

from __future__ import annotations

import traceback

from pegbox_methods.events import event_decoder, event_encoder
from pegbox_runs.changes import current_recipe
from pegbox_runs.checkpoints import GoodCheckpoint
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_worker.assembly import quiet
from pegbox_worker.control import Control
from pegbox_worker.going_on import checkpoint_to_go_on_from, device_to_go_on_with
from pegbox_worker.hands import Hands
from pegbox_worker.job import failed_by, rescue, train
from pegbox_worker.ranks.agreeing import AgreedControl
from pegbox_worker.ranks.beating import Beat
from pegbox_worker.ranks.comparing import compare
from pegbox_worker.ranks.entry import trouble_of
from pegbox_worker.ranks.group import Group
from pegbox_worker.ranks.joining import EngineWatch, join, leave, refuse_other_number
from pegbox_worker.ranks.losing import SENTENCE, lost_peer
from pegbox_worker.ranks.mirroring import shared_checkpoint
from pegbox_worker.ranks.pulse import PulsingShelf
from pegbox_worker.reporter import Reporter


def carry_together(folder: RunFolder, writer: EventWriter, control: Control | None, state: RunState, beat: Beat) -> int:
    """Carry a run to its end, or to where its processes have to. Returns the exit code.

    `control` and `state`: what hears, and the log until now; only the leading process has them. Why this process can't
    go on is written into its file; which process' reason it was that ended the run is for the crew to tell.
    """
    quiet()
    reporter = None
    try:
        company = join()
        group = company.group
        heard = AgreedControl(group, control, beat)
        recipe = current_recipe(folder)
        refuse_other_number(recipe.devices, group)
        state = agreed_state(group, state)
        device = device_to_go_on_with(state, company.device)
        compare(group, recipe, device, writer.emit)
        checkpoint = agreed_checkpoint(group, folder, state, writer)
        reporter = Reporter(writer, heard, device, group, beat)
        made = reporter
        watch = EngineWatch(recipe.devices, company, lambda: made.trainer, writer.emit)
        train(Hands(folder, writer, heard, reporter, device, PulsingShelf(beat), group, (watch,)), checkpoint, state)
        leave()
    except Exception as error:  # noqa: BLE001  # every end is told
        traceback.print_exc()
        failed = failed_by(error, reporter)
        if beat.rank == 0:
            rescue(reporter, failed, error)
        beat.fail(trouble_of(failed, lost=SENTENCE if lost_peer(error) else None))
        return 1
    return 0


def agreed_state(group: Group, state: RunState) -> RunState:
    """Give all processes what a beginning hangs on, of the leading one's log: the others may not see that."""
    known = (state.started, state.phase, state.prepared)
    lines = event_encoder().encode_lines([event for event in known if event is not None])
    said = group.agree(lines)
    if group.leads:
        return state
    other = RunState()
    for event in event_decoder().decode_lines(said):
        other = other.after(event)
    return other


def agreed_checkpoint(group: Group, folder: RunFolder, state: RunState, writer: EventWriter) -> GoodCheckpoint | None:
    """Go on from the checkpoint that the leading process finds.

    Raises: Unfit: it isn't whole where this one looks. OSError: it couldn't be brought there.
    """
    found = checkpoint_to_go_on_from(folder, state, writer) if group.leads else None
    return shared_checkpoint(group, folder, found)

"""What every part of the main job needs."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from transformers import TrainerCallback

from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.base_shelf import BaseShelf
from pegbox_worker.heard import Heard
from pegbox_worker.ranks.group import Alone, Group
from pegbox_worker.reporter import Reporter


@dataclass(frozen=True)
class Hands:
    """The run's folder and log, who hears and who tells, and what it computes on."""

    folder: RunFolder
    writer: EventWriter
    control: Heard
    reporter: Reporter
    device: torch.device
    shelf: BaseShelf
    group: Group = field(default_factory=Alone)
    """The processes that do all this alike; what is written, `group.leads` alone writes."""
    watchers: tuple[TrainerCallback, ...] = ()
    """Who looks on beside the sentinel."""

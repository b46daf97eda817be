"""What every part of the main job needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.base_shelf import BaseShelf
from pegbox_worker.control import Control
from pegbox_worker.reporter import Reporter


@dataclass(frozen=True)
class Hands:
    """The run's folder and log, who hears and who tells, and what it computes on."""

    folder: RunFolder
    writer: EventWriter
    control: Control
    reporter: Reporter
    device: torch.device
    shelf: BaseShelf

"""What a script is made for."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal

PORT = 29_500
NO_ACCELERATOR = "none"
ACCELERATOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Asked:
    """A training on several machines, or on one, that somebody else starts."""

    recipe: Recipe
    file: Path
    """The recipe's, absolute."""
    sets: tuple[str, ...]
    """As `--set` takes them."""
    nodes: int
    accelerator: str | None = None
    """A GPU's name, as the cluster calls it; `none`: there is none; None: whichever."""

    def __post_init__(self) -> None:
        if self.recipe.devices.processes % self.nodes:
            raise Refusal(
                f"devices.processes = {self.recipe.devices.processes} can't be parted among {self.nodes} machines: "
                f"expected a multiple of {self.nodes}, as with --set devices.processes={self.nodes}."
            )
        if self.accelerator is not None and not ACCELERATOR.fullmatch(self.accelerator):
            raise Refusal(
                f"--accelerator {self.accelerator}: isn't a GPU's name as clusters write it, as in H100 or A100-80GB; "
                "'none' asks for no GPU."
            )

    @property
    def per_node(self) -> int:
        """How many processes each machine carries."""
        return self.recipe.devices.processes // self.nodes

    @property
    def name(self) -> str:
        """Name the job; nothing in it means anything to a shell."""
        return "pegbox-" + (re.sub(r"[^a-z0-9]+", "-", self.file.stem.lower()).strip("-")[:40] or "run")

    def train(self, file: str) -> str:
        """Write the command's unchanging words, quoted."""
        sets = [word for one in self.sets for word in ("--set", one)]
        return shlex.join(["train", file, *sets])

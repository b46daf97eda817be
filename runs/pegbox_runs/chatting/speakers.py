"""Which runs may sit at one table: those of the same base model, each asked in the form that it was trained in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pegbox_methods.refusal import Refusal
from pegbox_runs.chatting.as_trained import AsTrained, as_trained
from pegbox_runs.printable import one_line
from pegbox_runs.tuned import TunedRun, tuned_run


@dataclass(frozen=True)
class Speaker:
    """A run that is talked to."""

    run: TunedRun
    trained: AsTrained

    @property
    def lane(self) -> str:
        """Its name among the others."""
        return self.run.id


def speakers(runs: Sequence[str], *, base: str | None = None) -> tuple[Speaker, ...]:
    """Find the runs to talk to. `base`: where their base model lies now, if it was moved since.

    Raises: Refusal: one of them can't be used, is named twice, or has another base than the first.
    """
    found: list[TunedRun] = []
    for name in runs or ("last",):
        run = tuned_run(name, base=base)
        if any(run.folder.path == other.folder.path for other in found):
            raise Refusal(f"{run.id}: named twice. Name each run once.")
        if found:
            _refuse_other_base(found[0], run)
        found.append(run)
    return tuple(Speaker(run, as_trained(run.recipe)) for run in found)


def _refuse_other_base(first: TunedRun, run: TunedRun) -> None:
    """Refuse runs that could share neither the base's weights nor a comparison. Raises: Refusal."""
    one, other = first.environment, run.environment
    if one.weights_sha256 is not None and other.weights_sha256 is not None:
        same = one.weights_sha256 == other.weights_sha256
    else:
        same = one.model_sha256 == other.model_sha256
    if not same:
        raise Refusal(
            f"{run.id} was trained on {base_name(run)}, and {first.id} on {base_name(first)}: their answers side by "
            "side would tell of the bases, not of the training. Name runs of one base, or open two chats."
        )


def base_name(run: TunedRun) -> str:
    """Name a run's base model in a word."""
    return one_line(run.recipe.model.name.rstrip("/").rpartition("/")[2], 40)

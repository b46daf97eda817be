"""AdaLoRA's torch half: what PEFT leaves to the training loop is done here.

Nothing in transformers or TRL calls `update_and_allocate` (peft#1327, peft#432), and TRL leaves the model's own
loss, which holds the orthogonality term, aside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import AdaLoraConfig, PeftModel
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pegbox_methods.events import Check, Event, Ranks
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached, BrokenPromise
from pegbox_methods.zoo.adalora.schedule import Schedule, initial_rank, schedule
from pegbox_methods.zoo.shared.half_torch import PeftHalf, as_saved, target_modules

ADAPTER = "default"
FIGURES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What PEFT's RankAllocator keeps of each weight: importance, its running mean, and that of its uncertainty."""

STEP = "step/"
"""Key of the step in a checkpoint; no weight has that name."""


class RanksNotMoved(BrokenPromise):
    """The run was to take ranks away, and didn't: it would have been LoRA under another name."""


@dataclass(frozen=True)
class AdaLoraHalf(PeftHalf):
    """PEFT's AdaLoRA with the schedule, the regulariser and the pruning that it leaves to others."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model.

        Raises: Refusal: the run is too short for the schedule, or a target's name is not in the model.
        """
        tuned = super().attach(model, recipe).model
        for name, weight in tuned.named_parameters():
            if ".ranknum." in name:  # a divisor; PEFT lets it train on a base in 16 bits
                weight.requires_grad_(False)
        budget = RankBudget(cast(PeftModel, tuned), _schedule(recipe))
        return Attached(
            model=tuned,
            callbacks=(budget,),
            added_loss=_orthogonality(tuned, recipe.method.settings["orthogonality"]),
            state=budget,
            tell=budget.tell,
            inspect=budget.inspect,
        )

    def save(self, attached: Attached, folder: Path) -> None:
        """Write PEFT's standard files, without the ranks that were taken; PEFT loads such an adapter by itself."""
        model = cast(PeftModel, attached.model)
        config = model.peft_config[ADAPTER]
        config.rank_pattern = kept_ranks(model)
        super().save(attached, folder)
        config.rank_pattern = None


def adalora_config(model: nn.Module, recipe: Recipe) -> AdaLoraConfig:
    """Translate the settings into PEFT's words."""
    settings = recipe.method.settings
    phases = _schedule(recipe)
    return AdaLoraConfig(
        task_type="CAUSAL_LM",
        init_r=initial_rank(settings),
        target_r=settings["rank"],
        lora_alpha=as_saved(settings["alpha"]),
        lora_dropout=settings["dropout"],
        target_modules=target_modules(model, settings["targets"]),
        total_step=phases.steps,
        tinit=phases.free,
        tfinal=phases.final,
        deltaT=phases.interval,
        # PEFT would add its term to the model's own loss, in evaluations too; ours is `Attached.added_loss`.
        orth_reg_weight=0.0,
    )


class RankBudget(TrainerCallback):  # type: ignore[misc]  # mypy doesn't read transformers
    """Takes ranks away by the schedule, tells which, and sees to it that this happened.

    What PEFT's allocator knows of the ranks (three running figures for each weight) and the last cut are its state.
    """

    def __init__(self, model: PeftModel, phases: Schedule) -> None:
        self._model = model
        self._phases = phases
        self._config: Any = model.peft_config[ADAPTER]
        self._allocator: Any = model.base_model.rankallocator
        self._pattern: dict[str, list[bool]] | None = None
        self._told: dict[str, int] | None = None
        self._step = 0

    def on_optimizer_step(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any
    ) -> None:
        """Weigh the ranks while the gradients are there, and cut if it is time to."""
        for weight in self._model.parameters():
            if weight.grad is not None:  # an overflow of float16 would stay in the averages for good
                weight.grad.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        # PEFT leaves the ranks of this pattern out of what it saves: the pattern is lent to it for its own step only,
        # so that the adapter in a checkpoint is whole.
        self._config.rank_pattern = self._pattern
        self._model.base_model.update_and_allocate(state.global_step + 1)
        self._pattern, self._config.rank_pattern = self._config.rank_pattern, None
        self._step = state.global_step + 1

    def tell(self, step: int) -> Iterator[Event]:
        """Tell the ranks of all matrices after a step that moved one."""
        if self._pattern is None:
            return
        ranks = {_matrix(name): sum(kept) for name, kept in self._pattern.items()}
        if ranks != self._told:
            self._told = ranks
            yield Ranks(step=step, ranks=ranks, before=self._config.init_r * len(ranks))

    def inspect(self, step: int) -> Iterator[Check]:
        """Hold the ranks in use against the schedule: what the newest cut that was due by this step should have left.

        Importances that are equal to the last digit fall together, so fewer may be left.
        """
        cut = self._phases.newest_cut(step)
        if cut is None:
            text = f"the first ranks are taken after step {self._phases.first_cut}"
            yield Check(name="budget", verdict="not-applicable", text=text)
            return
        due = self._allocator.budget_schedule(cut)[0]
        had, kept = self._allocator.init_bgt, self._kept()
        if kept > due:
            text = (
                f"by step {cut}, {had} ranks were to come down to {due}, and {kept} are left: nothing calls AdaLoRA's "
                "step, or the versions of peft and transformers don't fit this method"
            )
            yield Check(name="budget", verdict="failed", text=text)
        else:
            text = f"{kept} of {had} ranks are left after step {cut}, as scheduled"
            yield Check(name="budget", verdict="passed", text=text)

    def state_dict(self) -> dict[str, Tensor]:
        """Give the allocator's figures, the last cut, and the step they are of."""
        known = {f"{figure}/{name}": value for figure in FIGURES for name, value in self._figures(figure).items()}
        cut = {f"cut/{name}": torch.tensor(kept) for name, kept in (self._pattern or {}).items()}
        return known | cut | {STEP: torch.tensor(self._step)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take them back; the figures go to where their weights are.

        Raises: Refusal: the run's plan is a shorter one now, whose last cut would have come before.
        """
        weights = dict(self._model.base_model.model.named_parameters())
        cut: dict[str, list[bool]] = {}
        for key, value in state.items():
            figure, _, name = key.partition("/")
            if key == STEP:
                self._step = int(value)
            elif figure == "cut":
                cut[name] = value.tolist()
            else:
                self._figures(figure)[name] = value.to(weights[name].device)
        self._pattern = cut or None
        self._told = {_matrix(name): sum(kept) for name, kept in cut.items()} or None
        self._refuse_missed_cut()

    def _refuse_missed_cut(self) -> None:
        asked = self._config.target_r * len(self._allocator.name_set)
        last, kept = self._phases.last_cut, self._kept()
        if self._step >= last and kept > asked:
            raise Refusal(
                f"AdaLoRA was to take its last ranks after step {last} of {self._phases.steps}, but the run has done "
                f"{self._step} steps by a longer plan and still has {kept} ranks, where {asked} were asked for. Give "
                "it more steps (training.max_steps, training.epochs), as many as it had at least."
            )

    def _kept(self) -> int:
        """Count the ranks that the last cut left."""
        if self._pattern is None:
            return int(self._allocator.init_bgt)
        return sum(sum(ranks) for ranks in self._pattern.values())

    def _figures(self, figure: str) -> dict[str, Tensor]:
        return cast(dict[str, Tensor], getattr(self._allocator, figure))

    def on_train_end(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Fail a run that came past its last cut with more ranks than were asked for.

        Raises: RanksNotMoved.
        """
        if state.global_step < self._phases.last_cut:
            return  # stopped before
        matrices = self._model.base_model.rankallocator.name_set
        asked, had = self._config.target_r * len(matrices), self._config.init_r * len(matrices)
        kept = self._kept()
        if kept > asked:
            raise RanksNotMoved(
                f"AdaLoRA was to bring {had} ranks down to {asked} by step {self._phases.last_cut}, and {kept} are "
                "left: the versions of peft and transformers don't fit this method"
            )


def kept_ranks(model: PeftModel) -> dict[str, list[bool]] | None:
    """Read off the weights which ranks are in use, as PEFT's `rank_pattern`; None: all of them, or none was trained.

    Not the last cut's pattern: after it and before the next one a rank may come back, and the kept checkpoint may be
    older than the last cut.
    """
    values = {
        name: (weight != 0).view(-1).tolist()
        for name, weight in model.base_model.model.named_parameters()
        if f"lora_E.{ADAPTER}" in name
    }
    used = [rank for ranks in values.values() for rank in ranks]
    return values if any(used) and not all(used) else None


def _matrix(name: str) -> str:
    """Give the base model's name of a matrix for PEFT's name of its ranks."""
    return name.removesuffix(f".lora_E.{ADAPTER}")


def _schedule(recipe: Recipe) -> Schedule:
    steps = recipe.training.max_steps
    if steps is None:
        raise ValueError("recipe.training.max_steps must hold the run's number of steps when a method is attached")
    return schedule(steps, recipe.method.settings)


def _orthogonality(model: nn.Module, weight: float) -> Callable[[], Tensor] | None:
    """Make the mean distance of A A' and B' B from the identity, times a weight.

    Source: Zhang et al. 2023, equation 4; PEFT's AdaLoraModel.forward, which takes the norm without its square.
    """
    if weight == 0:
        return None
    wide = [w for name, w in model.named_parameters() if f"lora_A.{ADAPTER}" in name]
    tall = [w for name, w in model.named_parameters() if f"lora_B.{ADAPTER}" in name]

    def added_loss() -> Tensor:
        squares = [a @ a.t() for a in wide] + [b.t() @ b for b in tall]
        distances = [torch.linalg.norm(square - torch.eye(len(square), device=square.device)) for square in squares]
        return weight * torch.stack(distances).mean()

    return added_loss


half = AdaLoraHalf(adalora_config)

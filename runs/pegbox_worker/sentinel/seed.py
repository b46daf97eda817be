"""Whether chance begins where the recipe says."""

from __future__ import annotations

import torch
from transformers import TrainingArguments

from pegbox_methods.events import Check

NAME = "seed"


def check_seed(wanted: int, arguments: TrainingArguments) -> Check:
    """Look at the seed that torch's generator was last given, and at those that the order of rows is drawn from."""
    found = {
        "torch's": torch.initial_seed(),
        "the trainer's": arguments.seed,
        "that of the order of rows": arguments.data_seed,
    }
    wrong = {name: seed for name, seed in found.items() if seed != wanted}
    if wrong:
        text = (
            f"seeds.training is {wanted}, but {' and '.join(f'{name} is {seed}' for name, seed in wrong.items())}: the "
            "run can't be repeated. Something beside the recipe sets the seed, such as the method's attach"
        )
        return Check(name=NAME, verdict="unsure", text=text)
    return Check(name=NAME, verdict="passed", text=f"dropout and the order of rows begin with the seed {wanted}")

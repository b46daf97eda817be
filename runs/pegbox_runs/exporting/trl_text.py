"""The text of a plain TRL script that repeats a run: no line of it needs Pegbox."""

from __future__ import annotations

from pegbox_runs.exporting.trl_lines import ScriptFacts, attach, config, load, optimizer, own_optimizer, save
from pegbox_runs.exporting.trl_loss import head_loss, own_loss, trainers_loss


def script(facts: ScriptFacts) -> str:
    """Write the whole script."""
    loss = [head_loss(facts)] if own_loss(facts) else []
    parts = [_head(facts), *loss, _order(facts), _watch(), _main(facts)]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def _head(facts: ScriptFacts) -> str:
    peft = facts.parts.peft_class
    from_peft = [] if peft is None else sorted({peft, "get_peft_model"})
    imports = [
        "import argparse",
        "import hashlib",
        "import json",
        "import os",
        "from pathlib import Path",
        "",
        "import torch",
        "from datasets import Dataset",
        *([f"from peft import {', '.join(from_peft)}"] if from_peft else []),
        *_more_peft(facts.recipe.method.name),
        "from torch.utils.data import Sampler",
        f"from transformers import AutoModelForCausalLM, AutoTokenizer, {_more_transformers(facts)}",
        *(
            ["from transformers.trainer_pt_utils import get_length_grouped_indices"]
            if facts.prepared.order == "grouped"
            else []
        ),
        "from trl import SFTConfig, SFTTrainer",
    ]
    doc = f'''"""Repeats the run {facts.run} with TRL alone: `python train.py`.

rows.jsonl holds the rows as the run learned from them: tokens, and labels in which -100 is not learned. They are your
rows, so treat the file as you treat those. `--steps N` ends after N steps of the same schedule.
"""'''
    constants = f"""
HERE = Path(__file__).resolve().parent
MODEL = {_model(facts)}
SEED = {facts.recipe.seeds.training}
MICRO_BATCH, ACCUMULATION = {facts.recipe.training.micro_batch}, {facts.recipe.training.accumulation}
RUN_LOSSES = {_wrapped(facts.losses)}  # of the run's first steps
"""
    return f"{doc}\n\n" + "\n".join(imports) + "\n" + constants


def _more_peft(method: str) -> list[str]:
    return {
        "lora-plus": ["from peft.optimizers import create_loraplus_optimizer"],
        "lora-fa": ["from peft.optimizers import create_lorafa_optimizer"],
    }.get(method, [])


def _more_transformers(facts: ScriptFacts) -> str:
    names = ["TrainerCallback", "set_seed"]
    if facts.quantized:
        names.append("BitsAndBytesConfig")
    if facts.recipe.method.name == "lora-plus":
        names.append("Trainer")
    return ", ".join(sorted(names))


def _model(facts: ScriptFacts) -> str:
    if facts.model.startswith("./"):
        return f"str(HERE / {facts.model[2:]!r})"
    return f"os.path.expanduser({facts.model!r})"


def _wrapped(losses: tuple[float, ...]) -> str:
    lines = [", ".join(f"{loss:.7g}" for loss in losses[at : at + 8]) for at in range(0, len(losses), 8)]
    return "[\n    " + ",\n    ".join(lines) + ",\n]" if lines else "[]"


def _order(facts: ScriptFacts) -> str:
    if facts.prepared.order == "grouped":
        body = "iter(get_length_grouped_indices(self.lengths, MICRO_BATCH * ACCUMULATION, generator=chance))"
    else:
        body = "iter(torch.randperm(len(self.lengths), generator=chance).tolist())"
    return f'''
class RunOrder(Sampler):
    """The order of the rows: drawn for each epoch from the seed and the epoch's number."""

    def __init__(self, lengths):
        self.lengths, self.epoch = lengths, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return len(self.lengths)

    def __iter__(self):
        seed = int.from_bytes(hashlib.sha256(f"{{SEED}} {{self.epoch}}".encode()).digest()[:7])
        chance = torch.Generator().manual_seed(seed)
        return {body}


class OrderedTrainer(SFTTrainer):
    """SFTTrainer with that order."""

    def _get_train_sampler(self, train_dataset=None):
        rows = self.train_dataset if train_dataset is None else train_dataset
        return RunOrder([len(ids) for ids in rows["input_ids"]])
{trainers_loss(facts) if own_loss(facts) else ""}'''


def _watch() -> str:
    return '''
class Beside(TrainerCallback):
    """Prints each loss beside the run's, and ends after some steps."""

    def __init__(self, steps):
        self.steps, self.seen = steps, []

    def on_step_end(self, args, state, control, **kwargs):
        if self.steps and state.global_step >= self.steps:
            control.should_training_stop = True
        return control

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" not in (logs or {}):
            return
        step, loss = state.global_step, float(logs["loss"])
        self.seen.append(loss)
        told = f"   the run had {RUN_LOSSES[step - 1]:.6f}" if step <= len(RUN_LOSSES) else ""
        print(f"step {step}: loss {loss:.6f}{told}", flush=True)

    def largest_difference(self):
        return max((abs(a - b) for a, b in zip(self.seen, RUN_LOSSES)), default=0.0)
'''


def _main(facts: ScriptFacts) -> str:
    lines = [
        "def main():",
        "    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])",
        '    asked.add_argument("--steps", type=int, default=0, help="end after so many steps (default: all)")',
        '    asked.add_argument("--output", default=str(HERE / "result"), help="where the result goes")',
        "    asked = asked.parse_args()",
        "",
        "    # Rows, already in tokens.",
        '    with open(HERE / "rows.jsonl", encoding="utf-8") as file:',
        "        rows = Dataset.from_list([json.loads(line) for line in file])",
        "",
        "    # The base model and its tokenizer.",
        *load(facts),
        "",
        *attach(facts),
        "",
        *config(facts),
        *optimizer(facts),
        "    beside = Beside(asked.steps)",
        "    trainer = OrderedTrainer(",
        "        model=model, args=config, train_dataset=rows, processing_class=tokenizer, callbacks=[beside],",
        f"        {'optimizers=(optimizer, None),' if own_optimizer(facts) else ''}",
        "    )",
        "    for weight in model.parameters():  # what trains is held in float32: 16 bits round small steps away",
        "        if weight.requires_grad and weight.dtype in (torch.bfloat16, torch.float16):",
        "            weight.data = weight.data.float()",
        "    trainer.train()",
        *save(facts),
        '    print(f"largest difference to the run\'s losses: {beside.largest_difference():.2e}")',
        "",
        "",
        'if __name__ == "__main__":',
        "    main()",
    ]
    return "\n".join(line for line in lines if line.strip() or not line)

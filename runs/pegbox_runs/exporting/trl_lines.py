"""The parts of a plain TRL script, in lines of Python: model, adapter, arguments, optimizer, result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pegbox_methods.events import Prepared
from pegbox_methods.recipe import Recipe
from pegbox_runs.exporting.trl_parts import Parts

OPTIMIZERS = {"adamw": "adamw_torch_fused"}
SCHEDULES = {"constant": "constant_with_warmup"}
CHANGED_BASE = ("pissa", "olora")
"""They take their beginning out of the base's weights, so what they learned is told from it when they are saved."""


@dataclass(frozen=True)
class ScriptFacts:
    """All that the text is made of."""

    run: str
    recipe: Recipe
    prepared: Prepared
    parts: Parts
    model: str
    """As transformers can load it; relative to the script, or a Hub id."""
    revision: str | None
    quantized: bool
    losses: tuple[float, ...]
    """Of the run's first steps."""


def load(facts: ScriptFacts) -> list[str]:
    """Write how the base model and its tokenizer are loaded."""
    on_cpu = facts.prepared.device == "cpu"
    dtype = "float32" if on_cpu else facts.prepared.precision
    named = [f"dtype=torch.{dtype}"]
    lines = []
    if facts.revision is not None:
        named.append(f"revision={facts.revision!r}")
    if facts.quantized:
        lines += [
            "    packed = BitsAndBytesConfig(",
            '        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,',
            f"        bnb_4bit_compute_dtype=torch.{facts.prepared.precision},",
            "    )",
        ]
        named += ["quantization_config=packed", f'device_map={{"": "{"cpu" if on_cpu else "cuda:0"}"}}']
    revision = "" if facts.revision is None else f", revision={facts.revision!r}"
    lines += [
        f"    tokenizer = AutoTokenizer.from_pretrained(MODEL{revision})",
        "    if tokenizer.pad_token_id is None:",
        "        tokenizer.pad_token = tokenizer.eos_token",
        f"    model = AutoModelForCausalLM.from_pretrained(MODEL, {', '.join(named)})",
    ]
    if facts.quantized:
        lines += [
            "    for part in model.modules():  # on a CPU this kernel has no backward pass",
            '        if hasattr(part, "support_avx512bf16_for_cpu"):',
            "            part.support_avx512bf16_for_cpu = False",
        ]
    elif not on_cpu:
        lines.append('    model = model.to("cuda")')
    return lines


def attach(facts: ScriptFacts) -> list[str]:
    """Write how what trains is put on it."""
    if facts.parts.peft_class is None:
        return [
            "    # Every weight learns, in float32.",
            "    set_seed(SEED)",
            "    for weight in model.parameters():",
            "        weight.data = weight.data.float()",
            "        weight.requires_grad_(True)",
        ]
    lines = ["    # The adapter. PEFT draws its first weights, so the seed comes before it.", "    set_seed(SEED)"]
    if facts.recipe.method.settings.get("preparation") == "full":
        lines += [
            "    from peft import prepare_model_for_kbit_training",
            "",
            "    prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)",
        ]
    lines += [
        f"    peft_config = {facts.parts.peft_class}(",
        *(f"        {key}={value!r}," for key, value in sorted(facts.parts.peft_config.items())),
        "    )",
        "    model = get_peft_model(model, peft_config)",
    ]
    if facts.recipe.method.name in CHANGED_BASE:
        lines += [
            "    # It begins with a part of the base's weights; what it learned is told from that at the end.",
            '    beginning = str(Path(asked.output) / "beginning")',
            "    kind, peft_config.init_lora_weights = peft_config.init_lora_weights, True",
            "    model.save_pretrained(beginning)",
            "    peft_config.init_lora_weights = kind",
        ]
    return lines


def config(facts: ScriptFacts) -> list[str]:
    """Write the trainer's arguments."""
    training, prepared = facts.recipe.training, facts.prepared
    checkpointing = prepared.activation_checkpointing
    values: dict[str, Any] = {
        "use_cpu": prepared.device == "cpu",
        "max_steps": prepared.steps,
        "per_device_train_batch_size": None,
        "gradient_accumulation_steps": None,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": SCHEDULES.get(training.schedule, training.schedule),
        "warmup_steps": prepared.warmup or 0,
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_gradient_norm,
        "optim": OPTIMIZERS.get(training.optimizer, training.optimizer),
        "bf16": prepared.precision == "bfloat16",
        "fp16": prepared.precision == "float16",
        "padding_free": facts.prepared.order == "packed",
        "activation_checkpointing": checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if checkpointing else None,
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "router_aux_loss_coef": 0.0,
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "report_to": [],
        "dataloader_pin_memory": prepared.device != "cpu",
    }
    words = {"per_device_train_batch_size": "MICRO_BATCH", "gradient_accumulation_steps": "ACCUMULATION"}
    return [
        "    config = SFTConfig(",
        "        output_dir=asked.output,",
        *(f"        {key}={words.get(key, repr(value))}," for key, value in values.items()),
        "        seed=SEED,",
        "        data_seed=SEED,",
        "    )",
    ]


def own_optimizer(facts: ScriptFacts) -> bool:
    """Tell whether the method brings an optimizer."""
    return facts.recipe.method.name in ("lora-plus", "lora-fa")


def optimizer(facts: ScriptFacts) -> list[str]:
    """Write how that is made; nothing where the trainer makes its own."""
    settings, training = facts.recipe.method.settings, facts.recipe.training
    if facts.recipe.method.name == "lora-plus":
        return [
            "    # LoRA+: the optimizer that Trainer would make, with a higher rate for B.",
            "    kind, named = Trainer.get_optimizer_cls_and_kwargs(config)",
            "    optimizer = create_loraplus_optimizer(",
            f"        model, kind, loraplus_lr_ratio={settings['ratio']!r},",
            f"        loraplus_weight_decay={training.weight_decay!r}, **named,",
            "    )",
        ]
    if facts.recipe.method.name == "lora-fa":
        return [
            "    # LoRA-FA: A is frozen, and B's gradient corrected for it.",
            "    optimizer = create_lorafa_optimizer(",
            f"        model, r={settings['rank']!r}, lora_alpha={settings['alpha']!r},",
            f"        lr={training.learning_rate!r}, weight_decay={training.weight_decay!r},",
            "    )",
        ]
    return []


def save(facts: ScriptFacts) -> list[str]:
    """Write how the result is saved."""
    if facts.recipe.method.name in CHANGED_BASE:
        return ["    model.save_pretrained(asked.output, path_initial_model_for_weight_conversion=beginning)"]
    return ["    trainer.save_model(asked.output)"]

"""The measured rows of tests/reference/memory_peaks.jsonl, each as the set-up that it was measured with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import Stack

FILE = Path(__file__).parents[1] / "reference" / "memory_peaks.jsonl"
NAMES = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj", "gate": "gate_proj", "up": "up_proj"} | {
    "down": "down_proj",
    "mlp": "mlp",
}
TYPES = {"mistral": "mistral", "llama": "llama", "tinyllama": "llama", "gemma": "gemma", "phi": "phi"} | {
    "stablelm-alpha": "gpt_neox"
}
PEFT_LENGTH = 700
"""Longest padded batch of PEFT's runs, in tokens; their files tell the cap, 768."""
GPU_MEMORY = {"A100-80GB": 85_899_345_920}


@dataclass(frozen=True)
class Measured:
    """One published measurement. Bytes."""

    id: int
    source: str
    """fms, fms-kernels (their own fused kernels), fms-liger, peft, litgpt, torchtune."""
    model: str
    method: str
    config: dict[str, Any]
    setup: TrainingSetup
    stack: Stack
    peft_config: dict[str, Any] | None
    allocated: int | None
    reserved: int | None
    card: int | None
    ran_out: bool
    gpu_bytes: int | None

    @property
    def known(self) -> bool:
        """Whether stack and method are among those that level 1 knows."""
        return self.source in {"fms", "fms-liger"} or (
            self.source == "peft" and self.setup.method in {"lora", "dora", "adalora", "full"}
        )


def measured_rows() -> list[Measured]:
    """Read all rows but those of compiled, offloaded or adapter-prompt runs, which are no set-up of ours."""
    made = []
    for line in FILE.read_text().splitlines():
        row = json.loads(line)
        source = row["source_repo"]
        if "fms" in source:
            made.append(_fms(row))
        elif "peft" in source:
            made.append(_peft(row))
        elif "litgpt" in source and row["method"] in {"LORA", "QLORA", "FULL"}:
            made.append(_litgpt(row))
        elif row["framework"] == "torchtune":
            made.append(_torchtune(row))
    return made


def config_of(row: dict[str, Any]) -> dict[str, Any]:
    """Give a row's model the type that its own config.json has."""
    known = next(kind for prefix, kind in TYPES.items() if row["model"].startswith(prefix))
    # litgpt's Phi has torch's own GELU, one operation.
    own = {"hidden_act": "gelu"} if known == "phi" else {}
    return {"model_type": known, **row["model_config"], **own}


def _targets(row: dict[str, Any]) -> tuple[str, ...]:
    if row["model"].startswith("stablelm-alpha"):
        return ("query_key_value",)  # one matrix in transformers' class; litgpt adapts two thirds of it
    names: list[str] = []
    for target in row.get("target_modules") or ["all-linear"]:
        short = NAMES.get(target, target)
        names += ["gate_proj", "up_proj", "down_proj"] if short == "mlp" else [short]
    return tuple(name for name in names if name != "lm_head")


def _made(row: dict[str, Any], source: str, setup: TrainingSetup, stack: Stack, **figures: Any) -> Measured:
    return Measured(
        **{
            "id": row["id"],
            "source": source,
            "model": row["model"],
            "method": row["method"],
            "config": config_of(row),
            "setup": setup,
            "stack": stack,
            "peft_config": row.get("peft_config"),
            "allocated": None,
            "reserved": None,
            "card": None,
            "ran_out": row.get("oom", False),
            "gpu_bytes": GPU_MEMORY.get(row["gpu"]),
            **figures,
        }
    )


def _fms(row: dict[str, Any]) -> Measured:
    method = row["method"].lower()
    loss = row["loss_impl"]
    quantized = method == "qlora"
    source = "fms-liger" if "liger" in loss else "fms-kernels" if row.get("foak") else "fms"
    setup = TrainingSetup(
        method=method,
        rank=row.get("r") or 16,
        targets=_targets(row),
        micro_batch=row["batch_size"],
        length=row["seq_len"],
        accumulation=1,
        adapter_dtype="fp32" if method == "lora" else "bf16",
        autocast="autocast" in row["dtype"],
        quantization="nf4-double" if quantized else "none",
        dropout=row.get("lora_dropout") or 0.0,
        loss="fused" if "liger" in loss else "full",
        attention="flash",
        padding=False,
    )
    stack = Stack(
        foreach_optimizer=True,
        logits_shifted="4.48" in row["framework"],
        in_place_loss="fast CE" in loss,
        fp32_norms=bool(row.get("fp32_norms")),
        reentrant_checkpointing=True,
        evaluates=False,
    )
    return _made(row, source, setup, stack, allocated=row.get("measured_bytes"), card=row.get("nvidia_smi_bytes"))


def _peft(row: dict[str, Any]) -> Measured:
    given = row.get("peft_config") or {}
    method = {"LORA": "dora" if given.get("use_dora") else "lora", "FULL": "full"}.get(
        row["method"], row["method"].lower()
    )
    variant = any(word in row["experiment"] for word in ("lorafa", "mica", "bdlora"))
    named = given.get("target_modules")
    setup = TrainingSetup(
        method=f"{method}-variant" if variant else method,
        rank=given.get("r") or 8,
        targets=tuple(named) if isinstance(named, list) else ("attention",),
        length=PEFT_LENGTH,
        accumulation=1,
        checkpointing=False,
        adapter_dtype="bf16" if method == "full" else "fp32",
        autocast=False,
        dropout=given.get("lora_dropout") or 0.0,
        loss="full",
    )
    stack = Stack(own_loop=True, foreach_optimizer=True)
    return _made(row, "peft", setup, stack, reserved=row["measured_bytes"])


def _litgpt(row: dict[str, Any]) -> Measured:
    quantized = row["method"] == "QLORA"
    setup = TrainingSetup(
        method=row["method"].lower(),
        rank=row.get("r") or 16,
        targets=_targets(row) if row["method"] != "FULL" else ("all-linear",),
        micro_batch=row["batch_size"],
        length=row["seq_len"],
        checkpointing=False,
        adapter_dtype="bf16",
        autocast=False,
        quantization=("nf4-double" if "dq" in row["quant"] else "nf4") if quantized else "none",
        dropout=row.get("lora_dropout") or 0.0,
        loss="chunked",
        attention="flash",
        padding=False,
    )
    stack = Stack(foreach_optimizer=True, keeps_packed_inputs=True, evaluates=False)
    return _made(row, "litgpt", setup, stack, allocated=row["measured_bytes"])


def _torchtune(row: dict[str, Any]) -> Measured:
    setup = TrainingSetup(
        method="full",
        micro_batch=row["batch_size"],
        length=row["seq_len"],
        accumulation=1,
        checkpointing=row["gc"],
        autocast=False,
        loss="full",
        attention="flash",
        padding=False,
    )
    return _made(row, "torchtune", setup, Stack(evaluates=False), allocated=row["measured_bytes"])

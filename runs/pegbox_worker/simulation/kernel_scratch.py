"""What CUDA kernels take and give back out of sight of the dispatcher."""

from __future__ import annotations

from typing import Any

from pegbox_worker.simulation.quantized import dequantized_bytes


def scratch_bytes(operation: str, arguments: tuple[Any, ...], _result: Any) -> int:
    """Bytes of an operation's own temporaries on a GPU; 0 for those that have none worth counting."""
    if operation == "bitsandbytes::gemm_4bit":
        rows, shape = arguments[0], arguments[2]
        return dequantized_bytes((shape[0], shape[1]), rows.element_size(), nested=len(arguments) > 7)
    return 0

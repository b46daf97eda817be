"""The simulator's answer to a request, whole or extended from a few layers."""

from __future__ import annotations

import sys
import time

from pegbox_hardware.forecast.simulated import SimulationRequest, SimulationResult
from pegbox_worker.simulation.allocator import replay
from pegbox_worker.simulation.backward_stretches import merged
from pegbox_worker.simulation.extrapolation import extended_run
from pegbox_worker.simulation.fake_model import config_of, method_of, quantization
from pegbox_worker.simulation.step import trace_run
from pegbox_worker.simulation.unsupported import CannotSimulate

LONGEST = 200
"""Characters of a library's message that are passed on."""


def simulate(request: SimulationRequest) -> SimulationResult:
    """Simulate a set-up.

    Raises: CannotSimulate: the model, the method or a library doesn't work on tensors without numbers.
    """
    begun = time.monotonic()
    if request.stack.keeps_packed_inputs:
        raise CannotSimulate("bitsandbytes before 0.43.3 isn't here to be simulated; the analytic forecast knows it.")
    _let_bitsandbytes_in(request)
    config = config_of(request)
    try:
        return _simulate(request, config, begun)
    except CannotSimulate:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise CannotSimulate(
            f"{config.model_type} with {method_of(request)} doesn't run on tensors without numbers "
            f"({type(error).__name__}: {lines[0][:LONGEST]}); the analytic forecast stands alone."
        ) from error


def _simulate(request: SimulationRequest, config: object, begun: float) -> SimulationResult:
    reserved, outside = None, 0
    if request.full_depth:
        traced = trace_run(request, config, in_order=True)
        phases, items, trainable = traced.phases, traced.items, traced.trainable_weights
        layers = config.get_text_config().num_hidden_layers  # type: ignore[attr-defined]
        outside = traced.trace.outside_bytes
        reserved = replay(traced.trace.events, request.stack.card_limit_bytes)
    else:
        extended = extended_run(request, config)
        phases, items, trainable = extended.phases, extended.items, extended.trainable_weights
        layers = extended.layers_traced
    phases = merged(phases, lambda size: size)
    items = merged(items, lambda held: sum(held.values()))
    peak = max(phases, key=lambda phase: phases[phase])
    return SimulationResult(
        allocated_bytes=phases[peak],
        reserved_bytes=reserved,
        card_bytes=None if reserved is None else reserved + outside + request.stack.context_bytes,
        peak_phase=peak,
        phases=phases,
        items=items[peak],
        trainable_weights=trainable,
        layers_traced=layers,
        seconds=time.monotonic() - begun,
    )


def _let_bitsandbytes_in(request: SimulationRequest) -> None:
    """A worker keeps it out while it isn't needed, since importing it takes a second."""
    wanted = quantization(request.setup) != "none" or request.setup.optimizer.endswith("8bit")
    if wanted and sys.modules.get("bitsandbytes", True) is None:
        del sys.modules["bitsandbytes"]

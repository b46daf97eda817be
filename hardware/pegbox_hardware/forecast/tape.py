"""Which tensors live at the same time in a piece of a forward and backward pass: sizes alone, no values.

A piece of a model is written down as the operations that torch runs for it. Each says what it allocates and what
autograd keeps for the backward pass; the tape adds up what is alive and remembers the most.
"""

from __future__ import annotations

from collections.abc import Sequence


class Tensor:
    """One storage on the device."""

    __slots__ = ("bytes", "gradient", "holders", "needs_gradient", "width")

    def __init__(self, size: float, width: int, needs_gradient: bool = False) -> None:
        self.bytes = size
        self.width = width
        """Bytes of one number."""
        self.needs_gradient = needs_gradient
        self.holders = 1
        """Variables and saved lists that keep it alive."""
        self.gradient: Tensor | None = None
        """Its gradient, while the backward pass holds one."""


class Operation:
    """What the backward pass must know of one operation."""

    __slots__ = ("inputs", "out", "passes", "saves", "scratch")

    def __init__(
        self, out: Tensor, inputs: Sequence[Tensor], saves: Sequence[Tensor], scratch: float, passes: bool
    ) -> None:
        self.out = out
        self.inputs = inputs
        self.saves = saves
        self.scratch = scratch
        self.passes = passes


class Tape:
    """Runs operations forward, then backward, and keeps the highest sum of live bytes."""

    __slots__ = ("live", "operations", "peak", "peak_when_saving")

    def __init__(self) -> None:
        self.live = 0.0
        self.peak = 0.0
        self.peak_when_saving = 0.0
        """The peak up to the last operation that saved something: where a recomputation stops early."""
        self.operations: list[Operation] = []

    def bring(self, size: float, width: int, *, needs_gradient: bool) -> Tensor:
        """Bring a tensor in from outside."""
        self._grow(size)
        return Tensor(size, width, needs_gradient)

    def run(
        self,
        inputs: Sequence[Tensor],
        size: float,
        width: int,
        *,
        saves: Sequence[Tensor] = (),
        scratch: float = 0.0,
        backward_scratch: float = 0.0,
        passes: bool = False,
        saves_output: bool = False,
        trains: bool = False,
    ) -> Tensor:
        """Run one operation.

        `size` and `width`: of its output. `saves`: what its backward needs, and with `saves_output` its output too.
        `scratch`: bytes it needs while it runs.
        `passes`: its backward hands the gradient on as it is. `trains`: it has a trained weight, so that its output
        needs a gradient whatever its inputs.
        """
        self.live += size
        if self.live + scratch > self.peak:
            self.peak = self.live + scratch
        out = Tensor(size, width, trains or any(tensor.needs_gradient for tensor in inputs))
        if saves_output:
            saves = (*saves, out)
        if out.needs_gradient:
            for tensor in saves:
                tensor.holders += 1
            self.operations.append(Operation(out, inputs, saves, backward_scratch, passes))
            if saves:
                self.peak_when_saving = self.peak
        else:
            self._free_unheld(saves)
        return out

    def _free_unheld(self, tensors: Sequence[Tensor]) -> None:
        """Free what was kept for a backward pass that won't come."""
        for tensor in tensors:
            if tensor.holders == 0:
                self.live -= tensor.bytes

    def keep(self, size: float) -> Tensor:
        """Allocate what an operation saves beside its inputs and output; the saved list becomes its only holder."""
        self._grow(size)
        kept = Tensor(size, 1)
        kept.holders = 0
        return kept

    def drop(self, *tensors: Tensor) -> None:
        """Let variables go; a storage is freed with its last holder."""
        for tensor in tensors:
            tensor.holders -= 1
            if tensor.holders == 0:
                self.live -= tensor.bytes

    def backward(self, out: Tensor, gradient_bytes: float) -> None:
        """Run the operations backward from one output, whose gradient comes from outside."""
        self._grow(gradient_bytes)
        out.gradient = Tensor(gradient_bytes, out.width)
        for operation in reversed(self.operations):
            if operation.out.gradient is not None:
                self._one_backward(operation, operation.out.gradient)
            self.drop(*operation.saves)
        self.operations.clear()

    def _one_backward(self, operation: Operation, gradient: Tensor) -> None:
        for tensor in operation.inputs:
            if not tensor.needs_gradient:
                continue
            if operation.passes and tensor.width == gradient.width:
                gradient.holders += 1
                arrived = gradient
            else:
                arrived = Tensor(tensor.bytes, tensor.width)
                self.live += tensor.bytes
            if tensor.gradient is None:
                tensor.gradient = arrived
            else:  # two gradients are added into a third storage
                self._grow(tensor.bytes)
                self.drop(arrived, tensor.gradient)
                tensor.gradient = Tensor(tensor.bytes, tensor.width)
        if self.live + operation.scratch > self.peak:
            self.peak = self.live + operation.scratch
        self.drop(gradient)
        operation.out.gradient = None

    def _grow(self, size: float) -> None:
        self.live += size
        if self.live > self.peak:
            self.peak = self.live

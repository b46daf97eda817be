"""A process that helps with a survey: orders in by standard input, answers out by standard output, until that ends."""

from __future__ import annotations

import gc
import os
import signal
import sys

import msgspec

from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.survey.framing import receive, send
from pegbox_runs.rows.survey.orders import Answer, Failed, Order, Plan
from pegbox_runs.rows.survey.part import carry_out


def main() -> None:
    """Carry out orders until there are no more."""
    gc.disable()  # rows make no cycles, and looking for some takes a tenth of the time
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this ends it, and says why
    orders = sys.stdin.buffer
    # Whatever a library prints must not get among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    first = receive(orders)
    if first is None:
        return
    plan = msgspec.msgpack.decode(first, type=Plan)
    decode = msgspec.msgpack.Decoder(Order).decode
    encode = msgspec.msgpack.Encoder().encode
    while (message := receive(orders)) is not None:
        try:
            send(answers, encode(_answer(decode(message), plan)))
        except BrokenPipeError:
            return


def _answer(order: Order, plan: Plan) -> Answer:
    try:
        return carry_out(order, plan)
    except Refusal as refusal:
        return Failed(refusal.sentence)
    except MemoryError:
        return Failed("the memory doesn't suffice to read the rows.")


if __name__ == "__main__":
    main()

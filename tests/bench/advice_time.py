"""How long an advice takes with the model's facts at hand and all methods installed, on several cards and goals.

Goal: at most 50 ms each.
"""

from __future__ import annotations

import statistics
import time

from pegbox_methods.registry import all_cards
from tests.methods.advice_situations import ask, model_3b, model_8b, model_13b, rows

LIMIT_MS = 50.0
ROUNDS = 15
SITUATIONS = (("GTX 1650", model_8b()), ("RTX 3060", model_8b()), ("RTX 4090", model_13b()), ("A100 80GB", model_8b()))


def main() -> None:
    zoo = all_cards()[0]
    ask("T4", model_3b(), rows(), zoo)  # whatever is loaded once
    worst = 0.0
    for card, model in SITUATIONS:
        for priority in ("balanced", "quality", "speed"):
            spent = []
            for _ in range(ROUNDS):
                begin = time.perf_counter()
                ask(card, model, rows(), zoo, priority=priority)
                spent.append(1e3 * (time.perf_counter() - begin))
            median = statistics.median(spent)
            worst = max(worst, median)
            size = f"{model.weights / 1e9:.0f} B"
            print(f"{card:10} {size:>5} {priority:9} median {median:5.1f} ms, highest {max(spent):5.1f} ms")
    share = f"{worst / LIMIT_MS:.2f} of it"
    print(f"advice {worst:.1f} ms (slowest median of {ROUNDS}, {len(zoo)} methods), limit {LIMIT_MS:.0f} ms: {share}")


if __name__ == "__main__":
    main()

"""Never comes back from its import."""

from __future__ import annotations

import time

while True:
    time.sleep(1)

"""Jobs as bad as jobs can be, run in real workers by test_jobs.py. Each takes what msgspec gives it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import msgspec

from pegbox_methods.refusal import Refusal


def double(request: bytes) -> dict[str, Any]:
    return {"number": 2 * msgspec.json.decode(request)["number"], "blocked": sys.modules["bitsandbytes"] is None}


def shown(_request: bytes) -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def crash(_request: bytes) -> None:
    print("the last words", flush=True)
    os.abort()


def hang(request: bytes) -> None:
    child = subprocess.Popen(["sleep", "600"])
    with open(msgspec.json.decode(request), "w") as file:  # noqa: PTH123
        file.write(f"{os.getpid()} {child.pid}")
    time.sleep(600)


def refuse(_request: bytes) -> None:
    raise Refusal("this model is made of cheese.")


def stumble(_request: bytes) -> None:
    raise ValueError("a bad value")


def leave(_request: bytes) -> None:
    sys.exit(3)

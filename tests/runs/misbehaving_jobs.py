"""Jobs as bad as jobs can be, run in real workers by test_jobs.py. Each takes what msgspec gives it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import msgspec

from pegbox_methods.events import Answered, Progress
from pegbox_methods.refusal import Refusal


def double(request: bytes, _contact: object) -> dict[str, Any]:
    return {"number": 2 * msgspec.json.decode(request)["number"], "blocked": sys.modules["bitsandbytes"] is None}


def shown(_request: bytes, _contact: object) -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def crash(_request: bytes, _contact: object) -> None:
    print("the last words", flush=True)
    os.abort()


def hang(request: bytes, _contact: object) -> None:
    child = subprocess.Popen(["sleep", "600"])
    with open(msgspec.json.decode(request), "w") as file:  # noqa: PTH123
        file.write(f"{os.getpid()} {child.pid}")
    time.sleep(600)


def refuse(_request: bytes, _contact: object) -> None:
    raise Refusal("this model is made of cheese.")


def stumble(_request: bytes, _contact: object) -> None:
    raise ValueError("a bad value")


def echo(_request: bytes, contact: Any) -> None:
    while True:
        word = msgspec.json.decode(contact.heard.get())
        if word == "end":
            raise Refusal("the end was asked for.")
        contact.tell(Progress(doing=str(os.getpid()) if word == "pid" else word))


def opened(_request: bytes, contact: Any) -> None:
    contact.tell(Answered(job="open", answer=msgspec.Raw(b"1")))
    contact.heard.get()
    crash(b"", contact)


def much(_request: bytes, _contact: object) -> str:
    return "x" * 10_000


def leave(_request: bytes, _contact: object) -> None:
    sys.exit(3)

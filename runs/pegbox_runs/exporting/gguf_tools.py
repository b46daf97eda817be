"""llama.cpp's own programs, where the user has them: for number formats and models that Pegbox doesn't write itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pegbox_methods.refusal import Refusal
from pegbox_runs.jobs import JobFailed
from pegbox_runs.printable import one_line, printable
from pegbox_runs.secrets import SECRET_NAME

QUANTIZE, CONVERT = "llama-quantize", "convert_hf_to_gguf.py"
BUILT = ("", "build/bin", "bin")
"""Where its build puts programs. Source: llama.cpp, docs/build.md."""
WRITES = ("f32", "f16", "bf16", "q8_0")
"""What its script writes by itself."""
TOLD = 20
"""Last lines of what a program said."""


def quantizer(llama_cpp: str | None) -> Path | None:
    """Find llama-quantize: in the folder of llama.cpp that was named, else on the PATH. None: it isn't there."""
    if llama_cpp is not None:
        root = Path(llama_cpp).expanduser()
        for place in BUILT:
            found = root / place / QUANTIZE
            if found.is_file() and os.access(found, os.X_OK):
                return found
    there = shutil.which(QUANTIZE)
    return None if there is None else Path(there)


def converter(llama_cpp: str | None) -> Path | None:
    """Find llama.cpp's script in the folder that was named.

    Raises: Refusal: there is no such folder, or no such script in it.
    """
    if llama_cpp is None:
        return None
    script = Path(llama_cpp).expanduser() / CONVERT
    if not script.is_file():
        raise Refusal(
            f"--llama-cpp {printable(llama_cpp)}: there is no {CONVERT} in it. Name a checkout of llama.cpp: "
            "git clone https://github.com/ggml-org/llama.cpp"
        )
    return script


def quantize(program: Path, source: Path, target: Path, quant: str) -> None:
    """Have a GGUF file in float16 made smaller. Raises: JobFailed."""
    _run([str(program), str(source), str(target), quant.upper()], target)


def convert(script: Path, model: Path, target: Path, quant: str) -> None:
    """Have a model's folder made into a GGUF file by llama.cpp's script, with this Python. Raises: JobFailed."""
    _run([sys.executable, str(script), str(model), "--outfile", str(target), "--outtype", quant], target)


def _run(command: Sequence[str], target: Path) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=_environment()
    )
    if done.returncode or not target.is_file():
        tail = "\n".join(printable(line) for line in (done.stdout + done.stderr).splitlines()[-TOLD:])
        last = one_line(next((line for line in reversed(tail.splitlines()) if line.strip()), "it said nothing"), 200)
        name = Path(command[1] if command[0] == sys.executable else command[0]).name
        raise JobFailed(f"{name} failed with exit code {done.returncode}: {last}", log_tail=tail, told=True)


def _environment() -> Mapping[str, str]:
    """Give a program what it needs, and no token of the user's."""
    return {name: value for name, value in os.environ.items() if not SECRET_NAME.search(name)}

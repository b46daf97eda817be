"""What merging map by map takes of memory: the bound of issue and the measured peak, from one run each.

Goal: at most 1.2 times the 16-bit weights of one file plus the adapter, above what the worker holds with its libraries
loaded. The whole resident set is measured (VmHWM of /proc/self/status, begun anew before the merge), pages of mapped
files too: the base's files aren't mapped.

SmolLM2-135M is one file; the made-up model is a Llama of 1.1 B random weights in bfloat16, in files of 400 MB.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.smollm2 import smollm2

MIB = 2**20

MAKE = """
import sys, torch
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM
import shutil
place, small = Path(sys.argv[1]), Path(sys.argv[2])
torch.manual_seed(0)
torch.set_default_dtype(torch.bfloat16)
config = LlamaConfig(vocab_size=49152, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22,
    num_attention_heads=32, num_key_value_heads=4, max_position_embeddings=2048, tie_word_embeddings=False)
LlamaForCausalLM(config).save_pretrained(place, max_shard_size="400MB")
for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(small / name, place / name)
"""

MEASURE = """
import sys; sys.modules["bitsandbytes"] = None
import gc, tempfile, time
from pathlib import Path
import torch
from peft import PeftModel
from pegbox_runs.artefacts.making import making
from pegbox_runs.artefacts.weight_files import stored_tensors
from pegbox_worker.memory import forget_most_resident, most_resident, memory
from pegbox_worker.merge.sources import adapter_file_bytes, source_for, ByMaps
from tests.worker.made_run import made_run
from pegbox_runs.tuned import tuned_run
model, method, place = sys.argv[1:]
if model:
    run = made_run(method, model=model)
    print(run.folder.path)
else:
    run = tuned_run(place)
    stored = stored_tensors(run.model.folder / file for file in run.model.weight_files)
    warm = tuned_run(place)
    from transformers import AutoConfig, AutoModelForCausalLM
    AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", hidden_size=8, intermediate_size=8,
        num_hidden_layers=1, num_attention_heads=1, vocab_size=8))
    gc.collect()
    before = memory(torch.device("cpu")).process_now
    forget_most_resident()
    begin = time.monotonic()
    source = source_for(run, stored, None if method == "auto" else method)
    assert isinstance(source, ByMaps)
    with tempfile.TemporaryDirectory() as scratch, making(Path(scratch, "merged"), "order") as begun:
        source.write(begun, lambda *_: None)
        seconds = time.monotonic() - begin
    peak = most_resident() - before
    files = {}
    for one in stored.values():
        files[one.file] = files.get(one.file, 0) + 2 * one.count
    print(peak, source.memory_bytes, max(files.values()), adapter_file_bytes(run), len(files), seconds)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        small = smollm2()
        big = Path(scratch, "made-up-1b")
        _python(MAKE, str(big), str(small))
        for name, model in (("SmolLM2-135M", small), ("made-up 1.1 B", big)):
            os.environ["PEGBOX_HOME"] = str(Path(scratch, "home"))
            run = _python(MEASURE, str(model), "lora", "").split()[-1]
            told = _python(MEASURE, "", "BF16", run).split()
            peak, said, file, adapter, files = (int(figure) for figure in told[:5])
            bound = 1.2 * (file + adapter)
            print(
                f"{name:14} {files} files, largest {file / MIB:.0f} MiB in 16 bits, adapter {adapter / MIB:.0f} MiB: "
                f"peak {peak / MIB:.0f} MiB, said {said / MIB:.0f} MiB, goal {bound / MIB:.0f} MiB: "
                f"{peak / bound:.2f} of it, in {float(told[5]):.1f} s"
            )
        shutil.rmtree(big)


def _python(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, env={**os.environ}
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout


if __name__ == "__main__":
    main()

"""How what was published is loaded, as code that can be copied."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.reporting.markdown_text import block, words
from pegbox_runs.sharing.base import Base
from pegbox_runs.sharing.parcel import TEMPLATE, Parcel

_ADAPTER = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained({base!r}{revision})
model = PeftModel.from_pretrained(base, {repo!r})
tokenizer = AutoTokenizer.from_pretrained({base!r}{revision})
"""
_WHOLE = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained({repo!r})
tokenizer = AutoTokenizer.from_pretrained({repo!r})
"""
_TEMPLATE = """\

from pathlib import Path
from huggingface_hub import hf_hub_download

tokenizer.chat_template = Path(hf_hub_download({repo!r}, "chat_template.jinja")).read_text()
"""
_ASKING = """\

messages = [{"role": "user", "content": "..."}]
tokens = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
print(tokenizer.decode(model.generate(**tokens, max_new_tokens=200)[0]))
"""


def how_to_load(repo: str, parcel: Parcel, base: Base) -> Iterator[str]:
    """Write it for what the parcel holds."""
    names = [item.name for item in parcel.items]
    if parcel.target in {"gguf", "ollama"}:
        files = [name for name in names if name.endswith(".gguf")]
        told = "\n".join(f"hf download {repo} {name} --local-dir ." for name in files)
        ran = f"llama-cli -m {files[0]}" if files else ""
        if parcel.target == "ollama":
            told, ran = f"hf download {repo} --local-dir model", "cd model && ollama create my-model -f Modelfile"
        yield from block(f"{told}\n{ran}", "sh")
        return
    if parcel.target == "mlx":
        yield from block(f'mlx_lm.generate --model {repo} --prompt "..."', "sh")
        return
    if parcel.target in {"adapter", "lora"}:
        at = f", revision={base.revision!r}" if base.revision else ""
        if base.hub_id is None:
            yield words(f"The base isn't known to be on the Hub: put the path of {base.name} in place of its name.")
            yield ""
        told = _ADAPTER.format(base=base.hub_id or base.name, repo=repo, revision=at)
        told += _TEMPLATE.format(repo=repo) if TEMPLATE in names else ""
    else:
        told = _WHOLE.format(repo=repo)
    yield from block(told + _ASKING, "python")
    if parcel.target in {"adapter", "lora"} and TEMPLATE in names:
        yield ""
        yield "The chat template is one of its own: with the base's, questions would be rendered in another way."

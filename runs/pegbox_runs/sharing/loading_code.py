"""How what was published is loaded, as code that can be copied."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.reporting.markdown_text import block, words
from pegbox_runs.sharing.base import Base
from pegbox_runs.sharing.parcel import TEMPLATE, Parcel

_ADAPTER = """\
{imports}{config}
base = AutoModelForCausalLM.from_pretrained({base!r}{revision}{packed})
model = PeftModel.from_pretrained(base, {repo!r})
tokenizer = AutoTokenizer.from_pretrained({base!r}{revision})
"""
_IMPORTS = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
"""
_IMPORTS_PACKED = """\
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
"""
_PACKED = """
packed = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.{computed_in},
)"""
_HELD_IN_4_BITS = (
    "The training held the base in 4 bits (NF4, doubly quantized), and so does this. On the base in another format, "
    "the adapter makes a model that is close to the one that was trained and measured, but not the same."
)
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


def how_to_load(repo: str, parcel: Parcel, base: Base, *, packed_for: str | None) -> Iterator[str]:
    """Write it for what the parcel holds.

    `packed_for`: the number format that a 4-bit base was computed in; None: it wasn't in 4 bits.
    """
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
        if packed_for is not None:
            yield _HELD_IN_4_BITS
            yield ""
        told = _adapter(base.hub_id or base.name, repo, at, packed_for)
        told += _TEMPLATE.format(repo=repo) if TEMPLATE in names else ""
    else:
        told = _WHOLE.format(repo=repo)
    yield from block(told + _ASKING, "python")
    if parcel.target in {"adapter", "lora"} and TEMPLATE in names:
        yield ""
        yield "The chat template is one of its own: with the base's, questions would be rendered in another way."


def _adapter(base: str, repo: str, revision: str, packed_for: str | None) -> str:
    if packed_for is None:
        return _ADAPTER.format(imports=_IMPORTS, config="", packed="", base=base, repo=repo, revision=revision)
    config, packed = _PACKED.format(computed_in=packed_for), ", quantization_config=packed"
    return _ADAPTER.format(
        imports=_IMPORTS_PACKED, config=config, packed=packed, base=base, repo=repo, revision=revision
    )

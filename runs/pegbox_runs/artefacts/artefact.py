"""pegbox-artefact.json: what an exported folder is, which run made it, and what shows that it is the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import msgspec

from pegbox_methods.events import UNDECODABLE
from pegbox_runs.whole_file import write_whole

ARTEFACT = "pegbox-artefact.json"

Target = Literal["adapter", "merged", "lora", "gguf", "ollama", "vllm", "mlx", "trl-script"]
TARGETS: tuple[Target, ...] = get_args(Target)
NumberFormatName = Literal["float32", "bfloat16", "float16"]


SAME_KL = 1e-6
"""Mean KL in nats per token up to which two float32 computations of one model may differ."""
NOT_FINITE = 1e30
"""Stands for what is no finite number: JSON has no word for that."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A model was held against the one it was made of, on real prompts."""

    of: str
    """What was held: `merged`, `lora`, `gguf q8_0`..."""
    against: str
    """Against what: `base + adapter`, `merged`..."""
    computed_in: str
    """Number format of both computations: `float32`..."""
    prompts: int
    positions: int
    """Positions whose distributions over the next token were compared, over all prompts and answers."""
    largest_difference: float
    """Of two logits."""
    mean_kl: float
    """Of the next token's distributions, in nats, over the positions: KL(against || of)."""
    largest_kl: float
    same_answers: int
    """Prompts whose greedy answers agree in every token."""
    same_first: float
    """Share of the positions at which both find the same token likeliest."""
    answer_tokens: int
    """The longest answer that was compared, in tokens."""
    bound_kl: float
    """The mean KL that isn't exceeded if this is the same model; what rounding costs is in it."""
    same_prompts: bool | None = None
    """Whether both render the same prompts from the same conversations; None: both render with one tokenizer."""
    effect_kl: float | None = None
    """What the adapter itself changes: mean KL(base + adapter || base) at the same positions; None: not looked at."""
    rounding_kl: float | None = None
    """What rounding the float32 merge to the output's number format costs, measured in memory; None: not rounded."""
    weights_apart: float | None = None
    """How far the files' weights are from the method's own merge, rounded as they are, as a share of what the adapter
    changes in a matrix; of the matrix that is farthest. 0: they are the same to the last bit; None: not compared."""
    passed: bool
    why: str = ""
    """What failed, in a sentence."""


class QualityCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversion that isn't exact costs, on held-out rows: nats per labelled token."""

    rows: int
    loss_before: float
    loss_after: float
    loss_base: float | None = None
    """Of the base alone, on the same rows; None: it wasn't taken."""
    low: float
    """The difference's range at 95 %, rows drawn anew."""
    high: float


class MadeFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an artefact."""

    bytes: int
    sha256: str


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """The whole record; it is written last, so a folder that has it is whole."""

    form: int = 1
    target: Target
    order: str
    """What was asked for, as a hash of all that decides it: run, adapter, base, target and its options."""
    run: str
    method: str
    base: str
    """The base model, as other tools can load it."""
    base_sha256: str | None
    """Of blocks of its weights."""
    adapter_sha256: str
    number_format: str | None
    """Of the weights in it: `bfloat16`, `q8_0`...; None: the adapter's own."""
    files: dict[str, MadeFile]
    """By path relative to the folder, this record left out."""
    proofs: tuple[Proof, ...] = ()
    cost: QualityCost | None = None
    unproven: str = ""
    """Why it isn't shown to be the same model, in a sentence; empty: it is, or nothing in it could differ."""
    remarks: tuple[str, ...] = ()
    """What must be known, or done, to use it."""
    libraries: dict[str, str | None]
    seconds: float

    @property
    def proven(self) -> bool:
        """Whether nothing speaks against its being the same model."""
        return not self.unproven and all(proof.passed for proof in self.proofs)

    def answers(self, *, proof_wanted: bool) -> bool:
        """Tell whether it is what was asked for: proven; or, where no proof was wanted, not found to be another model.

        What has only the passed proof of the merged model that it was made of wasn't looked at itself.
        """
        made_of = self.target != "merged" and all(one.of == "merged" and one.passed for one in self.proofs)
        return self.proven or (not proof_wanted and (not self.proofs or made_of))


def write_artefact(artefact: Artefact, folder: Path) -> None:
    """Write the record into the folder of what it describes. Raises: OSError."""
    write_whole(folder / ARTEFACT, msgspec.json.format(msgspec.json.encode(artefact), indent=2) + b"\n")


def read_artefact(folder: Path) -> Artefact | None:
    """Read a folder's record; None: it has none, or none that is whole."""
    try:
        return msgspec.json.decode((folder / ARTEFACT).read_bytes(), type=Artefact)
    except (OSError, *UNDECODABLE):
        return None

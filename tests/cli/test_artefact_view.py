"""How an artefact looks on a terminal of 80 columns."""

from __future__ import annotations

import io
from pathlib import Path

from msgspec import structs
from rich.console import Console

from pegbox.artefact_view import show_artefact
from pegbox_runs.artefacts.artefact import Artefact, MadeFile
from tests.runs.exporting.left_behind import PROOF as LORA_PROOF

PROOF = structs.replace(LORA_PROOF, of="merged", prompts=32, same_answers=32, answer_tokens=32)
MADE = Artefact(
    target="merged",
    order="o",
    run="20260101-000000-lora-abcd",
    method="lora",
    base="org/model",
    base_sha256=None,
    adapter_sha256="a",
    number_format="float32",
    files={"model.safetensors": MadeFile(bytes=2**30, sha256="s")},
    proofs=(PROOF,),
    libraries={},
    seconds=3.0,
)


def shown(made: Artefact) -> str:
    stream = io.StringIO()
    show_artefact(made, Path("/somewhere/merged"), console=Console(file=stream, width=80, highlight=False))
    return stream.getvalue()


def test_a_proven_merge_says_so_first_and_where_it_lies() -> None:
    text = shown(MADE)
    assert text.splitlines()[1].startswith("proven: the same model as base + adapter, on 32 real prompts")
    assert "/somewhere/merged" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_failed_proof_is_loud_and_says_why() -> None:
    failed = structs.replace(PROOF, passed=False, why="merged: answers 3 prompts in other words.")
    text = " ".join(shown(structs.replace(MADE, proofs=(failed,))).split())
    assert "NOT THE SAME MODEL: merged: answers 3 prompts in other words. Nothing was deleted; don't serve it." in text


def test_a_rounded_merge_is_not_called_the_same_model_but_what_it_is() -> None:
    rounded = structs.replace(PROOF, rounding_kl=1e-4, same_answers=28)
    text = " ".join(shown(structs.replace(MADE, proofs=(rounded,), number_format="bfloat16")).split())
    assert "rounded to bfloat16 and no more; that changes 4 of 32 greedy answers" in text


def test_what_came_from_outside_does_not_act_on_the_terminal() -> None:
    assert "\x1b" not in shown(structs.replace(MADE, base="evil\x1b[2J", remarks=("\x1b]0;x\x07",)))


def test_of_several_proofs_the_verdict_tells_the_one_of_the_files_that_are_there() -> None:
    first = structs.replace(PROOF, rounding_kl=1e-4, same_answers=32)
    last = structs.replace(PROOF, of="gguf q8_0", against="merged", same_answers=30, weights_apart=0.0)
    made = structs.replace(MADE, target="gguf", number_format="q8_0", proofs=(first, last))
    text = " ".join(shown(made).split())
    assert "the merged model, rounded to q8_0 and no more; that changes 2 of 32 greedy answers" in text
    assert "the same to the last bit, against the merged model's, rounded" in text
    by_others = structs.replace(made, proofs=(first, structs.replace(last, weights_apart=None)))
    assert "rounded to q8_0; that changes 2 of 32 greedy answers" in " ".join(shown(by_others).split())
    strange = structs.replace(made, proofs=(structs.replace(last, weights_apart=1e30),))
    assert "apart where none may be" in shown(strange)

"""MoRA's layer against its paper's equations, written out the long way; and the certificate."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import Attached
from torch import Tensor, nn

from pegbox_mora.card import CARD, side
from pegbox_mora.half_torch import MoraHalf
from pegbox_mora.square import BASE, SquareBeside

SIZES = [(12, 20, 4), (20, 12, 4), (7, 13, 6), (30, 6, 4), (8, 8, 8)]
"""(d_out, d_in, side): segments that fill the input and that don't, outputs narrower and wider than they are."""


def layer(d_out: int, d_in: int, size: int, compression: str) -> SquareBeside:
    torch.manual_seed(0)
    made = SquareBeside(nn.Linear(d_in, d_out), size, compression)
    made.square.data.normal_()
    return made


def by_the_paper(made: SquareBeside, x: Tensor) -> Tensor:
    """Equations 6 and 9, one number after the other. Returns: what the square adds, (d_out,)."""
    square, size = made.square.detach(), len(made.square)
    segments = [torch.zeros(size) for _ in range(math.ceil(len(x) / size))]
    for place, value in enumerate(x):
        segments[place // size][place % size] = value
    if made.compression == "sharing":
        answer = square @ sum(segments, torch.zeros(size))
    else:
        turned = []
        for number, segment in enumerate(segments):
            rotation = torch.zeros(size, size)
            for pair in range(size // 2):
                angle = torch.tensor(number * BASE ** (-2 * pair / size))
                block = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
                rotation[2 * pair : 2 * pair + 2, 2 * pair : 2 * pair + 2] = block
            turned.append(square @ rotation @ segment)
        answer = torch.cat(turned)
    return torch.stack([answer[place % len(answer)] for place in range(made.linear.out_features)])


@pytest.mark.parametrize("compression", ["rotation", "sharing"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_layer_computes_what_the_paper_says(sizes: tuple[int, int, int], compression: str) -> None:
    made = layer(*sizes, compression)
    x = torch.randn(sizes[1])
    torch.testing.assert_close(made(x) - made.linear(x), by_the_paper(made, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("compression", ["rotation", "sharing"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_merged_it_is_one_linear_map_that_gives_the_same(sizes: tuple[int, int, int], compression: str) -> None:
    made = layer(*sizes, compression)
    x = torch.randn(2, 3, sizes[1])
    before = made(x)
    torch.testing.assert_close(made.merged()(x), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("compression", "rank"), [("sharing", 16), ("rotation", 64)])
def test_the_change_has_a_higher_rank_than_that_of_lora_with_as_many_weights(compression: str, rank: int) -> None:
    size = side(64, 64, 2)
    change = layer(64, 64, size, compression).update(torch.eye(64)).T
    assert size**2 == (64 + 64) * 2
    assert torch.linalg.matrix_rank(change) == rank


@pytest.mark.parametrize(("sizes", "expected"), [((4096, 4096, 8), 256), ((192, 512, 8), 74), ((192, 192, 500), 192)])
def test_the_side_is_the_papers_but_even_and_never_past_full_rank(sizes: tuple[int, int, int], expected: int) -> None:
    assert side(*sizes) == expected


def test_a_saved_adapter_comes_back_and_one_of_another_model_is_refused(tmp_path: Path) -> None:
    model = nn.Sequential(layer(12, 20, 4, "sharing"), nn.ReLU())
    half = MoraHalf()
    half.save(Attached(model=model), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mora.json", "mora.safetensors"]
    plain = nn.Sequential(model[0].linear, nn.ReLU())
    x = torch.randn(5, 20)
    torch.testing.assert_close(half.load(plain, tmp_path)(x), model(x))
    with pytest.raises(Exception, match="made for another model"):
        half.load(nn.Sequential(nn.ReLU()), tmp_path)


def test_it_comes_in_by_its_entry_point() -> None:
    assert find_card("mora") is CARD


def test_it_is_certified() -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "pegbox", "certify", "mora"], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr

"""Whether the weights of a model are, bit for bit, what they were: a checksum taken where they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

WORD_BYTES = 8
CHUNK_WORDS = 2**21
"""Words mixed at once on a device: 16 MiB, and as much again twice for what is made of them on the way."""
_ODD = (-7046029254386353131, -4658895280553007687, -7723592293110705685)
"""Three odd numbers of 64 bits, as signed ones. Source: splitmix64's constants (Steele, Lea, Flood 2014)."""


def checksum(model: nn.Module) -> bytes:
    """Sum up names, shapes, layouts, number formats and bytes of all weights and buffers, packed ones too.

    No weights are copied from a device to the host.
    """
    whole = hashlib.blake2b(digest_size=16)
    names, tensors = zip(*_tensors_of(model), strict=True)
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:  # hashing lets other threads go on
        contents = list((threads.map if _on_host(tensors[0]) else map)(_content, tensors))
    for name, tensor, content in zip(names, tensors, contents, strict=True):
        told = (name, tuple(tensor.shape), tensor.stride(), str(tensor.dtype), str(tensor.device))
        whole.update(repr(told).encode())
        whole.update(content)
    return whole.digest()


def word_sum(flat: Tensor, chunk_words: int = CHUNK_WORDS) -> int:
    """Sum up the bytes of a flat tensor of uint8 on its own device: each word of 8 is mixed with its place first.

    A change of one word always changes the sum; changes of several cancel out once in 2^64 times.
    """
    whole = len(flat) // WORD_BYTES * WORD_BYTES
    words, rest = flat[:whole], flat[whole:]
    if words.data_ptr() % WORD_BYTES or words.storage_offset() % WORD_BYTES:
        words = words.clone()
    words = words.view(torch.int64)
    total = _mixed(rest.to(torch.int64), len(words))
    for first in range(0, len(words), chunk_words):
        total = total + _mixed(words[first : first + chunk_words], first)
    return int(total)


def _mixed(words: Tensor, first: int) -> Tensor:
    """Give the sum, modulo 2^64, of words that each were mixed with their place; a bijection for each place."""
    one, two, three = _ODD
    mixed = torch.arange(first + 1, first + 1 + len(words), device=words.device).mul_(one)
    mixed.bitwise_xor_(words).mul_(two)
    mixed.bitwise_xor_((mixed >> 32).bitwise_and_(2**32 - 1)).mul_(three)  # a shift that brings in zeros, not signs
    return mixed.bitwise_xor_((mixed >> 29).bitwise_and_(2**35 - 1)).sum()


def _content(tensor: Tensor) -> bytes:
    flat = tensor.detach().as_subclass(Tensor).contiguous().reshape(-1).view(torch.uint8)
    if _on_host(flat):
        return hashlib.blake2b(flat.numpy(), digest_size=16).digest()
    return word_sum(flat).to_bytes(WORD_BYTES, "little", signed=True)


def _on_host(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


def _tensors_of(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, weight in model.named_parameters():
        yield name, weight
        yield from _packing_of(name, getattr(weight, "quant_state", None))
    for name, buffer in model.named_buffers():
        yield f"{name} (buffer)", buffer


def _packing_of(name: str, packing: Any) -> Iterator[tuple[str, Tensor]]:
    """Give the tensors by which bitsandbytes unpacks a weight, those of the second packing too."""
    for key, value in sorted(vars(packing).items()) if packing is not None else ():
        if isinstance(value, Tensor):
            yield f"{name}.{key}", value
        elif key == "state2":
            yield from _packing_of(f"{name}.{key}", value)

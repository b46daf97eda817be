"""CUDA_VISIBLE_DEVICES as CUDA reads it: which devices a process gets, in which order."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pegbox_hardware.encodable import encodable
from pegbox_hardware.gpu import Gpu, Trouble


def visible(gpus: Sequence[Gpu], chosen: str | None) -> tuple[tuple[Gpu, ...], tuple[Trouble, ...]]:
    """Keep the devices that the variable names, in its order; None: it isn't set, and all are kept.

    Entries are numbers of cards, or beginnings of UUIDs. The first that names no device, or several, ends the list; one
    named twice empties it. A number of a card cut into slices means its first slice.

    Source: https://docs.nvidia.com/cuda/cuda-programming-guide, environment variables; torch.cuda's own reading of it.
    """
    if chosen is None:
        return tuple(gpus), ()
    chosen = encodable(chosen)
    kept: list[Gpu] = []
    for entry in chosen.split(","):
        word = entry.strip()
        if not word or word.startswith("-"):
            break  # the usual ways of saying "none"
        found = _named(gpus, word)
        if found is None:
            return tuple(kept), (_unknown(gpus, chosen, word),)
        if found in kept:
            return (), (_twice(chosen, word),)
        kept.append(found)
    return tuple(kept), _renumbered(gpus, chosen) if kept else _hidden(gpus, chosen)


def _named(gpus: Sequence[Gpu], word: str) -> Gpu | None:
    if word.isdecimal():
        return next((gpu for gpu in gpus if int(word) == (gpu.index if gpu.slice_of is None else gpu.slice_of)), None)
    matching = _beginning(gpus, word)
    return matching[0] if len(matching) == 1 else None


def _beginning(gpus: Sequence[Gpu], word: str) -> list[Gpu]:
    return [gpu for gpu in gpus if word.startswith(("GPU-", "MIG-")) and gpu.uuid.startswith(word)]


def _unknown(gpus: Sequence[Gpu], chosen: str, word: str) -> Trouble:
    there = ", ".join(dict.fromkeys(str(gpu.index if gpu.slice_of is None else gpu.slice_of) for gpu in gpus))
    ambiguous = len(_beginning(gpus, word)) > 1
    return Trouble(
        about="cuda-visible-devices",
        sentence=f'CUDA_VISIBLE_DEVICES={chosen}: "{word}" names {"several devices" if ambiguous else "no device"}, '
        f"and CUDA ends the list there. The cards here: {there or 'none'}.",
        command="unset CUDA_VISIBLE_DEVICES",
    )


def _hidden(gpus: Sequence[Gpu], chosen: str) -> tuple[Trouble, ...]:
    if not gpus:
        return ()
    return (
        Trouble(
            about="cuda-visible-devices",
            sentence=f'CUDA_VISIBLE_DEVICES is "{chosen}", which hides every GPU of this machine.',
            command="unset CUDA_VISIBLE_DEVICES",
        ),
    )


def _twice(chosen: str, word: str) -> Trouble:
    return Trouble(
        about="cuda-visible-devices",
        sentence=f'CUDA_VISIBLE_DEVICES={chosen} names "{word}" twice; CUDA then shows no device at all.',
        command="unset CUDA_VISIBLE_DEVICES",
    )


def _renumbered(gpus: Sequence[Gpu], chosen: str) -> tuple[Trouble, ...]:
    """Warn that CUDA numbers unlike cards by speed, while the driver's tools number them by slot."""
    numbered = any(entry.strip().isdecimal() for entry in chosen.split(","))
    unlike = len({gpu.name for gpu in gpus if gpu.slice_of is None}) > 1
    if not numbered or not unlike or os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID":
        return ()
    return (
        Trouble(
            about="cuda-device-order",
            sentence=f"CUDA_VISIBLE_DEVICES={chosen} counts unlike cards, and CUDA counts the fastest first, not as "
            "nvidia-smi does: it may mean another card than the one listed here.",
            command="export CUDA_DEVICE_ORDER=PCI_BUS_ID",
        ),
    )

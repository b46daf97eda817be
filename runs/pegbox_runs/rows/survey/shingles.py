"""Texts as sets of three words in a row, and the short keys by which alike ones find each other.

Two texts are near duplicates if they share 80 % of all their shingles (Jaccard similarity). MinHash makes 60 numbers
of a text, each of which is equal in two texts with a probability of their similarity; 12 bands of 5 of them become
keys. A pair of similarity s has a key in common with a probability of 1 - (1 - s^5)^12: 99.2 % for 0.8, 99.99 % for
0.9, and 32 % for 0.5, which is why the pairs that are found so are compared in full.
Source: Broder 1997, doi:10.1109/SEQUEN.1997.666900; banding: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets,
section 3.4; the threshold: Lee et al. 2022, arXiv:2107.06499, section 4.2, who take 5 words of much longer texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

SIMILARITY = 0.8
BANDS = 12
NUMBERS_IN_BAND = 5
WORDS = 3
"""Fewer than usual: a changed word spoils as many shingles, and short rows have few."""
SEED = 42
MOST_LETTERS = 100_000
"""What stands behind isn't looked at, so that one huge row can't take all memory."""
LETTERS_OF_A_WORD = 20
"""Texts whose words are longer on average, such as Chinese ones, are taken letter by letter."""

_FACTORS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def chance_of_finding(similarity: float) -> float:
    """Give the probability that two texts of a similarity share a key."""
    return float(1 - (1 - similarity**NUMBERS_IN_BAND) ** BANDS)


def band_keys(texts: Sequence[str]) -> NDArray[np.uint32]:
    """Give the keys of texts. Shape: (bands, texts)."""
    if not texts:
        return np.zeros((BANDS, 0), dtype=np.uint32)
    shingles, begins = shingled(texts)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(shingles, begins, BANDS * NUMBERS_IN_BAND, SEED)
    numbers = np.array(matrix.to_rows(), dtype=np.uint64).reshape(len(texts), BANDS, NUMBERS_IN_BAND)
    keys = numbers[:, :, 0].copy()
    for column in range(1, NUMBERS_IN_BAND):
        keys = _mixed(keys * _FACTORS[0] + numbers[:, :, column])
    return np.ascontiguousarray((keys >> np.uint64(32)).astype(np.uint32).T)


def shingled(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Hash the shingles of texts, repeated ones too.

    Returns: (all hashes, where each text's begin, and the end).
    """
    words = [_words(text) for text in texts]
    hashes = np.array(RMinHash.hash_token_sets([[word for some in words for word in some]])[0], dtype=np.uint64)
    counts = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    ends = np.cumsum(counts)
    joined = hashes[: len(hashes) - WORDS + 1] * _FACTORS[0]
    for place in range(1, WORDS):
        joined += hashes[place : len(hashes) - WORDS + 1 + place] * _FACTORS[place]
    whole = np.ones(len(joined), dtype=bool)
    for place in range(1, WORDS):
        whole[ends[:-1] - place] = False  # these begin in one text and end in the next
    begins = np.concatenate([[0], np.cumsum(counts - WORDS + 1)]).astype(np.uint64)
    return _mixed(joined[whole]), begins


def _words(text: str) -> list[str]:
    text = text[:MOST_LETTERS].lower()
    words = text.split()
    if len(text) > LETTERS_OF_A_WORD * max(1, len(words)):
        words = list("".join(words))
    return words if len(words) >= WORDS else [*words, "", "", ""][:WORDS]


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread what differs over all bits. Source: SplitMix64's finalizer, doi:10.1145/2714064.2660195."""
    words = (words ^ (words >> np.uint64(30))) * _FACTORS[1]
    words = (words ^ (words >> np.uint64(27))) * _FACTORS[2]
    return words ^ (words >> np.uint64(31))

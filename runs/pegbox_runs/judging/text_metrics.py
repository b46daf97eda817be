"""How near an answer comes to the one that the row gives: three measures, each from 0 to 1.

Texts are compared as people read them: in compatibility form (NFKC), case folded, in any script. Chinese, Japanese,
Thai and their like put no spaces between words, so there each character counts as one.
Source of both: Lewis et al. 2020, MLQA, arXiv:1910.07475, whose evaluation parts such texts by characters too.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable

from rapidfuzz.distance import LCSseq

from pegbox_methods.recipe import Metric

ARTICLES = frozenset({"a", "an", "the"})
UNSPACED = re.compile(
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese kana, and the marks that repeat a character
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "]"
)
"""Scripts whose words no spaces part."""


def exact_match(answer: str, expected: str) -> float:
    """Tell whether they say the same in the same words: 1 or 0.

    Case, punctuation, the English articles and runs of spaces don't count.
    Source: Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1.
    """
    said, wanted = _words(answer), _words(expected)
    return float(said == wanted) if said or wanted else _bare_match(answer, expected)


def token_f1(answer: str, expected: str) -> float:
    """Give the harmonic mean of precision and recall of the answer's words, whatever their order.

    The same things don't count as for an exact match.
    Source: Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1.
    """
    said, wanted = _words(answer), _words(expected)
    if not said or not wanted:
        return exact_match(answer, expected)
    common = (Counter(said) & Counter(wanted)).total()
    return 2 * common / (len(said) + len(wanted))


def rouge_l(answer: str, expected: str) -> float:
    """Give ROUGE-L's F-measure: how long a sequence of words both share, in order, gaps allowed.

    Precision and recall weigh the same. Words are letters, marks and digits; articles count, punctuation parts words.
    Source: Lin 2004, aclanthology.org/W04-1013, section 3.1, at beta = 1.
    """
    said, wanted = _parted(_folded(answer), " "), _parted(_folded(expected), " ")
    if not said or not wanted:
        return float(said == wanted) if said or wanted else _bare_match(answer, expected)
    return 2 * LCSseq.similarity(said, wanted) / (len(said) + len(wanted))


MEASURES: dict[Metric, Callable[[str, str], float]] = {
    "exact-match": exact_match,
    "token-f1": token_f1,
    "rouge-l": rouge_l,
}
"""By the names that recipes know them by: (answer, what the row says) -> 0 to 1."""


def _folded(text: str) -> str:
    """Fold case in compatibility form; folding may take a text out of that form again."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _words(text: str) -> list[str]:
    """Give the words that SQuAD's evaluation counts: punctuation is dropped, so `U.S.` is `us`."""
    return [word for word in _parted(_folded(text), "") if word not in ARTICLES]


def _parted(text: str, in_place: str) -> list[str]:
    """Part a text into words. `in_place` stands where punctuation was; where it parts words, symbols do too."""
    kept = "".join(in_place if _dropped(letter, symbols=bool(in_place)) else letter for letter in text)
    return UNSPACED.sub(lambda found: f" {found[0]} ", kept).split()


def _dropped(letter: str, *, symbols: bool) -> bool:
    if letter in string.punctuation:
        return True
    kind = unicodedata.category(letter)[0]
    return kind == "P" or (symbols and kind == "S")


def _bare_match(answer: str, expected: str) -> float:
    """Compare texts without any word: `!` isn't `?`."""
    return float(_folded(answer).split() == _folded(expected).split())

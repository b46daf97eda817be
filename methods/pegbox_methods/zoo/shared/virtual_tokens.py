"""What the cards of the methods that put virtual tokens before a row share."""

from __future__ import annotations

from pegbox_methods.setting import Setting

PREFIX_PAPER = "Li & Liang 2021, arXiv:2101.00190"
PROMPT_PAPER = "Lester et al. 2021, arXiv:2104.08691"

VIRTUAL_TOKENS = Setting(
    name="virtual_tokens",
    kind="whole",
    default=50,
    minimum=1,
    maximum=4096,
    unit="tokens",
    help="Learned positions before every row. Each makes every row longer by one, in training and in use.",
)
START = Setting(
    name="start",
    kind="choice",
    default="rows",
    choices=("rows", "vocabulary"),
    help="What the virtual tokens are before the first step: the end of some training rows, which reads like an "
    "example, or tokens drawn from the vocabulary.",
)
ROWS_SOURCE = (
    "measured with SmolLM2-135M: held-out loss 2.93 without, 2.11 with 50 tokens of training rows before each row and "
    "not yet trained"
)
"""Mean of five choices of rows, 2.01 to 2.33; 20 tokens: 2.65; tokens of the vocabulary: 2.92 to 3.01."""

CANNOT_START = "what stands before a row changes what is said after it, from the first step on"
CANNOT_MERGE = "it adds positions to the input, which no weights of the base model could hold"

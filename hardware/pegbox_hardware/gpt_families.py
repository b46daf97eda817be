"""Families with LayerNorm, plain MLPs and, mostly, one matrix for queries, keys and values."""

from __future__ import annotations

from pegbox_hardware.model_fields import Common, Fields, attention_maps, composite_gelu, gated_mlp_maps, rotary_share
from pegbox_hardware.shape import Block, ModelShape


def stablelm(fields: Fields, kind: str) -> ModelShape:
    """Read StableLM: Llama's maps under LayerNorm."""
    common = Common(fields)
    inner = fields.size("intermediate_size")
    hidden = common.hidden
    parallel = fields.flag("use_parallel_residual", False)
    small = (1 if parallel else 2) * 2 * hidden
    if fields.flag("use_qkv_bias", False):
        small += common.q + 2 * common.kv
    if fields.flag("qk_layernorm", False):
        small += common.q + common.kv
    return common.shape(
        fields,
        kind,
        blocks=(
            Block(
                count=common.layers,
                matrices=attention_maps(common) | gated_mlp_maps(hidden, inner),
                inner=inner,
                small_weights=small,
            ),
        ),
        norm="layer",
        norms=1 if parallel else 2,
        parallel=parallel,
        qk_norm=fields.flag("qk_layernorm", False),
        rotary=rotary_share(fields, 0.25),
        small_weights=2 * hidden,
    )


def phi(fields: Fields, kind: str) -> ModelShape:
    """Read Phi 1 and 2."""
    common = Common(fields)
    inner = fields.size_or(4 * common.hidden, "four times hidden_size", "intermediate_size")
    hidden = common.hidden
    attention = {("dense" if name == "o_proj" else name): size for name, size in attention_maps(common).items()}
    small = 2 * hidden + common.q + 2 * common.kv + hidden + inner + hidden
    return common.shape(
        fields,
        kind,
        blocks=(
            Block(
                count=common.layers,
                matrices={**attention, "fc1": (inner, hidden), "fc2": (hidden, inner)},
                inner=inner,
                small_weights=small,
            ),
        ),
        norm="layer",
        norms=1,
        parallel=True,
        gated=False,
        rotary=rotary_share(fields, 0.5),
        composite_gelu=composite_gelu(fields, "gelu_new"),
        residual_dropout=fields.number("resid_pdrop", 0.0) > 0,
        small_weights=2 * hidden + common.vocabulary,
    )


def gpt_neox(fields: Fields, kind: str) -> ModelShape:
    """Read GPT-NeoX and Pythia."""
    fields.values["num_key_value_heads"] = None  # it has no grouped heads, and its configs no such field
    common = Common(fields)
    inner = fields.size_or(4 * common.hidden, "four times hidden_size", "intermediate_size")
    hidden = common.hidden
    matrices = {
        "query_key_value": (3 * hidden, hidden),
        "dense": (hidden, hidden),
        "dense_h_to_4h": (inner, hidden),
        "dense_4h_to_h": (hidden, inner),
    }
    small = 4 * hidden + inner + hidden + (4 * hidden if fields.flag("attention_bias", True) else 0)
    return common.shape(
        fields,
        kind,
        blocks=(Block(count=common.layers, matrices=matrices, inner=inner, small_weights=small),),
        norm="layer",
        parallel=fields.flag("use_parallel_residual", True),
        gated=False,
        fused_qkv=True,
        rotary=rotary_share(fields, 0.25, "rotary_pct"),
        composite_gelu=composite_gelu(fields, "gelu"),
        residual_dropout=fields.number("hidden_dropout", 0.0) > 0,
        small_weights=2 * hidden,
    )


def falcon(fields: Fields, kind: str) -> ModelShape:
    """Read Falcon, old and new."""
    new = fields.flag("new_decoder_architecture", False)
    if not new:
        multi = fields.flag("multi_query", True)
        fields.values["num_kv_heads"] = 1 if multi else fields.values.get("num_attention_heads")
    common = Common(fields)
    hidden = common.hidden
    inner = fields.size_or(4 * hidden, "", "ffn_hidden_size")
    matrices = {
        "query_key_value": (common.q + 2 * common.kv, hidden),
        "dense": (hidden, common.q),
        "dense_h_to_4h": (inner, hidden),
        "dense_4h_to_h": (hidden, inner),
    }
    parallel = new or fields.flag("parallel_attn", True)
    norms = 2 if not parallel or (new and fields.values.get("num_ln_in_parallel_attn") != 1) else 1
    small = norms * 2 * hidden + (sum(o for o, _ in matrices.values()) if fields.flag("bias", False) else 0)
    return common.shape(
        fields,
        kind,
        blocks=(Block(count=common.layers, matrices=matrices, inner=inner, small_weights=small),),
        norm="layer",
        norms=norms,
        parallel=parallel,
        gated=False,
        fused_qkv=True,
        rotary=0.0 if fields.flag("alibi", False) else 1.0,
        residual_dropout=fields.number("hidden_dropout", 0.0) > 0,
        quantizable=False,  # its linear maps are a class of their own, which transformers leaves alone
        tied_head=fields.flag("tie_word_embeddings", True),
        small_weights=2 * hidden,
    )


def gpt2(fields: Fields, kind: str) -> ModelShape:
    """Read GPT-2, whose maps are stored transposed, and its forerunner, which ends without a norm.

    The forerunner is read with a doubt: its attention is eager alone, and it knows no checkpointing.
    """
    first = kind == "openai-gpt"
    fields.values["num_key_value_heads"] = None
    common = Common(fields)
    hidden = common.hidden
    inner = 4 * hidden if first else fields.size_or(4 * hidden, "", "n_inner")
    matrices = {
        "c_attn": (3 * hidden, hidden),
        "attn.c_proj": (hidden, hidden),
        "c_fc": (inner, hidden),
        "mlp.c_proj": (hidden, inner),
    }
    small = 4 * hidden + sum(o for o, _ in matrices.values())
    default = 512 if first else 1024
    positions = fields.size_or(default, "the class's default", "n_positions", "max_position_embeddings")
    return common.shape(
        fields,
        kind,
        blocks=(Block(count=common.layers, matrices=matrices, inner=inner, small_weights=small),),
        norm="layer",
        gated=False,
        fused_qkv=True,
        rotary=0.0,
        tied_head=fields.flag("tie_word_embeddings", True),
        composite_gelu=first or composite_gelu(fields, "gelu_new"),
        residual_dropout=fields.number("resid_pdrop", 0.1) > 0,
        transposed=True,
        known=not first,
        positions=positions,
        small_weights=(0 if first else 2 * hidden) + positions * hidden,
    )

"""Families with mixtures of experts."""

from __future__ import annotations

from pegbox_hardware.model_fields import BadConfig, Common, Fields, Matrices, attention_maps, gated_mlp_maps
from pegbox_hardware.shape import Block, Experts, ModelShape

EXPERT_WIDTHS = ("moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size")


def mixture(fields: Fields, kind: str) -> ModelShape:
    """Mixtral and Qwen3's mixtures of experts."""
    common = Common(fields)
    hidden = common.hidden
    qwen = kind == "qwen3_moe"
    experts = Experts(
        count=fields.size("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"),
        active=fields.size("num_experts_per_tok", "moe_top_k", "moe_topk"),
        inner=fields.size("intermediate_size") if kind == "mixtral" else fields.size(*EXPERT_WIDTHS),
    )
    if experts.active > experts.count:
        raise BadConfig(f"config.json: num_experts_per_tok = {experts.active} is more than the {experts.count} experts")
    small = 2 * hidden + (2 * common.head if qwen else 0)
    sparse = Block(
        count=common.layers,
        matrices=attention_maps(common),
        inner=0,
        small_weights=small + experts.count * hidden,
        experts=experts,
    )
    return common.shape(fields, kind, blocks=(sparse,), qk_norm=qwen)


def deepseek(fields: Fields, kind: str) -> ModelShape:
    """DeepSeek V2 and V3: latent attention, and experts in all but the first layers."""
    fields.values["head_dim"] = None  # transformers writes the rotated part there
    common = Common(fields)
    hidden, heads = common.hidden, common.heads
    rank, plain, rotated = (
        fields.size("kv_lora_rank"),
        fields.size("qk_nope_head_dim"),
        fields.size("qk_rope_head_dim"),
    )
    value = fields.size("v_head_dim")
    head = plain + rotated
    query_rank = fields.values.get("q_lora_rank")
    small = 2 * hidden + rank
    if query_rank:
        queries: Matrices = {"q_a_proj": (query_rank, hidden), "q_b_proj": (heads * head, query_rank)}
        small += query_rank
    else:
        queries = {"q_proj": (heads * head, hidden)}
    attention = {
        **queries,
        "kv_a_proj_with_mqa": (rank + rotated, hidden),
        "kv_b_proj": (heads * (plain + value), rank),
        "o_proj": (hidden, heads * value),
    }
    inner = fields.size("intermediate_size")
    expert = fields.size("moe_intermediate_size")
    shared = expert * fields.size_or(1, "as in DeepSeek V3", "n_shared_experts")
    experts = Experts(
        count=fields.size("n_routed_experts"),
        active=fields.size_or(8, "as in DeepSeek V3", "num_experts_per_tok"),
        inner=expert,
    )
    first = fields.values.get("first_k_dense_replace")
    dense_layers = min(first if isinstance(first, int) and first >= 0 else 0, common.layers)
    dense = Block(
        count=dense_layers, matrices=attention | gated_mlp_maps(hidden, inner), inner=inner, small_weights=small
    )
    sparse = Block(
        count=common.layers - dense_layers,
        matrices=attention | gated_mlp_maps(hidden, shared, "shared_experts."),
        inner=shared,
        small_weights=small + experts.count * hidden,
        experts=experts,
    )
    return common.shape(
        fields,
        kind,
        blocks=tuple(block for block in (dense, sparse) if block.count),
        kv_heads=heads,
        head=head,
        value_head=value,
        latent=True,
        rotary=rotated / head,
    )

"""How a plain TRL script computes the loss where a run on a CPU computed it in 16 bits: rounded in the same places."""

from __future__ import annotations

from pegbox_runs.exporting.trl_lines import ScriptFacts

CHUNK_ROWS = 512
"""Positions scored at once, as the run did: `pegbox_worker.labelled_loss`, which nothing without torch can import."""


def own_loss(facts: ScriptFacts) -> bool:
    """Tell whether TRL's own loss would round otherwise; in float32 nobody sees that."""
    return facts.prepared.loss_path == "labelled-positions" and facts.prepared.precision != "float32"


def head_loss(facts: ScriptFacts) -> str:
    """Write the loss of a head that doesn't learn; nothing more than a comment where it learns."""
    if _head_learns(facts):
        return "# The loss is computed from the labelled positions alone, in 16 bits, as the run did."
    return f'''
class HeadLoss(torch.autograd.Function):
    """Cross-entropies of the labelled positions, added up; rounded to 16 bits where the run rounded."""

    @staticmethod
    def forward(ctx, hidden, head, targets):
        total, gradient = hidden.new_zeros((), dtype=torch.float32), torch.empty_like(hidden)
        for at in range(0, len(targets), {CHUNK_ROWS}):
            part = slice(at, at + {CHUNK_ROWS})
            scores, target = (hidden[part] @ head.t()).float(), targets[part, None]
            whole = torch.logsumexp(scores, -1, keepdim=True)
            total += (whole - scores.gather(1, target)).sum()
            chances = (scores - whole).exp()
            chances.scatter_add_(1, target, torch.full_like(target, -1, dtype=chances.dtype))
            gradient[part] = chances.to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx, outer):
        (gradient,) = ctx.saved_tensors
        return gradient * outer.to(gradient.dtype), None, None
'''


def trainers_loss(facts: ScriptFacts) -> str:
    """Write the trainer's method that takes it."""
    dtype = f"torch.{facts.prepared.precision}"
    causal = "model" if facts.parts.peft_class is None else "model.get_base_model()"
    if _head_learns(facts):
        loss = [
            "            scores = (hidden[kept].to(dtype) @ head.to(dtype).t()).float()",
            '            total = torch.nn.functional.cross_entropy(scores, targets[kept], reduction="sum")',
        ]
    else:
        loss = ["            total = HeadLoss.apply(hidden[kept].to(dtype), head.to(dtype), targets[kept])"]
    lines = [
        "    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):",
        f'        causal, dtype, targets = {causal}, {dtype}, inputs["labels"][:, 1:]',
        "        head, kept = causal.get_output_embeddings().weight, targets != -100",
        '        read = {key: value for key, value in inputs.items() if key != "labels"}',
        "        with self.accelerator.autocast():",
        "            hidden = causal.base_model(**read, use_cache=False).last_hidden_state[:, :-1]",
        *loss,
        "        return total / num_items_in_batch",
    ]
    return "\n" + "\n".join(lines) + "\n"


def _head_learns(facts: ScriptFacts) -> bool:
    """Tell whether the head itself learns: with every weight."""
    return facts.parts.peft_class is None

"""A command for each machine, for whoever starts them by hand."""

from __future__ import annotations

import shlex

from pegbox_runs.scripts.asked import Asked


def commands(asked: Asked, host: str, port: int) -> str:
    """Write them, a comment before each. `host`, `port`: where node 0 listens."""
    where = shlex.join(["--rendezvous", f"{host}:{port}"])
    lines = [f"# {asked.nodes} machines, {asked.per_node} of {asked.recipe.devices.processes} processes on each."]
    for node in range(asked.nodes):
        lines.append(f"# on node {node}{f': {host}, which keeps the run' if node == 0 else ''}")
        lines.append(f"pegbox {asked.train(str(asked.file))} --nodes {asked.nodes} --node-rank {node} {where}")
    return "\n".join(lines) + "\n"

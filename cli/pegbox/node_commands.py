"""One run over several machines, as the command line starts it, and what is printed for other launchers."""

from __future__ import annotations

import argparse
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pegbox.answer import answer_json, say
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.crew.gpus import launch_here
from pegbox_runs.crew.launching import Launch
from pegbox_runs.crew.node import Part, take_part
from pegbox_runs.crew.nodes.place import MOST_NODES, Nodes, address_of, listen, parse_rendezvous
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.scripts.asked import PORT, Asked
from pegbox_runs.scripts.commands import commands
from pegbox_runs.scripts.sky import sky
from pegbox_runs.scripts.slurm import slurm

TOGETHER = (
    "--nodes N, --node-rank K and --rendezvous HOST:PORT go together: how many machines, which one this is (0 keeps "
    "the run), and where node 0 is reached. `pegbox train RECIPE --nodes N --print commands` prints them for each."
)


def nodes_of(asked: argparse.Namespace) -> tuple[Nodes, int]:
    """Take the machines of a run from a command. Returns: them, and this one's number.

    Raises: Refusal: something is missing, or can't be; nothing was started.
    """
    if None in (asked.nodes, asked.node_rank, asked.rendezvous):
        raise Refusal(TOGETHER)
    if not 2 <= asked.nodes <= MOST_NODES:
        raise Refusal(f"--nodes {asked.nodes}: expected 2 to {MOST_NODES}; one machine needs none of this.")
    if not 0 <= asked.node_rank < asked.nodes:
        raise Refusal(f"--node-rank {asked.node_rank}: expected 0 to {asked.nodes - 1}, a number of its own on each.")
    if len(asked.recipe) > 1:
        raise Refusal("--nodes takes one recipe: the machines come together for one run.")
    host, port = parse_rendezvous(asked.rendezvous)
    address_of(host)
    nodes = Nodes(nodes=asked.nodes, host=host, port=port, recipe=asked.recipe[0])
    if asked.node_rank == 0:
        listen(host, port).close()  # told here, before there is a run
    elif asked.detach:  # --go-on does no harm: a script gives all machines the same command
        raise Refusal(
            "--detach is for node 0, which keeps the run: this machine takes part as long as its command runs."
        )
    return nodes, asked.node_rank


def take_part_here(asked: argparse.Namespace, given: tuple[Recipe, str], nodes: Nodes, node: int) -> int:
    """Take part in node 0's run until that is over. Returns: the exit code.

    Raises: Refusal: what the recipe names isn't here, or node 0 doesn't answer, or doesn't want this machine.
    """
    recipe, file = given
    checked = check(recipe, file=file, nodes=nodes.nodes)

    def launch(folder: RunFolder, attempt: int) -> Launch:
        made = launch_here(folder.path, attempt, checked.recipe.devices, nodes=nodes.nodes, recipe=checked.recipe)
        return msgspec.structs.replace(made, node_rank=node)

    def tell(text: str) -> None:
        if asked.json:
            answer_json({"node": node, "host": socket.gethostname(), "says": text})
        say(text[:1].upper() + text[1:], json=asked.json)

    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _end)
    return 0 if take_part(Part(nodes, node, checked.recipe, launch), tell) else 1


def _end(number: int, _: object) -> None:
    """Leave as Ctrl-C does: node 0 is told, and nothing is left behind. Raises: KeyboardInterrupt."""
    raise KeyboardInterrupt(signal.Signals(number).name)


def print_script(asked: argparse.Namespace, recipes: Sequence[tuple[Recipe, str]]) -> int:
    """Print what another launcher takes. Nothing is looked at but the recipe: model and rows may lie elsewhere."""
    if len(recipes) > 1:
        raise Refusal("--print takes one recipe.")
    recipe, file = recipes[0]
    wanted = Asked(recipe, Path(file).absolute(), tuple(asked.set), asked.nodes or 1, asked.accelerator)
    if asked.script == "commands":
        host, port = parse_rendezvous(asked.rendezvous or f"{socket.gethostname()}:{PORT}")
        text = commands(wanted, host, port)
    else:
        text = slurm(wanted) if asked.script == "slurm" else sky(wanted)
    if asked.json:
        answer_json({"script": asked.script, "text": text})
    else:
        say(text.rstrip("\n"))
    return 0

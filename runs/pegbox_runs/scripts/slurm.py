"""A batch script for Slurm.

Source: sbatch(1), srun(1): --requeue, --open-mode, --signal, SLURM_NODEID; since 22.05 srun doesn't take
--cpus-per-task over from sbatch.
"""

from __future__ import annotations

import shlex
import sys

from pegbox_methods.home import home
from pegbox_runs.checkpoints import MANIFEST
from pegbox_runs.scripts.asked import NO_ACCELERATOR, Asked

_SCRIPT = """\
#!/bin/bash
# Made by `pegbox train --print slurm`. Submit it with `sbatch FILE`; what you give there (--partition, --account,
# --time ...) goes before what is said here. The recipe, the model, the rows and PEGBOX_HOME must be on a disk that all
# nodes see.
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
{resources}
#SBATCH --time=24:00:00
#SBATCH --output={name}-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@180
set -u
export PEGBOX_HOME={home}
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000))

# Three minutes before the time limit: save, wait in the queue again, and go on from there.
again() {{
  mine=$(grep -lxs "SLURM_JOB_ID=$SLURM_JOB_ID" "$PEGBOX_HOME"/runs/*/launch/job | tail -n 1)
  run=${{mine%/launch/job}}
  before=$(ls "$run"/checkpoints/*/{manifest} 2>/dev/null)
  if [ -n "$run" ] && {python} checkpoint "$(basename "$run")"; then
    for _ in $(seq 120); do  # it is written at the end of a step
      [ "$(ls "$run"/checkpoints/*/{manifest} 2>/dev/null)" != "$before" ] && break
      sleep 1
    done
  fi
  scontrol requeue "$SLURM_JOB_ID"
}}
trap again USR1

# One task a node; it starts a process for each of its GPUs. --go-on takes the run up that an earlier start began.
srun --ntasks-per-node=1 --cpus-per-task="${{SLURM_CPUS_PER_TASK:-1}}" --kill-on-bad-exit=1 \\
  bash -c {inner} pegbox "$head:$port" &
job=$!
wait "$job"
code=$?
while kill -0 "$job" 2>/dev/null; do  # a signal ended the waiting, not the job
  wait "$job"
  code=$?
done
exit "$code"
"""
_NODES = '--nodes "$SLURM_JOB_NUM_NODES" --node-rank "$SLURM_NODEID" --rendezvous "$1"'


def slurm(asked: Asked) -> str:
    """Write the script."""
    python = shlex.join([sys.executable, "-P", "-m", "pegbox"])
    several = f" {_NODES}" if asked.nodes > 1 else ""
    inner = f"exec {python} {asked.train(str(asked.file))} --go-on --plain{several}"
    return _SCRIPT.format(
        name=asked.name,
        python=python,
        manifest=MANIFEST,
        nodes=asked.nodes,
        resources=_resources(asked),
        home=shlex.quote(str(home().absolute())),
        inner=shlex.quote(inner),
    )


def _resources(asked: Asked) -> str:
    if asked.accelerator == NO_ACCELERATOR:
        return f"#SBATCH --cpus-per-task={asked.per_node}"
    kind = "" if asked.accelerator is None else f"{asked.accelerator}:"
    return f"#SBATCH --gpus-per-node={kind}{asked.per_node}\n#SBATCH --cpus-per-task={4 * asked.per_node}"

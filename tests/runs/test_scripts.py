"""What is printed for other launchers is read back as they would, with names that mean something to a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import recipe_from_table
from pegbox_methods.refusal import Refusal
from pegbox_runs.checkpoints import MANIFEST
from pegbox_runs.scripts.asked import Asked
from pegbox_runs.scripts.commands import commands
from pegbox_runs.scripts.sky import sky
from pegbox_runs.scripts.slurm import slurm

NASTY = "my $(touch pwned) 'recipe'.toml"


def recipe_of(rows: str = "owner/rows", **devices: Any) -> Recipe:
    table = {"model": {"name": "owner/model"}, "rows": {"file": rows}, "devices": {"processes": 4, **devices}}
    return recipe_from_table(table, file="a test", folder=Path("/"))


def asked_for(place: Path, recipe: Recipe | None = None, nodes: int = 2, accelerator: str | None = "H100") -> Asked:
    sets = ("output.note=a 'note' with $HOME", "devices.processes=4")
    return Asked(recipe or recipe_of(), place / NASTY, sets, nodes, accelerator)


def test_the_command_of_each_machine_is_read_back_as_it_was_meant(tmp_path: Path) -> None:
    lines = [line for line in commands(asked_for(tmp_path), "node0", 29500).splitlines() if not line.startswith("#")]
    assert [shlex.split(line)[-4:] for line in lines] == [
        ["--node-rank", str(node), "--rendezvous", "node0:29500"] for node in (0, 1)
    ]
    assert shlex.split(lines[0])[:6] == [
        *("pegbox", "train", str(tmp_path / NASTY)),
        *("--set", "output.note=a 'note' with $HOME", "--set"),
    ]


def test_the_slurm_script_starts_one_task_a_node_that_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(slurm(asked_for(tmp_path)))
    pretended = tmp_path / "bin"
    pretended.mkdir()
    for name, does in (("scontrol", 'printf "%s\\n" first second'), ("srun", 'printf "%s\\0" "$@" > "$OUT"')):
        (pretended / name).write_text(f"#!/bin/bash\n{does}\n")
        (pretended / name).chmod(0o755)
    out = tmp_path / "said"
    variables = {"SLURM_JOB_ID": "123457", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_CPUS_PER_TASK": "8", "OUT": str(out)}
    path = f"{pretended}:{os.environ['PATH']}"
    subprocess.run(["bash", str(script)], env={**os.environ, **variables, "PATH": path}, check=True, cwd=tmp_path)
    options = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH")]
    assert "#SBATCH --nodes=2" in options
    assert "#SBATCH --gpus-per-node=H100:2" in options
    words = out.read_text().split("\0")[:-1]
    assert words[:3] == ["--ntasks-per-node=1", "--cpus-per-task=8", "--kill-on-bad-exit=1"]
    assert words[-2:] == ["pegbox", "first:23457"]
    shell, flag, inner = words[3:6]
    assert (shell, flag) == ("bash", "-c")
    shown = subprocess.run(
        ["bash", "-c", inner.replace("exec ", "printf '%s\\0' ", 1), *words[-2:]],
        env={**os.environ, "SLURM_JOB_NUM_NODES": "2", "SLURM_NODEID": "1"},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    ).stdout.split("\0")
    assert shown[3:6] == ["pegbox", "train", str(tmp_path / NASTY)]
    assert shown[-7:-1] == ["--nodes", "2", "--node-rank", "1", "--rendezvous", "first:23457"]
    assert "--go-on" in shown
    assert not (tmp_path / "pwned").exists()


def test_a_slurm_script_lets_its_own_run_save_before_it_goes_back_into_the_queue(tmp_path: Path) -> None:
    runs = tmp_path / "home" / "runs"
    for name, job in (("mine", "7"), ("anothers", "77")):
        (runs / name / "launch").mkdir(parents=True)
        (runs / name / "launch" / "job").write_text(f"SLURM_JOB_ID={job}")
        (runs / name / "checkpoints" / "checkpoint-5").mkdir(parents=True)
    text = slurm(asked_for(tmp_path))
    again = text[text.index("again() {") : text.index("trap again")]
    python = shlex.join([sys.executable, "-P", "-m", "pegbox"])
    assert f"{python} checkpoint" in again
    pretended = f"""
        pegbox() {{ echo "$@"; touch "$PEGBOX_HOME/runs/$2/checkpoints/checkpoint-5/{MANIFEST}"; }}
        scontrol() {{ echo "$@"; }}
        {again.replace(python, "pegbox")}
        again
    """
    variables = {"SLURM_JOB_ID": "7", "PEGBOX_HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-uc", pretended], env=variables, capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.splitlines() == ["checkpoint mine", "requeue 7"]


def test_a_slurm_script_without_gpus_asks_for_none(tmp_path: Path) -> None:
    text = slurm(asked_for(tmp_path, nodes=1, accelerator="none"))
    assert "gpus" not in text
    assert "#SBATCH --cpus-per-task=4" in text
    assert "--rendezvous" not in text


def test_the_sky_task_takes_this_machines_files_along_and_keeps_runs_in_a_bucket(tmp_path: Path) -> None:
    rows = tmp_path / "the rows.jsonl"
    rows.write_text("{}\n")
    task = yaml.safe_load(sky(asked_for(tmp_path, recipe_of(str(rows)))))
    assert task["num_nodes"] == 2
    assert task["resources"] == {"accelerators": "H100:2", "use_spot": True}
    assert task["file_mounts"]["/pegbox-inputs/rows-file/the rows.jsonl"] == str(rows)
    assert task["file_mounts"]["/pegbox-home"]["mode"] == "MOUNT_CACHED"
    assert shlex.split(task["setup"])[:2] == ["pip", "install"]
    assert subprocess.run(["bash", "-n"], input=task["run"], text=True, check=False).returncode == 0
    words = shlex.split(task["run"].splitlines()[-1])
    assert words[:3] == ["pegbox", "train", f"/pegbox-inputs/{NASTY}"]
    assert "rows.file=/pegbox-inputs/rows-file/the rows.jsonl" in words
    assert words[-2:] == ["--rendezvous", "$head:29500"]


def test_a_sky_task_needs_a_cards_name(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="--accelerator NAME"):
        sky(asked_for(tmp_path, accelerator=None))


@pytest.mark.parametrize(("nodes", "accelerator"), [(3, "H100"), (2, "H100\n#SBATCH --x"), (2, "$(id)")])
def test_what_a_script_cant_be_made_of_is_refused(tmp_path: Path, nodes: int, accelerator: str) -> None:
    with pytest.raises(Refusal, match=r"devices\.processes|--accelerator"):
        asked_for(tmp_path, nodes=nodes, accelerator=accelerator)

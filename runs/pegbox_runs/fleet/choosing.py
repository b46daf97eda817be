"""From what `--on` says to a cluster; each kind's own library is imported only where that kind is named."""

from __future__ import annotations

from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_runs.fleet.apart import ApartCluster
from pegbox_runs.fleet.cluster import Cluster, Wanted
from pegbox_runs.printable import one_line

KINDS = ("ray", "slurm")


def kind_of(on: str) -> str:
    """Tell which kind of cluster is named: `ray`, `ray://HEAD:PORT`, `slurm`, `slurm:partition=gpu,time=04:00:00`.

    Raises: Refusal: no kind of that name is known.
    """
    kind = on.partition(":")[0]
    if kind not in KINDS:
        shown = one_line(on, 80)
        raise Refusal(
            f"--on {shown}: {did_you_mean(kind, KINDS)} Write ray (the cluster that this machine is part of), "
            "ray://HEAD:PORT, slurm, or slurm:partition=NAME,time=04:00:00."
        )
    return kind


def cluster_on(on: str, wanted: Wanted) -> Cluster:
    """Give the cluster that is named; it may be asked at once, or later.

    Raises: Refusal: it isn't known, its library isn't installed, its options can't be read, or nothing answers.
    """
    if kind_of(on) == "slurm":
        from pegbox_runs.fleet.slurm_cluster import SlurmCluster

        return SlurmCluster(on.partition(":")[2], wanted)
    from pegbox_runs.fleet.ray_cluster import RayCluster

    return RayCluster(on, wanted)


def cluster_apart(on: str, wanted: Wanted) -> Cluster:
    """Give the cluster that is named so that nothing in its library can end this process.

    Raises: Refusal: as `cluster_on`.
    """
    cluster = cluster_on(on, wanted)
    return ApartCluster(on, cluster) if kind_of(on) == "ray" else cluster

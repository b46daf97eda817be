"""Whether the kernel killed a process for memory, read from counters in a made-up file tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from pegbox_runs.supervision.oom_killer import kill_counts, killed_for_memory

EVENTS = "low 0\nhigh 0\nmax 12\noom 3\noom_kill {}\noom_group_kill 9\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
VMSTAT = "pgfault 77\noom_kill {}\nnuma_hit 3\n"
SECOND = "sys/fs/cgroup/user.slice/memory.events"
FIRST = "sys/fs/cgroup/memory/job/memory.oom_control"


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("groups", "path", "text"),
    [
        ("0::/user.slice\n", SECOND, EVENTS),
        ("0::/user.slice\n", SECOND + ".local", EVENTS),
        ("0::/\n", "sys/fs/cgroup/memory.events", EVENTS),
        ("5:devices:/\n4:cpu,memory:/job\n0::/\n", FIRST, CONTROL),
        ("4:memory:/a/b/of/the/host\n0::/\n", "sys/fs/cgroup/memory/memory.oom_control", CONTROL),
        ("4:pids:/\n0::/x\n", "sys/fs/cgroup/unified/x/memory.events", EVENTS),
        ("", "proc/vmstat", VMSTAT),
    ],
)
def test_each_kind_of_counter_is_found_and_its_rise_is_evidence(
    tmp_path: Path, groups: str, path: str, text: str
) -> None:
    write(tmp_path, "proc/7/cgroup", groups)
    write(tmp_path, path, text.format(2))
    before = kill_counts(7, tmp_path)
    assert killed_for_memory(before) == (False, "")
    write(tmp_path, path, text.format(3))
    assert killed_for_memory(before) == (True, f"oom_kill in {tmp_path / path} rose from 2 to 3")


def test_nothing_to_read_is_not_an_answer(tmp_path: Path) -> None:
    assert kill_counts(7, tmp_path) == ()
    assert killed_for_memory(()) == (None, "")
    write(tmp_path, "proc/7/cgroup", "0::/user.slice\n")
    write(tmp_path, SECOND, "low 0\n")  # older than Linux 4.13: it counts no kills
    assert kill_counts(7, tmp_path) == ()


def test_the_own_group_outweighs_the_machine(tmp_path: Path) -> None:
    write(tmp_path, "proc/7/cgroup", "0::/user.slice\n")
    write(tmp_path, SECOND, EVENTS.format(0))
    write(tmp_path, "proc/vmstat", VMSTAT.format(4))
    before = kill_counts(7, tmp_path)
    write(tmp_path, "proc/vmstat", VMSTAT.format(5))  # somebody in another container
    assert killed_for_memory(before) == (False, "")


def test_a_group_that_went_with_its_process_leaves_the_machines_counter(tmp_path: Path) -> None:
    write(tmp_path, "proc/7/cgroup", "0::/user.slice\n")
    write(tmp_path, SECOND, EVENTS.format(0))
    write(tmp_path, "proc/vmstat", VMSTAT.format(4))
    before = kill_counts(7, tmp_path)
    (tmp_path / SECOND).unlink()
    write(tmp_path, "proc/vmstat", VMSTAT.format(5))
    assert killed_for_memory(before)[0] is True


def test_a_group_outside_of_the_view_is_not_looked_for(tmp_path: Path) -> None:
    write(tmp_path, "proc/7/cgroup", "0::/../../other\n")
    write(tmp_path, "sys/other/memory.events", EVENTS.format(0))
    assert kill_counts(7, tmp_path) == ()


def test_this_machine_can_be_read() -> None:
    """Whatever it tells, it doesn't raise."""
    assert killed_for_memory(kill_counts(1))[0] in (None, False, True)

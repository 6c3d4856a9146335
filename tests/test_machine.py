"""As many processes as this one has processors, and not as many as the machine has."""

import os
import subprocess
import sys

import pytest
from support.runs import PROJECT

from mnist_rknn import machine


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups in a folder; 64 processors to run on."""
    monkeypatch.setattr(machine, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "MOUNT", tmp_path / "mount")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: range(64))

    def make(own: str, **files: str) -> int:
        (tmp_path / "cgroup").write_text(own)
        for name, content in files.items():
            path = tmp_path / "mount" / name.replace("__", "/").replace("_max", ".max")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return machine.cores()

    return make


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a/b\n", {"a__b__cpu_max": "200000 100000\n"}, 2),
        ("0::/a/b\n", {"a__b__cpu_max": "max 100000\n", "a__cpu_max": "350000 100000\n"}, 4),
        ("0::/\n", {"cpu_max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu_max": "max 100000\n"}, 64),
        ("0::/a\n", {}, 64),
        ("3:cpu:/a\n",
         {"cpu__a__cpu.cfs_quota_us": "300000", "cpu__a__cpu.cfs_period_us": "100000"}, 3),
        ("3:cpu,cpuacct:/\n0::/\n",
         {"cpu,cpuacct__cpu.cfs_quota_us": "-1", "cpu,cpuacct__cpu.cfs_period_us": "100000"}, 64),
        ("4:memory:/a\n", {"cpu_max": "100000 100000"}, 64),
        ("0::/\n", {"cpu_max": "what"}, 64),
        ("", {}, 64),
    ],
)  # fmt: skip
def test_quota_of_the_control_groups_is_kept(groups, own, files, expected):
    assert groups(own, **files) == expected


def test_processors_that_a_process_may_not_run_on_do_not_count():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from mnist_rknn import machine; print(machine.cores(), os.cpu_count())"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split()[0] == "1"


def test_no_number_of_processes_comes_from_the_whole_machine():
    sources = [*(PROJECT / "mnist_rknn").rglob("*.py"), *(PROJECT / "scripts").glob("*.py")]
    asking = [path.name for path in sources if "cpu_count()" in path.read_text(encoding="utf-8")]
    assert asking == ["machine.py"] and 1 <= machine.cores() <= (os.cpu_count() or 1)


def test_a_large_host_shows_its_cores_and_two_are_used():
    """os.cpu_count is what a container sees of its host; pools ask for the cores they may use."""
    allowed = sorted(os.sched_getaffinity(0))[:2]
    code = (
        f"import os; os.sched_setaffinity(0, {set(allowed)}); os.cpu_count = lambda: 128\n"
        "from mnist_rknn import machine\n"
        "from mnist_rknn.conversion import rknn_simulator as simulator\n"
        "from mnist_rknn import recipe_file\n"
        "made = simulator.Simulator(recipe_file.load('mnist'), None, None, None, workers=64)\n"
        "print(machine.cores(), made._pool._max_workers)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    cores, workers = map(int, result.stdout.split())
    assert cores <= len(allowed) and workers <= len(allowed)

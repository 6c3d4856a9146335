"""How much of the machine this process may use."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/proc/self/cgroup")  # of which control groups this process is
MOUNT = Path("/sys/fs/cgroup")


def cores() -> int:
    """Processors for this process, at least 1: those it may run on, within its quota of time.

    A container that shares 64 processors may have the time of two: `os.cpu_count` says 64.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min([allowed or 1, *_quotas()])))


def _quotas() -> Iterator[float]:
    """Processors' worth of time that this process's control groups and those above allow.

    From `cpu.max` (version 2) or `cpu.cfs_*` (version 1), see cgroups(7).
    """
    lines = GROUPS.read_text(encoding="utf-8").splitlines() if GROUPS.is_file() else []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            mounts = [MOUNT]
        elif "cpu" in controllers.split(","):
            mounts = [MOUNT / controllers, MOUNT / "cpu"]
        else:
            continue
        for mount in mounts:
            own = mount / path.lstrip("/")
            for group in (own, *own.parents):
                # Numbers where there is a limit; "max", -1 or no file where there is none.
                with contextlib.suppress(OSError, ValueError):
                    yield _quota(group)
                if group == mount:
                    break


def _quota(group: Path) -> float:
    if (group / "cpu.max").is_file():
        quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
    else:
        quota, period = (
            (group / f"cpu.cfs_{name}_us").read_text(encoding="utf-8")
            for name in ("quota", "period")
        )
    if not (int(quota) > 0 and int(period) > 0):
        raise ValueError("no limit")
    return int(quota) / int(period)

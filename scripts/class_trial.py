#!/usr/bin/env python
"""Let students run a recipe at once on this machine, and look what they did to each other.

Each student is a user of their own, in a folder of their own, below FOLDER. The project, with its
environment and its data, is mounted read-only for them. Needs root, as it becomes the users, and
changes nothing outside FOLDER. Told at the end: how long each took, the memory of all together, and
whether a file was written that was not the student's own.

\b
sudo .venv/bin/python scripts/class_trial.py /srv/trial --students 8
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder
sys.dont_write_bytecode = True  # into the project, which is compared before and after

import click

from mnist_rknn import command, files, machine
from mnist_rknn.errors import PipelineError

# In a mount namespace of its own, so that nobody else's view of the project changes.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


class Student(NamedTuple):
    """One who works here."""

    user: int
    folder: Path
    cores: tuple[int, ...]  # that this student may use

    def command(self, *arguments: str) -> list[str]:
        """A command as this user, who sees the project read-only, and with their own settings."""
        own = [f"HOME={self.folder}", f"MNIST_RKNN_OUTPUT={self.folder / 'output'}"]
        return [
            "unshare", "--mount", "sh", "-c", READ_ONLY, str(files.PROJECT),
            "setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups",
            "taskset", "--cpu-list", ",".join(map(str, self.cores)),
            "env", "-i", "PATH=/usr/bin:/bin", *own, *arguments,
        ]  # fmt: skip


@click.command("class_trial", help=__doc__)
@click.argument("folder", type=command.PATH)
@click.option("--students", "count", default=8, show_default=True, help="How many at once.")
@click.option("--recipe", default="smoke", show_default=True, help="What each of them runs.")
@click.option("--cores", type=int, help="How many each may use, as with a quota; else all.")
@click.option("--user", default=20001, show_default=True, help="Number of the first user.")
@click.option("--memory", default=20.0, show_default=True, help="Most GiB of all together.")
@command.answers
def class_trial(folder: Path, count: int, recipe: str, cores: int | None, user: int, memory: float):
    students = seated(folder.resolve(), count, user, cores)
    require_readable(students[0])
    before = files.fingerprint(files.PROJECT)
    ends, peak = watched(students, recipe)
    found: dict[str, Any] = {
        "students": len(students),
        "cores_each": len(students[0].cores),
        "seconds": [seconds for _, seconds in ends],
        "peak_gib": round(peak, 2),
        "failed": [s.folder.name for s, (status, _) in zip(students, ends, strict=True) if status],
        "project_changed": files.fingerprint(files.PROJECT) != before,
        "foreign_files": foreign(students),
        "models": sorted({files.sha256(model) for s in students for model in models(s)}),
    }
    wrong = [name for name in ("failed", "project_changed", "foreign_files") if found[name]]
    wrong += ["peak_gib"] * (peak > memory)
    return command.Answer(found, text(found), not wrong, f"not as it should be: {', '.join(wrong)}")


def seated(folder: Path, count: int, user: int, cores: int | None) -> list[Student]:
    """A new folder for each student, which only they may enter, and cores in turn."""
    if os.geteuid() != 0:
        raise PipelineError("a class trial becomes other users: start it as root, with sudo")
    if folder.is_relative_to(files.PROJECT):
        raise PipelineError(f"{folder} is in the project, which is read-only here: name another")
    if folder.exists() and any(folder.iterdir()):
        raise PipelineError(f"{folder} is not empty: name a new folder")
    there = sorted(os.sched_getaffinity(0))
    each = min(cores or len(there), len(there))
    students = [
        Student(
            user + n,
            folder / f"student{n + 1}",
            tuple(there[(each * n + core) % len(there)] for core in range(each)),
        )
        for n in range(count)
    ]
    for student in students:
        student.folder.mkdir(parents=True, mode=0o700)
        os.chown(student.folder, student.user, student.user)
    return students


def require_readable(student: Student) -> None:
    """Refuse a project, a Python or a folder that other users cannot reach."""
    code = "import mnist_rknn.cli, os; open(os.environ['HOME'] + '/.seen', 'w')"
    tried = subprocess.run(
        student.command(sys.executable, "-I", "-c", code), cwd="/", capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if tried.returncode:
        said = (tried.stderr.splitlines() or ["nothing was said"])[-1]
        raise PipelineError(
            f"another user cannot start the environment ({said}): its Python is "
            f"{Path(sys.executable).resolve()}; put the project where all may read, and make it "
            "with a Python for all, as `make setup PYTHON=/usr/bin/python3.11`"
        )


def watched(students: Sequence[Student], recipe: str) -> tuple[list[tuple[int, float]], float]:
    """Start all at once; exit status and seconds of each, and the most GiB of all together."""
    program = str(Path(sys.executable).with_name("mnist-rknn"))
    begun, running, ends, peak = time.monotonic(), {}, {}, 0.0
    for student in students:
        with (student.folder.with_suffix(".log")).open("w") as log:
            running[student] = subprocess.Popen(
                student.command(program, "run", "--recipe", recipe), cwd="/", stdout=log, stderr=log
            )
    try:
        while running:
            time.sleep(1)
            peak = max(peak, memory_of({student.user for student in students}))
            for student, process in list(running.items()):
                if process.poll() is not None:
                    ends[student] = process.returncode, round(time.monotonic() - begun, 1)
                    print(f"{student.folder.name}: {ends[student]}", file=sys.stderr, flush=True)
                    del running[student]
    finally:
        for process in running.values():
            process.terminate()
    return [ends[student] for student in students], peak


def memory_of(users: set[int]) -> float:
    """GiB of all processes of these users; pages that several share count once."""
    import psutil

    total = 0
    for process in psutil.process_iter():
        try:
            if process.uids().real in users:
                total += process.memory_full_info().pss
        except psutil.Error:  # it has ended
            continue
    return total / 2**30


def foreign(students: Sequence[Student]) -> list[str]:
    """Files in the students' folders that another user owns."""
    return [
        str(path)
        for student in students
        for path in student.folder.rglob("*")
        if path.lstat().st_uid != student.user
    ]


def models(student: Student) -> list[Path]:
    """The models that a student made."""
    return sorted((student.folder / "output").glob("*/*.rknn"))


def text(found: dict[str, Any]) -> str:
    """The result, for people."""
    seconds = found["seconds"]
    same = "all the same" if len(found["models"]) == 1 else f"{len(found['models'])} different"
    return (
        f"{found['students']} students at once, {machine.cores()} cores, each may use "
        f"{found['cores_each']}: the first done after "
        f"{min(seconds) / 60:.1f} min, the last after {max(seconds) / 60:.1f} min\n"
        f"memory of all together: at most {found['peak_gib']} GiB (measured once a second)\n"
        f"failed: {', '.join(found['failed']) or 'nobody'}; models: {same}\n"
        f"files of another user: {len(found['foreign_files'])}; the project: "
        f"{'CHANGED' if found['project_changed'] else 'as it was'}"
    )


if __name__ == "__main__":
    sys.exit(command.start(class_trial, name="scripts/class_trial.py"))

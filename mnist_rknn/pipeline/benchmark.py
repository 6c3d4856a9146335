"""Time and memory of every step of a run, each measured in a process of its own."""

import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from ..errors import PipelineError
from ..files import read_json, write_json
from ..machine import cores
from . import runner, steps
from .runs import MadeWith


def run(made_with: MadeWith, folder: Path, repeat: int) -> dict[str, Any]:
    """Run every step and build the report, `repeat` times.

    Args:
        made_with: the recipe, and changes to it.
        folder: for the results, and `benchmark.json`.

    Returns:
        What `benchmark.json` holds: "steps" with the median of the "seconds" and the largest
        "peak_mib" of each; "images_per_second" of every stage on the test images, "images" many.
    """
    options = ["--recipe", made_with.recipe, "--output", str(folder), "--force", "--only"]
    options += [argument for change in made_with.overrides for argument in ("--set", change)]
    commands = {step.name: ["run", step.name, *options] for step in steps.select("all")}
    commands["report"] = ["report", "--run", str(folder)]
    runs = [{step: measure(command) for step, command in commands.items()} for _ in range(repeat)]
    verify = read_json(folder / "verify.json")
    found = {
        "runs": repeat,
        "steps": {
            step: {
                "seconds": statistics.median(run[step]["seconds"] for run in runs),
                "peak_mib": max(run[step]["peak_mib"] for run in runs),
            }
            for step in commands
        },
        "images": verify["stages"]["rknn"]["accuracy"]["images"],
        "images_per_second": verify["images_per_second"],
    }
    write_json(folder / "benchmark.json", found)
    return found


def text(found: dict[str, Any]) -> str:
    """The result of `run` in Markdown."""
    rows, images = found["steps"], found["images"]
    lines = [
        f"{cores()} cores, {found['runs']} run(s), seconds: median, memory: largest",
        "",
        "| step | seconds | peak memory, MiB |",
        "|---|---:|---:|",
        *(
            f"| {step} | {row['seconds']:.0f} | {row['peak_mib']:,.0f} |"
            for step, row in rows.items()
        ),
        f"| all | {sum(row['seconds'] for row in rows.values()):.0f} | |",
        "",
    ]
    for stage, speed in found["images_per_second"].items():
        lines.append(f"{stage}: {speed:,.0f} images/s, {images:,} images in {images / speed:.0f} s")
    return "\n".join(lines)


def measure(arguments: list[str]) -> dict[str, float]:
    """Run a command of `mnist-rknn` and watch the memory of its whole process tree.

    Returns:
        "seconds" and "peak_mib", the largest sum of proportional set sizes seen.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "mnist_rknn", *arguments],
        env={**os.environ, "PYTHONPATH": runner.python_path()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = 0.0
    finished = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not finished.wait(0.2):
            peak = max(peak, tree_memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, errors = process.communicate()
    finished.set()
    watcher.join()
    if process.returncode:
        raise PipelineError(errors.strip().splitlines()[-1].removeprefix("error: "))
    return {"seconds": time.perf_counter() - start, "peak_mib": peak}


def tree_memory(pid: int) -> float:
    """Proportional set size of a process and all below it, MiB: shared pages count once."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
    except psutil.Error:
        return 0.0
    return total / 2**20

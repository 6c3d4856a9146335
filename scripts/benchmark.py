#!/usr/bin/env python
"""Time and memory of every step of a recipe, each in a process of its own.

    python scripts/benchmark.py --recipe smoke --repeat 3

Prints a table and writes it to `output/<recipe>/benchmark.json`. The machine may be busy:
compare figures of one run with each other, not with those of another day.
"""

import argparse
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import read_json, write_json
from mnist_rknn.machine import cores
from mnist_rknn.pipeline import steps


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="mnist")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repeat", type=int, default=1, help="runs; the median is shown")
    arguments = parser.parse_args()
    try:
        recipe = recipe_file.load(arguments.recipe, arguments.set)
        folder = steps.run_folder(recipe).with_name(f"{recipe.name}.benchmark")
        commands = {step.name: ["run.py", step.name, "--force"] for step in steps.select("all")} | {
            "report": ["report.py"]
        }
        runs = [
            {name: measure(command, arguments, folder) for name, command in commands.items()}
            for _ in range(arguments.repeat)
        ]
        verify = read_json(folder / "verify.json")
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    table = {
        name: {
            "seconds": statistics.median(run[name]["seconds"] for run in runs),
            "peak_mib": max(run[name]["peak_mib"] for run in runs),
        }
        for name in runs[0]
    }
    images = verify["stages"]["rknn"]["accuracy"]["images"]
    print(f"{cores()} cores, {arguments.repeat} run(s), seconds: median, memory: largest\n")
    print("| step | seconds | peak memory, MiB |\n|---|---:|---:|")
    for name, row in table.items():
        print(f"| {name} | {row['seconds']:.0f} | {row['peak_mib']:,.0f} |")
    print(f"| all | {sum(row['seconds'] for row in table.values()):.0f} | |")
    for stage, speed in verify["images_per_second"].items():
        print(
            f"\n{stage}: {speed:,.0f} images/s, {images:,} images in {images / speed:.0f} s", end=""
        )
    print()
    write_json(
        folder / "benchmark.json",
        {"steps": table, "images_per_second": verify["images_per_second"]},
    )
    return 0


def measure(script: list[str], arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Run one script and watch the memory of its whole process tree.

    Args:
        script: file name of a script beside this one, and arguments of its own.

    Returns:
        "seconds" and "peak_mib", the largest sum of proportional set sizes seen.
    """
    command = [sys.executable, str(Path(__file__).with_name(script[0])), *script[1:]]
    command += ["--recipe", arguments.recipe, "--output", str(folder)]
    for change in arguments.set:
        command += ["--set", change]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
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


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python
"""Pack the project, its packages, MNIST and a finished run for a room without a network.

It is unpacked with `tar -xf`; `make setup` in it then asks no package index. The packages are for
the Python of this environment: 3.11 for 3.11.

\b
python scripts/offline_kit.py --run output/smoke
"""

import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

import click
import install

from mnist_rknn import command, files
from mnist_rknn.errors import PipelineError

TOP = "mnist-rknn"  # the folder in the archive
ARCHIVE = files.OUTPUT / "offline-kit.tar"
LEFT_OUT = {"tries", ".lock"}  # of a run


@click.command("offline_kit", help=__doc__)
@click.option("--run", "made", required=True, metavar="FOLDER", help="The finished run to pack.")
@click.option("--into", type=command.PATH, default=ARCHIVE, help="The archive.")
@command.answers
def offline_kit(made: str, into: Path):
    from mnist_rknn.data import mnist
    from mnist_rknn.pipeline import runs

    run = runs.find_run(made)
    if not (run / runs.MANIFEST).is_file():
        raise PipelineError(f"{files.relative(run)} is not finished: run it to its end first")
    data = files.PROJECT / "data" / "mnist"
    mnist.fetch(data)
    packages = fetched(files.OUTPUT / ".offline-kit")
    members = {path.relative_to(files.PROJECT).as_posix(): path for path in [*tracked(), *of(data)]}
    members |= {f"{install.KIT_FOLDER}/{path.name}": path for path in of(packages)}
    members |= {f"output/{run.name}/{path.relative_to(run)}": path for path in of(run)}
    pack(members, into)
    count, size = len(list(packages.glob("*.whl"))), into.stat().st_size
    return command.Answer(
        {"archive": str(into), "bytes": size, "packages": count, "sha256": files.sha256(into)},
        f"{files.relative(into)}: {size / 1e6:,.0f} MB, {count} packages for Python "
        f"{install.THIS_PYTHON}, MNIST, and the run {run.name}\n"
        f"in the room: tar -xf {into.name}, then `make setup` in {TOP}/",
    )


def fetched(folder: Path) -> Path:
    """The packages of the lock, as wheels; those that are there are not fetched again.

    Raises:
        PipelineError: what pip's refusal means.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = files.PROJECT / "requirements.txt"
    with tempfile.TemporaryDirectory() as scratch:
        second = Path(scratch) / "requirements.txt"
        second.write_text("".join(of_other_patches(lock.read_text(encoding="utf-8"))))
        locks = [lock, second] if second.stat().st_size else [lock]
        try:
            install.download(Path(sys.prefix), folder, locks)
        except install.Refused as refused:
            raise PipelineError(str(refused)) from None
    return folder


PIN = re.compile(r"^(\S+==\S+)(?: ; (.*?))? (\\\n(?:    --hash.*\n?)+)", re.MULTILINE)


def of_other_patches(lock: str) -> list[str]:
    """Pins of a lock that this Python leaves out and another patch version of it wants.

    A lock may have one version of a package for 3.11.2 and another for 3.11.7. They come without
    their marker, or pip would leave them out here too.
    """
    from packaging.markers import Marker

    found = []
    for pin, marker, hashes in PIN.findall(lock):
        if not marker or Marker(marker).evaluate():
            continue
        patches = (f"{install.THIS_PYTHON}.{patch}" for patch in range(30))
        if any(Marker(marker).evaluate({"python_full_version": full}) for full in patches):
            found.append(f"{pin} {hashes}")
    return found


def tracked() -> list[Path]:
    """The project's own files: what git has, as it lies here."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=files.PROJECT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        raise PipelineError("a kit is packed from a git clone, and this is none: clone it")
    paths = [files.PROJECT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def of(folder: Path) -> Iterator[Path]:
    """Files below a folder, but for locks and tries."""
    for path in folder.rglob("*"):
        if path.is_file() and not LEFT_OUT & set(path.relative_to(folder).parts):
            yield path


def pack(members: dict[str, Path], into: Path) -> None:
    """Write the archive whole or not at all; wheels are compressed already, so it is not."""

    def nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    with files.replacing(into) as temporary, tarfile.open(temporary, "w", dereference=True) as tar:
        for name in sorted(members):
            tar.add(members[name], f"{TOP}/{name}", recursive=False, filter=nobodys)


if __name__ == "__main__":
    sys.exit(command.start(offline_kit, name="scripts/offline_kit.py"))

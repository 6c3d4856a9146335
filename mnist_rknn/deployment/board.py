"""The bundle onto the module over OpenSSH, run there, and what it measured fetched back.

Everything goes through the `ssh` program, with the user's own keys, agent, configuration and
known hosts. It is never asked for a password and never given one. The module needs a shell with
the usual small tools (BusyBox has them) and its own Python; neither SFTP nor rsync.
"""

import contextlib
import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import PipelineError
from ..files import read_json, relative, replacing, sha256
from ..recipe import Recipe
from ..records import Board, checked
from ..verification import golden, manifest
from . import deploy, ssh_link

BENCH = 100  # calls
_SECONDS = 300  # for one command on the module

# Where the module's image keeps its runtime is not documented; these are the usual places.
_PROBE = r"""
echo "kernel=$(uname -rm)"
echo "python=$(python3 -c 'import platform; print(platform.python_version())' 2>/dev/null)"
for folder in $(echo "$LD_LIBRARY_PATH" | tr ':' ' ') /usr/lib /oem/usr/lib /lib; do
  grep -a -o 'librknnmrt version: [0-9.]*' "$folder/librknnmrt.so" 2>/dev/null | head -n 1
done
{ cat /proc/rknpu/version /sys/kernel/debug/rknpu/version; dmesg | grep -i rknpu; } 2>/dev/null
true
"""


# BusyBox may be built without sha256sum; Python is there, or nothing would run.
_HASH = r"""
hashes() { sha256sum "$@" 2>/dev/null || python3 -c 'import hashlib, sys
for name in filter(__import__("os").path.isfile, sys.argv[1:]):
    print(hashlib.sha256(open(name, "rb").read()).hexdigest() + "  " + name)' "$@"; }
"""


class Module:
    """Commands on the module, through one OpenSSH connection.

    Args:
        host: address, name or alias of OpenSSH's configuration, or "user@address", with ":port"
            behind it or not; the user is root unless the configuration says another.
        config: an OpenSSH configuration file instead of the user's own.

    Raises:
        PipelineError: every failure, in one line with its cure.
    """

    def __init__(self, host: str, control: Path, config: Path | None = None):
        self.link = ssh_link.Link(host, config)
        self._ssh = [*self.link.command]
        for option in (
            "BatchMode=yes",  # never asks for a password
            "StrictHostKeyChecking=yes",
            "ConnectTimeout=10",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
            "ControlMaster=auto",  # one handshake for all commands: the module is slow at it
            f"ControlPath={control}/%C",
            "ControlPersist=60",
        ):
            self._ssh += ["-o", option]

    @property
    def host(self) -> str:
        """The module as messages name it: user@address."""
        return self.link.host

    def run(self, command: str, stdin: bytes | None = None) -> subprocess.CompletedProcess:
        """Run a shell command there; its exit status is the caller's to check."""
        try:
            result = subprocess.run(
                [*self._ssh, "--", self.host, command],
                input=stdin if stdin is not None else b"",
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PipelineError(
                f"{self.host} did not finish within {_SECONDS} s: restart the module"
            ) from None
        if result.returncode == 255:
            said = result.stderr.decode(errors="replace")
            raise PipelineError(self.link.failure(said))
        return result

    def close(self) -> None:
        """End the connection."""
        subprocess.run(
            [*self._ssh, "-O", "exit", "--", self.host], capture_output=True, check=False
        )


@contextlib.contextmanager
def connected(host: str, config: Path | None = None) -> Iterator[Module]:
    """A module for the length of a block."""
    with tempfile.TemporaryDirectory() as control:
        module = Module(host, Path(control), config)
        try:
            yield module
        finally:
            module.close()


def measure(
    recipe: Recipe,
    folder: Path,
    host: str,
    config: Path | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Copy the bundle, run golden pack and bench on the module, and write `board.json`.

    Args:
        folder: of a run whose bundle `make deploy` has written.
        host, config: as in `Module`.
        say: called with a line for every stage.

    Returns:
        What `board.json` holds: versions, the result of `golden.compare`, and the bench.

    Raises:
        PipelineError: no bundle, no connection, another version, or the model does not run.
    """
    bundle = folder / "deploy"
    target = read_json(bundle / "manifest.json")
    place = f"{deploy.FOLDER}/{recipe.name}"
    with connected(host, config) as module:
        versions = probe(module)
        for remark in check_versions(versions, target):
            say(f"remark     {remark}")
        copied = copy(module, bundle, place)
        say(f"copied     {len(copied)} changed files to {module.host}:{place}")
        program = _program(module, place)
        model = shlex.quote(target["model"])
        _run(module, place, f"{program} {model} --golden golden --log golden.log")
        log = folder / "board" / "golden.log"
        with replacing(log) as temporary:
            temporary.write_bytes(_run(module, place, "cat golden.log"))
        bench = _run(
            module, place, f"{program} {model} --bench {BENCH} --image golden/frame.bmp --no-viewer"
        )
    found = golden.compare(
        golden.read_pack(bundle / "golden"), golden.read_log(log), versions["runtime"]
    )
    content = {
        "model_sha256": sha256(bundle / target["model"]),
        "program": "C++" if program.startswith("./") else "Python",
        **versions,
        "golden": found,
        "bench": _bench(bench, program),
    }
    board = checked(Board, content, Board.FILE)
    board.write(folder)
    manifest.write_board(folder, board)
    return content


def probe(module: Module) -> dict[str, str | None]:
    """Versions of `kernel`, `python`, `runtime` (librknnmrt) and `driver`; None if not found."""
    said = module.run(_PROBE).stdout.decode(errors="replace")

    def find(pattern: str) -> str | None:
        match = re.search(pattern, said, re.IGNORECASE)
        return match.group(1) if match and match.group(1) else None

    return {
        "kernel": find(r"^kernel=(.*)"),
        "python": find(r"python=([\d.]+)"),
        "runtime": find(r"librknnmrt version: (\d[\d.]*\d)"),
        "driver": find(r"rknpu.*?\bv?(\d+\.\d+\.\d+)"),
    }


def check_versions(versions: dict[str, str | None], target: dict[str, Any]) -> list[str]:
    """Remarks on a module's versions, a sentence each.

    Args:
        versions: result of `probe`.
        target: the bundle's `manifest.json`.

    Raises:
        PipelineError: no Python, or a runtime older than the toolkit.
    """
    if not versions["python"]:
        raise PipelineError("the module has no python3: flash the maker's image")
    remarks = []
    runtime, driver = versions["runtime"], versions["driver"]
    toolkit, seen = target["target"]["toolkit"], target["seen_on_the_module"]
    if runtime is None:
        remarks.append("the version of librknnmrt was not found: a refusal may come from there")
    elif _numbers(runtime) < _numbers(toolkit):
        raise PipelineError(
            f"the module's runtime is {runtime}, older than rknn-toolkit2 {toolkit} that made the "
            "model: flash a newer image of the maker"
        )
    elif runtime != toolkit:
        remarks.append(f"the module's runtime is {runtime}, the model was made by {toolkit}")
    if driver is None:
        remarks.append("the version of the NPU driver was not found")
    elif _numbers(driver) < _numbers(seen["driver"]):
        remarks.append(
            f"the NPU driver is {driver}; with runtime {seen['runtime']} {seen['driver']} was seen"
        )
    return remarks


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def copy(module: Module, bundle: Path, place: str) -> list[str]:
    """Copy the files of a bundle that the module lacks or has otherwise.

    A file is written under a temporary name, hashed on the module, and then renamed: a link cut
    in the middle leaves the old file.

    Returns:
        Names of the files copied.

    Raises:
        PipelineError: the link is cut, the disk is full, or a file arrived otherwise.
    """
    wanted = {found.relative_to(bundle).as_posix(): sha256(found) for found in deploy.files(bundle)}
    quoted = shlex.quote(place)
    names = " ".join(map(shlex.quote, wanted))
    there = module.run(f"{_HASH}cd {quoted} 2>/dev/null && hashes {names}; true").stdout
    present = {
        name: digest
        for digest, _, name in (line.partition("  ") for line in there.decode().splitlines())
    }
    changed = [name for name, digest in wanted.items() if present.get(name) != digest]
    for name in changed:
        path = shlex.quote(f"{place}/{name}")
        partial = shlex.quote(f"{place}/{name}.partial")
        folder = shlex.quote(str(Path(place, name).parent))
        result = module.run(
            f"{_HASH}mkdir -p {folder} && cat > {partial} && "
            f'[ "$(hashes {partial} | cut -c 1-64)" = {wanted[name]} ] && '
            f"mv {partial} {path} || {{ rm -f {partial}; false; }}",
            stdin=(bundle / name).read_bytes(),
        )
        if result.returncode:
            said = result.stderr.decode(errors="replace")
            if "No space left" in said:
                raise PipelineError(
                    f"the module's disk is full while writing {name}: remove something from it, "
                    "or use a larger SD card"
                )
            if "Read-only file system" in said:
                raise PipelineError(_read_only(module))
            last = said.strip().splitlines()[-1:] or ["its bytes differ"]
            if "Permission denied" in said:
                raise PipelineError(
                    f"{module.host} may not write {name} ({last[0]}): use its user root, as "
                    "HOST=root@address"
                )
            raise PipelineError(f"{name} did not arrive whole ({last[0]}): run again")
    return changed


def _read_only(module: Module) -> str:
    """What makes the file system of the module's home writable."""
    shown = module.run("df -P . 2>/dev/null | tail -n 1").stdout.decode(errors="replace").split()
    place = shown[-1] if shown and shown[-1].startswith("/") else "/"
    return (
        f"the module's {place} is mounted read-only: run "
        f"`{module.link.shown} mount -o remount,rw {place}`, then this again"
    )


def _program(module: Module, place: str) -> str:
    """The program to run: the C++ one if somebody has put it there, as it logs the logits too."""
    there = module.run(f"test -x {shlex.quote(place)}/digits").returncode == 0
    return "./digits" if there else "python3 digits.py"


def _run(module: Module, place: str, command: str) -> bytes:
    """Output of a command in the bundle's folder on the module.

    Raises:
        PipelineError: it failed; its last line says why.
    """
    result = module.run(f"cd {shlex.quote(place)} && {command}")
    if result.returncode:
        said = (result.stderr or result.stdout).decode(errors="replace").strip().splitlines()
        last = said[-1].removeprefix("error: ") if said else f"exit status {result.returncode}"
        raise PipelineError(f"on the module: {last}")
    return result.stdout


def _bench(output: bytes, program: str) -> dict[str, float | None]:
    """Frames a second that `--bench` printed: of the whole call, and of `predict` alone.

    The latter is None if no digit was found.
    """
    said = output.decode(errors="replace")
    frames = re.search(r"^([\d.]+) frames/s", said, re.MULTILINE)
    predictions = re.search(r"^([\d.]+) calls/s", said, re.MULTILINE)
    if not frames:
        raise PipelineError(f"{program} --bench did not print its figures: run again")
    return {
        "frames_per_second": float(frames.group(1)),
        "predict_per_second": float(predictions.group(1)) if predictions else None,
    }


def text(content: dict[str, Any], folder: Path) -> str:
    """What `board.json` holds, for people."""
    bench = content["bench"]
    alone = bench["predict_per_second"]
    predict = f"predict alone {alone:.1f} a second" if alone else "no digit to predict"
    return "\n".join(
        (
            f"module     runtime {content['runtime']}, driver {content['driver']}, Python "
            f"{content['python']}, kernel {content['kernel']}",
            golden.text(content["golden"]),
            f"speed      {bench['frames_per_second']:.1f} frames/s, {predict} "
            f"({content['program']}), measured on the module",
            f"written    {relative(folder / 'board.json')}",
        )
    )

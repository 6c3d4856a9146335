#!/usr/bin/env python
"""What `make setup` does: an environment of the project's own, and nothing but it.

python scripts/install.py packages .venv 2.3.2    the environment and the packages of the lock
python scripts/install.py command .venv           the command mnist-rknn into it
python scripts/install.py same .venv              whether it is of this Python

Of the user's settings of pip only those count that say how an index is reached: another target, a
constraint or a foreign path would leave the environment empty, and pip would still say yes.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

PROJECT = Path(__file__).resolve().parents[1]
LOCKED_TOOLKIT = "2.3.2"
THIS_PYTHON = "{}.{}".format(*sys.version_info[:2])
KIT_FOLDER = "data/wheels"  # of an offline kit: the packages themselves, see offline_kit.py
KIT_PYTHON = "python.txt"  # in it: the Python that they are for
# Settings of pip that say how packages are reached; all others are left out.
KEPT = {
    "cache-dir", "cert", "client-cert", "default-timeout", "extra-index-url", "find-links",
    "index-url", "keyring-provider", "no-cache-dir", "no-index", "proxy", "retries", "timeout",
    "trusted-host",
}  # fmt: skip
# What pip says, and what it means; looked for in this order.
MEANINGS = (
    (r"No space left on device", "the disk is full: free 3 GB and run again"),
    (
        r"DO NOT MATCH THE HASHES",
        "{index} gives another file than the locked one: use another index",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError",
        "the certificate of {index} is not accepted here: set pip's `cert`, or use another index",
    ),
    (
        r"ProxyError|Tunnel connection failed",
        "the proxy does not let pip through to {index}: correct pip's `proxy`",
    ),
    (
        r"NewConnectionError|NameResolutionError|Connection refused|timed out|Max retries|"
        r"Connection broken|ConnectionResetError|RemoteDisconnected",
        "{index} cannot be reached: check the network, or name another index with "
        "`pip config set global.index-url`",
    ),
    (
        r"\b40[13]\b",
        "{index} refuses to give its packages: log in there, or use another index",
    ),
    (
        r"No matching distribution found for (?P<what>\S+)",
        "{index} does not have {what}: use another index",
    ),
    (r"Permission denied", "the project's folder cannot be written: use another one"),
)


class Refused(Exception):
    """One line for the user."""


def main(arguments: "list[str]") -> int:
    """Set up; returns the exit status."""
    try:
        if arguments[0] == "packages":
            packages(Path(arguments[1]), arguments[2])
        elif arguments[0] == "command":
            command(Path(arguments[1]))
        else:
            require_same_python(Path(arguments[1]))
    except Refused as refused:
        print(f"error: {refused}", file=sys.stderr)
        return 1
    return 0


def packages(environment: Path, toolkit: str) -> None:
    """Make the environment, if there is none, and install what is locked."""
    require_same_python(environment)
    require_kit_for_this_python()
    make(environment)
    lock = str(PROJECT / "requirements.txt")
    pip(environment, "--no-compile", "--no-deps", "--require-hashes", "-r", lock)
    if toolkit != LOCKED_TOOLKIT:
        pip(environment, "--no-compile", "--no-deps", f"rknn-toolkit2=={toolkit}")
    require_packages(environment)


def command(environment: Path) -> None:
    """Install the project itself, as it lies here."""
    pip(environment, "--no-deps", "--no-build-isolation", "--no-index", "-e", str(PROJECT))
    if not (environment / "bin" / "mnist-rknn").exists():
        raise Refused(f"pip did not put the command into {environment}/bin: remove {environment}")


def require_same_python(environment: Path) -> None:
    """Refuse to install into an environment of another Python."""
    settings = environment / "pyvenv.cfg"
    if not settings.is_file():
        return
    found = re.search(r"^version\s*=\s*(\d+\.\d+)", settings.read_text(), re.MULTILINE)
    if found and found[1] != THIS_PYTHON:
        raise Refused(
            f"{environment} is of Python {found[1]}, and this is {THIS_PYTHON}: run make with "
            f"PYTHON=python{found[1]}, or remove it with `rm -r {environment}` first"
        )


def require_kit_for_this_python() -> None:
    """Refuse an offline kit whose packages are of another Python."""
    stated = PROJECT / KIT_FOLDER / KIT_PYTHON
    if stated.is_file() and (version := stated.read_text().strip()) != THIS_PYTHON:
        raise Refused(
            f"the packages of this kit are for Python {version}, and this is {THIS_PYTHON}: run "
            f"make with PYTHON=python{version}, or pack a kit with that Python"
        )


def download(environment: Path, folder: Path, locks: "list[Path]") -> None:
    """Fetch what these locks name into a folder, for an offline kit, and note for which Python."""
    for lock in locks:
        fetch = ("--dest", str(folder), "--no-deps", "--require-hashes", "-r", str(lock))
        pip(environment, *fetch, action="download")
    (folder / KIT_PYTHON).write_text(f"{THIS_PYTHON}\n")


def make(environment: Path) -> None:
    """Make an environment with pip in it; nothing half-made is left."""
    if (environment / "bin" / "python").exists() and has_pip(environment):
        return
    old = environment.exists()
    result = subprocess.run(
        [sys.executable, "-m", "venv", str(environment)],
        env=clean(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode == 0 and has_pip(environment):
        return
    if not old:
        shutil.rmtree(environment, ignore_errors=True)
    said = result.stdout + result.stderr
    name = f"python{THIS_PYTHON}"
    if "ensurepip" in said or "No module named venv" in said or result.returncode == 0:
        raise Refused(
            f"{sys.executable} cannot make an environment, as it lacks ensurepip: install "
            f"{name}-venv (sudo apt install {name}-venv), or name another with PYTHON="
        )
    raise Refused(f"{sys.executable} -m venv {environment} failed: {last_line(said)}")


def has_pip(environment: Path) -> bool:
    """Whether the environment's Python starts and has pip."""
    command = [str(environment / "bin" / "python"), "-I", "-m", "pip", "--version"]
    try:
        own = {**clean(), "PIP_CONFIG_FILE": os.devnull}
        return subprocess.run(command, env=own, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def pip(environment: Path, *arguments: str, action: str = "install") -> None:
    """Run pip with nothing of the user's but how an index is reached; a kit needs none."""
    python = str(environment / "bin" / "python")
    kit = PROJECT / KIT_FOLDER
    if kit.is_dir():
        settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(kit)}
    else:
        settings = indexes(python, say="-r" in arguments)
    result = subprocess.run(
        [python, "-m", "pip", action, "--disable-pip-version-check", "--quiet", *arguments],
        env={**clean(), "PIP_CONFIG_FILE": os.devnull, **settings},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        raise Refused(meaning(result.stdout, settings))


def clean() -> "dict[str, str]":
    """The process's environment without what leads Python or pip elsewhere."""
    led = ("PIP_", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONOPTIMIZE", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(led)}
    return {**kept, "PYTHONNOUSERSITE": "1"}


def indexes(python: str, say: bool) -> "dict[str, str]":
    """How pip reaches an index, as environment variables; other settings are named."""
    result = subprocess.run(
        [python, "-m", "pip", "config", "list"],
        env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        raise Refused(f"pip's own settings cannot be read ({last_line(result.stderr)}): mend them")
    found, left_out = {"PIP_RETRIES": "2"}, set()
    sections = ("global", "install", ":env:")  # the later ones count more
    lines = [line for line in result.stdout.splitlines() if line.startswith(sections)]
    for line in sorted(lines, key=lambda line: sections.index(line.partition(".")[0])):
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2].lower().replace("_", "-")
        if name in KEPT:
            found["PIP_" + name.upper().replace("-", "_")] = str(ast.literal_eval(value))
        elif name not in ("config-file", "disable-pip-version-check", "quiet", "verbose"):
            left_out.add(name)
    # Without a second try pip does not say that an index is not there.
    found["PIP_RETRIES"] = str(max(1, int(found["PIP_RETRIES"])))
    if left_out and say:
        print(f"note: left out of pip's settings, for this project: {', '.join(sorted(left_out))}")
    return found


def meaning(said: str, settings: "dict[str, str]") -> str:
    """What pip's failure means, in one line."""
    kit = settings.get("PIP_FIND_LINKS") == str(PROJECT / KIT_FOLDER)
    if kit and re.search(r"DO NOT MATCH THE HASHES|No matching distribution", said):
        return (
            f"{KIT_FOLDER} of this kit does not hold what requirements.txt names: unpack the kit "
            f"anew, or pack it anew ({last_line(said)})"
        )
    host = urlsplit(settings.get("PIP_INDEX_URL", "")).hostname or "the package index"
    for pattern, words in MEANINGS:
        match = re.search(pattern, said)
        if match:
            what = match.groupdict().get("what", "")
            return "the packages could not be installed: " + words.format(index=host, what=what)
    return f"the packages could not be installed: pip says: {last_line(said)}"


def last_line(said: str) -> str:
    """The last line that pip or Python wrote as an error, else the last of all."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["nothing"])[-1][:300]


def require_packages(environment: Path) -> None:
    """Check that what is locked lies in the environment, whatever pip said."""
    code = (
        f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
        "from mnist_rknn.pipeline import environment\n"
        "found = environment.check_packages()\n"
        "print(found.detail)\nsys.exit(found.status == 'FAIL')"
    )
    result = subprocess.run(
        [str(environment / "bin" / "python"), "-I", "-c", code],
        env=clean(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        found = last_line(result.stdout or result.stderr)
        raise Refused(
            f"pip said that it is done, and {environment} is not as it should be ({found}): remove "
            f"it with `rm -r {environment}` and run `make setup` again"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

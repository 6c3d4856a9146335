"""Baidu AI Studio: what `main.ipynb` does before the first step and after the last.

There a project's home (HOME, usually /home/aistudio) is all that outlives a restart, attached
data sets lie as archives under `data/data<number>/`, and Paddle's GPU build is preinstalled.
Until `install` has run only the standard library and what Jupyter needs can be imported.
"""

import hashlib
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from .. import file_kinds
from ..data import archives
from ..errors import PipelineError
from ..files import PROJECT, read_json, relative, replacing_folder, sha256
from ..language import _
from . import environment

ATTACHED = PROJECT / "data" / "attached"  # unpacked data sets, kept
# Whoever imported one of these before `install` would go on with another version of it.
IMPORTED_TOO_EARLY = (
    "numpy", "google.protobuf", "paddle", "onnx", "cv2", "pandas", "matplotlib", "yaml", "pydantic"
)  # fmt: skip


# --- packages -------------------------------------------------------------------------


def packages_folder() -> Path:
    """Where `install` puts packages: in the home, as those in the image's Python are lost at
    a restart (so its users say; not tried there). One folder for each Python version, because
    compiled packages need it.

    `pip install --user` would be in the home too, but every project and notebook of the user
    would then get our old numpy, and a virtual environment refuses it.
    """
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    return Path.home() / "external-libraries" / f"mnist-rknn-{python}"


def use_packages() -> None:
    """Let this kernel and every process it starts find the packages of `packages_folder`.

    They come first, so that a pinned version is found before a preinstalled one.
    """
    folder = str(packages_folder())
    sys.path[:] = [folder, *(entry for entry in sys.path if entry != folder)]
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [entry for entry in inherited if entry not in ("", folder)]
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, *kept])
    importlib.invalidate_caches()
    # As in the headless runs: more OpenMP threads made training slower.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def install(log: Callable[[str], None] = print) -> None:
    """Install what requirements.txt names and the kernel's Python lacks, with one pip command.

    A preinstalled Paddle, GPU or CPU build, is kept whatever its version. What is there in
    its pinned version is kept too, so a second call installs nothing.

    Args:
        log: called with a line for each thing done.

    Raises:
        PipelineError: pip failed, or a package was imported before its version was installed.
    """
    if problem := environment.platform_problem():
        raise PipelineError(problem)
    folder = packages_folder()
    use_packages()
    preinstalled = installed_packages([entry for entry in sys.path if entry != str(folder)])
    pins = environment.pinned_packages()
    if kept := preinstalled_paddle(preinstalled):
        name, version = kept
        os.environ[environment.KEPT_PADDLE] = version
        measured = pins.pop("paddlepaddle")
        other = f"; this project was measured with {measured}" if version != measured else ""
        log(f"Paddle: {name} {version} is preinstalled and kept{other}")
    # One that was installed before the image had one, on a CPU machine, would hide the GPU's.
    hidden = kept and preinstalled_paddle(installed_packages([str(folder)]))
    if hidden or missing(pins, installed_packages(sys.path)):
        wanted = missing(pins, preinstalled)
        log(f"installing {len(wanted)} packages into {folder}: minutes, and up to 2 GB")
        pip_install(wanted, folder)
        importlib.invalidate_caches()
    if still := missing(pins, installed_packages(sys.path)):
        raise PipelineError(
            _("not installed as pinned: {still}: delete {folder}, Run All").format(
                still=", ".join(still), folder=folder
            )
        )
    require_fresh_kernel(folder)
    log(f"{len(pins)} packages as in requirements.txt")


def installed_packages(path: list[str]) -> dict[str, str]:
    """Versions by normalised name, as Python finds them along `path`."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions(path=path):
        if name := distribution.metadata["Name"]:  # None where an uninstall left a rest
            found.setdefault(normalised(name), distribution.version)
    return found


def normalised(name: str) -> str:
    """A package's name as the registry compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def preinstalled_paddle(installed: Mapping[str, str]) -> tuple[str, str] | None:
    """Name and version of the Paddle that is there, its GPU build first."""
    for name in reversed(environment.BUILDS["paddlepaddle"]):
        if name in installed:
            return name, installed[name]
    return None


def missing(pins: Mapping[str, str], installed: Mapping[str, str]) -> list[str]:
    """Names of the pinned packages that are not installed in their pinned version."""
    return [name for name, version in pins.items() if installed.get(normalised(name)) != version]


def requirements_of(names: list[str]) -> str:
    """The part of requirements.txt for these packages, hashes and all."""
    text = environment.REQUIREMENTS.read_text(encoding="utf-8")
    blocks = re.findall(r"^([A-Za-z0-9_.\-]+)(==.*(?:\n[ \t]+.*)*\n)", text, re.MULTILINE)
    return "".join(name + rest for name, rest in blocks if name in names)


def pip_install(names: list[str], folder: Path) -> None:
    """Install packages into `folder`, which they replace when all of them are there.

    Raises:
        PipelineError: with pip's own reason.
    """
    with replacing_folder(folder) as temporary:
        listed = temporary / "requirements.txt"
        listed.write_text(requirements_of(names), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-user"]
        command += ["--disable-pip-version-check", "--no-compile", "--no-deps", "--require-hashes"]
        command += ["--target", str(temporary), "--requirement", str(listed)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
            reason = lines[-1].removeprefix("ERROR: ") if lines else "no reason given"
            raise PipelineError(
                _(
                    "pip could not install the packages ({reason}): see that the package "
                    "registry can be reached, then Run All again"
                ).format(reason=reason)
            )


def require_fresh_kernel(folder: Path) -> None:
    """Check that no package that now lies in `folder` was imported from elsewhere before."""
    for name in IMPORTED_TOO_EARLY:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and (folder / name.replace(".", "/")).exists() and folder not in Path(file).parents:
            raise PipelineError(
                _(
                    "{name} was imported before its pinned version was installed: restart "
                    "the kernel, then Run All"
                ).format(name=name)
            )


# --- data sets ------------------------------------------------------------------------


def data_folders() -> list[Path]:
    """Folders of attached data sets, `data<number>`, in the home and in the project."""
    places = {place.resolve() for place in (Path.home() / "data", PROJECT / "data")}
    return sorted(
        folder for place in places for folder in place.glob("data[0-9]*") if folder.is_dir()
    )


def unpack_data_sets(log: Callable[[str], None] = print) -> list[Path]:
    """Unpack every archive of an attached data set, unless it has been before.

    Args:
        log: called with a line for each archive.

    Returns:
        The folders, `data/attached/data<number>/<archive>`.
    """
    unpacked = []
    for folder in data_folders():
        for archive, place in unpacked_of(folder).items():
            unpacked.append(place)
            log(f"{relative(place)}: from {archive.name}")
    return unpacked


def unpacked_of(folder: Path) -> dict[Path, Path]:
    """Archives of an attached data set, and the folders that they are unpacked in."""
    found = sorted(filter(archives.is_archive, folder.iterdir()))
    return {archive: archives.unpack_once(archive, ATTACHED / folder.name) for archive in found}


def use_attached_mnist(log: Callable[[str], None] = print) -> None:
    """Take MNIST from an attached data set that holds the four original files, if one does."""
    from ..data import mnist  # needs numpy

    for folder in _folders_with_sets():
        try:
            source = mnist.fetch(PROJECT / "data" / "mnist", str(folder), log=lambda line: None)
        except PipelineError as error:
            log(f"{relative(folder)} is not MNIST ({error})")
            continue
        log(f"MNIST: {source}")
        return


def _folders_with_sets() -> Iterator[Path]:
    """Attached folders, at any depth, that hold files in MNIST's format."""
    from ..data import idx_sets, tree

    for place in (ATTACHED, *data_folders()):
        if place.is_dir():
            folders = {parts.folder for parts in idx_sets.found_in(tree.walk(place))}
            yield from sorted(folders)


def find_data_set(dataset: str) -> Path:
    """The folder or archive that `dataset` names.

    Args:
        dataset: a path, or a part of one below an attached data set, such as "data12345".

    Raises:
        PipelineError: there is none, or several are meant; the message lists what is attached.
    """
    name = dataset.strip().strip("\"'").strip()
    attached = ", ".join(folder.name for folder in data_folders()) or "none"
    own = (ATTACHED, Path.home() / "data", PROJECT / "data", Path.home(), PROJECT)
    for place in own if name else ():
        path = Path(os.path.normpath(place / Path(name).expanduser()))  # an absolute one stays
        if path.exists():
            if any(path == top or path in top.parents for top in own):
                break
            return _meant(path)
    else:
        raise PipelineError(
            _("data set {dataset} was not found: attached are {attached}").format(
                dataset=dataset, attached=attached
            )
        )
    raise PipelineError(
        _("{dataset!r} holds more than one data set: name one; attached are {attached}").format(
            dataset=dataset, attached=attached
        )
    )


def _meant(path: Path) -> Path:
    """The folder of an attached data set that a path is of; other paths as they are.

    Raises:
        PipelineError: the set holds two archives, or one that is not read.
    """
    folders = {folder.name: folder for folder in data_folders()}
    if path.parent == ATTACHED and path.name in folders:
        path = folders[path.name]
    home = next((folder for folder in folders.values() if folder in path.parents), None)
    if home and path.parent == home and archives.is_archive(path):
        return unpacked_of(home)[path]
    if path not in folders.values():
        return path
    unpacked = list(unpacked_of(path).values())
    if len(unpacked) > 1:
        names = " or ".join(f'"{path.name}/{folder.name}"' for folder in unpacked)
        raise PipelineError(
            _("{name} holds {count} archives: name one, {names}").format(
                name=path.name, count=len(unpacked), names=names
            )
        )
    if unpacked:
        return unpacked[0]
    others = [file for file in sorted(path.iterdir()) if file.is_file()]
    kinds = {file: file_kinds.of(file) for file in others}
    packed = [file for file, kind in kinds.items() if kind.key in file_kinds.ARCHIVES]
    if packed and not any(entry.is_dir() for entry in path.iterdir()):
        raise PipelineError(
            _("{name} holds {name2}, which {kinds}, or attach it as zip").format(
                name=path.name, name2=packed[0].name, kinds=kinds[packed[0]]
            )
        )
    return path


def recipe_name(path: Path) -> str:
    """Name of the recipe for a data set at `path`: "own_", its place, and a hash of what is in it.

    Names alone would not do: of two that are Chinese, nothing is left that a recipe may be called.
    """
    place = path.relative_to(ATTACHED).parts[0] if ATTACHED in path.parents else path.stem
    letters = re.sub(r"\W+", "_", place, flags=re.ASCII).strip("_").lower()
    return "_".join(filter(None, ("own", letters, _content_key(path))))


KEY_BYTES = 65536  # of each file


def _content_key(path: Path) -> str:
    """Eight hex digits that follow from what a data set holds."""
    record = path / archives.RECORD
    if record.is_file():
        return read_json(record)["sha256"][:8]
    if path.is_file():
        return sha256(path)[:8]
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            line = f"{file.relative_to(path)}|{file.stat().st_size}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
            with file.open("rb") as opened:  # two sets in MNIST's format differ in nothing else
                digest.update(opened.read(KEY_BYTES))
    return digest.hexdigest()[:8]


# --- other programs, and the result ---------------------------------------------------


def run_python(*arguments: str) -> str:
    """Run a script or module of the project in a process of its own and return its output.

    Raises:
        PipelineError: it failed; its last line says why.
    """
    result = subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no reason given"]
        raise PipelineError(f"{' '.join(arguments)}: {lines[-1].removeprefix('error: ')}")
    return result.stdout


def pack_results(name: str, folder: Path) -> Path:
    """Zip the files of a finished run that go to the module or to a reader.

    Args:
        name: of the recipe.
        folder: of the run.

    Returns:
        The zip file, beside `folder`.
    """
    models = (f"{name}.rknn", f"{name}.onnx", f"{name}.slim.onnx", f"{name}.lockzhiner.yaml")
    members = {}
    for file in (*models, "labels.txt", "manifest.json", "report.html", "try.html"):
        if not (folder / file).is_file():
            raise PipelineError(
                _("{folder} is missing: Run All from the top").format(
                    folder=relative(folder / file)
                )
            )
        members[f"{name}/{file}"] = folder / file
    archive = folder.with_name(f"{folder.name}.zip")
    archives.pack(members, archive)
    return archive

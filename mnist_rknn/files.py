"""Files: written whole or not at all, hashed, and locked against another process."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from .errors import PipelineError
from .language import _

PROJECT = Path(__file__).resolve().parents[1]
OUTPUT = Path(os.environ.get("MNIST_RKNN_OUTPUT") or PROJECT / "output").resolve()  # of all runs
PATIENCE = 1800  # seconds to wait for another run that fetches or unpacks what both need
LOCK_HOLDERS = "MNIST_RKNN_LOCK_HOLDERS"  # "pid:file" a line: who locked what for its children


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(path: Path) -> str | None:
    """A hash that changes with the names, sizes and times of a file or of all in a folder.

    Nothing is read, so it is quick for 100,000 files. None if there is nothing at `path`.
    """
    if not path.exists():
        return None
    digest = hashlib.sha256()
    root = os.fspath(path)
    for place, folders, names in os.walk(root) if path.is_dir() else [(root, [], [""])]:
        folders.sort()
        for name in sorted(names):
            state = _state(f"{place}/{name}" if name else place)
            line = f"{place[len(root) :]}/{name}|{state.st_size}|{state.st_mtime_ns}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _state(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError:  # a link that leads nowhere
        return os.lstat(path)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    Readers see the old file or the new one, never half of either. On an error the
    temporary file is removed and `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        with naming_full_disk(path):
            yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """As `replacing`, for a folder: yield an empty one, swap it in if the block succeeds."""
    temporary = path.with_name(f".{path.name}.partial")
    old = path.with_name(f".{path.name}.old")
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        with naming_full_disk(path):
            temporary.mkdir(parents=True)
            yield temporary
        if path.exists():
            path.rename(old)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """Turn "no space left on device" into a line that says where and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise PipelineError(
            _("the disk is full while writing {path}: free some space and run again").format(
                path=relative(path)
            )
        ) from None


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of ours.

    Raises:
        PipelineError: the file is missing or cut short.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(
            _("{path} is missing: run the step that writes it first").format(path=path)
        ) from None
    except ValueError as error:
        raise PipelineError(
            _("{path} is damaged ({error}): delete it and run its step again").format(
                path=path, error=error
            )
        ) from None


def relative(path: Path) -> str:
    """`path` as seen from the project folder where it lies inside, for messages."""
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(PROJECT))
    return str(path)


@contextlib.contextmanager
def taking_turns(folder: Path, what: str) -> Iterator[None]:
    """Hold a lock on a folder that all runs share, and wait for whoever has it.

    Whatever was missing before may be there afterwards: look again in the block.

    Args:
        what: is done in the block, for the message.

    Raises:
        PipelineError: the other process was not done after `PATIENCE` seconds.
    """
    # Not at the top: on AI Studio this module is imported before anything is installed.
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=PATIENCE)
    try:
        lock.acquire()
    except Timeout:
        raise PipelineError(
            _(
                "{what}: another process has been at work in {folder} for {patience} "
                "seconds: wait for it to end, or end it, and run again"
            ).format(what=what, folder=relative(folder), patience=PATIENCE)
        ) from None
    try:
        yield
    finally:
        lock.release()


class FolderLock:
    """A lock on a results folder, held by one process and gone with it, even after kill -9.

    The kernel of a notebook that a script runs does not lock again: the script holds the
    lock for it and says so in the environment variable `LOCK_HOLDERS`.
    """

    def __init__(self, folder: Path, what: str):
        self.path = folder.resolve() / ".lock"
        self.what = what
        self._file: TextIO | None = None

    def acquire(self) -> "FolderLock":
        """Take the lock.

        Raises:
            PipelineError: another process holds it; the message says which.
        """
        held_by_parent = f"{os.getppid()}:{self.path}"
        if self._file or held_by_parent in os.environ.get(LOCK_HOLDERS, "").split("\n"):
            return self
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise PipelineError(
                _(
                    "{parent} is in use by {holder}: wait for it to end, or choose another "
                    "recipe or output folder"
                ).format(parent=relative(self.path.parent), holder=holder)
            ) from None
        file.truncate(0)
        since = time.strftime("%H:%M:%S")
        file.write(f"process {os.getpid()} ({self.what}, since {since})\n")
        file.flush()
        self._file = file
        return self

    def release(self) -> None:
        """Give the lock back; closing the file is what releases it."""
        if self._file:
            self._file.truncate(0)
            self._file.close()
            self._file = None

    def for_children(self) -> dict[str, str]:
        """Environment variable that lets a direct child work under this lock, and earlier ones."""
        held = os.environ.get(LOCK_HOLDERS, "").split("\n")
        return {LOCK_HOLDERS: "\n".join(filter(None, [*held, f"{os.getpid()}:{self.path}"]))}

    def __enter__(self) -> "FolderLock":
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

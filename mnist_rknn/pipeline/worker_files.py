"""Files that go to the workers of a Dask scheduler; needs the optional package distributed."""

import hashlib
import io
import uuid
import zipfile
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin

from ..files import replacing_folder


class Inputs(WorkerPlugin):
    """A plug-in that gives the files of a study to every worker, also to those that come later.

    The scheduler keeps it. A worker writes the files into a folder named by their hash, once, and
    removes it when it ends.

    Args:
        source: folder of the files.
    """

    def __init__(self, source: Path):
        content = io.BytesIO()
        digest = hashlib.sha256()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(path for path in source.rglob("*") if path.is_file()):
                name, data = file.relative_to(source).as_posix(), file.read_bytes()
                archive.writestr(name, data)
                digest.update(f"{name} {len(data)} ".encode() + data)
        self.content = content.getvalue()
        self.digest = digest.hexdigest()[:20]
        self.name = f"mnist-rknn-{uuid.uuid4()}"  # another client may send the same

    def setup(self, worker: Any) -> None:
        """Write the files; called by Dask on every worker."""
        target = folder(worker, self.digest)
        if not target.is_dir():
            with (
                replacing_folder(target) as temporary,
                zipfile.ZipFile(io.BytesIO(self.content)) as archive,
            ):
                archive.extractall(temporary)


def folder(worker: Any, digest: str) -> Path:
    """Where the files with this hash lie on a worker."""
    return Path(worker.local_directory) / f"inputs-{digest}"

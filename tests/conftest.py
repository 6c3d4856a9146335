"""What the tests of all wings share: MNIST, and one small run through all notebooks."""

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["LANGUAGE"] = "en"  # whatever the locale: the tests read English messages
# Commands and kernels that tests start take this clone's package, whichever is installed.
os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])

from support.runs import PROJECT, TINY, run_command, settings

from mnist_rknn.data import mnist


def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all workers of this session see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def mnist_folder(tmp_path_factory) -> Path:
    """The verified files in data/mnist, fetched if this is the first run here."""
    folder = PROJECT / "data" / "mnist"
    with FileLock(shared(tmp_path_factory) / "fetching"):
        mnist.fetch(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_run(mnist_folder, tmp_path_factory) -> Path:
    """Folder of a finished run of the smoke recipe on few images, through the notebooks.

    One worker makes it for all: nobody writes into it.
    """
    folder = shared(tmp_path_factory) / "tiny"
    with FileLock(shared(tmp_path_factory) / "tiny.lock"):
        if not (folder / "manifest.json").is_file():
            result = run_command(
                "run", "--recipe", "smoke", "--output", str(folder), *settings(TINY)
            )
            assert result.returncode == 0, result.stderr + result.stdout
    return folder


@pytest.fixture
def finished(tiny_run, tmp_path) -> Path:
    """A copy of the finished run, which is as good as the run itself."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder, symlinks=True)
    return folder

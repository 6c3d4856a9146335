"""The notebooks in JupyterLab, in a real browser: each runs to its end, and nothing pops up."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import nbformat
import pytest
from support.runs import PROJECT

PYTHON = PROJECT / ".venv" / "site" / "bin" / "python"
NAMES = [path.name for path in sorted((PROJECT / "notebooks").glob("*.ipynb"))]
# What is long is shortened.
SHORT = {
    "08_quantization": {"sizes": [20], "seeds": [1], "pictures": 100},
    "09_own_data": {"each": 40},
    "11_pruning": {
        "seeds": [1], "shares": [0.5], "widths": [32, 48], "tuning_pictures": 400, "pictures": 100,
    },
    "12_small_files": {
        "epochs": {"LeNet300100": [1, 1, 1], "LeNet5": [1, 1, 1]}, "pictures": 100,
    },
    "13_distillation": {
        "seeds": [1], "training_pictures": 1000, "epochs": 1, "temperatures": [4], "mixes": [0.9],
        "pictures": 100,
    },
    "14_qat": {
        "seeds": [1], "tuning_pictures": 400, "validation_pictures": 100, "pictures": 100,
    },
    "15_architectures": {
        "sizes": [48], "trials": 2, "training_pictures": 500, "full_pictures": 500,
        "full_epochs": 1, "compared": 2, "seeds": [1], "pictures": 100,
    },
}  # fmt: skip

pytestmark = pytest.mark.skipif(not PYTHON.is_file(), reason="`make site` was not run here")


@pytest.fixture(scope="module")
def project(mnist_folder, tmp_path_factory) -> Path:
    """A clean copy of the project, its notebooks on recipe smoke, and MNIST."""
    project = tmp_path_factory.mktemp("lab") / "project"
    everywhere = shutil.ignore_patterns("__pycache__", ".*")
    made = {str(PROJECT): {"data", "output"}}  # the package has a folder "data" too
    shutil.copytree(
        PROJECT, project, ignore=lambda at, names: everywhere(at, names) | made.get(at, set())
    )
    (project / "data").mkdir()
    (project / "data" / "mnist").symlink_to(mnist_folder)
    for path in (project / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
        cell.source = cell.source.replace('recipe = "mnist"', 'recipe = "smoke"')
        for name, value in SHORT.get(path.stem, {}).items():
            assert f"{name} = " in cell.source
            cell.source += f"\n{name} = {value!r}"
        nbformat.write(notebook, path)
    return project


@pytest.fixture(scope="module")
def address(project):
    """JupyterLab as `make lab` starts it, but for the browser."""
    told = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", ".venv/bin/mnist-rknn", "lab"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (line,) = [line for line in told.stdout.splitlines() if "jupyterlab" in line]
    words = shlex.split(line)
    settings = dict(word.split("=", 1) for word in words if re.match(r"[A-Za-z_]+=", word))
    settings["JUPYTER_CONFIG_PATH"] = str(PROJECT / settings["JUPYTER_CONFIG_PATH"])
    command = [str(PROJECT / words[len(settings)]), *words[len(settings) + 1 :]]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    home = project.parent / "home"
    environment = {
        **os.environ, **settings, "PYTHONPATH": str(project),
        "HOME": str(home), "OMP_NUM_THREADS": "1",
        "MNIST_RKNN_OUTPUT": str(project / "output"), "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"), "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }  # fmt: skip
    options = ["--no-browser", f"--port={port}", "--IdentityProvider.token=", "--allow-root"]
    with (project.parent / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [*command, *options], cwd=project, env=environment, stdout=log, stderr=log
        )
        try:
            wait_for(address, server)
            yield address
        finally:
            server.terminate()
            server.wait(30)


def wait_for(address: str, server: subprocess.Popen) -> None:
    for _ in range(240):
        assert server.poll() is None, "JupyterLab stopped"
        try:
            urlopen(f"{address}/api").close()
            return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(address)


def run_all(address: str, project: Path, scheme: str, *names: str) -> None:
    script = Path(__file__).parents[1] / "support" / "lab.py"
    done = subprocess.run(
        [PYTHON, script, address, project.parent, scheme, *names],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: [] for name in names}, "something popped up"
    for name in names:
        notebook = nbformat.read(project / "notebooks" / name, as_version=4)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        shown = [output for cell in cells for output in cell.outputs]
        assert [output.evalue for output in shown if output.output_type == "error"] == [], name
        assert all(cell.execution_count for cell in cells), f"{name}: not all cells ran"
        assert [output.text for output in shown if output.get("name") == "stderr"] == [], name


def test_the_first_notebook_runs_in_a_browser(address, project):
    run_all(address, project, "light", NAMES[0])


@pytest.mark.slow
def test_every_notebook_runs_in_a_browser(address, project):
    run_all(address, project, "dark", *NAMES)

"""Running notebooks headless: what fails says where, and exits non-zero."""

import json
import shutil

import nbformat
import pytest
from support.runs import TINY, last_line, run_command, settings

from mnist_rknn.errors import PipelineError
from mnist_rknn.pipeline import runner
from mnist_rknn.training.progress import Writer


def make_notebook(path, *cells: str):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.cells[0].metadata["tags"] = ["parameters"]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, path)
    return path


def test_executed_copy_has_the_parameters_and_the_outputs(tmp_path):
    notebook = make_notebook(tmp_path / "a.ipynb", "x = 1", "print(x + 1)")
    runner.execute(notebook, tmp_path / "out" / "a.ipynb", {"x": 41})
    assert "42" in (tmp_path / "out" / "a.ipynb").read_text()


def test_unknown_parameter_is_refused_before_anything_runs(tmp_path):
    notebook = make_notebook(tmp_path / "a.ipynb", "x = 1")
    with pytest.raises(PipelineError, match=r"a\.ipynb has no parameter 'y': it has x"):
        runner.execute(notebook, tmp_path / "out.ipynb", {"y": 1})
    assert not (tmp_path / "out.ipynb").exists()


def test_failing_cell_is_named_with_its_last_line(tmp_path):
    notebook = make_notebook(tmp_path / "a.ipynb", "x = 1", "print('before')", "[][x]", "print(9)")
    with pytest.raises(PipelineError, match=r"a\.ipynb, cell 3: IndexError: list index out"):
        runner.execute(notebook, tmp_path / "out.ipynb", {})
    text = (tmp_path / "out.ipynb").read_text()
    assert "before" in text and "IndexError" in text


def test_killed_kernel_is_reported(tmp_path):
    notebook = make_notebook(tmp_path / "a.ipynb", "x = 1", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(PipelineError, match="kernel was killed"):
        runner.execute(notebook, tmp_path / "out.ipynb", {})


def test_missing_kernel_names_the_cure(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "KERNEL", "no-such-kernel")
    notebook = make_notebook(tmp_path / "a.ipynb", "x = 1")
    with pytest.raises(PipelineError, match="no Jupyter kernel: run `make setup`"):
        runner.execute(notebook, tmp_path / "out.ipynb", {})


def test_no_kernel_or_profile_appears_in_the_home(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    folder = tmp_path / "run"
    result = run_command(
        "run", "01", "--recipe", "smoke", "--output", str(folder), *settings(TINY),
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    left = [path for path in home.rglob("*") if path.is_file()]
    assert not [path for path in left if "jupyter" in str(path) or "ipython" in str(path)]
    assert not [path for path in left if "paddlex" in str(path)]


def test_missed_threshold_is_a_failure_and_the_manifest_says_so(tiny_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    arguments = ("run", "06", "--recipe", "smoke", "--output", str(folder))
    wanted = settings((*TINY, "verify.min_accuracy=0.9999"))
    result = run_command(*arguments, *wanted)
    assert result.returncode == 1
    assert "06_verify.ipynb, cell" in last_line(result)
    assert "below verify.min_accuracy 0.9999" in last_line(result)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["verified"] is False and "min_accuracy" in manifest["misses"][0]
    again = run_command(*arguments, *wanted)
    assert again.returncode == 1, "a failed step must not pass for up to date"


def test_training_becomes_a_line_an_epoch(tmp_path, capsys):
    before = Writer(tmp_path, epochs=9, resumed=False)
    before.write("validation", 1, loss=9.0, top1=0.9)
    shown = runner.TrainingProgress(tmp_path)
    shown.look()
    recorded = Writer(tmp_path, epochs=2, resumed=True)
    recorded.write("iteration", 2, iteration=50, of=93, loss=1.129, top1=0.649, lr=0.08)
    shown.look()
    recorded.write("epoch", 2, loss=1.0, top1=0.7, lr=0.0)
    recorded.write("validation", 2, loss=0.466, top1=0.829)
    shown.look()
    shown.look()
    assert capsys.readouterr().out == (
        "  epoch 2/2, loss and right answers: training 1.0000 and 70.00 %, "
        "validation 0.4660 and 82.90 %\n"
    )

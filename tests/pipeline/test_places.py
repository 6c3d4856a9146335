"""Folders: found before a run fails on them, and nothing removed or overwritten by a wrong name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.runs import PROJECT, last_line, run_command

from mnist_rknn.errors import PipelineError
from mnist_rknn.pipeline import cleaning, places


@pytest.fixture
def output(tmp_path, monkeypatch) -> Path:
    """A folder of results with two runs and something else."""
    folder = tmp_path / "output"
    for name in ("mine", "other"):
        (folder / name).mkdir(parents=True)
        (folder / name / "recipe.yaml").write_text("name: x")
    (folder / "letters").mkdir()
    (folder / "letters" / "a.txt").write_text("mine")
    monkeypatch.setattr(cleaning, "OUTPUT", folder)
    return folder


def test_clean_removes_one_recipes_results_and_nothing_else(output):
    assert cleaning.remove("mine") and not (output / "mine").exists()
    assert cleaning.remove("configs/other.yaml") and sorted(os.listdir(output)) == ["letters"]
    assert cleaning.remove("mine") == []


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "../notebooks", "/", "mine/", "mine/../other", "*", "-rf", "letters"],
)
def test_clean_refuses_what_is_no_recipes_name(output, name):
    with pytest.raises(PipelineError, match=r"no recipe's name|holds no results of a run"):
        cleaning.remove(name)
    assert sorted(os.listdir(output)) == ["letters", "mine", "other"]


def test_clean_follows_no_link(output, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "recipe.yaml").write_text("name: x")
    (output / "linked").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PipelineError, match="linked is a link to "):
        cleaning.remove("linked")
    assert (tmp_path / "elsewhere" / "recipe.yaml").exists()


def test_make_clean_without_a_recipe_removes_nothing(tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("", "..", "configs/"):
        result = subprocess.run(
            ["make", "clean", f"RECIPE={name}"], cwd=PROJECT, capture_output=True, text=True,
            env={**os.environ, "MNIST_RKNN_OUTPUT": str(tmp_path)}, check=False,
        )  # fmt: skip
        assert result.returncode and "error: " in result.stderr
    assert (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    "output", [".", "notebooks", "data", "configs/x", ".git", "README.md", ".."]
)
def test_a_run_is_not_made_in_a_folder_of_the_projects(output):
    result = run_command("list", "--output", str(PROJECT / output))
    assert result.returncode == 1 and last_line(result).startswith("error: --output ")


def test_a_run_is_not_made_among_other_files(tmp_path):
    (tmp_path / "photos").mkdir()
    cleaning.require_results_folder(tmp_path / "photos")
    (tmp_path / "photos" / "holiday.jpg").touch()
    with pytest.raises(PipelineError, match=r"holds other files \(holiday\.jpg\)"):
        cleaning.require_results_folder(tmp_path / "photos")


def checked(**environment: str) -> str:
    """What a process of its own finds, in an environment that is changed."""
    code = "from mnist_rknn.pipeline import places; print(*places.problems(), sep='\\n')"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    return result.stdout.strip()


def test_folders_of_this_machine_are_fine():
    assert checked() == ""


def test_temporary_folder_that_is_too_long_for_a_socket_or_missing(tmp_path):
    long = tmp_path / ("x" * 90)
    long.mkdir()
    assert "too many for a socket in it: set TMPDIR to a shorter folder" in checked(
        TMPDIR=str(long)
    )
    assert "where nothing can be written: unset TMPDIR" in checked(TMPDIR="/nowhere")


def test_home_that_nothing_can_be_written_into():
    assert "nothing can be written into /proc/1: set HOME" in checked(HOME="/proc/1")


def test_blank_in_the_path_of_results_is_found_before_a_run(tmp_path):
    with pytest.raises(PipelineError, match="the path of the results holds a blank"):
        places.require(tmp_path / "my results")


def test_missing_shared_memory_is_named(monkeypatch):
    def refused(*_: object) -> None:
        raise FileNotFoundError("No such file or directory")

    context = places.multiprocessing.get_context("spawn")
    monkeypatch.setattr(type(context), "Lock", refused)
    assert "mount -t tmpfs shm /dev/shm" in str(places.shared_memory())


def test_kernel_of_a_foreign_jupyter_path_is_named_and_runs_do_without(tmp_path):
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(
        '{"argv": ["/usr/bin/false", "-m", "ipykernel_launcher", "-f", "{connection_file}"], '
        '"display_name": "x", "language": "python"}'
    )
    code = "from mnist_rknn.pipeline import environment as e; print(e.check_kernel())"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True,
        env={**os.environ, "JUPYTER_PATH": str(tmp_path)},
    )  # fmt: skip
    assert result.stdout.startswith("FAIL") and "unset JUPYTER_PATH" in result.stdout

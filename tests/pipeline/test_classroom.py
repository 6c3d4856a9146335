"""A class: a room without a network, one machine that all share, slides on a wall."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import nbformat
import pytest
from support.machine import can_cut_network
from support.runs import PROJECT, TINY, everything, last_line, run_command, run_script, settings

from mnist_rknn.errors import PipelineError
from mnist_rknn.pipeline import student_folder

NOTEBOOK = "04_calibration.ipynb"
KIT = PROJECT / "output" / "offline-kit.tar"


def script(name: str):
    """A script of the project as a module."""
    sys.path.insert(0, str(PROJECT / "scripts"))
    try:
        found = importlib.util.spec_from_file_location(name, PROJECT / "scripts" / f"{name}.py")
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


# --- a student's own folder ---------------------------------------------------------------


@pytest.fixture
def student(finished, tmp_path) -> Path:
    """A folder that starts from a run, as the class shares it."""
    folder = tmp_path / "student"
    shutil.move(finished, tmp_path / "shared" / "smoke")
    student_folder.prepare(folder, tmp_path / "shared" / "smoke")
    return folder


def test_what_a_student_makes_anew_is_theirs_and_the_shared_run_stays(student):
    shared, own = student.parent / "shared" / "smoke", student / "output" / "smoke"
    before = everything(shared)
    assert (own / "train").is_symlink() and (own / "calibration.txt").is_symlink()
    result = run_command(
        "run", "04-06", "--recipe", "smoke", "--force", "--set", "calibration.images=50",
        *settings(TINY), env={**os.environ, "MNIST_RKNN_OUTPUT": str(student / "output")},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "01_data: " not in result.stdout, "the linked steps are up to date"
    for name in ("calibration.txt", "smoke.rknn", "verify.json"):
        assert not (own / name).is_symlink() and (own / name).is_file()
        assert (own / name).resolve().is_relative_to(student)
    assert len((own / "calibration.txt").read_text().splitlines()) == 50
    assert (own / "train").is_symlink()
    assert everything(shared) == before


def test_a_folder_is_completed_and_nothing_in_it_is_written_over(student):
    edited = student / "notebooks" / NOTEBOOK
    edited.write_text("mine")
    (student / "notebooks" / "00_environment.ipynb").unlink()
    run = student.parent / "shared" / "smoke"
    assert student_folder.prepare(student, run) == ["notebooks/00_environment.ipynb"]
    assert student_folder.prepare(student, run) == []
    assert edited.read_text() == "mine"
    assert not (student / "notebooks" / "solutions").exists()


def test_a_hub_has_its_own_name_for_the_kernel(tmp_path):
    result = run_script("student_folder.py", tmp_path / "new", "--kernel", "mnist-rknn")
    assert result.returncode == 0, result.stderr
    notebook = nbformat.read(tmp_path / "new" / "notebooks" / NOTEBOOK, as_version=4)
    assert notebook.metadata.kernelspec.name == "mnist-rknn"
    ours = nbformat.read(PROJECT / "notebooks" / NOTEBOOK, as_version=4)
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in ours.cells]


def test_folders_that_cannot_be_a_students_are_refused(finished, tmp_path):
    with pytest.raises(PipelineError, match="lies outside the project"):
        student_folder.prepare(PROJECT / "output" / "me")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    with pytest.raises(PipelineError, match=r"holds other things \(letter.txt\)"):
        student_folder.prepare(tmp_path / "other")
    (finished / "manifest.json").unlink()
    with pytest.raises(PipelineError, match="is not finished"):
        student_folder.prepare(tmp_path / "me", finished)
    assert not (tmp_path / "me").exists()


def test_make_lab_starts_in_the_students_folder():
    told = subprocess.run(
        ["make", "-n", "-o", ".venv/bin/mnist-rknn", "lab", "STUDENT=/s/me", "FROM=smoke"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert 'scripts/student_folder.py "/s/me" --run "smoke"' in told
    assert 'MNIST_RKNN_OUTPUT="/s/me/output"' in told and '--notebook-dir="/s/me"' in told


# --- a class at once ----------------------------------------------------------------------


def test_a_class_trial_that_cannot_be_is_refused(tmp_path, monkeypatch):
    trial = script("class_trial")
    monkeypatch.setattr(trial.os, "geteuid", lambda: 1000)
    with pytest.raises(PipelineError, match="start it as root"):
        trial.seated(tmp_path / "new", 2, 20001, None)
    monkeypatch.setattr(trial.os, "geteuid", lambda: 0)
    with pytest.raises(PipelineError, match="read-only here"):
        trial.seated(PROJECT / "output" / "class", 2, 20001, None)
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match="is not empty"):
        trial.seated(tmp_path, 2, 20001, None)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_file_of_another_in_a_students_folder_is_found(tmp_path):
    trial = script("class_trial")
    one, two = trial.seated(tmp_path / "class", 2, 20001, 1)
    assert trial.foreign([one, two]) == []
    assert oct(one.folder.stat().st_mode & 0o777) == "0o700"
    stray = two.folder / "stray"
    stray.touch()
    os.chown(stray, one.user, one.user)
    assert trial.foreign([one, two]) == [str(stray)]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")
def test_two_students_at_once_do_not_touch_each_other(tmp_path, mnist_folder):
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:  # others must come through to their folders
        if parent.owner() == "root" and parent != Path(parent.anchor) and "pytest" in parent.name:
            parent.chmod(0o755)
    result = run_script(
        "class_trial.py", tmp_path / "class", "--students", 2, "--json", timeout=1800
    )
    if "another user cannot start the environment" in result.stderr:
        pytest.skip(last_line(result))
    found = json.loads(result.stdout)
    assert found["failed"] == found["foreign_files"] == []
    assert not found["project_changed"] and len(found["models"]) == 1


# --- without a network --------------------------------------------------------------------


def test_a_kit_takes_the_project_and_leaves_tries_and_locks_out(finished, tmp_path):
    kit = script("offline_kit")
    (finished / "tries" / "one").mkdir(parents=True)
    (finished / "tries" / "one" / "file").touch()
    (finished / ".lock").touch()
    packed = {path.relative_to(finished).as_posix() for path in kit.of(finished)}
    assert {"manifest.json", "smoke.rknn", "dataset/pictures.csv"} <= packed
    assert not [name for name in packed if name.startswith("tries") or name == ".lock"]
    kit.pack({"a/b": finished / "manifest.json", "run.sh": PROJECT / ".ci" / "run"}, tmp_path / "k")
    with tarfile.open(tmp_path / "k") as tar:
        entries = {entry.name: entry for entry in tar}
    assert set(entries) == {"mnist-rknn/a/b", "mnist-rknn/run.sh"}
    assert entries["mnist-rknn/run.sh"].mode & 0o111 and entries["mnist-rknn/a/b"].uname == ""


def test_a_kit_has_what_other_patch_versions_of_its_python_want():
    """As the lock says `python_full_version < '3.11.5'` of one package."""
    kit = script("offline_kit")
    version = "{}.{}".format(*sys.version_info[:2])
    lock = (
        f"one==1 ; python_full_version < '{version}.0' \\\n    --hash=sha256:aa\n"
        f"two==2 ; python_full_version == '{version}.29' \\\n    --hash=sha256:bb \\\n"
        "    --hash=sha256:cc\nthree==3 \\\n    --hash=sha256:dd\n"
    )
    [pin] = kit.of_other_patches(lock)
    assert pin.startswith("two==2 \\\n    --hash=sha256:bb") and ";" not in pin


def test_an_unfinished_run_is_not_packed(finished, tmp_path):
    (finished / "manifest.json").unlink()
    result = run_script("offline_kit.py", "--run", finished, "--into", tmp_path / "kit.tar")
    assert result.returncode == 1 and "is not finished" in last_line(result)
    assert not (tmp_path / "kit.tar").exists()


@pytest.mark.slow
@pytest.mark.skipif(not KIT.is_file(), reason="`make offline-kit` was not run here")
@pytest.mark.skipif(not can_cut_network(), reason="this machine does not allow unshare -n")
def test_a_kit_installs_and_runs_where_there_is_no_network(tmp_path):
    with tarfile.open(KIT) as tar:
        tar.extractall(tmp_path, filter="tar")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))
    }
    for target in ("setup", "smoke"):
        result = subprocess.run(
            ["unshare", "-rn", "make", target, f"PYTHON={sys.executable}"],
            cwd=tmp_path / "mnist-rknn", env=kept, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "mnist-rknn" / "output" / "smoke" / "manifest.json").is_file()


# --- slides -------------------------------------------------------------------------------


def test_slides_follow_the_headings_and_load_nothing_from_elsewhere(tmp_path, monkeypatch):
    slides = script("slides")
    html = slides.page(PROJECT / "notebooks" / NOTEBOOK)
    notebook = nbformat.read(PROJECT / "notebooks" / NOTEBOOK, as_version=4)
    kinds = [slides.kind(cell) for cell in notebook.cells]
    headings = [c for c in notebook.cells if c.source.startswith(("# ", "## "))]
    assert kinds.count("slide") == len(headings) > 4 and kinds.count("skip") == 1
    assert html.count("<section>") >= len(headings)
    for loaded in ('src="http', "src='http", 'href="http', "from 'http", "require("):
        assert loaded not in html.replace("<a ", "<A ").split("<body")[0], loaded
    assert 'src="reveal/dist/reveal.js"' in html and "overrides = []" not in html


def test_slides_without_reveal_say_what_fetches_it(tmp_path, monkeypatch):
    slides = script("slides")
    monkeypatch.setattr(slides, "REVEAL", Path("nowhere"))
    with pytest.raises(PipelineError, match="run `make slides`"):
        slides.slides.callback.__wrapped__(("04",), "mnist", tmp_path)

"""The whole path through the notebooks, and what it leaves when it is interrupted."""

import json
import os
import shutil
import subprocess

import nbformat
import numpy as np
import pytest
import yaml
from support.machine import can_cut_network, can_mount
from support.runs import (
    COMMAND,
    PROJECT,
    TINY,
    kill_when,
    last_line,
    run_command,
    run_script,
    settings,
)

from mnist_rknn import recipe_file
from mnist_rknn.files import sha256
from mnist_rknn.pipeline import graph, steps

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))


def arguments(folder, chosen="all", *overrides) -> list[str]:
    wanted = settings((*TINY, *overrides))
    return ["run", chosen, "--recipe", "smoke", "--output", str(folder), *wanted]


def test_manifest_describes_the_run(tiny_run):
    manifest = json.loads((tiny_run / "manifest.json").read_text())
    assert {
        "recipe", "artifacts", "packages", "target", "input", "output", "seeds", "accuracy",
        "estimate", "durations",
    } <= set(manifest)  # fmt: skip
    assert manifest["verified"] is True and manifest["misses"] == []
    assert manifest["input"]["shape"] == [1, 3, 48, 48]
    assert manifest["input"]["mean"] == [127.5] * 3 and manifest["input"]["color_order"] == "rgb"
    assert list(manifest["accuracy"]) == ["paddle", "onnx", "slim", "rknn"]
    assert manifest["target"] == {"platform": "rv1106", "toolkit": "2.3.2", "mini": True}
    assert manifest["packages"]["rknn-toolkit2"] == manifest["target"]["toolkit"]
    assert manifest["board"] == "not measured"
    for name, artifact in manifest["artifacts"].items():
        path = tiny_run / artifact["path"]
        assert path.name == name and sha256(path) == artifact["sha256"]
        assert path.stat().st_size == artifact["bytes"]
    text = json.dumps(manifest)
    assert str(tiny_run) not in text and str(PROJECT) not in text


def test_stages_agree_and_int8_loses_little(tiny_run):
    verify = json.loads((tiny_run / "verify.json").read_text())
    stages = verify["stages"]
    assert stages["paddle"]["accuracy"] == stages["onnx"]["accuracy"] == stages["slim"]["accuracy"]
    assert stages["paddle"]["accuracy"]["images"] == 400
    assert stages["rknn"]["cosine"]["mean"] > 0.995
    assert stages["rknn"]["agreement"] < 1 or stages["rknn"]["cosine"]["mean"] < 1
    assert sum(map(sum, stages["rknn"]["confusion_matrix"])) == 400


def test_calibration_images_are_training_images(tiny_run):
    manifest = json.loads((tiny_run / "manifest.json").read_text())
    hashes = set(manifest["calibration"]["sha256"].values())
    folder = tiny_run / "dataset" / "images"
    assert len(hashes) == 100
    assert hashes <= {sha256(file) for file in (folder / "train").iterdir()}


def test_summary_ends_with_the_path_the_accuracies_and_the_time(tiny_run):
    result = run_command(*arguments(tiny_run), "--summary")
    for expected in ("smoke.rknn", "paddle", "in the RKNN simulator", "compiler estimate", "time"):
        assert expected in result.stdout


@pytest.mark.parametrize("step", [step.name for step in steps.select("all")])
def test_executed_notebook_shows_pictures_or_tables_and_no_errors(tiny_run, step):
    notebook = nbformat.read(tiny_run / "notebooks" / f"{step}.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs and not [output for output in outputs if output.output_type == "error"]
    if step != "02_train":  # PaddleX logs its commands there
        assert not [output for output in outputs if output.get("name") == "stderr"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert step == "00_environment" or pictures
    assert "widgets" not in notebook.metadata
    # With pictures as they were drawn; `make notebooks` makes them smaller.
    assert (tiny_run / "notebooks" / f"{step}.ipynb").stat().st_size < 900_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_notebook_keeps_the_house_rules(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [
        cell.metadata.get("tags") for cell in code if "parameters" in cell.metadata.get("tags", [])
    ]
    assert not [cell for cell in code if cell.source.lstrip().startswith(("!", "%"))]
    assert not [cell for cell in code if len(cell.source.splitlines()) > 20]
    words = "\n".join(cell.source for cell in notebook.cells)
    for part in ("At the end you will have", "run.finish(", "## Recap", "### Things to try"):
        assert part in words
    exercises = [cell for cell in code if "exercise" in cell.metadata.get("tags", [])]
    assert words.count("*Solution:") >= 2 and words.count("*Solution:") + len(exercises) >= 3
    assert notebook.metadata.kernelspec.name == "python3" and "widgets" not in notebook.metadata


def test_every_step_has_its_notebook():
    assert {step.name for step in steps.STEPS} <= {path.stem for path in NOTEBOOKS}


def test_second_run_of_a_seed_gives_the_same_numbers(tiny_run, tmp_path):
    again = tmp_path / "again"
    result = run_command(*arguments(again))
    assert result.returncode == 0, result.stderr
    first = json.loads((tiny_run / "manifest.json").read_text())
    second = json.loads((again / "manifest.json").read_text())
    assert first["accuracy"] == second["accuracy"]
    golden = [np.load(folder / "golden.npz")["logits"] for folder in (tiny_run, again)]
    assert np.array_equal(*golden)


def test_choices_measures_trials_on_validation_digits_only(mnist_folder, tmp_path):
    small = tmp_path / "small.yaml"
    small.write_text(yaml.safe_dump(recipe_file.dump(recipe_file.load("smoke", TINY))))
    folder = tmp_path / "out"
    result = run_script(
        "choices.py", "--recipe", str(small), "--output", str(folder), "--simulated", "50"
    )
    assert result.returncode == 0, result.stderr
    row = json.loads((folder / "choices.json").read_text())["as it is"]
    assert 50 < row["mnist"] <= 100 and 0 <= row["small"] <= row["mnist"]
    assert row["cycles"] > 1000 and f"{row['parameters']:,}" in result.stdout.splitlines()[-1]
    assert not list(folder.rglob("verify.json")), "the test images were read"


# --- interrupted ----------------------------------------------------------------------

LATER_STEPS = [step.name for step in steps.select("all") if step.name != "02_train"]


@pytest.mark.parametrize("step", LATER_STEPS)
def test_kill_in_the_middle_of_a_step_and_a_rerun_end_in_the_same_result(finished, step):
    """Training has a test of its own, as it resumes."""
    folder = finished
    record = graph.record_file(steps.find(step), folder)
    before = [sha256(path) for path in stable_outputs(step, folder)]
    process = subprocess.Popen(
        [*COMMAND, *arguments(folder, step), "--force"],
        stdout=subprocess.DEVNULL,
    )
    kill_when(process, lambda: not record.exists())  # the notebook is past its opening
    result = run_command(*arguments(folder, step))
    assert result.returncode == 0, result.stderr
    assert "it has not run to its end" in result.stdout
    assert [sha256(path) for path in stable_outputs(step, folder)] == before
    assert not list(folder.rglob("*.partial*"))


def stable_outputs(step: str, folder) -> list:
    """Outputs of a step whose bytes are the same every time (those of .rknn files are not)."""
    names = {
        "01_data": ["dataset/train.txt", "dataset/test.txt"],
        "03_export": ["smoke.slim.onnx", "labels.txt"],
        "04_calibration": ["calibration.txt"],
        "05_convert": ["layers.json"],
    }
    return [folder / name for name in names.get(step, [])]


@pytest.mark.skipif(not can_mount(), reason="mounting a tmpfs needs root")
def test_full_disk_in_training_is_one_line_and_the_rerun_goes_on(tiny_run, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    assert os.system(f"mount -t tmpfs -o size=60m none {disk}") == 0
    try:
        folder = disk / "run"
        result = run_command(*arguments(folder, "01"))
        assert result.returncode == 0, result.stderr
        ballast = disk / "ballast"
        free = shutil.disk_usage(disk).free
        ballast.write_bytes(bytes(free - 400_000))
        result = run_command(*arguments(folder, "02"))
        assert result.returncode == 1
        assert "disk is full" in last_line(result), result.stderr
        assert not (folder / "steps" / "02_train.json").exists()
        ballast.unlink()
        result = run_command(*arguments(folder, "02"))
        assert result.returncode == 0, result.stderr
    finally:
        os.system(f"umount -l {disk}")


@pytest.mark.skipif(not can_cut_network(), reason="this machine does not allow unshare -n")
def test_everything_runs_with_the_network_cut(mnist_folder, tmp_path):
    result = subprocess.run(
        ["unshare", "-rn", *COMMAND, *arguments(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "manifest.json").is_file()


def test_stock_paddlex_model_goes_the_same_way(mnist_folder, tmp_path):
    """MobileNetV3-small at 224x224 on a handful of pictures: every gate, no claim on accuracy."""
    few = (
        "dataset.samples.train=60", "dataset.samples.validation=10", "dataset.samples.test=20",
        "train.epochs=2", "train.batch_size=10", "calibration.images=20", "verify.min_accuracy=0",
        "verify.max_drop=1", "verify.min_cosine=-1",
    )  # fmt: skip
    result = run_command(
        "run", "--recipe", "mobilenetv3", "--output", str(tmp_path / "run"), *settings(few)
    )
    assert result.returncode == 0, result.stderr
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["input"]["shape"] == [1, 3, 224, 224]
    assert manifest["estimate"]["weights_kb"] > 1000

"""The files of a run: an older one is said to be older, a fault of ours is called ours."""

import json

import numpy as np
import pytest
from support.runs import TINY

from mnist_rknn import recipe_file, records
from mnist_rknn.errors import Fault, PipelineError
from mnist_rknn.verification import comparison, manifest, metrics, report

RECIPE = recipe_file.load("smoke", TINY)
FILES = (records.Verification, records.Compilation, records.LayerErrors, records.Manifest)


def change(folder, kind, **changes):
    path = folder / kind.FILE
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value != "gone"}))


@pytest.mark.parametrize("kind", FILES, ids=lambda kind: kind.FILE)
def test_what_is_read_is_what_was_written(tiny_run, tmp_path, kind):
    kind.read(tiny_run).write(tmp_path)
    assert (tmp_path / kind.FILE).read_text() == (tiny_run / kind.FILE).read_text()
    assert json.loads((tmp_path / kind.FILE).read_text())["schema"] == 1


@pytest.mark.parametrize(("number", "age"), [("gone", "an older"), (0, "an older"), (2, "a newer")])
def test_file_of_another_version_is_one_line_with_the_cure(finished, number, age):
    change(finished, records.Manifest, schema=number)
    for read in (manifest.summary, lambda folder: comparison.compare(folder, folder)):
        with pytest.raises(PipelineError, match=rf"written by {age} version .* run 06_verify"):
            read(finished)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"stages": "gone"}, "stages"), ({"passed": "yes"}, "passed"), ({"new": 1}, "new")],
)
def test_file_of_ours_that_breaks_its_form_is_our_fault(finished, changes, named):
    change(finished, records.Verification, **changes)
    with pytest.raises(Fault, match=rf"verify.json.*\({named}: .*please report it"):
        report.build(RECIPE, finished)


def test_mistake_in_the_report_is_not_called_another_version(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_budget", lambda *_: {}["cycles"])
    with pytest.raises(Fault, match=r"KeyError.*please report it"):
        report.build(RECIPE, tiny_run)


def test_what_breaks_its_form_is_not_written(tiny_run, tmp_path):
    found = records.Verification.read(tiny_run)
    with pytest.raises(Fault, match="it passed, or misses something"):
        found.model_copy(update={"passed": False}).write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_numpys_numbers_are_refused_before_they_reach_a_file():
    with pytest.raises(ValueError, match="valid integer"):
        records.Accuracy(top1=1.0, low=0.9, high=1.0, correct=np.int64(3), images=3)


# --- the manifest says what was done ------------------------------------------------------


def test_manifest_of_other_settings_is_refused(tiny_run):
    """It used to write these settings beside a model of others, and `verified: true`."""
    before = (tiny_run / "manifest.json").read_bytes()
    for changes, named in (
        (["train.epochs=3"], "02_train had train.epochs 1, not 3"),
        (["rknn.quantized_algorithm=mmse"], "05_convert had rknn.quantized_algorithm normal, not"),
        (["seed=9"], "01_data had seed 1, not 9"),
        (["verify.max_drop=0.5"], "06_verify had verify.max_drop 0.05, not 0.5"),
    ):
        with pytest.raises(PipelineError, match=named):
            manifest.write(recipe_file.load("smoke", [*TINY, *changes]), tiny_run)
    assert (tiny_run / "manifest.json").read_bytes() == before
    manifest.write(RECIPE, tiny_run)
    assert (tiny_run / "manifest.json").read_bytes() == before


def test_manifest_needs_every_step_and_measurements_of_this_model(finished):
    path = finished / "steps" / "02_train.json"
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(PipelineError, match="02_train has not run to its end"):
        manifest.assemble(RECIPE, finished)
    path.write_bytes(kept)
    change(finished, records.Verification, model_sha256="0" * 64)
    with pytest.raises(PipelineError, match=r"verify\.json is of another model: run 06_verify"):
        manifest.assemble(RECIPE, finished)


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ({"a": {}}, []),
        ({"a": {"seed": 1, "export": recipe_file.dump(RECIPE)["export"]}}, []),
        ({"a": {"seed": 2}}, ["a had seed 2, not 1"]),
        ({"a": {"calibration.images": 50}}, ["a had calibration.images 50, not 100"]),
    ],
)
def test_settings_are_compared_key_by_key(made, found):
    assert manifest.differences(made, RECIPE) == found


def test_a_missed_threshold_is_an_error_of_the_package(tiny_run):
    found = records.Verification.read(tiny_run)
    metrics.require_passed(found)
    missed = {"passed": False, "misses": ["too bad"], "causes": ["the paper"]}
    with pytest.raises(PipelineError, match="too bad; the paper"):
        metrics.require_passed(found.model_copy(update=missed))

"""`evaluate --frames`: what it prints, writes and refuses, on a finished run."""

import csv

import cv2
import numpy as np
import pytest
from support.runs import command_json, last_line, run_command

from mnist_rknn.data import dataset
from mnist_rknn.files import read_json
from mnist_rknn.pipeline import runs
from mnist_rknn.records import FramesEvaluation
from mnist_rknn.redraw import frames as composed
from mnist_rknn.verification import figures, frame_evaluation, frames, report

KINDS = ("plain", "ruled")


@pytest.fixture(scope="module")
def folder(tiny_run, tmp_path_factory):
    """Eight composed frames with boxes, in two groups, and one with far too many digits."""
    place = tmp_path_factory.mktemp("whole frames")
    test = dataset.read_split(tiny_run / "dataset", "test").take(np.arange(200))
    digits = np.stack([cv2.resize(i[:, :, 0], (28, 28)) for i in dataset.read_images(test.files)])
    many = np.full((480, 640, 3), 220, np.uint8)
    for number in range(60):
        at = (16 + 30 * (number % 20), 60 + 90 * (number // 20))
        cv2.putText(many, "3", at, 0, 1.2, (30, 30, 30), 2)
    index, boxes = (
        [["file", "digits", "group", "note"]],
        [["file", "digit", "x", "y", "width", "height"]],
    )
    for number in range(8):
        frame = composed.compose(digits, test.classes, 5, number, KINDS[number % 2])
        name = f"{number}.png"
        cv2.imwrite(str(place / name), frame.picture)
        index.append([name, frame.digits, KINDS[number % 2], "as composed"])
        for digit, box in zip(frame.digits.replace("/", ""), frame.boxes, strict=True):
            boxes.append([name, digit, *map(str, box)])
    cv2.imwrite(str(place / "many.png"), many)
    index.append(["many.png", "", "", ""])
    for name, rows in (("index.csv", index), ("boxes.csv", boxes)):
        with (place / name).open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return place


def test_frames_are_found_read_and_drawn(finished, folder, monkeypatch):
    program = frames.deployed_reader()
    # The tiny run's network is too unsure to believe any digit: here every reading counts.
    monkeypatch.setattr(program, "LEAST", 0)
    monkeypatch.setattr(program, "BELIEF", 0)
    given = frame_evaluation.evaluate(runs.read_recipe(finished), finished, folder)
    target = finished / "evaluate" / folder.name / "frames"
    saved = FramesEvaluation.read(target)
    assert given == saved
    for groups in saved.figures.values():
        assert list(groups) == ["plain", "ruled", "all"]
        assert groups["all"].frames == 9 and groups["all"].recall.share > 0.5
        assert groups["plain"].digits + groups["ruled"].digits == groups["all"].digits
    wrong = saved.wrong["rknn"]
    assert len(wrong) == 9 - saved.figures["rknn"]["all"].right.count
    for row in wrong:
        assert cv2.imread(str(target / row.picture)).shape[0] > 64
    assert [row.file for row in wrong][-1] == "many.png"
    assert len(saved.notes) == 1 and "12 digits more than 48: the first are read" in saved.notes[0]
    # Taken into the report, and into the figures that the texts quote.
    page = report.build(runs.read_recipe(finished), finished).read_text(encoding="utf-8")
    assert "Whole frames of several digits" in page and page.count("data:image/jpeg") >= len(wrong)
    entries, _ = figures.take(finished.parent, {})
    (entry,) = entries.values()
    share = saved.figures["rknn"]["all"].recall.share
    assert entry.figures.frames[folder.name].rknn["recall"].share == pytest.approx(share, abs=1e-6)


def test_a_second_evaluation_leaves_nothing_of_the_first(finished, folder, tmp_path):
    place = tmp_path / "frames"
    place.mkdir()
    cv2.imwrite(str(place / "a.png"), cv2.imread(str(folder / "many.png")))
    (place / "index.csv").write_text("file,digits\na.png,12\n")
    result = run_command("evaluate", "--frames", place, "--run", finished)
    assert result.returncode == 0, result.stderr
    assert "12 digits more than 48" in result.stdout and "found and read %" in result.stdout
    target = finished / "evaluate" / "frames" / "frames"
    assert list(target.glob("wrong_rknn/*.jpg")) != []
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    (place / "index.csv").write_text("file,digits\na.png,one\n")
    result = run_command("evaluate", "--frames", place, "--run", finished)
    assert (result.returncode, result.stdout) == (1, "")
    assert last_line(result) == result.stderr.strip().splitlines()[0]  # one line
    assert "index.csv, line 2: digits 'one' holds 'e'" in last_line(result)
    assert before == {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    cv2.imwrite(str(place / "a.png"), np.full((300, 300, 3), 220, np.uint8))
    (place / "index.csv").write_text("file,digits\na.png,\n")
    assert run_command("evaluate", "--frames", place, "--run", finished).returncode == 0
    assert list(target.glob("wrong_*")) == []
    assert read_json(target / "results.json")["wrong"] == {"slim": [], "rknn": []}


@pytest.mark.parametrize("size", [(1, 1), (300, 8), (8, 300), (15, 15)])
def test_frames_too_small_for_a_digit_hold_none(finished, tmp_path, size):
    """No error: a frame of the index is measured, however small."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full(size, 220, np.uint8))
    (tmp_path / "index.csv").write_text("file,digits\na.png,3\n")
    found = command_json("evaluate", "--frames", tmp_path, "--run", finished)["frames"]
    assert found["wrong"]["rknn"][0]["answer"] == ""
    assert found["figures"]["rknn"]["all"]["edits"]["share"] == 1


def test_pictures_and_frames_at_once_or_neither_is_a_wrong_command_line(finished, folder):
    for given in ((), (folder, "--frames", folder)):
        result = run_command("evaluate", *given, "--run", finished)
        assert result.returncode == 2 and "IMAGES, --frames FOLDER or --pen FILE" in last_line(
            result
        )


def test_a_model_of_other_classes_reads_no_frames(finished, folder):
    (finished / "labels.txt").write_text("circle\nsquare\n")
    result = run_command("evaluate", "--frames", folder, "--run", finished)
    assert result.returncode == 1 and "has a class 'circle'" in last_line(result)
    result = run_command("evaluate", "--frames", folder / "none", "--run", finished)
    assert result.returncode == 1 and len(result.stderr.strip().splitlines()) == 1

"""Digits that were recorded as pen trajectories: what is read, refused, drawn and counted."""

import gzip
import json
import shutil

import cv2
import numpy as np
import pytest
from support.runs import last_line, run_command

from mnist_rknn.errors import PipelineError
from mnist_rknn.files import read_json
from mnist_rknn.redraw import ways
from mnist_rknn.redraw.fields import rng_for
from mnist_rknn.verification import pen, pen_files

LABELS = [str(digit) for digit in range(10)]
GOOD = {"label": 7, "donor": "here", "writer": 3, "strokes": [[[0, 0], [600, 0], [200, 1000]]]}


def written(path, rows):
    lines = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())
    return path


@pytest.mark.parametrize("name", ["digits.jsonl", "digits.jsonl.gz"])
def test_a_file_and_the_folder_it_lies_in_mean_the_same(tmp_path, name):
    (tmp_path / "README.md").write_text("about them")
    file = written(tmp_path / name, [GOOD, "\n", GOOD | {"label": "3", "writer": "Li"}])
    for path in (file, tmp_path):
        first, second = pen_files.read(path, LABELS)
        assert (first.label, first.site, first.writer, first.line) == ("7", "here", "3", 1)
        assert (second.label, second.writer, second.line) == ("3", "Li", 3)
        assert first.strokes[0].shape == (3, 2)
    assert pen_files.name_of(file) == "digits"
    assert pen_files.name_of(tmp_path) == tmp_path.name


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("no json\n", "not JSON"),
        ("[1, 2]\n", "not an object with the keys label, donor, writer, strokes"),
        ('{"label": 7, "donor": "a", "writer": 1, "strokes": [[[0, NaN], [1, 1]]]}\n', "NaN"),
        ('{"label": 7, "donor": "a", "writer": 1, "strokes": [[[0, 1e999], [1, 1]]]}\n', "finite"),
        ({key: GOOD[key] for key in ("donor", "writer", "strokes")}, "there is no label"),
        ({key: GOOD[key] for key in ("label", "donor", "writer")}, "there is no strokes"),
        (GOOD | {"label": 11}, "the model has no class 11; its classes are 0, 1"),
        (GOOD | {"label": True}, "the model has no class True"),
        (GOOD | {"label": None}, "the model has no class None"),
        (GOOD | {"pressure": 3}, "unknown key 'pressure'"),
        (GOOD | {"donor": ""}, "donor is ''"),
        (GOOD | {"donor": "all"}, "donor is 'all'"),
        (GOOD | {"writer": [1]}, "writer is [1]"),
        (GOOD | {"strokes": []}, "strokes is empty"),
        (GOOD | {"strokes": "0,0 1,1"}, "strokes is empty: write a list"),
        (GOOD | {"strokes": [[[0, 0], [1, 1]], []]}, "stroke 2 is empty"),
        (GOOD | {"strokes": [[[0, 0, 0]]]}, "stroke 1 has the point [0, 0, 0]"),
        (GOOD | {"strokes": [[0, 0]]}, "stroke 1 has the point 0"),
        (GOOD | {"strokes": [[["0", "0"]]]}, "stroke 1 has the point ['0', '0']"),
        (GOOD | {"strokes": [[[0, 2e9], [0, 0]]]}, "within 1,000,000"),
        (GOOD | {"strokes": [[[5, 5], [5, 5]], [[5, 5]]]}, "all points are one"),
    ],
)
def test_a_line_that_is_no_digit_is_named(tmp_path, row, expected):
    with pytest.raises(PipelineError) as error:
        pen_files.read(written(tmp_path / "a.jsonl", [GOOD, row]), LABELS)
    assert expected in str(error.value) and "a.jsonl, line 2" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_none_is_named(tmp_path):
    def refusal(path):
        with pytest.raises(PipelineError) as error:
            pen_files.read(path, LABELS)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "is not there" in refusal(tmp_path / "b.jsonl")
    assert "found: none" in refusal(tmp_path)
    assert "holds no digit" in refusal(written(tmp_path / "b.jsonl", ["\n"]))
    written(tmp_path / "a.jsonl.gz", [GOOD])
    assert "found: a.jsonl.gz, b.jsonl" in refusal(tmp_path)
    (tmp_path / "c.jsonl.gz").write_bytes(b"<!doctype html><title>log in</title>")
    assert "c.jsonl.gz is a web page" in refusal(tmp_path / "c.jsonl.gz")
    cut = gzip.compress(b"{}" * 9999)[:-12]
    (tmp_path / "c.jsonl.gz").write_bytes(cut)
    assert "cannot be read" in refusal(tmp_path / "c.jsonl.gz")
    (tmp_path / "d.jsonl").write_bytes(b"\xff\xfe\x00")
    assert "is cut short or damaged" in refusal(tmp_path / "d.jsonl")
    assert "not called .jsonl" in refusal(written(tmp_path / "digits.txt", [GOOD]))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gbk"])
def test_content_says_how_a_file_is_packed_and_encoded(tmp_path, name, pack, encoding):
    rows = "\r\n".join(["", *2 * [json.dumps(GOOD | {"writer": "书写"}, ensure_ascii=False)]])
    (tmp_path / name).write_bytes(pack(rows.encode(encoding)))
    digits = pen_files.read(tmp_path, LABELS)
    assert [(digit.line, digit.writer) for digit in digits] == [(2, "书写"), (3, "书写")]


def test_intervals_are_of_writers_and_not_of_digits():
    """A hundred digits of ten writers, of whom one is never read, say little about an eleventh."""
    right = np.ones(100, bool)
    right[:10] = False
    few = pen._accuracy(right, np.repeat(np.arange(10), 10))
    many = pen._accuracy(right, np.arange(100))
    assert few.top1 == many.top1 == 0.9
    assert few.high - few.low > 1.5 * (many.high - many.low)


@pytest.fixture
def trajectories(tmp_path):
    """Forty digits of two sites in the test world's own ways, as a set of its own."""
    rows = []
    for number in range(40):
        label = ways.LABELS[number % len(ways.LABELS)]
        strokes = [
            np.round(1000 * line).tolist() for line in ways.lines_of(label, rng_for(1, number))
        ]
        site, writer = ("north", number % 9) if number % 4 else ("south", 1)
        rows.append({"label": label, "donor": site, "writer": writer, "strokes": strokes})
    folder = tmp_path / "pens"
    folder.mkdir()
    written(folder / "set.jsonl.gz", rows)
    return folder


def test_evaluate_reads_trajectories_and_the_report_shows_them(finished, trajectories):
    result = run_command("evaluate", "--pen", str(trajectories), "--run", str(finished))
    assert result.returncode == 0, result.stderr
    for text in ("drawn clean", "simulated camera", "site north", "site south", "digit 8"):
        assert text in result.stdout
    target = finished / "evaluate" / "pens" / "pen"
    saved = read_json(target / "results.json")
    assert saved["writers"] == {"north": 9, "south": 1, "all": 10}
    for drawing in ("clean", "camera"):
        figures = saved["figures"][drawing]
        for stage in ("slim", "rknn"):
            drawn = figures["sites"][stage]["all"]
            assert drawn["images"] + figures["illegible"] == 40
            assert len(saved["wrong"][drawing][stage]) == drawn["images"] - drawn["correct"]
            sites = [figures["sites"][stage][site] for site in ("north", "south")]
            assert sum(row["correct"] for row in sites) == drawn["correct"]
            shown = cv2.imread(str(target / f"{drawing}_wrong_{stage}.png"))
            assert shown is not None
        assert cv2.imread(str(target / f"{drawing}_confusion.png")) is not None
    assert saved["figures"]["clean"]["illegible"] == 0
    assert run_command("report", "--run", str(finished)).returncode == 0
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "pen trajectories: pens" in page and "site south" in page
    # Asked again it is asked the same pictures.
    again = run_command(
        "evaluate", "--pen", str(trajectories / "set.jsonl.gz"), "--run", str(finished)
    )
    assert again.returncode == 0
    assert read_json(finished / "evaluate" / "set" / "pen" / "results.json") == saved


def test_bad_trajectories_leave_nothing_behind(finished, trajectories):
    with gzip.open(trajectories / "set.jsonl.gz", "at") as file:
        file.write(json.dumps(GOOD | {"label": 12}) + "\n")
    before = sorted(finished.rglob("*"))
    result = run_command("evaluate", "--pen", str(trajectories), "--run", str(finished))
    assert result.returncode == 1 and "line 41" in last_line(result)
    assert "no class 12" in last_line(result) and "Traceback" not in result.stderr
    assert sorted(finished.rglob("*")) == before


def test_evaluate_wants_one_kind_of_input(finished, trajectories):
    for given in ((), (str(trajectories), "--pen", str(trajectories))):
        result = run_command("evaluate", *given, "--run", str(finished))
        assert result.returncode != 0 and "say which pictures" in result.stderr
    shutil.rmtree(trajectories)
    result = run_command("evaluate", "--pen", str(trajectories), "--run", str(finished))
    assert result.returncode == 1 and "is not there" in last_line(result)

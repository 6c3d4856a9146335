"""Folders of camera frames: what is refused, and that the figures count what they say."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mnist_rknn.errors import PipelineError
from mnist_rknn.verification import frames


@pytest.fixture
def folder(tmp_path):
    """Two frames, the second without boxes of its own group."""
    picture = np.full((60, 80, 3), 200, np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    cv2.imwrite(str(tmp_path / "b.png"), picture)
    (tmp_path / "index.csv").write_text("file,digits,group\na.png,12/3,ruled\nb.png,4,plain\n")
    (tmp_path / "boxes.csv").write_text(
        "file,digit,x,y,width,height\n"
        "a.png,1,0,0,4,20\na.png,2,20,0,10,20\na.png,3,0,30,10,20\nb.png,4,5,5,20,30\n"
    )
    return tmp_path


def refused(folder):
    with pytest.raises(PipelineError) as mistake:
        for frame in frames.read_index(folder):
            frames.read_frame(frame)
    assert "\n" not in str(mistake.value)
    return str(mistake.value)


def test_lines_groups_and_boxes_of_an_index_are_read(folder):
    first, second = frames.read_index(folder)
    assert (first.digits, first.group, second.digits) == ("123", "ruled", "4")
    assert first.boxes == ((0, 0, 4, 20), (20, 0, 10, 20), (0, 30, 10, 20))
    (folder / "boxes.csv").unlink()
    (folder / "index.csv").write_text("file,digits\na.png,\n")
    (blank,) = frames.read_index(folder)
    assert (blank.digits, blank.group, blank.boxes) == ("", "all frames", None)


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("index.csv", "file,label\na.png,1\n", "no column digits"),
        ("index.csv", "file,digits\na.png,1x\n", "line 2: digits '1x'"),
        ("index.csv", "file,digits\nnone.png,1\n", "there is no file none.png"),
        ("index.csv", "file,digits\na.png,123\na.png,123\n", "twice"),
        ("index.csv", "file,digits\n", "lists no frame"),
        ("index.csv", "file,digits\na.png\n", "line 2: fewer than 2 fields"),
        ("boxes.csv", "file,digit,x,y,width,height\na.png,1,0,0,4,20\n", "not those of index.csv"),
        ("boxes.csv", "file,digit,x,y,width,height\na.png,1,0,0,wide,20\n", "four whole numbers"),
        ("boxes.csv", "file,digit,x,y,width,height\na.png,1,-1,0,4,20\n", "no box of a frame"),
    ],
)
def test_an_index_that_cannot_be_right_is_refused_in_one_line(folder, file, content, complaint):
    (folder / file).write_text(content)
    assert complaint in refused(folder)


def test_frames_that_are_no_pictures_are_refused_in_one_line(folder):
    (folder / "boxes.csv").write_text(
        "file,digit,x,y,width,height\n"
        "a.png,1,0,0,4,20\na.png,2,20,0,10,20\na.png,3,0,30,10,20\nb.png,4,70,5,20,30\n"
    )
    assert "outside b.png, 80 x 60" in refused(folder)
    (folder / "boxes.csv").unlink()
    cv2.imwrite(str(folder / "b.png"), np.zeros((9, 9), np.uint16))
    assert "16 bits" in refused(folder)
    (folder / "b.png").write_bytes(b"no picture")
    assert "not a picture" in refused(folder)


def test_gray_frames_and_frames_with_an_alpha_channel_are_read_as_bgr(folder):
    cv2.imwrite(str(folder / "a.png"), np.full((60, 80), 7, np.uint8))
    cv2.imwrite(str(folder / "b.png"), np.full((60, 80, 4), 7, np.uint8))
    for frame in frames.read_index(folder):
        assert frames.read_frame(frame).shape == (60, 80, 3)


def test_a_thin_digit_is_found_where_its_middle_is_met():
    assert frames.overlap((10, 0, 2, 50), (10, 0, 2, 50)) == 1
    assert frames.overlap((10, 0, 2, 50), (14, 0, 3, 50)) > 0.5  # no pixel in common
    assert frames.overlap((10, 0, 30, 50), (60, 0, 30, 50)) == 0
    assert frames.matches([(0, 0, 9, 9), (0, 0, 9, 8)], [(0, 0, 9, 8)]) == [(1, 0)]


def test_edit_distance_counts_missing_added_and_wrong_digits():
    pairs = [("", "", 0), ("123", "13", 1), ("123", "1243", 1), ("123", "193", 1), ("", "42", 2)]
    for one, other, distance in pairs:
        assert frames.edit_distance(one, other) == distance


def test_figures_of_a_locator_that_finds_two_of_three(folder):
    index = frames.read_index(folder)
    image = SimpleNamespace(height=48, width=48, color_order="rgb")

    def read(picture, classify):
        assert classify(picture[:10, :10])[0] == 2  # what `predict` below says
        return [
            SimpleNamespace(label=1, box=(0, 0, 4, 20)),
            SimpleNamespace(label=7, box=(20, 0, 10, 20)),
        ]

    found = frames.answers(
        index, SimpleNamespace(read=read), lambda pictures: np.eye(10)[[2]] * 9, image
    )
    result = frames.figures(index, found)
    ruled = result["ruled"]
    assert (ruled["recall"]["count"], ruled["recall"]["of"]) == (2, 3)
    assert (ruled["precision"]["count"], ruled["precision"]["of"]) == (2, 2)
    assert (ruled["read"]["count"], ruled["right"]["count"]) == (1, 0)
    assert ruled["edits"] == pytest.approx(2 / 3)
    assert result["all"]["digits"] == 4 and list(result) == ["plain", "ruled", "all"]
    assert ruled["recall"]["low"] < 2 / 3 < ruled["recall"]["high"]
    assert frames.table(result).shape == (3, 7)


def test_the_boards_own_program_is_what_is_measured(folder):
    picture = np.full((240, 320, 3), 220, np.uint8)
    cv2.putText(picture, "7", (120, 170), 0, 4, (40, 40, 40), 8, cv2.LINE_AA)
    cv2.imwrite(str(folder / "a.png"), picture)
    (folder / "index.csv").write_text("file,digits\na.png,7\n")
    (folder / "boxes.csv").unlink()
    image = SimpleNamespace(height=48, width=48, color_order="rgb")
    index = frames.read_index(folder)
    found = frames.answers(
        index, frames.deployed_reader(), lambda pictures: np.eye(10)[[7]] * 9, image
    )
    assert [answer.digits for answer in found] == ["7"]
    assert frames.figures(index, found)["all"]["right"]["count"] == 1

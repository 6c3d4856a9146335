"""Folders of camera frames: what is refused, and that the figures count what they say."""

import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mnist_rknn.errors import PipelineError
from mnist_rknn.verification import frame_folders, frames, metrics


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
        for frame in frame_folders.read_index(folder):
            frame_folders.read_frame(frame)
    assert "\n" not in str(mistake.value)
    return str(mistake.value)


def test_lines_groups_and_boxes_of_an_index_are_read(folder):
    first, second = frame_folders.read_index(folder)
    assert (first.digits, first.group, second.digits) == ("123", "ruled", "4")
    assert first.boxes == ((0, 0, 4, 20), (20, 0, 10, 20), (0, 30, 10, 20))
    (folder / "boxes.csv").unlink()
    (folder / "index.csv").write_text("file,digits\na.png,\n")
    (blank,) = frame_folders.read_index(folder)
    assert (blank.digits, blank.group, blank.boxes) == ("", "all", None)


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("index.csv", "file,label\na.png,1\n", "needs the columns file,digits; its first line is"),
        ("index.csv", "file,digits\na.png,1x\n", "line 2: digits '1x' holds 'x'"),
        ("index.csv", "", "its first line is empty"),
        ("index.csv", "file,digits\n,123\n", "line 2: 2 of 2 cells, file is missing"),
        ("index.csv", "file,digits\nnone.png,1\n", "there is no file none.png"),
        ("index.csv", "file,digits\na.png,123\na.png,123\n", "twice"),
        ("index.csv", "file,digits\n", "lists no frame"),
        ("index.csv", "file,digits\na.png\n", "line 2: 1 of 2 cells, digits is missing"),
        ("index.csv", 'file,digits\n"a.png,123\n', "line 2: a quote is not closed"),
        ("index.csv", "file,digits\na.png,1\n".encode("utf-16")[:-1], "save it as UTF-8"),
        (
            "boxes.csv",
            "file,digit,x,y,width,height\na.png,1,0,0,4,20\n",
            "of a.png are 1, and those",
        ),
        ("boxes.csv", "file,digit,x,y,width,height\n", "of a.png are not there, and those"),
        ("boxes.csv", "file,digit,x,y,width,height\na.png,1,0,0,wide,20\n", "four whole numbers"),
        ("boxes.csv", "file,digit,x,y,width,height\na.png,1,-1,0,4,20\n", "no box of a frame"),
    ],
)
def test_an_index_that_cannot_be_right_is_refused_in_one_line(folder, file, content, complaint):
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert complaint in refused(folder)


@pytest.mark.parametrize(
    ("index", "encoding"),
    [
        ("file;digits;group\r\n数字.png;12/3;格子纸\r\n", "gbk"),
        ("sep=,\nFile, Digits ,group,\n.\\数字.png, 12/3 ,格子纸,\n,,,\n", "utf-8-sig"),
        ("file\tdigits\tgroup\n数字.png\t12/3\t格子纸\n", "utf-16"),
    ],
)
def test_an_index_is_read_as_spreadsheets_write_it(folder, index, encoding):
    (folder / "boxes.csv").unlink()
    (folder / "a.png").rename(folder / "数字.png")
    (folder / "index.csv").write_bytes(index.encode(encoding))
    (frame,) = frame_folders.read_index(folder)
    assert (frame.file.name, frame.text, frame.group) == ("数字.png", "12/3", "格子纸")


def test_boxes_that_belong_to_no_frame_are_refused(folder):
    known = (folder / "boxes.csv").read_text()
    (folder / "boxes.csv").write_text(known + "c.png,4,5,5,20,30\n")
    assert "c.png is not in index.csv" in refused(folder)
    (folder / "boxes.csv").write_text(known.replace("b.png,4,5,5,20,30", "b.png,4,70,5,20,30"))
    assert "outside b.png, 80 x 60" in refused(folder)


def png(width, height):
    """A PNG that says it is of this size, and has hardly a pixel."""

    def chunk(name, content):
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"0"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no picture", "b.png is not a picture that can be read"),
        (b"", "b.png is not a picture that can be read"),
        (png(0, 40), "b.png is not a picture that can be read"),
        (png(10_000, 10_000), "b.png: 10000 x 10000 pixels are no camera frame"),
        (png(60_000, 60_000), "b.png is not a picture that can be read: far too many pixels"),
        (cv2.imencode(".png", np.zeros((9, 9), np.uint16))[1].tobytes(), "b.png has 16 bits"),
        (cv2.imencode(".png", np.zeros((9, 9, 3), np.uint16))[1].tobytes(), "b.png has 16 bits"),
        (cv2.imencode(".png", np.zeros((99, 99), np.uint8))[1].tobytes()[:60], "b.png is not a"),
    ],
    ids=("text", "empty", "0xN", "100-MP", "3600-MP", "16-bit", "16-bit-colours", "cut-short"),
)
def test_frames_that_are_no_pictures_are_refused_in_one_line(folder, content, complaint, recwarn):
    (folder / "b.png").write_bytes(content)
    assert complaint in refused(folder)
    assert not recwarn.list


def test_gray_frames_and_frames_with_an_alpha_channel_are_read_as_bgr(folder):
    cv2.imwrite(str(folder / "a.png"), np.full((60, 80), 7, np.uint8))
    cv2.imwrite(str(folder / "b.png"), np.full((60, 80, 4), 7, np.uint8))
    for frame in frame_folders.read_index(folder):
        assert frame_folders.read_frame(frame).shape == (60, 80, 3)


def test_a_thin_digit_is_found_where_its_middle_is_met():
    assert frames.overlap((10, 0, 2, 50), (10, 0, 2, 50)) == 1
    assert frames.overlap((10, 0, 2, 50), (14, 0, 3, 50)) > 0.5  # no pixel in common
    assert frames.overlap((10, 0, 30, 50), (60, 0, 30, 50)) == 0
    assert frames.matches([(0, 0, 9, 9), (0, 0, 9, 8)], [(0, 0, 9, 8)]) == [(1, 0)]


def test_edit_distance_counts_missing_added_and_wrong_digits():
    pairs = [("", "", 0), ("123", "13", 1), ("123", "1243", 1), ("123", "193", 1), ("", "42", 2)]
    for one, other, distance in pairs:
        assert frames.edit_distance(one, other) == distance


def answer(digits, *boxes, more=0):
    return frames.Answer(digits, boxes, (0.9,) * len(boxes), more)


def test_figures_of_a_reader_that_finds_two_of_three(folder):
    index = frame_folders.read_index(folder)
    found = [answer("17", (0, 0, 4, 20), (20, 0, 10, 20)), answer("4", (5, 5, 20, 30))]
    result = frames.figures(index, found)
    ruled = result["ruled"]
    assert (ruled.recall.count, ruled.recall.of) == (2, 3)
    assert (ruled.precision.count, ruled.precision.of) == (2, 2)
    assert (ruled.read.count, ruled.right.count) == (1, 0)
    assert ruled.edits.share == pytest.approx(2 / 3)
    assert (result["all"].digits, result["all"].right.count) == (4, 1)
    assert list(result) == ["plain", "ruled", "all"]
    assert ruled.recall.low < 2 / 3 < ruled.recall.high
    assert frames.table(result).shape == (3, 7)
    more = frames.figures(index, [found[0], answer("4", (5, 5, 20, 30), more=1)])
    assert more["all"].right.count == 0


def test_doubt_refuses_what_is_read_with_a_low_score_right_or_wrong(folder):
    index = frame_folders.read_index(folder)
    found = [
        frames.Answer("17", ((0, 0, 4, 20), (20, 0, 10, 20)), (0.72, 0.72)),
        frames.Answer("44", ((5, 5, 20, 30), (60, 5, 9, 30)), (0.95, 0.3)),  # one is nowhere
    ]
    by_threshold = {row.threshold: row for row in frames.doubts(index, found)}
    low, high = by_threshold[0.7], by_threshold[0.8]
    assert (low.wrong, low.wrong_kept, low.right, low.right_refused) == (2, 1, 2, 0)
    assert (high.wrong_kept, high.right_refused) == (0, 1)
    (folder / "boxes.csv").unlink()
    assert frames.doubts(frame_folders.read_index(folder), found) == []


def test_intervals_widen_where_the_digits_of_a_frame_fail_together():
    together, apart = [0, 10] * 10, [5] * 18 + [4, 6]
    low, high = metrics.resampled(together, [10] * 20)
    assert low < 0.35 and high > 0.65
    assert metrics.resampled(together, [10] * 20) == (low, high)
    low, high = metrics.resampled(apart, [10] * 20)
    assert 0.46 < low < 0.5 < high < 0.54
    # All alike, or few: nothing to draw from, so as many trials as there are frames.
    assert metrics.resampled([10] * 20, [10] * 20) == metrics.wilson(20, 20)
    assert metrics.resampled([3, 5], [10, 5]) == metrics.wilson(1, 2)


def test_the_boards_own_program_is_what_is_measured():
    picture = np.full((240, 320, 3), 220, np.uint8)
    cv2.putText(picture, "7", (120, 170), 0, 4, (40, 40, 40), 8, cv2.LINE_AA)
    image = SimpleNamespace(height=48, width=48, color_order="rgb")
    calls = []

    def predict(pictures):
        calls.append(len(pictures))
        return np.eye(10)[[7] * len(pictures)] * 9

    ((found,), (other,)) = frames.answers([picture], [predict, predict], image, "0123456789")
    assert found.digits == "7" and found == other and found.scores[0] > 0.99
    assert calls[0] >= 1 and len(calls) == 2  # one round each, as nothing is cut


def touching(count):
    """A frame in which `count` rings touch in a row."""
    picture = np.full((240, 90 * count + 60, 3), 220, np.uint8)
    for number in range(count):
        middle = (75 + 70 * number, 120)
        cv2.ellipse(picture, middle, (35, 70), 0, 0, 360, (40, 40, 40), 8, cv2.LINE_AA)
    return picture


def test_crops_asked_in_rounds_give_what_asking_one_by_one_gives():
    """A ring is a sure 0; the wider it is, the less sure: so rings are cut, and cut again."""
    image = SimpleNamespace(height=48, width=48, color_order="bgr")
    pictures = [touching(2), touching(1), touching(3)]

    def logits(crops):
        dark = crops.min(axis=3) < 150
        aspect = dark.any(axis=1).sum(axis=1) / np.maximum(dark.any(axis=2).sum(axis=1), 1)
        return np.eye(10)[0] * 4 * (1.6 - aspect[:, None])

    rounds = []

    def predict(crops):
        rounds.append(len(crops))
        return logits(crops)

    def classify(crop):
        chances = metrics.probabilities(logits(frames.as_input(crop, image)[None]))[0]
        return int(chances.argmax()), float(chances.max())

    program = frames.deployed_reader()
    (together,) = frames.answers(pictures, [predict], image, "0123456789")
    for picture, answer in zip(pictures, together, strict=True):
        one_by_one = program.read(picture, classify)
        assert answer.boxes == tuple(digit.box for digit in one_by_one)
        assert answer.digits == "".join(str(digit.label) for digit in one_by_one)
    assert sum(len(answer.digits) for answer in together) > len(pictures)
    assert 1 < len(rounds) < sum(rounds)


def test_a_page_with_too_many_digits_says_how_many_were_left_out():
    page = np.full((480, 640, 3), 220, np.uint8)
    for number in range(200):
        y, x = 30 + 44 * (number // 20), 16 + 30 * (number % 20)
        cv2.putText(page, "3", (x, y), 0, 0.9, (30, 30, 30), 2)
    image = SimpleNamespace(height=48, width=48, color_order="rgb")
    ((found,),) = frames.answers(
        [page], [lambda p: np.eye(10)[[3] * len(p)] * 9], image, "0123456789"
    )
    assert (len(found.digits), found.more) == (48, 152)
    assert found.text.endswith("and 152 more")
    assert max(y for _, y, _, _ in found.boxes) < 200  # the first in reading order

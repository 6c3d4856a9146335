"""The digit locator of the module's programs: what it finds, and that Python and C++ agree."""

import csv
import itertools
import sys
from collections import defaultdict

import cv2
import numpy as np
import pytest
from support import digit_frames as frames
from support import twins
from support.runs import PROJECT

from mnist_rknn.redraw.sheets import sheet_of

sys.path.insert(0, str(PROJECT / "deploy" / "python"))
from locator import CROP, MOST_DIGITS, Page, crop, locate
from reading import read, read_page

PHOTOS = PROJECT.parent / "shared" / "real-digits-dev"
FRAMES = 12  # of each kind
SIZES = ((480, 640), (720, 1280))


@pytest.fixture(scope="module")
def photos():
    """Group -> [(label, picture)] of the development photographs."""
    if not (PHOTOS / "index.csv").is_file():
        pytest.skip("needs the development photographs in ../shared")
    groups = defaultdict(list)
    with (PHOTOS / "index.csv").open() as file:
        for row in csv.DictReader(file):
            groups[row["group"]].append((row["label"], cv2.imread(str(PHOTOS / row["file"]))))
    return groups


def written(
    number, print_name="plain", part=(0.12, 0.28), darkness=(0.35, 0.9), pen=None, gap=0.35
):
    """A frame with one or two lines of drawn digits, and their boxes."""
    rng = np.random.default_rng([number, len(print_name)])
    height, width = SIZES[number % 2]
    sheet = frames.paper(rng, height, width, print_name)
    tall = int(height * rng.uniform(*part))
    pen = pen or str(rng.choice(["ballpoint", "pencil", "marker"]))
    dark = rng.uniform(*darkness)
    lines = []
    for _ in range(1 if tall * 3.4 > height else 2):
        line = [
            frames.drawn_ink(rng, int(tall * rng.uniform(0.85, 1.1)), pen) * dark for _ in range(5)
        ]
        while sum(ink.shape[1] + 0.4 * tall for ink in line) > 0.9 * width:
            line.pop()
        lines.append(line)
    boxes = frames.place(rng, sheet, lines, gap)
    return sheet, boxes, rng


def share_found(cases):
    """Part of the frames in which exactly the written digits are found, in reading order."""
    right = 0
    for frame, boxes in cases:
        found = locate(frame)
        right += len(found) == len(boxes) and all(
            frames.overlap(a, b) > 0.5 for a, b in zip(found, boxes, strict=True)
        )
    return right / len(cases)


def developed(**kwargs):
    cases = []
    for number in range(FRAMES):
        sheet, boxes, rng = written(number, **kwargs)
        cases.append((frames.develop(rng, sheet, rng.uniform(0.6, 1.6)), boxes))
    return cases


def exercise(number, kind, world="development"):
    """A frame of an exercise book or a form, and the boxes of the digits drawn on it."""
    rng = np.random.default_rng([number, len(kind)])
    sheet = sheet_of(kind, rng, 480, 640, world).planes
    tall = int(rng.uniform(50, 90))
    line = [frames.drawn_ink(rng, tall, "ballpoint") * 0.85 for _ in range(4)]
    boxes = frames.place(rng, sheet, [line], 0.5)
    return frames.develop(rng, sheet * np.float32(0.8)), boxes


@pytest.mark.parametrize("kind", ["ruled", "squared"])
def test_digits_on_exercise_books_are_found_between_and_on_the_lines(kind):
    cases = [exercise(number, kind, "test") for number in range(2 * FRAMES)]
    found = true = 0
    for frame, boxes in cases:
        here = locate(frame)
        true += len(boxes)
        found += sum(any(frames.overlap(box, other) > 0.5 for other in here) for box in boxes)
    assert found >= 0.9 * true


@pytest.mark.parametrize(
    ("share", "kwargs"),
    [
        (0.95, {}),
        (0.95, {"gap": 0.18}),
        (0.90, {"part": (0.07, 0.10)}),
        (0.90, {"pen": "pencil", "darkness": (0.22, 0.4)}),
        (0.95, {"print_name": "table"}),
        (0.95, {"print_name": "woven"}),
        (0.95, {"print_name": "crumpled"}),
        (0.95, {"print_name": "hatched"}),
        (0.50, {"print_name": "squared"}),
        (0.80, {"print_name": "ruled"}),
    ],
    ids=(
        "plain",
        "tight",
        "small",
        "faint",
        "table",
        "woven",
        "crumpled",
        "hatched",
        "squared",
        "ruled",
    ),
)
def test_drawn_digits_are_found_each_once_and_in_reading_order(share, kwargs):
    assert share_found(developed(**kwargs)) >= share


def test_shadow_edge_and_the_borders_of_the_sheet_are_no_digits():
    cases = []
    for number in range(2 * FRAMES):
        sheet, boxes, rng = written(number)
        height, width = sheet.shape[:2]
        if number % 2:
            sheet = frames.shadow(rng, sheet)
        else:
            corners = ((width / 2, height / 2), (width * 1.02, height * 0.98), rng.uniform(-6, 6))
            on_sheet = np.zeros((height, width), np.uint8)
            cv2.fillPoly(on_sheet, [cv2.boxPoints(corners).astype(int)], 1)
            sheet = np.where(on_sheet[:, :, None], sheet, np.float32(0.18))
        cases.append((frames.develop(rng, sheet), boxes))
    assert share_found(cases) >= 0.8  # what fails are digits that the edge runs across


def test_printed_frames_around_digits_are_not_taken_for_digits():
    cases = []
    for number in range(FRAMES):
        sheet, boxes, rng = written(number, gap=0.5)
        for x, y, w, h in boxes:
            edge = int(0.15 * h)
            cv2.rectangle(sheet, (x - edge, y - edge), (x + w + edge, y + h + edge), [0.2] * 3, 2)
        cases.append((frames.develop(rng, sheet), boxes))
    assert share_found(cases) >= 0.9


def test_chalk_on_a_dark_board_is_found():
    cases = []
    for number in range(FRAMES):
        sheet, boxes, rng = written(number, darkness=(0.5, 0.9))
        cases.append((frames.develop(rng, (0.95 - sheet) * 0.6), boxes))
    assert share_found(cases) >= 0.8


def test_loose_bar_of_a_five_belongs_to_it_and_neighbours_stay_apart():
    page = np.full((480, 640, 3), 210, np.uint8)
    body = np.array([(110, 150), (110, 210), (170, 215), (185, 260), (165, 300), (105, 305)])
    for left in (0, 110):
        cv2.polylines(page, [np.add(body, (left, 0))], False, (60, 60, 60), 7, cv2.LINE_AA)
        cv2.line(page, (115 + left, 135), (180 + left, 128), (60, 60, 60), 7, cv2.LINE_AA)
    boxes = locate(page)
    assert len(boxes) == 2 and boxes[0][0] < boxes[1][0]
    for _, y, _, h in boxes:
        assert y <= 130 and y + h >= 303


def test_empty_pages_have_no_digit_and_noise_no_flood():
    rng = np.random.default_rng(1)
    for height, width in (*SIZES, (128, 128)):
        for _ in range(5):
            empty = frames.develop(rng, frames.paper(rng, height, width))
            assert locate(empty) == []
            dim = frames.develop(rng, 0.3 * frames.paper(rng, height, width), noise=0.06)
            assert locate(dim) == []
            noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            assert len(locate(noise)) <= 3
    assert locate(np.zeros((480, 640, 3), np.uint8)) == locate(np.zeros((3, 5, 3), np.uint8)) == []
    spots = np.full((480, 640, 3), 220, np.uint8)
    for y in range(20, 470, 40):
        for x in range(20, 630, 40):
            cv2.putText(spots, "8", (x, y + 24), 0, 0.9, (30, 30, 30), 2)
    page = Page(spots)
    assert len(page.boxes) == MOST_DIGITS and page.more > 100
    assert max(y for _, y, _, _ in page.boxes) < 200  # the first in reading order


def test_crop_holds_one_digits_ink_on_the_tone_of_its_paper():
    alone = np.full((480, 640, 3), (180, 210, 220), np.uint8)
    page = alone.copy()
    for y in range(20, 480, 40):
        cv2.line(page, (0, y), (639, y + 4), (200, 170, 140), 2, cv2.LINE_AA)
    for sheet, text in ((alone, "8"), (page, "811")):  # with neighbours and lines, and without
        cv2.putText(sheet, text, (200, 300), 0, 5, (40, 40, 40), 9, cv2.LINE_AA)
    box, *others = locate(page)
    assert len(others) == 2
    expected, found = crop(alone, locate(alone)[0]), crop(page, box)
    assert found.shape[0] == found.shape[1] <= CROP and found.dtype == np.uint8
    corner = found[:4, :4].reshape(-1, 3)
    assert np.abs(corner.astype(int) - (180, 210, 220)).max() <= 6
    size = min(len(expected), len(found))
    resized = [cv2.resize(picture, (size, size)).astype(int) for picture in (expected, found)]
    assert np.abs(resized[0] - resized[1]).mean() < 8


def test_light_digits_on_a_dark_board_become_dark_on_light():
    board = np.full((240, 320, 3), 40, np.uint8)
    cv2.putText(board, "3", (120, 170), 0, 4, (230, 230, 230), 8, cv2.LINE_AA)
    picture = crop(board, locate(board)[0])
    assert picture[0, 0].min() > 180 and picture.min() < 90


def ring_reader(picture):
    """A ring in the middle of its picture is a sure 0; what is wider is not sure."""
    inked = (picture.min(axis=2) < 120).any(axis=0)
    wide = np.count_nonzero(inked) > 0.5 * len(inked)
    return (8, 0.4) if wide else (0, 0.9)


def test_of_digits_that_touch_no_more_are_read_than_of_others():
    """30 boxes hold 60 digits."""
    page = np.full((480, 640, 3), 220, np.uint8)
    for number in range(30):
        x, y = 55 + 125 * (number % 5), 45 + 78 * (number // 5)
        for middle in (x, x + 29):
            cv2.ellipse(page, (middle, y), (15, 30), 0, 0, 360, (40, 40, 40), 4, cv2.LINE_AA)
    located = Page(page)
    assert len(located.boxes) == 30 and located.more == 0
    reading = read_page(located, ring_reader)
    assert (len(reading.digits), reading.more) == (MOST_DIGITS, 60 - MOST_DIGITS)
    assert max(digit.box[1] for digit in reading.digits) < 400  # the last line is left out


def test_digits_that_touch_are_cut_where_the_parts_are_read_more_surely():
    page = np.full((480, 640, 3), 220, np.uint8)
    for left in (100, 170):
        cv2.ellipse(page, (left + 35, 240), (35, 70), 0, 0, 360, (40, 40, 40), 8, cv2.LINE_AA)
    (box,) = locate(page)
    digits = read(page, ring_reader)
    assert [digit.label for digit in digits] == [0, 0]
    assert abs(digits[0].box[2] - 70) < 12 and digits[1].box[0] > box[0] + 55
    assert len(read(page, lambda _: (8, 0.9))) == 1


def test_print_that_is_read_unsurely_one_and_all_is_refused():
    page = np.full((480, 640, 3), 220, np.uint8)
    cv2.putText(page, "7 2 3 5 6", (20, 270), 0, 4, (40, 40, 40), 8, cv2.LINE_AA)
    assert len(locate(page)) == 5
    assert read(page, lambda _: (3, 0.4)) == []
    assert len(read(page, lambda _: (3, 0.85))) == 5
    answers = iter([(7, 0.95), (2, 0.95), (3, 0.5), (5, 0.95), (6, 0.95)])
    assert len(read(page, lambda _: next(answers, (0, 0.1)))) == 5  # one doubtful among sure ones
    assert len(read(page[:, :150], lambda _: (7, 0.5))) == 1  # and one alone


def test_doubtful_digits_are_looked_at_again():
    page = np.full((240, 320, 3), 220, np.uint8)
    cv2.putText(page, "7", (120, 170), 0, 4, (40, 40, 40), 8, cv2.LINE_AA)
    answers = iter([(7, 0.5), (1, 0.6)])
    (digit,) = read(page, lambda _: next(answers), doubt=0.7)
    assert (digit.label, digit.score, digit.second) == (7, 0.5, 1)


def test_frames_of_other_channels_and_sizes_are_taken_or_refused():
    page = np.full((240, 320, 3), 220, np.uint8)
    cv2.putText(page, "7", (120, 170), 0, 4, (40, 40, 40), 8, cv2.LINE_AA)
    boxes = locate(page)
    assert len(boxes) == 1
    alpha = np.dstack([page, np.full(page.shape[:2], 9, np.uint8)])
    assert locate(page[:, :, 0]) == locate(page[:, :, :1]) == locate(alpha) == boxes
    for shape in ((0, 40, 3), (40, 0, 3), (1, 1, 3), (0, 0)):
        assert locate(np.zeros(shape, np.uint8)) == []
    strip = np.full((40, 640, 3), 220, np.uint8)
    cv2.putText(strip, "2 5 7", (40, 32), 0, 1, (40, 40, 40), 2, cv2.LINE_AA)
    assert len(locate(strip)) == 3
    large = cv2.resize(page, (2304, 1296), interpolation=cv2.INTER_CUBIC)
    assert len(locate(large)) == 1
    for bad in (page.astype(np.uint16), page[:, :, :2], page.astype(np.float32), page[None]):
        with pytest.raises(ValueError):
            locate(bad)


def test_photographed_digits_are_found_each_once(photos):
    """One box a photograph, not of a mere fragment.

    Whether the box holds the digit and little else was judged by eye, on all 279: wrong are
    newspaper 036, 121, 187 (a faint part left out), 220 and 269 (print beside it taken in); looser
    than need be 093, 152, 195, 260.
    """
    for group, least in (("newspaper", 0.95), ("sheet", 1.0)):
        found = [locate(photo) for _, photo in photos[group]]
        good = sum(
            len(boxes) == 1 and boxes[0][3] > 0.35 * photo.shape[0]
            for boxes, (_, photo) in zip(found, photos[group], strict=True)
        )
        assert good >= least * len(found)


def test_rows_of_photographed_digits_are_read_left_to_right(photos):
    rng = np.random.default_rng(4)
    cases = []
    for _ in range(FRAMES):
        sheet, tall = frames.paper(rng, 480, 640), int(rng.uniform(60, 95))
        line = []
        while len(line) < 5:
            _, photo = photos["newspaper"][int(rng.integers(270))]
            ink = frames.photographed_ink(photo, int(tall * rng.uniform(0.9, 1.1)))
            if ink.size:
                line.append(ink)
        boxes = frames.place(rng, sheet, [line])
        cases.append((frames.develop(rng, sheet), boxes))
    assert share_found(cases) >= 0.9


def test_python_and_cpp_give_the_same_boxes_crops_cuts_and_text(cpp_programs, tmp_path):
    pictures = []
    for number, name in enumerate(("plain", *frames.PRINTS)):
        sheet, _, rng = written(number, name)
        pictures.append(frames.develop(rng, sheet))
        pictures.append(255 - pictures[-1])
        height, width = (int(rng.integers(15, side)) for side in pictures[-1].shape[:2])
        pictures.append(np.ascontiguousarray(pictures[-2][:height, :width]))
    for number, name in itertools.product(
        range(2), ("ruled", "squared", "cells", "bars", "cheque")
    ):
        pictures.append(exercise(number, name)[0])
    rng = np.random.default_rng(2)
    for _ in range(10):
        shape = (int(rng.integers(3, 90)), int(rng.integers(3, 90)), 3)
        pictures.append(rng.integers(0, 256, shape, dtype=np.uint8))
    if (PHOTOS / "index.csv").is_file():
        pictures += [cv2.imread(str(file)) for file in sorted(PHOTOS.glob("images/*.png"))]
    boxes = cut = 0
    program = [str(cpp_programs / "locator" / "locate")]
    for picture, found in twins.in_cpp(program, pictures, tmp_path):
        here = twins.in_python(picture)
        assert found == here
        boxes += len(here["boxes"])
        cut += len(here["read"]) > len(here["boxes"])
    assert boxes > 100 and cut > 3

"""The module's two programs, run on a PC with a fake of the maker's SDK (tests/support/sdk)."""

import json
import os
import signal
import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest
from support import digit_frames as frames
from support.runs import PROJECT

DIGITS = PROJECT / "deploy" / "python" / "digits.py"
FAKE_PYTHON_SDK = PROJECT / "tests" / "support" / "sdk" / "python"


def environment(**settings):
    return {**os.environ, "PYTHONPATH": str(FAKE_PYTHON_SDK), **settings}


@pytest.fixture
def page(tmp_path):
    """A frame with three digits, as .npy for the fake camera and as .bmp; its labels are not known,
    the fake answers by the mean of the blue."""
    rng = np.random.default_rng(5)
    sheet = frames.paper(rng, 480, 640)
    line = [frames.drawn_ink(rng, 90, "ballpoint") * 0.8 for _ in range(3)]
    frames.place(rng, sheet, [line])
    frame = frames.develop(rng, sheet)
    np.save(tmp_path / "frame.npy", frame)
    cv2.imwrite(str(tmp_path / "frame.bmp"), frame)
    return tmp_path


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "mnist.rknn"
    path.write_bytes(b"RKNN and more")
    (tmp_path / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)))
    return path


@pytest.fixture
def golden(tmp_path):
    """A golden pack of four plain pictures whose blue is 10, 60, 120, 200."""
    folder = tmp_path / "golden"
    folder.mkdir()
    images = np.zeros((4, 48, 48, 3), np.uint8)
    images[..., 0] = 250  # red: the bytes are in RGB order
    images[..., 2] = np.array([10, 60, 120, 200])[:, None, None]
    images.tofile(folder / "images.bin")
    about = {
        "kinds": {"model": [1, {"images": 7}]},
        "images": 4,
        "height": 48,
        "width": 48,
        "color_order": "rgb",
        "model": 'mnist "48x48", 数字 \\ 12ab',
    }
    (folder / "golden.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


@pytest.fixture(params=["python", "cpp"])
def program(request):
    """Start one of the two programs with arguments and settings of the fake SDK."""
    if request.param == "python":
        command = [sys.executable, str(DIGITS)]
    else:
        command = [str(request.getfixturevalue("cpp_programs") / "digits")]

    def start(*arguments, **settings):
        return subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment(**settings),
        )

    start.name = request.param
    return start


def refused(result):
    """The one line with which a program ends."""
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if "WARN" not in line]
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    return lines[0]


def test_picture_is_located_classified_and_printed(program, page, model):
    result = program(model, "--image", page / "frame.bmp", "--no-viewer", FAKE_SDK_LABEL="7")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("7 (0.") == 3


def test_whole_picture_is_one_digit_on_request(program, page, model):
    result = program(model, "--image", page / "frame.bmp", "--no-viewer", "--whole")
    blue = np.load(page / "frame.npy")[:, :, 0].mean()
    assert result.stdout.split() == [str(int(blue) // 26), "(0.75)"]


def test_doubtful_digits_are_question_marks_with_candidates(program, page, model):
    arguments = (model, "--image", page / "frame.bmp", "--no-viewer")
    result = program(*arguments, "--doubt", 0.8, FAKE_SDK_LABEL="7")
    assert result.stdout.count("? (7, 0.") == 3
    assert "7 (0." in program(*arguments, "--doubt", 0.4, FAKE_SDK_LABEL="7").stdout
    # Without a number it is the programs' own threshold, above the fake's score of 0.75.
    for doubted in ((*arguments, "--doubt"), (model, "--doubt", *arguments[1:])):
        assert program(*doubted, FAKE_SDK_LABEL="7").stdout.count("? (7, 0.") == 3
    assert program(*arguments, "--doubt", 1.5).returncode != 0


@pytest.mark.parametrize("size", [(1, 1), (200, 9), (9, 200), (15, 15)])
def test_frames_too_small_for_a_digit_hold_none(program, model, tmp_path, size):
    cv2.imwrite(str(tmp_path / "small.bmp"), np.full((*size, 3), 220, np.uint8))
    result = program(model, "--image", tmp_path / "small.bmp", "--no-viewer")
    assert (result.returncode, result.stdout) == (0, "no digit\n")


def test_more_digits_than_are_read_are_said_to_be(program, model, tmp_path):
    sheet = np.full((480, 640, 3), 220, np.uint8)
    for y in range(20, 470, 40):
        for x in range(20, 630, 40):
            cv2.putText(sheet, "8", (x, y + 24), 0, 0.9, (30, 30, 30), 2)
    cv2.imwrite(str(tmp_path / "many.bmp"), sheet)
    result = program(model, "--image", tmp_path / "many.bmp", "--no-viewer", FAKE_SDK_LABEL="8")
    answers, said = result.stdout.splitlines()
    assert "more than 48: the first are read" in said and answers.count("8 (0.") == 48


def test_bench_prints_the_whole_call_and_predict_alone(program, page, model):
    result = program(model, "--image", page / "frame.bmp", "--no-viewer", "--bench", 5)
    call, stages, predict = result.stdout.splitlines()
    assert "frames/s for capture, locate, crop, classify and draw (median of 5:" in call
    assert stages.startswith("locate ") and " ms, crop " in stages
    assert "3.0 digits a frame" in call
    assert "calls/s for predict alone (median of " in predict


def test_camera_frames_are_drawn_and_sent_to_the_viewer(page, model):
    """Python only: the fake of the C++ SDK has no camera, as that is OpenCV's own."""
    shown = page / "shown.npy"
    result = subprocess.run(
        [sys.executable, str(DIGITS), str(model)],
        capture_output=True,
        text=True,
        env=environment(
            FAKE_SDK_FRAME=str(page / "frame.npy"), FAKE_SDK_FRAMES="4", FAKE_SDK_SHOWN=str(shown)
        ),
    )
    assert "gives no frame" in refused(result)
    assert "waiting for the viewer" in result.stdout
    # Four frames with the same answer are one line.
    assert len([line for line in result.stdout.splitlines() if "(0.75)" in line]) == 1
    green = (np.load(shown) == (0, 200, 0)).all(axis=2)
    assert green.sum() > 1000 and not (np.load(page / "frame.npy") == (0, 200, 0)).all(axis=2).any()


def test_ctrl_c_ends_python_cleanly(page, model):
    process = subprocess.Popen(
        [sys.executable, str(DIGITS), str(model), "--no-viewer"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(FAKE_SDK_FRAME=str(page / "frame.npy")),
        # A shell's background job, and so these tests in one, has the signal switched off.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0 and output.endswith("stopped\n") and errors == ""


def test_golden_log_has_every_picture_and_the_model_string(program, golden, model, tmp_path):
    log = tmp_path / "log.jsonl"
    result = program(model, "--golden", golden, "--log", log)
    assert result.returncode == 0, result.stderr
    first, *rows, last = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert (first["log"], first["version"], first["images"]) == ("mnist-rknn golden", 1, 4)
    assert first["program"] == program.name
    assert first["model"] == 'mnist "48x48", 数字 \\ 12ab'
    assert last == {"done": True}
    assert [row["image"] for row in rows] == [0, 1, 2, 3]
    # The SDK got a BGR frame: its first channel is the blue, by which the fake answers.
    assert [row["label"] for row in rows] == [0, 2, 4, 7]
    assert [row["score"] for row in rows] == [0.75] * 4
    if program.name == "python":
        assert len(first["model_sha256"]) == 64
    else:  # the NPU got the bytes as they are, red first: the fake's logit k is of channel k % 3
        for row, blue in zip(rows, (10, 60, 120, 200), strict=True):
            means = (250, 0, blue)
            assert row["logits"] == [max(-128, means[k % 3] - 128 - k) for k in range(10)]
    assert not list(tmp_path.glob("*partial*")) and not list(tmp_path.glob(".*partial"))


def test_input_with_a_stride_is_refused_by_cpp(cpp_programs, golden, model):
    result = subprocess.run(
        [str(cpp_programs / "digits"), str(model), "--golden", str(golden)],
        capture_output=True,
        text=True,
        env=environment(FAKE_SDK_STRIDE="64"),
    )
    assert "stride" in refused(result)
    assert not (golden / "cpp.jsonl").exists()


def test_mistakes_are_one_line_each(program, page, model, golden):
    picture = page / "frame.bmp"
    assert "there is no model" in refused(program("nowhere.rknn", "--no-viewer"))
    broken = page / "broken.rknn"
    broken.write_bytes(b"no model")
    assert "refused" in refused(program(broken, "--image", picture, "--no-viewer"))
    assert "camera does not open" in refused(program(model, "--no-viewer"))
    labels = ("--labels", page / "none.txt")
    assert "none.txt cannot be read" in refused(program(model, *labels, "--image", picture))
    asked = program(model, "--image", picture, "--no-viewer", FAKE_SDK_LABEL="10")
    assert "class 10, but there are 10 labels" in refused(asked)
    asked = program(model, "--image", page / "none.bmp", "--no-viewer")
    assert "none.bmp cannot be read" in refused(asked)
    content = picture.read_bytes()
    for number, damaged in enumerate((content[:1000], b"BM", b"", content[:28] + b"\x08\x00")):
        file = page / f"damaged{number}.bmp"
        file.write_bytes(damaged)
        assert "24-bit BMP" in refused(program(model, "--image", file, "--no-viewer"))
    large = page / "large.bmp"
    large.write_bytes(content[:18] + struct.pack("<ii", 10_000, 10_000) + content[26:])
    asked = program(model, "--image", large, "--no-viewer")
    assert "10000 x 10000 pixels are no camera frame" in refused(asked)
    refused(program(model, "--golden", page / "nowhere"))
    (golden / "images.bin").write_bytes(b"short")
    assert "no whole golden pack" in refused(program(model, "--golden", golden))
    (golden / "golden.json").write_text('{"images": "a lot"')
    assert "golden pack" in refused(program(model, "--golden", golden))
    assert not list(golden.glob("*.jsonl"))


def test_bitmaps_of_either_direction_and_any_width_are_read(tmp_path):
    sys.path.insert(0, str(DIGITS.parent))
    from digits import read_picture

    picture = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    file = tmp_path / "picture.bmp"
    cv2.imwrite(str(file), picture)
    assert np.array_equal(read_picture(file), picture)
    content = bytearray(file.read_bytes())
    struct.pack_into("<i", content, 22, -5)  # the same rows, said to be from the top down
    file.write_bytes(content)
    assert np.array_equal(read_picture(file), picture[::-1])
    cv2.imwrite(str(tmp_path / "picture.png"), picture)
    assert np.array_equal(read_picture(tmp_path / "picture.png"), picture)


def test_without_the_makers_package_the_message_says_where_to_run(model):
    result = subprocess.run(
        [sys.executable, str(DIGITS), str(model)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert "run this on the module" in refused(result)


def test_cmake_says_in_one_line_that_the_makers_repository_is_missing(cpp_programs, tmp_path):
    for setting, cure in (("", "is not set"), (str(tmp_path), "is not the maker's repository")):
        result = subprocess.run(
            ["cmake", "-S", str(PROJECT / "deploy" / "cpp"), "-B", str(tmp_path / "build"),
             f"-DLOCKZHINER_ROOT={setting}"],
            capture_output=True,
            text=True,
        )  # fmt: skip
        assert result.returncode != 0 and cure in " ".join(result.stderr.split())

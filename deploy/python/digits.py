#!/usr/bin/env python3
"""Reads handwritten digits on the Lockzhiner Vision Module: camera or picture -> digits -> labels.

    python3 digits.py mnist.rknn                        # camera, shown in the maker's viewer
    python3 digits.py mnist.rknn --no-viewer            # camera, answers printed only
    python3 digits.py mnist.rknn --image page.bmp --no-viewer
    python3 digits.py mnist.rknn --doubt                # ? and two candidates where it is not sure
    python3 digits.py mnist.rknn --bench 100 --no-viewer
    python3 digits.py mnist.rknn --golden golden        # writes golden/python.jsonl

Needs numpy and the maker's package `lockzhiner_vision_module`, which are on the module.
"""

import argparse
import hashlib
import json
import math
import statistics
import struct
import sys
import time
from pathlib import Path

import numpy as np
from locator import MOST_DIGITS, Page, as_bgr
from reading import DOUBT, Digit, read_page

MOST_PIXELS = 50_000_000  # of a picture
GREEN, WHITE = (0, 200, 0), (255, 255, 255)  # BGR

# 3 x 5 dots a character, a row an octal digit from the top: 4 is the left dot.
FONT = {
    "0": "75557", "1": "26227", "2": "71747", "3": "71317", "4": "55711", "5": "74717",
    "6": "74757", "7": "71122", "8": "75757", "9": "75717", ".": "00002", "%": "51245",
    " ": "00000", "?": "71202",
}  # fmt: skip


class Mistake(Exception):
    """Something the user can mend, in one line."""


# --- the maker's package ---------------------------------------------------------------


def sdk(module, name):
    """A class of the maker's package."""
    try:
        package = __import__(f"lockzhiner_vision_module.{module}", fromlist=[name])
    except ImportError as error:
        raise Mistake(f"{error}: run this on the module, where the maker's package is") from None
    return getattr(package, name)


def load_model(path):
    if not path.is_file():
        raise Mistake(f"there is no model {path}")
    model = sdk("vision", "PaddleClas")()
    if not model.initialize(str(path)):
        raise Mistake(f"the module refused {path}: was it built for rv1106, and copied whole?")
    return model


def as_mat(array, frame):
    """`array` in the form in which the camera's frames come.

    Whether a Mat of the Python package is a numpy array is not published. The maker's examples
    treat it as one; where it is not, its own class has to take the array.
    """
    array = np.ascontiguousarray(array)
    return array if isinstance(frame, np.ndarray) else type(frame)(array)


class Camera:
    """Frames of the module's camera."""

    def __init__(self):
        self.capture = sdk("cv2", "VideoCapture")()
        if not self.capture.open(0):
            raise Mistake("the camera does not open: does another program use it?")

    def read(self):
        ok, frame = self.capture.read()
        if not ok:
            raise Mistake("the camera gives no frame: is its cable in place?")
        return frame


class Picture:
    """One picture, again and again."""

    def __init__(self, path):
        self.frame = read_picture(path)

    def read(self):
        return self.frame


# --- pictures --------------------------------------------------------------------------


def read_picture(path):
    """A picture file as uint8 [H, W, 3], BGR. BMP needs nothing but numpy."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Mistake(f"{path} cannot be read: {error.strerror}") from None
    if content[:2] == b"BM":
        return read_bmp(content, path)
    try:
        import cv2

        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if picture is not None:
            return picture
    except (ImportError, AttributeError):
        try:
            import io

            from PIL import Image

            with Image.open(io.BytesIO(content)) as picture:
                return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])
        except (ImportError, OSError):
            pass
    except Exception:  # OpenCV's own error, of an empty or broken file
        pass
    raise Mistake(f"{path} is not a picture that can be read here: save it as a 24-bit BMP")


def read_bmp(content, path):
    """Windows bitmap, 24 bits, not compressed, from the bottom up or from the top down."""
    refused = Mistake(f"{path} is not a whole 24-bit BMP without compression: save it anew")
    if len(content) < 54:
        raise refused
    start, _, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", content, 10)
    stride = (width * 3 + 3) // 4 * 4
    rows = abs(height)
    if width * rows > MOST_PIXELS:
        raise Mistake(f"{path}: {width} x {rows} pixels are no camera frame: make it smaller")
    if bits != 24 or compression or width < 1 or not rows or start + stride * rows > len(content):
        raise refused
    lines = np.frombuffer(content, np.uint8, stride * rows, start).reshape(rows, stride)
    picture = lines[:, : width * 3].reshape(rows, width, 3)
    return np.ascontiguousarray(picture[::-1] if height > 0 else picture)


def draw_box(picture, box):
    """Draw the edge of a box (x, y, width, height)."""
    x, y, w, h = box
    thick = max(1, picture.shape[0] // 240)
    picture[y : y + thick, x : x + w] = GREEN
    picture[y + h - thick : y + h, x : x + w] = GREEN
    picture[y : y + h, x : x + thick] = GREEN
    picture[y : y + h, x + w - thick : x + w] = GREEN


def draw_text(picture, text, x, y):
    """Write digits, points and per cent signs above (x, y), or below if there is no room."""
    size = max(1, picture.shape[0] // 160)
    dots = np.zeros((7, 4 * len(text) + 1), bool)
    for place, character in enumerate(text):
        for row, octal in enumerate(FONT[character]):
            dots[row + 1, 4 * place + 1 : 4 * place + 4] = [int(octal) & bit for bit in (4, 2, 1)]
    dots = dots.repeat(size, axis=0).repeat(size, axis=1)
    top, left = max(0, y - len(dots)), max(0, min(x, picture.shape[1] - dots.shape[1]))
    part = picture[top : top + dots.shape[0], left : left + dots.shape[1]]
    dots = dots[: part.shape[0], : part.shape[1]]
    part[:] = np.where(dots[:, :, None], np.array(WHITE, np.uint8), np.array(GREEN, np.uint8))


# --- reading digits --------------------------------------------------------------------


def read_labels(path, model_path):
    """Names of the classes, or None to print numbers."""
    if path is None:
        path = model_path.with_name("labels.txt")
        if not path.is_file():
            return None
    try:
        return path.read_text(encoding="utf-8").split("\n")[:-1]
    except (OSError, ValueError):
        raise Mistake(
            f"the labels {path} cannot be read: copy labels.txt beside the model"
        ) from None


def name_of(label, labels):
    """Name of a class."""
    if labels is None:
        return str(label)
    if not 0 <= label < len(labels):
        raise Mistake(
            f"the model answered class {label}, but there are {len(labels)} labels: "
            "the labels are not this model's"
        )
    return labels[label]


class Reader:
    """Finds and reads the digits of frames, and keeps the seconds that each stage took.

    Args:
        labels: names of the classes, or None to print numbers.
        whole: the whole frame is one digit.
        doubt: a digit read with less certainty is `?` with its candidates.
    """

    def __init__(self, model, labels=None, whole=False, doubt=0.0):
        self.model, self.labels, self.whole, self.doubt = model, labels, whole, doubt
        self.times = {"locate": [], "crop": [], "classify": []}
        self.more = 0  # digits of the last frame beyond those that were read

    def read(self, frame):
        """A list of ((x, y, width, height), name, what is printed, score)."""
        picture = np.asarray(frame)
        calls = self.times["classify"]
        first = len(calls)

        def classify(crop):
            start = time.perf_counter()
            result = self.model.predict(as_mat(crop, frame))
            calls.append(time.perf_counter() - start)
            return int(result.label_id), float(result.score)

        try:
            if self.whole:
                height, width = picture.shape[:2]
                found = [Digit((0, 0, width, height), *classify(as_bgr(picture)))]
            else:
                start = time.perf_counter()
                page = Page(picture)
                located = time.perf_counter()
                reading = read_page(page, classify, self.doubt)
                found, self.more = reading.digits, reading.more
                self.times["locate"].append(located - start)
                self.times["crop"].append(time.perf_counter() - located - sum(calls[first:]))
        except ValueError as error:
            raise Mistake(f"no frame that can be read: {error}") from None
        return [(digit.box, *self.texts(digit), digit.score) for digit in found]

    def say_more(self):
        """Print how many digits of the last frame were left out."""
        if self.more:
            print(f"{self.more} digits more than {MOST_DIGITS}: the first are read", flush=True)

    def texts(self, digit):
        """A digit's name, and what is printed of it."""
        name = name_of(digit.label, self.labels)
        if digit.score >= self.doubt:
            return name, f"{name} ({digit.score:.2f})"
        second = "" if digit.second is None else f" or {name_of(digit.second, self.labels)}"
        return "?", f"? ({name}{second}, {digit.score:.2f})"


def drawn(frame, found):
    """A copy of the frame with boxes and answers; names the font lacks are left to the print."""
    picture = np.array(frame)
    for box, name, _, score in found:
        draw_box(picture, box)
        text = f"{score * 100:.0f}%"
        if set(name) <= set(FONT):
            text = f"{name} {text}"
        if math.isfinite(score):
            draw_text(picture, text, box[0], box[1])
    return as_mat(picture, frame)


def open_viewer(wanted):
    """The maker's viewer. Waits until it connects, for as long as that takes."""
    if not wanted:
        return None
    viewer = sdk("edit", "Edit")()
    print("waiting for the viewer on the PC to connect (--no-viewer does without)", flush=True)
    viewer.start_and_accept_connection()
    return viewer


def run(reader, source, viewer, once):
    """Read digits until stopped. A line is printed when the answer changes, at most one a second
    otherwise.
    """
    last, printed = None, 0.0
    while True:
        frame = source.read()
        found = reader.read(frame)
        if viewer:
            viewer.print(drawn(frame, found))
        answer = [name for _, name, _, _ in found]
        now = time.monotonic()
        if answer != last or now - printed >= 1:
            print(" ".join(text for _, _, text, _ in found) or "no digit", flush=True)
            reader.say_more()
            last, printed = answer, now
        if once:
            return


def bench(reader, source, viewer, count):
    """Print frames a second of the whole call, and what each stage takes, as medians."""
    calls, digits = [], 0
    for _ in range(count):
        start = time.perf_counter()
        frame = source.read()
        found = reader.read(frame)
        picture = drawn(frame, found)
        calls.append(time.perf_counter() - start)
        digits += len(found)
        if viewer:
            viewer.print(picture)
    call = statistics.median(calls)
    print(f"{1 / call:.1f} frames/s for capture, locate, crop, classify and draw", end=" ")
    print(f"(median of {count}: {call * 1000:.2f} ms, {digits / count:.1f} digits a frame)")
    reader.say_more()
    if not reader.whole:
        locate, crop = (statistics.median(reader.times[name]) for name in ("locate", "crop"))
        print(f"locate {locate * 1000:.2f} ms, crop {crop * 1000:.2f} ms a frame (medians)")
    predictions = reader.times["classify"]
    if predictions:
        single = statistics.median(predictions)
        print(f"{1 / single:.1f} calls/s for predict alone", end=" ")
        print(f"(median of {len(predictions)}: {single * 1000:.2f} ms)")
    else:
        print("predict was never called: no digit in any frame (--whole takes the whole frame)")


# --- golden pack -----------------------------------------------------------------------


def read_golden(folder):
    """The pictures of a golden pack, uint8 [N, H, W, 3] in BGR order, and its golden.json."""
    try:
        about = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
        shape = tuple(int(about[key]) for key in ("images", "height", "width"))
        order, _ = about["color_order"], about["model"]
        content = np.fromfile(folder / "images.bin", np.uint8)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Mistake(
            f"{folder} is not a golden pack ({type(error).__name__}: {error}): copy it anew"
        ) from None
    if min(shape) < 1 or content.size != math.prod(shape) * 3 or order not in ("rgb", "bgr"):
        raise Mistake(f"{folder} is no whole golden pack: images.bin and golden.json disagree")
    images = content.reshape(*shape, 3)
    return (images[..., ::-1] if order == "rgb" else images), about


def run_golden(model, model_path, folder, log):
    """Classify every picture of a golden pack and write what came out, a JSON line each."""
    images, about = read_golden(folder)
    first = {
        "log": "mnist-rknn golden",
        "version": 1,
        "program": "python",
        "images": len(images),
        "model_sha256": hashlib.sha256(model_path.read_bytes()).hexdigest(),
        "model": about["model"],
    }
    lines = [first]
    for number, image in enumerate(images):
        result = model.predict(np.ascontiguousarray(image))
        lines.append({"image": number, "label": int(result.label_id), "score": float(result.score)})
    lines.append({"done": True})
    partial = log.with_name(f".{log.name}.partial")
    try:
        partial.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        partial.replace(log)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise Mistake(f"{log} cannot be written: {error.strerror}") from None
    print(f"{len(images)} pictures, written to {log}")


def main():
    parser = argparse.ArgumentParser(description="Reads handwritten digits on the vision module.")
    parser.add_argument("model", type=Path, help="the .rknn file")
    parser.add_argument("--labels", type=Path, help="class names; else labels.txt by the model")
    parser.add_argument("--image", type=Path, help="read this picture instead of the camera")
    parser.add_argument("--whole", action="store_true", help="the whole frame is one digit")
    parser.add_argument(
        "--doubt",
        type=float,
        nargs="?",
        default=0.0,
        const=DOUBT,
        metavar="P",
        help=f"? where the score is below P, 0-1; {DOUBT} if P is left out",
    )
    parser.add_argument("--no-viewer", action="store_true", help="do not wait for the viewer")
    parser.add_argument("--bench", type=int, metavar="N", help="time N frames")
    parser.add_argument("--golden", type=Path, metavar="FOLDER", help="run the golden pack")
    parser.add_argument("--log", type=Path, help="where --golden writes; else FOLDER/python.jsonl")
    options = parser.parse_args()
    if options.bench is not None and options.bench < 1:
        parser.error("--bench: at least 1 frame")
    if not 0 <= options.doubt <= 1:
        parser.error("--doubt: from 0 to 1")
    if options.log and not options.golden:
        parser.error("--log belongs to --golden")
    labels = read_labels(options.labels, options.model)
    model = load_model(options.model)
    if options.golden:
        log = options.log or options.golden / "python.jsonl"
        return run_golden(model, options.model, options.golden, log)
    source = Picture(options.image) if options.image else Camera()
    viewer = open_viewer(not options.no_viewer)
    reader = Reader(model, labels, options.whole, options.doubt)
    if options.bench:
        return bench(reader, source, viewer, options.bench)
    return run(reader, source, viewer, once=options.image is not None)


if __name__ == "__main__":
    try:
        main()
    except Mistake as mistake:
        print("error:", " ".join(str(mistake).split()), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped")

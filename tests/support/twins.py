"""What the Python programs find in frames, in the words of `deploy/cpp/locate.cpp`."""

import json
import subprocess
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from support.runs import PROJECT

sys.path.insert(0, str(PROJECT / "deploy" / "python"))
from locator import Page
from reading import read_page


def made_up(picture: np.ndarray) -> tuple[int, float]:
    """The made-up classifier of `locate.cpp`: its answer hangs on every byte."""
    number = zlib.adler32(picture.tobytes())
    return number % 10, number // 10 % 101 / 100


def in_python(picture: np.ndarray) -> dict:
    """Boxes, sides and checksums of their crops, cuts, and what the made-up classifier reads."""
    page = Page(picture)
    reading = read_page(page, made_up, 0.5)
    return {
        "more": page.more,
        "boxes": [
            {
                "box": list(box),
                "crop": [
                    len(page.crop(box)),
                    zlib.adler32(page.crop(box).tobytes()),
                    zlib.adler32(page.crop(box, wider=True).tobytes()),
                ],
                "cuts": [[*one, *other] for one, other in page.cuts(box)],
            }
            for box in page.boxes
        ],
        "read": [
            [*digit.box, digit.label, -1 if digit.second is None else digit.second]
            for digit in reading.digits
        ],
        "left_out": reading.more,
    }


def in_cpp(
    program: Sequence[str], pictures: Sequence[np.ndarray], scratch: Path
) -> Iterator[tuple[np.ndarray, dict]]:
    """Each picture, uint8 [H, W, 3], and what the program `locate` says of it, times left out."""
    sizes = defaultdict(list)
    for picture in pictures:
        sizes[picture.shape[:2]].append(picture)
    for (height, width), same_size in sizes.items():
        files = [scratch / f"{number}.bgr" for number in range(len(same_size))]
        for file, picture in zip(files, same_size, strict=True):
            picture.tofile(file)
        command = [*program, str(width), str(height), *map(str, files)]
        output = subprocess.check_output(command, text=True)
        for picture, line in zip(same_size, output.splitlines(), strict=True):
            found = json.loads(line)
            del found["locate_ms"], found["crop_ms"]
            yield picture, found

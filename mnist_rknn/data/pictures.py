"""Picture files as users have them, read as 8-bit gray or RGB pixels.

Phones store a picture as the sensor saw it and note how to turn it (EXIF); drawing programs
store transparency; scanners 16 bits a pixel. OpenCV's reader drops some of that without a word,
so Pillow reads here.
"""

import contextlib
import hashlib
import io
import multiprocessing
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from ..errors import PipelineError
from ..files import relative
from ..machine import cores

SUFFIXES = frozenset(
    (".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pjpeg", ".png", ".apng", ".tif",
     ".tiff", ".webp")
)  # fmt: skip
FORMATS = ("BMP", "DIB", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
WHITE_16, WHITE_12 = 65535, 4095  # in 16 bits: as a scanner writes, and as a 12-bit camera
TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange height and width
MEASURED = 2000  # pictures of a set whose sizes are looked at
MIN_CONTRAST = 2.0  # standard deviation of pixel values below which a picture is flat
WORTH_PROCESSES = 500  # files; fewer are read before a second process has started


def decode(content: bytes) -> np.ndarray:
    """Pixels of a picture file of any kind in `FORMATS`; of an animation the first frame.

    Turned as EXIF says, transparency over white, 16 bits scaled to 8.

    Returns:
        uint8 [h, w] for gray, [h, w, 3] in RGB order for the rest.

    Raises:
        ValueError: not a picture, damaged, or of values that no 8 bits can say.
    """
    return decoded(content)[0]


def decoded(content: bytes) -> tuple[np.ndarray, bool]:
    """As `decode`, and whether the picture is taken for one of 12 bits in 16."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, odd EXIF; damage is an error
            with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
                deep = None if opened.mode.startswith("I") else _sixteen_bit_colours(content)
                opened.load()
                image = ImageOps.exif_transpose(opened)
                if image.mode.startswith("I"):
                    return _from_sixteen(np.asarray(image).astype(np.int64))
                return (_eight_bit(image), False) if deep is None else _from_sixteen(deep)
    except UnidentifiedImageError:
        raise ValueError("no known format") from None
    except Image.DecompressionBombError:
        raise ValueError("far too many pixels") from None
    except Exception as error:  # the decoders answer damaged bytes with nearly any exception
        raise ValueError(str(error) or type(error).__name__) from None


def _sixteen_bit_colours(content: bytes) -> np.ndarray | None:
    """16-bit values [h, w, 3] of a PNG in RGB; Pillow would keep the upper half of each only."""
    png = content[:8] == b"\x89PNG\r\n\x1a\n"
    if not (png and content[24:26] == b"\x10\x02"):  # IHDR: 16 bits a value, colours
        return None
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return None if image is None or image.ndim != 3 else image[:, :, 2::-1].astype(np.int64)


def _from_sixteen(values: np.ndarray) -> tuple[np.ndarray, bool]:
    if values.min() < 0 or values.max() > WHITE_16:
        raise ValueError("32-bit values, which have no agreed white")
    twelve = 255 < values.max() <= WHITE_12
    white = WHITE_12 if twelve else WHITE_16
    return ((values * 255 + white // 2) // white).astype(np.uint8), bool(twelve)


def _eight_bit(image: Image.Image) -> np.ndarray:
    if image.mode == "F":
        raise ValueError("floating-point values, which have no agreed white")
    gray = image.mode in ("1", "L", "LA", "La")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        image = paper
    return np.asarray(image.convert("L" if gray else "RGB"))


def sizes(files: Sequence[Path]) -> np.ndarray:
    """Height and width of evenly chosen pictures as they are seen, int64 [N, 2].

    Only the files' heads are read; those that say nothing are left out.
    """
    found = []
    for file in files[:: max(1, len(files) // MEASURED)]:
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as opened:
                width, height = opened.size
                turned = opened.getexif().get(ExifTags.Base.Orientation) in TURNED
                found.append((width, height) if turned else (height, width))
    return np.array(found, np.int64).reshape(-1, 2)


def read(file: Path) -> np.ndarray:
    """Pixels of a picture file, as `decode` returns them.

    Raises:
        PipelineError: it is missing or cannot be read.
    """
    try:
        return decode(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise PipelineError(f"{relative(file)} cannot be read as a picture: {reason}") from None


def fit(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The whole picture, squeezed to the network's input size, with three channels.

    Args:
        image: uint8 [h, w] gray, or [h, w, 3].
        height, width: in pixels.

    Returns:
        uint8 [height, width, 3]; a gray picture has three equal channels, a colour picture
        keeps its channel order.
    """
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] > height or image.shape[1] > width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)


class Look(NamedTuple):
    """What was found out about a picture without keeping it."""

    height: int = 0  # as it is seen, in pixels
    width: int = 0
    gray: bool = False
    flat: bool = False  # one tone: it says nothing
    digest: bytes = b""  # the same for the same pixels
    problem: str = ""  # why it cannot be read
    twelve_bits: bool = False  # in a 16-bit file


def look(image: np.ndarray, size: tuple[int, int] | None) -> Look:
    """Look at decoded pixels.

    Args:
        image: uint8 [h, w] or [h, w, 3].
        size: height and width of the network's input. Pictures are then compared as it will see
            them: what differs only before it is squeezed is the same picture.
    """
    height, width = image.shape[:2]
    compared = image if size is None else fit(image, *size)
    digest = hashlib.blake2b(f"{compared.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(compared).data)
    flat = float(compared.std()) < MIN_CONTRAST
    return Look(height, width, image.ndim == 2, flat, digest.digest())


def survey(files: list[Path], size: tuple[int, int] | None = None) -> list[Look]:
    """Look at every picture once, in parallel and with a progress bar if they are many.

    Nothing but a few bytes of each is kept, so 100,000 photographs need no more memory than one.

    Args:
        size: as in `look`.
    """
    chunks = [files[start : start + 200] for start in range(0, len(files), 200)]
    if len(files) < WORTH_PROCESSES:
        return [found for chunk in chunks for found in _look_at(chunk, size)]
    looks: list[Look] = []
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(
            cores(), mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)
        ) as pool,
        tqdm(total=len(files), unit="picture", desc="looking", file=sys.stdout, leave=False) as bar,
    ):
        for found in pool.map(_look_at, chunks, [size] * len(chunks)):
            looks += found
            bar.update(len(found))
    return looks


def _look_at(files: list[Path], size: tuple[int, int] | None) -> list[Look]:
    looks = []
    for file in files:
        try:
            image, twelve = decoded(file.read_bytes())
            looks.append(look(image, size)._replace(twelve_bits=twelve))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            looks.append(Look(problem=str(reason)))
    return looks

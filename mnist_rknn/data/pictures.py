"""Picture files as users have them, read as 8-bit gray or RGB pixels.

Phones store a picture as the sensor saw it and note how to turn it (EXIF); drawing programs
store transparency; scanners 16 bits a pixel. OpenCV's reader drops some of that without a word,
so Pillow reads here.
"""

import hashlib
import io
import multiprocessing
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from ..errors import PipelineError
from ..files import relative
from ..machine import cores

SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, odd EXIF; damage is an error
            with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
                opened.load()
                return _eight_bit(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError:
        raise ValueError("no known format") from None
    except Image.DecompressionBombError:
        raise ValueError("far too many pixels") from None
    except Exception as error:  # the decoders answer damaged bytes with nearly any exception
        raise ValueError(str(error) or type(error).__name__) from None


def _eight_bit(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("32-bit values, which have no agreed white")
        return ((values * 255 + 32767) // 65535).astype(np.uint8)
    if image.mode == "F":
        raise ValueError("floating-point values, which have no agreed white")
    gray = image.mode in ("1", "L", "LA", "La")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        image = paper
    return np.asarray(image.convert("L" if gray else "RGB"))


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
            looks.append(look(decode(file.read_bytes()), size))
        except (OSError, ValueError) as error:
            looks.append(Look(problem=str(error)))
    return looks

"""The calibration list: the pictures whose value ranges become the INT8 scales.

rknn-toolkit2 takes any list: of one picture, black ones, ones of the wrong size (it resizes
them) or in gray. The model it builds then still answers, only worse. What it does not check
is checked here.
"""

from pathlib import Path

import cv2
import numpy as np

from ..data import dataset
from ..data.pictures import MIN_CONTRAST
from ..errors import PipelineError
from ..files import relative, sha256, write_text
from ..language import _

AGAIN = "run 04_calibration again"  # where the list is wrong; pictures are made by 01_data


def choose(classes: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Positions of `count` images, equally many of each class, in a shuffled order.

    Where `count` is not a multiple of the number of classes, some classes, chosen at random,
    get one image more.

    Args:
        classes: integer [N], the class of every image to choose from.

    Raises:
        PipelineError: a class has too few images.
    """
    generator = np.random.default_rng(seed)
    present = np.unique(classes)
    chosen = []
    more = generator.permutation(len(present))
    for position, label in zip(more, present, strict=True):
        wanted = count // len(present) + (position < count % len(present))
        candidates = np.flatnonzero(classes == label)
        if len(candidates) < wanted:
            raise PipelineError(
                _(
                    "calibration.images: {count} needs {wanted} images of class {label}, "
                    "there are {count2}: lower it"
                ).format(count=count, wanted=wanted, label=label, count2=len(candidates))
            )
        chosen.append(generator.choice(candidates, wanted, replace=False))
    return generator.permutation(np.concatenate(chosen))


def write_list(path: Path, files: list[Path]) -> None:
    """Write the list that `RKNN.build(dataset=...)` reads: one path a line.

    Files below the list's own folder stand as seen from there, which is how rknn-toolkit2 reads
    a line: the folder may be copied or moved, and have a blank in its path.

    Raises:
        PipelineError: a line holds white space, at which rknn-toolkit2 would split it.
    """
    folder = path.parent.absolute()
    absolute = [file.absolute() for file in files]
    lines = [f.relative_to(folder) if f.is_relative_to(folder) else f for f in absolute]
    for line in lines:
        _require_no_space(line)
    write_text(path, "".join(f"{line}\n" for line in lines))


def _require_no_space(file: Path) -> None:
    if any(character.isspace() for character in str(file)):
        raise PipelineError(
            _(
                "{parent} holds a space, at which rknn-toolkit2 splits the calibration "
                "list: move the project to a path without spaces"
            ).format(parent=file.parent)
        )


def read_list(path: Path) -> list[Path]:
    """Files named in a calibration list; a relative line is seen from the list's folder.

    Raises:
        PipelineError: no such list, no text, no lines, or a path rknn-toolkit2 would split.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        raise PipelineError(
            _("{path} is missing: {again}").format(path=relative(path), again=AGAIN)
        ) from None
    except UnicodeDecodeError:
        raise PipelineError(
            _("{path} is no text file: {again}").format(path=relative(path), again=AGAIN)
        ) from None
    named = [Path(line) for line in lines if line.strip()]
    if not named:
        raise PipelineError(_("{path} is empty: {again}").format(path=relative(path), again=AGAIN))
    for line in named:
        _require_no_space(line)
    return [path.parent / line for line in named]


def open_image(file: Path) -> np.ndarray:
    """A picture of any size, as it is stored, in OpenCV's colour order.

    Raises:
        PipelineError: it is missing or cannot be read.
    """
    if not file.is_file():
        raise PipelineError(
            _("calibration image {file} is missing: {again}").format(
                file=relative(file), again=dataset.AGAIN
            )
        )
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise PipelineError(
            _("calibration image {file} is not a readable picture: {again}").format(
                file=relative(file), again=dataset.AGAIN
            )
        )
    return image


def check_images(
    files: list[Path], height: int, width: int, classes: int, forbidden: set[str] | None = None
) -> dict[str, str]:
    """Check every picture of a calibration list.

    Args:
        files: the pictures.
        height, width: the network's input size in pixels.
        classes: number of classes; fewer pictures than two a class are refused.
        forbidden: SHA-256 of files that must not be among them (the test images).

    Returns:
        SHA-256 of each file, by file name, in the order of the list.

    Raises:
        PipelineError: names the picture, what is wrong with it and the cure.
    """
    if len(files) < 2 * classes:
        raise PipelineError(
            _(
                "the calibration list has {count} images for {classes} classes: too "
                "few to find the value ranges; {again}"
            ).format(count=len(files), classes=classes, again=AGAIN)
        )
    hashes: dict[str, str] = {}
    for file in files:
        name, image = relative(file), open_image(file)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise PipelineError(
                _("calibration image {name} does not have three 8-bit channels: {again}").format(
                    name=name, again=dataset.AGAIN
                )
            )
        if image.shape[:2] != (height, width):
            raise PipelineError(
                _(
                    "calibration image {name} is {shape}x{shape2}, the network takes "
                    "{width}x{height}; rknn-toolkit2 would resize it silently: {again}"
                ).format(
                    name=name,
                    shape=image.shape[1],
                    shape2=image.shape[0],
                    width=width,
                    height=height,
                    again=dataset.AGAIN,
                )
            )
        if image.std() < MIN_CONTRAST:
            raise PipelineError(
                _(
                    "calibration image {name} is one flat tone (standard deviation "
                    "{std:.1f}): it says nothing about value ranges; {again}"
                ).format(name=name, std=image.std(), again=dataset.AGAIN)
            )
        digest = sha256(file)
        if forbidden and digest in forbidden:
            raise PipelineError(
                _("calibration image {name} is a test image: {again}").format(
                    name=name, again=AGAIN
                )
            )
        if digest in hashes.values():
            raise PipelineError(
                _("calibration image {name} stands twice in the list: {again}").format(
                    name=name, again=AGAIN
                )
            )
        hashes[file.name] = digest
    return hashes

"""Data sets before they are split and fitted: MNIST, or a user's own.

Whatever the kind, the rest of the project sees a `Source`: names of the classes, and labelled
pictures to train on and to test with. What a set's owner should know about it (pictures left
out, a split that was made) is in its notes; what would spoil the model is refused.
"""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import PipelineError
from ..files import PROJECT, relative
from ..recipe import Recipe
from . import archives, idx, layouts, mnist, pictures
from .layouts import Listing, named

UNPACKED = PROJECT / "data"  # where archives are unpacked
PRIORITY = ("test", "val", "train", "")  # of the split that keeps a picture found in two


class PictureFiles:
    """Pictures that are read from their files when they are asked for."""

    def __init__(self, files: list[Path]):
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> np.ndarray:
        """uint8 [h, w], or [h, w, 3] in RGB order."""
        return pictures.read(self.files[index])


class Source(NamedTuple):
    """A data set before it is split and fitted.

    Images are an array, uint8 [N, h, w], or `PictureFiles` of any sizes.
    """

    labels: list[str]  # names of the classes, by index
    train_images: np.ndarray | PictureFiles
    train_classes: np.ndarray  # integer [N]
    test_images: np.ndarray | PictureFiles
    test_classes: np.ndarray
    train_origins: list[str]  # a picture's number in the set, or its file in the set's folder
    test_origins: list[str]
    validation: np.ndarray | None = None  # which training images are for that, if the set says
    notes: tuple[str, ...] = ()  # what its owner should know, a sentence each


def source_folder(recipe: Recipe) -> Path:
    """Folder of a recipe's data set; a zip is unpacked into `data/` first.

    Raises:
        PipelineError: `dataset.path` is not there, or a zip that is refused.
    """
    if recipe.dataset.kind == "mnist":
        return PROJECT / "data" / "mnist"
    assert recipe.dataset.path  # the recipe refuses every other kind without one
    return open_path(recipe.dataset.path)


def open_path(path: str) -> Path:
    """The folder that a path means, given from the project's folder or absolute."""
    place = PROJECT / Path(path).expanduser()
    if archives.is_archive(place):
        return archives.unpack_once(place, UNPACKED)
    if not place.is_dir():
        raise PipelineError(f"dataset.path: {path} is neither a folder nor a zip or tar file")
    return place


def load_source(recipe: Recipe) -> Source:
    """The recipe's data set, verified or looked through.

    Raises:
        PipelineError: it is missing, of another kind, or has something in it that would spoil
            the model; the message names the first few files.
    """
    folder = source_folder(recipe)
    if recipe.dataset.kind == "mnist":
        data = mnist.load(folder)
        origins = (_numbered("train", data.train_labels), _numbered("test", data.test_labels))
        return Source(mnist.LABELS, *data, *origins)
    _, place = layouts.locate(folder, recipe.dataset.kind)
    if recipe.dataset.kind == "idx":
        return _from_arrays(recipe, place)
    return _from_files(recipe, layouts.read(recipe.dataset.kind, place))


def hold_out(classes: np.ndarray, part: int | float) -> np.ndarray:
    """Which images to hold out, the first of every class.

    Args:
        classes: integer [N], in a random order.
        part: a share from 0 to 1, or a count of images, which is kept to a picture a class.

    Returns:
        bool [N]; at least one of each class, and never all.
    """
    share = part if isinstance(part, float) else part / max(1, len(classes))
    held = np.zeros(len(classes), bool)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        held[members[: min(max(1, round(share * len(members))), len(members) - 1)]] = True
    return held


# --- sets in MNIST's format -----------------------------------------------------------


def _numbered(split: str, classes: np.ndarray) -> list[str]:
    """What pictures without a file of their own are called."""
    return [f"{split} image {number}" for number in range(len(classes))]


def _from_arrays(recipe: Recipe, folder: Path) -> Source:
    listing, images = idx_listing(folder, recipe.dataset.labels)
    labels = listing.labels
    if recipe.dataset.redraw and (labels != mnist.LABELS or images.shape[1:] != (28, 28)):
        raise PipelineError(
            f"dataset.redraw: it draws the digits 0 to 9 from 28x28 pictures, and these classes "
            f"are {named(labels)}: set dataset.redraw to null"
        )
    size = (recipe.image.height, recipe.image.width)
    kept, listing = clean(listing, [pictures.look(image, size) for image in images])
    trained = np.array(listing.splits) == "train"
    classes = np.array(listing.classes)
    origins = np.array([file.name for file in listing.files])
    return Source(
        labels,
        images[kept[trained]],
        classes[trained],
        images[kept[~trained]],
        classes[~trained],
        origins[trained].tolist(),
        origins[~trained].tolist(),
        notes=tuple(listing.notes),
    )


def idx_listing(folder: Path, labels: list[str] | None) -> tuple[Listing, np.ndarray]:
    """An IDX set as a list, and its images, uint8 [N, h, w], in the order of the list.

    Args:
        labels: names of the classes, as `dataset.labels` gives them.
    """
    data = idx.load(folder)
    present = np.unique(data.train_labels)
    listing = Listing(folder, idx_labels(folder, labels, present))
    strange = sorted(set(data.test_labels.tolist()) - set(present.tolist()))
    if strange:
        raise PipelineError(
            f"{relative(folder)}: test images have the classes {named(map(str, strange))}, which "
            "no training image has"
        )
    for split, classes in (("train", data.train_labels), ("test", data.test_labels)):
        indices = np.searchsorted(present, classes).tolist()
        for name, label in zip(_numbered(split, classes), indices, strict=True):
            listing.add(folder / name, label, split)
    return listing, np.concatenate([data.train_images, data.test_images])


def idx_labels(folder: Path, given: list[str] | None, present: np.ndarray) -> list[str]:
    """Class names of an IDX set: the recipe's, those of its `labels.txt`, or its numbers.

    Args:
        present: the class numbers that occur, ascending.
    """
    listed = folder / "labels.txt"
    if given is None and listed.is_file():
        given = [line.strip() for line in layouts.read_text(listed).splitlines() if line.strip()]
    if given is None:
        return [str(number) for number in present]
    if len(given) != len(present):
        raise PipelineError(
            f"dataset.labels: {len(given)} names for the {len(present)} classes that occur "
            f"({named(map(str, present))}): write one name each"
        )
    return given


# --- sets of picture files ------------------------------------------------------------


def _from_files(recipe: Recipe, listing: Listing) -> Source:
    size = (recipe.image.height, recipe.image.width)
    _, listing = clean(listing, pictures.survey(listing.files, size))
    splits, classes = np.array(listing.splits), np.array(listing.classes)
    notes = list(listing.notes)
    order = np.random.default_rng(recipe.seed).permutation(len(splits))
    tested = splits[order] == "test"
    if not tested.any():
        pool = np.isin(splits[order], ("train", ""))
        tested[pool] = hold_out(classes[order][pool], recipe.dataset.test)
        origin = "training images" if "train" in listing.splits else "pictures"
        notes.append(f"{tested.sum():,} of the {origin} are held out as test images (dataset.test)")
    train, test = order[~tested], order[tested]
    validation = np.flatnonzero(splits[train] == "val")
    if not len(validation):
        notes.append("validation images are held out of the training images (dataset.validation)")
    origins = [file.relative_to(listing.folder).as_posix() for file in listing.files]
    return Source(
        listing.labels,
        PictureFiles([listing.files[index] for index in train]),
        classes[train],
        PictureFiles([listing.files[index] for index in test]),
        classes[test],
        [origins[index] for index in train],
        [origins[index] for index in test],
        validation if len(validation) else None,
        tuple(notes),
    )


def clean(listing: Listing, looks: list[pictures.Look]) -> tuple[np.ndarray, Listing]:
    """A list without the pictures that must not be in it.

    Left out, with a note: pictures of one flat tone, and all but one of those that are the same
    picture. The one in the test images stays, else the one in validation, so that no model is
    tested on what it learned from.

    Args:
        looks: what is known about each picture of the list.

    Returns:
        Indices of the pictures that stay, int64 [N], and the list of those.

    Raises:
        PipelineError: unreadable pictures, the same picture under two labels, class names that
            no list of labels can hold, or what the layout's reader found wrong.
    """
    found = examine(listing, looks)
    if found.problems:
        raise PipelineError(f"{relative(listing.folder)}: {'; '.join(found.problems)}")
    return found.kept, replace(
        listing,
        files=[listing.files[i] for i in found.kept],
        classes=[listing.classes[i] for i in found.kept],
        splits=[listing.splits[i] for i in found.kept],
        notes=listing.notes + found.notes,
    )


class Examination(NamedTuple):
    """What is to be said about a list of pictures."""

    kept: np.ndarray  # indices of the pictures that stay, int64 [N]
    notes: list[str]
    problems: list[str]


def examine(listing: Listing, looks: list[pictures.Look]) -> Examination:
    """As `clean`, but with the problems of list and pictures returned."""
    notes, problems = [], list(listing.problems)
    odd = [repr(label) for label in listing.labels if not label.isprintable()]
    if odd:
        problems.append(f"class names with a line break or control character: {named(odd)}")
    repeated = sorted({name for name in listing.labels if listing.labels.count(name) > 1})
    if repeated:
        problems.append(f"two classes have one name: {named(repeated)}")
    if len(listing.labels) < 2:
        problems.append(f"{len(listing.labels)} classes are too few to tell apart")
    unreadable = [file for file, seen in zip(listing.files, looks, strict=True) if seen.problem]
    if unreadable:
        reason = next(seen.problem for seen in looks if seen.problem)
        problems.append(
            f"{len(unreadable):,} files cannot be read as pictures, mend or delete them: "
            f"{listing.names(unreadable)} (the first: {reason})"
        )
    flat = [i for i, seen in enumerate(looks) if seen.flat]
    if flat:
        notes.append(
            f"{len(flat):,} pictures of one flat tone are left out: "
            f"{listing.names(listing.files[i] for i in flat)}"
        )
    same: dict[bytes, list[int]] = defaultdict(list)
    for index, seen in enumerate(looks):
        if not seen.problem and not seen.flat:
            same[seen.digest].append(index)
    groups = [group for group in same.values() if len(group) > 1]
    torn = [group for group in groups if len({listing.classes[i] for i in group}) > 1]
    if torn:
        shown = [
            " = ".join(
                f"{listing.files[i].relative_to(listing.folder)} "
                f"({listing.labels[listing.classes[i]]})"
                for i in group
            )
            for group in torn
        ]
        problems.append(
            f"{len(torn):,} pictures stand there under different labels, delete the wrong ones: "
            f"{named(shown)}"
        )
    kept = {min(g, key=lambda i: PRIORITY.index(listing.splits[i])) for g in same.values()}
    extra = sorted(set(range(len(looks))) - kept - set(flat))
    extra = [i for i in extra if not looks[i].problem]
    if extra and not torn:
        leaking = sum(len({listing.splits[i] for i in group}) > 1 for group in groups)
        notes.append(
            f"{len(extra):,} pictures that are there already are left out: "
            f"{listing.names(listing.files[i] for i in extra)}"
            + (f"; {leaking:,} of them stood in two splits" if leaking else "")
        )
    return Examination(np.array(sorted(kept), np.int64), notes, problems)

"""Data sets before they are split and fitted: MNIST, or a user's own.

Whatever the kind, the rest of the project sees a `Source`: names of the classes, and labelled
pictures to train on and to test with. What a set's owner should know about it (pictures left
out, a split that was made) is in its notes; what would spoil the model is refused.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import text
from ..errors import PipelineError
from ..files import PROJECT, relative
from ..recipe import Recipe
from . import archives, checks, class_names, idx_sets, layouts, mnist, pictures, tree
from .listing import Answers, Finding, Listing, named

UNPACKED = PROJECT / "data"  # where archives are unpacked


class PictureFiles:
    """Pictures that are read from their files when they are asked for."""

    def __init__(self, files: list[Path]):
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> np.ndarray:
        """uint8 [h, w], or [h, w, 3] in RGB order."""
        return pictures.read(self.files[index])


class Asked(PipelineError):
    """A set that can be read in several ways: the question, and the answers to it."""

    def __init__(self, folder: Path, finding: Finding):
        super().__init__(f"{relative(folder)}: {for_recipe(finding)}")
        self.folder, self.finding = relative(folder), finding

    def said(self, way: Callable[[Finding], str]) -> str:
        """The question with its answers in another way."""
        return f"{self.folder}: {way(self.finding)}"


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
    listing: Listing | None = None  # of a user's own set, which the pictures are of


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
    """The folder that a path means, given from the project's folder or absolute.

    Raises:
        PipelineError: nothing is there, or it is an archive that is refused or another file.
    """
    place = PROJECT / Path(path).expanduser()
    if place.is_dir():
        return place
    if not place.exists():
        raise PipelineError(f"{path} is neither a folder nor a zip or tar file: nothing is there")
    return archives.unpack_once(place, UNPACKED)


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
    _, listing, images = read(folder, said_by(recipe))
    size = (recipe.image.height, recipe.image.width)
    looks = looked_at(listing, images, size)
    found = checks.examine(listing, looks)
    if found.problems:
        said = "; ".join(for_recipe(problem) for problem in found.problems)
        raise PipelineError(f"{relative(listing.folder)}: {said}")
    listing = checks.only(listing, found)
    if images is not None:
        if recipe.dataset.redraw and (
            listing.labels != mnist.LABELS or size_of(images) != (28, 28)
        ):
            raise PipelineError(
                f"dataset.redraw: it draws the digits 0 to 9 from 28x28 pictures, and these "
                f"classes are {named(listing.labels)}: set dataset.redraw to null"
            )
        images = images[found.kept]
        if set(listing.splits) - {""}:
            return _from_arrays(listing, images)
    return _from_files(recipe, listing, images)


def read(folder: Path, said: Answers) -> tuple[str, Listing, np.ndarray | None]:
    """The kind of a set, its list, and the images of one in MNIST's format.

    Returns:
        Images are uint8 [N, h, w], in the order of the list; None for a set of files.

    Raises:
        PipelineError: it is of no known layout, or not of the one that is said.
        Asked: it can be read in several ways, or is not whole.
    """
    kind, listing = layouts.read(folder, said.kind, said.take)
    images = None
    if kind == "idx":
        listing, images = idx_listing(folder, said)
    class_names.put_in_one_line(listing)
    if said.split == "new" and set(listing.splits) - {""}:
        listing.splits = [""] * len(listing.splits)
        listing.notes.append("the set's own split is not used (dataset.split)")
    return kind, listing, images


def said_by(recipe: Recipe) -> Answers:
    """What a recipe says about its set."""
    said = recipe.dataset
    return Answers(said.kind, said.take, said.split, said.turn, said.labels)


def for_recipe(problem: Finding) -> str:
    """A problem, and how its answers are written into a recipe."""
    if not problem.answers:
        return problem.text
    cures = [f"dataset.{key}: {value!r}" for key, value in problem.answers]
    return f"{problem.text} (answer with {' or '.join(cures)})"


def looked_at(
    listing: Listing, images: np.ndarray | None, size: tuple[int, int]
) -> list[pictures.Look]:
    """What is known about each picture of a list, as the network will see it."""
    if images is None:
        return pictures.survey(listing.files, size)
    return [pictures.look(image, size) for image in images]


def size_of(images: np.ndarray) -> tuple[int, ...]:
    """Height and width of images, uint8 [N, h, w]."""
    return images.shape[1:]


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


def planned_counts(
    listing: Listing, validation: int | float, test: int | float
) -> dict[str, np.ndarray]:
    """Pictures of every class in train, val and test, as the split of a run will make them.

    Args:
        validation, test: parts that are held out where the set brings no such split.
    """
    classes = np.array(listing.classes, int)
    splits = np.array(listing.splits, "<U5")
    splits[splits == ""] = "train"
    for name, part in (("test", test), ("val", validation)):
        if not (splits == name).any():
            pool = np.flatnonzero(splits == "train")
            splits[pool[hold_out(classes[pool], part)]] = name
    return {
        name: np.bincount(classes[splits == name], minlength=len(listing.labels))
        for name in ("train", "val", "test")
    }


# --- sets in MNIST's format -----------------------------------------------------------


def _numbered(split: str, classes: np.ndarray) -> list[str]:
    """What pictures without a file of their own are called."""
    return [f"{split} image {number}" for number in range(len(classes))]


def _from_arrays(listing: Listing, images: np.ndarray) -> Source:
    trained = np.array(listing.splits) == "train"
    classes = np.array(listing.classes)
    origins = np.array([file.name for file in listing.files])
    return Source(
        listing.labels,
        images[trained],
        classes[trained],
        images[~trained],
        classes[~trained],
        origins[trained].tolist(),
        origins[~trained].tolist(),
        notes=tuple(listing.notes),
        listing=listing,
    )


def idx_listing(folder: Path, said: Answers) -> tuple[Listing, np.ndarray]:
    """An IDX set as a list, and its images, uint8 [N, h, w], in the order of the list.

    Raises:
        PipelineError: the set is not whole, damaged, or one of several.
    """
    root = tree.walk(folder)
    parts = idx_sets.choose(root, said.take)
    if isinstance(parts, Finding):
        raise Asked(folder, parts)
    data = idx_sets.load(parts, said.turn)
    present = np.unique(data.train_labels)
    strange = sorted(set(data.test_labels.tolist()) - set(present.tolist()))
    if strange:
        raise PipelineError(
            f"{relative(folder)}: test images have the classes {named(map(str, strange))}, which "
            "no training image has"
        )
    listing = Listing(folder, [], notes=data.notes)
    listing.labels = idx_labels(root, said.labels, present, data.names, listing)
    for split, classes in (("train", data.train_labels), ("test", data.test_labels)):
        indices = np.searchsorted(present, classes).tolist()
        for name, label in zip(_numbered(split, classes), indices, strict=True):
            listing.add(folder / name, label, split)
    listing.consulted |= {file for files in parts.files.values() for file in files}
    listing.consulted |= set(parts.folder.glob("*mapping.txt"))
    others = (file for file in root.all_others() if idx_sets.role(file.name)[0])
    listing.leave(
        (file for file in others if file not in listing.consulted),
        "of other sets in MNIST's format, or copies",
    )
    listing.close(root, "no part of a set in MNIST's format")
    return listing, np.concatenate([data.train_images, data.test_images])


def idx_labels(
    root: tree.Folder,
    given: list[str] | None,
    present: np.ndarray,
    names: dict[int, str],
    listing: Listing,
) -> list[str]:
    """Class names of an IDX set: the recipe's, those of a list in it, or its numbers.

    Args:
        present: the class numbers that occur, ascending.
        names: by number, as the set itself brings them.
    """
    listed = root.path / "labels.txt"
    if given is None and listed.is_file():
        content = text.read(listed)
        given = [line for _, line in content.lines()]
        listing.say_encoding(listed, content.encoding)
        listing.consulted.add(listed)
    if given is None:
        return [names.get(int(number), str(number)) for number in present]
    if len(given) != len(present):
        raise PipelineError(
            f"dataset.labels: {len(given)} names for the {len(present)} classes that occur "
            f"({named(map(str, present))}): write one name each"
        )
    return given


# --- sets of picture files ------------------------------------------------------------


def _from_files(recipe: Recipe, listing: Listing, images: np.ndarray | None) -> Source:
    """A set whose test images are its own or held out, in an order of the recipe's seed."""
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
        _chosen(listing, images, train),
        classes[train],
        _chosen(listing, images, test),
        classes[test],
        [origins[index] for index in train],
        [origins[index] for index in test],
        validation if len(validation) else None,
        tuple(notes),
        listing,
    )


def _chosen(
    listing: Listing, images: np.ndarray | None, indices: np.ndarray
) -> np.ndarray | PictureFiles:
    if images is None:
        return PictureFiles([listing.files[index] for index in indices])
    return images[indices]

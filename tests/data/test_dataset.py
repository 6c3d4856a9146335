"""No picture is in two splits, and the network's input is what the recipe says."""

import hashlib
import shutil

import cv2
import numpy as np
import pytest

from mnist_rknn import recipe_file
from mnist_rknn.data import dataset, drawing, pictures, sources
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import sha256
from mnist_rknn.verification import golden, quantstudy


@pytest.fixture(scope="module")
def source(mnist_folder):
    return sources.load_source(recipe_file.load("mnist"))


def test_splits_are_disjoint_and_complete(source):
    indices = drawing.split(recipe_file.load("mnist"), source)
    train, validation = set(indices["train"]), set(indices["val"])
    assert not train & validation
    assert train | validation == set(range(60000))
    assert len(indices["test"]) == 10000


def test_same_seed_same_split_other_seed_other_split(source):
    first, again, other = (
        drawing.split(recipe_file.load("mnist", [f"seed={seed}"]), source)["val"]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("count", [7, 3000, 10_000, 12_000])
def test_redrawn_test_digits_come_evenly_from_all(source, count):
    chosen = recipe_file.load("mnist", [f"dataset.redraw.test={count}"])
    pictures = drawing.plan(chosen, source, drawing.split(chosen, source))
    digits = np.array([p.index for p in pictures if p.kind == "simulated"])
    assert len(digits) == count and len(set(digits)) == min(count, 10_000)
    halves = np.bincount(digits // 5000, minlength=2)
    assert abs(int(halves[0]) - int(halves[1])) <= max(1, count - 10_000)


def test_sample_limits_keep_validation_apart(source):
    small = drawing.split(recipe_file.load("smoke"), source)
    whole = drawing.split(recipe_file.load("mnist"), source)
    assert set(small["train"]) <= set(whole["train"])
    assert set(small["val"]) <= set(whole["val"])


def test_validation_larger_than_the_data_is_refused(source):
    with pytest.raises(PipelineError, match="leaves no image to train on"):
        drawing.split(recipe_file.load("mnist", ["dataset.validation=60000"]), source)


def test_written_test_images_are_not_among_the_training_images(tiny_run):
    hashes = {
        name: {sha256(file) for file in dataset.read_split(tiny_run / "dataset", name).files}
        for name in drawing.SPLITS
    }
    assert not hashes["train"] & hashes["test"]
    assert not hashes["train"] & hashes["val"]


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 3), (480, 640, 3), (10, 300)])
def test_fit_squeezes_the_whole_picture(shape):
    image = np.zeros(shape, np.uint8)
    image[: shape[0] // 2] = 200
    fitted = pictures.fit(image, 32, 32)
    assert fitted.shape == (32, 32, 3) and fitted.dtype == np.uint8
    assert fitted[:12].min() >= 190 and fitted[-12:].max() <= 10


def test_colours_survive_writing_and_reading(tmp_path):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    dataset.write_image(tmp_path / "red.png", red)
    assert np.array_equal(dataset.read_images([tmp_path / "red.png"])[0], red)
    assert cv2.imread(str(tmp_path / "red.png"))[0, 0].tolist() == [0, 0, 255]


def test_missing_picture_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"lost\.png is missing or not a picture"):
        dataset.read_images([tmp_path / "lost.png"])


def test_missing_table_names_the_step(tmp_path):
    with pytest.raises(PipelineError, match=r"pictures\.csv is missing: run 01_data first"):
        dataset.read_split(tmp_path, "train")


# --- the table of pictures ------------------------------------------------------------


@pytest.fixture(scope="module")
def written(source, tmp_path_factory):
    """A small redrawn data set: its recipe, the plan of its pictures, and its folder."""
    counts = "plain: 30, untouched: 10, camera: 20, drawn: 10, written: 10"
    counts += ", validation: 8, test: 8, hard: 2"
    chosen = recipe_file.load(
        "smoke", ["dataset.samples={train: 100, validation: 8, test: 8}",
                  f"dataset.redraw={{{counts}}}"]
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("data") / "dataset"
    indices = drawing.split(chosen, source)
    drawing.write(folder, chosen, source, indices)
    return drawing.plan(chosen, source, indices), folder


def test_table_knows_what_every_picture_is_and_where_it_comes_from(written):
    plan, folder = written
    table = dataset.read_pictures(folder)
    assert list(table) == ["val", "test", "train", "camera", "hard"]
    planned = {folder / picture.file: picture for picture in plan}
    for name, split in table.items():
        assert len(split.files) == len(split.kinds) == len(split.origins) > 0
        for file, kind, label, origin, digest in zip(
            split.files, split.kinds, split.classes, split.origins, split.digests, strict=True
        ):
            picture = planned[file]
            assert (name, kind, label) == (picture.split, picture.kind, picture.label)
            half = "test" if name in ("test", "camera", "hard") else "train"
            strokes = kind in ("drawn", "written", "ways")
            assert origin == ("" if strokes else f"{half} image {picture.index}")
            assert digest == hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()
    # A name does not say that a plain picture was changed; the table does.
    assert {"plain", "jittered", "camera", "drawn", "written"} == set(table["train"].kinds)


def test_origins_tell_that_no_picture_of_a_split_is_made_from_one_of_another(written):
    table = dataset.read_pictures(written[1])
    train, val = ({*table[name].origins} - {""} for name in ("train", "val"))
    assert train and val and not train & val
    tested = {origin for name in ("test", "camera", "hard") for origin in table[name].origins}
    tested -= {""}  # the ways of writing are made from no picture
    assert tested and all(origin.startswith("test image ") for origin in tested)


def test_lists_of_paddlex_follow_from_the_table(written):
    folder = written[1]
    for name, split in dataset.read_pictures(folder).items():
        pairs = zip(split.files, split.classes, strict=True)
        lines = [f"{file.relative_to(folder)} {label}" for file, label in pairs]
        assert (folder / f"{name}.txt").read_text().splitlines() == lines


def test_kinds_come_from_the_table_and_not_from_names(written, tmp_path):
    """Golden and scored pictures are chosen by kind, whatever the files are called."""
    folder = tmp_path / "run" / "dataset"
    shutil.copytree(written[1], folder)
    before = dataset.read_split(folder, "val")
    table = folder / dataset.TABLE
    text = table.read_text()
    for number, file in enumerate(before.files):
        file.rename(file.with_name(f"{number}.bmp"))
        text = text.replace(f"images/val/{file.name},", f"images/val/{number}.bmp,")
    table.write_text(text)
    renamed = dataset.read_split(folder, "val")
    assert np.array_equal(golden.choose(before, 10), golden.choose(renamed, 10))
    scored = quantstudy._scoring_files(tmp_path / "run", 6)
    assert scored.kinds.tolist().count("plain") == scored.kinds.tolist().count("camera") == 3


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda text: text[:-30], "is damaged"),
        (lambda text: text.replace(",7,train", ",seven,train"), "seven is no class of label.txt"),
        (lambda text: text.partition("\n")[2], "has other columns"),
        (lambda text: "", "has other columns"),
    ],
)
def test_damaged_table_is_one_line_and_names_the_step(written, tmp_path, damage, expected):
    folder = tmp_path / "dataset"
    shutil.copytree(written[1], folder)
    table = folder / dataset.TABLE
    table.write_text(damage(table.read_text()))
    with pytest.raises(PipelineError, match=expected) as error:
        dataset.read_pictures(folder)
    assert "run 01_data" in str(error.value) and "\n" not in str(error.value)

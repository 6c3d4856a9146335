"""A user's own pictures: what is handled, what is said about it, and what is refused."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.own_sets import (
    CHINESE,
    annotate,
    drawing,
    folder_set,
    idx_set,
    labelme_set,
    paddlex_set,
    save,
)

from mnist_rknn import recipe_file
from mnist_rknn.data import checks, dataset, layouts, mnist, pictures, sources
from mnist_rknn.data.drawing import split as split_of
from mnist_rknn.data.drawing import write
from mnist_rknn.errors import PipelineError


def own(kind, path, *changes):
    return recipe_file.load(
        "mnist_plain",
        [f"dataset.kind={kind}", f"dataset.path='{path}'", "dataset.validation=0.2",
         "calibration.images=20", *changes],
    )  # fmt: skip


def load(kind, path, *changes):
    """The source and its split."""
    wanted = own(kind, path, *changes)
    source = sources.load_source(wanted)
    return source, split_of(wanted, source)


def refusal(kind, path, *changes) -> str:
    with pytest.raises(PipelineError) as error:
        load(kind, path, *changes)
    assert "\n" not in str(error.value)
    return str(error.value)


def counts(source, split):
    drawn = {"train": source.train_classes, "val": source.train_classes,
             "test": source.test_classes}  # fmt: skip
    return {name: np.bincount(drawn[name][split[name]]).tolist() for name in split}


# --- every kind -----------------------------------------------------------------------


def test_folder_is_split_class_by_class_and_the_same_way_every_time(tmp_path):
    folder_set(tmp_path, 20)
    source, split = load("folder", tmp_path, "dataset.test=0.2")
    assert source.labels == ["circle", "square", "triangle"]
    assert counts(source, split) == {"train": [13] * 3, "val": [3] * 3, "test": [4] * 3}
    again, _ = load("folder", tmp_path, "dataset.test=0.2")
    other, _ = load("folder", tmp_path, "dataset.test=0.2", "seed=2")
    assert again.test_images.files == source.test_images.files != other.test_images.files
    files = set(source.train_images.files) | set(source.test_images.files)
    assert len(files) == 60 == len(source.train_images) + len(source.test_images)


def test_class_folders_are_numbered_by_value(tmp_path):
    folder_set(tmp_path, 12, names=("10", "9", "2"))
    assert load("folder", tmp_path)[0].labels == ["2", "9", "10"]


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "testing")])
def test_folder_with_splits_keeps_them(tmp_path, names):
    for start, name in enumerate(names):
        folder_set(tmp_path / name, 10, first=100 * start)
    source, split = load("folder", tmp_path)
    assert counts(source, split) == dict.fromkeys(("train", "val", "test"), [10] * 3)
    assert {file.parts[-3] for file in source.test_images.files} == {names[2]}
    held = {source.train_images.files[index].parts[-3] for index in split["val"]}
    assert held == {names[1]}


def test_folder_without_validation_gets_it_from_its_training_images(tmp_path):
    folder_set(tmp_path / "train", 20)
    folder_set(tmp_path / "test", 5, first=100)
    source, split = load("folder", tmp_path)
    assert counts(source, split) == {"train": [16] * 3, "val": [4] * 3, "test": [5] * 3}


def test_labelme_set_as_windows_writes_it(tmp_path):
    """Backslashes, flags.txt in GBK with Labelme's own first line, Chinese and spaced names."""
    labelme_set(tmp_path, 12)
    source, split = load("labelme", tmp_path)
    assert source.labels == list(CHINESE)
    assert counts(source, split)["test"] == [2, 2, 2]
    for image, label in zip(source.test_images.files, source.test_classes, strict=True):
        assert image.name.startswith(CHINESE[label])


def test_paddlex_set_without_test_list_says_where_its_test_images_come_from(tmp_path):
    paddlex_set(tmp_path, {"train": 20, "val": 4})
    source, split = load("paddlex", tmp_path)
    assert source.labels == ["a circle", "square", "tri,angle"]
    assert counts(source, split) == {"train": [17] * 3, "val": [4] * 3, "test": [3] * 3}
    assert any("9 of the training images are held out as test" in note for note in source.notes)


def test_paddlex_set_keeps_its_lists(tmp_path):
    paddlex_set(tmp_path, {"train": 12, "val": 3, "test": 2})
    source, split = load("paddlex", tmp_path)
    assert counts(source, split) == {"train": [12] * 3, "val": [3] * 3, "test": [2] * 3}


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_set_of_any_classes(tmp_path, zipped):
    idx_set(tmp_path, {"train": 20, "t10k": 5}, classes=(1, 5, 26), zipped=zipped)
    source, split = load("idx", tmp_path)
    assert source.labels == ["1", "5", "26"]
    assert counts(source, split) == {"train": [16] * 3, "val": [4] * 3, "test": [5] * 3}
    names = "dataset.labels=['a', 'b c', '丁']"
    assert load("idx", tmp_path, names)[0].labels == ["a", "b c", "丁"]
    (tmp_path / "labels.txt").write_text("x\ny\nz\n")
    assert load("idx", tmp_path)[0].labels == ["x", "y", "z"]
    assert "2 names for the 3 classes" in refusal("idx", tmp_path, "dataset.labels=[a, b]")


def test_zip_of_a_set_inside_a_folder_is_taken(tmp_path, monkeypatch):
    labelme_set(tmp_path / "in" / "Dataset", 12)
    shutil.make_archive(str(tmp_path / "shapes"), "zip", tmp_path / "in")
    monkeypatch.setattr(sources, "UNPACKED", tmp_path / "data")
    source, _ = load("labelme", tmp_path / "shapes.zip")
    assert source.labels == list(CHINESE)
    assert source.train_images.files[0].is_relative_to(tmp_path / "data" / "shapes" / "Dataset")


def test_written_dataset_has_ascii_names_and_the_networks_size(tmp_path):
    wanted = own("labelme", labelme_set(tmp_path / "set", 12))
    source = sources.load_source(wanted)
    write(tmp_path / "out", wanted, source, split_of(wanted, source))
    assert dataset.read_labels(tmp_path / "out") == list(CHINESE)
    test = dataset.read_split(tmp_path / "out", "test")
    assert dataset.read_images(test.files).shape == (6, 48, 48, 3)
    assert all(str(file.relative_to(tmp_path)).isascii() for file in test.files)


def test_table_holds_any_class_and_file_name(tmp_path):
    names = ('a, "b"', " 圆形 c ", "d;e")
    folder_set(tmp_path / "set", 12, names)
    odd = save(tmp_path / "set" / " 圆形 c " / 'x,\n"y".png', drawing(1, 700))
    broken = Path(os.fsdecode(os.fsencode(odd.parent) + b"/caf\xe9.png"))
    shutil.copy(save(tmp_path / "another.png", drawing(1, 701)), broken)
    wanted = own("folder", tmp_path / "set")
    source = sources.load_source(wanted)
    write(tmp_path / "out", wanted, source, split_of(wanted, source))
    assert sorted(dataset.read_labels(tmp_path / "out")) == sorted(names)
    origins = set()
    for split in dataset.read_pictures(tmp_path / "out").values():
        for origin, index, digest in zip(split.origins, split.classes, split.digests, strict=True):
            file = tmp_path / "set" / origin
            assert file.is_file() and file.parent.name == source.labels[index] and digest
            origins.add(file)
    assert {odd, broken} <= origins and len(origins) == 38


@pytest.mark.parametrize("make", [labelme_set, folder_set])
def test_kind_is_recognised_also_one_folder_down(tmp_path, make):
    make(tmp_path / "set" / "Dataset", 1)
    kind, listing = layouts.read(tmp_path)
    assert kind == make.__name__.removesuffix("_set") and len(listing.files) == 3


# --- handled, and said ----------------------------------------------------------------


def test_hidden_files_and_other_endings_are_no_pictures(tmp_path):
    folder_set(tmp_path, 12)
    for name in (".DS_Store", "circle/Thumbs.db", "circle/._1.png", "__MACOSX/circle/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"junk")
    (tmp_path / "circle" / "IMG_1.HEIC").write_bytes(b"a phone's own format")
    source, _ = load("folder", tmp_path)
    assert len(source.labels) == 3
    assert any("IMG_1.HEIC" in note and "1 files are left out" in note for note in source.notes)
    assert (
        "4 files are left out, kept there by a system such as macOS or Windows: .DS_Store, "
        "__MACOSX/circle/1.png, circle/._1.png, circle/Thumbs.db"
    ) in source.notes


def test_same_picture_twice_is_taken_once_and_said(tmp_path):
    folder_set(tmp_path, 12)
    save(tmp_path / "circle" / "copy.bmp", drawing(0, 0))  # other bytes, same pixels
    source, _ = load("folder", tmp_path)
    assert len(source.train_images) + len(source.test_images) == 36
    assert any("1 pictures that are there already" in note for note in source.notes)


def test_picture_in_training_and_test_stays_in_test_only(tmp_path):
    folder_set(tmp_path / "train", 12)
    folder_set(tmp_path / "test", 3, first=100)
    save(tmp_path / "train" / "square" / "leak.png", drawing(1, 101))
    source, _ = load("folder", tmp_path)
    assert len(source.test_images) == 9
    assert "leak.png" not in {file.name for file in source.train_images.files}
    assert any("leak.png; 1 of them stood in two splits" in note for note in source.notes)


def test_flat_picture_is_left_out_and_said(tmp_path):
    folder_set(tmp_path, 12)
    save(tmp_path / "circle" / "lens cap.png", np.zeros((30, 30, 3), np.uint8))
    source, _ = load("folder", tmp_path)
    assert any("flat tone" in note and "lens cap.png" in note for note in source.notes)


def test_labelme_image_without_annotation_is_left_out_and_said(tmp_path):
    labelme_set(tmp_path, 12)
    save(tmp_path / "images" / "later.png", drawing(0, 500))
    source, _ = load("labelme", tmp_path)
    assert any("1 images without annotation" in n and "later.png" in n for n in source.notes)


# --- refused --------------------------------------------------------------------------


def test_unreadable_pictures_are_named_and_counted(tmp_path):
    folder_set(tmp_path, 12)
    for number in range(7):
        (tmp_path / "square" / f"bad {number}.jpg").write_bytes(b"no picture")
    message = refusal("folder", tmp_path)
    assert "7 files cannot be read as pictures" in message
    assert "bad 0.jpg" in message and "and 2 more" in message


def test_same_picture_under_two_labels_is_refused(tmp_path):
    folder_set(tmp_path, 12)
    save(tmp_path / "square" / "again.png", drawing(0, 3))
    message = refusal("folder", tmp_path)
    assert "1 pictures stand there under different labels" in message
    assert "circle 3.PNG (circle) = " in message and "again.png (square)" in message


def test_class_with_too_few_pictures_says_how_many_are_needed(tmp_path):
    folder_set(tmp_path, 20)
    for number in range(4, 20):
        (tmp_path / "square" / f"square {number}.PNG").unlink()
    message = refusal("folder", tmp_path)
    assert "too few images: square (2 train, 1 val, 1 test)" in message
    assert "each needs 7 to train" in message


LABELME_MISTAKES = {
    "two flags": (lambda root: annotate(root, "x", "x.png", 方块=True, 三角=True), "two flags"),
    "no flag": (lambda root: annotate(root, "x", "x.png", 方块=False), "no flag set"),
    "unknown flag": (
        lambda root: annotate(root, "x", "x.png", cat=True),
        "flags.txt lacks: x.json",
    ),
    "no image": (lambda root: annotate(root, "lost", "lost.png", 方块=True), "have no image: lost"),
    "twice": (lambda root: annotate(root, "again", "方块 0.JPG", 方块=True), "has one already"),
    "no JSON": (
        lambda root: (root / "annotations" / "x.json").write_text("{"),
        "annotations cannot be read: x.json",
    ),
}


@pytest.mark.parametrize("mistake", LABELME_MISTAKES)
def test_labelme_mistake_is_refused_with_its_file(tmp_path, mistake):
    make, expected = LABELME_MISTAKES[mistake]
    labelme_set(tmp_path, 12)
    save(tmp_path / "images" / "x.png", drawing(1, 700))
    make(tmp_path)
    message = refusal("labelme", tmp_path)
    assert "1 annotations" in message and expected in message


PADDLEX_MISTAKES = {
    "missing file": ("images/lost.bmp 0", "1 files are missing: images/lost.bmp"),
    "no class": ("images/picture 0.bmp", "end in no class of label.txt: train.txt, line 61"),
    "unknown class": ("images/picture 0.bmp 7", "end in no class of label.txt"),
    "outside": ("../../etc/passwd 0", "outside of the set"),
    "twice": ("images/picture 0.bmp 0", "in the lists twice: images/picture 0.bmp"),
}


@pytest.mark.parametrize("mistake", PADDLEX_MISTAKES)
def test_paddlex_mistake_is_refused_with_its_line(tmp_path, mistake):
    line, expected = PADDLEX_MISTAKES[mistake]
    paddlex_set(tmp_path, {"train": 20, "val": 4})
    with (tmp_path / "train.txt").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    assert expected in refusal("paddlex", tmp_path)


def test_label_numbers_that_skip_one_are_refused(tmp_path):
    paddlex_set(tmp_path, {"train": 20, "val": 4})
    (tmp_path / "label.txt").write_text("0 a\n2 b\n1 c\n")
    assert "must count its lines from 0" in refusal("paddlex", tmp_path)


def test_class_names_are_put_in_one_line_and_said(tmp_path):
    names = ("a\nb", "c\u2028d\te", "全\u3000角 می\u200cخواهم")
    folder_set(tmp_path, 12, names=names)
    source, _ = load("folder", tmp_path)
    assert source.labels == ["a b", "c d e", names[2]]
    assert any("2 class names hold a line break" in note for note in source.notes)
    folder_set(tmp_path, 12, names=("a b", "c", "d"), first=50)
    assert "two classes have one name: a b" in refusal("folder", tmp_path)


def test_class_names_given_twice_are_refused(tmp_path):
    idx_set(tmp_path, {"train": 20, "t10k": 5})
    assert "two classes have one name: a" in refusal("idx", tmp_path, "dataset.labels=[a, a, b]")


def test_damaged_idx_file_is_named(tmp_path):
    idx_set(tmp_path, {"train": 20, "t10k": 5})
    file = tmp_path / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-20])
    assert "t10k-images-idx3-ubyte.gz is cut short" in refusal("idx", tmp_path)


def test_nothing_that_is_a_set_lists_the_layouts(tmp_path):
    save(tmp_path / "loose.png", drawing(0, 0))
    assert "is no folder set: it wants two or more folders" in refusal("folder", tmp_path)
    nearest = "none of the known layouts: it holds 1 pictures; nearest is folder, which wants two"
    with pytest.raises(PipelineError, match=nearest):
        layouts.read(tmp_path)
    assert "neither a folder nor a zip or tar file" in refusal("folder", tmp_path / "nowhere")


def test_redrawing_clothes_as_digits_is_refused(tmp_path):
    idx_set(tmp_path, {"train": 20, "t10k": 5})
    assert "set dataset.redraw to null" in refusal("idx", tmp_path, "dataset.redraw={}")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["dataset.kind=folder"], "dataset.path: it is missing"),
        (["dataset.path=x"], "is not read for kind mnist"),
        (["dataset.kind=labelme", "dataset.path=x", "dataset.redraw={}"], "dataset.redraw: it"),
        (["dataset.kind=folder", "dataset.path=x", "dataset.labels=[a]"], "dataset.labels: kind"),
        (["dataset.kind=idx", "dataset.path=x", "dataset.source=y"], "use dataset.path"),
        (["dataset.validation=1.5"], "use a count of pictures, such as 5000, or a share"),
        (["dataset.test=0"], "use a count of pictures, such as 5000, or a share"),
    ],
)
def test_recipe_keys_that_do_not_fit_the_kind_are_refused(changes, expected):
    with pytest.raises(PipelineError, match=expected):
        recipe_file.load("mnist_plain", changes)


# --- scale, and what depends on the data ----------------------------------------------


def test_long_list_is_read_without_opening_a_picture(tmp_path):
    """The files are empty. 100,000 take five times as long."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(10_000):
            (tmp_path / name / f"{number}.jpg").touch()
    _, listing = layouts.read(tmp_path)
    assert len(listing.files) == 20_000
    looks = [pictures.Look(8, 8, False, False, b"%d" % n) for n in range(20_000)]
    assert len(checks.examine(listing, looks).kept) == 20_000


def test_changed_pictures_make_the_data_step_stale(tmp_path):
    from mnist_rknn.pipeline import graph, steps

    wanted = own("folder", folder_set(tmp_path / "set", 12))
    step = steps.find("01_data")
    before = graph.made_from(step, wanted, tmp_path)
    assert graph.change(before, graph.made_from(step, wanted, tmp_path)) is None
    save(tmp_path / "set" / "circle" / "new.png", drawing(0, 999))
    assert graph.change(before, graph.made_from(step, wanted, tmp_path)) == "data"


def test_mnist_is_split_as_ever(mnist_folder):
    """Its published figures hold for this split: the head of one permutation is validation."""
    wanted = recipe_file.load("mnist")
    source = sources.load_source(wanted)
    order = np.random.default_rng(wanted.seed).permutation(60_000)
    split = split_of(wanted, source)
    assert np.array_equal(split["val"], order[:5000])
    assert np.array_equal(split["train"], order[5000:])
    assert source.labels == mnist.LABELS

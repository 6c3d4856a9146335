"""Files that are not what their names say: IDX of any writer, archives, tables, pictures."""

import gzip
import io
import re
import shutil
import struct
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.trees import picture

from mnist_rknn.data import archives, idx_sets, importing, mnist, pictures, sources
from mnist_rknn.data.listing import Answers
from mnist_rknn.errors import PipelineError
from mnist_rknn.verification import evaluation

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
         "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")  # fmt: skip
TYPES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13}


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(
        f">BBBB{array.ndim}I", 0, 0, TYPES[str(array.dtype)], array.ndim, *array.shape
    )
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def arrays(seed: int = 0) -> list[np.ndarray]:
    """Four arrays of a set of three classes."""
    made: list[np.ndarray] = []
    for count in (60, 30):
        images = np.random.default_rng(seed + count).integers(0, 256, (count, 12, 10), np.uint8)
        made += [images, (np.arange(count) % 3).astype(np.uint8)]
    return made


def write(root: Path, values=None, name="{}", pack=lambda content: content) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for plain, array in zip(NAMES, values or arrays(), strict=True):
        file = root / name.format(plain)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pack(idx(array)))
    return root


def loaded(root: Path, said: Answers | None = None) -> tuple:
    return sources.read(root, said or Answers())


# --- IDX ------------------------------------------------------------------------------

WRITTEN = {
    "dots": ("{}.idx", bytes),
    "gz without ending": ("{}", gzip.compress),
    "plain as gz": ("{}.gz", bytes),
    "a browser's copy": ("{} (1).gz", gzip.compress),
    "in folders": ("{0}/{0}", bytes),
    "below": ("MNIST/raw/{}", bytes),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_idx_is_read_by_content_whatever_it_is_called(kind, tmp_path):
    name, pack = WRITTEN[kind]
    _, listing, images = loaded(write(tmp_path, name=name, pack=pack))
    assert images.shape == (90, 12, 10) and listing.labels == ["0", "1", "2"]
    assert np.array_equal(images[:60], arrays()[0]) and listing.classes[:4] == [0, 1, 2, 0]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_labels_and_pictures_of_other_whole_numbers_are_read(dtype, tmp_path):
    values = arrays()
    values[1], values[3] = (values[i].astype(dtype) for i in (1, 3))
    values[2] = values[2].astype("int16")
    _, listing, images = loaded(write(tmp_path, values))
    assert images.dtype == np.uint8 and listing.classes[60:63] == [0, 1, 2]


def test_qmnist_table_says_which_column_is_taken(tmp_path):
    values = arrays()
    for i in (1, 3):
        table = np.full((len(values[i]), 8), 99, np.int32)
        table[:, 0] = values[i]
        values[i] = table
    _, listing, _ = loaded(write(tmp_path, values))
    assert listing.classes[:3] == [0, 1, 2]
    assert any("is a table [60, 8]: its column 0 is the label" in note for note in listing.notes)


def test_emnist_is_turned_and_named_by_its_mapping_unless_told_otherwise(tmp_path):
    values = arrays()
    values[1], values[3] = values[1] + 1, values[3] + 1
    write(tmp_path, values, "emnist-letters-{}")
    (tmp_path / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n3 67 99\n")
    _, listing, images = loaded(tmp_path)
    assert listing.labels == ["A", "B", "C"] and any("on their side" in n for n in listing.notes)
    assert np.array_equal(images[0], values[0][0].T)
    assert np.array_equal(loaded(tmp_path, Answers(turn=False))[2][0], values[0][0])


def test_several_sets_in_one_folder_are_asked_about_and_never_mixed(tmp_path):
    write(tmp_path, arrays(1), "emnist-digits-{}", gzip.compress)
    write(tmp_path, arrays(2), "emnist-letters-{}", gzip.compress)
    with pytest.raises(sources.Asked, match="2 sets lie here: emnist-digits, emnist-letters"):
        loaded(tmp_path)
    _, _, images = loaded(tmp_path, Answers(take="emnist-letters", turn=False))
    assert np.array_equal(images[:60], arrays(2)[0])


LFS = b"version https://git-lfs.github.com/spec/v1\nsize 9\n"
SPOILED = {
    "HTML": (lambda c: b"<!DOCTYPE html><html>403</html>", "it is a web page"),
    "LFS": (lambda c: LFS, "it is a Git LFS pointer"),
    "twice": (lambda c: gzip.compress(gzip.compress(c)), r"compressed with gzip twice"),
    "cut": (lambda c: gzip.compress(c)[:-30], "cut short"),
    "float": (lambda c: idx(np.zeros((60, 12, 10), np.float32)), r"holds float32 \[60, 12, 10\]"),
    "colour": (lambda c: idx(np.zeros((60, 12, 10, 3), np.uint8)), r"\[60, 12, 10, 3\].* gray"),
    "another copy": (None, "are for the same part of a set, and differ"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_what_stands_in_the_place_of_idx_is_named(kind, tmp_path):
    spoil, expected = SPOILED[kind]
    write(tmp_path)
    if spoil:
        (tmp_path / NAMES[0]).write_bytes(spoil((tmp_path / NAMES[0]).read_bytes()))
    else:
        (tmp_path / f"{NAMES[0]} (1)").write_bytes(idx(arrays(5)[0]))
    with pytest.raises(PipelineError, match=expected):
        loaded(tmp_path)


def test_a_set_without_its_test_files_says_which_are_missing(tmp_path):
    write(tmp_path)
    for name in NAMES[2:]:
        (tmp_path / name).unlink()
    with pytest.raises(PipelineError, match="t10k-images, t10k-labels are missing beside train-"):
        loaded(tmp_path)


def test_a_name_says_the_role_and_the_set():
    assert idx_sets.role("emnist-mnist-train-images-idx3-ubyte.gz") == (
        ("train", "images"), "emnist-mnist",
    )  # fmt: skip
    assert idx_sets.role("t10k-labels.idx1-ubyte (2)") == (("test", "labels"), "")
    assert idx_sets.role("notes.txt") == (None, "")


def test_mnist_is_taken_from_its_folder_gzipped_or_under_other_names(mnist_folder, tmp_path):
    for name in mnist.SHA256:
        content = (mnist_folder / name).read_bytes()
        (tmp_path / f"{name.replace('-idx', '.idx')} (1).gz").write_bytes(gzip.compress(content, 1))
    write(tmp_path / "other", name="fashion-{}")
    quiet = list[str]().append
    mnist.fetch(tmp_path / "out", str(tmp_path), quiet)
    assert len(mnist.load(tmp_path / "out").test_labels) == 10_000
    shutil.rmtree(tmp_path / "out")
    mnist.fetch(tmp_path, None, quiet)  # the four .gz lie in the data folder itself
    assert len(mnist.load(tmp_path).test_labels) == 10_000


# --- archives -------------------------------------------------------------------------


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in names:
            opened.writestr(name, picture(1))
    return path


def packed_twice(path: Path) -> None:
    inner = zipped(path.with_name("inner.zip"), "a.png").read_bytes()
    with zipfile.ZipFile(path, "w") as opened:
        for name in ("train.zip", "test.zip"):
            opened.writestr(name, inner)


def with_method(path: Path, number: int) -> None:
    content = bytearray(zipped(path, "a.png").read_bytes())
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = content.index(mark) + at
        content[place : place + 2] = number.to_bytes(2, "little")
    path.write_bytes(content)


ARCHIVES = {
    "a.zip": (lambda p: with_method(p, 9), "packed with Deflate64"),
    "b.zip": (lambda p: with_method(p, 99), "packed with AES"),
    "c.zip": (lambda p: with_method(p, 98), "packed with PPMd"),
    "d.zip": (lambda p: with_method(p, 93), "packed with zstd"),
    "e.zip": (lambda p: p.write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(90)), "is a RAR archive"),
    "f.rar": (lambda p: p.write_bytes(b"Rar!\x1a\x07\x00" + bytes(90)), "is a RAR archive"),
    "g.zip": (
        lambda p: p.write_bytes(b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(90)),
        "is a 7z archive",
    ),
    "h.z01": (lambda p: p.write_bytes(b"PK\x07\x08" + bytes(90)), "is a part of a split archive"),
    "i.zip.001": (lambda p: p.write_bytes(b"PK\x03\x04" + bytes(90)), "is a part of a split"),
    "j.zip": (lambda p: p.write_bytes(b"<!DOCTYPE html><p>sign in"), "is a web page"),
    "k.zip": (lambda p: p.write_bytes(LFS), "is a Git LFS pointer"),
    "l.zip.crdownload": (lambda p: p.write_bytes(b"PK\x03\x04"), "download that was not finished"),
    "m.zip": (lambda p: packed_twice(p), "holds archives: test.zip, train.zip: unpack them"),
    "n.tar.gz": (lambda p: p.write_bytes(gzip.compress(b"a,b")), "is compressed with gzip"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_is_not_read_is_named_and_not_called_damaged(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "UNPACKED", tmp_path / "out")
    make, expected = ARCHIVES[name]
    make(tmp_path / name)
    with pytest.raises(PipelineError) as error:
        importing.examine(str(tmp_path / name))
    assert re.search(expected, str(error.value)) and "damaged" not in str(error.value)


def test_two_archives_of_one_name_get_a_folder_each(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first = archives.unpack_once(zipped(tmp_path / "one/set.zip", "a.png"), tmp_path / "out")
    second = archives.unpack_once(zipped(tmp_path / "two/set.zip", "b.png"), tmp_path / "out")
    assert (first / "a.png").is_file() and (second / "b.png").is_file() and first != second
    assert archives.unpack_once(tmp_path / "one/set.zip", tmp_path / "out") == first


# --- pictures and lists of pictures ---------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_twelve_bits_in_sixteen_are_not_read_as_black(channels, tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (20, 20, channels)).astype(np.uint16)
    values[0, 0] = 4095
    file = tmp_path / "camera.png"
    file.write_bytes(cv2.imencode(".png", values.squeeze())[1].tobytes())
    seen = pictures.read(file)
    assert seen.max() == 255 and 120 < seen.mean() < 135
    assert pictures.survey([file])[0].twelve_bits
    full = io.BytesIO(cv2.imencode(".png", values.squeeze() * 16)[1].tobytes())
    assert not pictures.decoded(full.getvalue())[1]


LABELS = [str(number) for number in range(3)]
INDEX = {
    "GBK of Excel": ("file,label,group\r\np0.png,0,白板\r\np1.png,1,纸张\r\n", "gb18030"),
    "UTF-16": ("file\tlabel\tgroup\np0.png\t0\t白板\np1.png\t1\t纸张\n", "utf-16"),
    "semicolons": (
        "sep=;\nFile; Label ;Group\n.\\p0.png; 0 ;白板\np1.png;1;纸张\n;;\n",
        "utf-8-sig",
    ),
    "another case": ("file,label,group\nP0.PNG,0,白板\np1.Png,1,纸张\n", "utf-8"),
    "more columns": ('id,file,label,w,group\n7,"p0.png",0,9,白板\n8,p1.png,1,9,纸张\n', "utf-8"),
}


@pytest.mark.parametrize("kind", INDEX)
def test_index_csv_is_read_as_programs_save_it(kind, tmp_path):
    for name in ("p0.png", "p1.png"):
        (tmp_path / name).write_bytes(picture(1))
    content, encoding = INDEX[kind]
    (tmp_path / "index.csv").write_bytes(content.encode(encoding))
    found = evaluation.read_index(tmp_path, LABELS)
    assert found.classes.tolist() == [0, 1] and found.groups == ["白板", "纸张"]
    assert [file.name for file in found.files] == ["p0.png", "p1.png"]


WRONG_INDEX = {
    "short line": ("file,label\np0.png,0\np1.png\n", "line 3: 1 of 2 cells, label is missing"),
    "open quote": ('file,label\n"p0.png,0\np1.png,1\n', "line 2: a quote is not closed"),
    "NUL": ("file,label\np0.png\0,0\n", "line 2: there is a NUL byte"),
    "two labels": (
        "file,label\np0.png,0\n\np0.png,1\n", r"p0.png stands there with 0 and with 1 .lines 2, 4",
    ),
    "only a head": ("file,label\n", "names no pictures: write a line for each"),
    "no head": ("p0.png,0\np1.png,1\n", "needs a first line with file,label.*it.* p0.png,0"),
    "a group called all": ("file,label,group\np0.png,0,All\n", "line 2: all is what all pictures"),
    "unknown class": ("file,label\n\np0.png,cat\n", "line 3: the model has no class 'cat'"),
    "not there": ("file,label\nx.png,0\n", "line 2: x.png is not there"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG_INDEX)
def test_index_csv_is_refused_by_its_true_line(kind, tmp_path):
    for name in ("p0.png", "p1.png"):
        (tmp_path / name).write_bytes(picture(1))
    content, expected = WRONG_INDEX[kind]
    (tmp_path / "index.csv").write_text(content, encoding="utf-8")
    with pytest.raises(PipelineError, match=expected):
        evaluation.read_index(tmp_path, LABELS)

"""Calibration lists as people have them: read as they are meant, or refused by line."""

import cv2
import numpy as np
import pytest

from mnist_rknn.conversion import calibration, picture_list
from mnist_rknn.errors import PipelineError

NAMES = [f"pics/p{number:02d}.png" for number in range(20)]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    generator = np.random.default_rng(0)
    for name in [*NAMES, "pics/a b.png", "pics/数字.png"]:
        content = cv2.imencode(".png", generator.integers(0, 256, (16, 16, 3), np.uint8))[1]
        (tmp_path / name).write_bytes(content.tobytes())
    return tmp_path


def text_of(line: str, names=NAMES) -> str:
    return "".join(f"{line.format(name, number=i)}\n" for i, name in enumerate(names))


READ = {  # the list, its encoding, what is said
    "plain": (text_of("{}"), "utf-8", None),
    "blank behind": (text_of("{} \r"), "utf-8", None),
    "BOM": (text_of("{}"), "utf-8-sig", None),
    "UTF-16": (text_of("{}"), "utf-16", None),
    "GBK": (text_of("{}", [*NAMES, "pics/数字.png"]), "gb18030", None),
    "quotes": (text_of('"{}"'), "utf-8", None),
    "backslashes": (text_of("{}").replace("/", "\\"), "utf-8", None),
    "file address": (text_of("file://$PLACE/{}"), "utf-8", None),
    "absolute": (text_of("$PLACE/{}"), "utf-8", None),
    "blanks in names": (text_of("{}", [*NAMES, "pics/a b.png"]), "utf-8", None),
    "no width": (text_of("\u200b{}\u3000"), "utf-8", None),
    "comment": ("# calibration\n" + text_of("{}"), "utf-8", "line 1 left out"),
    "label": (text_of("{} {number}"), "utf-8", "behind the name is left out in 20 lines"),
    "table": ("file,label\n" + text_of("{},{number}"), "utf-8", "line 1 left out"),
}


@pytest.mark.parametrize("kind", READ)
def test_list_is_read_as_it_is_meant(place, kind):
    content, encoding, said = READ[kind]
    (place / "list.txt").write_bytes(content.replace("$PLACE", str(place)).encode(encoding))
    found = picture_list.read(place / "list.txt")
    extra = len(content.splitlines()) - (1 if said and "line 1" in said else 0)
    assert [entry.file.resolve() for entry in found.entries][:20] == [place / n for n in NAMES]
    assert len(found.entries) == extra
    assert bool(found.remarks) == bool(said)
    assert said is None or said in " ".join(found.remarks)


def test_list_in_the_folder_of_its_pictures_is_seen_from_there(place):
    (place / "pics" / "list.txt").write_text("p00.png\npics/p01.png\n")
    found = picture_list.read(place / "pics" / "list.txt")
    assert [entry.file.name for entry in found.entries] == ["p00.png", "p01.png"]


REFUSED = {  # the second line, the reason
    "numbers": ("-0.88 0.25", "holds numbers, no file"),
    "address": ("http://example.org/a.png", "is an address, no file"),
    "Windows": ("D:\\set\\a.png", "is a path of Windows"),
    "another home": ("/home/someone/a.png", "is missing"),
    "case": ("Pics/P00.png", "pics/p00.png is there: upper and lower case count"),
    "pattern": ("pics/*.png", "is a pattern"),
    "folder": ("pics", "is a folder"),
    "array": ("pics/a.npy", "is a numpy array"),
    "annotation": ("pics/a.json", "is a JSON file, no picture"),
    "two pictures": ("pics/p01.png pics/p02.png", "names 2 files, and this model has one input"),
    "all in a line": (",".join(NAMES), "names 20 files"),
    "label before": ("3 pics/p01.png", "leave pics/p01.png only"),
    "gone": ("pics/none.png", "is missing"),
    "empty": ("pics/empty.png", "is empty"),
    "NUL": ("pics/p01.png\0", "NUL byte"),
    "endless": ("a" * 3000, "... is missing"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_line_that_names_no_picture_is_refused_by_its_number(place, kind):
    line, reason = REFUSED[kind]
    np.save(place / "pics" / "a.npy", np.zeros(3))
    (place / "pics" / "a.json").write_text("{}")
    (place / "pics" / "empty.png").write_bytes(b"")
    (place / "list.txt").write_text(f"pics/p00.png\n{line}\n")
    with pytest.raises(PipelineError) as error:
        picture_list.read(place / "list.txt")
    message = str(error.value)
    assert "line 2: " in message and reason in message and len(message) < 300
    assert "04_calibration" not in message and "move the project" not in message


NO_LIST = {
    "pics": "is a folder: list its pictures",
    "none.txt": "is missing: write a list",
    "pics/p00.png": "is a PNG picture: write a list",
    "blank.txt": "names no picture",
}


@pytest.mark.parametrize("name", NO_LIST)
def test_what_is_no_list_is_named_for_what_it_is(place, name):
    (place / "blank.txt").write_text("\n\n")
    with pytest.raises(PipelineError, match=NO_LIST[name]):
        picture_list.read(place / name)


def test_picture_that_cannot_be_read_is_named_by_line(place):
    whole = (place / NAMES[3]).read_bytes()
    (place / NAMES[3]).write_bytes(whole[:60])
    (place / "list.txt").write_text(text_of("{}"))
    with pytest.raises(PipelineError, match=r"line 4: .*p03\.png is not a readable picture"):
        picture_list.open_images(picture_list.read(place / "list.txt"))


def images(place, *pixels: np.ndarray, repeat: int = 1) -> picture_list.Images:
    for number, image in enumerate(pixels):
        cv2.imwrite(str(place / f"{number}.png"), image)
    lines = [f"{number}.png\n" for number in range(len(pixels))] * repeat
    (place / "list.txt").write_text("".join(lines))
    return picture_list.open_images(picture_list.read(place / "list.txt"))


def test_what_the_toolkit_takes_without_a_word_is_warned_of(place):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    blue = np.zeros((16, 16, 3), np.uint8)
    blue[..., 0] = 90  # one tone, though its channels differ
    other = cv2.resize(np.dstack([noise, noise[::-1], noise]), (20, 16))
    found = " ".join(
        picture_list.warnings(
            images(place, noise, blue, other, repeat=24), (16, 16), (16, 16), True
        )
    )
    for expected in (
        "24 of 72 calibration pictures are not 16x16", "24 of 72 calibration pictures are gray",
        "24 of 72 calibration pictures are one flat tone", "72 lines, and 3 different pictures",
        "3 different ones: 20 or more",
    ):  # fmt: skip
        assert expected in found
    gray = picture_list.warnings(images(place, noise), (16, 16), (16, 16), False)
    assert "are gray" not in " ".join(gray)


def test_toolkit_gets_a_list_that_cannot_be_misread(place, tmp_path):
    """Blanks, transparency and formats that the toolkit would misread or refuse."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
    cv2.imwrite(str(place / "see through.png"), noise)
    cv2.imwrite(str(place / "a b.webp"), noise[..., :3], [cv2.IMWRITE_WEBP_QUALITY, 101])
    (place / "list.txt").write_text("see through.png\na b.webp\npics/p00.png\n")
    opened = picture_list.open_images(picture_list.read(place / "list.txt"))
    folder = tmp_path / "for the toolkit"
    folder.mkdir()
    files = calibration.read_list(picture_list.lay_out(opened, folder, None))
    assert all(file.suffix == ".png" and " " not in file.name for file in files)
    assert [file.is_symlink() for file in files] == [False, False, True]
    for file, pixels in zip(files, opened.pixels, strict=True):
        assert np.array_equal(cv2.imread(str(file))[..., ::-1], pixels)


def test_padded_picture_keeps_its_own_in_the_middle(place):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    fed = picture_list.as_fed(images(place, noise), (16, 16), (32, 32))
    assert fed.shape == (1, 32, 32, 3)
    assert np.array_equal(fed[0, 8:24, 8:24], noise[..., ::-1])
    whole = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    fed = picture_list.as_fed(images(place, whole), (16, 16), (32, 32))
    assert np.array_equal(fed[0], whole[..., ::-1])

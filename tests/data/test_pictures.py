"""A picture file is read as a person sees it, or refused with a reason."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mnist_rknn.data import pictures
from mnist_rknn.errors import PipelineError


def saved(tmp_path, image: Image.Image, name: str = "a.png", **options):
    file = tmp_path / name
    image.save(file, **options)
    return file


def test_phone_picture_is_turned_as_exif_says(tmp_path):
    upright = np.zeros((40, 20, 3), np.uint8)
    upright[:20] = (250, 10, 10)  # red above
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: turn by 90 degrees to the right
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright, 1)))
    file = saved(tmp_path, stored, "p.jpg", exif=exif, quality=95)
    seen = pictures.read(file)
    assert seen.shape == (40, 20, 3)
    assert seen[5, 10, 0] > 200 and seen[35, 10, 0] < 50


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_transparent_picture_lies_on_white_paper(tmp_path, mode):
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 10, 10))
    file = saved(tmp_path, image.convert(mode), "a.tif" if mode == "PA" else "a.png")
    seen = pictures.read(file)
    assert seen.ndim == (2 if mode == "LA" else 3)
    assert seen[5, 2].max() == 0 and seen[5, 17].min() == 255


def test_transparent_colour_of_a_palette_becomes_white(tmp_path):
    image = Image.new("P", (20, 10), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.paste(1, (0, 0, 10, 10))
    seen = pictures.read(saved(tmp_path, image, transparency=0))
    assert seen[5, 2].tolist() == [0, 0, 200] and seen[5, 17].tolist() == [255, 255, 255]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), ramp)
    seen = pictures.read(tmp_path / f"a{suffix}")
    assert seen.dtype == np.uint8
    assert np.abs(seen.ravel().astype(int) - np.arange(256)).max() <= 1


def test_sixteen_bits_of_each_colour_are_scaled(tmp_path):
    picture = np.zeros((8, 8, 3), np.uint16)
    picture[..., 2] = 40000  # OpenCV's third channel is red
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    assert pictures.read(tmp_path / "a.png")[4, 4].tolist() == [40000 >> 8, 0, 0]


@pytest.mark.parametrize(("mode", "dimensions"), [("1", 2), ("L", 2), ("P", 3), ("CMYK", 3)])
def test_other_modes_become_gray_or_rgb(tmp_path, mode, dimensions):
    image = Image.fromarray(np.tile(np.arange(32, dtype=np.uint8) * 8, (32, 1)))
    seen = pictures.read(saved(tmp_path, image.convert(mode), "a.tif"))
    assert seen.ndim == dimensions and seen.dtype == np.uint8
    assert seen[:, 0].mean() < 20 < 200 < seen[:, -1].mean()


def test_wrong_and_upper_case_endings_do_not_matter(tmp_path):
    image = Image.new("RGB", (8, 8), (1, 200, 3))
    image.save(tmp_path / "a.PNG", format="BMP")
    assert pictures.read(tmp_path / "a.PNG")[0, 0].tolist() == [1, 200, 3]
    assert ".png" in pictures.SUFFIXES


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "float"])
def test_unreadable_picture_is_one_line_with_its_name(tmp_path, damage):
    file = tmp_path / "数字 1.png"
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
    Image.fromarray(noise).save(file)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:3000])
    elif damage == "float":
        Image.fromarray(np.ones((8, 8), np.float32)).save(file, format="TIFF")
    else:
        file.write_bytes(b"" if damage == "empty" else b"hello")
    with pytest.raises(PipelineError, match=r"数字 1\.png cannot be read as a picture") as error:
        pictures.read(file)
    assert "\n" not in str(error.value)
    assert pictures.survey([file])[0].problem


def test_picture_of_too_many_pixels_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    file = saved(tmp_path, Image.new("1", (4000, 4000)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    with pytest.raises(PipelineError, match="far too many pixels"):
        pictures.read(file)


def test_survey_knows_the_same_picture_in_another_file_format(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    files = [tmp_path / name for name in ("a.png", "b.bmp", "c.png", "flat.png")]
    for file, pixels in zip(files, (noise, noise, 255 - noise, noise * 0 + 90), strict=True):
        Image.fromarray(pixels).save(file)
    one, same, other, flat = pictures.survey(files)
    assert one.digest == same.digest != other.digest
    assert (one.height, one.width, one.gray, one.flat) == (30, 40, False, False)
    assert flat.flat


def test_large_survey_in_processes_finds_what_a_small_one_does(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    files = [tmp_path / f"{number}.bmp" for number in range(30)]
    for file in files:
        Image.fromarray(generator.integers(0, 255, (8, 8), np.uint8)).save(file)
    alone = pictures.survey(files, (16, 16))
    monkeypatch.setattr(pictures, "WORTH_PROCESSES", 10)
    assert pictures.survey(files, (16, 16)) == alone

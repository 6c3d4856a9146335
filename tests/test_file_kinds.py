"""What a file is, by its first bytes: what people are told of a file that is another kind."""

import gzip
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from mnist_rknn import file_kinds


def picture(kind: str) -> bytes:
    memory = io.BytesIO()
    Image.new("RGB", (9, 7), "red").save(memory, kind)
    return memory.getvalue()


def zipped(*names: str) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as opened:
        for name in names:
            opened.writestr(name, b"x")
    return memory.getvalue()


def saved(array: np.ndarray) -> bytes:
    memory = io.BytesIO()
    np.save(memory, array)
    return memory.getvalue()


BYTES = {
    "empty": b"",
    "zeros": bytes(300),
    "html": b"\xef\xbb\xbf \n<!-- 404 -->\n<HTML><head></head></HTML>",
    "s3": b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code></Error>',
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "gz": gzip.compress(b"abc"),
    "gzgz": gzip.compress(gzip.compress(b"abc")),
    "zip": zipped("a.png"),
    "part": b"PK\x07\x08" + b"PK\x03\x04" + bytes(40),
    "xlsx": zipped("[Content_Types].xml", "xl/workbook.xml"),
    "docx": zipped("word/document.xml"),
    "pt": zipped("net/data.pkl", "net/version"),
    "npz": zipped("x_train.npy", "y_train.npy"),
    "rar": b"Rar!\x1a\x07\x00" + bytes(40),
    "7z": b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(40),
    "zst": b"\x28\xb5\x2f\xfd" + bytes(40),
    "heic": b"\x00\x00\x00\x20ftypheix" + bytes(40),
    "avif": b"\x00\x00\x00\x20ftypavif\x00\x00\x00\x00mif1avif" + bytes(40),
    "npy": saved(np.zeros(3)),
    "idx": b"\x00\x00\x0c\x02" + bytes(40),
    "rknn": b"RKNN" + bytes(40),
    "onnx": b"\x08\x08\x12\x07pytorch",
    "h5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "mac": b"\x00\x05\x16\x07\x00\x02" + bytes(40),
    "png": picture("PNG"),
    "jpg": picture("JPEG"),
    "tif": picture("TIFF"),
    "webp": picture("WEBP"),
    "svg": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "json": b'\n{"version": "5.5.0"}',
    "text": "猫\n狗\n".encode("gb18030"),
    "": b"\x01\x02\x03\x04" * 20,
}


@pytest.mark.parametrize("key", BYTES)
def test_a_file_is_known_by_its_bytes_under_any_name(key, tmp_path):
    file = tmp_path / "set.jpg.zip"
    file.write_bytes(BYTES[key])
    assert file_kinds.of(file).key == key


@pytest.mark.parametrize(
    "method, named", [(9, "Deflate64"), (98, "PPMd"), (93, "zstd"), (42, "42")]
)
def test_a_zip_names_the_compression_that_python_lacks(method, named, tmp_path):
    content = bytearray(zipped("a.png"))
    for mark, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = content.index(mark) + at
        content[place : place + 2] = method.to_bytes(2, "little")
    file = tmp_path / "set.zip"
    file.write_bytes(content)
    assert named in file_kinds.zip_methods(file)[0]
    file.write_bytes(zipped("a.png"))
    assert file_kinds.zip_methods(file) == []

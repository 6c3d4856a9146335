"""What a file is, by its first bytes and never by its name.

`filetype` knows the formats of pictures, archives and documents. Beside them stand here those
that take another file's place on the way (a web page, a pointer of Git LFS, nothing but zeros)
and those of data sets and models.
"""

import re
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

HEAD = 40_000  # bytes that are looked at; the mark of a disc image stands behind 32,768
MOST_INSIDE = 2000  # members of a zip that are looked at to tell what it is


class Kind(NamedTuple):
    """A kind of file."""

    key: str  # one word: html, rar, png ...; "" is not known
    what: str  # as in "it is ...": a web page (HTML)
    cure: str  # what to do where another kind of file is wanted

    def __str__(self) -> str:
        return f"is {self.what}: {self.cure}"


AGAIN = "get the file itself again"
UNPACK = "unpack it by hand"
AS_JPEG = "save it as JPEG or PNG"
NOT_HERE = "it is not read here"
CONVERT = "export it to ONNX first"
AS_CSV = "save it as CSV UTF-8"


def _kinds(*rows: tuple[str, str, str]) -> dict[str, Kind]:
    return {row[0]: Kind(*row) for row in rows}


PICTURES = _kinds(  # that Pillow reads as it is set up here
    ("bmp", "a BMP picture", NOT_HERE),
    ("gif", "a GIF picture", NOT_HERE),
    ("jpg", "a JPEG picture", NOT_HERE),
    ("png", "a PNG picture", NOT_HERE),
    ("apng", "a PNG picture", NOT_HERE),
    ("tif", "a TIFF picture", NOT_HERE),
    ("webp", "a WebP picture", NOT_HERE),
)
OTHER_PICTURES = _kinds(
    ("heic", "a HEIC photograph, as iPhones write", AS_JPEG),
    ("avif", "an AVIF picture", AS_JPEG),
    ("jp2", "a JPEG 2000 picture", AS_JPEG),
    ("jxl", "a JPEG XL picture", AS_JPEG),
    ("jxr", "a JPEG XR picture", AS_JPEG),
    ("psd", "a file of Photoshop", AS_JPEG),
    ("xcf", "a file of GIMP", AS_JPEG),
    ("cr2", "a raw file of a Canon camera", AS_JPEG),
    ("dcm", "a DICOM picture", AS_JPEG),
    ("ico", "an icon", AS_JPEG),
    ("dwg", "a drawing of AutoCAD", AS_JPEG),
    ("svg", "a drawing (SVG)", AS_JPEG),
)
ARCHIVES = _kinds(
    ("zip", "a zip archive", UNPACK),
    ("tar", "a tar archive", UNPACK),
    ("gz", "compressed with gzip", "unpack it with gunzip"),
    ("gzgz", "compressed with gzip twice (gzip in gzip)", "unpack it with gunzip once"),
    ("rar", "a RAR archive", UNPACK),
    ("7z", "a 7z archive", UNPACK),
    ("bz2", "compressed with bzip2", UNPACK),
    ("xz", "compressed with xz", UNPACK),
    ("zst", "compressed with zstd", UNPACK),
    ("lz4", "compressed with lz4", UNPACK),
    ("lz", "compressed with lzip", UNPACK),
    ("Z", "compressed with compress", UNPACK),
    ("cab", "a cabinet archive of Windows", UNPACK),
    ("iso", "the image of a disc (ISO)", UNPACK),
    ("ar", "an ar archive", UNPACK),
    ("part", "a part of a split archive", "unpack all parts together, as 7-Zip does"),
)
MODELS = _kinds(
    ("onnx", "an ONNX model", NOT_HERE),
    ("rknn", "a .rknn model", NOT_HERE),
    ("pt", "a PyTorch file", CONVERT),
    ("h5", "an HDF5 file, as Keras and h5py write", CONVERT),
    ("keras", "a Keras model", CONVERT),
    ("tflite", "a TensorFlow Lite model", CONVERT),
    ("saved_model", "a zip of a TensorFlow model", CONVERT),
)
DATA = _kinds(
    ("npy", "a numpy array (.npy)", "save its pictures as PNG"),
    ("npz", "numpy arrays (.npz)", "save their pictures as PNG"),
    ("idx", "an IDX file, MNIST's format", NOT_HERE),
    ("pickle", "a Python pickle, which may run any code", "export what is in it"),
    ("mat", "a MATLAB file", "save its pictures as PNG"),
    ("parquet", "a Parquet table", "save its pictures as files"),
    ("arrow", "an Arrow table", "save its pictures as files"),
    ("sqlite", "an SQLite data base", "export what is in it"),
    ("lmdb", "an LMDB data base", "export what is in it"),
)
DOCUMENTS = _kinds(
    ("xlsx", "a workbook of Excel or WPS", AS_CSV),
    ("xls", "a document of Office (Excel, Word)", AS_CSV),
    ("ods", "a sheet of LibreOffice", AS_CSV),
    ("docx", "a document of Word", "save it as plain text"),
    ("pptx", "a presentation of PowerPoint", "save its pictures as PNG"),
    ("pdf", "a PDF document", "save its pages as PNG"),
    ("rtf", "a document (RTF)", "save it as plain text"),
    ("xml", "an XML document", NOT_HERE),
    ("json", "a JSON file", NOT_HERE),
    ("text", "a text file", NOT_HERE),
    ("exe", "a program", NOT_HERE),
    ("media", "a sound or a film", "save its frames as pictures"),
)
NO_CONTENT = _kinds(
    ("empty", "empty (0 bytes)", AGAIN),
    ("zeros", "nothing but zero bytes, as broken downloads and disks leave", AGAIN),
    ("html", "a web page (HTML), perhaps of an error or a log-in", AGAIN),
    ("s3", "a store's answer of an error (XML)", AGAIN),
    ("lfs", "a Git LFS pointer, not the file itself", "run `git lfs pull` where it came from"),
    ("annex", "a git-annex pointer, not the file itself", "run `git annex get` where it came from"),
    ("mac", "what macOS keeps beside a file (AppleDouble)", "delete it"),
)
UNKNOWN = Kind("", "a file of no known kind", AGAIN)
KINDS = PICTURES | OTHER_PICTURES | ARCHIVES | MODELS | DATA | DOCUMENTS | NO_CONTENT

# First bytes, and where they stand, of what `filetype` does not know or knows too late.
MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "lfs"),
    (0, b"/annex/objects/", "annex"),
    (0, b"../.git/annex/", "annex"),
    (0, b"\x00\x05\x16\x07", "mac"),
    (0, b"PK\x07\x08", "part"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"RKNN", "rknn"),
    (0, b"\x80\x02\x8a\nl\xfc\x9cF\xf9", "pt"),  # before PyTorch 1.6
    (4, b"TFL3", "tflite"),
    (0, b"\x89HDF\r\n\x1a\n", "h5"),
    (0, b"MATLAB 5.0", "mat"),
    (0, b"PAR1", "parquet"),
    (0, b"ARROW1", "arrow"),
    (0, b"SQLite format 3", "sqlite"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"),
    (0, b"gimp xcf", "xcf"),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jp2"),
    (0, b"\xff\x4f\xff\x51", "jp2"),
    (0, b"\xff\x0a", "jxl"),
    (0, b"\x00\x00\x00\x0cJXL ", "jxl"),
    (0, b"{\\rtf", "rtf"),
    (0, b"%PDF", "pdf"),
    (0, b"!<arch>", "ar"),
    (16, b"\xde\xc0\xef\xbe", "lmdb"),
    (32769, b"CD001", "iso"),
)
# The same for formats that begin with one of many bytes.
BEGINS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"....ftyp(hei[cxms]|hev[cx]|mif1|msf1)", re.DOTALL), "heic"),
    (re.compile(rb"\x00\x00[\x08\x09\x0b-\x0e][\x01-\x04]"), "idx"),
    (re.compile(rb"\x80[\x02-\x05][\x95}\]cK(X\x8aq]"), "pickle"),
    # ir_version, then the producer, the graph, the opset or a text of the model's.
    (re.compile(rb"\x08[\x01-\x14][\x12:B\x1a2]", re.DOTALL), "onnx"),
)
HTML = re.compile(r"\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body|script)\b", re.I | re.DOTALL)
MEDIA = ("audio/", "video/")
# What tells what a zip is, by a member's name.
INSIDE: tuple[tuple[str, str], ...] = (
    (r"xl/workbook\.(xml|bin)", "xlsx"),
    (r"word/document\.xml", "docx"),
    (r"ppt/presentation\.xml", "pptx"),
    (r"[^/]+/data\.pkl", "pt"),
    (r"[^/]+/constants\.pkl", "pt"),
    (r"model\.weights\.h5", "keras"),
    (r"(.*/)?saved_model\.pb", "saved_model"),
)
# How a zip's members may be compressed (APPNOTE 4.4.5), but for what Python's zipfile reads.
METHODS = {
    1: "Shrink", 6: "Implode", 9: "Deflate64, as Windows packs what is over 2 GB", 10: "Implode",
    19: "LZ77", 93: "zstd", 94: "MP3", 95: "xz", 96: "JPEG", 97: "WavPack", 98: "PPMd",
    99: "AES, a password",
}  # fmt: skip
TEXTS = ("text", "json", "xml", "svg", "empty", "")  # what may be read as text


def of_bytes(head: bytes) -> Kind:
    """What a file that begins with these bytes is; the first `HEAD` tell all that can be told."""
    if not head:
        return KINDS["empty"]
    if not head.strip(b"\0"):
        return KINDS["zeros"]
    key = next((key for at, magic, key in MAGIC if head[at : at + len(magic)] == magic), "")
    key = key or next((key for begins, key in BEGINS if begins.match(head)), "")
    key = key or _by_filetype(head) or _text_kind(head)
    return KINDS.get(key, UNKNOWN)


def of(path: Path) -> Kind:
    """What a file is. A zip is looked into, and so is what is compressed with gzip.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    kind = of_bytes(head)
    if kind.key == "zip":
        return _zip_kind(path)
    if kind.key == "gz" and gunzipped(head)[:2] == b"\x1f\x8b":
        return KINDS["gzgz"]
    return kind


def gunzipped(head: bytes) -> bytes:
    """As much as the first bytes of something compressed with gzip unpack to."""
    try:
        return zlib.decompressobj(31).decompress(head, HEAD)
    except zlib.error:
        return b""


def zip_methods(path: Path) -> list[str]:
    """How members of a zip are compressed that Python's zipfile cannot read, by name.

    Raises:
        zipfile.BadZipFile: it is no whole zip.
    """
    with zipfile.ZipFile(path) as opened:
        methods = {info.compress_type for info in opened.infolist() if not info.is_dir()}
    strange = methods - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, 12, 14}
    return [METHODS.get(method, f"method {method}") for method in sorted(strange)]


def _zip_kind(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as opened:
            names = opened.namelist()[:MOST_INSIDE]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return KINDS["zip"]  # cut short, or one of several parts
    key = next((key for pattern, key in INSIDE if any(re.fullmatch(pattern, n) for n in names)), "")
    if not key and names and all(name.endswith(".npy") for name in names):
        key = "npz"
    return KINDS[key or "zip"]


def _by_filetype(head: bytes) -> str:
    import filetype

    found = filetype.guess(head[:8192])  # as many as it would read
    if found is None:
        return ""
    if found.mime.startswith(MEDIA):
        return "media"
    key = {"dcm": "dcm", "exe": "exe", "elf": "exe", "odt": "docx"}.get(found.extension)
    return key or (found.extension if found.extension in KINDS else "")


def _as_text(head: bytes) -> str:
    """The head of a file as text, if it is some; of which encoding is not asked."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace")
    control = sum(byte < 32 and byte not in (9, 10, 12, 13, 27) for byte in head[:HEAD])
    return "" if control else head[:HEAD].decode("utf-8-sig", "replace")


def _text_kind(head: bytes) -> str:
    start = _as_text(head).lstrip("\ufeff \t\r\n")
    if HTML.match(start):
        return "html"
    if start.startswith("<"):
        if "<svg" in start[:1000]:
            return "svg"
        return "s3" if "<Error>" in start[:200] else "xml"
    return "json" if start[:1] in ("{", "[") and start.rstrip()[-1:] else "text" if start else ""

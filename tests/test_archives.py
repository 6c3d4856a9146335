"""A zip from anywhere is unpacked whole into its folder, or not at all."""

import stat
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_rknn import archives
from mnist_rknn.errors import PipelineError


def packed(path, members: dict[str, bytes], **attributes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            for attribute, value in attributes.items():
                setattr(entry, attribute, value)
            archive.writestr(entry, content)
    return path


def files(folder):
    names = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
    return sorted(name for name in names if not name.startswith("."))


def test_unpacks_once_and_again_when_the_zip_is_another(tmp_path):
    zipped = packed(tmp_path / "set.zip", {"a/1.png": b"one", "b/2.png": b"two"})
    folder = archives.unpack(zipped, tmp_path / "data")
    assert files(folder) == ["a/1.png", "b/2.png"]
    (folder / "mark").touch()
    archives.unpack(zipped, tmp_path / "data")
    assert (folder / "mark").exists()
    packed(zipped, {"c/3.png": b"three"})
    assert files(archives.unpack(zipped, tmp_path / "data")) == ["c/3.png"]


def test_what_systems_leave_behind_is_not_unpacked(tmp_path):
    members = {
        "a/1.png": b"1",
        "__MACOSX/a/._1.png": b"x",
        "a/.DS_Store": b"x",
        "a/Thumbs.db": b"x",
    }
    assert files(archives.unpack(packed(tmp_path / "s.zip", members), tmp_path / "d")) == [
        "a/1.png"
    ]


@pytest.mark.parametrize("encoding", ["gbk", "utf-8"])
def test_names_of_chinese_windows_and_of_others_are_read(tmp_path, encoding):
    """Written as such programs do: bytes of the encoding, without the mark for UTF-8."""
    zipped = packed(tmp_path / "s.zip", {"XXXXXXXXXXXX/1.png": b"1"})
    name = "手写数字".encode(encoding)
    placeholder = b"XXXXXXXXXXXX/"
    name = (name + b"/" * len(placeholder))[: len(placeholder)]
    zipped.write_bytes(zipped.read_bytes().replace(placeholder, name))
    folder = archives.unpack(zipped, tmp_path / "d")
    assert files(folder) == ["手写数字/1.png"]


def test_backslashes_of_old_windows_programs_are_folders(tmp_path):
    zipped = packed(tmp_path / "s.zip", {"a/1.png": b"1"})
    zipped.write_bytes(zipped.read_bytes().replace(b"a/1.png", b"a\\1.png"))
    assert files(archives.unpack(zipped, tmp_path / "d")) == ["a/1.png"]


@pytest.mark.parametrize(
    "name", ["../out.png", "/etc/out.png", "a/../../out.png", "..\\out.png", "C:\\out.png", "C:/x"]
)
def test_entry_outside_of_the_target_is_refused_and_nothing_written(tmp_path, name):
    zipped = packed(tmp_path / "s.zip", {"a/1.png": b"1", name: b"escaped"})
    with pytest.raises(PipelineError, match="links or lie outside"):
        archives.unpack(zipped, tmp_path / "d")
    assert not (tmp_path / "d" / "s").exists() and not list(tmp_path.rglob("out.png"))


def test_symbolic_link_is_refused(tmp_path):
    link = packed(tmp_path / "s.zip", {"a": b"/etc"}, external_attr=(stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(PipelineError, match="links or lie outside"):
        archives.unpack(link, tmp_path / "d")


def test_bomb_is_refused_by_ratio_and_by_size(tmp_path, monkeypatch):
    zipped = packed(tmp_path / "s.zip", {"a.bmp": bytes(20_000_000)})
    monkeypatch.setattr(archives, "SMALL", 1_000_000)
    with pytest.raises(PipelineError, match=r"would grow [0-9,]+-fold"):
        archives.unpack(zipped, tmp_path / "d")
    monkeypatch.setattr(archives, "MAX_BYTES", 10_000_000)
    with pytest.raises(PipelineError, match="would unpack to"):
        archives.unpack(zipped, tmp_path / "d")
    monkeypatch.setattr(archives, "MAX_ENTRIES", 0)
    with pytest.raises(PipelineError, match="1 entries, more than 0"):
        archives.unpack(zipped, tmp_path / "d")


def test_entry_that_lies_about_its_size_is_refused_and_leaves_nothing(tmp_path):
    zipped = packed(tmp_path / "s.zip", {"a.bmp": bytes(1_000_000)})
    sizes = struct.pack("<I", 1_000_000)
    zipped.write_bytes(zipped.read_bytes().replace(sizes, struct.pack("<I", 10)))
    with pytest.raises(PipelineError, match="damaged or no zip"):
        archives.unpack(zipped, tmp_path / "d")
    assert not (tmp_path / "d" / "s").exists()


def test_encrypted_zip_says_what_to_do(tmp_path):
    zipped = packed(tmp_path / "s.zip", {"a.png": b"1"})
    content = bytearray(zipped.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    zipped.write_bytes(content)
    with pytest.raises(PipelineError, match="encrypted: unpack it yourself"):
        archives.unpack(zipped, tmp_path / "d")


def test_two_files_of_one_name_are_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        packed(tmp_path / "s.zip", {"a.png": b"1"})
        with zipfile.ZipFile(tmp_path / "s.zip", "a") as archive:
            archive.writestr("a.png", b"2")
    with pytest.raises(PipelineError, match="two files of the name"):
        archives.unpack(tmp_path / "s.zip", tmp_path / "d")


def test_folder_that_was_not_unpacked_from_it_is_left_alone(tmp_path):
    (tmp_path / "d" / "s").mkdir(parents=True)
    (tmp_path / "d" / "s" / "mine").touch()
    with pytest.raises(PipelineError, match="was not unpacked from"):
        archives.unpack(packed(tmp_path / "s.zip", {"a.png": b"1"}), tmp_path / "d")
    assert files(tmp_path / "d" / "s") == ["mine"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_zip_however_damaged_ends_in_a_traceback_or_outside(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("zip")
    name = data.draw(st.text("ab./\\:数é\x00 ", min_size=1, max_size=12))
    zipped = packed(folder / "s.zip", {name: b"1", "ok/1.png": b"2"})
    content = bytearray(zipped.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    zipped.write_bytes(content)
    try:
        archives.unpack(zipped, folder / "in" / "data")
    except PipelineError as error:
        assert "\n" not in str(error)
    beside = {path.name for path in folder.iterdir()} | {p.name for p in (folder / "in").iterdir()}
    assert beside <= {"s.zip", "in", "data"}

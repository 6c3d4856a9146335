"""Archives that users bring: nothing outside the folder, nothing half-written."""

import io
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.runs import PROJECT

from mnist_rknn import files
from mnist_rknn.data import archives
from mnist_rknn.errors import PipelineError


def zip_of(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def tar_link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != archives.RECORD
    }


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_files_and_folders_come_out_as_they_went_in(tmp_path, suffix):
    content = {"a.png": b"1", "数字 7/b c.png": b"2" * 100_000}
    archive = tmp_path / f"set{suffix}"
    if suffix == ".zip":
        zip_of(archive, *content.items(), ("empty/", b""))
    else:
        tar_of(archive, *((tarfile.TarInfo(name), data) for name, data in content.items()))
    assert archives.is_archive(archive)
    assert archives.unpack(archive, tmp_path / "out") == 2
    assert files_of(tmp_path / "out") == content


def test_chinese_windows_names_are_read_as_gbk(tmp_path):
    """Such a zip has GBK bytes and no UTF-8 flag, which zipfile cannot write by itself."""
    archive = zip_of(tmp_path / "set.zip", ("AAAA/1.png", b"x"))
    archive.write_bytes(archive.read_bytes().replace(b"AAAA", "数字".encode("gbk")))
    archives.unpack(archive, tmp_path / "zip")
    assert files_of(tmp_path / "zip") == {"数字/1.png": b"x"}

    with tarfile.open(tmp_path / "set.tar", "w", encoding="gbk", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("数字.png"))
    archives.unpack(tmp_path / "set.tar", tmp_path / "tar")
    assert files_of(tmp_path / "tar") == {"数字.png": b""}


@pytest.mark.parametrize(
    "name", ["../out.txt", "a/../../out.txt", "/out.txt", "..\\out.txt", "C:\\out.txt"]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name, kind):
    if kind == "zip":
        archive = zip_of(tmp_path / "bad.zip", ("good.txt", b"1"), (name, b"2"))
    else:
        members = [(tarfile.TarInfo("good.txt"), b"1"), (tarfile.TarInfo(name), b"2")]
        archive = tar_of(tmp_path / "bad.tar", *members)
    target = tmp_path / "deep" / "inside"
    target.mkdir(parents=True)
    (target / "kept.txt").write_text("kept")
    with pytest.raises(PipelineError, match="leaves its folder"):
        archives.unpack(archive, target)
    assert files_of(tmp_path / "deep") == {"inside/kept.txt": b"kept"}
    assert not list(tmp_path.rglob("out.txt"))


def test_names_that_no_file_can_have_are_refused(tmp_path):
    for name in ("a\nb", "数" * 100):
        archive = zip_of(tmp_path / "bad.zip", (name, b"1"))
        with pytest.raises(PipelineError, match="cannot be a file here"):
            archives.unpack(archive, tmp_path / "out")


def test_links_and_devices_are_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    tar_of(tmp_path / "soft.tar", (tar_link("link", "/etc/passwd", tarfile.SYMTYPE), b""))
    tar_of(tmp_path / "hard.tar", (tar_link("link", "../x", tarfile.LNKTYPE), b""))
    tar_of(tmp_path / "pipe.tar", (tar_link("link", "", tarfile.FIFOTYPE), b""))
    for name in ("link.zip", "soft.tar", "hard.tar", "pipe.tar"):
        with pytest.raises(PipelineError, match="link or a device"):
            archives.unpack(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_unpacks_to_too_much_is_stopped(tmp_path):
    large = zip_of(tmp_path / "large.zip", ("zeros", bytes(3_000_000)))
    assert large.stat().st_size < 10_000
    with pytest.raises(PipelineError, match="unpacks to more than"):
        archives.unpack(large, tmp_path / "out", max_bytes=2_000_000)
    many = zip_of(tmp_path / "many.zip", *((f"{number}", b"") for number in range(11)))
    with pytest.raises(PipelineError, match="more than 10 files"):
        archives.unpack(many, tmp_path / "out", max_files=10)
    assert not (tmp_path / "out").exists()


def test_a_header_that_claims_less_than_there_is_does_not_pass_the_limit(tmp_path):
    archive = zip_of(tmp_path / "lies.zip", ("zeros", bytes(3_000_000)))
    truth, lie = struct.pack("<I", 3_000_000), struct.pack("<I", 10)
    archive.write_bytes(archive.read_bytes().replace(truth, lie))
    with pytest.raises(PipelineError, match=r"damaged|unpacks to more"):
        archives.unpack(archive, tmp_path / "out", max_bytes=2_000_000)
    assert not (tmp_path / "out").exists()


def test_damaged_and_foreign_files_are_refused_in_one_line(tmp_path):
    whole = tar_of(tmp_path / "a.tar.gz", (tarfile.TarInfo("a"), bytes(range(256)) * 400))
    (tmp_path / "cut.tar.gz").write_bytes(whole.read_bytes()[:-300])
    archive = zip_of(tmp_path / "a.zip", ("a", bytes(range(256)) * 40))
    spoiled = bytearray(archive.read_bytes())
    spoiled[60:80] = bytes(20)
    (tmp_path / "spoiled.zip").write_bytes(spoiled)
    (tmp_path / "cut.zip").write_bytes(archive.read_bytes()[:100])
    (tmp_path / "text.zip").write_text("no archive")
    twice = [(tarfile.TarInfo("a"), b"1"), (tarfile.TarInfo("a"), b"2")]
    tar_of(tmp_path / "twice.tar", *twice)
    flagged = zip_of(tmp_path / "password.zip", ("a", b"1")).read_bytes()
    flagged = flagged.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
    (tmp_path / "password.zip").write_bytes(flagged)
    for name, message in {
        "cut.tar.gz": "damaged",
        "spoiled.zip": "damaged",
        "cut.zip": "neither zip nor tar",
        "text.zip": "neither zip nor tar",
        "twice.tar": "twice",
        "password.zip": "password",
        "missing.zip": "missing",
    }.items():
        with pytest.raises(PipelineError, match=message):
            archives.unpack(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unpacked_once_and_again_when_the_archive_is_another(tmp_path):
    archive = zip_of(tmp_path / "set.zip", ("a/1.png", b"one"), ("b/2.png", b"two"))
    folder = archives.unpack_once(archive, tmp_path / "data")
    assert folder == tmp_path / "data" / "set"
    assert files_of(folder) == {"a/1.png": b"one", "b/2.png": b"two"}
    (folder / "mark").touch()
    archives.unpack_once(archive, tmp_path / "data")
    assert (folder / "mark").exists()
    zip_of(archive, ("c/3.png", b"three"))
    assert files_of(archives.unpack_once(archive, tmp_path / "data")) == {"c/3.png": b"three"}


def test_eight_runs_unpack_one_archive_at_once_and_all_finish(tmp_path):
    content = {f"{number % 3}/{number}.png": b"%d" % number * 1000 for number in range(2000)}
    archive = zip_of(tmp_path / "set.zip", *content.items())
    code = (
        "import sys; from pathlib import Path; from mnist_rknn.data import archives\n"
        "folder = archives.unpack_once(*map(Path, sys.argv[1:]))\n"
        "print(sum(file.is_file() for file in folder.rglob('*')) - 1)"
    )
    arguments = [sys.executable, "-c", code, str(archive), str(tmp_path / "data")]
    runs = [
        subprocess.Popen(arguments, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    said = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0] * 8, said
    assert {out for out, _ in said} == {b"2000\n"}
    assert {path.name for path in (tmp_path / "data").iterdir()} - {".lock"} == {"set"}


def test_whoever_waits_too_long_for_another_run_is_told_and_a_killed_one_holds_nothing(
    tmp_path, monkeypatch
):
    archive = zip_of(tmp_path / "set.zip", ("a.png", b"1"))
    code = (
        "import sys, time; from pathlib import Path; from mnist_rknn.files import taking_turns\n"
        "with taking_turns(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(100)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        cwd=PROJECT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    monkeypatch.setattr(files, "PATIENCE", 0.2)
    with pytest.raises(PipelineError, match=r"unpacking set\.zip: another process has been"):
        archives.unpack_once(archive, tmp_path / "data")
    holder.kill()
    holder.wait()
    assert files_of(archives.unpack_once(archive, tmp_path / "data")) == {"a.png": b"1"}


def test_a_folder_that_was_not_unpacked_from_it_is_left_alone(tmp_path):
    (tmp_path / "data" / "s").mkdir(parents=True)
    (tmp_path / "data" / "s" / "mine").touch()
    with pytest.raises(PipelineError, match="was not unpacked from"):
        archives.unpack_once(zip_of(tmp_path / "s.zip", ("a.png", b"1")), tmp_path / "data")
    assert files_of(tmp_path / "data" / "s") == {"mine": b""}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_zip_however_damaged_ends_in_a_traceback_or_outside(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("zip")
    name = data.draw(st.text("ab./\\:数é ", min_size=1, max_size=12))
    archive = zip_of(folder / "s.zip", (name, b"1"), ("ok/1.png", b"2"))
    content = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    archive.write_bytes(content)
    try:
        archives.unpack_once(archive, folder / "in" / "data")
    except PipelineError as error:
        assert "\n" not in str(error)
    beside = {path.name for path in folder.iterdir()} | {p.name for p in (folder / "in").iterdir()}
    assert beside <= {"s.zip", "in", "data"}


def test_a_packed_archive_has_the_same_bytes_whatever_the_files_times(tmp_path):
    (tmp_path / "a").write_text("1")
    (tmp_path / "数").write_text("2")
    files = {"x/a": tmp_path / "a", "x/数": tmp_path / "数"}
    archives.pack(files, tmp_path / "1.zip")
    (tmp_path / "a").touch()
    (tmp_path / "a").chmod(0o600)
    archives.pack(dict(reversed(files.items())), tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    archives.unpack(tmp_path / "1.zip", tmp_path / "out")
    assert files_of(tmp_path / "out") == {"x/a": b"1", "x/数": b"2"}

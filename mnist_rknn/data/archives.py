"""Archives: what users bring is unpacked safely, what we make has reproducible bytes.

Unpacking is whole or not at all, inside one folder and within limits. Only Python's standard
library is imported, so that AI Studio can do it before anything is installed.
"""

import functools
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from .. import file_kinds
from ..errors import PipelineError
from ..files import (
    read_json,
    relative,
    replacing,
    replacing_folder,
    sha256,
    taking_turns,
    write_json,
)

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_BYTES = 20 << 30  # of all files together, unpacked
MAX_FILES = 500_000

UTF8_NAME = 0x800  # bits of a zip member's flags, APPNOTE 4.4.4
ENCRYPTED = 0x1
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    LZMAError,
    EOFError,
    ValueError,  # a name that is not in the encoding it claims
)
UNFINISHED = (".crdownload", ".download", ".part", ".partial", ".tmp")
SPLIT_PART = re.compile(r"\.(z\d\d|zip\.\d{3}|7z\.\d{3}|part\d+\.rar|r\d\d)$", re.IGNORECASE)
RECORD = ".unpacked.json"  # in the folder: which archive it was made from


class _Member(NamedTuple):
    name: str
    is_folder: bool
    is_file: bool  # neither: a link or a device
    size: int  # bytes it claims to unpack to
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether `path` is a file with the name of an archive that `unpack` reads."""
    return path.is_file() and _suffix(path) is not None


def unpack(
    archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> int:
    """Unpack a zip, tar or tar.gz file into `folder`, which it replaces.

    `folder` appears when everything is written; on an error it stays as it was. Names are
    read as UTF-8 and, where they are not that, as GBK, which Chinese Windows writes.
    Permissions and times are not taken over.

    Args:
        archive: recognised by its content, not by its name.
        folder: need not exist.
        max_bytes: limit for all files together, counted while they are written.
        max_files: limit for the number of members.

    Returns:
        The number of files.

    Raises:
        PipelineError: no archive, damaged, encrypted, over a limit, or a member's name leaves
            the folder, is there twice, or is a link or a device.
    """
    where = relative(archive)
    try:
        if not archive.is_file():
            raise PipelineError(f"{where} is missing: check the path")
        if SPLIT_PART.search(archive.name):
            raise PipelineError(f"{where} {file_kinds.KINDS['part']}")
        if zipfile.is_zipfile(archive):
            members = _zip_members(archive, where)
        elif tarfile.is_tarfile(archive):
            members = _tar_members(archive)
        else:
            raise PipelineError(_no_archive(archive, where))
        with replacing_folder(folder) as temporary:
            files = _write(members, temporary, where, max_bytes, max_files)
            write_json(temporary / RECORD, _origin(archive))
            return files
    except DAMAGED as error:
        raise PipelineError(f"{where} is damaged ({error}): get it again") from None
    except NotImplementedError as error:
        raise PipelineError(
            f"{where} is packed in a way that is not read here ({error}): unpack it by hand and "
            "name the folder"
        ) from None
    except OSError as error:  # a name that this file system does not take
        raise PipelineError(
            f"{where} cannot be unpacked ({error.strerror}): pack it anew"
        ) from None


def _no_archive(archive: Path, where: str) -> str:
    """What a file is that is no archive, or none that is read here."""
    kind = file_kinds.of(archive)
    if archive.suffix.lower() in UNFINISHED:
        return f"{where} is a download that was not finished: get it again"
    if kind.key == "zip":
        parts = [file.name for file in archive.parent.glob(f"{archive.stem}.z[0-9][0-9]")]
        if parts:
            return f"{where} {file_kinds.KINDS['part']} (beside it: {', '.join(sorted(parts)[:3])})"
        return f"{where} is neither zip nor tar as it stands: a zip that is cut short, get it again"
    if kind.key == "gz":
        return f"{where} {kind}, and what is in it is no tar archive or cut short"
    return f"{where} is neither zip nor tar, it {kind}"


def unpack_once(archive: Path, into: Path) -> Path:
    """Unpack an archive into `<into>/<its name>`, unless that has been done.

    Two archives of one name that hold different things get a folder each: the second's name ends
    in the beginning of its hash. A changed archive is unpacked again.

    Returns:
        The folder.

    Raises:
        PipelineError: as `unpack`; or there is a folder of that name which was not unpacked.
    """
    stem = archive.name[: -len(suffix)] if (suffix := _suffix(archive)) else archive.stem
    if not stem.strip(" ."):
        raise PipelineError(f"{relative(archive)} has no name to unpack it under: rename it")
    folder = into / stem.strip(" .")
    with taking_turns(into, f"unpacking {archive.name}"):
        origin = _origin(archive)
        for place in (folder, folder.with_name(f"{folder.name}-{origin['sha256'][:8]}")):
            known = read_json(place / RECORD) if (place / RECORD).is_file() else {}
            if known.get("sha256") == origin["sha256"]:
                return place
            changed = all(known.get(key, "") == origin[key] for key in ("archive", "path"))
            if changed or not place.exists():
                unpack(archive, place)
                return place
            if not known:
                break
    raise PipelineError(
        f"{relative(place)} is there already and was not unpacked from {archive.name}: rename the "
        "archive, or move that folder away"
    )


def _suffix(archive: Path) -> str | None:
    name = archive.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def _origin(archive: Path) -> dict[str, str]:
    place = str(archive.resolve())
    return {"archive": archive.name, "path": place, "sha256": sha256(archive)}


def _write(
    members: Iterator[_Member], folder: Path, where: str, max_bytes: int, max_files: int
) -> int:
    claimed = written = files = 0
    for number, member in enumerate(members, start=1):
        claimed += member.size
        if number > max_files:
            raise PipelineError(f"{where} holds more than {max_files:,} files: unpack it by hand")
        if claimed > max_bytes:
            raise _too_large(where, max_bytes)
        path = _inside(member, where)
        target = folder / path
        try:
            if member.is_folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as source, target.open("xb") as file:
                written += _copy(source, file, max_bytes - written, where, max_bytes)
        except (FileExistsError, NotADirectoryError):
            raise PipelineError(f"{where} holds {member.name!r} twice: pack it anew") from None
        files += 1
    return files


def _copy(source: IO[bytes], file: IO[bytes], left: int, where: str, max_bytes: int) -> int:
    """Bytes copied; a member may unpack to more than its header claims."""
    copied = 0
    while block := source.read(1 << 20):
        copied += len(block)
        if copied > left:
            raise _too_large(where, max_bytes)
        file.write(block)
    return copied


def _too_large(where: str, max_bytes: int) -> PipelineError:
    return PipelineError(
        f"{where} unpacks to more than {max_bytes / (1 << 30):,.1f} GB: unpack it by hand"
    )


def _inside(member: _Member, where: str) -> PurePosixPath:
    """The member's path below the target folder; refused if it could leave it."""
    name = member.name.replace("\\", "/")  # some programs on Windows write these
    path = PurePosixPath(name)
    if path.is_absolute() or name[1:2] == ":" or ".." in path.parts:
        raise PipelineError(f"{where} holds {member.name!r}, which leaves its folder: refused")
    if any(ord(letter) < 32 for letter in name) or any(len(p.encode()) > 255 for p in path.parts):
        raise PipelineError(f"{where} holds {name[:50]!r}, which cannot be a file here: rename it")
    if not (member.is_file or member.is_folder):
        raise PipelineError(
            f"{where} holds {member.name!r}, a link or a device: refused; pack real files only"
        )
    return path


def _zip_members(archive: Path, where: str) -> Iterator[_Member]:
    if strange := file_kinds.zip_methods(archive):
        raise PipelineError(
            f"{where} is packed with {', '.join(strange)}, which is not read here: unpack it by "
            "hand and name the folder, or pack it anew as a plain zip"
        )
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if info.flag_bits & ENCRYPTED:
                raise PipelineError(f"{where} has a password: unpack it by hand")
            utf8 = info.flag_bits & UTF8_NAME
            # Without the flag zipfile reads the bytes as cp437, which maps every byte.
            name = info.filename if utf8 else _decode(info.filename.encode("cp437"))
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the packer was not Unix
            folder = info.is_dir() or kind == stat.S_IFDIR
            file = not folder and kind in (0, stat.S_IFREG)
            yield _Member(name, folder, file, info.file_size, functools.partial(opened.open, info))


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive, encoding="utf-8", errors="surrogateescape") as opened:
        for info in opened:
            name = _decode(info.name.encode("utf-8", "surrogateescape"))
            # Of a regular file, and only those are read, there is something to extract.
            content = cast(Callable[[], IO[bytes]], functools.partial(opened.extractfile, info))
            yield _Member(name, info.isdir(), info.isreg(), info.size, content)


def _decode(name: bytes) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            return name.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name.decode("cp437")


def pack(members: Mapping[str, Path | bytes], archive: Path) -> None:
    """Write a zip file whose bytes depend on the names and contents of its members only.

    Args:
        members: files or contents by their names in the archive.
        archive: replaced in one step.
    """
    with replacing(archive) as temporary, zipfile.ZipFile(temporary, "w") as opened:
        for name, content in sorted(members.items()):
            info = zipfile.ZipInfo(name)  # dated 1980-01-01
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            opened.writestr(info, content if isinstance(content, bytes) else content.read_bytes())

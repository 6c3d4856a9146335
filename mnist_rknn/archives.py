"""Zip files from anywhere, unpacked without trust.

A zip's entries may name files outside of the target, be links, claim other sizes than they
have, or grow a thousandfold. All of that is refused before anything is written.
"""

import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from .errors import PipelineError
from .files import PROJECT, FolderLock, read_json, relative, replacing_folder, sha256, write_json
from .layouts import hidden, named

DATA = PROJECT / "data"
MAX_BYTES = 20 << 30  # of all entries, unpacked
MAX_ENTRIES = 500_000
MAX_RATIO = 200  # unpacked to packed; pictures hardly shrink, a bomb shrinks a thousandfold
SMALL = 100 << 20  # bytes below which the ratio is nobody's concern
RECORD = ".unpacked.json"  # in the folder: which zip it was made from
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError)
UTF8_FLAG, ENCRYPTED_FLAG = 0x800, 0x1  # general purpose bits 11 and 0 of the zip format


def is_zip(path: Path) -> bool:
    """Whether a path is meant as a zip file."""
    return path.suffix.lower() == ".zip" and path.is_file()


def unpack(path: Path, into: Path = DATA) -> Path:
    """Unpack a zip once; the folder `<into>/<name of the zip>` appears when it is complete.

    Names that are not marked as UTF-8 are read as UTF-8 if all of them are, else as GB 18030, in
    which Chinese Windows writes them.

    Returns:
        The folder. A second call finds it there.

    Raises:
        PipelineError: not a zip, or one that is refused; or a folder of that name that was not
            unpacked from it.
    """
    target = into / path.stem.strip(" .")
    if target == into:
        raise PipelineError(f"{relative(path)} has no name to unpack it under: rename it")
    origin = {"zip": path.name, "sha256": sha256(path)}
    with FolderLock(into, f"unpacking {path.name}"):
        if target.exists():
            record = target / RECORD
            known = read_json(record) if record.is_file() else {}
            if known == origin:
                return target
            if known.get("zip") != path.name:
                raise PipelineError(
                    f"{relative(target)} is there already and was not unpacked from "
                    f"{path.name}: rename the zip, or move that folder away"
                )
        try:
            with zipfile.ZipFile(path) as archive:
                members = _checked(archive, path, into)
                with replacing_folder(target) as partial:
                    for name, entry in members.items():
                        (partial / name).parent.mkdir(parents=True, exist_ok=True)
                        with archive.open(entry) as source, (partial / name).open("xb") as file:
                            shutil.copyfileobj(source, file, 1 << 20)
                    write_json(partial / RECORD, origin)
        except (
            zipfile.BadZipFile,
            zlib.error,
            struct.error,
            EOFError,
            NotImplementedError,
        ) as error:
            raise PipelineError(
                f"{relative(path)} is damaged or no zip ({error}): get it again"
            ) from None
        except (OSError, ValueError) as error:
            raise PipelineError(f"{relative(path)} cannot be unpacked: {error}") from None
    return target


def _checked(archive: zipfile.ZipFile, path: Path, into: Path) -> dict[str, zipfile.ZipInfo]:
    """Entries to unpack, by their decoded name; all of them are harmless.

    Raises:
        PipelineError: names what is wrong with the zip and the cure.
    """
    name = relative(path)
    if len(archive.infolist()) > MAX_ENTRIES:
        raise PipelineError(
            f"{name} has {len(archive.infolist()):,} entries, more than {MAX_ENTRIES:,}"
        )
    entries = _decoded_names(archive.infolist())
    bad = [entry_name for entry_name, entry in entries if not _harmless(entry_name, entry)]
    if bad:
        raise PipelineError(
            f"{name} is refused: {len(bad):,} entries are links or lie outside of the target "
            f"({named(map(repr, bad))}); pack the folder anew"
        )
    members: dict[str, zipfile.ZipInfo] = {}
    for entry_name, entry in entries:
        parts = PurePosixPath(entry_name).parts
        if entry_name.endswith("/") or any(hidden(part) for part in parts):
            continue
        if entry.flag_bits & ENCRYPTED_FLAG:
            raise PipelineError(f"{name} is encrypted: unpack it yourself and name the folder")
        if str(PurePosixPath(*parts)) in members:
            raise PipelineError(f"{name} has two files of the name {entry_name!r}: pack it anew")
        members[str(PurePosixPath(*parts))] = entry
    total = sum(entry.file_size for entry in members.values())
    if total > MAX_BYTES:
        raise PipelineError(
            f"{name} would unpack to {total / 2**30:,.1f} GB, more than {MAX_BYTES >> 30} GB: "
            "unpack it yourself and name the folder"
        )
    if total > SMALL and total > MAX_RATIO * path.stat().st_size:
        raise PipelineError(
            f"{name} would grow {total / path.stat().st_size:,.0f}-fold, which no pictures do: "
            "unpack it yourself if you trust it, and name the folder"
        )
    free = shutil.disk_usage(into).free
    if total > free:
        raise PipelineError(
            f"{name} unpacks to {total / 2**30:,.1f} GB, {free / 2**30:,.1f} GB are free: "
            "free some space"
        )
    return members


def _harmless(name: str, entry: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(name).parts
    kind = stat.S_IFMT(entry.external_attr >> 16)
    inside = bool(parts) and parts[0] != "/" and ".." not in parts and parts[0][1:2] != ":"
    return inside and kind in (0, stat.S_IFREG, stat.S_IFDIR)


def _decoded_names(entries: list[zipfile.ZipInfo]) -> list[tuple[str, zipfile.ZipInfo]]:
    """Entries with their names; Windows's backslashes become slashes.

    `zipfile` reads a name that is not marked as UTF-8 as code page 437, which loses nothing.
    """
    raw = [e.orig_filename.encode("cp437") for e in entries if not e.flag_bits & UTF8_FLAG]
    encoding = next((code for code in ("utf-8", "gb18030") if _all_decode(raw, code)), "cp437")
    named_entries = []
    for entry in entries:
        name = entry.orig_filename
        if not entry.flag_bits & UTF8_FLAG:
            name = name.encode("cp437").decode(encoding)
        named_entries.append((name.partition("\0")[0].replace("\\", "/"), entry))
    return named_entries


def _all_decode(names: list[bytes], encoding: str) -> bool:
    try:
        for name in names:
            name.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True

"""Text and tables as people's machines write them: any common encoding, separator and line end.

A file is UTF-8 with or without its mark, UTF-16, or of the older encodings of `CODECS`. Lines end
in LF, CR LF or CR and nowhere else: U+2028 in a name is no line's end. Lines keep the numbers that
an editor shows, whatever is blank between them.
"""

import csv
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from . import file_kinds
from .errors import PipelineError
from .files import relative

MARKS = (  # Unicode's byte-order marks; that of UTF-32 begins with that of UTF-16
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
# Encodings from before Unicode, those of our users first, and the first bytes that their common
# characters have there: level 1 of GB 2312, of Big5 and of JIS X 0208, with signs and kana.
CODECS: Mapping[str, tuple[range, ...]] = {
    "gb18030": (range(0xA1, 0xA4), range(0xB0, 0xD8)),
    "big5": (range(0xA1, 0xC7),),
    "shift_jis": (range(0x81, 0x84), range(0x88, 0x98)),
    "cp1252": (range(0x80, 0x100),),
    "cp1251": (range(0x80, 0x100),),
}
SAID = {"gb18030": "GBK", "big5": "Big5", "shift_jis": "Shift-JIS"}
LEVEL_2 = range(0xD8, 0xF8)  # first bytes of GB 2312's less common characters
PINYIN = 0xA8  # first byte of GB 2312's accented Latin letters
UNCLEAR = 0.5  # doubt, from 0 to 2, from which an encoding is not taken
LARGEST = 256 << 20  # bytes of a text that is read at once
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"  # without a width; editors and web pages leave them
SEPARATORS = (",", "\t", ";", "|")


class Text(NamedTuple):
    """What a text file says."""

    text: str  # line ends are LF
    encoding: str  # as people call it: UTF-8, UTF-16, GBK ...

    def lines(self) -> list[tuple[int, str]]:
        """Lines that are not blank, stripped, with their numbers from 1."""
        stripped = ((number, strip(line)) for number, line in enumerate(self.text.split("\n"), 1))
        return [(number, line) for number, line in stripped if line]


def read(path: Path) -> Text:
    """Read a text file of any common encoding.

    Raises:
        PipelineError: it is missing, another kind of file, or of an encoding that cannot be told.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise PipelineError(f"{relative(path)} is too long for a text: {LARGEST >> 20} MB")
        content = path.read_bytes()
    except OSError as error:
        raise PipelineError(f"{relative(path)} cannot be read: {error.strerror}") from None
    return decode(content, relative(path))


def decode(content: bytes, name: str) -> Text:
    """As `read`, of bytes that are there already; `name` is for the message."""
    kind = file_kinds.of_bytes(content[: file_kinds.HEAD])
    if kind.key not in file_kinds.TEXTS:
        raise PipelineError(f"{name} {kind}")
    text, encoding = _decoded(content, name)
    text = re.sub(r"\r\n?", "\n", text.removeprefix("\ufeff"))
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        raise PipelineError(f"{name}, line {line}: there is a NUL byte in it: save it as UTF-8")
    return Text(text, encoding)


def _decoded(content: bytes, name: str) -> tuple[str, str]:
    encoding = next((codec for mark, codec in MARKS if content.startswith(mark)), "")
    encoding = encoding or _unmarked_utf16(content) or "utf-8"
    try:
        return content.decode(encoding), encoding.upper()[:6].rstrip("-")
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise PipelineError(
                f"{name} is cut short or damaged ({error.reason}): save it as UTF-8"
            ) from None
        line = content.count(b"\n", 0, error.start) + 1
    doubt, _, best = min((*_doubt(content, codec), codec) for codec in CODECS)
    if doubt >= UNCLEAR:
        raise PipelineError(
            f"{name}, line {line}: neither UTF-8 nor another known encoding: save it as UTF-8"
        )
    return content.decode(best), SAID.get(best, best)


def _unmarked_utf16(content: bytes) -> str:
    """UTF-16 without its mark, told by the zero bytes of its Latin letters and line ends."""
    if len(content) < 4 or len(content) % 2:
        return ""
    even, odd = content[0::2].count(0), content[1::2].count(0)
    fewest = len(content) // 10
    if odd > max(fewest, 4 * even):
        return "utf-16-le"
    return "utf-16-be" if even > max(fewest, 4 * odd) else ""


def _doubt(content: bytes, codec: str) -> tuple[float, int]:
    """How little a text looks like one of an encoding, from 0 to 2, and the encoding's place.

    charset-normalizer's measure of mess, and the share of uncommon characters, as it cannot tell
    GBK from Big5 in the few words that a list of classes is.
    """
    from charset_normalizer import from_bytes

    place = list(CODECS).index(codec)
    foreign = bytes(byte for byte in content if byte >= 0x80)
    try:
        text = content.decode(codec)
    except UnicodeDecodeError:
        return 2.0, place
    letters = [letter for letter in text if not letter.isascii()]
    beside = zip(f" {text}", text, f"{text[1:]} ", strict=False)
    common = sum(_is_common(*three, codec) for three in beside if not three[1].isascii())
    found = from_bytes(content[:100_000], cp_isolation=[codec], enable_fallback=False).best()
    mess = found.chaos if found else UNCLEAR
    # Any bytes are letters of an encoding with one byte each; those of two seldom fit by chance.
    chance = 0.45 if codec.startswith("cp") else 0.0
    doubt = 1 - common / max(1, len(letters)) + 0.3 * mess + chance
    return round(doubt, 2) if foreign else 0.0, place


def _is_common(before: str, letter: str, after: str, codec: str) -> float:
    """How likely, from 0 to 1, a text in this encoding has a character there.

    Args:
        before, after: the characters beside it.
    """
    written = letter.encode(codec)
    if before.isascii() and before.islower() and len(written) == 2:
        return codec == "gb18030" and written[0] == PINYIN  # é in a word, and no Chinese character
    if len(written) == 2 and written[1:].isalpha() and after.isascii() and after.isalpha():
        return False  # rather an accented letter of Latin-1 in a word
    if len(written) == 1:
        if codec == "shift_jis":
            return False  # half-width kana, which any bytes of GBK look like
        return letter.isalpha() or letter in "°²³µ§€–—‘’“”…·\u00a0"
    if codec == "gb18030" and len(written) == 2 and written[1] >= 0xA1 and written[0] in LEVEL_2:
        return 0.6
    both_high = codec != "gb18030" or (len(written) == 2 and written[1] >= 0xA1)
    return both_high and any(written[0] in lead for lead in CODECS[codec])


# --- names ----------------------------------------------------------------------------


def strip(text: str) -> str:
    """Without what cannot be seen at its ends: blanks of all widths, and marks without any."""
    before = None
    while before != text:
        before, text = text, text.strip().strip(INVISIBLE)
    return text


def from_disk(name: str) -> str:
    """A file's or folder's name as text, where the system could not tell its encoding."""
    content = os.fsencode(name)
    if is_text(name):
        return name
    try:
        return decode(content, shown(name)).text
    except PipelineError:
        return name


def folded(name: str) -> str:
    """What names have in common that people take for one: NFC, no case, single blanks."""
    return " ".join(strip(unicodedata.normalize("NFC", name)).casefold().split())


def twin_of(path: Path) -> Path | None:
    """The file that is there under a name which differs in case or form of accents at most."""
    try:
        if path.exists():
            return path
    except OSError:  # a name that is too long for one
        return None
    folder = twin_of(path.parent) if path != path.parent else None
    if folder is None or not folder.is_dir():
        return None
    wanted = folded(path.name)
    alike = [file for file in folder.iterdir() if folded(file.name) == wanted]
    return alike[0] if len(alike) == 1 else None


def is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8; one on disk may be of no encoding."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def one_line(name: str) -> str:
    """A name as lists hold it: a blank for every line break, tab or control character."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in name)


def shown(name: str) -> str:
    """A name as a message shows it: in quotes if its ends or anything in it cannot be seen."""
    plain = name.isprintable() and name and name == strip(name) and "\ufffd" not in name
    return name if plain else ascii(name) if not name.isprintable() else repr(name)


def slashed(path: str) -> str:
    """A path with `/`, whichever system wrote it, and without quotes or `./` before it."""
    path = strip(path)
    if len(path) > 1 and path[0] == path[-1] and path[0] in "\"'":
        path = strip(path[1:-1])
    path = path.replace("\\", "/")
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    return path


# --- tables ---------------------------------------------------------------------------


class Row(NamedTuple):
    """A line of a table that holds something."""

    line: int  # its number in the file, from 1
    cells: list[str]  # stripped, without the empty ones at its end
    width: int  # cells, with those


class Table(NamedTuple):
    """A table: its lines, the first of which may be its head."""

    name: str  # of the file, for messages
    rows: list[Row]
    encoding: str
    separator: str


def read_table(path: Path) -> Table:
    """Read a table whose separator is a comma, tab, semicolon or bar, or what `sep=` says.

    Blanks around cells are dropped, and so are empty cells at a line's end and empty lines.

    Raises:
        PipelineError: as `read`, or a quote that is not closed; the message names the line.
    """
    name = relative(path)
    content = read(path)
    lines = content.text.split("\n")
    stated = re.fullmatch(r'"?sep=(.)"?[,;]*', strip(lines[0]) or lines[0], re.IGNORECASE)
    separator = stated[1] if stated else _separator(lines)
    if stated:
        lines[0] = ""
    rows = []
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator, strict=True)
    began = 1
    try:
        for cells in reader:
            if any("\n" in cell for cell in cells):
                raise csv.Error
            row = [strip(cell) for cell in cells]
            while row and not row[-1]:
                row.pop()
            if row:
                rows.append(Row(began, row, len(cells)))
            began = reader.line_num + 1
    except csv.Error:
        raise PipelineError(f"{name}, line {began}: a quote is not closed: mend the line") from None
    return Table(name, rows, content.encoding, separator)


def _separator(lines: Sequence[str]) -> str:
    """What separates cells: what the first lines have most often, and alike."""
    sample = [re.sub(r'"[^"]*"', "", line) for line in lines if strip(line)][:20]
    alike = {
        separator: min((line.count(separator) for line in sample), default=0)
        for separator in SEPARATORS
    }
    first = {separator: sample[0].count(separator) if sample else 0 for separator in SEPARATORS}
    return max(SEPARATORS, key=lambda separator: (alike[separator], first[separator]))


class Columns(NamedTuple):
    """Where a table's columns stand, by the names that a caller gives them."""

    place: dict[str, int]  # columns that are not there are left out
    width: int  # cells of the head


def find_columns(
    table: Table, wanted: Mapping[str, Sequence[str]], more: Mapping[str, Sequence[str]] = {}
) -> Columns | None:
    """Find columns by their heads, whatever the case, with blanks around or not.

    Args:
        wanted: what the caller calls a column, and what its head may be.
        more: the same for columns that may be missing.

    Returns:
        None unless all that are wanted are there: the table has no head, or is another one.

    Raises:
        PipelineError: two columns go by one name.
    """
    head = [folded(cell) for cell in table.rows[0].cells] if table.rows else []
    place: dict[str, int] = {}
    for name, heads in [*wanted.items(), *more.items()]:
        found = [i for known in heads for i, cell in enumerate(head) if cell == folded(known)]
        if len({head[i] for i in found}) < len(found):
            raise PipelineError(
                f"{table.name}, line {table.rows[0].line}: two columns are called "
                f"{head[found[0]]!r}: rename or remove one"
            )
        if found:
            place[name] = found[0]
    return Columns(place, len(head)) if set(wanted) <= set(place) else None


def cells_of(
    table: Table, columns: Columns, wanted: Sequence[str], blank: Sequence[str] = ()
) -> list[tuple[int, dict[str, str]]]:
    """Lines below the head, by column, with their numbers.

    Args:
        wanted: columns that may not be empty; others are "" where a line is too short for them.
        blank: columns that may be empty, in lines that are long enough for them.

    Raises:
        PipelineError: a line with fewer cells than are wanted, or more than the head has.
    """
    found = []
    for line, cells, width in table.rows[1:]:
        where = f"{table.name}, line {line}"
        if len(cells) > columns.width:
            raise PipelineError(
                f"{where}: {len(cells)} cells where the first line has {columns.width}: put a "
                "name that holds a separator in quotes"
            )
        values = {name: cells[i] if i < len(cells) else "" for name, i in columns.place.items()}
        short = [name for name in wanted if not values[name]]
        short += [name for name in blank if columns.place[name] >= width]
        if short:
            raise PipelineError(
                f"{where}: {len(cells)} of {columns.width} cells, {short[0]} is missing: mend the "
                "line or delete it"
            )
        found.append((line, values))
    return found

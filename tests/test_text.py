"""Text and tables as people's machines write them."""

import pytest

from mnist_rknn import text
from mnist_rknn.errors import PipelineError

WORDS = {
    "utf-8": "猫\n圆形 红\ncafé\n",
    "utf-8-sig": "猫\n狗\n",
    "utf-16": "猫\n狗\n",
    "utf-16-le": "0 cat\n1 狗\n",
    "utf-16-be": "0 cat\n1 狗\n",
    "gb18030": "合格\n不合格\n划痕\n",
    "big5": "正常\n標籤\n鬱金香\n",
    "cp1252": "Äpfel\nniño\ngröße\n",
    "cp1251": "кошка\nсобака\n",
    "shift_jis": "りんご\n猫\n",
}


@pytest.mark.parametrize("encoding", WORDS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_class_names_of_any_common_encoding(encoding, end, tmp_path):
    file = tmp_path / "labels.txt"
    file.write_bytes(WORDS[encoding].replace("\n", end).encode(encoding))
    assert text.read(file).text == WORDS[encoding]


@pytest.mark.parametrize("word", ["狗", "好", "ok,白板", "纸张", "狗狗", "数据集 说明"])
def test_a_word_of_chinese_windows_is_enough(word):
    assert text.decode(word.encode("gb18030"), "x") == (word, "GBK")


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"cat\ndog\0\n", "line 2: there is a NUL byte"),
        ("猫\n".encode() + bytes(range(0x80, 0xFF)), "line 2: neither UTF-8 nor"),
        (b"\xff\xfea", "cut short"),
        (b"Rar!\x1a\x07\x00" + bytes(9), "is a RAR archive"),
        (b"<!DOCTYPE html><p>sign in", "is a web page"),
    ],
)
def test_no_text_is_named_for_what_it_is(content, reason):
    with pytest.raises(PipelineError, match=reason):
        text.decode(content, "list.txt")


def test_lines_keep_their_numbers_and_end_nowhere_else():
    lines = text.decode("\ufeff\na\u2028b\n\n \u3000c\u00a0\u200b\r\n".encode(), "x").lines()
    assert lines == [(2, "a\u2028b"), (4, "c")]


HEAD, BODY = "file,label", "a b.png,0\n狗.png,1\n"
SAME = [(2, "a b.png", "0"), (3, "狗.png", "1")]


@pytest.mark.parametrize(
    "content, found",
    {
        f"{HEAD}\n{BODY}": SAME,
        f"{HEAD}\n{BODY}".replace(",", ";"): SAME,
        f"{HEAD}\n{BODY}".replace(",", "\t"): SAME,
        f"sep=;\n{HEAD}\n{BODY}".replace(",", ";"): [(n + 1, *row) for n, *row in SAME],
        f"{HEAD}\r\n\r\n{BODY},,\r\n": [(n + 1, *row) for n, *row in SAME],
        "File , LABEL,more\n a b.png , 0 \n\u3000狗.png,1\u00a0,,\n": SAME,
        f'{HEAD}\n"a b.png","0"\n"狗.png",1\n': SAME,
        "label,x,file\n0,,a b.png\n1,2,狗.png\n": SAME,
    }.items(),
)
def test_a_table_is_read_however_it_was_saved(content, found, tmp_path):
    file = tmp_path / "index.csv"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "gb18030"):
        file.write_bytes(content.encode(encoding))
        table = text.read_table(file)
        columns = text.find_columns(table, {"file": ["file"], "label": ["label"]})
        rows = text.cells_of(table, columns, ("file", "label"))
        assert [(line, row["file"], row["label"]) for line, row in rows] == found


@pytest.mark.parametrize(
    "content, reason",
    [
        (f"{HEAD}\na.png,0\nb.png\n", r"line 3: 1 of 2 cells, label is missing"),
        (f"{HEAD}\na.png,0,1\n", "line 2: 3 cells where the first line has 2"),
        (f'{HEAD}\na.png,0\n"b.png,0\nc.png,1\n', "line 3: a quote is not closed"),
        (f'{HEAD}\n"b.png,0\n"c.png",1\n', "line 2: a quote is not closed"),
        (f"{HEAD}, Label\na.png,0,1\n", "two columns are called 'label'"),
    ],
)
def test_a_table_that_says_nothing_clear_is_refused_by_line(content, reason, tmp_path):
    file = tmp_path / "index.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(PipelineError, match=reason):
        table = text.read_table(file)
        columns = text.find_columns(table, {"file": ["file"], "label": ["label"]})
        text.cells_of(table, columns, ("file", "label"))


def test_names_that_people_take_for_one():
    assert len({text.folded(name) for name in ("Café ", "cafe\u0301", "\u200bCAFÉ", "café")}) == 1
    assert [text.shown(name) for name in ("猫", " ok", "a\nb", "x\udcff")] == [
        "猫", "' ok'", r"'a\nb'", r"'x\udcff'",
    ]  # fmt: skip
    assert text.slashed(' ".\\day 1\\a.png" ') == "day 1/a.png"

"""The editions in other languages: of one source, whole, up to date, in our terms."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import symtable
import sys
from pathlib import Path

import polib
import pytest

from mnist_rknn import language
from mnist_rknn.files import PROJECT, relative
from mnist_rknn.translation import catalogues, code, editions, links, markdown, rules, scope

EDITIONS = [editions.Edition(chosen) for chosen in scope.CODES]
PAIRS = [
    pytest.param(edition, name, id=made)
    for edition in EDITIONS
    for name, made in edition.names.items()
]
NOTEBOOKS = [pair for pair in PAIRS if pair.values[1].endswith(".ipynb")]


def cells(name: str) -> list[dict]:
    return json.loads((PROJECT / name).read_text(encoding="utf-8"))["cells"]


# --- what is committed -------------------------------------------------------------------


def test_every_page_of_a_learner_is_translated_or_named_as_missing():
    pages = {"README.md"}
    pages |= {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "docs").glob("*.md")}
    pages |= {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("notebooks/*.ipynb")}
    left_out = {*scope.FOR_MAINTAINERS, *scope.NOT_YET}
    assert pages - set(scope.documents()) == left_out & pages
    for edition in EDITIONS:
        assert all((PROJECT / made).is_file() for made in edition.names.values())


@pytest.mark.parametrize("edition", EDITIONS, ids=scope.CODES)
def test_nothing_is_untranslated_or_stale(edition):
    assert [str(line) for line in edition.stale()] == []
    assert code.stale(edition.code) == []


@pytest.mark.parametrize("edition", EDITIONS, ids=scope.CODES)
def test_pages_are_what_their_catalogues_make_of_the_source(edition):
    assert [relative(path) for path in editions.behind(edition.pages())] == []


@pytest.mark.parametrize("edition", EDITIONS, ids=scope.CODES)
def test_every_translation_keeps_figures_code_links_and_terms(edition):
    assert rules.broken(edition) == []


@pytest.mark.parametrize(("edition", "name"), NOTEBOOKS)
def test_notebooks_have_the_same_cells_and_code_in_every_language(edition, name):
    source, made = cells(name), cells(edition.names[name])
    for key in ("id", "cell_type", "metadata"):
        assert [cell[key] for cell in made] == [cell[key] for cell in source]
    ours = [cell["source"] for cell in made if cell["cell_type"] == "code"]
    assert ours == [cell["source"] for cell in source if cell["cell_type"] == "code"]


def figures_of(name: str) -> list[str]:
    """The figures that a reader sees, in what cog made too."""
    text = (PROJECT / name).read_text(encoding="utf-8")
    if name.endswith(".ipynb"):
        found = cells(name)
        text = "\n\n".join("".join(c["source"]) for c in found if c["cell_type"] == "markdown")
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    return sorted(rules.numbers(text))


@pytest.mark.parametrize(("edition", "name"), PAIRS)
def test_a_reader_sees_the_same_figures_in_every_language(edition, name):
    assert figures_of(edition.names[name]) == figures_of(name)


@pytest.mark.parametrize("edition", EDITIONS, ids=scope.CODES)
def test_the_shipped_font_has_every_character_that_is_printed_or_drawn(edition):
    from fontTools.ttLib import TTFont

    from mnist_rknn import fonts

    known = set(TTFont(fonts.SHIPPED).getBestCmap())
    words = "".join(entry.msgstr for entry in catalogues.read(code.path(edition.code)))
    assert {
        letter for letter in words if letter.isprintable() and ord(letter) not in known
    } == set()


# --- what would be seen -------------------------------------------------------------------


def test_a_changed_paragraph_makes_just_its_own_translation_stale(tmp_path):
    """The catalogue says which, keeps the old translation, and CI names file and line."""
    path = PROJECT / "mnist_rknn" / "locale" / "zh" / "documents" / "notebooks" / "03_export.po"
    wanted = editions.messages("notebooks/03_export.ipynb")
    changed = [m._replace(text=m.text.replace("slimmed", "cut down")) for m in wanted]
    (stale,) = catalogues.stale(path, changed)
    assert stale.why == "changed after it was translated"
    assert re.match(r"mnist_rknn/locale/zh/.*03_export\.po:\d+: '# 03 · Export", str(stale))
    kept = catalogues.updated(catalogues.read(path), changed, "zh")
    (fuzzy,) = [entry for entry in kept if not catalogues.is_done(entry)]
    assert fuzzy.fuzzy and fuzzy.msgstr and "slimmed" in fuzzy.previous_msgid
    copy = tmp_path / "a.po"
    catalogues.write(copy, kept)
    back = catalogues.updated(catalogues.read(copy), wanted, "zh")
    assert [entry.msgstr for entry in back] == [entry.msgstr for entry in kept]


def test_a_changed_paragraph_of_a_page_is_found_by_likeness():
    old = polib.POFile()
    old.append(
        polib.POEntry(msgid="Every file is opened and checked.", msgstr="每个文件都打开检查。")
    )
    old.append(polib.POEntry(msgid="Nothing is dropped.", msgstr="什么也不丢。"))
    wanted = [
        catalogues.Message("Every file is opened, and checked once."),
        catalogues.Message("New"),
    ]
    first, second = catalogues.updated(old, wanted, "zh")
    assert first.fuzzy and first.msgstr == "每个文件都打开检查。"
    assert second.msgstr == "" and not second.fuzzy


TEXT = """# Title

A line,
and its end.

- one point
- `code`

| a word | `x` |
|---|---|
| 1 | 2 |

```sh
make rknn    # everything
```

```sh
make test
```

<!-- [[[cog print(say("It takes {mnist seconds}.")) ]]] -->
It takes 14 min.
<!-- [[[end]]] -->
"""


def test_a_text_is_cut_into_blocks_with_words():
    assert markdown.messages(TEXT) == [
        "# Title",
        "A line,\nand its end.",
        "- one point",
        "| a word | `x` |",
        "```sh\nmake rknn    # everything\n```",
        '<!-- [[[cog print(say("It takes {mnist seconds}.")) ]]] -->',
    ]
    assert markdown.translated(TEXT, lambda block: block) == TEXT.replace("It takes 14 min.\n", "")
    upper = markdown.translated(TEXT, lambda block: block.replace("point", "POINT"))
    assert "- one POINT\n- `code`" in upper


def test_links_of_a_page_lead_to_translated_pages_and_headings():
    known = {"README.md": "README.zh.md", "docs/a.md": "docs/zh/a.md"}

    def led(text: str, name: str) -> str:
        return links.rewritten(text, name, known[name], known, lambda _, anchor: f"zh-{anchor}")

    assert led("[a](docs/a.md#b) `[c](docs/a.md)`", "README.md") == (
        "[a](docs/zh/a.md#zh-b) `[c](docs/a.md)`"
    )
    assert led("[r](../README.md) ![p](p.png) [d](design.md#x)", "docs/a.md") == (
        "[r](../../README.zh.md) ![p](../p.png) [d](../design.md#x)"
    )
    assert led("[h](#there) [x](https://a.b/c)", "docs/a.md") == "[h](#zh-there) [x](https://a.b/c)"
    assert led("[English](README.zh.md)", "README.md") == "[English](README.md)"


@pytest.mark.parametrize(
    ("source", "made", "fault"),
    [
        ("It has 10,000 images.", "它有 1,000 张图像。", "figures differ: 10,000 -> 1,000"),
        ("See [a](a.md).", "见 [a](b.md)。", "links differ: a.md -> b.md"),
        ("Run `make rknn`.", "运行 `make test`。", "code differ: make rknn -> make test"),
        ("```sh\nmake a  # x y\n```", "```sh\nmake b  # 中\n```", "code differ: make a -> make b"),
        ("{n} pictures", "图片 {m} 张", "placeholders differ"),
        ("The quantization", "这是转换", "'quantization' is 量化"),
        ("The model", "模型的标定", "标定 is not used"),
        ("Yes, no", "是,否", "write the full-width sign"),
        ("The NPU", "这个NPU", "a blank belongs between Chinese and Latin"),
        ("The one", "这 个", "no blank between Chinese characters"),
    ],
)  # fmt: skip
def test_a_translation_that_breaks_a_rule_is_named(source, made, fault):
    found = list(rules.faults(polib.POEntry(msgid=source, msgstr=made)))
    assert any(fault in line for line in found), found
    assert not list(rules.faults(polib.POEntry(msgid=source, msgstr=source)))[1:]


def test_glossary_has_the_words_that_matter():
    english = {term.english for term in rules.terms()}
    assert {
        "quantization",
        "calibration",
        "inference",
        "pooling",
        "convolution",
        "tensor",
    } <= english
    for term in rules.terms():
        assert term.chinese, term
        assert not set(term.chinese) & set(term.forbidden), term


# --- which language is spoken -------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "spoken"),
    [
        ({}, "en"),
        ({"LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "zh", "LC_ALL": "C.UTF-8", "LANGUAGE": "en_US:en"}, "zh"),
        ({"LANG": "en", "LANGUAGE": "zh_CN:zh"}, "en"),
        ({"LANGUAGE": "fr:zh_CN", "LANG": "fr_FR.UTF-8"}, "zh"),
    ],
)
def test_the_locale_chooses_and_a_plain_code_in_lang_wins(monkeypatch, said, spoken):
    for name in language.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert language.chosen() == spoken


def test_a_step_opens_the_notebook_of_the_language():
    from mnist_rknn.pipeline import steps

    with language.use("zh"):
        assert steps.notebook_file("03_export") == PROJECT / "notebooks" / "zh" / "03_export.ipynb"
    with language.use("en"):
        assert steps.notebook_file("03_export") == PROJECT / "notebooks" / "03_export.ipynb"


def test_language_of_a_page_is_seen_in_its_name():
    for name, code_ in (("README.md", "en"), ("README.zh.md", "zh"), ("docs/zh/a.md", "zh")):
        assert language.of_page(Path("x") / name) == code_


# --- what the code says -------------------------------------------------------------------

RAISED = {"PipelineError", "Finding", "Cure", "Problem", "Fault", "UsageError", "BadParameter"}
LABELS = {"title", "xlabel", "ylabel"}


def wrapped_files() -> list[str]:
    package = PROJECT / "mnist_rknn"
    names = [path.relative_to(package).as_posix() for path in sorted(package.rglob("*.py"))]
    return [name for name in names if not name.startswith(tuple(scope.NOT_WRAPPED))]


def bare_words(source: str) -> list[str]:
    """Messages that are raised, and labels of plots, that stand there without `_()`."""
    found = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        said = list(call.args) if name in RAISED else []
        said += [k.value for k in call.keywords if k.arg in LABELS]
        said += call.args[:1] if name in ("set_title", "suptitle") else []
        for value in said:
            text = ast.unparse(value) if isinstance(value, (ast.Constant, ast.JoinedStr)) else ""
            words = re.sub(r"\{[^{}]*\}", "", text)
            if re.search(r"[a-z]{2,} [a-z]{2,}|[a-z]{4,}", words):
                found.append(f"line {call.lineno}: {text}")
    return found


@pytest.mark.parametrize("name", wrapped_files())
def test_what_is_raised_or_drawn_can_be_translated(name):
    assert bare_words((PROJECT / "mnist_rknn" / name).read_text(encoding="utf-8")) == []


def test_bare_words_would_be_seen():
    assert bare_words('raise PipelineError(f"{name} is missing: get it")')
    assert bare_words('axis.set(xlabel="how often")')
    assert not bare_words('raise PipelineError(_("{name} is missing").format(name=name))')


def shadowing(table: symtable.SymbolTable) -> list[str]:
    """Functions in which `_` is a variable of their own, and is read."""
    mine = table.lookup("_") if "_" in table.get_identifiers() else None
    hidden = table.get_type() == "function" and mine and mine.is_local() and mine.is_referenced()
    inner = [name for child in table.get_children() for name in shadowing(child)]
    return ([f"line {table.get_lineno()}: {table.get_name()}"] if hidden else []) + inner


@pytest.mark.parametrize("name", wrapped_files())
def test_no_variable_hides_the_translation(name):
    source = (PROJECT / "mnist_rknn" / name).read_text(encoding="utf-8")
    assert shadowing(symtable.symtable(source, name, "exec")) == []


def test_a_hidden_translation_would_be_seen():
    source = "def drawn():\n    for x, _ in places:\n        title(_('more'))"
    assert shadowing(symtable.symtable(source, "here", "exec")) == ["line 1: drawn"]


def test_the_list_of_what_is_not_wrapped_names_what_is_there():
    for name in scope.NOT_WRAPPED:
        assert (PROJECT / "mnist_rknn" / name).exists(), name


def test_help_and_mistakes_are_told_in_chinese():
    """Of the command itself, with a locale that this machine need not have."""
    environment = {**os.environ, "LANG": "zh", "LC_ALL": "C.UTF-8"}

    def said(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "mnist_rknn", *arguments],
            env=environment, capture_output=True, text=True, encoding="utf-8", check=False,
            cwd=PROJECT,
        )  # fmt: skip
        return done.stdout + done.stderr

    english = re.compile(r"[A-Za-z]{3,} [a-z]{3,}")
    shown = said("run", "--help")
    assert "选项" in shown
    assert [x for x in shown.splitlines() if english.search(x) and "mnist-rknn" not in x] == []
    assert said("run", "--recipe", "nope").startswith("错误：未知的配方 'nope'")
    mistyped = said("run", "--forse")
    assert mistyped.startswith("错误：没有选项 '--forse'。") and "'--force'" in mistyped
    assert not english.search(mistyped.partition("（见")[0])


def test_make_lab_opens_the_edition_of_the_language():
    def line(*said: str) -> str:
        told = subprocess.run(
            ["make", "--no-print-directory", "-n", "-o", ".venv/bin/mnist-rknn", "lab", *said],
            cwd=PROJECT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return next(line for line in told.stdout.splitlines() if "jupyterlab" in line)

    chinese, english = line("LANG=zh"), line("LANG=en")
    assert "scripts/jupyter/zh:" in chinese and "notebooks/zh/00_environment.ipynb" in chinese
    assert "jupyter/zh" not in english and "notebooks/zh" not in english
    settings = (
        PROJECT / "scripts" / "jupyter" / "zh" / "labconfig" / "default_setting_overrides.json"
    )
    (locale,) = (plugin["locale"] for plugin in json.loads(settings.read_text()).values())
    assert locale == "zh_CN"
    assert (importlib.util.find_spec("jupyterlab_language_pack_zh_CN")) is not None

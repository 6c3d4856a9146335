"""A Markdown text as messages to translate, and put together again of their translations.

Neither mdpo nor po4a: both take the text apart further and write it anew in a form of their own,
and cog's comments, with what stands between them, do not survive that. Here a message is a whole
block as it stands in the source, so that nothing but words is touched: a heading, a paragraph, a
point of a list, a row of a table, a code block with comments, a call of cog.
"""

import re
from collections.abc import Callable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MADE = re.compile(r"(<!-- \[\[\[cog .*?\]\]\] -->\n).*?(<!-- \[\[\[end\]\]\] -->)", re.DOTALL)
_CALL = re.compile(r"<!-- \[\[\[cog (.*?) \]\]\] -->", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]{2,}")
_PARSER = MarkdownIt("commonmark").enable("table")


def without_made(text: str) -> str:
    """A text without what cog made; the calls stay."""
    return _MADE.sub(r"\1\2", text)


def has_words(block: str) -> bool:
    """Whether there is anything to translate in a block."""
    if block.startswith("```"):
        comments = "\n".join(comment for _, comment in code_comments(block))
        return "mermaid" not in block.splitlines()[0] and bool(_WORD.search(comments))
    calls = " ".join(
        re.findall(r'(?:say|print)\(f?"(.*?)"\)', "".join(_CALL.findall(block)), re.DOTALL)
    )
    alt = " ".join(re.findall(r'alt="([^"]*)"', block))
    plain = re.sub(r"<!--.*?-->", "", block, flags=re.DOTALL)
    plain = re.sub(r"`[^`]*`|<[^>]*>|\]\([^)]*\)|\{[^{}]*\}", " ", plain)
    return bool(_WORD.search(f"{plain} {calls} {alt}"))


def code_comments(block: str) -> list[tuple[str, str]]:
    """The lines of a code block, each as its code and its comment."""
    lines = block.splitlines()[1:-1]
    parts = [re.match(r"((?:[^#\s]|\s+(?!#|$)|(?<!\s)#)*)(?:\s*#\s*(.*))?$", x) for x in lines]
    return [
        (p[1].rstrip(), p[2] or "") if p else (x, "") for p, x in zip(parts, lines, strict=True)
    ]


def messages(text: str) -> list[str]:
    """The blocks of a text that have words, in their order."""
    found: list[str] = []

    def noted(block: str) -> str:
        found.append(block)
        return block

    translated(text, noted)
    return found


def translated(text: str, translate: Callable[[str], str]) -> str:
    """A text, without what cog made, with every block translated that has words."""
    lines = without_made(text).splitlines()
    out: list[str] = []
    at = 0
    for start, end in _blocks("\n".join(lines) + "\n"):
        out += lines[at:start]
        block = "\n".join(lines[start:end])
        out.append(translate(block) if has_words(block) else block)
        at = end
    return "\n".join([*out, *lines[at:]]) + "\n"


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """First line and end of each block."""
    lines = text.splitlines()
    listed = False
    for token in _PARSER.parse(text):
        if token.type in ("bullet_list_close", "ordered_list_close") and token.level == 0:
            listed = False
        if token.type in ("bullet_list_open", "ordered_list_open") and token.level == 0:
            listed = True
        if token.map is None or not _is_block(token, listed):
            continue
        start, end = token.map
        while end > start and not lines[end - 1].strip():
            end -= 1
        yield start, end


def _is_block(token: Token, listed: bool) -> bool:
    if token.type == "list_item_open":
        return listed and token.level == 1
    if token.type == "tr_open":
        return True
    whole = ("heading_open", "paragraph_open", "fence", "html_block", "blockquote_open")
    return token.type in whole and token.level == 0

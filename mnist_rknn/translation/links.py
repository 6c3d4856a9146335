"""Links of a translated page: to translated pages, and to the headings they have there.

A translator leaves a link as the source has it. A page's link to its own edition leads back to the
source.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

_CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"""(\]\(|(?:src|href)=")([^)\s"]+)""")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def found(text: str) -> list[str]:
    """Targets of a text's links, without what only looks like one in code."""
    return [match[1] for match in _LINK.findall(_CODE.sub("", text))]


def headings(text: str) -> list[str]:
    """The headings' anchors in their order, as GitHub and MyST make them."""
    anchors: list[str] = []
    for heading in _HEADING.findall(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number, anchor = 0, slug
        while anchor in anchors:
            number += 1
            anchor = f"{slug}-{number}"
        anchors.append(anchor)
    return anchors


def rewritten(
    text: str,
    name: str,
    edition: str,
    editions: Mapping[str, str],
    anchor: Callable[[str, str], str],
) -> str:
    """A translated text with its links led on.

    Args:
        name: of the source's page, from the project's folder; its links are seen from there.
        edition: name of the page that the text is for.
        editions: names of translated pages by those of their sources.
        anchor: name of a source's page and one of its anchors to the translated page's anchor.
    """

    def lead(match: re.Match) -> str:
        target = match[2]
        if re.match(r"[a-z]+:", target):
            return match[0]
        file, _, place = target.partition("#")
        seen = PurePosixPath(name).parent
        source = os.path.normpath(seen / file) if file else name
        if place and source in editions:
            place = anchor(source, place)
        goal = name if source == edition else editions.get(source, source)
        if file:
            file = os.path.relpath(goal, PurePosixPath(edition).parent)
        return f"{match[1]}{file}{'#' if place else ''}{place}"

    parts = _CODE.split(text)
    return "".join(part if odd % 2 else _LINK.sub(lead, part) for odd, part in enumerate(parts))

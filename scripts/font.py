#!/usr/bin/env python
"""Make the font that plots draw Chinese with where none is installed. For maintainers.

FONT is NotoSansCJK-Regular.ttc, of Debian's package fonts-noto-cjk. What is kept of it: the 7,445
characters of GB 2312, ASCII, and the signs that our plots have. Not a package from PyPI: those
that carry a Chinese font carry SimHei, which may not be passed on, or 16 MB of traditional forms.

\b
python scripts/font.py /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc
"""

import sys
from pathlib import Path

sys.path.insert(0, f"{sys.path[0]}/..")  # the project's folder

import click

from mnist_rknn import command, fonts
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import relative, replacing

ORIGINAL = "Noto Sans CJK SC"
SIGNS = "·—…“”‘’≤≥±×→²³√−µ⁻"
UNUSED = ["GPOS", "GSUB", "BASE", "vhea", "vmtx", "VORG"]  # for text that is set, or upright


def gb2312() -> set[str]:
    """Every character of GB 2312."""
    rows = (bytes([high, low]) for high in range(0xA1, 0xF8) for low in range(0xA1, 0xFF))
    return {pair.decode("gb2312", "ignore") for pair in rows} - {""}


@click.command("font", help=__doc__)
@click.argument("font", type=command.PATH)
@command.answers
def font(font: Path):
    from fontTools import subset
    from fontTools.ttLib import TTCollection, TTLibError

    try:
        faces = {face["name"].getDebugName(1): face for face in TTCollection(font).fonts}
    except (OSError, TTLibError) as error:
        raise PipelineError(f"{font}: {error}: name NotoSansCJK-Regular.ttc") from None
    if ORIGINAL not in faces:
        raise PipelineError(f"{font} has no {ORIGINAL}: name NotoSansCJK-Regular.ttc")
    face = faces[ORIGINAL]
    chooser = subset.Subsetter(
        subset.Options(layout_features=[], hinting=False, name_IDs=["*"], drop_tables=UNUSED)
    )
    chooser.populate(text="".join(gb2312()) + "".join(map(chr, range(32, 127))) + SIGNS)
    chooser.subset(face)
    for record in face["name"].names:  # a changed font, so another name
        if record.nameID in (1, 4, 16):
            face["name"].setName(fonts.SHIPPED_FAMILY, record.nameID, 3, 1, record.langID)
    with replacing(fonts.SHIPPED) as temporary:
        face.save(temporary)
    return command.Answer(None, f"wrote      {relative(fonts.SHIPPED)}")


if __name__ == "__main__":
    sys.exit(command.start(font, name="scripts/font.py"))

"""Fonts for plots: with Chinese characters, one of the machine or the one that is shipped."""

import contextlib
from pathlib import Path

# Families that draw Chinese, as Linux distributions, Windows (through WSL) and AI Studio
# name them.
CJK_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "SimHei",
    "Microsoft YaHei",
    "PingFang SC",
)
# Noto Sans CJK SC with the characters of GB 2312; scripts/font.py made it, OFL.txt is its licence.
SHIPPED = Path(__file__).parent / "locale" / "font" / "NotoSansSC-Subset.otf"
SHIPPED_FAMILY = "Noto Sans SC Subset"


def cjk_font() -> Path:
    """File of a font that draws Chinese: an installed one, else the shipped one."""
    return installed_cjk_font() or SHIPPED


def installed_cjk_font() -> Path | None:
    """File of an installed font that draws Chinese, or None."""
    from matplotlib import font_manager

    def known() -> Path | None:
        by_name = {font.name: Path(font.fname) for font in font_manager.fontManager.ttflist}
        return next((by_name[family] for family in CJK_FAMILIES if family in by_name), None)

    found = known()
    if found is None:  # matplotlib keeps a list of fonts, and never looks for new ones
        listed = {font.fname for font in font_manager.fontManager.ttflist}
        for file in set(font_manager.findSystemFonts()) - listed:
            with contextlib.suppress(OSError, RuntimeError, ValueError):
                font_manager.fontManager.addfont(file)
        found = known()
    return found

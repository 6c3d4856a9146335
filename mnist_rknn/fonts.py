"""A font for plots, and one with Chinese characters if the machine has any."""

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


def cjk_font() -> Path | None:
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


def any_font() -> Path:
    """File of a font that exists: a Chinese one, else the one that matplotlib ships."""
    from matplotlib import font_manager

    return cjk_font() or Path(font_manager.findfont("DejaVu Sans"))

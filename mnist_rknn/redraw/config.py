"""Every strength of the redrawing, and the worlds that are made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

Range = tuple[float, float]


@dataclass(frozen=True)
class RedrawConfig:
    """Every strength of the redrawing.

    Ranges are (low, high) and drawn from evenly; a single number is a probability or an upper
    limit. Names ending in `_px` count pixels of the network's input; lengths of strokes are
    fractions of the digit's height.
    """

    image_size: int = 48
    supersample: float = 1.5  # pictures are composed this many times larger, then reduced

    # Writing: how the hand moves
    rotation_deg: Range = (-11.0, 11.0)
    slant: Range = (-0.16, 0.25)
    aspect: Range = (0.78, 1.30)  # width to height, before slant
    stretch: Range = (0.72, 1.38)  # the frame itself, 4:3 or so, is squeezed to a square
    perspective: float = 0.08
    wobble_px: float = 0.33  # of MNIST's 28 pixels
    skeleton_jitter: float = 0.035  # of the drawn digit's box
    skeleton_width: Range = (0.50, 0.95)
    # Writing: strokes MNIST's writers leave out
    extra_stroke: float = 0.5  # of the 7s get a bar, of the 1s a flag
    bar_height: Range = (0.42, 0.62)
    bar_reach: Range = (0.16, 0.30)
    flag_length: Range = (0.18, 0.65)
    flag_angle_deg: Range = (28.0, 65.0)
    foot: float = 0.55  # of the flagged 1s
    foot_reach: Range = (0.15, 0.38)
    slashed_zero: float = 0.04

    # Pen: (name, weight)
    pens: tuple[tuple[str, float], ...] = (
        ("own", 0.35),
        ("ballpoint", 0.30),
        ("pencil", 0.25),
        ("marker", 0.10),
    )
    ballpoint_width: Range = (0.035, 0.085)
    pencil_width: Range = (0.04, 0.11)
    marker_width: Range = (0.11, 0.19)
    own_growth: Range = (-0.04, 0.012)
    min_stroke_px: float = 0.9  # thinner ones would vanish between the pixels
    pencil_grain: Range = (0.15, 0.75)
    pressure: float = 0.25
    ink_opacity: Range = (0.35, 0.97)
    coloured_ink: float = 0.35

    # Size and place. Bands of the digit's height in the frame: (weight, low, high)
    heights: tuple[tuple[float, float, float], ...] = (
        (0.28, 0.14, 0.34),
        (0.30, 0.34, 0.58),
        (0.42, 0.58, 1.0),
    )
    min_height_px: float = 4.8  # below it nobody can read one
    off_centre: float = 0.85
    cut_off: float = 0.15  # of the large digits lose a little at the border
    cut_off_depth: Range = (0.02, 0.14)

    # Paper: (name in PRINTS or "plain", weight)
    papers: tuple[tuple[str, float], ...] = (
        ("plain", 0.42),
        ("ruled", 0.12),
        ("squared", 0.12),
        ("box", 0.12),
        ("security", 0.16),
        ("table", 0.06),
    )
    paper_luma: Range = (0.30, 0.97)
    paper_tint: float = 0.08
    mottle: Range = (0.0, 0.08)
    line_contrast: Range = (0.08, 0.75)
    neighbours: float = 0.22
    print_bits: float = 0.15
    # Light
    gradient: Range = (0.0, 0.45)
    shadow: float = 0.30
    shadow_depth: Range = (0.15, 0.60)
    shadow_sharpness: Range = (0.06, 1.0)  # 1: the edge is one pixel of the drawing wide

    # Camera
    defocus: Range = (0.0, 0.032)  # deviation of the blur, as a part of the frame
    defocus_of_height: float = 0.055  # blur never exceeds this part of the digit's height
    defocus_kernel: str = "gauss"  # or "disc"
    motion: float = 0.15
    motion_length: Range = (0.032, 0.094)  # of the frame
    motion_of_height: float = 0.13
    sharpen: float = 0.20
    sharpen_amount: Range = (0.3, 1.0)
    gamma: Range = (0.75, 1.35)
    inverted: float = 0.08
    noise: Range = (0.0, 0.05)
    noise_full_height: float = 0.6  # smaller digits: less noise, a whole frame was reduced
    jpeg: float = 0.30
    jpeg_quality: Range = (25, 90)

    # Clean gray scans which the digit nearly fills
    scan: float = 0.10
    scan_height: Range = (0.62, 1.0)
    scan_black_and_white: float = 0.3
    scan_size: Range = (0.45, 1.2)  # pixels a scan had, to the input's: 28 of 48 and the like

    # Plain MNIST: strength of the writing changes, and shift, where it is jittered
    plain_strength: float = 0.55
    plain_shift_px: float = 1.5

    # Legibility floor, see `legibility`
    min_contrast: float = 0.12
    contrast_over_clutter: float = 2.2


SIMULATED_CAMERA = RedrawConfig(
    supersample=2.0,  # drawn finer, as a photograph is
    papers=(("woven", 0.2), ("crumpled", 0.2), ("hatched", 0.2), ("form", 0.2), ("blotted", 0.2)),
    heights=((1.0, 0.30, 0.95),),
    defocus_kernel="disc",
    motion=0.25,
    shadow=0.4,
    rotation_deg=(-7.0, 7.0),
    slant=(-0.10, 0.15),
    aspect=(0.88, 1.15),
    perspective=0.06,
    wobble_px=0.0,
    stretch=(0.75, 1.33),  # a frame of 4:3, upright or lying, squeezed to a square
    cut_off_depth=(0.02, 0.09),
    min_contrast=0.15,
    contrast_over_clutter=2.5,
    scan=0.0,
    slashed_zero=0.0,
)
"""The test world: its papers and its blur kernel do not occur in the training world, so the
generator is not its own judge.
"""
HARD_CASES: Mapping[str, RedrawConfig] = {
    "small": replace(SIMULATED_CAMERA, heights=((1.0, 0.15, 0.30),)),
    "shadow": replace(
        SIMULATED_CAMERA, shadow=1.0, shadow_depth=(0.4, 0.7), shadow_sharpness=(0.5, 1.0)
    ),
    "security": replace(SIMULATED_CAMERA, papers=(("rosette", 1.0),), line_contrast=(0.4, 0.9)),
    "thin": replace(
        SIMULATED_CAMERA,
        pens=(("ballpoint", 1.0),),
        ballpoint_width=(0.02, 0.035),
        min_stroke_px=0.5,
        heights=((1.0, 0.45, 0.95),),
    ),
}
"""The test world again, on purpose with a digit 15 to 30 % of the frame high, under a hard shadow,
on the print of a cheque, or with a thin stroke.
"""
CLEAN = RedrawConfig(
    rotation_deg=(0.0, 0.0),
    slant=(0.0, 0.0),
    aspect=(1.0, 1.0),
    stretch=(1.0, 1.0),
    perspective=0.0,
    wobble_px=0.0,
    extra_stroke=0.0,
    slashed_zero=0.0,
    pens=(("own", 1.0),),
    own_growth=(0.0, 0.0),
    pressure=0.0,
    ink_opacity=(0.95, 0.95),
    coloured_ink=0.0,
    heights=((1.0, 0.7, 0.7),),
    off_centre=0.0,
    cut_off=0.0,
    papers=(("plain", 1.0),),
    paper_luma=(0.95, 0.95),
    paper_tint=0.0,
    mottle=(0.0, 0.0),
    neighbours=0.0,
    print_bits=0.0,
    gradient=(0.0, 0.0),
    shadow=0.0,
    defocus=(0.0, 0.0),
    motion=0.0,
    sharpen=0.0,
    gamma=(1.0, 1.0),
    inverted=1.0,
    noise=(0.0, 0.0),
    jpeg=0.0,
    scan=0.0,
    min_contrast=0.05,
)
"""Nothing but the digit, white on black as in MNIST: what notebook 07 changes one by one."""

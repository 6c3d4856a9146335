"""Every strength of the redrawing: its type, limits and default.

A recipe changes them in its section `dataset.redraw.strengths`, in these groups and under these
names. Every value is checked when it is read, and not found out about in the pictures.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

PenName = Literal["own", "ballpoint", "pencil", "marker"]
PaperName = Literal[
    "plain", "ruled", "squared", "box", "security", "table",
    "woven", "crumpled", "hatched", "form", "rosette", "blotted",
]  # fmt: skip
"""A paper without print, and the names of `prints.PRINTS`."""

# --- what a value may be --------------------------------------------------------------


def _numbers(values: Any) -> tuple[float, ...]:
    """The numbers of a list; () if anything else is in it."""
    if not isinstance(values, (list, tuple)):
        return ()
    plain = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
    return tuple(map(float, values)) if plain and all(abs(v) < 1e9 for v in values) else ()


def within(low: float, high: float) -> BeforeValidator:
    """The check of a `Range` whose ends lie between these limits."""

    def check(value: Any) -> Range:
        numbers = _numbers(value)
        if len(numbers) != 2 or not low <= numbers[0] <= numbers[1] <= high:
            raise ValueError(f"write [low, high], in order and from {low:g} to {high:g}")
        return numbers[0], numbers[1]

    return BeforeValidator(check)


def _weights(known: tuple[str, ...]) -> BeforeValidator:
    def check(value: Any) -> dict[str, float]:
        there_are = f"there are {', '.join(known)}"
        if not isinstance(value, Mapping):
            raise ValueError(f"write names with weights, such as {{{known[1]}: 1}}; {there_are}")
        for name in value:
            if name not in known:
                raise ValueError(f"{name!r} does not exist; {there_are}")
        weights = _numbers(list(value.values()))
        if len(weights) != len(value) or not all(w >= 0 for w in weights) or not sum(weights) > 0:
            raise ValueError("weights are numbers, 0 or more, and not all of them 0")
        return dict(zip(value, weights, strict=True))

    return BeforeValidator(check)


def _bands(value: Any) -> "tuple[Band, ...]":
    rows = [_numbers(row) for row in value] if isinstance(value, (list, tuple)) else []
    bands = [
        (row[0], row[1], row[2])
        for row in rows
        if len(row) == 3 and row[0] >= 0 and 0.05 <= row[1] <= row[2] <= 1
    ]
    if len(bands) != len(rows) or not sum(weight for weight, _, _ in bands) > 0:
        raise ValueError(
            "write bands as [weight, low, high], such as [[1, 0.3, 0.95]]: heights in order and "
            "from 0.05 to 1, weights 0 or more and not all of them 0"
        )
    return tuple(bands)


Share = Annotated[float, Field(ge=0, le=1)]  # a probability, or a part of something
Range = tuple[float, float]  # low and high: drawn from evenly
Shares = Annotated[Range, within(0, 1)]
Band = tuple[float, float, float]  # a weight; low and high of a height, as parts of the frame's
Bands = Annotated[tuple[Band, ...], BeforeValidator(_bands)]
Pens = Annotated[Mapping[PenName, float], _weights(get_args(PenName))]
Papers = Annotated[Mapping[PaperName, float], _weights(get_args(PaperName))]

S = TypeVar("S", bound="Settings")


class Settings(BaseModel):
    """Base of the groups: no unknown names, no silent change of type."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, validate_default=True, allow_inf_nan=False
    )

    def changed(self: S, **changes: Any) -> S:
        """A copy with these values; of a group, a mapping changes the named ones only.

        `config.changed(image_size=48, camera={"shadow": 1.0})`

        Raises:
            pydantic.ValidationError: an unknown name, or a value that cannot be.
        """
        content = dict(self)
        for name, value in changes.items():
            group = content.get(name)
            content[name] = group.changed(**value) if isinstance(group, Settings) else value
        return type(self)(**content)


# --- the groups -----------------------------------------------------------------------
# Names ending in `_px` count pixels of the network's input; lengths of strokes are parts of the
# digit's height.


class Writing(Settings):
    """How the hand moves."""

    rotation_deg: Annotated[Range, within(-90, 90)] = (-11.0, 11.0)
    slant: Annotated[Range, within(-1, 1)] = (-0.16, 0.25)
    aspect: Annotated[Range, within(0.2, 5)] = (0.78, 1.30)  # width to height, before slant
    perspective: float = Field(0.08, ge=0, le=0.4)  # at most
    wobble_px: float = Field(0.33, ge=0, le=5)  # of MNIST's 28 pixels
    skeleton_jitter: float = Field(0.035, ge=0, le=0.3)  # of the drawn digit's box
    skeleton_width: Annotated[Range, within(0.1, 2)] = (0.50, 0.95)
    # Strokes MNIST's writers leave out
    extra_stroke: Share = 0.5  # of the 7s get a bar, of the 1s a flag
    bar_height: Shares = (0.42, 0.62)
    bar_reach: Shares = (0.16, 0.30)
    flag_length: Shares = (0.18, 0.65)
    flag_angle_deg: Annotated[Range, within(0, 90)] = (28.0, 65.0)
    foot: Share = 0.55  # of the flagged 1s
    foot_reach: Shares = (0.15, 0.38)
    level_flag: Share = 0.12  # of the flagged 1s have a short one, nearly level, and no foot
    level_flag_length: Shares = (0.12, 0.28)
    level_flag_angle_deg: Annotated[Range, within(0, 90)] = (2.0, 28.0)
    slashed_zero: Share = 0.2  # of the 0s
    slash_angle_deg: Annotated[Range, within(0, 180)] = (15.0, 100.0)  # 90 is upright
    slash_reach: Annotated[Range, within(0.1, 4)] = (0.75, 2.3)  # more than 1 passes the ring
    slash_bend: Shares = (0.0, 0.04)  # off the straight line, as a part of its length


class Pen(Settings):
    """What the digit is written with."""

    kinds: Pens = {"own": 0.35, "ballpoint": 0.30, "pencil": 0.25, "marker": 0.10}
    ballpoint_width: Annotated[Range, within(0.005, 0.5)] = (0.035, 0.085)
    pencil_width: Annotated[Range, within(0.005, 0.5)] = (0.04, 0.11)
    marker_width: Annotated[Range, within(0.005, 0.5)] = (0.11, 0.19)
    own_growth: Annotated[Range, within(-0.2, 0.2)] = (-0.04, 0.012)
    min_stroke_px: float = Field(0.9, ge=0, le=5)  # thinner ones would vanish between the pixels
    pencil_grain: Shares = (0.15, 0.75)
    pressure: Share = 0.25  # at most: how much wider or thinner the stroke gets
    ink_opacity: Shares = (0.35, 0.97)
    coloured_ink: Share = 0.35


class Place(Settings):
    """Size and place of the digit in the frame."""

    heights: Bands = ((0.28, 0.14, 0.34), (0.30, 0.34, 0.58), (0.42, 0.58, 1.0))
    min_height_px: float = Field(4.8, ge=1, le=100)  # below it nobody can read one
    off_centre: Share = 0.85
    cut_off: Share = 0.15  # of the large digits lose a little at the border
    cut_off_depth: Annotated[Range, within(0, 0.5)] = (0.02, 0.14)


class Paper(Settings):
    """What the digit is written on."""

    kinds: Papers = {
        "plain": 0.42, "ruled": 0.12, "squared": 0.12, "box": 0.12, "security": 0.16, "table": 0.06,
    }  # fmt: skip
    luma: Shares = (0.30, 0.97)
    tint: Share = 0.08  # at most
    mottle: Shares = (0.0, 0.08)
    line_contrast: Shares = (0.08, 0.75)
    neighbours: Share = 0.22
    print_bits: Share = 0.15


class Camera(Settings):
    """Light, lens, sensor and file."""

    supersample: float = Field(1.5, ge=1, le=8)  # composed so many times larger, then reduced
    stretch: Annotated[Range, within(0.2, 5)] = (0.72, 1.38)  # a frame of 4:3 or so gets square
    gradient: Shares = (0.0, 0.45)  # of the light
    shadow: Share = 0.30
    shadow_depth: Shares = (0.15, 0.60)
    shadow_sharpness: Annotated[Range, within(0.001, 1)] = (0.06, 1.0)  # 1: an edge of one pixel
    defocus: Shares = (0.0, 0.032)  # deviation of the blur, as a part of the frame
    defocus_of_height: Share = 0.055  # blur never exceeds this part of the digit's height
    defocus_kernel: Literal["gauss", "disc"] = "gauss"
    motion: Share = 0.15
    motion_length: Shares = (0.032, 0.094)  # of the frame
    motion_of_height: Share = 0.13
    sharpen: Share = 0.20
    sharpen_amount: Annotated[Range, within(0, 5)] = (0.3, 1.0)
    gamma: Annotated[Range, within(0.1, 10)] = (0.75, 1.35)
    inverted: Share = 0.08
    noise: Shares = (0.0, 0.05)
    noise_full_height: float = Field(0.6, ge=0.01, le=1)  # smaller: a larger frame was reduced
    jpeg: Share = 0.30
    jpeg_quality: Annotated[Range, within(1, 100)] = (25.0, 90.0)


class Scan(Settings):
    """Clean gray scans which the digit nearly fills."""

    share: Share = 0.10  # of the redrawn pictures are scans, no photographs
    height: Annotated[Range, within(0.1, 1)] = (0.62, 1.0)
    black_and_white: Share = 0.3
    size: Annotated[Range, within(0.1, 4)] = (0.45, 1.2)  # its pixels to the input's: 28 of 48 ...


class Plain(Settings):
    """White on black as MNIST has it, with slightly changed writing or drawn from strokes."""

    strength: float = Field(0.55, ge=0, le=2)  # of the changes in `Writing`
    shift_px: float = Field(1.5, ge=0, le=14)
    extra_stroke: Share = 0.2  # of the 0s, 1s and 7s get slash, flag or bar
    stroke: Annotated[Range, within(0.2, 3)] = (0.6, 1.25)  # width of drawn strokes to MNIST's mean


class Legibility(Settings):
    """The floor below which a picture is drawn again, see `legibility.legibility`."""

    min_contrast: Share = 0.12
    contrast_over_clutter: float = Field(2.2, ge=0, le=50)


class Strengths(Settings):
    """What a recipe may change."""

    writing: Writing = Writing()
    pen: Pen = Pen()
    place: Place = Place()
    paper: Paper = Paper()
    camera: Camera = Camera()
    scan: Scan = Scan()
    plain: Plain = Plain()
    legibility: Legibility = Legibility()


class RedrawConfig(Strengths):
    """A whole world: its strengths, and the side of its pictures in pixels."""

    image_size: int = Field(48, ge=16, le=1024)


# Names from before the groups, where one was changed on the way.
_RENAMED = {"pens": "pen.kinds", "papers": "paper.kinds", "scan": "scan.share"}


def moved(name: str) -> str | None:
    """Where a strength stands that had no group once: "camera.shadow" for "shadow"."""
    if name in _RENAMED:
        return _RENAMED[name]
    for group, field in Strengths.model_fields.items():
        for new in (name, name.removeprefix(f"{group}_")):
            if new in getattr(field.annotation, "model_fields", {}):
                return f"{group}.{new}"
    return None

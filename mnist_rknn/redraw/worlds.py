"""Worlds made of the settings: the simulated camera, its hard cases, and nothing but a digit."""

from collections.abc import Mapping

from .config import RedrawConfig

SIMULATED_CAMERA = RedrawConfig().changed(
    writing={
        "rotation_deg": (-7.0, 7.0),
        "slant": (-0.10, 0.15),
        "aspect": (0.88, 1.15),
        "perspective": 0.06,
        "wobble_px": 0.0,
        "level_flag": 0.1,
        "slashed_zero": 0.1,
        "slash_angle_deg": (25.0, 92.0),
        "slash_reach": (1.05, 2.0),
        "slash_bend": (0.05, 0.12),  # a bow, where the training world's are nearly straight
    },
    place={"heights": [(1.0, 0.30, 0.95)], "cut_off_depth": (0.02, 0.09)},
    paper={
        "kinds": {"woven": 0.2, "crumpled": 0.2, "hatched": 0.2, "form": 0.2, "blotted": 0.2},
    },
    camera={
        "supersample": 2.0,  # drawn finer, as a photograph is
        "stretch": (0.75, 1.33),  # a frame of 4:3, upright or lying
        "shadow": 0.4,
        "defocus_kernel": "disc",
        "motion": 0.25,
    },
    scan={"share": 0.0},
    legibility={"min_contrast": 0.15, "contrast_over_clutter": 2.5},
)
"""The test world: its papers and its blur kernel do not occur in the training world, so the
generator is not its own judge.
"""
WAYS = "ways"
"""The hard case that is drawn from strokes and not from a digit of MNIST."""
HARD_CASES: Mapping[str, RedrawConfig] = {
    "small": SIMULATED_CAMERA.changed(place={"heights": [(1.0, 0.15, 0.30)]}),
    "shadow": SIMULATED_CAMERA.changed(
        camera={"shadow": 1.0, "shadow_depth": (0.4, 0.7), "shadow_sharpness": (0.5, 1.0)}
    ),
    "security": SIMULATED_CAMERA.changed(
        paper={"kinds": {"rosette": 1.0}, "line_contrast": (0.4, 0.9)}
    ),
    "thin": SIMULATED_CAMERA.changed(
        pen={"kinds": {"ballpoint": 1.0}, "ballpoint_width": (0.02, 0.035), "min_stroke_px": 0.5},
        place={"heights": [(1.0, 0.45, 0.95)]},
    ),
    WAYS: SIMULATED_CAMERA,
}
"""The test world again, on purpose with a digit 15 to 30 % of the frame high, under a hard shadow,
on the print of a cheque, with a thin stroke, or written in one of the module `ways`.
"""
NOTHING = (0.0, 0.0)
CLEAN = RedrawConfig().changed(
    writing={
        "rotation_deg": NOTHING,
        "slant": NOTHING,
        "aspect": (1.0, 1.0),
        "perspective": 0.0,
        "wobble_px": 0.0,
        "extra_stroke": 0.0,
        "slashed_zero": 0.0,
    },
    pen={
        "kinds": {"own": 1.0},
        "own_growth": NOTHING,
        "pressure": 0.0,
        "ink_opacity": (0.95, 0.95),
        "coloured_ink": 0.0,
    },
    place={"heights": [(1.0, 0.7, 0.7)], "off_centre": 0.0, "cut_off": 0.0},
    paper={
        "kinds": {"plain": 1.0},
        "luma": (0.95, 0.95),
        "tint": 0.0,
        "mottle": NOTHING,
        "neighbours": 0.0,
        "print_bits": 0.0,
    },
    camera={
        "stretch": (1.0, 1.0),
        "gradient": NOTHING,
        "shadow": 0.0,
        "defocus": NOTHING,
        "motion": 0.0,
        "sharpen": 0.0,
        "gamma": (1.0, 1.0),
        "inverted": 1.0,
        "noise": NOTHING,
        "jpeg": 0.0,
    },
    scan={"share": 0.0},
    legibility={"min_contrast": 0.05},
)
"""Nothing but the digit, white on black as in MNIST: what notebook 07 changes one by one."""

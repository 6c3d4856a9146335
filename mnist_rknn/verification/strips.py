"""The small pictures in README and docs, drawn from a finished run.

Each is a card with a ground of its own, so that it looks right on a light page and on a dark one.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..conversion import inference, rknn_simulator
from ..data import dataset
from ..files import replacing
from ..fonts import cjk_font
from ..pipeline import runs
from ..recipe import Recipe
from ..redraw.config import RedrawConfig
from ..redraw.fields import rng_for
from ..redraw.glyph import glyph_from_mnist
from ..redraw.ink import lay_ink
from ..redraw.picture import try_redraw
from ..redraw.worlds import HARD_CASES
from . import metrics

GROUND, EDGE, INK, FAINT, WRONG = "#f6f8fa", "#d0d7de", "#1f2328", "#59636e", "#b3410a"
CELL, GAP = 96, 12  # pixels of a picture and between two
COLOURS = 128


def draw(run: Path, target: Path) -> list[Path]:
    """Draw all pictures of the docs.

    Args:
        run: folder of a finished run of a recipe that redraws.
        target: folder for the pictures.

    Returns:
        The files written.
    """
    recipe = runs.read_recipe(run)
    cards = {
        "strip.png": _strip(recipe, run),
        "hard-cases.png": _hard_cases(run),
        "redrawing.png": _redrawing(recipe, run),
    }
    files = []
    for name, card in cards.items():
        files.append(target / name)
        with replacing(files[-1]) as temporary:
            card.quantize(COLOURS, dither=Image.Dither.NONE).save(temporary, optimize=True)
    return files


def _strip(recipe: Recipe, run: Path) -> Image.Image:
    """The first test digit of each class: as MNIST has it, redrawn, and what INT8 answers."""
    plain = dataset.read_split(run / "dataset", "test")
    camera = dataset.read_split(run / "dataset", "camera")
    chosen = [int(np.flatnonzero(camera.classes == label)[0]) for label in range(10)]
    redrawn = [camera.files[i] for i in chosen]
    numbers = [file.stem.rpartition("_")[2] for file in redrawn]
    by_number = {file.stem.rpartition("_")[2]: file for file in plain.files}
    pictures = dataset.read_images(redrawn)
    answers = _answers(recipe, run, inference.in_network_order(pictures, recipe.image))
    said = []
    for label, logits in zip(camera.classes[chosen], answers, strict=True):
        answer = int(logits.argmax())
        score = float(metrics.probabilities(logits[None]).max())
        said.append((f"{answer}  {100 * score:.0f} %", INK if answer == label else WRONG))
    rows = [
        ("MNIST", list(dataset.read_images([by_number[number] for number in numbers]))),
        ("as ink\non paper", list(pictures)),
    ]
    return _card(rows, ("INT8\nanswers", said))


def _answers(recipe: Recipe, run: Path, pictures: np.ndarray) -> np.ndarray:
    """INT8 logits of the simulator, float32 [N, classes]."""
    with tempfile.TemporaryDirectory() as scratch:
        slim, log = run / f"{recipe.name}.slim.onnx", Path(scratch) / "build.log"
        model = rknn_simulator.build(recipe, slim, run / "calibration.txt", log)
        answers = rknn_simulator.run_simulator(model, pictures)
        model.release()
    return answers


def _hard_cases(run: Path) -> Image.Image:
    """Seven digits in each of the hard cases: the same ones, but for the ways of writing."""
    files = dataset.read_split(run / "dataset", "hard").files
    rows = []
    for case in HARD_CASES:
        of_case = [file for file in files if file.stem.startswith(f"{case}_")][:7]
        rows.append((case, list(dataset.read_images(of_case))))
    return _card(rows)


def _redrawing(recipe: Recipe, run: Path) -> Image.Image:
    """Two digits on their way: centre line, three pens, and pictures that came out."""
    assert recipe.dataset.redraw
    config = recipe.dataset.redraw.config(recipe.image.width)
    plain = dataset.read_split(run / "dataset", "test")
    rows = []
    for label in (2, 7):
        file = plain.files[int(np.flatnonzero(plain.classes == label)[0])]
        digit = _original(dataset.read_images([file])[0])
        rows += _steps(digit, label, recipe.seed, config)
    return _card(rows)


def _steps(
    digit: np.ndarray, label: int, seed: int, config: RedrawConfig
) -> list[tuple[str, list[np.ndarray]]]:
    rng = rng_for(seed, label)
    distance, half_width = glyph_from_mnist(digit, label, rng, config)
    line = (255 * np.clip(distance / 20, 0, 1)).astype(np.uint8)
    inks = [
        lay_ink(distance, half_width, 40, rng, config, pen)
        for pen in ("ballpoint", "pencil", "marker")
    ]
    pens = [(255 * (1 - np.clip(ink, 0, 1))).astype(np.uint8) for ink in inks]
    first = [_rgb(image) for image in (digit, line, *pens)]
    pool = digit[None]
    made = (try_redraw(digit, label, pool, seed, index, config) for index in range(30))
    pictures = [picture for picture in made if picture is not None][:8]
    return [("digit, line,\nthree pens", first), ("pictures\nof it", pictures)]


def _original(image: np.ndarray) -> np.ndarray:
    """MNIST's 28x28 pixels, gray, of a picture that was fitted to the input's size."""
    gray = Image.fromarray(image[:, :, 0]).resize((28, 28), Image.Resampling.BOX)
    return np.array(gray)


def _rgb(gray: np.ndarray) -> np.ndarray:
    return np.repeat(gray[:, :, None], 3, axis=2)


def _card(
    rows: Sequence[tuple[str, list[np.ndarray]]],
    words: tuple[str, list[tuple[str, str]]] | None = None,
) -> Image.Image:
    """Rows of pictures with a name each, and perhaps a row of words (text, colour) below."""
    columns = max(len(pictures) for _, pictures in rows)
    names = 110
    width = GAP + names + columns * (CELL + GAP)
    height = GAP + len(rows) * (CELL + GAP) + (46 if words else 0)
    card = Image.new("RGB", (width, height), "white")
    brush = ImageDraw.Draw(card)
    brush.rectangle((0, 0, width - 1, height - 1), fill=GROUND, outline=EDGE, width=2)
    large, small = (ImageFont.truetype(str(cjk_font()), size) for size in (22, 17))
    for number, (name, pictures) in enumerate(rows):
        top = GAP + number * (CELL + GAP)
        brush.multiline_text((GAP, top + CELL / 2), name, FAINT, small, anchor="lm")
        for column, picture in enumerate(pictures):
            left = GAP + names + column * (CELL + GAP)
            enlarged = Image.fromarray(picture).resize((CELL, CELL), Image.Resampling.NEAREST)
            card.paste(enlarged, (left, top))
    if words:
        middle = height - 30
        brush.multiline_text((GAP, middle), words[0], FAINT, small, anchor="lm")
        for column, (text, colour) in enumerate(words[1]):
            centre = GAP + names + column * (CELL + GAP) + CELL / 2
            brush.text((centre, middle), text, colour, large, anchor="mm")
    return card

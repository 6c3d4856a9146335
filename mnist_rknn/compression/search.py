"""A search among networks under a budget of NPU cycles: what may be chosen, and what it costs.

Optuna chooses, in notebook 15; the compiler says whether the budget is kept, before any training.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..conversion import calibration
from ..data import dataset, pictures
from ..errors import PipelineError
from ..recipe import Recipe

REQUIREMENTS = "docs/requirements-search.txt"
STEM_STRIDE = 3


def require_optuna() -> None:
    """Check that the search's own package is there.

    Raises:
        PipelineError: it is not installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise PipelineError(
            "optuna is not installed: run `make 15`, or `.venv/bin/python -m pip install --no-deps "
            f"--require-hashes -r {REQUIREMENTS}`"
        )


def require_budget(budget: int, cheapest: int) -> None:
    """Refuse a budget that no network of the space keeps.

    Args:
        budget: cycles.
        cheapest: cycles of the smallest choices, by the compiler.

    Raises:
        PipelineError: it is no number of cycles, or too small.
    """
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise PipelineError(f"budget {budget!r}: give NPU cycles, such as 35000")
    if cheapest > budget:
        raise PipelineError(
            f"budget {budget:,}: nothing meets it, the cheapest network of this space takes "
            f"{cheapest:,} cycles (compiler estimate): allow as many, or smaller choices"
        )


def arguments(choice: Mapping[str, int]) -> dict[str, Any]:
    """`DigitNet`'s arguments for a choice.

    Args:
        choice: `stem`, `kernel`, `depth1`, `width1`, `depth2`, `width2`.
    """
    return {
        "stem": choice["stem"],
        "stem_stride": STEM_STRIDE,
        "stem_kernel": choice["kernel"],
        "stages": [
            [choice["width1"]] * choice["depth1"],
            [choice["width2"]] * choice["depth2"],
        ],
    }


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 [N, size, size, 3] of uint8 [N, H, W, 3]."""
    if images.shape[1:3] == (size, size):
        return images
    return np.stack([pictures.fit(image, size, size) for image in images])


def at_size(recipe: Recipe, size: int) -> Recipe:
    """The recipe for square pictures of another size.

    Raises:
        PipelineError: the NPU does not read such rows.
    """
    if size % 16 or size < 16:
        raise PipelineError(
            f"size {size}: the NPU reads rows in steps of 16 pixels; choose a multiple of 16, "
            "such as 48"
        )
    image = recipe.image.model_copy(update={"height": size, "width": size})
    return recipe.model_copy(update={"image": image})


def calibration_list(listed: Path, folder: Path, size: int, most: int | None = None) -> Path:
    """A list of a run's calibration pictures in another size, which are written beside it.

    Args:
        listed: the run's list.
        folder: to write into; a folder of the size's name is made in it.
        most: take so many, evenly from the list; None for all. A few are enough for cycles, as
            these do not depend on them.
    """
    files = calibration.read_list(listed)
    chosen = files[:: max(1, len(files) // most)][:most] if most else files
    into = folder / f"calibration-{size}"
    into.mkdir(parents=True, exist_ok=True)
    found = []
    for number, file in enumerate(chosen):
        image = pictures.fit(calibration.open_image(file), size, size)
        found.append(into / f"{number:04}.bmp")
        dataset.write_image(found[-1], image[:, :, ::-1])
    calibration.write_list(into / "list.txt", found)
    return into / "list.txt"

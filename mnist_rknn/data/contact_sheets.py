"""A picture of each class of a set: whether labels are right is seen at a glance."""

import re
import warnings
from pathlib import Path

import numpy as np

from .. import plots
from ..files import OUTPUT, replacing, replacing_folder
from ..text import shown
from . import pictures
from .importing import SHOWN, Found

EACH, COLUMNS = 30, 10  # pictures of a class, and of a row
SHEETS = OUTPUT / "imports"


def write(found: Found, folder: Path | None = None) -> Path:
    """Draw some pictures of every class, as the network will see them, into a file each.

    Args:
        folder: where the files go; without one a folder of the set's name, which is replaced.

    Returns:
        The folder.
    """
    plots.use_style()
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        _draw(found, folder)
        return folder
    place = SHEETS / (
        re.sub(r"[^\w.-]+", "_", Path(found.path).name, flags=re.ASCII).strip("._") or "set"
    )
    with replacing_folder(place) as temporary:
        _draw(found, temporary)
    return place


def _draw(found: Found, folder: Path) -> None:
    listing = found.listing
    classes = np.array(listing.classes, int)
    for index, label in enumerate(listing.labels[:SHOWN]):
        own = np.flatnonzero(classes == index)
        chosen = own[np.linspace(0, len(own) - 1, min(EACH, len(own))).astype(int)]
        images = [
            pictures.fit(
                pictures.read(listing.files[i]) if found.images is None else found.images[i],
                *found.input_size,
            )
            for i in chosen
        ]
        if images:
            title = f"{shown(label)}: {len(images)} of {len(own):,}"
            captions = [shown(listing.files[i].name) for i in chosen]
            name = re.sub(r"[^\w-]+", "_", label, flags=re.ASCII)[:40].strip("_")
            with replacing(folder / f"{index:03d}_{name}.png") as temporary:
                grid = plots.image_grid(np.stack(images), captions, COLUMNS, title)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of a letter that no font here has
                    grid.savefig(temporary)

"""The quantization study: which algorithm, method and number of calibration pictures is best.

Every cell is a build with the real toolkit, scored in its simulator on validation pictures. A
finished cell is a small file, named by a hash of all that it depends on: repeating the study
costs nothing, and a kill loses the cells that were running (`pipeline/cells.py`).
"""

import functools
import hashlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from .. import recipe_file
from ..conversion import calibration, inference, rknn_simulator
from ..data import dataset
from ..errors import PipelineError
from ..files import read_json, relative, replacing, sha256, write_json
from ..language import _
from ..pipeline import cells
from ..recipe import FEWEST_CALIBRATION_IMAGES, Recipe
from ..records import Score, SecondOpinion, Study, checked
from . import metrics

ALGORITHMS = ("normal", "kl_divergence", "mmse")
METHODS = ("channel", "layer")
SIZES = (1, 10, 20, 50, 100, 200, 500)
SEEDS = (1, 2, 3)
BAD = ("all black", "one class", "other normalisation")
PICTURES = 2000  # validation pictures that a cell is scored on
PACKAGES = ("rknn-toolkit2", "onnxruntime", "numpy", "opencv-python-headless")  # results depend on


@dataclass(frozen=True)
class Cell:
    """One build of the study."""

    algorithm: str
    method: str
    images: int  # calibration pictures
    seed: int  # of the choice of these
    calibration: str = "balanced"  # or one of BAD


def grid(
    sizes: Iterable[int] = SIZES,
    seeds: Iterable[int] = SEEDS,
    algorithms: Iterable[str] = ALGORITHMS,
    methods: Iterable[str] = METHODS,
) -> list[Cell]:
    """Every combination, and each kind of bad calibration once."""
    cells = [
        Cell(algorithm, method, images, seed)
        for algorithm in algorithms
        for method in methods
        for images in sizes
        for seed in seeds
    ]
    return cells + [Cell("normal", "channel", 100, 1, kind) for kind in BAD]


def run(
    recipe: Recipe,
    folder: Path,
    grid: list[Cell],
    pictures: int = PICTURES,
    pool: cells.Pool | None = None,
    twice: int = 0,
) -> list[dict[str, Any]]:
    """Build and score cells that are not in the cache, in parallel, with a progress bar.

    Args:
        recipe: what all cells share: image, level of optimization, toolkit.
        folder: a run whose steps up to 03 are done; results go to its `quantstudy/`.
        pictures: validation pictures to score on, equally many of each kind.
        pool: where the cells are computed; None for a process a core on this machine.
        twice: compute so many of the finished cells once more, and compare.

    Returns:
        For each cell that the training pictures suffice for, in the order given: its fields and
        `accuracy` (top-1 from 0 to 1), `float_accuracy`, `agreement` with float, `cosine` and
        `lowest_cosine` of the logits, `seconds`.

    Raises:
        PipelineError: a build fails, two computations of a cell differ, or there are too few
            training pictures for any list.
    """
    slim = folder / f"{recipe.name}.slim.onnx"
    if not slim.is_file():
        raise PipelineError(_("{slim} is missing: run 03_export first").format(slim=relative(slim)))
    scored = _scoring_files(folder, pictures)
    train = dataset.read_split(folder / "dataset", "train")
    digest = functools.cache(sha256)
    shared = {
        "onnx": sha256(slim),
        "scored_on": _digest([sha256(file) for file in scored.files]),
        "toolkit": metadata.version("rknn-toolkit2"),
        "image": recipe.image.model_dump(),
        "optimization_level": recipe.rknn.optimization_level,
    }
    tasks, listed = [], dict[str, Path]()
    for cell in _possible(grid, train):
        files = _calibration_files(cell, train)
        chosen = [digest(file) for file in files]
        listed.update(zip(chosen, files, strict=True))
        key = _digest({**shared, **asdict(cell), "list": chosen})
        target = folder / "quantstudy" / f"{key}.json"
        tasks.append(cells.Task(_title(cell), (recipe, cell, chosen), target))
    if not twice and all(task.target.is_file() for task in tasks):
        return [read_json(task.target) for task in tasks]
    order = sorted(tasks, key=_longest_first)
    with tempfile.TemporaryDirectory() as scratch:
        _write_inputs(Path(scratch), recipe, slim, scored, listed)
        cells.run(_run_cell, order, Path(scratch), pool, twice)
    return [read_json(task.target) for task in tasks]


def _title(cell: Cell) -> str:
    return f"{cell.algorithm}, {cell.method}, {cell.images} pictures, seed {cell.seed}" + (
        "" if cell.calibration == "balanced" else f", {cell.calibration}"
    )


def _longest_first(task: cells.Task) -> tuple[bool, int]:
    _, cell, _ = task.about
    return cell.algorithm != "mmse", -cell.images


def _write_inputs(
    target: Path, recipe: Recipe, slim: Path, scored: dataset.Split, listed: dict[str, Path]
) -> None:
    """The files that all cells read: the model, what is scored, and calibration pictures."""
    (target / "slim.onnx").symlink_to(slim.absolute())
    for digest, file in listed.items():
        (target / f"{digest}{file.suffix}").symlink_to(file.absolute())
    images = inference.in_network_order(dataset.read_images(scored.files), recipe.image)
    reference = inference.run_onnx(slim, images, recipe.image)
    np.savez(target / "scored.npz", images=images, classes=scored.classes, reference=reference)


def _scoring_files(folder: Path, pictures: int) -> dataset.Split:
    """The first validation pictures of each kind (plain, camera), equally many."""
    val = dataset.read_split(folder / "dataset", "val")
    kinds = np.unique(val.kinds)
    share = max(1, pictures // len(kinds))
    chosen = [np.flatnonzero(val.kinds == kind)[:share] for kind in kinds]
    return val.take(np.sort(np.concatenate(chosen)))


def _possible(cells: list[Cell], train: dataset.Split) -> list[Cell]:
    """Cells whose balanced list a small data set can give; bad lists are made shorter."""
    counts = np.unique(train.classes, return_counts=True)[1]
    most = int(len(counts) * counts.min())
    possible = [
        cell if cell.images <= most else replace(cell, images=most)
        for cell in cells
        if cell.images <= most or cell.calibration != "balanced"
    ]
    if not any(cell.calibration == "balanced" for cell in possible):
        raise PipelineError(
            _(
                "the study's lists are longer than the {most} pictures that {count} "
                "classes of the training set can give equally: choose smaller sizes"
            ).format(most=most, count=len(counts))
        )
    return possible


def _calibration_files(cell: Cell, train: dataset.Split) -> list[Path]:
    """Training pictures of a cell's list; [] for "all black", which is made on the spot."""
    if cell.calibration == "all black":
        return []
    if cell.calibration == "one class":
        files = [f for f, label in zip(train.files, train.classes, strict=True) if label == 1]
        return files[: cell.images]
    chosen = calibration.choose(train.classes, cell.images, cell.seed)
    return [train.files[index] for index in chosen]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]


@functools.lru_cache(maxsize=1)
def _scored(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


def _run_cell(inputs: Path, scratch: Path, about: tuple[Recipe, Cell, list[str]]) -> dict[str, Any]:
    """Build and score one cell; see `cells.Compute`."""
    recipe, cell, chosen = about
    arrays = _scored(inputs / "scored.npz")
    files = [next(inputs.glob(f"{digest}.*")) for digest in chosen]
    if cell.calibration == "all black":
        black = np.zeros((recipe.image.height, recipe.image.width, 3), np.uint8)
        files = [scratch / "black.bmp"]
        dataset.write_image(files[0], black)
    listed = scratch / "calibration.txt"
    calibration.write_list(listed, files)
    wanted = with_setting(recipe, cell.algorithm, cell.method)
    if cell.calibration == "other normalisation":
        other = wanted.image.model_copy(update={"mean": [0.0] * 3, "std": [255.0] * 3})
        wanted = wanted.model_copy(update={"image": other})
    rknn = rknn_simulator.build(wanted, inputs / "slim.onnx", listed, scratch / "build.log")
    logits = rknn_simulator.run_simulator(rknn, arrays["images"])
    rknn.release()
    return {**asdict(cell), **score(logits, arrays["reference"], arrays["classes"])}


def with_setting(recipe: Recipe, algorithm: str, method: str) -> Recipe:
    """The recipe with another algorithm and method of quantization."""
    changed = {"quantized_algorithm": algorithm, "quantized_method": method}
    return recipe.model_copy(update={"rknn": recipe.rknn.model_copy(update=changed)})


def score(logits: np.ndarray, reference: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """Figures of quantized logits [N, C] beside the float ones and the true classes [N]."""
    cosines = metrics.cosines(metrics.centered(logits), metrics.centered(reference))
    return {
        "pictures": len(classes),
        "accuracy": metrics.accuracy(logits, classes).top1,
        "float_accuracy": metrics.accuracy(reference, classes).top1,
        "agreement": metrics.agreement(logits, reference),
        "cosine": float(cosines.mean()),
        "lowest_cosine": float(cosines.min()),
    }


def settings(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The balanced cells of a study with means over their seeds, best first.

    Best is the highest accuracy, counted in pictures; where settings differ by no more than
    what the seeds of one of them differ by, the cosine decides, and then the smaller list. So
    chance in a picture or two does not choose.
    """
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["calibration"] == "balanced":
            groups[row["algorithm"], row["method"], row["images"]].append(row)
    found = []
    for (algorithm, method, images), drawn in groups.items():
        accuracies = [cell["accuracy"] for cell in drawn]
        found.append(
            {
                "algorithm": algorithm,
                "method": method,
                "images": images,
                "accuracy": float(np.mean(accuracies)),
                "spread": max(accuracies) - min(accuracies),
                "cosine": float(np.mean([cell["cosine"] for cell in drawn])),
                "lowest_cosine": min(cell["lowest_cosine"] for cell in drawn),
                "agreement": float(np.mean([cell["agreement"] for cell in drawn])),
                "seeds": len(drawn),
            }
        )
    best = max(found, key=lambda row: row["accuracy"])
    noise = max(best["spread"], 1 / rows[0]["pictures"])

    def rank(row: dict[str, Any]) -> tuple:
        as_good = row["accuracy"] >= best["accuracy"] - noise - 1e-9
        return (
            not as_good,
            -round(row["cosine"], 5) if as_good else -row["accuracy"],
            row["images"],
        )

    return sorted(found, key=rank)


def usable(ranked: list[dict[str, Any]]) -> dict[str, Any]:
    """The best setting whose list is long enough for a recipe; the best if none is."""
    fewest = FEWEST_CALIBRATION_IMAGES
    return next((row for row in ranked if row["images"] >= fewest), ranked[0])


def write_winner(name: str, winner: dict[str, Any]) -> Path:
    """Write a setting into a recipe's file, keeping its comments and order.

    Args:
        name: of a recipe, or the path of its file.
        winner: a row of `settings`.

    Returns:
        The file. It is written in one step, and only if it loads afterwards.

    Raises:
        PipelineError: the file cannot be read, or the setting is one it cannot hold.
    """
    path = recipe_file.find(name)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 200
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"))
    except YAMLError:
        raise PipelineError(_("{path} is not valid YAML").format(path=relative(path))) from None
    if recipe_file.MADE_WITH in content:
        raise PipelineError(
            _(
                "{path} is the own recipe of a finished run, and says what that was "
                "made with: make a recipe of it in configs/, and run that"
            ).format(path=relative(path))
        )
    for section, key, value in (
        ("rknn", "quantized_algorithm", winner["algorithm"]),
        ("rknn", "quantized_method", winner["method"]),
        ("calibration", "images", winner["images"]),
    ):
        content.setdefault(section, {})[key] = value
    with replacing(path) as temporary:
        with temporary.open("w", encoding="utf-8") as file:
            yaml.dump(content, file)
        recipe_file.load(str(temporary), [f"name={path.stem}"])
    return path


def test_once(
    recipe: Recipe, folder: Path, chosen: dict[str, dict[str, Any]], seed: int
) -> dict[str, dict[str, Any]]:
    """Measure settings on the test images, for the record and not for choosing.

    Args:
        chosen: names and settings, with `algorithm`, `method` and `images`.
        seed: of the choice of calibration pictures.

    Returns:
        `score` of each on all test images. Cached like the cells.
    """
    slim = folder / f"{recipe.name}.slim.onnx"
    train = dataset.read_split(folder / "dataset", "train")
    test = dataset.read_split(folder / "dataset", "test")
    tested = _digest([sha256(file) for file in test.files])
    results, images, reference = {}, None, None
    for name, setting in chosen.items():
        files = [train.files[i] for i in calibration.choose(train.classes, setting["images"], seed)]
        wanted = with_setting(recipe, setting["algorithm"], setting["method"])
        key = _digest(
            {
                "onnx": sha256(slim),
                "test": tested,
                "toolkit": metadata.version("rknn-toolkit2"),
                "rknn": wanted.rknn.model_dump(),
                "image": wanted.image.model_dump(),
                "list": [sha256(file) for file in files],
            }
        )
        path = folder / "quantstudy" / f"test-{key}.json"
        if not path.is_file():
            if images is None or reference is None:
                images = inference.in_network_order(dataset.read_images(test.files), recipe.image)
                reference = inference.run_onnx(slim, images, recipe.image)
            with tempfile.TemporaryDirectory() as scratch:
                listed = Path(scratch) / "calibration.txt"
                calibration.write_list(listed, files)
                log, workers = Path(scratch) / "test", recipe.verify.workers
                golden = _golden_of(recipe, folder, wanted, files)
                with rknn_simulator.Simulator(
                    wanted, slim, listed, log, workers, golden
                ) as simulator:
                    logits = simulator.run(images)
            write_json(path, score(logits, reference, test.classes))
        results[name] = read_json(path)
    return results


def _golden_of(recipe: Recipe, folder: Path, wanted: Recipe, files: list[Path]) -> Path | None:
    """The run's golden answers, if these settings and pictures are the run's own."""
    own = wanted == recipe and len(files) == recipe.calibration.images
    path = folder / "golden.npz"
    return path if own and path.is_file() else None


def conclude(recipe: Recipe, folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rank the settings, choose one, and measure it and the recipe's own on the test images.

    Args:
        rows: result of `run`.

    Returns:
        `rows`; `settings`, ranked; `winner`, the best a recipe accepts; `present`, the recipe's
        own setting; `test`, the figures of both on the test images. Also written to
        `quantstudy.json` in the run's folder.
    """
    ranked = settings(rows)
    winner = usable(ranked)
    present = {
        "algorithm": recipe.rknn.quantized_algorithm,
        "method": recipe.rknn.quantized_method,
        "images": recipe.calibration.images,
    }
    chosen = {"present": present, "winner": {key: winner[key] for key in present}}
    conclusion = {
        "rows": rows,
        "settings": ranked,
        **chosen,
        "test": test_once(recipe, folder, chosen, recipe.seed),
    }
    checked(Study, conclusion, Study.FILE).write(folder)
    return conclusion


def second_opinion(
    recipe: Recipe, scores: dict[str, dict[str, float]], steps: float
) -> SecondOpinion:
    """Whether two quantizers are equally good, as far as the recipe allows.

    Args:
        scores: `score` of "float", "rknn-toolkit2", "QDQ, onnxruntime" and "QDQ, RKNN simulator".
        steps: largest difference between the two engines on the QDQ graph, in output steps.
    """
    gap = scores["rknn-toolkit2"]["accuracy"] - scores["QDQ, RKNN simulator"]["accuracy"]
    allowed = recipe.verify.max_quantizer_gap
    return SecondOpinion(
        scores={name: Score.model_validate(row) for name, row in scores.items()},
        accuracy_gap=gap,
        allowed_gap=allowed,
        agrees=abs(gap) <= allowed + 1e-9,
        steps_between_engines=steps,
    )


def table(ranked: list[dict[str, Any]]) -> pd.DataFrame:
    """The settings of a study as a table for people, best first."""
    return pd.DataFrame(
        [
            {
                "algorithm": row["algorithm"],
                "method": row["method"],
                "pictures": row["images"],
                "top-1 %": f"{100 * row['accuracy']:.2f}",
                "spread": f"{100 * row['spread']:.2f}",
                "agreement %": f"{100 * row['agreement']:.2f}",
                "cosine mean (lowest)": f"{row['cosine']:.5f} ({row['lowest_cosine']:.4f})",
            }
            for row in ranked
        ]
    )


def text(found: dict[str, Any]) -> str:
    """The result of `conclude` for people."""
    lines = [table(found["settings"][:12]).to_string(index=False), "", "bad on purpose:"]
    lines += [
        f"  {row['calibration']:<20} top-1 {100 * row['accuracy']:.2f} %, agreement "
        f"{100 * row['agreement']:.2f} %, cosine {row['cosine']:.5f}"
        for row in found["rows"]
        if row["calibration"] != "balanced"
    ]
    lines.append("")
    for name in ("present", "winner"):
        setting, tested = found[name], found["test"][name]
        lines.append(
            f"{name:<8} {setting['algorithm']}, {setting['method']}, {setting['images']} pictures: "
            f"{100 * tested['accuracy']:.2f} % of {tested['pictures']:,} test images "
            f"(float {100 * tested['float_accuracy']:.2f} %), cosine {tested['cosine']:.5f}, "
            "measured in the RKNN simulator"
        )
    return "\n".join(lines)

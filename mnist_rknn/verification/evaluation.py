"""A finished model on a folder of real pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import plots
from .. import text as text_files
from ..conversion import inference, rknn_simulator
from ..data.pictures import fit, read
from ..errors import PipelineError
from ..files import relative, replacing
from ..language import _
from ..recipe import Recipe
from ..records import Accuracy, Evaluation, Groups, Manifest, Misread, StageName
from ..text import folded, shown
from . import metrics

ALL = "all"  # pictures without a group, and all of them
ENGINES: dict[StageName, str] = {"slim": "float (slim ONNX)", "rknn": "INT8 (simulator)"}


class Pictures(NamedTuple):
    """Labelled pictures of any size."""

    files: list[Path]
    classes: np.ndarray  # int64 [N]
    groups: list[str]


def read_index(folder: Path, labels: list[str]) -> Pictures:
    """Read `index.csv` of a folder: columns `file`, `label` and, if wanted, `group`.

    Raises:
        PipelineError: no such file or column, a label the model does not know, a picture that
            is not there; the message names the line.
    """
    path = folder / "index.csv"
    if not path.is_file():
        raise PipelineError(
            _("{path} is missing: write one with the columns file,label").format(
                path=relative(path)
            )
        )
    table = text_files.read_table(path)
    wanted = {"file": ("file",), "label": ("label",)}
    columns = text_files.find_columns(table, wanted, {"group": ("group",)})
    if columns and len(table.rows) < 2:
        raise PipelineError(
            _("{path} names no pictures: write a line for each").format(path=relative(path))
        )
    if columns is None:
        found = ",".join(table.rows[0].cells) if table.rows else "nothing"
        raise PipelineError(
            _(
                "{path} needs a first line with file,label and a line a picture; its "
                "first line is {found}"
            ).format(path=relative(path), found=shown(found))
        )
    rows = text_files.cells_of(table, columns, ("file", "label"))
    known = {folded(label): index for index, label in enumerate(labels)}
    known |= {label: index for index, label in enumerate(labels)}
    files: dict[Path, tuple[int, str]] = {}
    classes, groups = [], []
    for line, row in rows:
        where, label = f"{relative(path)}, line {line}", row["label"]
        index = known.get(label, known.get(folded(label)))
        if index is None:
            raise PipelineError(
                _("{where}: the model has no class {label!r}; its classes are {labels}").format(
                    where=where, label=label, labels=", ".join(labels)
                )
            )
        file = text_files.twin_of(folder / text_files.slashed(row["file"]))
        if file is None or not file.is_file():
            raise PipelineError(
                _("{where}: {row} is not there").format(where=where, row=shown(row["file"]))
            )
        before, other = files.get(file, (0, label))
        if before:
            same = "twice" if other == label else f"with {other} and with {label}"
            raise PipelineError(
                _("{where}: {row} stands there {same} (lines {before}, {line}): delete one").format(
                    where=where, row=shown(row["file"]), same=same, before=before, line=line
                )
            )
        files[file] = line, label
        classes.append(index)
        group = row.get("group", "")
        if folded(group) == ALL:
            raise PipelineError(
                _(
                    "{where}: {all} is what all pictures together are called: give the "
                    "group another name"
                ).format(where=where, all=ALL)
            )
        groups.append(group or ALL)
    return Pictures(list(files), np.array(classes), groups)


def _seen_from(folder: Path, file: Path) -> str:
    """A file as seen from a folder; whole where it lies elsewhere, as an index may name it."""
    for place, path in ((folder, file), (folder.resolve(), file.resolve())):
        if path.is_relative_to(place):
            return str(path.relative_to(place))
    return str(file)


def read_squeezed(files: list[Path], height: int, width: int) -> np.ndarray:
    """Whole pictures squeezed to the input size, uint8 [N, H, W, 3] in RGB order."""
    return np.stack([fit(read(file), height, width) for file in files])


def evaluate(
    recipe: Recipe, run: Path, folder: Path, progress: Callable[[int], None] = lambda _: None
) -> Groups:
    """Float ONNX and the INT8 simulator on every picture of a folder.

    Results, confusion matrices and the misread pictures are written to
    `<run>/evaluate/<name of the folder>/`.

    Args:
        run: folder of a finished run of the recipe.
        folder: pictures with their `index.csv`.

    Returns:
        Accuracies by stage ("slim", "rknn") and group; "all" is all.
    """
    Manifest.read(run)  # says which step to run if the run is not finished
    labels = (run / "labels.txt").read_text(encoding="utf-8").splitlines()
    pictures = read_index(folder, labels)
    images = read_squeezed(pictures.files, recipe.image.height, recipe.image.width)
    fed = inference.in_network_order(images, recipe.image)
    slim = run / f"{recipe.name}.slim.onnx"
    outputs: dict[StageName, np.ndarray] = {"slim": inference.run_onnx(slim, fed, recipe.image)}
    with rknn_simulator.Simulator.of_run(recipe, run, run / "evaluate.log") as simulator:
        outputs["rknn"] = simulator.run(fed, progress)

    results = metrics.by_group(outputs, pictures.classes, np.array(pictures.groups))
    target = run / "evaluate" / folder.resolve().name
    draw(target, outputs, pictures.classes, labels, images.__getitem__)
    names = [_seen_from(folder, file) for file in pictures.files]
    per_class = {
        stage: dict(
            zip(labels, metrics.class_accuracy(output, pictures.classes, len(labels)), strict=True)
        )
        for stage, output in outputs.items()
    }
    Evaluation(
        accuracy=results,
        class_accuracy=per_class,
        wrong=misread(outputs, pictures.classes, labels, names),
    ).write(target)
    return results


def misread(
    outputs: dict[StageName, np.ndarray],
    classes: np.ndarray,
    labels: list[str],
    names: list[str],
) -> dict[StageName, list[Misread]]:
    """The pictures that each stage answers wrongly, under their names."""
    return {
        stage: [
            Misread(file=names[i], true=labels[classes[i]], answer=labels[output[i].argmax()])
            for i in np.flatnonzero(output.argmax(axis=1) != classes)
        ]
        for stage, output in outputs.items()
    }


def text(results: Groups, details: str) -> str:
    """The result of `evaluate` for people, and where the details are."""
    lines = [f"{'group':<16} {'pictures':>8}   {'float ONNX':>26}   {'INT8 simulator':>26}"]
    for group, row in results["slim"].items():
        shares = (share(shown[group]) for shown in (results["slim"], results["rknn"]))
        lines.append(f"{group:<16} {row.images:>8}   " + "   ".join(f"{s:>26}" for s in shares))
    return "\n".join([*lines, "", f"in brackets: 95 % interval; details in {details}"])


def share(accuracy: Accuracy) -> str:
    """An accuracy in percent, with its interval."""
    low, high = 100 * accuracy.low, 100 * accuracy.high
    return f"{100 * accuracy.top1:6.2f} % [{low:.2f}, {high:.2f}]"


def draw(
    target: Path,
    outputs: dict[StageName, np.ndarray],
    classes: np.ndarray,
    labels: list[str],
    pictures: Callable[[np.ndarray], np.ndarray],
    prefix: str = "",
) -> None:
    """Write the confusion matrices and, of each stage, the first misread pictures.

    Args:
        outputs: logits [N, C] by stage.
        pictures: gives uint8 [n, H, W, 3] for the indices it is asked for.
        prefix: of the files' names.
    """
    matrices = {
        ENGINES[stage]: metrics.confusion_matrix(output, classes, len(labels))
        for stage, output in outputs.items()
    }
    plots.use_style()
    with replacing(target / f"{prefix}confusion.png") as temporary:
        plots.confusion(matrices, labels).savefig(temporary)
    for stage, output in outputs.items():
        answers = output.argmax(axis=1)
        wrong = np.flatnonzero(answers != classes)
        shown = wrong[:60]
        captions = [f"{labels[classes[i]]} → {labels[answers[i]]}" for i in shown]
        title = f"{ENGINES[stage]}: {len(wrong)} of {len(answers)} misread"
        if len(wrong) > len(shown):
            title += f", the first {len(shown)}"
        with replacing(target / f"{prefix}wrong_{stage}.png") as temporary:
            plots.image_grid(pictures(shown), captions, title=title).savefig(temporary)

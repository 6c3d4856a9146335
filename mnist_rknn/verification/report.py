"""`report.html`: everything that was measured about a run, on one page that needs nothing else.

The page is made from the files that the steps leave. A run that stopped half-way has one too: it
says where it stopped and why, and shows what there is.
"""

import base64
import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jinja2
import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from .. import plots, recipe_file
from ..conversion import calibration, rknn_file, rknn_text
from ..data import dataset
from ..errors import Fault, PipelineError
from ..files import OUTPUT, read_json, relative, write_text
from ..language import _
from ..pipeline.runner import FAILURE
from ..pipeline.runs import TRY_PAGE
from ..recipe import Recipe
from ..records import (
    Compilation,
    Evaluation,
    FramesEvaluation,
    LayerErrors,
    Manifest,
    PenEvaluation,
    R,
    SecondOpinion,
    Shown,
    Stages,
    Study,
    Verification,
)
from . import cost_map, layer_error, manifest, tradeoffs

TEMPLATE = Path(__file__).with_name("report.html.j2")
CLOCKS_MHZ = (300, 420, 600)  # assumed: the module's NPU clock is not published
SHOWN = 40  # pictures of each kind
SHOWN_FRAMES, FRAME_WIDTH = 12, 480
_INK = "#010203"  # stands for the text colour while a figure is drawn


def build(recipe: Recipe, folder: Path) -> Path:
    """Write `report.html` in the folder of a run, finished or not, and return its path.

    Raises:
        PipelineError: there is no run in this folder, or one of another version.
    """
    if not (folder / "steps").is_dir() and not (folder / FAILURE).is_file():
        raise PipelineError(
            _("{folder} holds no run: `make rknn` makes one").format(folder=relative(folder))
        )
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    path = folder / "report.html"
    try:
        page = template.render(**content(recipe, folder))
    except (LookupError, TypeError, AttributeError, jinja2.UndefinedError) as error:
        raise Fault(
            _("the report of {folder} cannot be made ({error!r})").format(
                folder=relative(folder), error=error
            )
        ) from error
    write_text(path, page)
    return path


def content(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """What the page shows; a part that has not been made yet is None."""
    verify, layers = _read(Verification, folder), _read(Compilation, folder)
    errors, study = _read(LayerErrors, folder), _read(Study, folder)
    labels = _lines(folder / "labels.txt")
    failure = _plain(folder / FAILURE)
    if failure:
        failure["message"] = failure["message"].partition(" (executed copy:")[0]
    with mpl.rc_context():
        _use_page_style()
        return {
            "name": recipe.name,
            "description": recipe.description,
            "failure": failure,
            "try_page": TRY_PAGE if (folder / TRY_PAGE).is_file() else None,
            "verify": verify,
            "labels": labels,
            "sets": _sets(verify),
            "model": _model(folder / f"{recipe.name}.rknn"),
            "layers": _layers(layers),
            "budget": _budget(recipe, layers),
            "clocks": [
                {"mhz": mhz, "ms": layers.cycles / mhz / 1000} for mhz in CLOCKS_MHZ if layers
            ],
            "module_mb": rknn_file.MODULE_MB,
            "classes": _class_changes(verify),
            "flipped": _pictures(folder, verify.flipped) if verify else None,
            "least_certain": _pictures(folder, verify.least_certain) if verify else None,
            "errors": errors,
            "error_plot": _svg(plots.layer_error(errors.layers), "error") if errors else None,
            "worst": [
                {**layer.model_dump(), "advice": layer_error.advice(layer)}
                for layer in (layer_error.worst(errors.layers) if errors else [])
            ],
            "calibration": _calibration(folder),
            "study": study,
            "study_plots": _study_plots(study) if study else [],
            "second": _read(SecondOpinion, folder),
            "on_mnist": recipe.dataset.kind == "mnist",
            "cost_plot": _cost_plot(recipe, verify, layers),
            "board": manifest.board_figures(folder, recipe.name),
            "costs": _plain(OUTPUT / "costs" / "costs.json"),
            "lab": _lab(recipe, folder),
            "albums": _albums(folder),
            "frames": _frames(folder),
            "pens": _pens(folder),
            "manifest": _read(Manifest, folder),
            "recipe": recipe_file.as_text(recipe_file.dump(recipe)),
        }


def _read(kind: type[R], folder: Path) -> R | None:
    return kind.read(folder) if (folder / kind.FILE).is_file() else None


def _plain(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


class Tested(NamedTuple):
    """A set of pictures and the figures of every stage on it."""

    name: str
    stages: Stages


def _sets(verify: Verification | None) -> list[Tested]:
    """The tables of stages: test images, and the simulated camera where there is one."""
    if not verify:
        return []
    named = (("test images", verify.stages), ("simulated camera", verify.camera))
    return [Tested(name, stages) for name, stages in named if stages]


def _model(path: Path) -> dict[str, Any] | None:
    try:
        file = rknn_file.read(path)
    except PipelineError:  # missing or damaged: the step that met it has said so
        return None
    problems = [str(problem) for problem in rknn_file.problems(file)]
    return rknn_text.to_json(file, problems, rknn_file.remarks(file))


def _layers(layers: Compilation | None) -> dict[str, Any] | None:
    """The layer table with shares of the largest row, for the bars."""
    if not layers:
        return None
    cycles = max((row.cycles for row in layers.layers), default=0) or 1
    traffic = max((row.traffic_kb for row in layers.layers), default=0) or 1
    rows = [
        {
            **row.model_dump(),
            "cycles_share": 100 * row.cycles / cycles,
            "traffic_share": 100 * row.traffic_kb / traffic,
        }
        for row in layers.layers
    ]
    return {**layers.model_dump(), "layers": rows}


def _budget(recipe: Recipe, layers: Compilation | None) -> list[dict[str, Any]]:
    if not layers:
        return []
    value = layers.estimate().model_dump()
    return [
        {"name": name, "limit": limit, "value": value[name], "over": value[name] > limit}
        for name, limit in recipe.budget.model_dump().items()
        if limit is not None
    ]


def _class_changes(verify: Verification | None) -> list[dict[str, Any]]:
    """Accuracy of each class in float and INT8, on every set."""
    rows = []
    for entry in _sets(verify):
        before = entry.stages["slim"].class_accuracy
        after = entry.stages["rknn"].class_accuracy
        rows.append(
            {
                "name": entry.name,
                "rows": [
                    {"label": label, "float": before[label], "int8": after[label]}
                    for label in before
                    if before[label] is not None
                ],
            }
        )
    return rows


def _pictures(folder: Path, chosen: list[Shown]) -> dict[str, Any]:
    """Test pictures with what they hold, as data addresses."""
    rows = [
        {**row.model_dump(), "picture": _data_address(image)}
        for row in chosen[:SHOWN]
        if (image := cv2.imread(str(folder / row.file), cv2.IMREAD_COLOR)) is not None
    ]
    return {"total": len(chosen), "rows": rows}


def _data_address(image: np.ndarray, extension: str = ".png") -> str:
    """A picture, uint8 [H, W, 3] in OpenCV's order, as an address that holds it."""
    _, packed = cv2.imencode(extension, image)
    kind = {".png": "png", ".jpg": "jpeg"}[extension]
    return f"data:image/{kind};base64,{base64.b64encode(packed.tobytes()).decode()}"


def _calibration(folder: Path, columns: int = 20) -> dict[str, Any] | None:
    """The calibration pictures, up to 200 of them, on one sheet."""
    listed = folder / "calibration.txt"
    if not listed.is_file():
        return None
    files = calibration.read_list(listed)
    if not all(file.is_file() for file in files):
        return {"count": len(files), "sheet": None, "shown": 0}
    images = dataset.read_images(files[:200])[..., ::-1]
    height, width = images.shape[1:3]
    images = images if width <= 64 else np.stack([cv2.resize(i, (64, 64)) for i in images])
    height, width = images.shape[1:3]
    rows = -(-len(images) // columns)
    sheet = np.full((rows * height, columns * width, 3), 128, np.uint8)
    for number, image in enumerate(images):
        y, x = divmod(number, columns)
        sheet[y * height : (y + 1) * height, x * width : (x + 1) * width] = image
    return {
        "count": len(files),
        "shown": len(images),
        "sheet": _data_address(sheet, ".jpg"),
        "size": (columns * width, rows * height),
    }


def _study_plots(study: Study) -> list[Markup]:
    rows = [row.model_dump() for row in study.rows]
    balanced = [row for row in rows if row["calibration"] == "balanced"]
    return [
        _svg(plots.study_curves(balanced), "curves"),
        _svg(plots.agreement_hides(rows), "agreement"),
    ]


def _cost_plot(
    recipe: Recipe, verify: Verification | None, layers: Compilation | None
) -> Markup | None:
    """The model among the reference networks of `make costs`, if those were made."""
    costs = _plain(OUTPUT / "costs" / "costs.json")
    if not costs or not verify or not layers or recipe.dataset.kind != "mnist":
        return None  # accuracies on another data set stand beside nothing
    own = {
        "name": recipe.name,
        "cycles": layers.cycles,
        "accuracy": verify.stages["rknn"].accuracy.top1,
    }
    return _svg(cost_map.cost_map([own, *costs]), "costs")


def _lab(recipe: Recipe, folder: Path) -> dict[str, Any] | None:
    """What the compression lab made with this very recipe."""
    rows = tradeoffs.of_recipe(tradeoffs.collect(folder.resolve()), recipe)
    if not rows:
        return None
    return {
        "plot": _svg(plots.tradeoffs(tradeoffs.panels(rows)), "lab"),
        "rows": tradeoffs.table(rows).to_dict("records"),
    }


def _albums(folder: Path) -> list[dict[str, Any]]:
    """Folders of real pictures that `make evaluate` has measured."""
    return [
        {"name": path.parent.name, "accuracy": Evaluation.read(path).accuracy}
        for path in sorted((folder / "evaluate").glob("*/results.json"))
    ]


def _frames(folder: Path) -> list[dict[str, Any]]:
    """Folders of whole frames that `make evaluate` has measured."""
    found = []
    for path in sorted((folder / "evaluate").glob("*/frames/results.json")):
        result = FramesEvaluation.read(path)
        shown = [
            {**row.model_dump(), "picture": _data_address(_at_most(image, FRAME_WIDTH), ".jpg")}
            for row in result.wrong["rknn"][:SHOWN_FRAMES]
            if (image := cv2.imread(str(path.parent / row.picture))) is not None
        ]
        found.append({"name": path.parent.parent.name, **dict(result), "shown": shown})
    return found


def _at_most(image: np.ndarray, width: int) -> np.ndarray:
    """A picture that is no wider."""
    factor = min(1.0, width / image.shape[1])
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def _pens(folder: Path) -> list[dict[str, Any]]:
    """Sets of pen trajectories that `make evaluate PEN=...` has measured."""
    return [
        {"name": path.parent.parent.name, "found": PenEvaluation.read(path)}
        for path in sorted((folder / "evaluate").glob("*/pen/results.json"))
    ]


# --- figures --------------------------------------------------------------------------


def _use_page_style() -> None:
    """Figures in the page's own text colour and font, light or dark."""
    plots.use_style()
    colors = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    backgrounds = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    style: Any = dict.fromkeys(colors, _INK) | dict.fromkeys(backgrounds, "none")
    mpl.rcParams.update(style | {"svg.fonttype": "none", "svg.hashsalt": "report"})


def _svg(figure: Figure, name: str) -> Markup:
    """A figure as inline SVG: names unique on the page, text in the colour around it."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    svg = written.getvalue()
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert size, "matplotlib always writes one"
    width, height = size.groups()
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r"<defs>\s*</defs>", "", body)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", body).replace("xlink:href", "href")
    body = re.sub(rf"{_INK}|#000000\b", "currentColor", body)
    body = body.replace("&#160;", " ")
    return Markup(f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{name}">{body}')

"""A finished model on digits that were recorded as pen trajectories.

Each is drawn twice: clean, as MNIST is, and by the simulated camera, with its distance field in
place of a skeleton's (no jitter, no narrowing, no spline). Seeds are fixed, so every model is asked
the same pictures.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ..conversion import inference, rknn_simulator
from ..data import mnist
from ..data.pictures import fit
from ..errors import PipelineError
from ..files import PROJECT, replacing_folder
from ..language import _
from ..recipe import Image, Recipe
from ..records import Accuracy, Groups, Manifest, PenEvaluation, PenFigures, StageName
from ..redraw.clean import clean_lines
from ..redraw.picture import redraw_lines
from ..redraw.worlds import SIMULATED_CAMERA
from . import metrics
from .evaluation import draw, misread, share
from .pen_files import Trajectory, name_of, read

Drawing = Literal["clean", "camera"]
FOLDER = "pen"  # below the run's evaluate/<name of the set>/
SEED = 19  # of the simulated camera's pictures, with the number of the digit
AT_ONCE = 500  # digits that are drawn and kept
DRAWINGS: tuple[Drawing, ...] = ("clean", "camera")
Draw = Callable[[Drawing, int], np.ndarray | None]
"""Picture uint8 [H, W, 3], RGB, of one of the digits; None if no legible one came out."""


def evaluate(recipe: Recipe, run: Path, path: Path) -> PenEvaluation:
    """Float ONNX and the INT8 simulator on every digit of a file of pen trajectories.

    Results, confusion matrices and misread pictures are written to
    `<run>/evaluate/<name of the set>/pen/`, all at once.

    Args:
        run: folder of a finished run of the recipe.
        path: the file, or a folder that holds no other.

    Raises:
        PipelineError: the run is not finished, or the file is not as `pen_files` says.
    """
    Manifest.read(run)  # says which step to run if the run is not finished
    labels = (run / "labels.txt").read_text(encoding="utf-8").splitlines()
    digits = read(path, labels)
    picture = _drawn_by(digits, recipe.image)
    shape = (recipe.image.height, recipe.image.width, 3)
    found: dict[Drawing, _Answered] = {}
    with rknn_simulator.Simulator.of_run(recipe, run, run / "evaluate.log") as simulator:
        slim = run / f"{recipe.name}.slim.onnx"
        for drawing in DRAWINGS:
            found[drawing] = _answers(digits, drawing, picture, recipe.image, slim, simulator.run)
    classes = np.array([labels.index(digit.label) for digit in digits])
    with replacing_folder(run / "evaluate" / name_of(path) / FOLDER) as target:
        figures, wrong = {}, {}
        for drawing, (drawn, outputs) in found.items():
            kept = [digits[number] for number in drawn]
            truth = classes[drawn]
            figures[drawing] = _figures(kept, outputs, truth, len(digits) - len(drawn))
            names = [f"line {digit.line}" for digit in kept]
            wrong[drawing] = misread(outputs, truth, labels, names)

            def again(
                shown: np.ndarray, how: Drawing = drawing, of: np.ndarray = drawn
            ) -> np.ndarray:
                made = [picture(how, int(number)) for number in of[shown]]
                return np.array(made, np.uint8).reshape(len(made), *shape)

            draw(target, outputs, truth, labels, again, f"{drawing}_")
        result = PenEvaluation(writers=_writers(digits), figures=figures, wrong=wrong)
        result.write(target)
    return result


_Answered = tuple[np.ndarray, dict[StageName, np.ndarray]]
"""The digits that were drawn, integer [N], and their logits [N, C] by stage."""


def _drawn_by(digits: Sequence[Trajectory], image: Image) -> Draw:
    neighbours = mnist.load(PROJECT / "data" / "mnist").test_images
    camera = SIMULATED_CAMERA.changed(image_size=max(image.height, image.width))

    def picture(drawing: Drawing, number: int) -> np.ndarray | None:
        strokes = digits[number].strokes
        if drawing == "clean":
            return fit(clean_lines(strokes), image.height, image.width)
        drawn = redraw_lines(strokes, neighbours, SEED, number, camera)
        return None if drawn is None else fit(drawn, image.height, image.width)

    return picture


def _answers(
    digits: Sequence[Trajectory],
    drawing: Drawing,
    picture: Draw,
    image: Image,
    slim: Path,
    simulator: Callable[[np.ndarray], np.ndarray],
) -> _Answered:
    drawn: list[int] = []
    slims, rknns = [], []
    for start in range(0, len(digits), AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, len(digits)))
        made = [(n, image_of) for n in numbers if (image_of := picture(drawing, n)) is not None]
        if not made:
            continue
        drawn += [number for number, _ in made]
        fed = inference.in_network_order(np.stack([drawn_one for _, drawn_one in made]), image)
        slims.append(inference.run_onnx(slim, fed, image))
        rknns.append(simulator(fed))
    if not drawn:
        raise PipelineError(
            _("no digit of the set could be drawn legibly ({drawing})").format(drawing=drawing)
        )
    return np.array(drawn), {"slim": np.concatenate(slims), "rknn": np.concatenate(rknns)}


def _writers(digits: Sequence[Trajectory]) -> dict[str, int]:
    pairs = {(digit.site, digit.writer) for digit in digits}
    sites = sorted({site for site, _ in pairs})
    return {site: sum(1 for at, _ in pairs if at == site) for site in sites} | {"all": len(pairs)}


def _figures(
    digits: Sequence[Trajectory],
    outputs: dict[StageName, np.ndarray],
    classes: np.ndarray,
    illegible: int,
) -> PenFigures:
    writers = np.array([f"{digit.site}\t{digit.writer}" for digit in digits])
    sites = np.array([digit.site for digit in digits])
    labels = np.array([digit.label for digit in digits])

    def groups(by: np.ndarray) -> Groups:
        return {
            stage: {
                name: _accuracy(output[those].argmax(axis=1) == classes[those], writers[those])
                for name, those in _chosen(by)
            }
            for stage, output in outputs.items()
        }

    return PenFigures(sites=groups(sites), digits=groups(labels), illegible=illegible)


def _chosen(by: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for name in np.unique(by):
        yield str(name), by == name
    yield "all", np.ones(len(by), bool)


def _accuracy(right: np.ndarray, writers: np.ndarray) -> Accuracy:
    """Share of right answers, with an interval for other writers."""
    _, of = np.unique(writers, return_inverse=True)
    low, high = metrics.resampled(
        np.bincount(of[right], minlength=of.max() + 1).tolist(), np.bincount(of).tolist()
    )
    top1 = float(right.mean())
    return Accuracy(
        top1=top1,
        low=min(low, top1),
        high=max(high, top1),
        correct=int(right.sum()),
        images=len(right),
    )


# --- for people -----------------------------------------------------------------------


def text(result: PenEvaluation, details: str) -> str:
    """The result of `evaluate --pen`, and where the details are."""
    lines = []
    for drawing, figures in result.figures.items():
        said = "clean, as MNIST is" if drawing == "clean" else "by the simulated camera"
        lines.append(f"drawn {said}:")
        lines.append(
            f"{'':<10} {'writers':>7} {'digits':>7}   {'float ONNX':>26}   {'INT8 simulator':>26}"
        )
        for what, groups in (("site", figures.sites), ("digit", figures.digits)):
            for name, row in groups["slim"].items():
                if name == "all" and what == "digit":
                    continue
                title = name if name == "all" else f"{what} {name}"
                writers = result.writers.get(name, "") if what == "site" else ""
                shares = [f"{share(groups[stage][name]):>26}" for stage in ("slim", "rknn")]
                lines.append(f"{title:<10} {writers:>7} {row.images:>7}   {'   '.join(shares)}")
        if figures.illegible:
            lines.append(f"{figures.illegible} digits came out illegible and count nowhere")
        lines.append("")
    return "\n".join([*lines, f"in brackets: {result.intervals}; details in {details}"])

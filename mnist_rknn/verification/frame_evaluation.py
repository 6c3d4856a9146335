"""A finished model, behind the module's locator, on a folder of whole camera frames."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from ..conversion import inference, rknn_simulator
from ..errors import PipelineError
from ..files import replacing_folder
from ..language import _
from ..recipe import Recipe
from ..records import Doubt, FramesEvaluation, Manifest, MisreadFrame, StageName
from .frame_folders import Frame, read_frame, read_index
from .frame_plots import boxed
from .frames import Answer, Predict, answers, deployed_reader, doubts, figures, rightly_read, table

FOLDER = "frames"  # below the run's evaluate/<name of the folder>/
AT_ONCE = 24  # frames that are kept in memory
ENGINES: dict[StageName, str] = {
    "slim": "float ONNX, on this PC",
    "rknn": "INT8, in the RKNN simulator",
}
FONT = cv2.FONT_HERSHEY_SIMPLEX


def evaluate(recipe: Recipe, run: Path, folder: Path) -> FramesEvaluation:
    """Find and read the digits of every frame, with the float ONNX and the INT8 simulator.

    Results and the frames that are read wrongly are written to
    `<run>/evaluate/<name of the folder>/frames/`, all at once.

    Args:
        run: folder of a finished run of a recipe whose classes are digits.
        folder: frames with their `index.csv` and perhaps `boxes.csv`.
    """
    Manifest.read(run)  # says which step to run if the run is not finished
    labels = _digit_labels(run)
    frames = read_index(folder, labels)
    for frame in frames:
        read_frame(frame)  # what is wrong with one is said before the long work
    found: dict[StageName, list[Answer]] = {stage: [] for stage in ENGINES}
    with _models(recipe, run) as models:
        for start in range(0, len(frames), AT_ONCE):
            pictures = [read_frame(frame) for frame in frames[start : start + AT_ONCE]]
            given = answers(pictures, list(models.values()), recipe.image, labels)
            for stage, part in zip(models, given, strict=True):
                found[stage] += part
    with replacing_folder(run / "evaluate" / folder.resolve().name / FOLDER) as target:
        result = FramesEvaluation(
            figures={stage: figures(frames, given) for stage, given in found.items()},
            doubts={stage: doubts(frames, given) for stage, given in found.items()},
            wrong={
                stage: _draw_wrong(frames, found[stage], folder, target, stage) for stage in found
            },
            notes=_notes(frames, found["rknn"], folder),
        )
        result.write(target)
    return result


def _digit_labels(run: Path) -> str:
    """The model's classes, a character each."""
    names = (run / "labels.txt").read_text(encoding="utf-8").splitlines()
    if strange := [name for name in names if len(name) != 1 or name not in "0123456789"]:
        raise PipelineError(
            _(
                "frames are read digit by digit, and this model has a class "
                "{strange!r}: choose a run whose classes are digits, or evaluate "
                "single pictures (IMAGES)"
            ).format(strange=strange[0])
        )
    return "".join(names)


@contextmanager
def _models(recipe: Recipe, run: Path) -> Iterator[dict[StageName, Predict]]:
    """The run's float model and its INT8 model."""
    slim = run / f"{recipe.name}.slim.onnx"
    with rknn_simulator.Simulator.of_run(recipe, run, run / "evaluate.log") as simulator:
        yield {
            "slim": lambda pictures: inference.run_onnx(slim, pictures, recipe.image),
            "rknn": simulator.run,
        }


def _notes(frames: Sequence[Frame], given: Sequence[Answer], folder: Path) -> list[str]:
    most = deployed_reader().MOST_DIGITS
    return [
        f"{frame.file.relative_to(folder)}: {answer.more} digits more than {most}: "
        "the first are read"
        for frame, answer in zip(frames, given, strict=True)
        if answer.more
    ]


# --- for people -----------------------------------------------------------------------


def text(result: FramesEvaluation, details: str) -> str:
    """The result of `evaluate --frames`, and where the details are."""
    parts = []
    for stage, groups in result.figures.items():
        parts += [f"{ENGINES[stage]}:", table(groups).to_string(), ""]
    if doubted := result.doubts["rknn"]:
        parts += [
            "--doubt P, INT8: wrong answers kept, and right ones refused",
            *map(said, doubted),
            "",
        ]
    return "\n".join(
        [*parts, *result.notes, f"in brackets: {result.intervals}", f"details in {details}"]
    )


def said(row: Doubt) -> str:
    """One threshold's trade-off in a line."""
    return (
        f"P = {row.threshold:.2f}: {row.wrong_kept} of {row.wrong} wrong ones kept, "
        f"{row.right_refused} of {row.right} right ones refused"
    )


def _draw_wrong(
    frames: Sequence[Frame],
    given: Sequence[Answer],
    folder: Path,
    target: Path,
    stage: StageName,
) -> list[MisreadFrame]:
    """Draw every frame that is not read rightly into `wrong_<stage>/`, and list them."""
    found = []
    for number, (frame, answer) in enumerate(zip(frames, given, strict=True), 1):
        if frame.digits == answer.text:
            continue
        picture = Path(f"wrong_{stage}") / f"{number:03d}_{frame.file.stem}.jpg"
        (target / picture).parent.mkdir(exist_ok=True)
        drawn = drawn_answer(read_frame(frame), frame, answer)
        (target / picture).write_bytes(cv2.imencode(".jpg", drawn)[1].tobytes())
        found.append(
            MisreadFrame(
                file=str(frame.file.relative_to(folder)),
                true=frame.text,
                answer=answer.text,
                picture=str(picture),
            )
        )
    return found


def drawn_answer(picture: np.ndarray, frame: Frame, answer: Answer) -> np.ndarray:
    """A frame with the true boxes in blue, what was read in green or, where wrong, in red, and both
    texts above it; uint8 BGR.
    """
    # Without true boxes nobody knows which digit is the wrong one.
    right = rightly_read(frame, answer) if frame.boxes is not None else [False] * len(answer.boxes)
    drawn = boxed(picture, answer.boxes, answer.digits, right, frame.boxes or ())
    top = np.full((64, drawn.shape[1], 3), 255, np.uint8)
    for row, line in enumerate(
        (f"written: {frame.text or 'nothing'}", f"read: {answer.text or 'nothing'}")
    ):
        (wide, _), _ = cv2.getTextSize(line, FONT, 0.7, 2)
        fitting = 0.7 * min(1.0, (drawn.shape[1] - 16) / wide)
        cv2.putText(top, line, (8, 24 + 30 * row), FONT, fitting, (0, 0, 0), 2, cv2.LINE_AA)
    return np.vstack([top, drawn])

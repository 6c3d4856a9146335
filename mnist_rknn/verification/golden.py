"""The golden pack: pictures with the simulator's answers, to compare a board's answers with.

Step 05 writes `golden.npz`. The pack for the module is made from it: `images.bin`, the bytes of
the pictures, and `golden.json`, the expected answers. The programs in `deploy/` write a log of
what the module answered, JSON lines: a head, `{"image": i, "label": l, "score": s}` for every
picture (and `"logits"`, INT8, where the program can see them), and `{"done": true}`.

Beside the right answers the simulator's answers to pictures spoilt by the usual mistakes of a
board's program are kept. So a wrong log is not only called wrong: the mistake is recognised.
"""

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, Field

from ..conversion.rknn_description import Tensor
from ..conversion.rknn_file import RknnFile
from ..data import dataset
from ..errors import PipelineError
from ..files import read_json, relative, replacing, write_json
from ..language import _
from ..recipe import Image
from . import metrics

PICTURES = 50
# The NPU may round elsewhere than its simulator: onnxruntime, on the same integer graph, was
# within one output step of the simulator. On a board: not measured.
TOLERANCE_STEPS = 1
_PRINTED = 1e-3  # scores are printed with few digits
_RECOGNISED = 0.9  # share of the pictures that a mistake must explain
_LARGEST_LOG = 16 << 20  # bytes

CAUSES = {
    "channels": "red and blue are exchanged on the way into the model: the module's frames are "
    "BGR; say so in the recipe (image.color_order) or exchange them in the program",
    "normalised": "the picture is normalised twice: the NPU subtracts the mean and divides by the "
    "std itself; give the model the camera's bytes, 0 to 255",
    "int8": "the picture arrives as int8 (128 subtracted) where uint8 belongs: give the model the "
    "camera's bytes, 0 to 255, unsigned",
}
SAME_ANSWER = (
    "every answer is the same: the picture does not reach the model's input, or arrives black; "
    "look at how the program copies it"
)
SOFTMAX_TWICE = (
    "Softmax is applied twice: the module's SDK applies it, so the model must end in logits; "
    "convert the slim ONNX of step 03, which is cut there"
)


# --- the pictures -----------------------------------------------------------------------


def choose(validation: dataset.Split, count: int = PICTURES) -> np.ndarray:
    """Indices of validation pictures, int64 [count]: every class and kind of picture in turn."""
    groups = defaultdict(list)
    pairs = zip(validation.kinds.tolist(), validation.classes.tolist(), strict=True)
    for index, kind_and_class in enumerate(pairs):
        groups[kind_and_class].append(index)
    turns = itertools.zip_longest(*(groups[key] for key in sorted(groups)))
    chosen = [index for turn in turns for index in turn if index is not None]
    return np.array(sorted(chosen[:count]))


def spoilt(images: np.ndarray, image: Image) -> dict[str, np.ndarray]:
    """What the NPU gets when a program on the module makes one of the usual mistakes.

    Args:
        images: uint8 [N, H, W, 3] in the network's colour order.
        image: with the mean and std that the NPU applies.

    Returns:
        By mistake (keys of `CAUSES`), uint8 of the same shape.
    """
    mean, std = np.array(image.mean, np.float32), np.array(image.std, np.float32)
    normalized = np.rint((images.astype(np.float32) - mean) / std)
    return {
        "channels": np.ascontiguousarray(images[..., ::-1]),
        "normalised": np.clip(normalized, 0, 255).astype(np.uint8),
        "int8": images ^ 0x80,
    }


def write(
    path: Path,
    images: np.ndarray,
    classes: np.ndarray,
    logits: np.ndarray,
    mistakes: dict[str, np.ndarray],
) -> None:
    """Write `golden.npz`.

    Args:
        images: uint8 [N, H, W, 3] in the network's colour order.
        classes: integer [N].
        logits: the simulator's answers, float32 [N, C].
        mistakes: its answers to the pictures of `spoilt`, by mistake.
    """
    arrays = {f"logits_{name}": answer for name, answer in mistakes.items()}
    with replacing(path) as temporary:
        np.savez_compressed(temporary, images=images, classes=classes, logits=logits, **arrays)


def to_int8(logits: np.ndarray, output: Tensor) -> np.ndarray:
    """The INT8 numbers, int8 [N, C], that stand for the simulator's logits, float32 [N, C]."""
    scale, zero_point = output.quantization()
    steps = np.rint(logits / scale) + zero_point
    if not np.allclose((steps - zero_point) * scale, logits, atol=scale / 100):
        raise PipelineError(
            _("golden.npz does not hold the answers of this .rknn file: run 05_convert again")
        )
    return steps.astype(np.int8)


def write_pack(folder: Path, source: Path, image: Image, file: RknnFile, labels: list[str]) -> None:
    """Write `images.bin` and `golden.json`.

    Args:
        folder: of the pack; it exists.
        source: `golden.npz`.
        file: the `.rknn` file; by its custom string a log says which model it is of.
        labels: names of the classes.
    """
    output = file.output
    with np.load(source) as arrays:
        images, classes = arrays["images"], arrays["classes"]
        answers = {name: to_int8(arrays[f"logits_{name}"], output) for name in CAUSES}
        logits = to_int8(arrays["logits"], output)
    (folder / "images.bin").write_bytes(images.tobytes())
    scale, zero_point = output.quantization()
    probabilities = metrics.probabilities((logits - float(zero_point)) * scale)
    expected = [
        {
            "true": int(true),
            "label": int(row.argmax()),
            "score": round(float(row.max()), 6),
            "logits": steps.tolist(),
        }
        for true, row, steps in zip(classes, probabilities, logits, strict=True)
    ]
    write_json(
        folder / "golden.json",
        {
            "version": 1,
            "model": file.custom_string,
            "toolkit": file.toolkit,
            "images": len(images),
            "height": image.height,
            "width": image.width,
            "color_order": image.color_order,
            "labels": labels,
            "output": {"scale": scale, "zero_point": zero_point},
            "measured": "in the RKNN simulator; board: not measured",
            "expected": expected,
            "mistakes": {name: steps.tolist() for name, steps in answers.items()},
        },
    )


# --- a board's log ----------------------------------------------------------------------


class Head(BaseModel):
    """The first line of a log."""

    log: Literal["mnist-rknn golden"]
    version: Literal[1]
    program: str
    images: int
    model: str
    model_sha256: str | None = None


class Answer(BaseModel):
    """The line of a picture."""

    image: int = Field(ge=0)
    label: int = Field(ge=0)
    score: float = Field(ge=0, le=1.001)
    logits: list[Annotated[int, Field(ge=-128, le=127)]] | None = None


class Log(NamedTuple):
    """A whole log."""

    head: Head
    answers: list[Answer]  # by number of the picture


def read_log(path: Path) -> Log:
    """Read a log of a program in `deploy/`.

    Raises:
        PipelineError: no such file, none of our logs, or not complete.
    """
    name = relative(path)
    again = "run the program on the module with --golden again"
    if not path.is_file():
        raise PipelineError(_("{name} is missing: {again}").format(name=name, again=again))
    if path.stat().st_size > _LARGEST_LOG:
        raise PipelineError(
            _("{name} has {st_size:,} bytes, too many for a log").format(
                name=name, st_size=path.stat().st_size
            )
        )
    lines = path.read_bytes().splitlines()
    rows = []
    try:
        head = Head.model_validate_json(lines[0])
        for line in lines[1:]:
            if json.loads(line) == {"done": True}:
                break
            rows.append(Answer.model_validate_json(line))
        else:
            raise PipelineError(
                _(
                    "{name} ends after {count} of {images} pictures: the program stopped, "
                    "or the link was cut; {again}"
                ).format(name=name, count=len(rows), images=head.images, again=again)
            )
    except (ValueError, IndexError, RecursionError):  # pydantic's error is a ValueError
        raise PipelineError(
            _("{name} is no log of the golden pack (after {count} pictures): {again}").format(
                name=name, count=len(rows), again=again
            )
        ) from None
    if [row.image for row in rows] != list(range(head.images)):
        raise PipelineError(
            _("{name} does not have every picture once and in order: {again}").format(
                name=name, again=again
            )
        )
    return Log(head, rows)


def read_pack(folder: Path) -> dict[str, Any]:
    """`golden.json` of a pack's folder."""
    pack = read_json(folder / "golden.json")
    if not isinstance(pack, dict) or pack.get("version") != 1 or not pack.get("expected"):
        raise PipelineError(
            _("{folder} is no golden pack: run make deploy").format(folder=relative(folder))
        )
    return pack


# --- comparing --------------------------------------------------------------------------


def compare(pack: dict[str, Any], log: Log, runtime: str | None = None) -> dict[str, Any]:
    """Say whether a board answered as the simulator does, by how much not, and why not.

    Args:
        runtime: version of the module's librknnmrt, where it is known.

    Returns:
        `match`; `pictures`; `labels_differ`, how many of them; `largest_steps` and `mean_steps`
        between the INT8 logits (None if the log has none); `largest_score`, difference of the
        scores from 0 to 1; `cause`, a sentence, or None; `remarks`, a list of sentences.

    Raises:
        PipelineError: the log is of another pack.
    """
    expected = np.array([row["logits"] for row in pack["expected"]])
    count, classes = expected.shape
    if log.head.images != count:
        raise PipelineError(
            _("the log has {images} pictures, the pack {count}: it is of another pack").format(
                images=log.head.images, count=count
            )
        )
    if any(row.label >= classes for row in log.answers):
        raise PipelineError(
            _("the log has a label above {classes}: it is of a model with other classes").format(
                classes=classes - 1
            )
        )
    if any(row.logits is not None and len(row.logits) != classes for row in log.answers):
        raise PipelineError(
            _("the log does not have {classes} logits a picture: another model").format(
                classes=classes
            )
        )
    candidates = {"": expected, **_arrays(pack["mistakes"])}
    sources = [_score_shares(log, candidates, pack["output"])]
    if all(row.logits is not None for row in log.answers):
        sources.append(_logit_shares(log, candidates))
    match = all(shares["", False] == 1 for shares in sources)
    cause = None
    if not match and len({(row.label, row.score) for row in log.answers}) == 1:
        cause = SAME_ANSWER
    elif not match:
        found = [sentence for shares in sources for sentence in _recognised(shares)]
        cause = "; and ".join(dict.fromkeys(found)) or None
    remarks = []
    if log.head.model != pack["model"]:
        remarks.append(
            f"the log is of the model {log.head.model!r}, the pack of {pack['model']!r}: copy "
            "model and pack of one bundle"
        )
        cause = cause or (None if match else "the module runs another model than the pack is of")
    if runtime and runtime != pack["toolkit"]:
        remarks.append(
            f"the module's runtime is {runtime}, the model was made by toolkit {pack['toolkit']}"
        )
        cause = cause or (None if match else "runtime and toolkit are of different versions")
    return {
        "match": match,
        "pictures": count,
        **_differences(log, expected, pack["expected"]),
        "cause": cause,
        "remarks": remarks,
    }


def _arrays(lists: dict[str, list]) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, values in lists.items()}


Shares = dict[tuple[str, bool], float]  # by mistake, "" for none, and whether Softmax was twice


def _score_shares(log: Log, candidates: dict[str, np.ndarray], output: dict[str, Any]) -> Shares:
    """Share of the pictures whose label and score each candidate explains.

    Args:
        candidates: INT8 logits, integer [N, C], by mistake.
    """
    slack = TOLERANCE_STEPS * output["scale"]  # how far a logit may be off
    shares = {}
    for mistake, steps in candidates.items():
        logits = (steps - output["zero_point"]) * output["scale"]
        for twice in (False, True):
            fits = [_fits(*pair, slack, twice) for pair in zip(log.answers, logits, strict=True)]
            shares[mistake, twice] = float(np.mean(fits))
    return shares


def _fits(row: Answer, logits: np.ndarray, slack: float, twice: bool) -> bool:
    """Whether label and score of an answer are what a model with these logits would say."""
    if logits[row.label] < logits.max() - 2 * slack - 1e-9:
        return False
    low, high = _score_range(metrics.probabilities(logits[None])[0][row.label], slack)
    if twice:
        low, high = _second_softmax(low, high, len(logits))
    return low - _PRINTED <= row.score <= high + _PRINTED


def _logit_shares(log: Log, candidates: dict[str, np.ndarray]) -> Shares:
    """Share of the pictures whose INT8 logits each candidate explains."""
    said = np.array([row.logits for row in log.answers])
    return {
        (mistake, False): float((np.abs(said - steps).max(axis=1) <= TOLERANCE_STEPS).mean())
        for mistake, steps in candidates.items()
    }


def _recognised(shares: Shares) -> list[str]:
    """The mistakes that explain what the right answers do not; none if nothing does."""
    (mistake, twice), share = max(shares.items(), key=lambda entry: entry[1])
    if share < _RECOGNISED or shares["", False] == share:
        return []
    return ([CAUSES[mistake]] if mistake else []) + ([SOFTMAX_TWICE] if twice else [])


def _score_range(score: float, slack: float) -> tuple[float, float]:
    """Lowest and highest Softmax of a class when every logit may move by `slack`."""
    spread = np.exp(2 * slack)
    return score / (score + (1 - score) * spread), score / (score + (1 - score) / spread)


def _second_softmax(low: float, high: float, classes: int) -> tuple[float, float]:
    """Lowest and highest Softmax of a probability among `classes` that lies in [low, high]."""
    # The other classes share 1 - p. Their exponentials sum to most when one of them has it all,
    # and to least when they share alike.
    most = np.exp(1 - low) + classes - 2
    least = (classes - 1) * np.exp((1 - high) / (classes - 1))
    return np.exp(low) / (np.exp(low) + most), np.exp(high) / (np.exp(high) + least)


def _differences(log: Log, steps: np.ndarray, expected: list[dict]) -> dict[str, Any]:
    labels = sum(row.label != e["label"] for row, e in zip(log.answers, expected, strict=True))
    scores = [abs(row.score - e["score"]) for row, e in zip(log.answers, expected, strict=True)]
    found: dict[str, Any] = {
        "labels_differ": labels,
        "largest_steps": None,
        "mean_steps": None,
        "largest_score": round(max(scores), 4),
    }
    if all(row.logits is not None for row in log.answers):
        off = np.abs(np.array([row.logits for row in log.answers]) - steps)
        found |= {"largest_steps": int(off.max()), "mean_steps": round(float(off.mean()), 3)}
    return found


def text(found: dict[str, Any]) -> str:
    """The result of `compare` for people, a line each."""
    lines = [
        f"{'match' if found['match'] else 'DIFFERS':<9} "
        f"{found['labels_differ']} of {found['pictures']} labels differ, scores by up to "
        f"{found['largest_score']:g}"
    ]
    if found["largest_steps"] is not None:
        lines.append(
            f"logits    off by {found['largest_steps']} steps at most, {found['mean_steps']:g} on "
            "the mean"
        )
    if found["cause"]:
        lines.append(f"cause     {found['cause']}")
    elif not found["match"]:
        lines.append(
            "cause     none of the usual mistakes explains it: look at the version of the module's "
            "runtime and at how its program resizes pictures"
        )
    return "\n".join(lines + [f"remark    {remark}" for remark in found["remarks"]])

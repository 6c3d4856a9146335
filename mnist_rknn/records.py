"""The files in which the steps leave their results: typed, checked when written and when read.

Each is JSON with `schema`, the number of its form. A file of another number is of another version
of this project, which a user can mend. One of ours that does not keep to its form is our fault.
"""

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import Fault, PipelineError
from .files import read_json, relative, write_json
from .language import _

NOT_MEASURED: Literal["not measured"] = "not measured"
ON_PC = "on this PC; stage rknn in the RKNN simulator; board: not measured"
SIMULATED = "in the RKNN simulator; board: not measured"

Share = Annotated[float, Field(ge=0, le=1)]
StageName = Literal["paddle", "onnx", "slim", "rknn"]
STAGES: tuple[StageName, ...] = ("paddle", "onnx", "slim", "rknn")
P = TypeVar("P", bound="Part")
R = TypeVar("R", bound="Record")


class Part(BaseModel):
    """A part of a file: no unknown keys, no silent change of type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class Record(Part):
    """A whole file in a run's folder."""

    FILE: ClassVar[str]  # its name
    STEP: ClassVar[str]  # what writes it, as a message tells the user to run it
    SCHEMA: ClassVar[int] = 1  # to be raised with every change that old files do not keep to

    def write(self, folder: Path) -> None:
        """Write the file into a folder, in one step.

        Raises:
            Fault: the record does not keep to its form, as a copy with changes may not.
        """
        content = self.model_dump(by_alias=True)
        checked(type(self), content, self.FILE)
        write_json(folder / self.FILE, {"schema": self.SCHEMA, **content})

    @classmethod
    def read(cls: type[R], path: Path) -> R:
        """Read the file.

        Args:
            path: of the file, or of the folder it lies in.

        Raises:
            PipelineError: it is missing, damaged, or of another version of this project.
            Fault: it is of this version and does not keep to its form.
        """
        path = path / cls.FILE if path.is_dir() else path
        if not path.is_file():
            raise PipelineError(
                _("{path} is missing: run {step} first").format(path=relative(path), step=cls.STEP)
            )
        content = read_json(path)
        number = content.pop("schema", None) if isinstance(content, dict) else None
        if number != cls.SCHEMA:
            newer = isinstance(number, int) and number > cls.SCHEMA
            raise PipelineError(
                _("{path} was written by {newer} version of this project: run {step} again").format(
                    path=relative(path), newer="a newer" if newer else "an older", step=cls.STEP
                )
            )
        return checked(cls, content, relative(path))


def checked(kind: type[P], content: dict[str, Any], name: str) -> P:
    """Plain data of ours as what it should be.

    Args:
        name: of the file that holds it, for the message.

    Raises:
        Fault: it is something else.
    """
    try:
        # As JSON: what is written must be what can be read.
        return kind.model_validate_json(json.dumps(content))
    except (TypeError, ValidationError) as error:
        said = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise Fault(
            _("{name} is not what this version writes ({said})").format(name=name, said=said)
        ) from error


# --- accuracies: verify.json, and results.json of real pictures ---------------------------


class Accuracy(Part):
    """Top-1 accuracy with its 95 % Wilson interval."""

    top1: Share
    low: Share
    high: Share
    correct: int = Field(ge=0)
    images: int = Field(ge=0)


class Cosine(Part):
    """Cosine of a stage's logits and the slim model's, over all pictures; from -1 to 1."""

    mean: float
    min: float


class Stage(Part):
    """All figures of one stage of the conversion on one set of pictures."""

    accuracy: Accuracy
    drop: float  # top-1 that is lost against Paddle
    agreement: Share  # of the pictures with Paddle's answer
    cosine: Cosine
    class_accuracy: dict[str, Share | None]  # by label; None for a class without pictures
    confusion_matrix: list[list[int]]  # rows are true classes, columns answers


Stages = dict[StageName, Stage]  # in the order of the chain
Groups = dict[StageName, dict[str, Accuracy]]  # by stage, then by group; group "all" is all


class Shown(Part):
    """A test picture that the report shows."""

    file: str  # from the run's folder
    true: str
    by_float: str = Field(alias="float")  # answers
    by_int8: str = Field(alias="int8")
    certainty: Share  # probability of INT8's answer


class Verification(Record):
    """`verify.json`: every stage on the test images, and what is missed of the recipe."""

    FILE = "verify.json"
    STEP = "06_verify"

    passed: bool
    misses: list[str]  # thresholds and budgets of the recipe that were missed
    causes: list[str]  # where in the chain something was lost
    thresholds: dict[str, int | float]  # section `verify` of the recipe
    measured: str = ON_PC
    model_sha256: str  # of the .rknn file
    stages: Stages
    camera: Stages | None  # on the simulated camera, where the recipe has one
    hard_cases: Groups | None  # on its hard cases
    images_per_second: dict[StageName, float]  # on this PC
    flipped: list[Shown]  # INT8 and float disagree
    least_certain: list[Shown]

    @model_validator(mode="after")
    def _complete(self) -> "Verification":
        if self.passed == bool(self.misses):
            raise ValueError("it passed, or misses something")
        for stages in (self.stages, self.camera):
            if stages is not None and tuple(stages) != STAGES:
                raise ValueError(f"the stages are {', '.join(STAGES)}")
        return self


class Misread(Part):
    """A picture that a stage answers wrongly."""

    file: str  # from the folder; of pen trajectories the line
    true: str
    answer: str


class OfOthers(Record):
    """What was found on pictures from elsewhere."""

    FILE = "results.json"
    STEP = "make evaluate"


class Evaluation(OfOthers):
    """`results.json`: a finished model on a folder of real pictures."""

    measured: str = "slim: float ONNX on this PC; rknn: INT8 in the RKNN simulator"
    accuracy: Groups
    class_accuracy: dict[StageName, dict[str, Share | None]]
    wrong: dict[StageName, list[Misread]]


class Ratio(Part):
    """A count of something over another, with its 95 % interval."""

    share: float = Field(ge=0)
    low: float = Field(ge=0)
    high: float = Field(ge=0)
    count: int = Field(ge=0)
    of: int = Field(ge=1)


class FrameGroup(Part):
    """Figures of camera frames with several digits; None where there is nothing to count."""

    frames: int
    digits: int
    recall: Ratio | None  # of the true digits those that were found; None without true boxes
    precision: Ratio | None  # of the boxes those that hold a digit
    read: Ratio | None  # of the true digits those that were found and read
    edits: Ratio | None  # edit distance a true digit
    right: Ratio  # whole frames


class MisreadFrame(Part):
    """A frame of which a stage reads something else than what is written."""

    file: str
    true: str  # lines separated by /
    answer: str
    picture: str  # beside the results


class Doubt(Part):
    """What is lost and gained if digits of a lower score are refused."""

    threshold: Share
    wrong: int
    wrong_kept: int
    right: int
    right_refused: int


class FramesEvaluation(OfOthers):
    """`results.json` in `frames/`: a finished model on a folder of whole camera frames."""

    measured: str = (
        "locator of the module's Python program on this PC; slim: float ONNX on this PC; rknn: "
        "INT8 in the RKNN simulator; board: not measured"
    )
    intervals: str = "95 %; frames right by Wilson, all others by drawing whole frames again"
    figures: dict[StageName, dict[str, FrameGroup]]  # by stage, then by group; "all" is all
    doubts: dict[StageName, list[Doubt]]  # by rising threshold; empty without true boxes
    wrong: dict[StageName, list[MisreadFrame]]
    notes: list[str]  # frames with more digits than are read


class PenFigures(Part):
    """Accuracies on pen trajectories drawn in one way, by stage; group "all" is all.

    The intervals are those of new writers: writers are drawn again, with all of their digits.
    """

    sites: Groups
    digits: Groups
    illegible: int  # digits of which no legible picture came out: they count nowhere


class PenEvaluation(OfOthers):
    """`results.json` in `pen/`: a finished model on digits that were recorded as pen paths."""

    measured: str = (
        "slim: float ONNX on this PC; rknn: INT8 in the RKNN simulator; board: not measured"
    )
    intervals: str = "95 %, writers drawn again with all of their digits"
    writers: dict[str, int]  # by site; "all" is all
    figures: dict[Literal["clean", "camera"], PenFigures]  # white on black; simulated camera
    wrong: dict[Literal["clean", "camera"], dict[StageName, list[Misread]]]


# --- the converter: layers.json and layer_error.json --------------------------------------


class Layer(Part):
    """One row of the compiler's layer table. All figures are the compiler's estimates."""

    id: int
    operator: str
    dtype: str
    target: str  # NPU or CPU
    input_shape: str
    output_shape: str
    ddr_cycles: int
    npu_cycles: int
    cycles: int  # the larger of the two; 0 where the compiler gives none (pool, Mul)
    traffic_kb: float  # KB read and written
    name: str


class Estimate(Part):
    """What a model costs, by the compiler's estimate."""

    source: str = "compiler estimate (rknn-toolkit2), not measured on a board"
    cycles: int  # a lower bound, as some layers print 0
    weights_kb: float
    internal_kb: float


class Compilation(Estimate, Record):
    """`layers.json`: what the compiler printed about a model."""

    FILE = "layers.json"
    STEP = "05_convert"

    layers: list[Layer]

    def estimate(self) -> Estimate:
        """The sums alone."""
        return Estimate(**self.model_dump(include=set(Estimate.model_fields)))


class Loss(Part):
    """What a layer loses in INT8, over several pictures."""

    cosine: float  # mean, -1 to 1
    lowest: float
    distance: float  # Euclidean, mean, in the layer's own units


class LayerError(Part):
    """A layer in float and in INT8."""

    operator: str
    name: str  # of the ONNX tensor it writes
    accumulated: Loss  # with the errors of all layers before it
    single: Loss  # with a float input


class LayerErrors(Record):
    """`layer_error.json`: which layer loses what, in execution order."""

    FILE = "layer_error.json"
    STEP = "05_convert"

    measured: str = "in the RKNN simulator on validation pictures; board: not measured"
    pictures: int
    layers: list[LayerError]
    worst: list[str]  # names


# --- the study: quantstudy.json and second_opinion.json -----------------------------------


class Score(Part):
    """Quantized logits beside the float ones and the true classes."""

    pictures: int
    accuracy: Share  # top-1
    float_accuracy: Share
    agreement: Share
    cosine: float
    lowest_cosine: float


class Setting(Part):
    """How to quantize."""

    algorithm: str
    method: str
    images: int  # calibration pictures


class StudyRow(Setting, Score):
    """One build of the study."""

    seed: int  # of the choice of calibration pictures
    calibration: str
    seconds: float


class RankedSetting(Setting):
    """A setting with means over its seeds."""

    accuracy: Share
    spread: Share
    cosine: float
    lowest_cosine: float
    agreement: Share
    seeds: int


class Study(Record):
    """`quantstudy.json`: settings of the quantization, ranked on validation pictures."""

    FILE = "quantstudy.json"
    STEP = "08_quantization"

    measured: str = SIMULATED
    rows: list[StudyRow]
    settings: list[RankedSetting]  # best first
    present: Setting
    winner: Setting
    test: dict[Literal["present", "winner"], Score]  # on the test images


class SecondOpinion(Record):
    """`second_opinion.json`: the closed quantizer beside onnxruntime's."""

    FILE = "second_opinion.json"
    STEP = "08_quantization"

    measured: str = (
        "QDQ in onnxruntime on this PC, the others in the RKNN simulator; validation pictures"
    )
    scores: dict[str, Score]
    accuracy_gap: float  # top-1 of rknn-toolkit2 less that of the QDQ graph
    allowed_gap: Share  # verify.max_quantizer_gap of the recipe
    agrees: bool
    steps_between_engines: float  # largest difference on the QDQ graph, in output steps


# --- the compression lab: table.json ------------------------------------------------------


class CompressionRow(Part):
    """A network of the lab, measured on its files. Lists have an entry for each seed."""

    lesson: str  # the step that made it
    name: str
    recipe: str
    recipe_sha256: str  # of every key that matters
    measured: str  # where the accuracies come from
    seeds: Annotated[list[int], Field(min_length=1)]  # of the trainings
    test: list[Accuracy]  # on the recipe's test images
    camera: list[Accuracy]  # on its simulated camera; empty for a network of another input
    cycles: int | None  # compiler estimate; None for one that was not compiled
    weights: int = Field(ge=0)  # that are not zero, in the first file
    files: list["Artifact"]  # paths from the run's folder
    seconds: float  # to make and measure all of it
    packages: dict[str, str]

    @model_validator(mode="after")
    def _complete(self) -> "CompressionRow":
        count = len(self.seeds)
        if len(self.test) != count or len(self.camera) not in (0, count) or not self.files:
            raise ValueError("a row has accuracies for each seed, and a file")
        return self


class CompressionTable(Record):
    """`table.json`: rows of one lesson in its folder, and of all in `output/compression/`."""

    FILE = "table.json"
    STEP = "make compression"

    rows: list[CompressionRow]


# --- the module: board.json ---------------------------------------------------------------


class GoldenComparison(Part):
    """A board's answers to the golden pictures beside the simulator's."""

    match: bool
    pictures: int
    labels_differ: int
    largest_steps: int | None  # between the INT8 logits; None if the log has none
    mean_steps: float | None
    largest_score: float
    cause: str | None
    remarks: list[str]


class Bench(Part):
    """Speed on the module."""

    frames_per_second: float
    predict_per_second: float | None  # None if no digit was found


class BoardFigures(Part):
    """What was measured on the module."""

    measured: Literal["on the module"] = "on the module"
    model_sha256: str
    program: Literal["C++", "Python"]
    kernel: str | None
    python: str | None
    runtime: str | None
    driver: str | None
    golden: GoldenComparison
    bench: Bench


class Board(BoardFigures, Record):
    """`board.json`."""

    FILE = "board.json"
    STEP = "make board"

    def figures(self) -> BoardFigures:
        """As they stand in the manifest."""
        return BoardFigures(**self.model_dump())


# --- manifest.json ------------------------------------------------------------------------


class Artifact(Part):
    """A file worth keeping."""

    path: str  # from the run's folder
    bytes: int
    sha256: str


class Target(Part):
    """What the model was made for, and by what."""

    platform: str
    toolkit: str
    mini: bool


class Input(Part):
    """What the model takes."""

    name: str
    shape: list[int]
    dtype: str = "uint8 on the board, NHWC; the NPU normalises"
    mean: list[float]
    std: list[float]
    color_order: Literal["rgb", "bgr"]


class Output(Part):
    """What the model answers with: value = (q - zero_point) * scale."""

    name: str
    shape: list[int]
    dtype: str
    scale: float
    zero_point: int
    labels: list[str]


class Seeds(Part):
    """What was drawn with which seed."""

    split: int
    training: int
    calibration: int


class Calibration(Part):
    """The pictures that set the INT8 ranges; what 04_calibration records."""

    images: int
    seed: int
    split: Literal["train"]
    sha256: dict[str, str]  # by file name


class Training(Part):
    """What 02_train records."""

    val_top1: Share
    epochs: int
    parameters: int
    engine: str


class Manifest(Record):
    """`manifest.json`: everything about a run that somebody else needs to trust the model.

    Paths are relative to the run's folder. Accuracies are top-1 on the recipe's test images,
    measured on this PC (`rknn`: in the simulator); the estimate is the compiler's. Only `board`
    was measured on a module, where `make board` has been run.
    """

    FILE = "manifest.json"
    STEP = "06_verify"

    recipe: dict[str, Any]  # plain, so that the keys of another version can be compared
    artifacts: dict[str, Artifact]
    packages: dict[str, str]
    target: Target
    input: Input
    output: Output
    seeds: Seeds
    accuracy: dict[StageName, Share]
    camera_accuracy: dict[StageName, Share]
    hard_case_accuracy: dict[StageName, dict[str, Share]]
    verified: bool
    misses: list[str]
    calibration: Calibration
    training: Training
    estimate: Estimate
    board: BoardFigures | Literal["not measured"] = NOT_MEASURED
    durations: dict[str, float]  # seconds of each step

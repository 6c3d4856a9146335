"""Recipes: the one place for the facts of a run.

What a recipe may say, section by section, and what cannot work. Image size, mean, std and colour
order stand in it once; training, calibration, conversion and the manifest read them from there.
`recipe_file` reads it.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .redraw.config import RedrawConfig, Strengths, moved

FEWEST_CALIBRATION_IMAGES = 20
LAYOUTS = ("labelme", "paddlex", "table", "idx", "folder")  # of sets of one's own
PADDLEX_DEVICES = r"auto|cpu|(gpu|xpu|npu|mlu|dcu)(:\d+(,\d+)*)?"


class Section(BaseModel):
    """Base of all recipe sections: no unknown keys, no silent change of type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Samples(Section):
    """Upper limits on the number of images of each split; `null` takes all."""

    train: int | None = Field(None, ge=1)
    validation: int | None = Field(None, ge=1)
    test: int | None = Field(None, ge=1)


class Redraw(Section):
    """Digits redrawn as ink on photographed paper, for a model that meets a camera.

    Counts are numbers of pictures.
    """

    plain: int = Field(50000, ge=0)  # as the data set has them, most with slightly changed writing
    untouched: int = Field(20000, ge=0)  # of these, so many exactly as they are
    camera: int = Field(65000, ge=0)  # the data set's digits, redrawn
    drawn: int = Field(25000, ge=0)  # ways of writing the data set lacks, drawn from strokes
    written: int = Field(0, ge=0)  # the same ways, white on black as the data set has its digits
    validation: int = Field(3000, ge=1)  # redrawn validation digits, beside the plain ones
    test: int = Field(5000, ge=1)  # test digits in the simulated camera's other world
    hard: int = Field(1000, ge=1)  # test digits in each of redraw.worlds.HARD_CASES
    strengths: Strengths = Strengths()  # redraw/config.py has their names and limits

    @field_validator("strengths", mode="before")
    @classmethod
    def _in_groups(cls, strengths: Any) -> Any:
        for name, value in strengths.items() if isinstance(strengths, dict) else ():
            group = name in Strengths.model_fields and isinstance(value, dict)
            place = None if group else moved(str(name))
            if place:
                here = "dataset.redraw.strengths"
                raise ValueError(f"{here}.{name}: it is {here}.{place} now")
        return strengths

    def config(self, image_size: int) -> RedrawConfig:
        """The training world, for pictures of `image_size` pixels."""
        return RedrawConfig(image_size=image_size, **dict(self.strengths))


class Dataset(Section):
    """Where the pictures come from and how they are split.

    `validation` and `test` say how much is split off where the set does not bring its own: a
    whole number is a count of pictures, a fraction a share of those it is taken from.
    """

    kind: Literal["mnist", "idx", "folder", "labelme", "paddlex", "table"] = "mnist"
    path: str | None = None  # folder or zip, absolute or from the project's folder; not for mnist
    take: str | None = None  # a folder in it, one of several IDX sets, or class folders as "*/*"
    split: Literal["own", "new"] = "own"  # new: all pictures anew, whatever the set says
    turn: bool | None = None  # idx: pictures lie on their side; null: if it is EMNIST
    source: str | None = None  # mnist: folder or zip of its four files; null: see `mnist.fetch`
    labels: list[str] | None = None  # idx: names of its classes, in the order of their numbers
    validation: int | float = 0.15  # of the training images; not for sets with their own
    test: int | float = 0.15  # of all images; not for sets with their own
    samples: Samples = Samples()
    redraw: Redraw | None = None  # null: the pictures as they are

    @field_validator("validation", "test", mode="before")
    @classmethod
    def _a_count_or_a_share(cls, part: Any) -> Any:
        count = isinstance(part, int) and not isinstance(part, bool) and part >= 1
        share = isinstance(part, float) and 0 < part < 1
        if not count and not share:
            raise ValueError("use a count of pictures, such as 5000, or a share, such as 0.15")
        return part

    @model_validator(mode="after")
    def _keys_of_the_kind(self) -> "Dataset":
        if self.kind == "mnist" and self.path:
            raise ValueError(
                f"dataset.path: {self.path} is not read for kind mnist; set dataset.kind to idx, "
                "folder, labelme or paddlex, or name the four files' folder in dataset.source"
            )
        if self.kind != "mnist" and not self.path:
            raise ValueError(
                f"dataset.path: it is missing; kind {self.kind} needs the folder or zip"
            )
        if self.kind != "mnist" and self.source:
            raise ValueError("dataset.source: it is for kind mnist; use dataset.path")
        if self.kind == "mnist" and (self.take or self.split == "new"):
            raise ValueError(
                "dataset.take, dataset.split: kind mnist is one set with its own split"
            )
        if self.turn is not None and self.kind != "idx":
            raise ValueError(f"dataset.turn: it is for kind idx, and this is {self.kind}")
        if self.labels is not None and self.kind != "idx":
            raise ValueError(f"dataset.labels: kind {self.kind} has names of its own; remove it")
        if self.redraw and self.kind not in ("mnist", "idx"):
            raise ValueError(
                f"dataset.redraw: it draws handwritten digits, and kind {self.kind} brings "
                "pictures of its own; set it to null"
            )
        return self


class Image(Section):
    """What the network sees. Written once, used by every step and on the board."""

    height: int = Field(32, ge=16, le=1024)
    width: int = Field(32, ge=16, le=1024)
    color_order: Literal["rgb", "bgr"] = "rgb"
    mean: Annotated[list[float], Field(min_length=3, max_length=3)] = [127.5, 127.5, 127.5]
    std: Annotated[list[float], Field(min_length=3, max_length=3)] = [127.5, 127.5, 127.5]

    @field_validator("width")
    @classmethod
    def _width_fits_the_npu(cls, width: int) -> int:
        if width % 16:
            raise ValueError(
                "the RV1106 reads rows in steps of 16 pixels; "
                f"use a multiple of 16, such as {max(16, round(width / 16) * 16)}"
            )
        return width

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _three_plain_numbers(cls, values: Any) -> Any:
        if isinstance(values, list) and any(isinstance(value, list) for value in values):
            raise ValueError("write one plain list of three numbers, such as [127.5, 127.5, 127.5]")
        if isinstance(values, list):
            return [
                float(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in values
            ]
        return values

    @field_validator("mean")
    @classmethod
    def _mean_in_pixel_units(cls, mean: list[float]) -> list[float]:
        if not all(0 <= value <= 255 for value in mean):
            raise ValueError("a mean is a pixel value from 0 to 255")
        if 0 < max(mean) <= 1:
            raise ValueError(
                "RKNN counts pixels from 0 to 255; multiply a mean given as a fraction by 255"
            )
        return mean

    @field_validator("std")
    @classmethod
    def _std_in_pixel_units(cls, std: list[float]) -> list[float]:
        if not all(0 < value <= 255 for value in std):
            raise ValueError("a std is above 0 and at most 255: pixels are divided by it")
        return std

    @model_validator(mode="after")
    def _same_units(self) -> "Image":
        if max(self.mean) > 1 and max(self.std) <= 1:
            raise ValueError(
                f"image.std: {self.std} is a fraction while image.mean is in pixel units; "
                "multiply it by 255"
            )
        return self


class Model(Section):
    """The network."""

    name: str = "DigitNet"  # a class of mnist_rknn/training/networks.py, or a model name of PaddleX
    architecture: str | None = None  # PaddleClas's name for it, where that is another
    arguments: dict[str, Any] = {}  # of the architecture

    @property
    def built_as(self) -> str:
        """PaddleClas's name for the network."""
        return self.architecture or self.name

    @field_validator("name", "architecture")
    @classmethod
    def _a_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_\-]*", name):
            raise ValueError("give the name of a model, such as DigitNet")
        return name


class ProgressiveResizing(Section):
    """Smaller pictures in the first part of the training, which take less time."""

    scales: list[float] = Field([0.75], min_length=1)  # of height and width, one for each batch
    share: float = Field(0.6, ge=0, le=1)  # of the training that is done with them

    @field_validator("scales")
    @classmethod
    def _within_the_input(cls, scales: list[float]) -> list[float]:
        if not all(0.1 <= scale <= 1 for scale in scales):
            raise ValueError("give parts of the input's size, from 0.1 to 1, such as [0.75]")
        return scales


class Train(Section):
    """Training in PaddleX. `transforms` are PaddleClas operators for training images only."""

    epochs: int = Field(4, ge=1)
    batch_size: int = Field(64, ge=2)
    optimizer: Literal["Momentum", "Muon"] = "Momentum"  # PaddleClas's, or of optimizers.py
    learning_rate: float = Field(0.1, gt=0, le=10)
    warmup_epochs: float = Field(0.0, ge=0)  # in which the learning rate rises to its value
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    transforms: list[dict[str, Any]] = []
    progressive_resizing: ProgressiveResizing | None = None  # null: always the input's size
    device: str = "auto"  # auto, cpu, gpu, gpu:0,1 ...
    dist_ips: str | None = None  # PaddleX's list of machines, "192.168.0.16,192.168.0.17"
    processes: int = Field(2, ge=1, le=64)  # that share a batch on a CPU; a GPU takes one
    workers: int = Field(0, ge=0, le=64)  # processes that decode images, for each of these
    min_accuracy: float = Field(0.0, ge=0, le=1)  # validation top-1 below which the step fails

    @field_validator("device")
    @classmethod
    def _a_paddlex_device(cls, device: str) -> str:
        if not re.fullmatch(PADDLEX_DEVICES, device):
            raise ValueError("use auto, cpu, gpu, or gpu with numbers as in gpu:0,1")
        return device

    @model_validator(mode="after")
    def _a_share_for_every_process(self) -> "Train":
        if self.batch_size % self.processes:
            raise ValueError(
                f"train.batch_size: {self.batch_size} cannot be shared by train.processes "
                f"({self.processes}); make it a multiple"
            )
        return self

    @model_validator(mode="after")
    def _warmup_before_the_end(self) -> "Train":
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"train.warmup_epochs: {self.warmup_epochs} leaves no epoch to learn in; "
                f"use less than train.epochs ({self.epochs})"
            )
        return self


class Export(Section):
    """paddle2onnx and onnxslim."""

    opset: int = 14
    logits: str | None = None  # name of the logits tensor; null finds it by structure
    max_difference: float = Field(1e-3, gt=0)  # between Paddle, ONNX and slim ONNX

    @field_validator("opset")
    @classmethod
    def _opset_rknn_reads(cls, opset: int) -> int:
        if not 12 <= opset <= 19:
            raise ValueError("rknn-toolkit2 reads ONNX opset 12 to 19; use 14")
        return opset


class Calibration(Section):
    """The training images whose value ranges set the INT8 scales."""

    images: int = Field(100, ge=FEWEST_CALIBRATION_IMAGES, le=1000)


class Rknn(Section):
    """rknn-toolkit2. Keys are named after the arguments of its calls."""

    toolkit: Literal["2.3.2", "2.5.0"] = "2.3.2"  # the module's runtime is 2.3.2
    quantized_algorithm: Literal["normal", "kl_divergence", "mmse"] = "normal"
    quantized_method: Literal["channel", "layer"] = "channel"
    optimization_level: int = Field(3, ge=0, le=3)

    @model_validator(mode="before")
    @classmethod
    def _nothing_that_leaves_no_choice(cls, keys: Any) -> Any:
        for key in keys if isinstance(keys, dict) else ():
            if key in REFUSED:
                raise ValueError(f"rknn.{key}: {REFUSED[key]}; remove the key")
        return keys


REFUSED: Mapping[str, str] = {
    "target_platform": "the Lockzhiner Vision Module is an RV1106, and all models are built for it",
    "do_quantization": "the RV1106's NPU has no float mode, so all models are quantized",
    "quantized_dtype": "all models are w8a8: of the others, rknn-toolkit2 does not build float16 "
    "and w16a16i for the RV1106, and boards were reported to give wrong results with w16a16i_dfp",
    "dynamic_input": "it builds a model that the RV1106's runtime cannot load",
    "op_target": "layers run on the NPU; one that is sent to the CPU is accepted by the toolkit "
    "and fails on the board",
}
"""Arguments of the toolkit's calls that leave no choice, whatever their value, and why."""


class Verify(Section):
    """What the INT8 model must reach on the test images; a miss fails the step."""

    min_accuracy: float = Field(0.99, ge=0, le=1)  # top-1 in the RKNN simulator
    max_drop: float = Field(0.0015, ge=0, le=1)  # top-1, Paddle float minus INT8, on each set
    min_cosine: float = Field(0.995, ge=-1, le=1)  # mean cosine of float and INT8 logits
    min_camera_accuracy: float = Field(0.0, ge=0, le=1)  # top-1 on the simulated camera
    # Top-1 between rknn-toolkit2 and onnxruntime's quantizer, on validation pictures (step 08).
    max_quantizer_gap: float = Field(0.002, ge=0, le=1)
    workers: int = Field(2, ge=1, le=64)  # simulator processes


class Budget(Section):
    """What the model may cost, by the compiler's estimate; more is a failed verify."""

    cycles: int | None = Field(None, ge=1)  # a lower bound: pooling and Mul count as 0
    weights_kb: float | None = Field(None, gt=0)
    internal_kb: float | None = Field(None, gt=0)


class Recipe(Section):
    """All facts of a run. `name` is the file's name and the name of the artifacts."""

    name: str
    description: str
    seed: int = Field(1, ge=0, lt=2**31)
    dataset: Dataset = Dataset()
    image: Image = Image()
    model: Model = Model()
    train: Train = Train()
    export: Export = Export()
    calibration: Calibration = Calibration()
    rknn: Rknn = Rknn()
    verify: Verify = Verify()
    budget: Budget = Budget()

    @field_validator("name")
    @classmethod
    def _usable_as_file_name(cls, name: str) -> str:
        if not is_name(name):
            raise ValueError("use letters, digits, '_', '-' and '.'")
        return name

    @model_validator(mode="after")
    def _redrawn_pictures_are_square(self) -> "Recipe":
        if self.dataset.redraw and self.image.width != self.image.height:
            raise ValueError(
                f"image.width: {self.image.width} differs from image.height; redrawn pictures "
                "are square: make them equal, or set dataset.redraw to null"
            )
        return self

    @model_validator(mode="after")
    def _enough_to_calibrate(self) -> "Recipe":
        if self.dataset.samples.train and self.dataset.samples.train < self.calibration.images:
            raise ValueError(
                f"calibration.images: {self.calibration.images} is more than "
                f"dataset.samples.train ({self.dataset.samples.train}); lower it"
            )
        return self


def is_name(text: str) -> bool:
    """Whether a recipe may be called so; artifacts are named after it."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.\-]*", text))

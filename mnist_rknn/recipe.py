"""Recipes: the one place for the facts of a run.

A recipe is a YAML file in `configs/`. Image size, mean, std and colour order stand in it
once; training, calibration, conversion and the manifest read them from there. `load`
checks every key and value and answers a mistake with one line.
"""

import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .errors import PipelineError
from .files import PROJECT
from .redraw.config import RedrawConfig

CONFIGS = PROJECT / "configs"
LARGEST = 100_000  # bytes of a recipe's file
FEWEST_CALIBRATION_IMAGES = 20
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

    Counts are numbers of pictures. `strengths` changes fields of `redraw.config.RedrawConfig`.
    """

    plain: int = Field(50000, ge=0)  # as the data set has them, most with slightly changed writing
    untouched: int = Field(20000, ge=0)  # of these, so many exactly as they are
    camera: int = Field(65000, ge=0)  # the data set's digits, redrawn
    drawn: int = Field(25000, ge=0)  # ways of writing the data set lacks, drawn from strokes
    validation: int = Field(3000, ge=1)  # redrawn validation digits, beside the plain ones
    test: int = Field(5000, ge=1)  # test digits in the simulated camera's other world
    hard: int = Field(1000, ge=1)  # test digits in each of redraw.config.HARD_CASES
    strengths: dict[str, Any] = {}

    @field_validator("strengths")
    @classmethod
    def _known_strengths(cls, strengths: dict[str, Any]) -> dict[str, Any]:
        defaults = {field.name: field.default for field in fields(RedrawConfig)}
        del defaults["image_size"]  # stands in section image
        for name, value in strengths.items():
            if name not in defaults:
                raise ValueError(f"unknown strength {name}; there are {', '.join(defaults)}")
            wanted, given = _shape(defaults[name]), _shape(value)
            if wanted != given:
                raise ValueError(f"{name} is written like its default, {defaults[name]}")
        return strengths

    def config(self, image_size: int) -> RedrawConfig:
        """Strengths for pictures of `image_size` pixels."""
        changes = {name: _tuples(value) for name, value in self.strengths.items()}
        return RedrawConfig(**{**changes, "image_size": image_size})


def _shape(value: Any) -> str:
    """What kind of strength a value is: a number, a range, a name, or a table."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    if isinstance(value, (list, tuple)):
        is_range = len(value) == 2 and all(_shape(v) == "number" for v in value)
        return "range" if is_range and value[0] <= value[1] else "table"
    return type(value).__name__


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


class Dataset(Section):
    """Where the pictures come from and how they are split.

    `validation` and `test` say how much is split off where the set does not bring its own: a
    whole number is a count of pictures, a fraction a share of those it is taken from.
    """

    kind: Literal["mnist", "idx", "folder", "labelme", "paddlex"] = "mnist"
    path: str | None = None  # folder or zip, absolute or from the project's folder; not for mnist
    source: str | None = None  # mnist: folder with IDX or IDX.gz files; null: see `mnist.fetch`
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
    target_platform: str = "rv1106"
    do_quantization: bool = True
    quantized_dtype: str = "w8a8"
    quantized_algorithm: Literal["normal", "kl_divergence", "mmse"] = "normal"
    quantized_method: Literal["channel", "layer"] = "channel"
    optimization_level: int = Field(3, ge=0, le=3)
    dynamic_input: None = None
    op_target: dict[str, str] | None = None

    @field_validator("target_platform")
    @classmethod
    def _the_module(cls, platform: str) -> str:
        if platform.lower() != "rv1106":
            raise ValueError("the Lockzhiner Vision Module is an RV1106; use rv1106")
        return platform.lower()

    @field_validator("do_quantization")
    @classmethod
    def _quantized(cls, wanted: bool) -> bool:
        if not wanted:
            raise ValueError("the RV1106 NPU has no float mode; use true")
        return wanted

    @field_validator("quantized_dtype")
    @classmethod
    def _dtype_the_npu_runs(cls, dtype: str) -> str:
        if dtype == "w16a16i_dfp":
            raise ValueError(
                "it converts, but boards were reported to give wrong results; use w8a8"
            )
        if dtype != "w8a8":
            raise ValueError("rknn-toolkit2 does not build it for rv1106; use w8a8")
        return dtype

    @field_validator("dynamic_input", mode="before")
    @classmethod
    def _no_dynamic_input(cls, value: Any) -> None:
        if value is not None:
            raise ValueError(
                "it builds a model that the RV1106 runtime cannot load; remove the key"
            )

    @field_validator("op_target")
    @classmethod
    def _no_cpu_layers(cls, targets: dict[str, str] | None) -> dict[str, str] | None:
        for layer, target in (targets or {}).items():
            if target != "npu":
                raise ValueError(
                    f"layer {layer} on {target!r} is accepted by the toolkit and fails on the "
                    "board; use npu or remove the key"
                )
        return targets


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


def names() -> list[str]:
    """Names of the recipes in `configs/`, sorted."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def load(recipe: str = "mnist", overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """Read, override and check a recipe.

    Args:
        recipe: a name in `configs/`, or the path of a YAML file.
        overrides: changes as "section.key=value"; the value is read as YAML.

    Raises:
        PipelineError: no such recipe, not YAML, or a key or value that cannot work.
    """
    path = find(recipe)
    content = parse_yaml(path)
    if not isinstance(content, dict):
        raise PipelineError(f"recipe {path.name} is empty: start from configs/mnist.yaml")
    content = {"name": path.stem, **content}
    for override in overrides:
        _set(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise PipelineError(_one_line(path.name, error)) from None


def parse_yaml(path: Path) -> Any:
    """The content of a YAML file of ours or the maker's.

    Raises:
        PipelineError: not YAML, with references, or far too long.
    """
    if path.stat().st_size > LARGEST:
        raise PipelineError(f"recipe {path.name} has more than {LARGEST:,} bytes: it is no recipe")
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" at line {place.line + 1}" if place else ""
        raise PipelineError(f"recipe {path.name} is not valid YAML{where}") from None


def _parse(text: str) -> Any:
    """YAML without references, whose expansion has no limit.

    Raises:
        yaml.YAMLError: not YAML, or with a reference.
        ValueError: a date or number that does not exist.
        RecursionError: nested too deeply.
    """
    for token in yaml.scan(text):
        if isinstance(token, yaml.AliasToken):
            raise yaml.MarkedYAMLError(problem="a reference", problem_mark=token.start_mark)
    return yaml.safe_load(text)


def find(recipe: str) -> Path:
    """Path of a recipe given by name or by path."""
    if recipe.endswith((".yaml", ".yml")):
        if Path(recipe).is_file():
            return Path(recipe)
        raise PipelineError(f"recipe file {recipe} does not exist")
    path = CONFIGS / f"{recipe}.yaml"
    if "/" in recipe or not path.is_file():
        raise PipelineError(f"unknown recipe {recipe!r}: choose one of {', '.join(names())}")
    return path


def _set(content: dict, override: str) -> None:
    """Apply one "a.b=value" to nested dictionaries, in place."""
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise PipelineError(f"override {override!r}: write it as section.key=value")
    try:
        value = _parse(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise PipelineError(f"override {override!r}: the value is not valid YAML") from None
    if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
        try:
            value = float(value)
        except ValueError:
            pass
    *sections, last = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise PipelineError(f"override {override!r}: {section} is not a section")
    content[last] = value


def _one_line(name: str, error: ValidationError) -> str:
    """The first problem pydantic found, as one line: key, value, cure."""
    problem, others = error.errors()[0], error.error_count() - 1
    key = ".".join(str(part) for part in problem["loc"] if part != "function-before")
    more = f" (and {others} more)" if others else ""
    if problem["type"] == "extra_forbidden":
        fields = _section_fields(problem["loc"][:-1])
        return f"recipe {name}: unknown key {key}: the keys here are {', '.join(fields)}{more}"
    message = problem["msg"].removeprefix("Value error, ")
    if not message[:4].isupper():  # keep RKNN as it is
        message = message[:1].lower() + message[1:]
    if problem["type"] == "value_error" and isinstance(problem["input"], dict) and ": " in message:
        return f"recipe {name}: {message}{more}"  # a check across keys names its key itself
    if problem["type"] == "missing":
        return f"recipe {name}: {key} is missing{more}"
    value = repr(problem["input"])
    value = value if len(value) <= 80 else f"{value[:77]}..."
    return f"recipe {name}: {key}: {value} cannot work: {message}{more}"


def _section_fields(location: tuple) -> list[str]:
    section: Any = Recipe
    for part in location:
        section = section.model_fields[part].annotation
        section = next((a for a in get_args(section) if a is not type(None)), section)
    return list(section.model_fields)


def dump(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data, as it goes into the manifest."""
    return recipe.model_dump(mode="json")

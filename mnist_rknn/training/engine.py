"""PaddleX training without a clone: which engine it uses and what it is told.

PaddleX is a front: its trainer, evaluator and exporter start a PaddleClas tool in a child
process with a configuration file. Both parts of that are made here from the recipe, and
shown in the notebook.
"""

import importlib.util
import json
import logging
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from .. import fonts
from ..capture import log_handlers_to, output_to
from ..errors import PipelineError
from ..files import OUTPUT, PROJECT, relative, write_json
from ..language import _
from ..recipe import Recipe
from . import progress
from .paddleclas_launcher.launcher import ENGINE_VARIABLE, PROCESSES_VARIABLE

T = TypeVar("T")

LAUNCHER = Path(__file__).resolve().parent / "paddleclas_launcher"
CACHE = OUTPUT / ".paddlex"  # PaddleX would write into the user's home
STATE = ".unfinished.json"  # what a training in progress depends on
LOG = "paddlex.log"  # in `CACHE`: what PaddleX itself notes
CHECKOUT_VARIABLE = "PADDLE_PDX_PADDLECLAS_PATH"


@dataclass(frozen=True)
class Engine:
    """A PaddleClas that can train: `root` holds its package `ppcls`."""

    kind: str  # "checkout" or "wheel"
    root: Path

    def __str__(self) -> str:
        if self.kind == "wheel":
            return "PaddleClas 2.4.2 (registry wheel)"
        return f"PaddleClas checkout at {self.root}"


def find_engine() -> Engine:
    """The PaddleClas to train with.

    In this order: the checkout that `PADDLE_PDX_PADDLECLAS_PATH` names, the plug-in that
    `paddlex --install PaddleClas` leaves (as on AI Studio), the wheel from the registry.

    Raises:
        PipelineError: the variable names something else, or nothing was found.
    """
    named = os.environ.get(CHECKOUT_VARIABLE)
    if named and Path(named).resolve() != LAUNCHER:
        if (Path(named) / "ppcls").is_dir() and (Path(named) / "tools" / "train.py").is_file():
            return Engine("checkout", Path(named).resolve())
        raise PipelineError(
            _(
                "{checkout_variable} is {named}, which is not a PaddleClas checkout: "
                "unset it, or point it at a folder with ppcls/ and tools/"
            ).format(checkout_variable=CHECKOUT_VARIABLE, named=named)
        )
    paddlex = importlib.util.find_spec("paddlex")
    if paddlex and paddlex.origin:
        plug_in = Path(paddlex.origin).parent / "repo_manager" / "repos" / "PaddleClas"
        if (plug_in / "tools" / "train.py").is_file():
            return Engine("checkout", plug_in)
    wheel = importlib.util.find_spec("paddleclas")
    if wheel and wheel.origin and (Path(wheel.origin).parent / "ppcls" / "engine").is_dir():
        return Engine("wheel", Path(wheel.origin).parent)
    raise PipelineError(_("no PaddleClas engine found: install requirements.txt with `make setup`"))


def use_engine(recipe: Recipe) -> Engine:
    """Find the engine and set what PaddleX and the launcher read from the environment.

    PaddleX reads these variables when it is imported, so call this before `import paddlex`.
    """
    engine = find_engine()
    os.environ[ENGINE_VARIABLE] = str(engine.root)
    os.environ[PROCESSES_VARIABLE] = str(processes(recipe))
    os.environ[CHECKOUT_VARIABLE] = str(LAUNCHER)
    os.environ["PADDLE_PDX_CACHE_HOME"] = str(CACHE)
    os.environ["PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK"] = "True"  # no probe of model hosts
    os.environ["PADDLE_PDX_LOCAL_FONT_FILE_PATH"] = str(fonts.cjk_font())  # no font download
    _log_to(CACHE / LOG)
    # One OpenMP thread: the default of one a core made this training slower (TOOLCHAIN).
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Keep freed memory: glibc would give every large array back to the system and ask for it
    # again at the next layer, cleared page by page, which doubles the time of batch norm and ReLU.
    for limit in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        os.environ.setdefault(limit, str(1 << 30))
    return engine


def _log_to(file: Path) -> None:
    """Send what PaddleX notes to a file, and its errors to stderr too.

    It would write all of it to stderr, with paths of this machine: of its font, of its tools. It
    adds a handler of its own only to a logger that has none, and it does so when it is imported.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    logger = logging.getLogger("paddlex")
    if not logger.handlers:
        errors = logging.StreamHandler()
        errors.setLevel(logging.ERROR)
        logger.addHandler(logging.FileHandler(file, "w", encoding="utf-8", delay=True))
        logger.addHandler(errors)


def register(model: str) -> None:
    """Make PaddleX accept `model` as `Global.model`.

    PaddleX looks a model up by name twice: in its table of models, and among the names its
    trainer, evaluator, exporter and dataset checker classes declare in `entities`. Stock
    names are in both already.
    """
    import paddlex.repo_apis.PaddleClas_api  # noqa: F401  registers the suite
    from paddlex.modules.image_classification import (
        ClsDatasetChecker,
        ClsEvaluator,
        ClsExportor,
        ClsTrainer,
    )
    from paddlex.repo_apis.base import register as table

    try:
        table.get_registered_model_info(model)
        return
    except KeyError:
        pass
    table.register_model_info(
        {
            "model_name": model,
            "suite": "Cls",
            "config_path": "",  # ours comes as Train.basic_config_path
            "supported_apis": ["train", "evaluate", "predict", "export"],
        }
    )
    for parent in (ClsDatasetChecker, ClsTrainer, ClsEvaluator, ClsExportor):
        type(f"{model}{parent.__name__}", (parent,), {"entities": [model]})


def resolve_device(device: str) -> str:
    """`auto` as PaddleX writes it: "gpu:0" if Paddle sees a GPU, else "cpu"."""
    if device != "auto":
        return device
    import paddle

    has_gpu = paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    return "gpu:0" if has_gpu else "cpu"


def processes(recipe: Recipe) -> int:
    """How many processes share the training: one where a GPU trains, else as the recipe says.

    They talk over the loopback interface. Where even that is cut there is one process.
    """
    if not resolve_device(recipe.train.device).startswith("cpu"):
        return 1
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError:
        return 1
    return recipe.train.processes


def batch_of_one(recipe: Recipe) -> int:
    """Pictures of a batch that one process takes; PaddleX and PaddleClas count those."""
    return recipe.train.batch_size // processes(recipe)


def require_trainable(recipe: Recipe, check: dict[str, Any], labels: list[str]) -> None:
    """Check what PaddleX's dataset checker found.

    Args:
        check: its result.
        labels: class names by index.

    Raises:
        PipelineError: it refuses the data set or counts other classes, or the training images do
            not fill a batch; PaddleClas leaves out one that is not full, and nothing is learned.
    """
    found = check["attributes"]
    if not check["check_pass"]:
        raise PipelineError(_("PaddleX refuses the data set: run 01_data again"))
    if found["num_classes"] != len(labels):
        raise PipelineError(
            _("PaddleX counts {found} classes, label.txt has {count}: run 01_data again").format(
                found=found["num_classes"], count=len(labels)
            )
        )
    if found["train_samples"] < recipe.train.batch_size:
        raise PipelineError(
            _(
                "train.batch_size: {batch_size} is more than the {found} training "
                "images, so that no batch is ever full: lower it"
            ).format(batch_size=recipe.train.batch_size, found=found["train_samples"])
        )


def require_accuracy(recipe: Recipe, top1: float) -> None:
    """Check what a training has reached on the validation images.

    Raises:
        PipelineError: less than the recipe asks for, or no number.
    """
    floor = recipe.train.min_accuracy
    if not top1 >= floor:
        raise PipelineError(
            _(
                "validation top-1 {top1:.4f} is below train.min_accuracy {floor}: "
                "train longer, or lower train.learning_rate"
            ).format(top1=top1, floor=floor)
        )


def engine_config(recipe: Recipe, dataset: Path, output: Path, labels: list[str]) -> dict[str, Any]:
    """The PaddleClas configuration of a recipe: network, loss, optimiser, data and metrics.

    PaddleX fills in the device, and the folder to export to, when it starts the engine.

    Args:
        dataset: folder in PaddleX layout.
        output: folder for checkpoints and logs.
        labels: class names by index.
    """
    image, resizing = recipe.image, recipe.train.progressive_resizing
    topk = [1, min(5, len(labels))]
    decode = {"DecodeImage": {"to_rgb": image.color_order == "rgb", "channel_first": False}}
    normalize = {
        "NormalizeImage": {"scale": 1.0, "mean": image.mean, "std": image.std, "order": ""}
    }

    def loader(name: str, transforms: list, shuffle: bool) -> dict[str, Any]:
        return {
            "dataset": {
                "name": "ClsDataset",
                "image_root": str(dataset),
                "cls_label_path": str(dataset / f"{name}.txt"),
                "transform_ops": [decode, *transforms, normalize],
            },
            "sampler": {
                "name": "DistributedBatchSampler",
                "batch_size": batch_of_one(recipe) if shuffle else 256,
                "drop_last": shuffle,
                "shuffle": shuffle,
            },
            "loader": {"num_workers": recipe.train.workers, "use_shared_memory": False},
        }

    return {
        "Global": {
            "checkpoints": None,
            "pretrained_model": None,
            "output_dir": str(output),
            "device": "cpu",
            "seed": recipe.seed,
            "save_interval": 1,
            "eval_during_train": True,
            "eval_interval": 1,
            "epochs": recipe.train.epochs,
            "print_batch_step": 50,
            "use_visualdl": True,
            "image_shape": [3, image.height, image.width],
            "save_inference_dir": "",
            "progressive_resizing": resizing and resizing.model_dump(),
        },
        "Arch": {
            "name": recipe.model.built_as,
            "class_num": len(labels),
            **recipe.model.arguments,
        },
        "Loss": {
            "Train": [{"CELoss": {"weight": 1.0, "epsilon": recipe.train.label_smoothing or None}}],
            "Eval": [{"CELoss": {"weight": 1.0}}],
        },
        "Optimizer": {
            "name": recipe.train.optimizer,
            "momentum": recipe.train.momentum,
            "lr": {
                "name": "Cosine",
                "learning_rate": recipe.train.learning_rate,
                "warmup_epoch": recipe.train.warmup_epochs,
            },
            "regularizer": {"name": "L2", "coeff": recipe.train.weight_decay},
        },
        "DataLoader": {
            "Train": loader("train", recipe.train.transforms, shuffle=True),
            "Eval": loader("val", [], shuffle=False),
        },
        "Metric": {"Train": [{"TopkAcc": {"topk": topk}}], "Eval": [{"TopkAcc": {"topk": topk}}]},
        "Infer": {
            "infer_imgs": "",
            "batch_size": 10,
            "transforms": [decode, normalize, {"ToCHWImage": None}],
            "PostProcess": {
                "name": "Topk",
                "topk": topk[1],
                "class_id_map_file": str(dataset / "label.txt"),
            },
        },
    }


def to_yaml(config: dict[str, Any]) -> str:
    """Configuration as YAML, short lists on one line and nothing said by reference."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(config, Dumper=Dumper, sort_keys=False, default_flow_style=None, width=90)


def paddlex_config(
    recipe: Recipe, dataset: Path, output: Path, engine_file: Path
) -> dict[str, Any]:
    """What PaddleX's dataset checker, trainer, evaluator and exporter are told.

    Args:
        dataset: folder in PaddleX layout.
        output: folder for checkpoints and logs.
        engine_file: YAML file with `engine_config`.
    """
    best = str(output / "best_model" / "best_model.pdparams")
    return {
        "Global": {
            "model": recipe.model.name,
            "mode": "train",
            "dataset_dir": str(dataset),
            "device": resolve_device(recipe.train.device),
            "output": str(output),
        },
        "CheckDataset": {"convert": {"enable": False}, "split": {"enable": False}},
        "Train": {
            "basic_config_path": str(engine_file),
            "num_classes": None,
            "epochs_iters": recipe.train.epochs,
            "batch_size": batch_of_one(recipe),
            "learning_rate": recipe.train.learning_rate,
            "warmup_steps": recipe.train.warmup_epochs,
            "pretrain_weight_path": None,  # from scratch: no download
            "resume_path": last_checkpoint(output),
            "log_interval": 50,
            "eval_interval": 1,
            "save_interval": 1,
            "dist_ips": recipe.train.dist_ips,
        },
        "Evaluate": {
            "basic_config_path": str(engine_file),
            "weight_path": best,
            "log_interval": 50,
        },
        "Export": {"basic_config_path": str(engine_file), "weight_path": best},
    }


def last_checkpoint(output: Path) -> str | None:
    """The `.pdparams` of the last complete epoch in a training folder, to resume from."""
    epochs = {}
    for weights in output.glob("epoch_*/epoch_*.pdparams"):
        number = re.fullmatch(r"epoch_(\d+)", weights.stem)
        if number and all(weights.with_suffix(s).is_file() for s in (".pdopt", ".pdstates")):
            epochs[int(number[1])] = weights
    return str(epochs[max(epochs)]) if epochs else None


def open_folder(folder: Path, depends_on: Any) -> bool:
    """Make a training folder ready: keep an interrupted training, clear anything else.

    Args:
        folder: for checkpoints and logs.
        depends_on: plain data that decides the result. A training that was begun with
            other data is not resumed.

    Returns:
        Whether an interrupted training is there to go on with.
    """
    state = folder / STATE
    try:
        unfinished = json.loads(state.read_text(encoding="utf-8")) == depends_on
    except (OSError, ValueError):
        unfinished = False
    if not unfinished:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(state, depends_on)
    return unfinished and last_checkpoint(folder) is not None


def close_folder(folder: Path) -> None:
    """Say that the training is finished, so that the next one starts afresh."""
    (folder / STATE).unlink(missing_ok=True)


def epochs_left(folder: Path, epochs: int) -> int:
    """Epochs still to train, counted from the last checkpoint."""
    last = last_checkpoint(folder)
    return epochs - (int(Path(last).stem.removeprefix("epoch_")) if last else 0)


def run_in_thread(task: Callable[[], T], log: Path) -> T:
    """Call one of PaddleX's steps from a notebook, and print a line an epoch if it trains.

    PaddleX starts its child process with `asyncio.run`, which a notebook's own event loop
    forbids; in a thread it is free to.

    Args:
        log: file in the training's folder, where all that was printed can be read afterwards.

    Raises:
        PipelineError: the child process failed; the message holds its last error line.
    """
    from paddlex.utils.errors import CalledProcessError

    shown, begun = sys.stdout, time.time()
    try:
        with output_to(log) as file, log_handlers_to(file), ThreadPoolExecutor(1) as pool:
            future = pool.submit(task)
            for line in _epochs(future, log.parent, begun):
                print(line, file=shown, flush=True)
            return future.result()
    except (CalledProcessError, AssertionError, OSError) as error:
        text = getattr(error, "stderr", None) or ""
        if log.is_file():
            text += log.read_text(encoding="utf-8", errors="replace")
        raise PipelineError(
            _("PaddleClas stopped: {last_error} (whole log: {log})").format(
                last_error=_last_error(text, log, error), log=relative(log)
            )
        ) from None


def _epochs(future: Future, folder: Path, begun: float) -> Iterator[str]:
    """Lines of the epochs, each as soon as it is recorded, until the task has ended."""
    told, ended = 0, False
    while not ended:
        ended = bool(wait([future], timeout=0.5).done)
        lines = progress.epoch_lines(progress.read_last(folder, since=begun))
        yield from lines[told:]
        told = len(lines)


def _last_error(text: str, log: Path, error: Exception) -> str:
    """The line of a child's output that says why it stopped."""
    disk = shutil.disk_usage(log.parent if log.parent.is_dir() else PROJECT)
    if "No space left" in text or disk.free < 1 << 20:
        return "the disk is full; free some space and run again, training will go on"
    lines = [line for line in text.splitlines() if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (lines or str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def read_history(output: Path) -> dict[str, list[float]]:
    """Loss and accuracy of every epoch that was validated, from `progress.jsonl`.

    Args:
        output: folder of the training.

    Returns:
        "epoch", "train_loss", "train_top1", "val_loss", "val_top1"; accuracies from 0 to 1. And
        the learning rate between: "lr", and "lr_epoch", how many epochs had gone by.
    """
    events = progress.read(output)
    steps = [event for event in events if event["event"] == "iteration"]
    trained = {event["epoch"]: event for event in events if event["event"] == "epoch"}
    validated = {event["epoch"]: event for event in events if event["event"] == "validation"}
    complete = [
        epoch for epoch in trained if epoch in validated and trained[epoch]["top1"] is not None
    ]
    return {
        "epoch": complete,
        **{
            f"{split}_{key}": [of[epoch][key] for epoch in complete]
            for split, of in (("train", trained), ("val", validated))
            for key in ("loss", "top1")
        },
        "lr_epoch": [step["epoch"] - 1 + step["iteration"] / step["of"] for step in steps],
        "lr": [step["lr"] for step in steps],
    }


def parameter_count(weights: Path) -> int:
    """Number of values in a `.pdparams` file: weights, and the statistics of batch norms."""
    import paddle

    return sum(int(value.size) for value in paddle.load(str(weights)).values())

"""What PaddleX starts instead of a PaddleClas checkout.

PaddleX trains by running `tools/train.py`, `tools/eval.py` and `tools/export_model.py` of
a PaddleClas checkout in a child process. This folder holds those three files. Each calls
`run`, which makes the networks of `training/networks.py` and the optimiser of
`training/optimizers.py` known to PaddleClas, makes its reading of pictures quicker, adds
progressive resizing to its training and then

* hands over to the checkout's own tool, where there is a checkout, or
* runs the engine of the registry wheel `paddleclas` 2.4.2, which ships the engine but no
  `tools/`, after bringing it up to what PaddleX 3.7 and Paddle 3.3 expect of it.

The parent (`training/engine.py`) says which engine to use in `ENGINE_VARIABLE`, and in
`PROCESSES_VARIABLE` how many processes share a training on a processor.
"""

import ctypes
import functools
import importlib.util
import json
import os
import random
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

ENGINE_VARIABLE = "MNIST_RKNN_PADDLECLAS"  # folder that holds `ppcls/`
PROCESSES_VARIABLE = "MNIST_RKNN_PROCESSES"
RANK_VARIABLE = "PADDLE_TRAINER_ID"  # Paddle's: number of this process among those that train
TOOLS = {"train": "train.py", "eval": "eval.py", "export": "export_model.py"}
WING = Path(__file__).resolve().parents[1]
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def run(mode: str) -> None:
    """Train, evaluate or export with PaddleClas, as its own tool of that name would."""
    die_with_parent()
    os.register_at_fork(after_in_child=die_with_parent)  # the processes that read pictures
    if mode in ("train", "eval"):
        os.environ.setdefault("FLAGS_use_onednn", "1")  # for `networks.Convolution`
    if mode == "train" and RANK_VARIABLE not in os.environ:
        share_between_processes(int(os.environ.get(PROCESSES_VARIABLE, "1")))
    root = Path(os.environ[ENGINE_VARIABLE])
    sys.path.insert(0, str(root))
    register_networks()
    register_optimizers()
    allow_part_of_an_epoch_to_warm_up()
    normalize_by_table()
    if mode == "train":
        follow_progressive_resizing()
    tool = root / "tools" / TOOLS[mode]
    if tool.is_file():
        runpy.run_path(str(tool), run_name="__main__")
    else:
        run_wheel_engine(mode)


def die_with_parent() -> None:
    """Ask Linux to end this process when the one that started it is killed.

    Without it a `kill -9` of the notebook would leave a training behind that goes on
    writing into the folder of the next run.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def share_between_processes(count: int) -> None:
    """Train in `count` processes, of which this one is the first.

    Paddle's convolutions keep one processor core busy, not two. As with several GPUs, each
    process takes its share of every batch, and Paddle averages the gradients; on a processor
    it does so with gloo. The others are started here, by the variables that
    `paddle.distributed.launch` would set. That tool wants an address of the machine on a
    network; this needs nothing but the loopback interface.
    """
    if count < 2:
        return
    endpoints = [f"127.0.0.1:{port}" for port in free_ports(count)]
    shared = {
        "PADDLE_DISTRI_BACKEND": "gloo",
        "GLOO_SOCKET_IFNAME": "lo",
        "PADDLE_TRAINERS_NUM": str(count),
        "PADDLE_TRAINER_ENDPOINTS": ",".join(endpoints),
    }
    for rank in range(1, count):
        own = {RANK_VARIABLE: str(rank), "PADDLE_CURRENT_ENDPOINT": endpoints[rank]}
        # Standard output is the first one's: its log speaks for all.
        process = subprocess.Popen(
            [sys.executable, *sys.argv],
            env={**os.environ, **shared, **own},
            stdout=subprocess.DEVNULL,
        )
        threading.Thread(target=end_with, args=(process,), daemon=True).start()
    own = {RANK_VARIABLE: "0", "PADDLE_CURRENT_ENDPOINT": endpoints[0]}
    os.environ.update({**shared, **own})


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def end_with(process: subprocess.Popen) -> None:
    """Wait for another process of the training; if it failed, end this one, which waits for it."""
    if process.wait() != 0:
        message = f"RuntimeError: another process of the training ended with {process.returncode}"
        print(message, file=sys.stderr, flush=True)
        os._exit(1)


def register_networks() -> None:
    """Make every network class of `networks.py` an architecture of PaddleClas.

    PaddleClas looks an architecture up by name in the module `ppcls.arch`.
    """
    import ppcls.arch
    from paddle import nn

    for name, value in vars(load("networks.py")).items():
        if isinstance(value, type) and issubclass(value, nn.Layer):
            setattr(ppcls.arch, name, value)


def register_optimizers() -> None:
    """Make every optimiser class of `optimizers.py` one of PaddleClas.

    PaddleClas looks an optimiser up by name in `ppcls.optimizer.optimizer`. What it finds there
    it calls with the settings, and the result with the list of models to train.
    """
    from paddle.optimizer import Optimizer
    from ppcls.optimizer import optimizer

    def builder(kind: type[Optimizer]) -> Callable:
        def with_settings(**settings) -> Callable:
            def for_models(model_list) -> Optimizer:
                parameters = [weight for model in model_list for weight in model.parameters()]
                return kind(parameters=parameters, **settings)

            return for_models

        return with_settings

    for name, value in vars(load("optimizers.py")).items():
        if isinstance(value, type) and issubclass(value, Optimizer):
            setattr(optimizer, name, builder(value))


def load(file: str) -> ModuleType:
    """A module of this wing, without the package: it is not on the engine's path."""
    name = f"mnist_rknn_{Path(file).stem}"
    spec = importlib.util.spec_from_file_location(name, WING / file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def allow_part_of_an_epoch_to_warm_up() -> None:
    """Let `warmup_epoch` be a fraction.

    PaddleClas counts the steps that are left for the cosine as a product with it; Paddle takes
    only an integer there.
    """
    from paddle.optimizer import lr

    class CosineAnnealingDecay(lr.CosineAnnealingDecay):
        def __init__(self, learning_rate, T_max, *args, **kwargs):
            super().__init__(learning_rate, round(T_max), *args, **kwargs)

    lr.CosineAnnealingDecay = CosineAnnealingDecay


def normalize_by_table() -> None:
    """Let PaddleClas look a pixel's normalised value up instead of computing it.

    A picture of eight bits has 256 values a channel. The table holds what PaddleClas computes for
    each of them, so the result is the same to the bit; anything but such a picture is computed as
    before. Reading runs beside the training on the same core, and this was half of it.
    """
    import cv2
    import numpy as np
    from ppcls.data import preprocess

    class NormalizeImage(preprocess.NormalizeImage):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.table = None
            if self.order != "chw" and self.channel_num == 3 and self.output_dtype == "float32":
                every_value = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, axis=2)
                self.table = super().__call__(every_value)

        def __call__(self, img):
            if self.table is not None and isinstance(img, np.ndarray) and img.dtype == np.uint8:
                return cv2.LUT(img, self.table)
            return super().__call__(img)

    preprocess.NormalizeImage = NormalizeImage


class ProgressiveResizing:
    """Shows a network smaller pictures for the first part of its training, which cost less time.

    A forward pre-hook of the network, and thereby the same for every architecture that takes
    pictures of any size. Which size a batch gets depends on the epoch and the seed alone: the
    processes that share a batch agree, and a resumed training goes on as it would have.

    Args:
        scales: parts of the input's height and width, one of which is drawn for each batch.
        share: part of the training, from 0 to 1, that sees these sizes; the rest sees the input's.
        epochs: of the whole training.
        batches: of one epoch.
        seed: that the sizes depend on.
    """

    def __init__(self, scales: Sequence[float], share: float, epochs: int, batches: int, seed: int):
        self.scales, self.seed = list(scales), seed
        self.batches, self.small = batches, round(share * epochs * batches)
        self.begin(epoch=1)

    def begin(self, epoch: int) -> None:
        """Start an epoch, counted from 1."""
        self.batch = (epoch - 1) * self.batches
        self.random = random.Random(f"{self.seed} {epoch}")
        self.seen: Counter[tuple[int, int]] = Counter()

    def describe(self) -> str:
        """The sizes that the epoch's batches had so far, and how many had each."""
        counts = sorted(self.seen.items())
        return ", ".join(f"{height} x {width}: {count}" for (height, width), count in counts)

    def __call__(self, network, inputs: tuple) -> tuple:
        """Make a batch of pictures smaller in training: float32 [N, C, H, W] to [N, C, h, w]."""
        if not network.training:
            return inputs
        scale = self.random.choice(self.scales) if self.batch < self.small else 1
        self.batch += 1
        pictures, *others = inputs
        if scale != 1:
            height, width = pictures.shape[2:]
            down = resampling(height, max(1, round(height * scale)))
            across = resampling(width, max(1, round(width * scale)))
            pictures = down @ pictures @ across.T
        self.seen[tuple(pictures.shape[2:])] += 1
        return (pictures, *others)


@functools.cache
def resampling(pixels: int, wanted: int):
    """The matrix that resamples a row of pixels, as Pillow does: a tensor [wanted, pixels]."""
    import numpy as np
    import paddle
    from PIL import Image

    every_pixel = Image.fromarray(np.eye(pixels, dtype=np.float32))
    resized = every_pixel.resize((pixels, wanted), Image.Resampling.BILINEAR)
    return paddle.to_tensor(np.asarray(resized))


def follow_progressive_resizing() -> None:
    """Follow `Global.progressive_resizing` of the configuration, which PaddleClas has not."""
    from ppcls.engine import engine as engine_module
    from ppcls.utils import logger

    train = engine_module.Engine.train

    def train_resized(engine) -> None:
        settings = engine.config["Global"].get("progressive_resizing")
        if settings:
            resizing = ProgressiveResizing(
                **settings,
                epochs=engine.config["Global"]["epochs"],
                batches=len(engine.train_dataloader),
                seed=engine.config["Global"]["seed"],
            )
            train_epoch = engine.train_epoch_func

            def train_epoch_resized(engine, epoch_id, *args) -> None:
                resizing.begin(epoch_id)
                train_epoch(engine, epoch_id, *args)
                logger.info(f"[Train][Epoch {epoch_id}] batches by size: {resizing.describe()}")

            engine.train_epoch_func = train_epoch_resized
            engine.model.register_forward_pre_hook(resizing)
        train(engine)

    engine_module.Engine.train = train_resized


# --- the wheel's engine ---------------------------------------------------------------


def run_wheel_engine(mode: str) -> None:
    """Run PaddleClas 2.4.2 as it stands in the wheel."""
    from ppcls.engine import engine as engine_module
    from ppcls.utils import config as config_module

    adapt_to_paddle3(engine_module)
    args = config_module.parse_args()
    config = config_module.get_config(args.config, overrides=args.override, show=False)
    config.profiler_options = args.profiler_options
    checkpoint = config["Global"].get("checkpoints")
    if mode == "train":
        use_uniform_output(engine_module, config)
        use_epoch_seeds(engine_module, config)
        use_common_statistics(engine_module)
    engine = engine_module.Engine(config, mode=mode)
    if mode == "train":
        if checkpoint:
            restore_best_metric(engine_module, checkpoint)
        engine.train()
    elif mode == "eval":
        engine.eval()
    else:
        engine.export()
        write_inference_config(config, Path(config["Global"]["save_inference_dir"]))


def adapt_to_paddle3(engine_module) -> None:
    """Mend two differences between the engine's year (2022) and today's Paddle and PaddleX.

    * PaddleX calls the data set class `ClsDataset`; PaddleClas 2.4.2 `ImageNetDataset`.
    * Losses and metrics have no dimension in Paddle 3; the engine reads `.numpy()[0]`.
    """
    import paddle
    import ppcls.data

    ppcls.data.ClsDataset = ppcls.data.ImageNetDataset

    accuracy = paddle.metric.accuracy
    paddle.metric.accuracy = lambda *args, **kwargs: accuracy(*args, **kwargs).reshape([1])

    build_loss = engine_module.build_loss

    def build_loss_with_dimension(config):
        loss = build_loss(config)

        class LossWithDimension(type(loss)):
            def __call__(self, *args, **kwargs):
                values = super().__call__(*args, **kwargs)
                return {name: value.reshape([1]) for name, value in values.items()}

        loss.__class__ = LossWithDimension
        return loss

    engine_module.build_loss = build_loss_with_dimension


def use_uniform_output(engine_module, config) -> None:
    """Save in the layout that PaddleX 3 expects: one folder a checkpoint, with its export.

    `best_model/`, `latest/` and `epoch_N/` each get `<name>.pdparams` (with optimiser and
    state) and `inference/`; `train_results.json` lists them.
    """
    import paddle

    save_model = engine_module.save_load.save_model
    output = Path(config["Global"]["output_dir"])
    exported: dict[int, Path] = {}  # by epoch: what is saved twice is the same network

    def save_uniform(net, optimizer, metric_info, model_path, model_name="", prefix="", **kwargs):
        if paddle.distributed.get_rank() != 0:
            return
        target = output / prefix
        partial = output / f".{prefix}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        save_model(net, optimizer, metric_info, str(partial), "", prefix, **kwargs)
        epoch = metric_info["epoch"]
        if epoch in exported:
            shutil.copytree(exported[epoch], partial / "inference")
        else:
            export_inference(engine_module, net, config, partial / "inference")
        exported[epoch] = target / "inference"
        old = output / f".{prefix}.old"
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        partial.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        if prefix == "latest":  # saved last in every epoch
            best = paddle.load(str(output / "best_model" / "best_model.pdstates"))
            write_train_results(config, output, best, epoch=metric_info["epoch"])

    engine_module.save_load.save_model = save_uniform


def export_inference(engine_module, net, config, folder: Path) -> None:
    """Export the network being trained as an inference model into `folder`."""
    import paddle

    with paddle.utils.unique_name.guard():  # so that names do not depend on the epoch
        fresh = engine_module.build_model(config, "export")
    fresh.set_state_dict(net.state_dict())
    export_model = engine_module.ExportModel(config["Arch"], fresh, use_multilabel=False)
    export_model.eval()
    shape = [None, *config["Global"]["image_shape"]]
    static = paddle.jit.to_static(
        export_model, input_spec=[paddle.static.InputSpec(shape=shape, dtype="float32")]
    )
    paddle.jit.save(static, str(folder / "inference"))
    write_inference_config(config, folder)


def write_inference_config(config, folder: Path) -> None:
    """Write `inference.yml`, from which `paddlex.create_model` learns the preprocessing."""
    import yaml

    transforms = [
        {name: dict(settings) if settings else settings}
        for operation in config["DataLoader"]["Eval"]["dataset"]["transform_ops"]
        for name, settings in operation.items()
        if name != "DecodeImage"
    ]
    transforms.append({"ToCHWImage": None})
    label_file = Path(config["DataLoader"]["Eval"]["dataset"]["image_root"]) / "label.txt"
    labels = [line.split(" ", 1)[1] for line in label_file.read_text(encoding="utf-8").splitlines()]
    topk = min(5, len(labels))
    content = {
        "Global": {"model_name": config["Global"]["pdx_model_name"]},
        "PreProcess": {"transform_ops": transforms},
        "PostProcess": {"Topk": {"topk": topk, "label_list": labels}},
    }
    (folder / "inference.yml").write_text(
        yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )


def write_train_results(config, output: Path, best: dict, epoch: int) -> None:
    """Write `train_results.json`, PaddleX's index of what a training left behind."""
    suffixes = ("pdparams", "pdopt", "pdstates")
    results = {
        "model_name": config["Global"]["pdx_model_name"],
        "done_flag": epoch == config["Global"]["epochs"],
        "label_dict": "label_dict.txt",
        "config": "config.yaml",
        "visualdl_log": "vdl",
        "train_log": "train.log",
        "models": {
            "best": {
                "score": f"val.top1: {float(best['metric']):.5f}",
                "epoch": best["epoch"],
                **{suffix: f"best_model/best_model.{suffix}" for suffix in suffixes},
                "inference": "best_model/inference",
            }
        },
    }
    partial = output / ".train_results.json.partial"
    partial.write_text(json.dumps(results, indent=2), encoding="utf-8")
    partial.rename(output / "train_results.json")


def use_epoch_seeds(engine_module, config) -> None:
    """Give every epoch its own seed, so that a resumed training equals an unbroken one.

    The engine seeds once, at its start. A training resumed at epoch 3 would see the images
    in the order of epoch 1.
    """
    import numpy as np
    import paddle

    train_epoch = engine_module.train_epoch

    def train_seeded_epoch(engine, epoch_id, print_batch_step):
        seed = config["Global"]["seed"] * 1000 + epoch_id
        random.seed(seed)
        np.random.seed(seed)
        paddle.seed(seed)
        engine.train_dataloader.batch_sampler.set_epoch(epoch_id)
        train_epoch(engine, epoch_id, print_batch_step)

    engine_module.train_epoch = train_seeded_epoch


def use_common_statistics(engine_module) -> None:
    """Evaluate with one set of batch norm statistics, the first process's.

    Each process keeps the statistics of its own share of the pictures. The first one's are
    saved, so they are what has to be evaluated, and what a resumed training goes on with.
    """
    import paddle

    evaluate = engine_module.Engine.eval

    def evaluate_in_common(engine, epoch_id=0):
        if engine.config["Global"]["distributed"]:
            for statistic in engine.model.buffers():
                paddle.distributed.broadcast(statistic, 0)
        return evaluate(engine, epoch_id)

    engine_module.Engine.eval = evaluate_in_common


def restore_best_metric(engine_module, checkpoint: str) -> None:
    """Keep the best model of before an interruption from being replaced by a worse one.

    The engine resumes with the last epoch's accuracy as the one to beat.
    """
    import paddle

    best = Path(checkpoint).parents[1] / "best_model" / "best_model.pdstates"
    init_model = engine_module.init_model

    def init_with_best(*args, **kwargs):
        states = init_model(*args, **kwargs)
        if states and best.is_file():
            states = {**states, "metric": paddle.load(str(best))["metric"]}
        return states

    engine_module.init_model = init_with_best

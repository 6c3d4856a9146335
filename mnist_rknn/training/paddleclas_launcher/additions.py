"""What the project's recipes need and PaddleClas has not: for a checkout and the wheel alike."""

import inspect
from collections.abc import Callable
from types import ModuleType

import cv2
import numpy as np
from paddle import nn
from paddle.optimizer import Optimizer, lr

from .. import networks, optimizers
from . import replacing
from .onednn import compile_convolutions
from .progressive_resizing import ProgressiveResizing
from .recording import record_progress
from .replacing import replace


def add(mode: str) -> None:
    """Make PaddleClas, which must be on the path, read recipes of this project.

    Args:
        mode: "train", "eval" or "export".

    Raises:
        RuntimeError: this PaddleClas or Paddle has not what is to be replaced.
    """
    register_networks()
    register_optimizers()
    allow_part_of_an_epoch_to_warm_up()
    normalize_by_table()
    if mode == "train":
        record_progress()
        follow_progressive_resizing()


def classes_of(module: ModuleType, kind: type) -> dict[str, type]:
    """Classes of that kind which a module defines itself, by name."""
    return {
        name: value
        for name, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, kind) and value.__module__ == module.__name__
    }


def register_networks() -> None:
    """Make every network of `networks` an architecture of PaddleClas.

    PaddleClas looks an architecture up by name in the module `ppcls.arch`.
    """
    import ppcls.arch

    def builder(network: type[nn.Layer]) -> Callable:
        return lambda **settings: compile_convolutions(network(**settings))

    for name, network in classes_of(networks, nn.Layer).items():
        replacing.add(ppcls.arch, name, builder(network))


def register_optimizers() -> None:
    """Make every optimiser of `optimizers` one of PaddleClas.

    PaddleClas looks an optimiser up by name in `ppcls.optimizer.optimizer`. What it finds there
    it calls with the settings, and the result with the list of models to train.
    """
    from ppcls.optimizer import optimizer

    def builder(kind: type[Optimizer]) -> Callable:
        def with_settings(**settings) -> Callable:
            def for_models(model_list) -> Optimizer:
                parameters = [weight for model in model_list for weight in model.parameters()]
                return kind(parameters=parameters, **settings)

            return for_models

        return with_settings

    for name, kind in classes_of(optimizers, Optimizer).items():
        replacing.add(optimizer, name, builder(kind))


def allow_part_of_an_epoch_to_warm_up() -> None:
    """Let `warmup_epoch` be a fraction.

    PaddleClas counts the steps that are left for the cosine as a product with it; Paddle takes
    only an integer there.
    """

    def make(original: type) -> type:
        class CosineAnnealingDecay(original):
            def __init__(self, learning_rate, T_max, *args, **kwargs):
                super().__init__(learning_rate, round(T_max), *args, **kwargs)

        return CosineAnnealingDecay

    replace(lr, "CosineAnnealingDecay", make, takes=("learning_rate", "T_max"))


def normalize_by_table() -> None:
    """Let PaddleClas look a pixel's normalised value up instead of computing it.

    A picture of eight bits has 256 values a channel. The table holds what PaddleClas computes for
    each of them, so the result is the same to the bit; anything but such a picture is computed as
    before. Reading runs beside the training on the same core, and this was half of it.
    """
    from ppcls.data import preprocess

    def make(original: type) -> type:
        class NormalizeImage(original):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.table = None
                if self.order != "chw" and self.channel_num == 3 and self.output_dtype == "float32":
                    every = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, axis=2)
                    self.table = super().__call__(every)

            def __call__(self, img):
                if self.table is not None and getattr(img, "dtype", None) == np.uint8:
                    return cv2.LUT(img, self.table)
                return super().__call__(img)

        return NormalizeImage

    replace(preprocess, "NormalizeImage", make, takes=("scale", "mean", "std", "order"))


def follow_progressive_resizing() -> None:
    """Follow `Global.progressive_resizing` of the configuration, which PaddleClas has not."""
    from ppcls.engine import engine as engine_module
    from ppcls.utils import logger

    def make(train: Callable) -> Callable:
        def train_resized(engine) -> None:
            settings = engine.config["Global"].get("progressive_resizing")
            if settings:
                resize(engine, settings)
            train(engine)

        return train_resized

    def resize(engine, settings) -> None:
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

    replace(engine_module.Engine, "train", make, takes=("self",))

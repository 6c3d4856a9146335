"""Recording what a training has reached, for the progress bar and the learning curves."""

from collections.abc import Callable
from pathlib import Path

import paddle

from .. import progress
from .replacing import replace


def record_progress() -> None:
    """Let the engine, a checkout's or the wheel's, write `progress.jsonl` while it trains.

    Of several processes the first one writes. The training itself is as it was.
    """
    from ppcls.engine.engine import Engine
    from ppcls.engine.train import train as loop

    replace(Engine, "train", record_training, takes=("self",))
    replace(Engine, "eval", record_validation, takes=("self", "epoch_id"))
    takes = ("trainer", "batch_size", "epoch_id", "iter_id")
    replace(loop, "log_info", record_iteration, takes)


def record_training(train: Callable) -> Callable:
    def train_recorded(engine) -> None:
        if paddle.distributed.get_rank() == 0:
            settings = engine.config["Global"]
            engine.progress = progress.Writer(
                Path(settings["output_dir"]),
                epochs=settings["epochs"],
                resumed=bool(settings["checkpoints"]),
            )
            replace(engine, "train_epoch_func", record_epoch, takes=("engine", "epoch_id"))
        train(engine)

    return train_recorded


def record_epoch(train_epoch: Callable) -> Callable:
    def train_recorded_epoch(engine, epoch_id, *args) -> None:
        train_epoch(engine, epoch_id, *args)
        engine.progress.write("epoch", epoch_id, **figures(engine))

    return train_recorded_epoch


def record_iteration(log_info: Callable) -> Callable:
    def log_recorded_info(trainer, batch_size, epoch_id, iter_id) -> None:
        if hasattr(trainer, "progress"):
            place = {"iteration": iter_id, "of": len(trainer.train_dataloader)}
            trainer.progress.write("iteration", epoch_id, **place, **figures(trainer))
        log_info(trainer, batch_size, epoch_id, iter_id)

    return log_recorded_info


def record_validation(evaluate: Callable) -> Callable:
    def evaluate_recorded(engine, epoch_id=0):
        if not hasattr(engine, "progress"):
            return evaluate(engine, epoch_id)
        losses = NotedLosses(engine)
        try:
            top1 = evaluate(engine, epoch_id)
        finally:
            losses.restore()
        engine.progress.write(
            "validation", epoch_id, loss=losses.mean(), top1=round(float(top1), 5)
        )
        return top1

    return evaluate_recorded


class NotedLosses:
    """The losses of a validation, whose mean the engine prints and does not return."""

    def __init__(self, engine):
        self.engine, self.loss = engine, engine.eval_loss_func
        self.sum, self.pictures = 0.0, 0
        replace(engine, "eval_loss_func", lambda _: self, takes=())

    def __call__(self, answers, labels):
        found = self.loss(answers, labels)
        self.sum += float(found["loss"]) * len(labels)
        self.pictures += len(labels)
        return found

    def mean(self) -> float:
        return round(self.sum / self.pictures, 5)

    def restore(self) -> None:
        self.engine.eval_loss_func = self.loss


def figures(engine) -> dict[str, float | None]:
    """Means over the epoch so far, and the learning rate."""
    means = engine.output_info
    found = {
        name: round(float(means[name].avg), 5) if name in means else None
        for name in ("loss", "top1")
    }
    return {**found, "lr": float(engine.lr_sch[0].get_lr())}

"""PaddleClas 2.4.2 as the registry's wheel has it, brought up to PaddleX 3.7 and Paddle 3.3."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle
import yaml

from .replacing import add, replace


def run(mode: str) -> None:
    """Run PaddleClas 2.4.2 as it stands in the wheel.

    Args:
        mode: "train", "eval" or "export".
    """
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
    import ppcls.data

    add(ppcls.data, "ClsDataset", ppcls.data.ImageNetDataset)

    def with_dimension(accuracy: Callable) -> Callable:
        return lambda *args, **kwargs: accuracy(*args, **kwargs).reshape([1])

    def building_with_dimension(build_loss: Callable) -> Callable:
        def build_loss_with_dimension(config):
            loss = build_loss(config)

            class LossWithDimension(type(loss)):
                def __call__(self, *args, **kwargs):
                    values = super().__call__(*args, **kwargs)
                    return {name: value.reshape([1]) for name, value in values.items()}

            loss.__class__ = LossWithDimension
            return loss

        return build_loss_with_dimension

    replace(paddle.metric, "accuracy", with_dimension, takes=("input", "label", "k"))
    replace(engine_module, "build_loss", building_with_dimension, takes=("config",))


def use_uniform_output(engine_module, config) -> None:
    """Save in the layout that PaddleX 3 expects: one folder a checkpoint, with its export.

    `best_model/`, `latest/` and `epoch_N/` each get `<name>.pdparams` (with optimiser and
    state) and `inference/`; `train_results.json` lists them.
    """

    output = Path(config["Global"]["output_dir"])
    exported: dict[int, Path] = {}  # by epoch: what is saved twice is the same network

    def saving(save_model: Callable) -> Callable:
        def save_uniform(
            net, optimizer, metric_info, model_path, model_name="", prefix="", **kwargs
        ):
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

        return save_uniform

    replace(
        engine_module.save_load,
        "save_model",
        saving,
        takes=("net", "optimizer", "metric_info", "model_path", "model_name", "prefix"),
    )


def export_inference(engine_module, net, config, folder: Path) -> None:
    """Export the network being trained as an inference model into `folder`."""

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

    def seeding(train_epoch: Callable) -> Callable:
        def train_seeded_epoch(engine, epoch_id, print_batch_step):
            seed = config["Global"]["seed"] * 1000 + epoch_id
            random.seed(seed)
            np.random.seed(seed)
            paddle.seed(seed)
            engine.train_dataloader.batch_sampler.set_epoch(epoch_id)
            train_epoch(engine, epoch_id, print_batch_step)

        return train_seeded_epoch

    takes = ("engine", "epoch_id", "print_batch_step")
    replace(engine_module, "train_epoch", seeding, takes)


def use_common_statistics(engine_module) -> None:
    """Evaluate with one set of batch norm statistics, the first process's.

    Each process keeps the statistics of its own share of the pictures. The first one's are
    saved, so they are what has to be evaluated, and what a resumed training goes on with.
    """

    def sharing(evaluate: Callable) -> Callable:
        def evaluate_in_common(engine, epoch_id=0):
            if engine.config["Global"]["distributed"]:
                for statistic in engine.model.buffers():
                    paddle.distributed.broadcast(statistic, 0)
            return evaluate(engine, epoch_id)

        return evaluate_in_common

    replace(engine_module.Engine, "eval", sharing, takes=("self", "epoch_id"))


def restore_best_metric(engine_module, checkpoint: str) -> None:
    """Keep the best model of before an interruption from being replaced by a worse one.

    The engine resumes with the last epoch's accuracy as the one to beat.
    """

    best = Path(checkpoint).parents[1] / "best_model" / "best_model.pdstates"

    def remembering(init_model: Callable) -> Callable:
        def init_with_best(*args, **kwargs):
            states = init_model(*args, **kwargs)
            if states and best.is_file():
                states = {**states, "metric": paddle.load(str(best))["metric"]}
            return states

        return init_with_best

    replace(engine_module, "init_model", remembering, takes=("config", "net", "optimizer"))

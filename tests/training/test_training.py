"""The real engine: found in the right place, resumed after a kill, same result every time."""

import os
import re
import subprocess
import sys
import time

import numpy as np
import paddle
import psutil
import pytest
from PIL import Image
from support.runs import COMMAND, PROJECT, TINY, kill_when, run_command, settings

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import sha256
from mnist_rknn.training import engine, progress
from mnist_rknn.training.paddleclas_launcher.progressive_resizing import ProgressiveResizing

SHORT = (
    *TINY,
    "train.epochs=3",
    "dataset.samples.train=800",
    "dataset.redraw.plain=600",
    "dataset.redraw.untouched=400",
    "dataset.redraw.camera=100",
    "dataset.redraw.drawn=100",
    "train.progressive_resizing={scales: [0.5, 0.75], share: 0.5}",
)


def make_checkout(folder):
    (folder / "ppcls").mkdir(parents=True)
    (folder / "tools").mkdir()
    (folder / "tools" / "train.py").touch()
    return folder


def test_named_checkout_is_preferred(tmp_path, monkeypatch):
    checkout = make_checkout(tmp_path / "PaddleClas")
    monkeypatch.setenv(engine.CHECKOUT_VARIABLE, str(checkout))
    assert engine.find_engine() == engine.Engine("checkout", checkout)


def test_variable_that_names_something_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(engine.CHECKOUT_VARIABLE, str(tmp_path))
    with pytest.raises(PipelineError, match="is not a PaddleClas checkout"):
        engine.find_engine()


def test_wheel_is_the_fallback(monkeypatch):
    monkeypatch.delenv(engine.CHECKOUT_VARIABLE, raising=False)
    found = engine.find_engine()
    assert found.kind == "wheel" and (found.root / "ppcls" / "engine").is_dir()


def test_second_training_in_a_kernel_does_not_take_our_launcher_for_a_checkout(monkeypatch):
    """The notebooks reach the package by "..", and the first training has set the variable."""
    monkeypatch.setenv(engine.CHECKOUT_VARIABLE, str(engine.LAUNCHER))
    code = "import sys; sys.path.insert(0, '..'); from mnist_rknn.training import engine; "
    result = subprocess.run(
        [sys.executable, "-c", code + "print(engine.find_engine().kind)"],
        cwd=PROJECT / "notebooks", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.stdout == "wheel\n", result.stderr


def test_launcher_hands_over_to_a_checkout_with_our_networks_registered(tmp_path):
    """A checkout's own tool runs, and finds DigitNet and Muon where PaddleClas looks for them."""
    wheel = engine.find_engine().root
    checkout = tmp_path / "PaddleClas"
    checkout.mkdir()
    (checkout / "ppcls").symlink_to(wheel / "ppcls")
    (checkout / "tools").mkdir()
    (checkout / "tools" / "train.py").write_text(
        "import sys, ppcls.arch\n"
        "from ppcls.optimizer import optimizer\n"
        "from ppcls.engine.engine import Engine\n"
        "model = ppcls.arch.DigitNet()\n"
        "muon = optimizer.Muon(learning_rate=0.1, grad_clip=None, momentum=0.9)([model])\n"
        "print('own tool', type(model).__name__, type(muon).__name__, sys.argv[1:])\n"
        "from ppcls.engine.train import train\n"
        "print(Engine.train.__name__, Engine.eval.__name__, train.log_info.__name__)"
    )
    result = subprocess.run(
        [sys.executable, "tools/train.py", "-c", "x.yml"],
        cwd=engine.LAUNCHER,
        env={**os.environ, engine.ENGINE_VARIABLE: str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    replaced = "train_resized evaluate_recorded log_recorded_info"
    assert f"own tool DigitNet Muon ['-c', 'x.yml']\n{replaced}\n" in result.stdout, result.stderr


def test_engine_configuration_takes_the_recipes_facts(tmp_path):
    run = recipe_file.load("mnist", ["image.mean=[10, 20, 30]", "image.color_order=bgr", "seed=9"])
    config = engine.engine_config(run, tmp_path, tmp_path, ["a", "b", "c"])
    train = config["DataLoader"]["Train"]["dataset"]["transform_ops"]
    assert train[0]["DecodeImage"]["to_rgb"] is False
    assert train[-1]["NormalizeImage"]["mean"] == [10.0, 20.0, 30.0]
    assert config["Arch"]["class_num"] == 3 and config["Global"]["seed"] == 9
    assert config["Optimizer"]["name"] == "Muon"
    assert config["Loss"]["Train"][0]["CELoss"]["epsilon"] == 0.1
    plain = engine.engine_config(
        recipe_file.load("mnist", ["train.optimizer=Momentum"]), tmp_path, tmp_path, ["a", "b"]
    )
    assert plain["Optimizer"]["name"] == "Momentum"
    assert not any("Flip" in str(op) or "Crop" in str(op) for op in train)


def test_processes_share_the_batch(tmp_path):
    for count in (1, 2, 4):
        run = recipe_file.load("mnist", [f"train.processes={count}"])
        config = engine.engine_config(run, tmp_path, tmp_path, ["a", "b"])
        sampler = config["DataLoader"]["Train"]["sampler"]
        assert sampler["batch_size"] * count == run.train.batch_size
    on_gpu = recipe_file.load("mnist", ["train.device=gpu:0", "train.processes=4"])
    assert engine.processes(on_gpu) == 1


def test_training_with_other_settings_is_not_resumed(tmp_path):
    folder = tmp_path / "train"
    assert engine.open_folder(folder, {"epochs": 3}) is False
    epoch = folder / "epoch_1"
    epoch.mkdir()
    for suffix in (".pdparams", ".pdopt", ".pdstates"):
        (epoch / f"epoch_1{suffix}").touch()
    assert engine.open_folder(folder, {"epochs": 3}) is True
    assert engine.epochs_left(folder, 3) == 2
    assert engine.open_folder(folder, {"epochs": 4}) is False
    assert engine.last_checkpoint(folder) is None


def test_checkpoint_with_a_missing_part_is_passed_over(tmp_path):
    for number, suffixes in ((1, (".pdparams", ".pdopt", ".pdstates")), (2, (".pdparams",))):
        folder = tmp_path / f"epoch_{number}"
        folder.mkdir()
        for suffix in suffixes:
            (folder / f"epoch_{number}{suffix}").touch()
    assert engine.last_checkpoint(tmp_path).endswith("epoch_1.pdparams")


def record(folder, epochs, resumed: bool, loss: float) -> None:
    writer = progress.Writer(folder, epochs=3, resumed=resumed)
    for epoch in epochs:
        writer.write("iteration", epoch, iteration=0, of=9, loss=loss, top1=0.1, lr=0.1)
        writer.write("epoch", epoch, loss=loss, top1=0.5, lr=0.1)
        writer.write("validation", epoch, loss=loss / 2, top1=0.6)


def test_history_of_a_training_that_was_killed_and_resumed_has_each_epoch_once(tmp_path):
    record(tmp_path, [1, 2], resumed=False, loss=4.0)
    path = tmp_path / progress.FILE
    path.write_bytes(path.read_bytes()[:-20])  # a kill in the middle of a line
    record(tmp_path, [2, 3], resumed=True, loss=2.0)
    assert engine.read_history(tmp_path) == {
        "epoch": [1, 2, 3],
        "train_loss": [4.0, 2.0, 2.0],
        "train_top1": [0.5] * 3,
        "val_loss": [2.0, 1.0, 1.0],
        "val_top1": [0.6] * 3,
        "lr_epoch": [0.0, 1.0, 2.0],
        "lr": [0.1] * 3,
    }
    kinds = [event["event"] for event in progress.read(tmp_path)]
    assert kinds.count("start") == 2 and kinds.count("iteration") == 3


def test_history_of_a_training_that_never_was_is_empty(tmp_path):
    assert engine.read_history(tmp_path)["epoch"] == []


def test_progress_is_what_paddleclas_logs(tiny_run):
    """Two regular expressions, which once were the way to read it, against the record."""
    log = (tiny_run / "train" / "train.log").read_text()
    number = r"(\d+\.\d+)"
    trained = re.findall(rf"\[Train\]\[Epoch 1/1\]\[Avg\]top1: {number}.*\bloss: {number}", log)
    checked = re.findall(rf"\[Eval\]\[Epoch 1\]\[Avg\].*\bloss: {number}, top1: {number}", log)
    history = engine.read_history(tiny_run / "train")
    found = [history[key][0] for key in ("train_top1", "train_loss", "val_loss", "val_top1")]
    assert found == pytest.approx([float(v) for v in (*trained[0], *checked[0])], abs=2e-5)
    steps = re.findall(
        rf"\[Iter: (\d+)/(\d+)\]lr\(\w+\): {number}, top1: {number}.*\bloss: {number}", log
    )
    events = [e for e in progress.read(tiny_run / "train") if e["event"] == "iteration"]
    keys = ("iteration", "of", "lr", "top1", "loss")
    assert len(events) == len(steps) > 1
    for event, step in zip(events, steps, strict=True):
        assert [event[key] for key in keys] == pytest.approx([float(v) for v in step], abs=2e-5)


@pytest.mark.parametrize("order", ["", "hwc", "chw"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_table_normalises_to_the_bit_as_paddleclas_computes(monkeypatch, order, dtype):
    monkeypatch.syspath_prepend(engine.find_engine().root)
    from ppcls.data import preprocess
    from ppcls.data.dataloader.common_dataset import create_operators

    computes = preprocess.NormalizeImage
    monkeypatch.setattr(preprocess, "NormalizeImage", computes)  # put back at the end
    from mnist_rknn.training.paddleclas_launcher import additions

    additions.normalize_by_table()
    settings = {
        "scale": 1 / 3, "mean": [10.0, 127.5, 7.7], "std": [127.5, 0.3, 61.0], "order": order
    }  # fmt: skip
    (by_table,) = create_operators([{"NormalizeImage": settings}])
    assert (by_table.table is None) == (order == "chw")

    picture = np.random.default_rng(1).integers(0, 256, (48, 40, 3)).astype(dtype)[:, :, ::-1]
    if order == "chw":
        picture = picture.transpose(2, 0, 1)
    wanted, got = computes(**settings)(picture), by_table(picture)
    assert got.dtype == wanted.dtype == np.float32
    assert np.array_equal(got, wanted) and wanted.std() > 1


def test_layout_is_the_one_paddlex_expects(tiny_run):
    train = tiny_run / "train"
    for name in ("best_model", "latest", "epoch_1"):
        assert (train / name / f"{name}.pdparams").is_file()
        for file in ("inference.json", "inference.pdiparams", "inference.yml"):
            assert (train / name / "inference" / file).is_file()
    for file in ("train_results.json", "config.yaml", "label_dict.txt", "train.log"):
        assert (train / file).is_file()
    assert list((train / "vdl").iterdir())
    left = {path.name for path in engine.LAUNCHER.iterdir() if path.suffix != ".py"}
    assert left <= {"__pycache__", "tools"}, "logs beside the source"


def run_arguments(folder, steps: str) -> list[str]:
    return ["run", steps, "--recipe", "smoke", "--output", str(folder), *settings(SHORT)]


def sizes_seen(resizing: ProgressiveResizing, batches: int) -> list[int]:
    """Height of the pictures that a network in training gets."""
    network = paddle.nn.Identity()
    network.register_forward_pre_hook(resizing)
    return [network(paddle.ones([2, 3, 48, 48])).shape[2] for _ in range(batches)]


def test_progressive_resizing_shows_small_pictures_first_and_only_in_training():
    resizing = ProgressiveResizing([0.5, 0.75], share=0.6, epochs=2, batches=100, seed=1)
    first, second = sizes_seen(resizing, 100), (resizing.begin(2), sizes_seen(resizing, 100))[1]
    assert set(first) == set(second[:20]) == {24, 36}
    assert set(second[20:]) == {48}

    resizing.begin(1)
    network = paddle.nn.Identity()
    network.register_forward_pre_hook(resizing)
    network.eval()
    assert network(paddle.ones([2, 3, 48, 48])).shape == [2, 3, 48, 48]


def test_progressive_resizing_draws_the_same_sizes_in_each_process_and_after_an_interruption():
    arguments = {"scales": [0.5, 0.75, 1], "share": 1, "epochs": 3, "batches": 40}
    whole, resumed, other = (ProgressiveResizing(**arguments, seed=s) for s in (1, 1, 2))
    sizes = sizes_seen(whole, 40)
    whole.begin(2)
    resumed.begin(2)
    assert sizes_seen(whole, 40) == sizes_seen(resumed, 40) != sizes
    assert sizes_seen(other, 40) != sizes


def test_resized_pictures_are_those_of_pillow():
    picture = np.random.default_rng(3).random((48, 32), dtype=np.float32)
    expected = Image.fromarray(picture).resize((24, 36), Image.Resampling.BILINEAR)
    resizing = ProgressiveResizing([0.75], share=1, epochs=1, batches=1, seed=1)
    network = paddle.nn.Identity()
    network.register_forward_pre_hook(resizing)
    resized = network(paddle.to_tensor(picture[None, None]))
    assert np.allclose(resized[0, 0], np.asarray(expected), atol=1e-5)


def test_killed_training_goes_on_and_ends_in_the_same_weights(mnist_folder, tmp_path):
    """kill -9 of the command alone: kernel and trainer end with it, and the rerun resumes."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    weights = "train/best_model/best_model.pdparams"
    result = run_command(*run_arguments(whole, "01-02"))
    assert result.returncode == 0, result.stderr

    process = subprocess.Popen([*COMMAND, *run_arguments(killed, "01-02")])
    kill_when(process, (killed / "train" / "epoch_1" / "epoch_1.pdparams").exists)
    assert not (killed / "steps" / "02_train.json").exists()

    result = run_command(*run_arguments(killed, "01-02"))
    assert result.returncode == 0, result.stderr
    # Written by the hook itself: without it the network would see 48 x 48 only, and say nothing.
    sizes = re.compile(r"\[Train\]\[Epoch \d\] batches by size: .*")
    said, resumed = (
        sizes.findall((folder / "train" / "train.log").read_text()) for folder in (whole, killed)
    )
    assert "24 x 24: " in said[0] and "36 x 36: " in said[0] and "48 x 48" not in said[0]
    assert "24 x 24: " in said[1] and "48 x 48: " in said[1]
    assert re.fullmatch(r".* batches by size: 48 x 48: \d+", said[2])
    assert said[-len(resumed) :] == resumed

    # An epoch's export is made once and copied: every epoch has its own, `latest` the last one's.
    exports = [
        sha256(whole / "train" / name / "inference" / "inference.pdiparams")
        for name in ("epoch_1", "epoch_2", "epoch_3", "latest")
    ]
    assert len(set(exports)) == 3 and exports[2] == exports[3]
    executed = (killed / "notebooks" / "02_train.ipynb").read_text()
    assert "going on with an interrupted training" in executed
    assert sha256(whole / weights) == sha256(killed / weights)
    histories = [engine.read_history(folder / "train") for folder in (whole, killed)]
    assert histories[0]["epoch"] == histories[1]["epoch"] == [1, 2, 3]
    for key, values in histories[0].items():  # the sum over a validation is rounded at the end
        assert values == pytest.approx(histories[1][key], abs=5e-5)
    starts = [e["resumed"] for e in progress.read(killed / "train") if e["event"] == "start"]
    assert starts == [False, True]


def ranks(root: psutil.Process) -> dict[int, psutil.Process]:
    """The processes below `root` that train, by rank, once both have loaded Paddle."""
    found = {}
    for process in root.children(recursive=True):
        try:
            rank = process.environ().get("PADDLE_TRAINER_ID")
            if rank is not None and "train.py" in " ".join(process.cmdline()):
                found[int(rank)] = process
        except psutil.Error:
            continue
    return found


def test_training_ends_when_one_of_its_processes_does(mnist_folder, tmp_path):
    """The first process waits for the second one's gradients; it must not wait for ever."""
    folder = tmp_path / "run"
    assert run_command(*run_arguments(folder, "01")).returncode == 0
    process = subprocess.Popen(
        [*COMMAND, *run_arguments(folder, "02"), "--set", "train.epochs=50"],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while 1 not in (found := ranks(psutil.Process(process.pid))):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    found[1].kill()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "another process of the training ended with -9" in errors.strip().splitlines()[-1]
    assert not ranks(psutil.Process())

"""The real toolkit: what it builds is read, and what the board would refuse is refused."""

import shutil
import struct

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from support.graphs import classifier

from mnist_rknn import recipe_file
from mnist_rknn.conversion import inference, rknn_file, rknn_simulator, rknn_toolkit
from mnist_rknn.errors import PipelineError

MEAN = STD = [127.5, 127.5, 127.5]
SHAPE = [1, 3, 48, 48]


def build(model: onnx.ModelProto | str, calibration, log, **config) -> rknn_toolkit.Compilation:
    """Build with the real toolkit and return the compiler's table."""
    if not isinstance(model, str):
        onnx.save(model, str(log.with_suffix(".onnx")))
        model = str(log.with_suffix(".onnx"))
    arguments = {**rknn_toolkit.config_arguments(recipe_file.load("smoke")), **config}
    api = rknn_toolkit.load_api()
    with rknn_toolkit.captured(log):
        rknn = api(verbose=True)
        rknn_toolkit.require_success("config", rknn.config(**arguments), log)
        rknn_toolkit.require_success("load_onnx", rknn.load_onnx(model=model), log)
        code = rknn.build(do_quantization=True, dataset=str(calibration))
        rknn_toolkit.require_success("build", code, log)
        rknn.export_rknn(str(log.with_suffix(".rknn")))
    return rknn_toolkit.parse_log(log)


# --- the layer table ------------------------------------------------------------------


def test_default_network_runs_int8_on_the_npu(tiny_run, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    compilation = build(
        str(tiny_run / "smoke.slim.onnx"), tiny_run / "calibration.txt", tmp_path / "a.log"
    )
    assert not list((tmp_path / "here").iterdir()), "the toolkit's check*.onnx files were left"
    rknn_toolkit.require_runnable(compilation)
    assert {layer.target for layer in compilation.layers[1:-1]} == {"NPU"}
    assert 10_000 < compilation.cycles <= 100_000
    assert 0 < compilation.weights_kb <= 150


def test_operator_without_npu_or_cpu_support_is_named(tiny_run, tmp_path):
    """Erf builds with return code 0, and rknn_init would fail on the board."""
    compilation = build(classifier(("Erf",)), tiny_run / "calibration.txt", tmp_path / "erf.log")
    with pytest.raises(PipelineError, match=r"\(Erf:.*\) would run on the CPU.*has no CPU Erf"):
        rknn_toolkit.require_runnable(compilation)


def test_softmax_in_the_built_model_is_refused(tiny_run, tmp_path):
    compilation = build(
        classifier(("Softmax",)), tiny_run / "calibration.txt", tmp_path / "softmax.log"
    )
    with pytest.raises(PipelineError, match=r"(?i)softmax|FLOAT16"):
        rknn_toolkit.require_runnable(compilation)
        file = rknn_file.read(tmp_path / "softmax.rknn")
        rknn_file.require_deployable(file, SHAPE, MEAN, STD)


def test_log_without_a_table_is_refused(tmp_path):
    (tmp_path / "quiet.log").write_text("I rknn building done.\n")
    with pytest.raises(PipelineError, match="holds no layer table"):
        rknn_toolkit.parse_log(tmp_path / "quiet.log")


# --- what the toolkit says, in plain words --------------------------------------------


def opset_21(folder) -> str:
    model = onnx.load(str(folder / "smoke.slim.onnx"))
    model.opset_import[0].version = 21
    onnx.save(model, str(folder / "opset.onnx"))
    return str(folder / "opset.onnx")


def listing(folder, *lines: str):
    (folder / "list.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder / "list.txt"


# What the toolkit is given, after the checks that would have refused it were left out.
MISTAKES = {
    "missing image": (
        {"listed": lambda f: listing(f, "/nonexistent/a.png")},
        "mnist-rknn run 01 --force",
    ),
    "path with a space": (
        {"listed": lambda f: listing(f, "/my digits/1.bmp")},
        "is no picture file",
    ),
    "missing list": ({"listed": lambda f: f / "none.txt"}, "the calibration list is missing"),
    "unknown chip": ({"config": {"target_platform": "rv1107"}}, "use rv1106"),
    "data type": ({"config": {"quantized_dtype": "float16"}}, "use w8a8"),
    "std of 0": ({"config": {"std_values": [[0, 1, 1]]}}, "a std is 0"),
    "opset": ({"model": opset_21}, "use 7 to 19"),
    "no board": ({"target": "rv1106"}, "there is no board here"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_the_toolkit_says_is_put_into_plain_words(finished, tmp_path, mistake):
    given, expected = MISTAKES[mistake]
    model = given.get("model", lambda f: str(f / "smoke.slim.onnx"))(finished)
    listed = given.get("listed", lambda f: f / "calibration.txt")(finished)
    arguments = {
        **rknn_toolkit.config_arguments(recipe_file.load("smoke")),
        **given.get("config", {}),
    }
    log = tmp_path / "mistake.log"
    with pytest.raises(PipelineError) as error, rknn_toolkit.captured(log):
        rknn = rknn_toolkit.build(arguments, model, listed, log)
        rknn.init_runtime(target=given.get("target"))
    message = str(error.value)
    assert expected in message and "\n" not in message and "Traceback" not in message
    words = message.partition("(its words: ")[2].rpartition("): ")[0]
    assert words and words[:40] in log.read_text(), "the original must be in the log"


def test_pictures_that_are_normalised_already_are_refused(tiny_run):
    with pytest.raises(PipelineError, match="was given float32"):
        rknn_simulator.run_simulator(None, np.zeros((1, 48, 48, 3), np.float32))


def test_other_toolkit_version_names_the_command():
    other = {"2.3.2": "2.5.0"}.get(rknn_toolkit.metadata.version("rknn-toolkit2"), "2.3.2")
    with pytest.raises(PipelineError, match=rf"run make with TOOLKIT={other}"):
        rknn_toolkit.require_version(other)


# --- the file -------------------------------------------------------------------------


@pytest.fixture
def rknn_bytes(tiny_run) -> bytes:
    return (tiny_run / "smoke.rknn").read_bytes()


def read(tmp_path, content: bytes) -> rknn_file.RknnFile:
    (tmp_path / "model.rknn").write_bytes(content)
    return rknn_file.read(tmp_path / "model.rknn")


def test_exported_file_is_what_the_sdk_expects(tiny_run):
    file = rknn_file.read(tiny_run / "smoke.rknn")
    rknn_file.require_deployable(file, SHAPE, MEAN, STD)
    assert file.output.shape == [1, 10] and file.output.dtype == "int8"
    assert file.custom_string.startswith("labels=0,1,2,3,4,5,6,7,8,9;onnx=")


def test_output_scale_in_the_file_is_the_simulators(tiny_run):
    """Every simulated logit is a whole number of steps from the zero point."""
    output = rknn_file.read(tiny_run / "smoke.rknn").output
    logits = np.load(tiny_run / "golden.npz")["logits"]
    steps = logits / output.scale
    assert np.abs(steps - np.rint(steps)).max() < 0.01
    numbers = np.rint(steps) + output.zero_point
    assert numbers.min() >= -128 and numbers.max() <= 127


@pytest.mark.parametrize("share", [0, 0.0001, 0.0005, 0.45, 0.5, 0.99, 0.99999])
def test_file_cut_short(tmp_path, rknn_bytes, share):
    with pytest.raises(PipelineError, match=r"cut short|no \.rknn file|announces"):
        read(tmp_path, rknn_bytes[: int(len(rknn_bytes) * share)])


def test_file_with_something_behind_it(tmp_path, rknn_bytes):
    with pytest.raises(PipelineError, match="announces"):
        read(tmp_path, rknn_bytes + b"x")


def test_unknown_version(tmp_path, rknn_bytes):
    with pytest.raises(PipelineError, match="unknown version 0x2005"):
        read(tmp_path, rknn_bytes[:8] + struct.pack("<Q", 0x2005) + rknn_bytes[16:])


def test_model_for_another_chip(tiny_run, tmp_path):
    build(
        str(tiny_run / "smoke.slim.onnx"),
        tiny_run / "calibration.txt",
        tmp_path / "rk3566.log",
        target_platform="rk3566",
    )
    file = rknn_file.read(tmp_path / "rk3566.rknn")
    assert not file.mini
    with pytest.raises(PipelineError, match=r"is for rk3566.*the module is an rv1106"):
        rknn_file.require_deployable(file, SHAPE, MEAN, STD)


def test_full_model_for_the_right_chip(tiny_run, tmp_path):
    """What `dynamic_input` builds: the right chip, and the runtime cannot load it."""
    build(
        str(tiny_run / "smoke.slim.onnx"),
        tiny_run / "calibration.txt",
        tmp_path / "full.log",
        dynamic_input=[[[1, 3, 32, 32]]],
    )
    file = rknn_file.read(tmp_path / "full.rknn")
    assert file.target_platforms == ["rv1106"]
    with pytest.raises(PipelineError, match="full model, which the RV1106 runtime cannot load"):
        rknn_file.require_deployable(file, SHAPE, MEAN, STD)


def test_wrong_mean_in_the_file(tiny_run):
    file = rknn_file.read(tiny_run / "smoke.rknn")
    with pytest.raises(PipelineError, match="normalises with mean"):
        rknn_file.require_deployable(file, SHAPE, [0.0, 0.0, 0.0], STD)


# --- the simulator --------------------------------------------------------------------


def test_simulator_gives_what_the_exporting_process_gave(tiny_run, tmp_path):
    """Two builds of one model agree to the last digit, in one process or in several."""
    golden = np.load(tiny_run / "golden.npz")
    with rknn_simulator.Simulator(
        recipe_file.load("smoke"),
        tiny_run / "smoke.slim.onnx",
        tiny_run / "calibration.txt",
        tmp_path / "simulator",
        workers=2,
    ) as simulator:
        logits = simulator.run(np.concatenate([golden["images"]] * 11))
    assert np.array_equal(logits, np.concatenate([golden["logits"]] * 11))


def test_simulator_refuses_what_is_not_the_runs_own_model(tiny_run, tmp_path):
    """With other settings than the run's it used to simulate another model without a word."""
    images = np.zeros((1, 48, 48, 3), np.uint8)
    other = recipe_file.load(
        "smoke", ["rknn.quantized_algorithm=kl_divergence", "verify.workers=1"]
    )
    for build in (rknn_simulator.Simulator.of_run, rknn_simulator.build_of_run):
        with pytest.raises(PipelineError, match="not the model that 05_convert exported"):
            found = build(other, tiny_run, tmp_path / "log")
            with found as simulator:
                simulator.run(images)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda path: path.unlink(), "golden.npz is missing: run 05_convert first"),
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "golden.npz is damaged"),
    ],
)
def test_simulator_needs_the_golden_answers(tiny_run, tmp_path, change, expected):
    for name in ("smoke.slim.onnx", "calibration.txt", "golden.npz"):
        shutil.copy(tiny_run / name, tmp_path)
    (tmp_path / "dataset").symlink_to(tiny_run / "dataset")
    change(tmp_path / "golden.npz")
    with pytest.raises(PipelineError, match=expected):
        rknn_simulator.build_of_run(recipe_file.load("smoke"), tmp_path, tmp_path / "log")


def test_simulator_reports_a_failed_build_in_plain_words(tiny_run, tmp_path):
    (tmp_path / "list.txt").write_text("/nonexistent/a.png\n")
    with (
        pytest.raises(PipelineError, match="run 01 --force"),
        rknn_simulator.Simulator(
            recipe_file.load("smoke"),
            tiny_run / "smoke.slim.onnx",
            tmp_path / "list.txt",
            tmp_path / "simulator",
            workers=1,
        ) as simulator,
    ):
        simulator.run(np.zeros((1, 48, 48, 3), np.uint8))


def test_quantization_survives_a_known_network(tmp_path, tiny_run):
    """INT8 logits of a linear network stay close to the float ones."""
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 0.02, (10, 3, 48, 48)).astype(np.float32)
    model = classifier()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    path = tmp_path / "linear.onnx"
    onnx.save(model, str(path))
    images = np.load(tiny_run / "golden.npz")["images"]
    run = recipe_file.load("smoke")
    rknn = rknn_simulator.build(run, path, tiny_run / "calibration.txt", tmp_path / "linear.log")
    int8 = rknn_simulator.run_simulator(rknn, images)
    float32 = inference.run_onnx(path, images, run.image)
    assert np.corrcoef(int8.ravel(), float32.ravel())[0, 1] > 0.99

"""A board's log is told right, off by how much, or spoilt by which mistake.

The logs are made with the RKNN simulator: it is given what a faulty program would feed the NPU.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.runs import run_command

from mnist_rknn import recipe_file
from mnist_rknn.conversion import calibration, rknn_file, rknn_simulator
from mnist_rknn.errors import PipelineError
from mnist_rknn.verification import golden, metrics


@pytest.fixture(scope="module")
def pack(tiny_run, simulator, tmp_path_factory) -> Path:
    """A pack whose pictures stand under yellow light, so that red and blue exchanged makes a
    difference; to the run's own pictures, many of them gray, it may make next to none.
    """
    folder = tmp_path_factory.mktemp("pack")
    image = recipe_file.load("smoke").image
    file = rknn_file.read(tiny_run / "smoke.rknn")
    with np.load(tiny_run / "golden.npz") as arrays:
        images, classes = arrays["images"], arrays["classes"]
    images[..., 2] //= 2

    def logits(pictures: np.ndarray) -> np.ndarray:
        steps = simulator(pictures).astype(np.float32)
        return (steps - file.output.zero_point) * np.float32(file.output.scale)

    spoilt = golden.spoilt(images, image)
    mistakes = {name: logits(pictures) for name, pictures in spoilt.items()}
    golden.write(folder / "golden.npz", images, classes, logits(images), mistakes)
    labels = (tiny_run / "labels.txt").read_text().splitlines()
    golden.write_pack(folder, folder / "golden.npz", image, file, labels)
    return folder


@pytest.fixture(scope="module")
def simulator(tiny_run, tmp_path_factory):
    """The model in the simulator; a function from pictures to INT8 logits."""
    log = tmp_path_factory.mktemp("simulator") / "log"
    rknn = rknn_simulator.build(
        recipe_file.load("smoke"), tiny_run / "smoke.slim.onnx", tiny_run / "calibration.txt", log
    )
    output = rknn_file.read(tiny_run / "smoke.rknn").output
    yield lambda images: golden.to_int8(rknn_simulator.run_simulator(rknn, images), output)
    rknn.release()


def pictures(pack: Path) -> np.ndarray:
    head = golden.read_pack(pack)
    shape = (head["images"], head["height"], head["width"], 3)
    return np.fromfile(pack / "images.bin", np.uint8).reshape(shape)


def write_log(
    path: Path, pack: Path, steps: np.ndarray, softmaxes=1, logits=True, raw=None, **head
) -> Path:
    """The log of a program whose model answered with the INT8 logits `steps`.

    Args:
        raw: INT8 logits of the raw backend, where they are not those behind the SDK's scores.
    """
    raw = steps if raw is None else raw
    content = golden.read_pack(pack)
    output = content["output"]
    scores = (steps - float(output["zero_point"])) * output["scale"]
    for _ in range(softmaxes):
        scores = metrics.probabilities(scores)
    lines = [
        {"log": "mnist-rknn golden", "version": 1, "program": "test", "images": len(steps),
         "model": content["model"], "model_sha256": None} | head
    ]  # fmt: skip
    for number, (row, answer) in enumerate(zip(scores, raw, strict=True)):
        line = {"image": number, "label": int(row.argmax()), "score": round(float(row.max()), 4)}
        lines.append(line | ({"logits": answer.tolist()} if logits else {}))
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"done": True}]))
    return path


def verdict(pack: Path, log: Path, runtime: str | None = None) -> dict:
    return golden.compare(golden.read_pack(pack), golden.read_log(log), runtime)


@pytest.mark.parametrize("logits", [True, False])
def test_right_answers_match(pack, simulator, tmp_path, logits):
    log = write_log(tmp_path / "log", pack, simulator(pictures(pack)), logits=logits)
    found = verdict(pack, log)
    assert found["match"] and found["labels_differ"] == 0 and found["cause"] is None
    assert found["largest_steps"] == (0 if logits else None)


@pytest.mark.parametrize("mistake", golden.CAUSES)
def test_each_mistake_of_a_program_is_recognised(pack, simulator, tmp_path, mistake):
    spoilt = golden.spoilt(pictures(pack), recipe_file.load("smoke").image)[mistake]
    found = verdict(pack, write_log(tmp_path / "log", pack, simulator(spoilt)))
    assert not found["match"]
    assert found["cause"] == golden.CAUSES[mistake]


@pytest.mark.parametrize("mistake", ["normalised", "int8"])
def test_mistakes_are_recognised_from_labels_and_scores_alone(pack, simulator, tmp_path, mistake):
    spoilt = golden.spoilt(pictures(pack), recipe_file.load("smoke").image)[mistake]
    found = verdict(pack, write_log(tmp_path / "log", pack, simulator(spoilt), logits=False))
    assert found["cause"] == golden.CAUSES[mistake]


def test_softmax_twice_is_recognised(pack, simulator, tmp_path):
    log = write_log(tmp_path / "log", pack, simulator(pictures(pack)), softmaxes=2, logits=False)
    found = verdict(pack, log)
    assert not found["match"] and found["cause"] == golden.SOFTMAX_TWICE
    assert max(row.score for row in golden.read_log(log).answers) < 0.24  # as users report it


def test_a_picture_that_never_arrives_is_recognised(pack, simulator, tmp_path):
    black = np.zeros_like(pictures(pack))
    log = write_log(tmp_path / "log", pack, simulator(black), logits=False)
    assert verdict(pack, log)["cause"] == golden.SAME_ANSWER


def test_a_mistake_that_explains_only_most_of_the_answers_is_not_named(pack, simulator, tmp_path):
    images = pictures(pack)
    images[10:] = golden.spoilt(images, recipe_file.load("smoke").image)["normalised"][10:]
    found = verdict(pack, write_log(tmp_path / "log", pack, simulator(images)))
    assert not found["match"] and found["cause"] is None


def test_a_mistake_in_the_sdk_is_recognised_though_the_npu_is_right(pack, simulator, tmp_path):
    right = simulator(pictures(pack))
    spoilt = golden.spoilt(pictures(pack), recipe_file.load("smoke").image)["normalised"]
    found = verdict(pack, write_log(tmp_path / "log", pack, simulator(spoilt), raw=right))
    assert not found["match"] and found["largest_steps"] == 0
    assert found["cause"] == golden.CAUSES["normalised"]
    found = verdict(pack, write_log(tmp_path / "log", pack, right, softmaxes=2, raw=right))
    assert not found["match"] and found["cause"] == golden.SOFTMAX_TWICE


def test_two_mistakes_at_once_are_both_named(pack, simulator, tmp_path):
    spoilt = golden.spoilt(pictures(pack), recipe_file.load("smoke").image)["int8"]
    log = write_log(tmp_path / "log", pack, simulator(spoilt), softmaxes=2)
    assert verdict(pack, log)["cause"] == f"{golden.CAUSES['int8']}; and {golden.SOFTMAX_TWICE}"


def test_another_model_and_another_runtime_are_named(pack, simulator, tiny_run, tmp_path):
    listed = tmp_path / "short.txt"
    calibration.write_list(listed, calibration.read_list(tiny_run / "calibration.txt")[:1])
    rknn = rknn_simulator.build(
        recipe_file.load("smoke"), tiny_run / "smoke.slim.onnx", listed, tmp_path / "log"
    )
    with np.load(tiny_run / "golden.npz") as arrays:
        logits = rknn_simulator.run_simulator(rknn, arrays["images"])
    rknn.release()
    output = golden.read_pack(pack)["output"]
    other = np.clip(np.rint(logits / output["scale"]) + output["zero_point"], -128, 127)
    log = write_log(tmp_path / "a", pack, other.astype(np.int8), model="labels=;onnx=0")
    found = verdict(pack, log)
    assert not found["match"] and found["largest_steps"] > 1
    assert "another model" in found["cause"] and "labels=;onnx=0" in found["remarks"][0]
    log = write_log(tmp_path / "b", pack, other.astype(np.int8))
    assert "different versions" in verdict(pack, log, runtime="1.6.0")["cause"]
    assert verdict(pack, log)["cause"] is None and "none of the usual" in golden.text(
        verdict(pack, log)
    )


def test_a_step_of_rounding_is_a_match_and_two_are_not(pack, simulator, tmp_path):
    steps = simulator(pictures(pack)).astype(int)
    sign = np.where(np.arange(steps.size).reshape(steps.shape) % 2, 1, -1)
    near = write_log(tmp_path / "near", pack, np.clip(steps + sign, -128, 127))
    assert verdict(pack, near)["match"] and verdict(pack, near)["largest_steps"] == 1
    far = write_log(tmp_path / "far", pack, np.clip(steps + 3 * sign, -128, 127))
    assert not verdict(pack, far)["match"] and verdict(pack, far)["largest_steps"] == 3


def test_a_log_cut_short_or_of_another_pack_is_refused(pack, simulator, tmp_path):
    log = write_log(tmp_path / "log", pack, simulator(pictures(pack)))
    lines = log.read_text().splitlines(True)
    for content, message in (
        (lines[:31], "ends after 30 of 50 pictures"),
        ([*lines[:30], lines[30][:20]], "no log of the golden pack"),
        ([], "no log of the golden pack"),
        (lines[:3] + lines[4:], "every picture once"),
        ([lines[0].replace('"images": 50', '"images": 2'), *lines[1:3], lines[-1]], "another pack"),
        ([lines[0], lines[1].replace('"label": ', '"label": 1'), *lines[2:]], "other classes"),
        ([lines[0], lines[1].replace('"score": 0', '"score": NaN'), *lines[2:]], "no log of"),
    ):
        broken = tmp_path / "broken"
        broken.write_text("".join(content))
        with pytest.raises(PipelineError, match=message) as error:
            verdict(pack, broken)
        assert "\n" not in str(error.value)
    result = run_command("golden", pack, tmp_path / "nothing", cwd=tmp_path)
    assert result.returncode == 1 and result.stderr.startswith("error: ")


def test_command_exits_with_1_for_other_answers(pack, simulator, tmp_path):
    right = write_log(tmp_path / "right", pack, simulator(pictures(pack)))
    wrong = write_log(tmp_path / "wrong", pack, simulator(pictures(pack)[..., ::-1].copy()))
    result = run_command("golden", pack, right, cwd=tmp_path)
    assert result.returncode == 0 and result.stdout.startswith("match")
    result = run_command("golden", pack, wrong, "--json", cwd=tmp_path)
    assert result.returncode == 1 and "exchanged" in json.loads(result.stdout)["cause"]


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300))
def test_no_log_makes_a_traceback(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(content)
    with pytest.raises(PipelineError):
        golden.read_log(path)

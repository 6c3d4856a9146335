"""What a conversion must pass, also where Python switches assertions off."""

import ast
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from support.runs import PROJECT

from mnist_rknn import recipe_file
from mnist_rknn.conversion import gates, inference
from mnist_rknn.data import dataset, drawing
from mnist_rknn.errors import PipelineError
from mnist_rknn.pipeline import environment
from mnist_rknn.records import Compilation, Layer
from mnist_rknn.training import engine

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
RECIPE = recipe_file.load("smoke", ["train.min_accuracy=0.5"])
WANTED = ([1, 3, 48, 48], [127.5] * 3, [127.5] * 3)


def compiled(**changes) -> Compilation:
    layer = {
        "id": 1, "operator": "Conv", "dtype": "INT8", "target": "NPU", "input_shape": "",
        "output_shape": "", "ddr_cycles": 1, "npu_cycles": 1, "cycles": 1, "traffic_kb": 1.0,
        "name": "a",
    }  # fmt: skip
    layers = [Layer(**{**layer, **changes})]
    return Compilation(cycles=1, weights_kb=1.0, internal_kb=1.0, layers=layers)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"operator": "Erf", "target": "CPU"}, "has no CPU Erf"), ({"dtype": "FLOAT16"}, "not INT8")],
)
def test_layer_that_the_board_lacks_is_refused_before_the_export(tmp_path, changes, expected):
    with (
        pytest.raises(PipelineError, match=expected),
        gates.exporting(tmp_path / "a.rknn", compiled(**changes), *WANTED),
    ):
        raise AssertionError("it was exported")
    assert not list(tmp_path.iterdir())


def test_file_gets_its_name_only_when_it_was_looked_into(tmp_path, tiny_run):
    target = tmp_path / "a.rknn"
    target.write_text("the old one")
    good = (tiny_run / "smoke.rknn").read_bytes()
    for content in (good[:-1], good.replace(b"'mean': [127.5", b"'mean': [103.5")):
        with (
            pytest.raises(PipelineError),
            gates.exporting(target, compiled(), *WANTED) as temporary,
        ):
            temporary.write_bytes(content)
        assert target.read_text() == "the old one" and len(list(tmp_path.iterdir())) == 1
    with gates.exporting(target, compiled(), *WANTED) as temporary:
        temporary.write_bytes(good)
    assert target.read_bytes() == good


def checked(**changes) -> dict:
    found = {"check_pass": True, "num_classes": 2, "train_samples": 100, **changes}
    return {"check_pass": found.pop("check_pass"), "attributes": found}


REFUSED = {
    "machine": (lambda: environment.require_ready([environment.Check("disk", "FAIL", "full")]), "disk: mend"),  # noqa: E501
    "split": (lambda: drawing.require_disjoint({"train": np.arange(3), "val": np.array([2])}), "1 images stand in train and in val"),  # noqa: E501
    "size": (lambda: dataset.require_fitted(np.zeros((1, 32, 48, 3)), RECIPE.image), r"\(32, 48, 3\), the network takes \(48, 48, 3\)"),  # noqa: E501
    "redraw": (lambda: drawing.require_redraw(recipe_file.load("mnist_plain")), "does not redraw"),
    "checker": (lambda: engine.require_trainable(RECIPE, checked(check_pass=False), ["a", "b"]), "PaddleX refuses"),  # noqa: E501
    "classes": (lambda: engine.require_trainable(RECIPE, checked(num_classes=3), ["a", "b"]), "counts 3 classes, label.txt has 2"),  # noqa: E501
    "batch": (lambda: engine.require_trainable(RECIPE, checked(train_samples=9), ["a", "b"]), "no batch is ever full"),  # noqa: E501
    "accuracy": (lambda: engine.require_accuracy(RECIPE, 0.4), "below train.min_accuracy 0.5"),
    "no accuracy": (lambda: engine.require_accuracy(RECIPE, float("nan")), "below train.min_accu"),
    "export": (lambda: inference.require_alike(0.1, RECIPE.export), r"more than export\.max_diff"),
    "no number": (lambda: inference.require_alike(float("nan"), RECIPE.export), r"differ by nan"),
}  # fmt: skip


@pytest.mark.parametrize("gate", REFUSED)
def test_gate_of_a_notebook_refuses(gate):
    pass_through, expected = REFUSED[gate]
    with pytest.raises(PipelineError, match=expected):
        pass_through()


def test_gates_let_through_what_is_right():
    engine.require_trainable(RECIPE, checked(), ["a", "b"])
    engine.require_accuracy(RECIPE, 0.5)
    inference.require_alike(1e-6, RECIPE.export)
    drawing.require_disjoint({"train": np.arange(3), "val": np.array([3])})
    dataset.require_fitted(np.zeros((1, 48, 48, 3)), RECIPE.image)
    drawing.require_redraw(RECIPE)
    environment.require_ready([environment.Check("font", "NOTE", "none")])


def test_gates_stand_where_assertions_are_switched_off():
    code = (
        f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
        "from mnist_rknn import recipe_file; from mnist_rknn.training import engine\n"
        "engine.require_accuracy(recipe_file.load('mnist', ['train.min_accuracy=0.5']), 0.1)"
    )
    result = subprocess.run(
        [sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1 and "is below train.min_accuracy" in result.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_notebook_guards_a_result_with_a_bare_assertion(path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    found = [n for c in cells for n in ast.walk(ast.parse(c.source)) if isinstance(n, ast.Assert)]
    assert not found

"""The bundle for the module: whole, small, the same bytes again, and runnable where it lies."""

import json
import re
import zipfile

import numpy as np
import pytest
from support.runs import TINY, last_line, run_command, settings

from mnist_rknn import recipe_file
from mnist_rknn.conversion import rknn_file
from mnist_rknn.deployment import deploy
from mnist_rknn.errors import PipelineError
from mnist_rknn.verification import golden

RECIPE = recipe_file.load("smoke", TINY)


def test_bundle_has_everything_and_is_small(finished):
    path = deploy.build(RECIPE, finished)
    folder = finished / "deploy"
    names = {found.relative_to(folder).as_posix() for found in deploy.files(folder)}
    assert names >= {
        "smoke.rknn", "labels.txt", "manifest.json", "README.md", "README.zh.md", "digits.py",
        "locator.py", "cpp/CMakeLists.txt", "golden/golden.json", "golden/images.bin",
        "golden/frame.bmp",
    }  # fmt: skip
    assert sum(found.stat().st_size for found in deploy.files(folder)) <= 1 << 20
    assert path.stat().st_size <= 1 << 20
    with zipfile.ZipFile(path) as opened:
        assert {name.partition("/")[2] for name in opened.namelist()} == names
        model = opened.read("smoke-deploy/smoke.rknn")
    assert model == (finished / "smoke.rknn").read_bytes()


def test_two_builds_have_the_same_bytes(finished):
    first = deploy.build(RECIPE, finished).read_bytes()
    assert deploy.build(RECIPE, finished).read_bytes() == first


def test_nothing_but_the_model_tells_one_conversion_from_another(finished):
    """rknn-toolkit2's files differ from build to build; the rest of the bundle must not."""
    deploy.build(RECIPE, finished)
    folder = finished / "deploy"
    before = {p.relative_to(folder): p.read_bytes() for p in deploy.files(folder)}
    result = run_command(
        "run", "05-06", "--force", "--recipe", "smoke", "--output", str(finished),
        *settings(TINY),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    deploy.build(RECIPE, finished)
    after = {p.relative_to(folder): p.read_bytes() for p in deploy.files(folder)}
    changed = {str(name) for name in before if before[name] != after.get(name)}
    assert changed <= {"smoke.rknn"} and before.keys() == after.keys()


def test_readmes_name_files_that_are_there(finished):
    deploy.build(RECIPE, finished)
    folder = finished / "deploy"
    for name in ("README.md", "README.zh.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "{{" not in text and "/tmp" not in text
        named = re.findall(r"^\| `([\w./]+)`", text, re.MULTILINE)
        assert len(named) >= 4 and all((folder / file).exists() for file in named)
        assert "python3 digits.py smoke.rknn --golden golden --log golden.log" in text


def test_golden_pack_is_of_this_model(finished):
    deploy.build(RECIPE, finished)
    pack = golden.read_pack(finished / "deploy" / "golden")
    assert pack["model"] == rknn_file.read(finished / "smoke.rknn").custom_string
    assert (finished / "deploy/golden/images.bin").stat().st_size == 50 * 48 * 48 * 3
    assert len({row["true"] for row in pack["expected"]}) == 10


def test_makers_digit_examples_can_run_the_model(finished):
    """The contract of PaddleClas and of the low-level example in the maker's SDK (MODULE.md)."""
    file = rknn_file.read(finished / "smoke.rknn")
    assert rknn_file.problems(file) == []
    assert file.mini and file.target_platforms == ["rv1106"]
    assert file.input.dtype == file.output.dtype == "int8"
    batch, channels, _, width = file.input.shape
    assert (batch, channels, width % 16) == (1, 3, 0)
    labels = (finished / "labels.txt").read_text().splitlines()
    assert file.output.shape == [1, len(labels)]
    expected = golden_scores(finished)
    assert max(expected) > 0.24  # logits, not a Softmax that the SDK would apply once more


def golden_scores(finished) -> list[float]:
    deploy.build(RECIPE, finished)
    pack = golden.read_pack(finished / "deploy" / "golden")
    return [row["score"] for row in pack["expected"]]


def test_a_model_that_is_not_verified_is_not_packed(finished):
    path = finished / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"verified": False, "misses": ["too bad"]}))
    with pytest.raises(PipelineError, match=r"is not verified \(too bad\)"):
        deploy.build(RECIPE, finished)
    assert not (finished / "deploy").exists()


def test_no_run_no_bundle(tmp_path):
    result = run_command("deploy", "--run", str(tmp_path))
    assert result.returncode == 1 and "is no finished run" in last_line(result)


def test_rockchips_own_demo_comes_with_its_answer(finished):
    result = run_command("deploy", "--codegen", "--run", str(finished))
    assert result.returncode == 0, result.stderr
    demo = finished / "deploy" / "codegen"
    assert (demo / "src" / "main.cc").is_file()
    [answer] = (demo / "data" / "outputs" / "golden").glob("*.npy")
    with np.load(finished / "golden.npz") as arrays:
        assert np.allclose(np.load(answer).ravel(), arrays["logits"][0])

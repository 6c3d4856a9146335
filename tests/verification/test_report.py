"""The page that says it all: complete, honest about sources, readable on a phone."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from support.graphs import classifier
from support.runs import PROJECT, TINY, last_line, run_command, settings, sign
from support.stages import stage

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.pipeline.cells import Processes
from mnist_rknn.records import STAGES, LayerErrors
from mnist_rknn.verification import layer_error, metrics, quantstudy, report

RUN = recipe_file.load("smoke", TINY)


@pytest.fixture(scope="module")
def studied(tiny_run) -> Path:
    """The finished run with notebook 08 run on a few builds."""
    few = ("sizes=[20]", "seeds=[1, 2]", "pictures=100")
    parameters = [argument for value in few for argument in ("--parameter", value)]
    result = run_command(
        "run", "08", "--recipe", "smoke", "--output", str(tiny_run), *settings(TINY), *parameters
    )
    assert result.returncode == 0, result.stderr
    return tiny_run


def page(folder: Path) -> str:
    return report.build(RUN, folder).read_text(encoding="utf-8")


# --- the page -------------------------------------------------------------------------


def test_report_holds_what_was_measured(studied):
    text = page(studied)
    verify = json.loads((studied / "verify.json").read_text())
    layers = json.loads((studied / "layers.json").read_text())
    for row in (*verify["stages"].values(), *verify["camera"].values()):
        assert f"{100 * row['accuracy']['top1']:.2f} %" in text
    assert f"{layers['cycles']:,}" in text and f"{layers['weights_kb']:g} KB" in text
    for source in ("measured on PC", "simulator", "compiler estimate", "board: not measured"):
        assert source in text
    assert "at 420 MHz" in text and "256 MB" in text and "second opinion" in text
    assert text.count("<svg") == 3 and text.count("data:image/") > 30
    assert len(re.findall(r'class="confusion"', text)) == 4
    assert len(text.encode()) < 3_000_000


def test_report_needs_nothing_from_elsewhere_and_says_nothing_of_this_machine(studied):
    text = page(studied)
    text = text.replace('href="try.html"', "")  # which lies beside it
    assert not re.search(r'(src|href)="(?!data:|#)', text) and "<script" not in text
    assert "http://www.w3.org" in text or "http" not in text
    assert str(studied) not in text and str(PROJECT) not in text


def test_report_is_valid_html(studied, tmp_path):
    tidy = shutil.which("tidy")
    if not tidy:
        pytest.skip("Debian's package tidy is not installed")
    result = subprocess.run(
        [tidy, "-quiet", "-errors", "--drop-empty-elements", "no", str(report.build(RUN, studied))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not result.stderr
    page_text = page(studied)
    names = re.findall(r'\bid="([^"]+)"', page_text)
    assert len(names) == len(set(names)), "two elements have one id"


@pytest.mark.parametrize("width", [390, 1100])
def test_report_needs_no_sideways_scrolling(studied, tmp_path, width):
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("Debian's package chromium is not installed")
    text = page(studied).replace("&", "&amp;").replace('"', "&quot;")
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id="f" width="{width}" height="900" style="border:0" srcdoc="{text}"></iframe>'
        "<script>onload = () => { const d = document.getElementById('f').contentDocument;"
        "document.title = 'width ' + d.documentElement.scrollWidth }</script>",
        encoding="utf-8",
    )
    result = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--virtual-time-budget=5000", "--dump-dom",
         f"--user-data-dir={tmp_path / 'profile'}", f"file://{frame}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found = re.search(r"<title>width (\d+)", result.stdout)
    assert found, result.stderr[-500:]
    assert int(found[1]) <= width


def test_other_networks_stand_beside_the_model_and_untrained_ones_say_so(
    tiny_run, tmp_path, monkeypatch
):
    """`make costs` itself takes minutes for each network; this is what it leaves."""
    other = {"cycles": 1_146_037, "weights_kb": 2074, "internal_kb": 539, "parameters": 1_683_912}
    costs = [
        {**other, "name": "untrained", "accuracy": None, "trained_on": 120},
        {**other, "name": "trained", "accuracy": 0.9712, "trained_on": 9000},
    ]
    (tmp_path / "costs").mkdir()
    (tmp_path / "costs" / "costs.json").write_text(json.dumps(costs))
    monkeypatch.setattr(report, "OUTPUT", tmp_path)
    rows = re.findall(r"<tr><th>(?:un)?trained</th>.*?</tr>", page(tiny_run))
    assert "not measured" in rows[0] and "1,146,037" in rows[0] and "2.73" in rows[0]
    assert "97.12 %, trained on 9,000 views only" in rows[1]


def test_report_of_nothing_is_one_line(tmp_path):
    result = run_command("report", "--run", str(tmp_path))
    assert result.returncode == 1 and "is no finished run" in last_line(result)


def test_report_of_results_from_another_version_is_one_line(finished):
    (finished / "verify.json").write_text('{"stages": {}}')
    with pytest.raises(PipelineError, match="was written by an older version"):
        report.build(RUN, finished)


# --- planted faults: the run fails, and the report names the cause ----------------------


def fails_and_reports(folder: Path, steps: str, *overrides: str) -> str:
    sign(folder)  # else the planted file would only be made anew
    result = run_command(
        "run", steps, "--recipe", "smoke", "--output", str(folder), "--force",
        *settings((*TINY, *overrides)),
    )  # fmt: skip
    assert result.returncode == 1, result.stdout
    assert "report: " in result.stdout
    return (folder / "report.html").read_text(encoding="utf-8")


def test_planted_erf(finished):
    (finished / "smoke.slim.onnx").write_bytes(classifier(inside="Erf").SerializeToString())
    text = fails_and_reports(finished, "05")
    assert "Stopped in 05_convert." in text and "has no CPU Erf" in text


def test_planted_softmax(finished):
    (finished / "smoke.slim.onnx").write_bytes(classifier(("Softmax",)).SerializeToString())
    text = fails_and_reports(finished, "05")
    assert "Stopped in 05_convert." in text and "the graph ends in Softmax" in text


def test_planted_mean(finished):
    path = finished / "smoke.rknn"
    old = b"'mean': [127.5, 127.5, 127.5]"
    path.write_bytes(path.read_bytes().replace(old, old.replace(b"[127.5", b"[103.5")))
    text = fails_and_reports(finished, "06")
    assert "Stopped in 06_verify." in text and "normalises with mean [103.5" in text


def test_budget_and_threshold_that_are_missed_stand_in_the_report(finished):
    text = fails_and_reports(finished, "06", "budget.cycles=1000", "verify.min_accuracy=1")
    assert "Not verified." in text and "exceed budget.cycles 1,000" in text
    assert "exceeded" in text and "is below verify.min_accuracy 1" in text
    assert "the float network itself reads only" in text
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["verified"] is False and len(manifest["misses"]) == 2


# --- where it was lost ----------------------------------------------------------------


def stages(**drops: float) -> dict:
    return {name: stage(drop=drops.get(name, 0.0)) for name in STAGES}


@pytest.mark.parametrize(
    ("drops", "expected"),
    [
        ({}, None),
        ({"onnx": 0.1, "slim": 0.1, "rknn": 0.1}, "lost in the export"),
        ({"slim": 0.1, "rknn": 0.1}, "lost in the slimming"),
        ({"rknn": 0.1}, "INT8 loses 10.00 points"),
    ],
)
def test_cause_is_the_link_that_lost(drops, expected):
    found = metrics.causes(stages(**drops), RUN.verify, ["conv3"])
    assert len(found) == (expected is not None)
    if expected:
        assert expected in found[0]
        assert ("conv3" in found[0]) == (list(drops) == ["rknn"])


def test_layer_errors_are_the_toolkits(tiny_run):
    errors = LayerErrors.read(tiny_run)
    assert errors.pictures == 10 and len(errors.worst) == 5
    names = [layer.name for layer in errors.layers]
    assert names[0] == "x" and len(names) == len(set(names)) > 10
    for layer in errors.layers[1:]:
        for loss in (layer.single, layer.accumulated):
            assert 0.9 < loss.lowest <= loss.cosine <= 1
            assert loss.distance >= 0
    worst = layer_error.worst(errors.layers)[0]
    others = [layer for layer in errors.layers if layer.operator in ("Relu", "MaxPool")]
    assert all(worst.single.cosine <= layer.single.cosine for layer in others)


# --- the study ------------------------------------------------------------------------


def test_study_is_scored_cached_and_tells_bad_lists(studied):
    study = json.loads((studied / "quantstudy.json").read_text())
    assert len(study["rows"]) == 3 * 2 * 1 * 2 + len(quantstudy.BAD)
    bad = {row["calibration"]: row for row in study["rows"] if row["calibration"] != "balanced"}
    balanced = [row for row in study["rows"] if row["calibration"] == "balanced"]
    assert bad["all black"]["cosine"] < min(row["cosine"] for row in balanced)
    assert bad["other normalisation"]["cosine"] < min(row["cosine"] for row in balanced)
    assert study["test"]["winner"]["pictures"] == 400
    cells = sorted((studied / "quantstudy").glob("*.json"))
    times = [path.stat().st_mtime_ns for path in cells]
    again = quantstudy.run(RUN, studied, quantstudy.grid([20], [1, 2]), 100)
    assert again == study["rows"]
    assert times == [path.stat().st_mtime_ns for path in cells], "a cached cell was built again"


def test_a_lost_cell_alone_is_built_again_and_is_the_same(studied, tmp_path):
    study = json.loads((studied / "quantstudy.json").read_text())
    cells = {path: json.loads(path.read_text()) for path in (studied / "quantstudy").glob("*.json")}
    lost = next(path for path, cell in cells.items() if cell.get("algorithm") == "normal")
    lost.unlink()
    again = quantstudy.run(RUN, studied, quantstudy.grid([20], [1, 2]), 100, Processes(1))
    for before, after in zip(study["rows"], again, strict=True):
        assert {**before, "seconds": 0} == {**after, "seconds": 0}


def test_winner_is_written_only_where_it_belongs(tmp_path):
    path = tmp_path / "mine.yaml"
    shutil.copy(recipe_file.CONFIGS / "mnist.yaml", path)
    before = path.read_text().splitlines()
    quantstudy.write_winner(str(path), {"algorithm": "mmse", "method": "layer", "images": 50})
    after = path.read_text().splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [line.split("#")[0].strip() for line in changed] == [
        "images: 50",
        "quantized_algorithm: mmse",
        "quantized_method: layer",
    ]
    assert yaml.safe_load(path.read_text())["rknn"]["quantized_algorithm"] == "mmse"
    with pytest.raises(PipelineError):
        quantstudy.write_winner(str(path), {"algorithm": "mmse", "method": "layer", "images": 1})
    assert path.read_text().splitlines() == after, "a setting that cannot work was written"


def test_settings_within_the_noise_are_told_apart_by_the_cosine():
    def row(algorithm, accuracy, cosine, seed):
        return {
            "algorithm": algorithm, "method": "channel", "images": 100, "seed": seed,
            "calibration": "balanced", "accuracy": accuracy, "cosine": cosine,
            "lowest_cosine": cosine, "agreement": 1.0, "pictures": 1000,
        }  # fmt: skip

    rows = [
        row("normal", 0.990, 0.9990, 1), row("normal", 0.992, 0.9990, 2),
        row("mmse", 0.990, 0.9999, 1), row("mmse", 0.991, 0.9999, 2),
        row("kl_divergence", 0.970, 1.0, 1), row("kl_divergence", 0.970, 1.0, 2),
    ]  # fmt: skip
    ranked = [setting["algorithm"] for setting in quantstudy.settings(rows)]
    assert ranked == ["mmse", "normal", "kl_divergence"]


def test_second_opinion_agrees_within_a_step_between_engines(studied):
    second = json.loads((studied / "second_opinion.json").read_text())
    assert second["steps_between_engines"] <= 1.5
    for name in ("rknn-toolkit2", "QDQ, onnxruntime", "QDQ, RKNN simulator"):
        assert second["scores"][name]["cosine"] > 0.99
    assert second["allowed_gap"] == RUN.verify.max_quantizer_gap == 0.002
    assert second["agrees"] == (abs(second["accuracy_gap"]) <= 0.002 + 1e-9)


def test_disagreeing_quantizers_are_said_in_red(studied, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(studied, folder)
    second = json.loads((folder / "second_opinion.json").read_text())
    for agrees in (True, False):
        (folder / "second_opinion.json").write_text(json.dumps({**second, "agrees": agrees}))
        assert ('<p class="bad">The two quantizers' in page(folder)) is not agrees


def test_quantization_notebook_shows_scales_and_plots(studied):
    notebook = nbformat.read(studied / "notebooks" / "08_quantization.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 3
    assert any("zero_point" in output.get("data", {}).get("text/html", "") for output in outputs)


def test_probabilities_and_margins():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.4, 0.35, 0.25]]))
    assert np.allclose(metrics.certainty(logits), [0.7, 0.4])
    assert np.allclose(metrics.margin(logits), [0.5, 0.05])

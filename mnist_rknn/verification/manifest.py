"""`manifest.json`: everything about a run that somebody else needs to trust the model."""

from pathlib import Path
from typing import Any

from .. import recipe_file
from ..conversion import rknn_file, rknn_toolkit
from ..files import read_json, relative, sha256, write_json
from ..pipeline import steps
from ..pipeline.environment import installed_version
from ..recipe import Recipe

NOT_MEASURED = "not measured"
PACKAGES = (
    "paddlepaddle",
    "paddlex",
    "paddleclas",
    "paddle2onnx",
    "onnx",
    "onnxruntime",
    "onnxslim",
    "rknn-toolkit2",
    "numpy",
    "opencv-python-headless",
    "papermill",
)


def artifact_files(recipe: Recipe, folder: Path) -> list[Path]:
    """The files of a run that are worth keeping, in the order they are made."""
    names = (
        "labels.txt",
        f"{recipe.name}.onnx",
        f"{recipe.name}.slim.onnx",
        "calibration.txt",
        f"{recipe.name}.rknn",
        "layers.json",
        "layer_error.json",
        "verify.json",
    )
    return [folder / name for name in names]


def write_verification(
    run: steps.Run,
    stages: dict[str, dict[str, Any]],
    camera: dict[str, dict[str, Any]] | None,
    hard: dict[str, dict[str, dict[str, Any]]] | None,
    speed: dict[str, float],
    misses: list[str],
    causes: list[str],
    flipped: list[dict[str, Any]],
    least_certain: list[dict[str, Any]],
) -> None:
    """Write `verify.json`.

    Args:
        stages: rows of `metrics.stage_row` by stage, on the test images.
        camera: the same on the simulated camera, where the recipe has one.
        hard: accuracies of `metrics.by_group` on its hard cases, where the recipe has them.
        speed: pictures a second of each stage on this PC.
        misses: thresholds and budgets of the recipe that were missed, a line each.
        causes: where in the chain something was lost, as `metrics.causes` says.
        flipped: test pictures on which INT8 and float disagree: file, true, float, int8 and
            certainty, the probability of INT8's answer.
        least_certain: the same of the pictures INT8 was least certain of.
    """
    write_json(
        run.folder / "verify.json",
        {
            "passed": not misses,
            "misses": misses,
            "causes": causes,
            "thresholds": run.recipe.verify.model_dump(),
            "measured": "on this PC; stage rknn in the RKNN simulator; board: not measured",
            "stages": stages,
            "camera": camera,
            "hard_cases": hard,
            "images_per_second": {stage: round(value, 1) for stage, value in speed.items()},
            "flipped": flipped,
            "least_certain": least_certain,
        },
    )


def create(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """The manifest of a run whose steps are all done.

    Paths are relative to the run's folder. Accuracies are top-1 from 0 to 1 on the recipe's
    test images, measured on this PC (`rknn`: in the simulator); the estimate is the
    compiler's. Only `board` was measured on a module, where `make board` has been run.
    """
    file = rknn_file.read(folder / f"{recipe.name}.rknn")
    layers = read_json(folder / "layers.json")
    verify = read_json(folder / "verify.json")
    records = {
        step.name: steps.results(step.name, folder)
        for step in steps.STEPS
        if steps.record_file(step, folder).is_file()
    }
    return {
        "recipe": recipe_file.dump(recipe),
        "artifacts": {
            path.name: {
                "path": str(path.relative_to(folder)),
                "bytes": path.stat().st_size,
                "sha256": sha256(path),
            }
            for path in artifact_files(recipe, folder)
        },
        "packages": {name: installed_version(name) for name in PACKAGES},
        "target": {
            "platform": rknn_toolkit.PLATFORM,
            "toolkit": file.toolkit,
            "mini": file.mini,
        },
        "input": {
            "name": file.input.name,
            "shape": file.input.shape,
            "dtype": "uint8 on the board, NHWC; the NPU normalises",
            "mean": recipe.image.mean,
            "std": recipe.image.std,
            "color_order": recipe.image.color_order,
        },
        "output": {
            "name": file.output.name,
            "shape": file.output.shape,
            "dtype": file.output.dtype,
            "scale": file.output.scale,
            "zero_point": file.output.zero_point,
            "labels": (folder / "labels.txt").read_text(encoding="utf-8").splitlines(),
        },
        "seeds": {
            "split": recipe.seed,
            "training": recipe.seed,
            "calibration": recipe.seed,
        },
        "accuracy": {name: stage["accuracy"]["top1"] for name, stage in verify["stages"].items()},
        "camera_accuracy": {
            name: stage["accuracy"]["top1"] for name, stage in (verify["camera"] or {}).items()
        },
        "hard_case_accuracy": {
            name: {case: share["top1"] for case, share in cases.items()}
            for name, cases in (verify["hard_cases"] or {}).items()
        },
        "verified": verify["passed"],
        "misses": verify["misses"],
        "calibration": records.get("04_calibration", {}).get("results", {}),
        "training": records.get("02_train", {}).get("results", {}),
        "estimate": {
            "source": layers["source"],
            "cycles": layers["cycles"],
            "weights_kb": layers["weights_kb"],
            "internal_kb": layers["internal_kb"],
        },
        "board": board_figures(folder, recipe.name) or NOT_MEASURED,
        "durations": {name: record["seconds"] for name, record in records.items()},
    }


def board_figures(folder: Path, name: str) -> dict[str, Any] | None:
    """`board.json`, if `make board` measured this very model; otherwise None.

    Args:
        name: of the recipe.
    """
    path, model = folder / "board.json", folder / f"{name}.rknn"
    if not path.is_file() or not model.is_file():
        return None
    found = read_json(path)
    return found if found["model_sha256"] == sha256(model) else None


def write_board(folder: Path, content: dict[str, Any]) -> None:
    """Put what was measured on the module into the manifest of a finished run."""
    path = folder / "manifest.json"
    write_json(path, {**read_json(path), "board": content})


def write(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Create the manifest, write it to `manifest.json` and return it."""
    content = create(recipe, folder)
    write_json(folder / "manifest.json", content)
    return content


def _accuracy_lines(stages: dict[str, dict[str, Any]], pictures: str) -> list[str]:
    lines = []
    for stage, row in stages.items():
        share = row["accuracy"]
        where = "in the RKNN simulator" if stage == "rknn" else "on this PC"
        lines.append(
            f"{stage:<10} {100 * share['top1']:.2f} % of {share['images']:,} {pictures} "
            f"[{100 * share['low']:.2f}, {100 * share['high']:.2f}], measured {where}"
        )
    return lines


def summary(folder: Path) -> str:
    """The last lines of `make rknn`: the file, the accuracies and the time taken."""
    manifest = read_json(folder / "manifest.json")
    verify = read_json(folder / "verify.json")
    name = manifest["recipe"]["name"]
    lines = [f"model      {relative(folder / f'{name}.rknn')}"]
    lines += _accuracy_lines(verify["stages"], "test images")
    lines += _accuracy_lines(verify["camera"] or {}, "simulated camera pictures")
    if hard := manifest["hard_case_accuracy"]:
        shares = ", ".join(f"{case} {100 * share:.1f} %" for case, share in hard["rknn"].items())
        lines.append(f"hard cases {shares}; simulated camera, measured in the RKNN simulator")
    estimate = manifest["estimate"]
    lines.append(
        f"NPU        {estimate['cycles']:,} cycles, {estimate['weights_kb']:g} KB of weights, "
        f"{estimate['internal_kb']:g} KB internal (compiler estimate; board: not measured)"
    )
    seconds = manifest["durations"]
    parts = ", ".join(f"{step} {value:.0f} s" for step, value in seconds.items())
    lines.append(f"time       {sum(seconds.values()):.0f} s ({parts})")
    lines.append(
        "verified   " + ("yes" if manifest["verified"] else "NO: " + "; ".join(manifest["misses"]))
    )
    return "\n".join(lines)

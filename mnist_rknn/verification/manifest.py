"""`manifest.json`: assembled from what a run's steps recorded, so that it says what was done."""

from pathlib import Path
from typing import Any

from .. import recipe_file
from ..conversion import rknn_file, rknn_toolkit
from ..errors import PipelineError
from ..files import relative, sha256
from ..language import _
from ..pipeline import graph, runs, steps
from ..pipeline.environment import installed_version
from ..recipe import Recipe
from ..records import (
    NOT_MEASURED,
    Artifact,
    Board,
    BoardFigures,
    Calibration,
    Compilation,
    Input,
    Manifest,
    Output,
    Seeds,
    Stages,
    Target,
    Training,
    Verification,
    checked,
)

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

BRIEF = (
    "verified", "misses", "accuracy", "camera_accuracy", "hard_case_accuracy", "estimate", "board",
    "durations",
)  # fmt: skip


def artifact_files(recipe: Recipe, folder: Path) -> list[Path]:
    """The files of a run that are worth keeping, in the order they are made."""
    names = (
        "labels.txt",
        f"{recipe.name}.onnx",
        f"{recipe.name}.slim.onnx",
        "calibration.txt",
        f"{recipe.name}.rknn",
        "golden.npz",
        "layers.json",
        "layer_error.json",
        "verify.json",
        runs.TRY_PAGE,
    )
    graph = folder / f"{recipe.name}{runs.TRY_GRAPH}"  # not there where the page runs nothing
    return [*(folder / name for name in names), *([graph] if graph.is_file() else [])]


def made_with(folder: Path) -> dict[str, dict[str, Any]]:
    """Parts of the recipe that each finished step of a run was made with, by step."""
    records = {step.name: graph.read_record(step, folder) for step in steps.select("all")}
    return {name: record.made_from.settings for name, record in records.items() if record}


def differences(made: dict[str, dict[str, Any]], recipe: Recipe) -> list[str]:
    """Where steps were made with other settings than a recipe's, a line each.

    Args:
        made: by step, the parts of the recipe it was made with, by "section" or "section.key".
    """
    wanted = recipe_file.flat(recipe_file.dump(recipe))
    found = []
    for step, settings in made.items():
        was = recipe_file.flat(settings) if settings else {}  # 00_environment depends on none
        now = {
            key: value
            for key, value in wanted.items()
            if any(f"{key}.".startswith(f"{part}.") for part in settings)
        }
        found += [
            f"{step} had {key} {was.get(key)}, not {now.get(key)}"
            for key in {**was, **now}
            if was.get(key) != now.get(key)
        ]
    return found


def require_converted(recipe: Recipe, folder: Path) -> None:
    """Check that a run's `.rknn` file is the one that its 05_convert wrote.

    Raises:
        PipelineError: it is another, be it by a single bit.
    """
    path = folder / f"{recipe.name}.rknn"
    if sha256(path) != runs.results("05_convert", folder)["results"]["sha256"]:
        raise PipelineError(
            _("{name} is not the file that 05_convert wrote: run 05_convert again").format(
                name=path.name
            )
        )


def _require_made_with(recipe: Recipe, folder: Path, verify: Verification) -> None:
    """Check that what lies in a run's folder was made with this recipe, and belongs together."""
    made = made_with(folder)
    for step in steps.select("01-05"):
        if step.name not in made:
            raise PipelineError(
                _("{name} has not run to its end: run it first").format(name=step.name)
            )
    verified = made.setdefault("06_verify", {})
    verified["verify"] = verify.thresholds
    if found := differences(made, recipe):
        more = f"; {len(found) - 3} more" if len(found) > 3 else ""
        raise PipelineError(
            _(
                "{folder} was not made with these settings ({found}{more}): run these steps again"
            ).format(folder=relative(folder), found="; ".join(found[:3]), more=more)
        )
    require_converted(recipe, folder)
    if verify.model_sha256 != sha256(folder / f"{recipe.name}.rknn"):
        raise PipelineError(
            _("{folder} is of another model: run 06_verify again").format(
                folder=relative(folder / verify.FILE)
            )
        )


def assemble(recipe: Recipe, folder: Path) -> Manifest:
    """The manifest of a run whose steps are done, from what they recorded.

    Raises:
        PipelineError: a step is not done, or was done with other settings than the recipe's.
    """
    verify = Verification.read(folder)
    _require_made_with(recipe, folder, verify)
    file = rknn_file.read(folder / f"{recipe.name}.rknn")
    scale, zero_point = file.output.quantization()
    done = {
        step.name: runs.results(step.name, folder)
        for step in steps.STEPS
        if graph.record_file(step, folder).is_file()
    }
    return Manifest(
        recipe=recipe_file.dump(recipe),
        artifacts={
            path.name: Artifact(
                path=str(path.relative_to(folder)), bytes=path.stat().st_size, sha256=sha256(path)
            )
            for path in artifact_files(recipe, folder)
        },
        packages={name: installed_version(name) for name in PACKAGES}
        | {
            name: version
            for record in done.values()
            for name, version in record["made_from"]["packages"].items()
            if name in PACKAGES
        },
        target=Target(platform=rknn_toolkit.PLATFORM, toolkit=file.toolkit, mini=file.mini),
        input=Input(
            name=file.input.name,
            shape=file.input.shape,
            mean=recipe.image.mean,
            std=recipe.image.std,
            color_order=recipe.image.color_order,
        ),
        output=Output(
            name=file.output.name,
            shape=file.output.shape,
            dtype=file.output.dtype,
            scale=scale,
            zero_point=zero_point,
            labels=(folder / "labels.txt").read_text(encoding="utf-8").splitlines(),
        ),
        seeds=Seeds(split=recipe.seed, training=recipe.seed, calibration=recipe.seed),
        accuracy={name: stage.accuracy.top1 for name, stage in verify.stages.items()},
        camera_accuracy={
            name: stage.accuracy.top1 for name, stage in (verify.camera or {}).items()
        },
        hard_case_accuracy={
            name: {case: share.top1 for case, share in cases.items()}
            for name, cases in (verify.hard_cases or {}).items()
        },
        verified=verify.passed,
        misses=verify.misses,
        calibration=checked(Calibration, done["04_calibration"]["results"], "04_calibration.json"),
        training=checked(Training, done["02_train"]["results"], "02_train.json"),
        estimate=Compilation.read(folder).estimate(),
        board=board_figures(folder, recipe.name) or NOT_MEASURED,
        durations={name: record["seconds"] for name, record in done.items()},
    )


def read_own(folder: Path) -> Manifest:
    """The manifest of a run, checked to speak of the very files that lie beside it.

    Raises:
        PipelineError: there is none, or a file is gone or another by now.
    """
    content = Manifest.read(folder)
    for artifact in content.artifacts.values():
        path = folder / artifact.path
        if not path.is_file() or sha256(path) != artifact.sha256:
            raise PipelineError(
                _(
                    "{path} is not the file that {file} speaks of: run the steps again "
                    "that are not up to date"
                ).format(path=relative(path), file=content.FILE)
            )
    return content


def board_figures(folder: Path, name: str) -> BoardFigures | None:
    """`board.json`, if `make board` measured this very model; otherwise None.

    Args:
        name: of the recipe.
    """
    path, model = folder / Board.FILE, folder / f"{name}.rknn"
    if not path.is_file() or not model.is_file():
        return None
    found = Board.read(path)
    return found.figures() if found.model_sha256 == sha256(model) else None


def write_board(folder: Path, board: Board) -> None:
    """Put what was measured on the module into the manifest of a finished run."""
    Manifest.read(folder).model_copy(update={"board": board.figures()}).write(folder)


def write(recipe: Recipe, folder: Path) -> Manifest:
    """Assemble the manifest, write it to `manifest.json` and return it."""
    content = assemble(recipe, folder)
    content.write(folder)
    return content


def _accuracy_lines(stages: Stages, pictures: str) -> list[str]:
    lines = []
    for stage, row in stages.items():
        share = row.accuracy
        where = _("in the RKNN simulator") if stage == "rknn" else _("on this PC")
        said = _("{top1:.2f} % of {images:,} {pictures} [{low:.2f}, {high:.2f}], measured {where}")
        told = said.format(
            top1=100 * share.top1, images=share.images, pictures=pictures, low=100 * share.low,
            high=100 * share.high, where=where,
        )  # fmt: skip
        lines.append(f"{stage:<10} {told}")
    return lines


def brief(folder: Path) -> dict[str, Any]:
    """What `summary` says, for programs."""
    manifest = Manifest.read(folder)
    model = relative(folder / f"{manifest.recipe['name']}.rknn")
    return {"model": model} | manifest.model_dump(mode="json", include=set(BRIEF))


def summary(folder: Path) -> str:
    """The last lines of `make rknn`: the file, the accuracies and the time taken."""
    manifest, verify = Manifest.read(folder), Verification.read(folder)
    name = manifest.recipe["name"]
    lines = [_("model      {path}").format(path=relative(folder / f"{name}.rknn"))]
    lines += _accuracy_lines(verify.stages, _("test images"))
    lines += _accuracy_lines(verify.camera or {}, _("simulated camera pictures"))
    if hard := manifest.hard_case_accuracy:
        shares = ", ".join(f"{case} {100 * share:.1f} %" for case, share in hard["rknn"].items())
        said = _("hard cases {shares}; simulated camera, measured in the RKNN simulator")
        lines.append(said.format(shares=shares))
    estimate = manifest.estimate
    lines.append(
        _(
            "NPU        {cycles:,} cycles, {weights:g} KB of weights, "
            "{internal:g} KB internal (compiler estimate; board: not measured)"
        ).format(cycles=estimate.cycles, weights=estimate.weights_kb, internal=estimate.internal_kb)
    )
    seconds = manifest.durations
    parts = ", ".join(f"{step} {value:.0f} s" for step, value in seconds.items())
    lines.append(
        _("time       {total:.0f} s ({parts})").format(total=sum(seconds.values()), parts=parts)
    )
    lines.append(
        _("verified   yes")
        if manifest.verified
        else _("verified   NO: {misses}").format(misses="; ".join(manifest.misses))
    )
    return "\n".join(lines)

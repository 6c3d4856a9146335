"""Two finished runs side by side: what changed in recipe, versions, accuracy and layers."""

from pathlib import Path
from typing import Any

from .. import recipe_file
from ..records import Compilation, Manifest

Change = dict[str, Any]  # {"first": ..., "second": ...}


def compare(first: Path, second: Path) -> dict[str, dict[str, Change]]:
    """What differs between the manifests of two runs.

    Args:
        first, second: folder of a run, or its `manifest.json`; the layer table is read from
            `layers.json` beside it.

    Returns:
        For each part ("recipe", "packages", "accuracy", "estimate", "layers", "calibration"):
        what differs, by name, as {"first": value, "second": value}; a value that one side
        lacks is None. Accuracies are top-1 from 0 to 1.

    Raises:
        PipelineError: no manifest there, one that is damaged, or one of another version.
    """
    a, b = _read(first), _read(second)
    return {part: _changes(a[part], b[part]) for part in a}


def _read(run: Path) -> dict[str, dict[str, Any]]:
    path = run / Manifest.FILE if run.is_dir() else run
    manifest = Manifest.read(path)
    layers = path.with_name(Compilation.FILE)
    sets = {"test": manifest.accuracy, "simulated camera": manifest.camera_accuracy}
    for stage, cases in manifest.hard_case_accuracy.items():
        for case, share in cases.items():
            sets.setdefault(f"hard cases, {case}", {})[stage] = share
    return {
        "recipe": recipe_file.flat(manifest.recipe),
        "packages": manifest.packages,
        "accuracy": {
            f"{name}, {stage}": share
            for name, stages in sets.items()
            for stage, share in stages.items()
        },
        "estimate": manifest.estimate.model_dump(exclude={"source"}),
        "layers": {
            f"{row.id:>2} {row.operator}": f"{row.output_shape} {row.dtype} "
            f"{row.target}, {row.cycles:,} cycles"
            for row in (Compilation.read(layers).layers if layers.is_file() else [])
        },
        "calibration": dict(manifest.calibration.sha256),
    }


def _changes(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Change]:
    return {
        key: {"first": first.get(key), "second": second.get(key)}
        for key in {**first, **second}
        if first.get(key) != second.get(key)
    }


def text(changes: dict[str, dict[str, Change]], first: str, second: str) -> str:
    """The result of `compare` for people: a line a change."""
    lines = [f"first   {first}", f"second  {second}"]
    for part, found in changes.items():
        if part == "calibration":
            only = [
                sum(c[side] is not None for c in found.values()) for side in ("first", "second")
            ]
            lines.append(
                f"\n{part}: {only[0]} pictures only in the first, {only[1]} only in the second"
                if found
                else f"\n{part}: the same pictures"
            )
            continue
        lines.append(f"\n{part}: {'the same' if not found else ''}".rstrip())
        width = max(map(len, found), default=0)
        for key, change in found.items():
            a, b = change["first"], change["second"]
            line = f"  {key:<{width}}  {_shown(a)} → {_shown(b)}"
            if part == "accuracy" and a is not None and b is not None:
                line += f"  ({100 * (b - a):+.2f} points)"
            lines.append(line)
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)

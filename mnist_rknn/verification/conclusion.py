"""What a run comes to when its steps have run: manifest, report, and the last lines."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import PipelineError
from ..files import relative
from ..language import _
from ..pipeline import runs
from ..pipeline.graph import Graph
from ..pipeline.runner import FAILURE
from ..pipeline.steps import STEPS, find
from ..recipe import Recipe
from ..records import Compilation, Manifest, Verification
from . import manifest


def is_complete(recipe: Recipe, folder: Path) -> bool:
    """Whether every step on the way to the model is up to date."""
    now = Graph(recipe, folder)
    return not any(now.stale_reason(step) for step in STEPS if not step.extra)


def conclude(folder: Path, ran: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Write manifest and report of a run whose way to the model is complete.

    Args:
        ran: names of the steps that have just run; if none did, what is there stays.

    Returns:
        For programs: the steps that ran and, of a complete run, the summary; and for people.
    """
    recipe = runs.read_recipe(folder)
    if not is_complete(recipe, folder):
        return {"ran": list(ran), "summary": None}, "" if ran else _("nothing to run: up to date")
    page = folder / runs.REPORT
    if ran or not page.is_file() or not _is_readable(folder):
        manifest.write(recipe, folder)
        from . import report  # loads matplotlib, which nobody needs where nothing ran

        report.build(recipe, folder)
    text = _("report     {page}\ntry it     {try_page}\n").format(
        page=relative(page), try_page=relative(folder / runs.TRY_PAGE)
    )
    text += manifest.summary(folder)
    return {"ran": list(ran), "summary": manifest.brief(folder)}, text


def _is_readable(folder: Path) -> bool:
    try:
        return bool(Manifest.read(folder))
    except PipelineError:  # missing, damaged, or of another version
        return False


@contextlib.contextmanager
def of_a_failure(recipe: Recipe, folder: Path) -> Iterator[None]:
    """If a step fails in the block, write the report as far as results can be read: it says why.

    A model that was measured in the block and misses a threshold gets its manifest, which says so.
    """
    results, failure = folder / Verification.FILE, folder / FAILURE
    before = [_time(path) for path in (results, failure)]
    try:
        yield
    except PipelineError:
        from . import report

        measured, failed = (
            _time(path) != time for path, time in zip((results, failure), before, strict=True)
        )
        if not failed:  # refused before anything ran
            raise
        with contextlib.suppress(PipelineError):
            if measured:
                Graph(recipe, folder).require_ancestors(find("06_verify"))
                manifest.write(recipe, folder)
        with contextlib.suppress(PipelineError):
            print(f"report: {relative(report.build(recipe, folder))}")
        raise


def _time(path: Path) -> int | None:
    """When a file was written, in nanoseconds."""
    return path.stat().st_mtime_ns if path.is_file() else None


def beside(finished: Path, tried: Path) -> str:
    """The results of a finished run and of a try, side by side; INT8 in the RKNN simulator."""
    first, second = (_results(folder) for folder in (finished, tried))
    rows = [("", _("finished run"), _("this try"))]
    rows += [(name, first[name], second.get(name, "")) for name in first]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1, 2)]
    return "\n".join(f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows)


def _results(folder: Path) -> dict[str, str]:
    verify, estimate = Verification.read(folder), Compilation.read(folder)
    rknn = verify.stages["rknn"]
    found = {_("test images, INT8"): f"{100 * rknn.accuracy.top1:.2f} %"}
    if verify.camera:
        found[_("simulated camera, INT8")] = f"{100 * verify.camera['rknn'].accuracy.top1:.2f} %"
    if verify.hard_cases:
        found[_("hard cases, INT8")] = f"{100 * verify.hard_cases['rknn']['all'].top1:.2f} %"
    found[_("mean cosine of the logits")] = f"{rknn.cosine.mean:.5f}"
    found[_("lost against Paddle, points")] = f"{100 * rknn.drop:.2f}"
    found[_("cycles, compiler's estimate")] = f"{estimate.cycles:,}"
    found[_("weights, KB")] = f"{estimate.weights_kb:g}"
    return found

"""Figures that compare the stages of a conversion."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..errors import PipelineError
from ..recipe import Budget, Verify
from ..records import (
    STAGES,
    Accuracy,
    Cosine,
    Estimate,
    Groups,
    Stage,
    StageName,
    Stages,
    Verification,
)

FEW_GROUPS = 8  # fewer say too little of how groups differ


def wilson(correct: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson score interval of a proportion (E. B. Wilson, 1927), 95 % by default."""
    if total == 0:
        return 0.0, 1.0
    share = correct / total
    center = share + z * z / (2 * total)
    spread = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return float(max(0.0, (center - spread) / scale)), float(min(1.0, (center + spread) / scale))


def resampled(
    counts: Sequence[int], of: Sequence[int], draws: int = 2000, seed: int = 1
) -> tuple[float, float]:
    """95 % interval of sum(counts) / sum(of), where what lies in one group is not independent.

    Whole groups (the frames of digits, the writers of pictures) are drawn again with replacement,
    and the interval holds the middle 95 % of what comes out (B. Efron, 1979, percentiles). Where
    the groups are all alike, or few, this sees too little spread: then it is Wilson's, with a
    group for a trial.

    Args:
        counts, of: of each group.
    """
    kept = [(count, total) for count, total in zip(counts, of, strict=True) if total or count]
    pairs = np.array(kept, np.float64).reshape(-1, 2)
    share = pairs[:, 0].sum() / pairs[:, 1].sum()
    if len(pairs) < FEW_GROUPS or np.allclose(pairs[:, 0], share * pairs[:, 1]):
        return wilson(min(round(share * len(pairs)), len(pairs)), len(pairs))
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), draws)
    drawn = times @ pairs
    drawn = drawn[drawn[:, 1] > 0]
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], (2.5, 97.5))
    return float(low), float(high)


def accuracy(logits: np.ndarray, classes: np.ndarray) -> Accuracy:
    """Top-1 accuracy of logits [N, C] against classes [N]."""
    correct = int((logits.argmax(axis=1) == classes).sum())
    low, high = wilson(correct, len(classes))
    return Accuracy(
        top1=correct / len(classes), low=low, high=high, correct=correct, images=len(classes)
    )


def class_accuracy(logits: np.ndarray, classes: np.ndarray, count: int) -> list[float | None]:
    """Top-1 accuracy of each class, None for a class without images."""
    right = logits.argmax(axis=1) == classes
    return [
        float(right[classes == label].mean()) if (classes == label).any() else None
        for label in range(count)
    ]


def confusion_matrix(logits: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """int64 [count, count]; rows are true classes, columns the answers."""
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (classes, logits.argmax(axis=1)), 1)
    return matrix


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of the angle between each pair of rows, float64 [N] from -1 to 1.

    Unlike agreement of the answers, it drops as soon as a quantization is worse than it
    should be, long before the first digit flips.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / np.maximum(lengths, 1e-12)


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Share of pictures on which two stages give the same answer."""
    return float((first.argmax(axis=1) == second.argmax(axis=1)).mean())


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax of each row, float64 [N, C]."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def certainty(logits: np.ndarray) -> np.ndarray:
    """Probability of the answer, float64 [N] from 1/C to 1."""
    return probabilities(logits).max(axis=1)


def margin(logits: np.ndarray) -> np.ndarray:
    """Probability of the answer less that of the second best, float64 [N] from 0 to 1."""
    best = np.sort(probabilities(logits), axis=1)
    return best[:, -1] - best[:, -2]


def stage_row(
    output: np.ndarray,
    baseline: np.ndarray,
    reference: np.ndarray,
    classes: np.ndarray,
    labels: list[str],
) -> Stage:
    """All figures of one stage.

    Args:
        output: the stage's logits, or log-probabilities, [N, C].
        baseline: output of the stage that accuracy and answers are compared with.
        reference: logits that the cosine is taken with. A cosine needs logits: each row is
            centred first, so that log-probabilities, which lack a constant, count the same.
    """
    share, before = accuracy(output, classes), accuracy(baseline, classes)
    similarity = cosines(centered(output), centered(reference))
    return Stage(
        accuracy=share,
        drop=before.top1 - share.top1,
        agreement=agreement(output, baseline),
        cosine=Cosine(mean=float(similarity.mean()), min=float(similarity.min())),
        class_accuracy=dict(zip(labels, class_accuracy(output, classes, len(labels)), strict=True)),
        confusion_matrix=confusion_matrix(output, classes, len(labels)).tolist(),
    )


def centered(logits: np.ndarray) -> np.ndarray:
    """Logits less the mean of their row; Softmax gives the same for both."""
    return logits - logits.mean(axis=1, keepdims=True)


def stage_table(stages: Stages, speed: dict[StageName, float]) -> pd.DataFrame:
    """The stages of a set as a table for people, a line a stage.

    Args:
        speed: pictures a second of each stage, measured on this PC.
    """
    rows = {}
    for stage, row in stages.items():
        share = row.accuracy
        rows[stage] = {
            "top-1 %": f"{100 * share.top1:.2f}",
            "95 % interval": f"{100 * share.low:.2f} to {100 * share.high:.2f}",
            "drop, points": f"{100 * row.drop:.2f}",
            "agreement %": f"{100 * row.agreement:.2f}",
            "cosine mean (min)": f"{row.cosine.mean:.5f} ({row.cosine.min:.4f})",
            "images/s on this PC": f"{speed[stage]:,.0f}",
        }
    return pd.DataFrame(rows).T


def by_group(
    outputs: dict[StageName, np.ndarray], classes: np.ndarray, groups: np.ndarray
) -> Groups:
    """Accuracy of every stage on every group of pictures.

    Args:
        outputs: logits [N, C] by stage.
        classes: integer [N].
        groups: name of the group of each picture, [N].

    Returns:
        By stage, then by group. The group "all" holds all pictures.
    """
    chosen = {str(name): groups == name for name in np.unique(groups)}
    chosen["all"] = np.ones(len(groups), bool)
    return {
        stage: {name: accuracy(output[those], classes[those]) for name, those in chosen.items()}
        for stage, output in outputs.items()
    }


def group_table(results: Groups) -> pd.DataFrame:
    """The results of `by_group` as a table for people: a line a group, a column a stage."""
    return pd.DataFrame(
        {
            stage: {
                name: f"{100 * share.top1:.2f} % [{100 * share.low:.2f}, {100 * share.high:.2f}]"
                for name, share in groups.items()
            }
            for stage, groups in results.items()
        }
    )


def misses(stages: Stages, wanted: Verify, camera: Stages | None) -> list[str]:
    """What the INT8 model misses of the recipe's thresholds, a line each; empty if nothing.

    Args:
        stages: on the test images; `rknn` is judged.
        camera: on the simulated camera, where the recipe has one.
    """
    row = stages["rknn"]
    found = []
    top1, drop, cosine = row.accuracy.top1, row.drop, row.cosine.mean
    if top1 < wanted.min_accuracy:
        found.append(f"INT8 top-1 {top1:.4f} is below verify.min_accuracy {wanted.min_accuracy}")
    if drop > wanted.max_drop + 1e-9:
        found.append(f"the loss to INT8 {drop:.4f} is above verify.max_drop {wanted.max_drop}")
    if camera and camera["rknn"].drop > wanted.max_drop + 1e-9:
        found.append(
            f"the loss to INT8 {camera['rknn'].drop:.4f} on the simulated camera is above "
            f"verify.max_drop {wanted.max_drop}"
        )
    if cosine < wanted.min_cosine:
        found.append(f"mean cosine {cosine:.4f} is below verify.min_cosine {wanted.min_cosine}")
    if camera and camera["rknn"].accuracy.top1 < wanted.min_camera_accuracy:
        found.append(
            f"INT8 top-1 {camera['rknn'].accuracy.top1:.4f} on the simulated camera is below "
            f"verify.min_camera_accuracy {wanted.min_camera_accuracy}"
        )
    return found


def over_budget(estimate: Estimate, budget: Budget) -> list[str]:
    """What the model exceeds of the recipe's budget, a line each; empty if nothing."""
    return [
        f"{value:,g} {unit} (compiler estimate) exceed budget.{name} {limit:,g}"
        for name, value, unit, limit in (
            ("cycles", estimate.cycles, "cycles", budget.cycles),
            ("weights_kb", estimate.weights_kb, "KB of weights", budget.weights_kb),
            ("internal_kb", estimate.internal_kb, "KB of internal memory", budget.internal_kb),
        )
        if limit is not None and value > limit
    ]


def causes(stages: Stages, wanted: Verify, worst_layers: list[str]) -> list[str]:
    """Where in the chain something was lost, a line each; empty if no stage lost much.

    Args:
        stages: on the test images.
        worst_layers: the layers in which INT8 loses most, as `LayerErrors.worst` names them.
    """
    found = []
    top1 = stages["paddle"].accuracy.top1
    if top1 < wanted.min_accuracy:
        found.append(
            f"the float network itself reads only {100 * top1:.2f} "
            "%: no quantization can mend that; train longer or on other pictures (02_train)"
        )
    lost = {
        after: stages[after].drop - stages[before].drop
        for before, after in itertools.pairwise(STAGES)
    }
    links: tuple[tuple[StageName, str], ...] = (("onnx", "export"), ("slim", "slimming"))
    for after, step in links:
        if lost[after] > wanted.max_drop + 1e-9:
            found.append(
                f"{100 * lost[after]:.2f} points are lost in the {step}: run 03_export again"
            )
    cosine = stages["rknn"].cosine.mean
    if lost["rknn"] > wanted.max_drop + 1e-9 or cosine < wanted.min_cosine:
        found.append(
            f"INT8 loses {100 * lost['rknn']:.2f} points and {1 - cosine:.4f} of "
            f"cosine; the layers that lose most are {', '.join(worst_layers)}: look at the "
            "calibration pictures (04_calibration), then try 08_quantization"
        )
    return found


def require_passed(found: Verification) -> None:
    """The last gate of a run: the thresholds and budgets of the recipe.

    Raises:
        PipelineError: something is missed; the message says what, and where it was lost.
    """
    if not found.passed:
        raise PipelineError("; ".join(found.misses + found.causes))

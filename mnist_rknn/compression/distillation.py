"""Distillation: a student is trained on its teacher's answers as well as on the labels.

Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015.
"""

from collections.abc import Sequence

import numpy as np
import paddle
from paddle import nn

from ..errors import PipelineError
from ..records import Accuracy


def require_temperature(temperature: float) -> None:
    """Refuse a temperature that answers cannot be divided by.

    Raises:
        PipelineError: it is not a number above 0.
    """
    if not _is_number(temperature) or not 0 < temperature < np.inf:
        raise PipelineError(
            f"temperature {temperature!r}: logits are divided by it; choose a number above 0, "
            "such as 4"
        )


def require_mix(mix: float) -> None:
    """Refuse a share of the loss that is none.

    Raises:
        PipelineError: it is not a number from 0 to 1.
    """
    if not _is_number(mix) or not 0 <= mix <= 1:
        raise PipelineError(
            f"mix {mix!r}: it is the teacher's share of the loss; choose a number from 0 (labels "
            "alone) to 1 (teacher alone), such as 0.9"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def require_smaller(student: nn.Layer, teacher: nn.Layer) -> None:
    """Refuse a student that is no smaller than its teacher: nothing would be gained.

    Raises:
        PipelineError: it has as many weights, or more.
    """
    counts = [sum(int(p.size) for p in network.parameters()) for network in (student, teacher)]
    if counts[0] >= counts[1]:
        raise PipelineError(
            f"the student has {counts[0]:,} weights and its teacher {counts[1]:,}: give the "
            "student fewer channels or layers"
        )


def soften(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Softmax of logits [..., classes] over the temperature: the higher, the more even.

    Raises:
        PipelineError: the temperature is not above 0.
    """
    require_temperature(temperature)
    scaled = logits / temperature
    shares = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


class Taught:
    """The loss of a student, for `finetune.fit`.

    mix x temperature² x KL(teacher || student), both softened, + (1 - mix) x cross entropy with
    the label. The square keeps the gradients of the first part as large as without a temperature.

    Args:
        teacher: is asked about every batch, as the student sees it; is not trained.
        temperature: above 0.
        mix: the teacher's share, from 0 to 1.

    Raises:
        PipelineError: temperature or mix is outside.
    """

    def __init__(self, teacher: nn.Layer, temperature: float, mix: float):
        require_temperature(temperature)
        require_mix(mix)
        self._teacher, self._temperature, self._mix = teacher, temperature, mix

    def __call__(
        self, logits: paddle.Tensor, batch: paddle.Tensor, truth: paddle.Tensor
    ) -> paddle.Tensor:
        self._teacher.eval()
        with paddle.no_grad():
            wanted = nn.functional.softmax(self._teacher(batch) / self._temperature)
        given = nn.functional.log_softmax(logits / self._temperature)
        soft = nn.functional.kl_div(given, wanted, reduction="none").sum(axis=1).mean()
        hard = nn.functional.cross_entropy(logits, truth)
        return self._mix * self._temperature**2 * soft + (1 - self._mix) * hard


def verdict(distilled: Sequence[Accuracy], alone: Sequence[Accuracy]) -> str:
    """Whether students read better with a teacher, beyond what another seed changes.

    The spread is the larger one of the two, each from the worst seed to the best.
    """
    with_teacher, without = (
        [100 * share.top1 for share in shares] for shares in (distilled, alone)
    )
    gain = float(np.mean(with_teacher) - np.mean(without))
    spread = max(max(shares) - min(shares) for shares in (with_teacher, without))
    beyond = "beats" if gain > spread else "does not beat"
    return (
        f"the distilled student {beyond} its lone twin beyond the spread of {len(with_teacher)} "
        f"seeds: {gain:+.2f} points on the mean, spread {spread:.2f}"
    )

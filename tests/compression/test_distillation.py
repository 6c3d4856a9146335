"""A student is taught what the formula says, and only by a teacher that is larger."""

import itertools

import numpy as np
import paddle
import pytest

from mnist_rknn.compression import distillation, finetune, yardsticks
from mnist_rknn.errors import PipelineError
from mnist_rknn.training.networks import DigitNet
from mnist_rknn.verification import metrics

GENERATOR = np.random.default_rng(11)


class Fixed(paddle.nn.Layer):
    """Answers with the same logits whatever it is asked."""

    def __init__(self, logits: np.ndarray):
        super().__init__()
        self.logits = paddle.to_tensor(logits.astype(np.float32))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.logits[: len(x)]


def loss(teacher: np.ndarray, student: np.ndarray, truth: np.ndarray, temperature, mix) -> float:
    """Of logits [N, classes] and classes [N]."""
    taught = distillation.Taught(Fixed(teacher), temperature, mix)
    logits = paddle.to_tensor(student.astype(np.float32))
    return float(taught(logits, logits, paddle.to_tensor(truth[:, None])))


@pytest.mark.parametrize(("temperature", "mix"), [(1, 0.5), (4, 0.9), (2.5, 0.25), (0.5, 1)])
def test_the_loss_is_the_formula(temperature, mix):
    teacher, student = GENERATOR.normal(0, 3, (2, 16, 10))
    truth = GENERATOR.integers(0, 10, 16)
    log_p, log_q = (
        z / temperature - np.log(np.exp(z / temperature).sum(axis=1, keepdims=True))
        for z in (teacher, student)
    )
    soft = (np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean()
    hard = -np.log(distillation.soften(student, 1)[range(16), truth]).mean()
    wanted = mix * temperature**2 * soft + (1 - mix) * hard
    assert loss(teacher, student, truth, temperature, mix) == pytest.approx(wanted, rel=1e-4)


def test_without_a_teachers_share_it_is_the_loss_of_labels_and_with_all_of_it_it_can_be_zero():
    teacher, student = GENERATOR.normal(0, 3, (2, 8, 10))
    truth = GENERATOR.integers(0, 10, 8)
    logits = paddle.to_tensor(student.astype(np.float32))
    by_labels = float(finetune.by_labels(logits, logits, paddle.to_tensor(truth[:, None])))
    assert loss(teacher, student, truth, 4, 0) == pytest.approx(by_labels, rel=1e-5)
    assert loss(student, student, truth, 4, 1) == pytest.approx(0, abs=1e-4)
    assert loss(teacher, student, truth, 4, 1) > 0.01


def test_the_square_keeps_gradients_about_as_large_at_any_high_temperature():
    teacher, student = GENERATOR.normal(0, 1, (2, 64, 10)).astype(np.float32)
    sizes = []
    for temperature in (8, 16, 32):
        logits = paddle.to_tensor(student, stop_gradient=False)
        taught = distillation.Taught(Fixed(teacher), temperature, 1)
        taught(logits, logits, paddle.zeros([64, 1], "int64")).backward()
        sizes.append(float(logits.grad.abs().mean()))
    assert max(sizes) / min(sizes) < 1.1


def test_answers_are_softer_at_a_higher_temperature_and_none_overflows():
    logits = np.array([[900.0, 0.0, -900.0], [3.0, 2.0, 1.0]])
    first = [distillation.soften(logits, t)[:, 0] for t in (0.5, 1, 4, 1000)]
    assert all((a >= b).all() for a, b in itertools.pairwise(first))
    assert np.allclose(distillation.soften(logits, 7).sum(axis=1), 1)


def test_a_student_learns_from_a_teacher_alone_and_leaves_the_teacher_as_it_was():
    classes = GENERATOR.integers(0, 2, 512)
    images = GENERATOR.integers(0, 60, (512, 28, 28))
    images[classes == 1, 6:14, 6:14] += 190
    images = images.astype(np.uint8)
    paddle.seed(1)
    teacher, student = yardsticks.LeNet5(2), yardsticks.LeNet300100(2)
    finetune.fit(teacher, images, classes, finetune.gray, 2, 0.002, 1)
    before = {name: values.numpy().copy() for name, values in teacher.state_dict().items()}
    wrong = 1 - classes  # labels that do not count, as the teacher has the whole loss
    taught = distillation.Taught(teacher, 2, 1)
    finetune.fit(student, images, wrong, finetune.gray, 3, 0.002, 1, loss_of=taught)
    found = finetune.answers(student, images, finetune.gray).argmax(axis=1)
    assert (found == classes).mean() > 0.99
    assert all(np.array_equal(before[n], v.numpy()) for n, v in teacher.state_dict().items())


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf"), True, "4", None])
def test_a_temperature_that_cannot_be_is_one_line(temperature):
    for refuse in (
        lambda: distillation.require_temperature(temperature),
        lambda: distillation.Taught(yardsticks.LeNet5(), temperature, 0.5),
        lambda: distillation.soften(np.zeros((1, 2)), temperature),
    ):
        with pytest.raises(PipelineError, match=r"temperature .* choose a number above 0"):
            refuse()


@pytest.mark.parametrize("mix", [-0.1, 1.5, float("nan"), True, "half", None])
def test_a_mix_that_is_no_share_is_one_line(mix):
    for refuse in (
        lambda: distillation.require_mix(mix),
        lambda: distillation.Taught(yardsticks.LeNet5(), 4, mix),
    ):
        with pytest.raises(PipelineError, match=r"mix .* choose a number from 0 .* to 1"):
            refuse()


@pytest.mark.parametrize("stem", [16, 24])
def test_a_student_is_smaller_than_its_teacher(stem):
    teacher, student = DigitNet(stem=16), DigitNet(stem=stem)
    with pytest.raises(PipelineError, match=r"the student has [\d,]+ weights and its teacher"):
        distillation.require_smaller(student, teacher)
    distillation.require_smaller(DigitNet(stem=8), teacher)


def test_a_gain_counts_beyond_the_spread_only():
    def seeds(*right: int) -> list:
        return [
            metrics.accuracy(np.eye(2)[[1] * n + [0] * (1000 - n)], np.ones(1000, int))
            for n in right
        ]

    better = distillation.verdict(seeds(960, 962, 961), seeds(950, 951, 949))
    assert better == (
        "the distilled student beats its lone twin beyond the spread of 3 seeds: "
        "+1.10 points on the mean, spread 0.20"
    )
    assert "does not beat" in distillation.verdict(seeds(960, 962, 961), seeds(950, 960, 949))
    assert "-1.00 points" in distillation.verdict(seeds(950), seeds(960))

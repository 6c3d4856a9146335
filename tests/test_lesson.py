"""The drawings that explain: they show the numbers they are given, and these are the right ones."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mnist_rknn import lesson, plots, recipe_file


def words(figure: Figure) -> str:
    figure.draw_without_rendering()
    found = [text.get_text() for axis in figure.axes for text in axis.texts]
    return " | ".join([*found, *(axis.get_title() for axis in figure.axes)])


@pytest.mark.parametrize(
    ("low", "high", "value", "number"),
    [
        (-1.0, 1.0, 0.25, "32"),
        (-1.0, 1.0, 1.4, "127"),
        (-1.0, 1.0, -3.0, "-128"),
        (0.0, 5.1, 0.0, "-128"),
        (0.0, 5.1, 5.1, "127"),
    ],
)
def test_a_number_line_rounds_and_clips_as_int8_does(low, high, value, number):
    found = words(lesson.number_line(low, high, [value]))
    assert f" {number} |" in found
    assert ("clipped" in found) is not (low <= value <= high)


def test_a_second_softmax_takes_the_answer_away():
    logits = np.array([8.0, 0.0, 0.0, 0.0])
    once, twice = lesson.softmax(logits), lesson.softmax(lesson.softmax(logits))
    assert once.sum() == pytest.approx(1) and once[0] > 0.99 and twice[0] < 0.5
    found = words(lesson.softmax_twice(logits, list("abcd")))
    assert "Softmax: a has 1.00" in found and f"Softmax twice: a has {twice[0]:.2f}" in found


def test_folded_text_is_not_taken_for_html():
    folded = lesson.Folded("a < b", "<script>")
    assert "<script>" not in folded._repr_html_() and "&lt;script&gt;" in folded._repr_html_()
    assert repr(folded) == "a < b\n<script>"


def test_the_outline_of_the_default_network_is_what_the_notebook_says():
    from mnist_rknn.training import networks

    network = networks.DigitNet(**recipe_file.load("mnist").model.arguments)
    parts = networks.outline(network, [1, 3, 48, 48])
    assert [size[1] for _, size in parts] == [48, 16, 16, 8, 8, 1, 1]
    assert [size[0] for _, size in parts] == [3, 24, 48, 48, 64, 64, 10]
    assert [does for does, _ in parts][1:3] == ["convolution", "4 convolutions"]
    found = words(lesson.network_blocks(parts))
    assert "48 x 16 x 16" in found and "10 x 1 x 1" in found


def test_the_steps_of_a_layer_are_what_paddle_computes():
    import paddle

    from mnist_rknn.training import networks

    network = networks.DigitNet(stem=24, stem_stride=3, stem_filters="cosine")
    images = np.random.default_rng(1).integers(0, 256, (8, 48, 48, 3)).astype(np.uint8)
    steps = networks.first_layer_steps(network, images, [127.5] * 3, [127.5] * 3, channel=4)
    pixels = ((images - 127.5) / 127.5).transpose(0, 3, 1, 2).astype("float32")
    layer = network.features[0]
    layer.train()
    wanted = layer(paddle.to_tensor(pixels)).numpy()[0, 4]
    assert np.allclose(steps["ReLU"], wanted, atol=1e-4)
    assert steps["convolution"].min() < 0 <= steps["ReLU"].min()


def test_rows_and_misread_pictures():
    images = np.zeros((4, 8, 8, 3), np.uint8)
    figure = plots.rows({"right": images, "wrong": images[:2]})
    assert [axis.get_ylabel() for axis in figure.axes[::4]] == ["right", "wrong"]
    truth, answers = np.array([0, 1, 2, 3]), np.array([0, 2, 2, 3])
    figure = plots.misread(images, truth, answers, list("abcd"))
    assert figure.axes[0].get_title() == "b → c"
    assert plots.misread(images, truth, truth, list("abcd")) == "none is misread"


def test_numbers_along_an_axis_of_powers_can_be_read():
    """Class names may hold a $, so plots take no TeX; matplotlib labels such axes in TeX."""
    plots.use_style()
    values = np.random.default_rng(1).normal(0, 3, 5000)
    figure = plots.quantization_grid(values, -3.4, 8.4, "logits")
    figure.draw_without_rendering()
    labels = [
        label.get_text()
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in axis.get_ticklabels(which="both")
    ]
    assert "100" in labels and not [label for label in labels if "$" in label or "\\" in label]

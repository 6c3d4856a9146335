"""The network and its optimiser, without a training."""

import numpy as np
import paddle
import pytest

from mnist_rknn.training.networks import ConvBNReLU, DigitNet
from mnist_rknn.training.optimizers import NEWTON_SCHULZ, RATE_OF_OTHERS, Muon, orthogonal
from mnist_rknn.training.paddleclas_launcher.onednn import compile_convolutions


@pytest.fixture
def onednn():
    """oneDNN wanted, as `paddleclas_launcher` wants it for a training."""
    paddle.set_flags({"FLAGS_use_onednn": True})
    yield
    paddle.set_flags({"FLAGS_use_onednn": False})


def compiled(*arguments: int) -> paddle.nn.Conv2D:
    """A plain convolution, compiled as those of a network are."""
    (layer,) = compile_convolutions(
        paddle.nn.Sequential(paddle.nn.Conv2D(*arguments, bias_attr=False))
    )
    return layer


@pytest.mark.parametrize(
    "kernel, stride, frozen",
    [(3, 1, False), (5, 1, False), (1, 1, False), (3, 1, True), (6, 3, False)],
)
def test_compiled_convolution_and_its_gradients_are_those_of_paddle(kernel, stride, frozen, onednn):
    padding = (kernel - stride + 1) // 2
    ours = compiled(4, 7, kernel, stride, padding)
    paddles = paddle.nn.Conv2D(4, 7, kernel, stride, padding, bias_attr=False)
    paddles.set_state_dict(ours.state_dict())
    for batch in (3, 3, 2):  # compiled, compiled before, and compiled anew
        start = paddle.randn([batch, 4, 12, 9])
        results = []
        for layer in (ours, paddles):
            x = start.clone()
            x.stop_gradient = frozen
            layer.clear_gradients()
            result = layer(x)
            (result**2).sum().backward()
            results.append([result, layer.weight.grad, x.grad])

        for own, expected in zip(*results, strict=True):
            if expected is None:
                assert own is None  # nothing was spent on it
            else:
                assert np.allclose(own, expected, rtol=1e-4, atol=1e-4)
    assert len(ours._compiled) == 2


def test_compiled_convolution_evaluates_as_paddles_between_two_steps_of_training(onednn):
    ours = compiled(4, 7, 3, 1, 1)
    paddles = paddle.nn.Conv2D(4, 7, 3, 1, 1, bias_attr=False)
    for _ in range(2):
        paddles.set_state_dict(ours.state_dict())
        x = paddle.randn([3, 4, 12, 9])
        ours.eval()
        with paddle.no_grad():
            assert np.allclose(ours(x), paddles(x), rtol=1e-4, atol=1e-4)
        assert ours._compiled
        ours.train()
        ours(x).sum().backward()
        paddles(x).sum().backward()
        assert np.allclose(ours.weight.grad, paddles.weight.grad, rtol=1e-4, atol=1e-4)
        ours.weight.set_value(ours.weight - 0.1 * ours.weight.grad)
        ours.clear_gradients()
        paddles.clear_gradients()


def test_convolution_is_paddles_own_without_onednn_and_for_the_export(tmp_path):
    layer = compiled(4, 7, 3, 1, 1)
    layer(paddle.randn([2, 4, 6, 6]))
    paddle.set_flags({"FLAGS_use_onednn": True})
    try:
        spec = [paddle.static.InputSpec([None, 4, 6, 6])]
        paddle.jit.save(layer, str(tmp_path / "layer"), spec)
    finally:
        paddle.set_flags({"FLAGS_use_onednn": False})
    assert not layer._compiled


@pytest.mark.parametrize("shape", [(24, 216), (64, 64), (96, 32)])
def test_orthogonal_keeps_the_directions_and_levels_their_sizes(shape):
    matrix = np.random.default_rng(1).standard_normal(shape).astype("float32")
    matrix *= np.linspace(1, 9, shape[1], dtype="float32")  # some directions are much stronger

    result = orthogonal(paddle.to_tensor(matrix), steps=8).numpy()

    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    sizes = np.diag(left.T @ result @ right.T)
    assert np.all((sizes > 0.6) & (sizes < 1.3))
    assert np.allclose(left @ np.diag(sizes) @ right, result, atol=1e-3)


@pytest.mark.parametrize("shape", [(24, 216), (96, 32)])
def test_orthogonal_is_the_iteration_of_its_source(shape):
    """Also where singular values range over four decades, as those of gradients do."""
    a, b, c = NEWTON_SCHULZ
    random = np.random.default_rng(4)
    left, _, right = np.linalg.svd(random.standard_normal(shape), full_matrices=False)
    matrix = left @ np.diag(np.logspace(0, -4, min(shape))) @ right
    expected = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        square = expected @ expected.T
        expected = a * expected + (b * square + c * square @ square) @ expected

    result = orthogonal(paddle.to_tensor(matrix.astype("float32")))

    assert np.allclose(result, expected, atol=1e-3)


def test_muon_treats_only_convolutions_in_its_own_way():
    convolution, linear = paddle.nn.Conv2D(8, 16, 3, bias_attr=False), paddle.nn.Linear(16, 10)
    before = [weight.numpy() for weight in (convolution.weight, linear.weight)]
    gradients = [np.random.default_rng(2).standard_normal(w.shape).astype("f4") for w in before]
    optimizer = Muon(
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=0.01,
        parameters=[convolution.weight, linear.weight],
    )
    for weight, gradient in zip((convolution.weight, linear.weight), gradients, strict=True):
        weight.grad = paddle.to_tensor(gradient)

    optimizer.step()

    step = (before[0] * (1 - 0.1 * 0.01) - convolution.weight.numpy()).reshape(16, -1) / 0.1
    assert np.all((np.linalg.svd(step)[1] > 0.6) & (np.linalg.svd(step)[1] < 1.3))
    assert np.sum(step * gradients[0].reshape(16, -1)) > 0  # downhill
    rate = 0.1 * RATE_OF_OTHERS
    assert np.allclose(
        linear.weight.numpy(), before[1] * (1 - rate * 0.01) - rate * gradients[1], atol=1e-6
    )


def test_muon_remembers_looks_ahead_decays_and_stretches_tall_layers():
    rate, momentum, decay = 0.1, 0.8, 0.05
    convolution = paddle.nn.Conv2D(1, 16, 3, bias_attr=False)  # a matrix of 16 x 9
    optimizer = Muon(rate, momentum, [convolution.weight], weight_decay=decay)
    gradients = paddle.randn([2, 16, 1, 3, 3])
    expected, velocity = convolution.weight.clone(), paddle.zeros([16, 1, 3, 3])

    for gradient in gradients:
        convolution.weight.grad = gradient.clone()
        optimizer.step()
        velocity = momentum * velocity + gradient
        step = orthogonal((gradient + momentum * velocity).flatten(1)).reshape(gradient.shape)
        expected = expected * (1 - rate * decay) - rate * (16 / 9) ** 0.5 * step

    assert np.allclose(convolution.weight, expected, atol=1e-5)


def test_muon_goes_on_from_what_it_saved():
    def train(steps: int, weights: dict | None = None, state: dict | None = None):
        paddle.seed(3)
        layer = paddle.nn.Conv2D(3, 8, 3)
        optimizer = Muon(0.1, parameters=layer.parameters(), weight_decay=0.01)
        if weights:
            layer.set_state_dict(weights)
        if state:
            optimizer.set_state_dict(state)
        for _ in range(steps):
            (layer(paddle.ones([2, 3, 6, 6])) ** 2).mean().backward()
            optimizer.step()
            optimizer.clear_grad()
        return layer, optimizer

    def anew(*args):
        with paddle.utils.unique_name.guard():  # as a process of its own would name them
            return train(*args)

    whole, _ = anew(2)
    half, optimizer = anew(1)
    resumed, _ = anew(1, half.state_dict(), optimizer.state_dict())
    forgetful, _ = anew(1, half.state_dict())

    assert np.array_equal(resumed.weight, whole.weight)
    assert not np.array_equal(forgetful.weight, whole.weight)


def test_layers_start_by_passing_their_input_on():
    layer = ConvBNReLU(4, 6)
    layer.eval()
    picture = paddle.rand([1, 4, 5, 5])

    result = layer(picture)

    assert np.allclose(result[:, :4], picture, rtol=1e-4)
    assert np.abs(result[:, 4:].numpy()).max() > 0


def test_cosine_stem_sees_shapes_and_no_colours_and_is_not_trained():
    network = DigitNet(stem=24, stem_stride=3, stem_filters="cosine")
    stem = network.features[0][0].weight
    filters = stem.numpy().reshape(24, -1)

    assert np.allclose(filters[::2], -filters[1::2])
    assert np.allclose(filters[::2] @ filters[::2].T, np.eye(12), atol=1e-5)
    assert all(parameter.stop_gradient for parameter in network.features[0].parameters())
    network.eval()
    picture = paddle.rand([2, 3, 48, 48])
    assert np.allclose(network(picture), network(picture.flip(1)), atol=1e-5)


def test_a_stem_as_large_as_its_stride_sees_every_pixel_once():
    network = DigitNet(stem=16, stem_stride=3, stem_kernel=3, stem_filters="cosine")
    network.eval()
    picture = paddle.rand([1, 3, 48, 48])
    stem = network.features[0]
    before = stem(picture)
    assert before.shape == [1, 16, 16, 16]
    picture[0, :, 3, 5] += 1  # row 1 of the map, column 1
    changed = np.argwhere((stem(picture) != before).numpy().any(axis=1)[0])
    assert changed.tolist() == [[1, 1]]
    assert DigitNet(stem_stride=3).features[0][0].weight.shape[-1] == 6


def test_unknown_stem_is_refused():
    with pytest.raises(ValueError, match="stem_filters: wavelets is not known; use learned or"):
        DigitNet(stem_filters="wavelets")
    with pytest.raises(ValueError, match="stem 32: this kernel has 18 cosine filters: take fewer"):
        DigitNet(stem=32, stem_stride=3, stem_kernel=3, stem_filters="cosine")


def test_only_plain_convolutions_are_compiled():
    layers = [
        paddle.nn.Conv2D(4, 4, 3, 1, 1, bias_attr=False),
        paddle.nn.Conv2D(4, 4, 3, 1, 1),
        paddle.nn.Conv2D(4, 4, 3, 1, 1, groups=4, bias_attr=False),
        paddle.nn.Conv2D(4, 4, 3, 1, 2, dilation=2, bias_attr=False),
        paddle.nn.Conv2D(4, 4, 3, (1, 2), 1, bias_attr=False),
        paddle.nn.Conv2D(4, 4, 3, 1, (1, 0), bias_attr=False),
        paddle.nn.Conv2D(4, 4, 3, 1, 1, padding_mode="reflect", bias_attr=False),
    ]
    network = compile_convolutions(paddle.nn.Sequential(*layers))
    assert [type(layer) is not paddle.nn.Conv2D for layer in network] == [True] + 6 * [False]


def test_every_convolution_of_digitnet_is_compiled_and_its_weights_keep_their_names():
    network = DigitNet()
    names = [parameter.name for parameter in network.parameters()]
    assert compile_convolutions(network) is network
    convolutions = [layer for layer in network.sublayers() if isinstance(layer, paddle.nn.Conv2D)]
    assert len(convolutions) == 6
    assert not any(type(layer) is paddle.nn.Conv2D for layer in convolutions)
    assert [parameter.name for parameter in network.parameters()] == names

"""Narrower, pruned and tied networks compute what they should; a short training does its work."""

import numpy as np
import onnx
import paddle
import pytest

from mnist_rknn import recipe_file
from mnist_rknn.compression import finetune, onnx_weights, pruning, sharing, structured, yardsticks
from mnist_rknn.data.sources import Source
from mnist_rknn.errors import PipelineError
from mnist_rknn.training.networks import DigitNet

GENERATOR = np.random.default_rng(5)


def digit_net(**changes) -> DigitNet:
    paddle.seed(3)
    arguments = {"stem": 8, "stem_stride": 3, "stages": [[12, 10], [14]]} | changes
    network = DigitNet(10, **arguments)
    for block in structured.blocks(network):
        for values in (block[1].weight, block[1].bias, block[1]._mean):
            values.set_value(GENERATOR.normal(1, 0.3, values.shape).astype(np.float32))
    network.eval()
    return network


def change(tensor, channel: int, by: float) -> None:
    """Multiply what a tensor has for a channel."""
    values = tensor.numpy()
    values[channel] *= by
    tensor.set_value(values)


def pictures(count: int = 20) -> np.ndarray:
    return GENERATOR.integers(0, 256, (count, 3, 48, 48)).astype(np.float32) / 127.5 - 1


@pytest.mark.parametrize("stem_kernel", [None, 3])
@pytest.mark.parametrize("stem_filters", ["learned", "cosine"])
def test_a_narrowed_network_answers_as_the_whole_one_without_those_channels(
    stem_filters, stem_kernel
):
    network = digit_net(stem_filters=stem_filters, stem_kernel=stem_kernel)
    scores = structured.norms(network)
    left = [6, 9, 10, 3]
    narrow = structured.narrowed(network, scores, left)
    assert structured.widths(narrow) == left
    for block, score, count in zip(structured.blocks(network), scores, left, strict=True):
        for channel in np.argsort(-score, kind="stable")[count:]:
            change(block[1].weight, channel, 0)
            change(block[1].bias, channel, 0)
    x = paddle.to_tensor(pictures())
    assert np.allclose(narrow(x).numpy(), network(x).numpy(), atol=1e-4)
    stem, second = structured.blocks(narrow)[:2]
    assert stem[0].weight.stop_gradient is (stem_filters == "cosine")
    assert second[0].weight.stop_gradient is False


def test_a_channel_without_effect_has_no_importance_though_its_norm_is_large():
    network = digit_net()
    block = structured.blocks(network)[1]
    change(block[0].weight, 4, 100)
    change(block[1].weight, 4, 0)
    change(block[1].bias, 4, 0)
    images = GENERATOR.integers(0, 256, (256, 48, 48, 3)).astype(np.uint8)
    found = structured.importances(
        network,
        images,
        GENERATOR.integers(0, 10, 256),
        lambda batch: (batch.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32),
    )
    assert structured.norms(network)[1].argmax() == 4
    assert found[1][4] == 0 and found[1].max() > 0
    assert [len(score) for score in found] == structured.widths(network)


@pytest.mark.parametrize("left", [[0, 9, 10, 3], [6, 13, 10, 3]])
def test_channels_that_are_not_there_are_one_line(left):
    network = digit_net()
    with pytest.raises(PipelineError, match=r"layer \d has \d+ channels .* choose from 1 to \d+"):
        structured.narrowed(network, structured.norms(network), left)


def test_channels_are_left_by_share_or_in_multiples_of_16():
    assert structured.narrower([24, 48, 64], 0.3, aligned=False) == [17, 34, 45]
    assert structured.narrower([24, 48, 64], 0.3, aligned=True) == [16, 32, 48]
    assert structured.narrower([8, 48], 0.99, aligned=True) == [8, 16]
    assert structured.narrower([8], 0.99, aligned=False) == [1]


def test_another_network_than_ours_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="trains MobileNetV3_small_x0_35, and the lab narrows"):
        structured.load_trained(
            recipe_file.load("mnist", ["model.name=MobileNetV3_small_x0_35", "model.arguments={}"]),
            tmp_path,
            10,
        )
    with pytest.raises(PipelineError, match=r"best_model.pdparams is missing: run 02_train first"):
        structured.load_trained(recipe_file.load("mnist"), tmp_path, 10)


# --- the short training ---------------------------------------------------------------


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Pictures of two kinds that anybody can tell apart, uint8 [512, 28, 28]."""
    classes = GENERATOR.integers(0, 2, 512)
    images = GENERATOR.integers(0, 60, (512, 28, 28))
    images[classes == 1, 6:14, 6:14] += 190
    images[classes == 0, 14:22, 14:22] += 190
    return images.astype(np.uint8), classes


def trained(blobs, after_step=lambda _: None, seed=1) -> yardsticks.LeNet300100:
    paddle.seed(seed)
    network = yardsticks.LeNet300100(2)
    finetune.fit(network, *blobs, finetune.gray, 3, 0.001, seed, after_step=after_step)
    return network


def test_it_learns_and_the_same_seed_gives_the_same_network(blobs):
    first, second = trained(blobs), trained(blobs)
    assert (finetune.answers(first, blobs[0], finetune.gray).argmax(axis=1) == blobs[1]).all()
    for name, values in first.state_dict().items():
        assert np.array_equal(values.numpy(), second.state_dict()[name].numpy())


def test_pruning_while_training_ends_at_the_sparsity_that_was_asked_for(blobs):
    paddle.seed(1)
    network = yardsticks.LeNet300100(2)
    parameters = finetune.weights(network)
    assert list(parameters) == ["1.weight", "3.weight", "5.weight"]
    wanted = {"1.weight": 0.95, "3.weight": 0.5}
    seen = []

    def step(progress: float) -> None:
        going(progress)
        seen.append(int((parameters["1.weight"].numpy() == 0).sum()))

    going = finetune.Pruning(parameters, wanted)
    finetune.fit(network, *blobs, finetune.gray, 6, 0.001, 1, after_step=step)
    for name, share in wanted.items():
        values = parameters[name].numpy()
        assert (values == 0).sum() == round(share * values.size)
    assert not (parameters["5.weight"].numpy() == 0).any()
    assert seen[0] < seen[len(seen) // 3] < seen[-1]


def test_a_training_of_a_few_steps_reaches_the_sparsity_too(blobs):
    network = yardsticks.LeNet300100(2)
    parameters = finetune.weights(network)
    going = finetune.Pruning(parameters, {"3.weight": 0.9})
    finetune.fit(network, *blobs, finetune.gray, 0.5, 0.001, 1, after_step=going)  # two steps
    assert (parameters["3.weight"].numpy() == 0).sum() == 27_000


def test_tied_weights_keep_their_clusters_and_learn_the_codebook(blobs):
    network = trained(blobs)
    parameters = finetune.weights(network)
    shared = {name: sharing.share(p.numpy(), 2) for name, p in parameters.items()}
    tying = finetune.Tying(parameters, shared)
    finetune.fit(network, *blobs, finetune.gray, 1, 0.001, 1, after_step=tying)
    for name, parameter in parameters.items():
        assert len(np.unique(parameter.numpy())) <= 4
        assert np.array_equal(parameter.numpy(), tying.shared[name].values)
        assert not np.array_equal(tying.shared[name].codebook, shared[name].codebook)


def test_too_few_pictures_and_a_wild_rate_are_one_line(blobs):
    network = yardsticks.LeNet300100(2)
    few = blobs[0][:100], blobs[1][:100]
    with pytest.raises(PipelineError, match="100 pictures for 2 epochs do not fill a batch"):
        finetune.fit(network, *few, finetune.gray, 2, 0.001, 1)
    with pytest.raises(PipelineError, match=r"the loss is nan: choose a learning rate below"):
        finetune.fit(network, *blobs, finetune.gray, 3, 1e30, 1)


@pytest.mark.parametrize("sparsity", [0, 1, 1.5])
def test_a_sparsity_that_cannot_be_is_refused_before_the_training(sparsity):
    network = yardsticks.LeNet300100(2)
    with pytest.raises(PipelineError, match="choose a number between 0 and 1"):
        finetune.Pruning(finetune.weights(network), {"1.weight": sparsity})


def test_pictures_are_moved_by_so_many_pixels_at_most():
    images = np.zeros((50, 9, 9), np.uint8)
    images[:, 4, 4] = 255
    moved = finetune.shifted(images, 2, np.random.default_rng(1))
    places = np.argwhere(moved)
    assert len(places) == 50 and np.abs(places[:, 1:] - 4).max() == 2
    assert finetune.shifted(images, 0, np.random.default_rng(1)) is images


def test_the_yardsticks_are_those_of_the_papers():
    def count(network) -> int:
        return sum(int(p.size) for p in network.parameters())

    assert count(yardsticks.LeNet300100()) == 266_610
    assert count(yardsticks.LeNet5()) == 431_080 - 70
    source = Source(["0"], np.zeros((1, 32, 32)), np.zeros(1), np.zeros((1, 32, 32)), np.zeros(1),
                    [""], [""])  # fmt: skip
    with pytest.raises(PipelineError, match="choose recipe mnist or smoke"):
        yardsticks.require_own_pictures(source, recipe_file.load("smoke"))


@pytest.mark.parametrize(
    ("times", "error", "said"),
    [
        (35, 1.58, "reached"),
        (34.9, 1.0, "missed: 34.9 times smaller is less than 35"),
        (50, 1.59, "missed: 1.59 % error is more than 1.58 %"),
        (1, 9.9, "missed: 1.0 times smaller is less than 35, 9.90 % error is more than 1.58 %"),
    ],
)
def test_a_yardstick_says_what_it_misses(times, error, said):
    assert yardsticks.verdict("LeNet300100", yardsticks.Reached(times, error)) == said


# --- weights of a graph -----------------------------------------------------------------


def test_a_graph_and_its_weights_are_one_again(tiny_run):
    model = onnx.load(str(tiny_run / "smoke.slim.onnx"))
    weights = onnx_weights.weights(model)
    alone = onnx_weights.graph_alone(model)
    assert len(alone.SerializeToString()) < len(model.SerializeToString()) / 20
    again = onnx_weights.with_weights(alone, weights)
    onnx.checker.check_model(again, full_check=True)
    assert again.SerializeToString() == model.SerializeToString()
    assert onnx_weights.nonzero(weights) > 100_000
    name = next(iter(weights))
    kept = weights[name] * pruning.mask(weights[name], 0.5)
    pruned = onnx_weights.with_weights(model, weights | {name: kept})
    assert np.array_equal(onnx_weights.weights(pruned)[name], kept)
    assert np.array_equal(onnx_weights.weights(model)[name], weights[name])


def test_weights_of_another_network_are_refused(tiny_run):
    model = onnx.load(str(tiny_run / "smoke.slim.onnx"))
    weights = onnx_weights.weights(model)
    weights.popitem()
    with pytest.raises(PipelineError, match="of another network: their names or shapes differ"):
        onnx_weights.with_weights(model, weights)

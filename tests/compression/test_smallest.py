"""The smallest networks: files hold what was trained, and a finished training is not repeated."""

import json

import numpy as np
import onnx
import paddle
import pytest

from mnist_rknn import recipe_file
from mnist_rknn.compression import (
    distorting,
    finetune,
    measuring,
    melted,
    packed_file,
    sharing,
    small_networks,
    smallest,
)
from mnist_rknn.data.sources import Source
from mnist_rknn.errors import PipelineError
from mnist_rknn.pipeline import cells

GENERATOR = np.random.default_rng(7)
TINY = small_networks.Design((4, 5, 6, 7, 8), bits=3, epochs=(1, 1))


def digits(count):
    """Bars in ten places: something that can be learned in seconds."""
    classes = np.arange(count) % 10
    images = GENERATOR.integers(0, 40, (count, 28, 28)).astype(np.uint8)
    for image, place in zip(images, classes, strict=True):
        image[4:24, 2 * place + 3 : 2 * place + 6] = 250
    return images, classes


def network_with_norms():
    paddle.seed(2)
    network = TINY.network(10)
    for layer in network.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            for values in (layer.weight, layer.bias, layer._mean):
                values.set_value(GENERATOR.normal(0.5, 0.5, values.shape).astype(np.float32))
    network.eval()
    return network


def test_a_file_answers_as_the_network_whose_norms_were_melted(tmp_path):
    network = network_with_norms()
    parameters = finetune.weights(network)
    shared = {name: sharing.share(p.numpy(), 3) for name, p in parameters.items()}
    for name, found in shared.items():
        parameters[name].set_value(found.values)
    measuring.export_as(network, [1, 1, 28, 28], tmp_path / "x.onnx")
    whole = onnx.load(str(tmp_path / "x.onnx"))
    before = whole.SerializeToString()
    tensors, graph = melted.unmelted(whole, list(shared.values()))
    assert whole.SerializeToString() == before
    packed_file.write(tmp_path / "x.packed", tensors, graph.SerializeToString())
    images, _ = digits(20)
    wanted = finetune.answers(network, images, finetune.gray)
    found = smallest.decoded_answers(tmp_path / "x.packed", images)
    assert np.abs(found - wanted).max() < 1e-4
    kinds = [t for t in tensors.values() if isinstance(t, sharing.Shared)]
    assert len(kinds) == 6 and all(len(tensor.codebook) <= 8 for tensor in kinds)


def test_weights_that_are_of_no_codebook_are_refused(tmp_path):
    network = network_with_norms()
    shared = [sharing.share(p.numpy(), 3) for p in finetune.weights(network).values()]
    measuring.export_as(network, [1, 1, 28, 28], tmp_path / "x.onnx")
    whole = onnx.load(str(tmp_path / "x.onnx"))
    with pytest.raises(PipelineError, match="is no weight of the codebook"):
        melted.unmelted(whole, shared)
    with pytest.raises(PipelineError, match="6 weights and not 5"):
        melted.unmelted(whole, shared[:5])


def test_distorting_changes_the_form_and_not_the_pictures_it_is_given():
    images, _ = digits(30)
    before = images.copy()
    some = distorting.Distorting(28, seed=1)
    first, second = (some(images, np.random.default_rng(s)) for s in (1, 2))
    assert first.shape == images.shape and first.dtype == np.uint8
    assert not np.array_equal(first, second) and np.array_equal(images, before)
    again = distorting.Distorting(28, seed=1)(images, np.random.default_rng(1))
    assert np.array_equal(first, again)
    still = distorting.Distorting(28, seed=1, strength=0)(images, np.random.default_rng(1))
    assert np.array_equal(still, images)


def test_a_weight_may_change_its_cluster_and_has_a_value_of_the_codebook():
    images, classes = digits(256)
    paddle.seed(1)
    network = TINY.network(10)
    parameters = finetune.weights(network)
    shared = {name: sharing.share(p.numpy(), 2) for name, p in parameters.items()}
    going = finetune.Clustering(parameters, shared)
    finetune.fit(network, images, classes, finetune.gray, 4, 0.01, 1, after_step=going)
    moved = 0
    for name, parameter in parameters.items():
        assert np.array_equal(parameter.numpy(), going.shared[name].values)
        assert len(np.unique(parameter.numpy())) <= 4
        moved += int((going.shared[name].indices != shared[name].indices).sum())
    assert moved > 0


@pytest.fixture
def source():
    images, classes = digits(600)
    names = [str(digit) for digit in range(10)]
    return Source(names, images, classes, images[:100], classes[:100], [""] * 600, [""] * 100)


def test_a_training_is_kept_and_a_second_one_gives_the_same(source, tmp_path, monkeypatch):
    monkeypatch.setitem(small_networks.DESIGNS, "10.0", TINY)
    recipe = recipe_file.load("mnist", ["dataset.validation=100"])
    study = (recipe, source, tmp_path, ["10.0"], [1], cells.Processes(1))
    (row,) = smallest.study(*study)
    assert [len(row.test), row.test[0].images, row.seeds] == [1, 100, [1]]
    assert row.weights > 500 and row.cycles > 1000
    assert packed_file.read(row.files[0]).graph
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*.json")}
    assert len(times) == 2
    assert smallest.study(*study, twice=2) == [row], "another training from the same seed"
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*.json")}
    (told,) = json.loads((tmp_path / "smallest.json").read_text())
    assert told["files"][0]["bytes"] == row.files[0].stat().st_size
    assert told["reached"] == smallest.reached(row)
    table = smallest.table([row]).to_string()
    assert "10.0" in table and "BitNetMCU" in table


def test_a_target_without_a_design_is_one_line(source, tmp_path):
    recipe = recipe_file.load("mnist", ["dataset.validation=100"])
    with pytest.raises(PipelineError, match=r"99\.9 has no design: choose of 99\.0, 99\.5, 99\.7"):
        smallest.study(recipe, source, tmp_path, ["99.9"], [1])

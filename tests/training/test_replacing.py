"""Parts of PaddleClas and Paddle are replaced by name; another version of them must be noticed."""

import types

import pytest

from mnist_rknn.training.paddleclas_launcher.replacing import replace


def train(engine, epoch):
    return "as it was"


def library() -> types.SimpleNamespace:
    return types.SimpleNamespace(train=train)


def test_the_original_is_wrapped():
    owner = library()
    replace(owner, "train", lambda old: lambda *a: f"not {old(*a)}", takes=("engine", "epoch"))
    assert owner.train(1, 2) == "not as it was"


def test_what_was_replaced_can_be_replaced_again():
    owner = library()
    for word in ("not", "still"):
        wrap = lambda old, word=word: lambda *a: f"{word} {old(*a)}"  # noqa: E731
        replace(owner, "train", wrap, takes=("engine", "epoch"))
    assert owner.train(1, 2) == "still not as it was"


@pytest.mark.parametrize(
    "name, takes", [("fit", ()), ("train", ("self",)), ("train", ("engine", "epoch", "step"))]
)
def test_another_version_is_named_and_left_alone(name, takes):
    owner = library()
    with pytest.raises(RuntimeError, match=rf"{name} is to be replaced and .*another version\?"):
        replace(owner, name, lambda old: None, takes=takes)
    assert owner.train is train

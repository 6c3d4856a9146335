"""Parts of PaddleClas and Paddle are replaced by name; another version of them must be noticed."""

import ast
import types

import pytest

from mnist_rknn.training.engine import LAUNCHER
from mnist_rknn.training.paddleclas_launcher.replacing import add, replace


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


def test_what_is_added_hides_nothing():
    owner = library()
    add(owner, "fit", train)
    assert owner.fit is train
    with pytest.raises(RuntimeError, match=r"train is to be added and is there already.*version\?"):
        add(owner, "train", None)
    assert owner.train is train


def test_nothing_is_put_into_paddleclas_past_these_two():
    """An assignment to an attribute of a foreign module or class would not be noticed."""
    foreign = {"ppcls", "paddle", "engine_module", "config_module", "optimizer", "preprocess", "lr"}
    for path in sorted(LAUNCHER.glob("*.py")):
        if path.name == "replacing.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setattr"
            assert not called, f"{path.name}, line {node.lineno}: setattr"
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in targets:
                while isinstance(target, ast.Attribute):
                    target = target.value
                    name = getattr(target, "id", None)
                    assert name not in foreign, f"{path.name}, line {node.lineno}: {name}"

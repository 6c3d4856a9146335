"""Class names come out of a model's custom string as they went in."""

import pytest

from mnist_rknn.conversion import preflight
from mnist_rknn.conversion.rknn_file import RknnFile


def file_with(custom: str | None) -> RknnFile:
    return RknnFile(0, [], "", [], [], custom, 0)


@pytest.mark.parametrize(
    "labels",
    [
        ["0", "1"],
        ["猫", "a circle", "$HOME", "a=b", "{x}", "%s", '"quoted"'],
        ["a,b", "a", "b"],
        ["a;onnx=0123456789ab", "b"],
        ["[1, 2]", "back\\slash", 'a"b,'],
        ["[1", "2]"],
    ],
)
def test_labels_are_read_as_they_were_written(tmp_path, labels):
    (tmp_path / "slim.onnx").write_bytes(b"graph")
    custom = preflight.custom_string(labels, tmp_path / "slim.onnx")
    assert file_with(custom).labels == labels
    if not any(sign in "".join(labels) for sign in ",;["):
        assert custom.startswith(f"labels={','.join(labels)};onnx=")


@pytest.mark.parametrize("custom", [None, "", "v1.2", "labels=a,b"])
def test_a_custom_string_of_others_has_no_labels(custom):
    assert file_with(custom).labels is None

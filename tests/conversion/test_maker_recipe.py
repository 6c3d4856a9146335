"""The maker's recipe files as people have them: taken, or refused by key and in plain words."""

import pytest

from mnist_rknn.conversion import maker_recipe
from mnist_rknn.errors import PipelineError

WHOLE = """load_onnx:
  inputs: [x]
  input_size_list: [[1, 3, 32, 32]]
  outputs: [logits]
config:
  mean: [0.5, 0.5, 0.5]
  std: [0.5, 0.5, 0.5]
  type: fp32
build:
  do_quantization: True
  dataset: ./dataset.txt
"""
THREE = "[0.5, 0.5, 0.5]"


def load(folder, content: str | bytes) -> maker_recipe.MakerRecipe:
    path = folder / "m.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return maker_recipe.load(path)


TAKEN = {  # what is written, what is then in the recipe
    "as it is": (WHOLE, {"mean": [127.5] * 3, "quantized_dtype": "w8a8"}),
    "GBK": (("# 手写数字分类\n" + WHOLE).encode("gb18030"), {"inputs": "x"}),
    "UTF-16": (WHOLE.encode("utf-16"), {"inputs": "x"}),
    "numbers as names": (WHOLE.replace("[x]", "[0]").replace("[logits]", "[021]"), {"inputs": "0", "outputs": "021"}),  # noqa: E501
    "truth as name": (WHOLE.replace("[logits]", "[on]"), {"outputs": "on"}),
    "name without a list": (WHOLE.replace("[logits]", "logits"), {"outputs": "logits"}),
    "no name": (WHOLE.replace("[logits]", ""), {"outputs": ""}),
    "the toolkit's lists": (WHOLE.replace(THREE, f"[{THREE}]"), {"mean": [127.5] * 3}),
    "one for gray": (WHOLE.replace(THREE, "[0.5]"), {"mean": [127.5]}),
    "old name of w8a8": (WHOLE.replace("type: fp32", "type: fp32\n  quantized_dtype: asymmetric_quantized-8"), {"quantized_dtype": "w8a8"}),  # noqa: E501
    "pixels as they are": (WHOLE.replace("fp32", "int8").replace(f"mean: {THREE}", "mean: [0, 0, 0]").replace(f"std: {THREE}", "std: [1, 1, 1]"), {"mean": [0] * 3, "std": [1] * 3}),  # noqa: E501
    "below 0": (WHOLE.replace("fp32", "int8").replace(f"mean: {THREE}", "mean: [-104, -117, -123]").replace(f"std: {THREE}", "std: [1, 1, 1]"), {"mean": [-104, -117, -123]}),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_recipe_file_is_taken(tmp_path, kind):
    content, expected = TAKEN[kind]
    found = load(tmp_path, content)
    assert {key: getattr(found, key) for key in expected} == expected
    assert bool(found.remarks) == (kind == "below 0")


REFUSED = {
    "empty": ("", "m.yaml is empty"),
    "list": ("- a\n", "holds a list"),
    "a key twice": (WHOLE.replace("config:", "config:\n  mean: [0, 0, 0]"), "config.mean stands twice, at line 6 and at line 7"),  # noqa: E501
    "a section twice": (WHOLE + "build:\n  dataset: x\n", "build stands twice"),
    "a tab": (WHOLE.replace("  inputs", "\tinputs"), "has a tab at line 2"),
    "ours": ("image: {height: 32}\ntrain: {epochs: 2}\n", "is a recipe of this project.*make rknn RECIPE="),  # noqa: E501
    "PaddleX": ("Hpi: {}\nPreProcess: {}\n", "inference.yml that PaddleX exports"),
    "the toolkit's": ("models: {name: digits}\n", "model_config.yml of rknn-toolkit2"),
    "YOLO": ("train: images\nnames: [a]\nnc: 1\n", "data set's file of YOLO"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(40), "is a PNG picture"),
    "no section": (WHOLE.partition("build:")[0], "build is missing"),
    "unknown key": (WHOLE.replace("type:", "quantized_method: channel\n  type:"), "config.quantized_method is unknown: remove the line"),  # noqa: E501
    "a flag": (WHOLE.replace("type:", "target_platform: rv1106\n  type:"), "is the flag --target_platform, no key"),  # noqa: E501
    "no list": (WHOLE.replace("./dataset.txt", ""), "build.dataset is empty: write the name"),
    "flat size": (WHOLE.replace("[[1, 3, 32, 32]]", "[1, 3, 32, 32]"), r"write \[\[1, 3, 32, 32\]\]"),  # noqa: E501
    "eight outputs": (WHOLE.replace("[logits]", "[a, b, c, d, e, f, g, h]"), r"names 8 tensors \(a, b, c ...\)"),  # noqa: E501
    "a sum": (WHOLE.replace("mean: [0.5,", "mean: [0.485*255,"), r"'0.485\*255', no number: YAML does not calculate"),  # noqa: E501
    "decimal commas": (WHOLE.replace(f"mean: {THREE}", "mean: [0,5, 0,5, 0,5]"), "has 6 values.*decimals have a point"),  # noqa: E501
    "two values": (WHOLE.replace(f"std: {THREE}", "std: [0.5, 0.5]"), "config.std has 2 values"),
    "fractions as pixels": (WHOLE.replace("fp32", "int8"), "values from 0 to 1 need type fp32"),
    "pixels as fractions": (WHOLE.replace(THREE, "[127.5, 127.5, 127.5]"), "beyond 255: fp32 is for"),  # noqa: E501
    "type": (WHOLE.replace("fp32", "uint8"), "config.type is 'uint8': write fp32 or int8"),
    "int16": (WHOLE.replace("type: fp32", "type: fp32\n  quantized_dtype: w16a16i"), "'w16a16i', which the RV1106 does not run"),  # noqa: E501
    "float": (WHOLE.replace("True", "False"), "no float mode"),
    "reference": (WHOLE.replace(f"mean: {THREE}", f"mean: &m {THREE}").replace(f"std: {THREE}", "std: *m"), r"the reference \*m at line 7"),  # noqa: E501
}  # fmt: skip
PYDANTICS = ("input should be", "extra inputs", "validation", "instance of", "items after")


@pytest.mark.parametrize("kind", REFUSED)
def test_recipe_file_is_refused_in_plain_words(tmp_path, kind):
    content, expected = REFUSED[kind]
    with pytest.raises(PipelineError, match=expected) as error:
        load(tmp_path, content)
    assert not [words for words in PYDANTICS if words in str(error.value).lower()]

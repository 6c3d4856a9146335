"""What the module gives a network, [1, 3, H, W], and graphs that were made for another picture.

Most public models of MNIST take gray pictures of 28x28, some with their channels last, some as a
row of 784 numbers. Such a graph gets layers in front that make its own picture of the module's:
the mean of the three channels, which counts them alike, so their order does not matter; the
middle of a larger picture, so that a row of pixels has a width the NPU likes. Where a convolution
over one channel comes first, it becomes one over three with a third of the weights each.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from ..errors import PipelineError
from ..language import _
from . import onnx_graph
from .foreign_graph import Graph, set_input_shape

STEP = 16  # pixels: the NPU reads rows of so many
_KEY = "load_onnx.input_size_list"
_CHANNELS = (1, 3)
_SMALLEST_SIDE = 8  # pixels: fewer numbers in a row are no picture, but a table's columns
_SHAPES = frozenset(["Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"])
_SHIFTS = frozenset(["Add", "Div", "Mul", "Sub"])


@dataclass(frozen=True)
class Picture:
    """The picture that a graph takes."""

    dimensions: list[int]  # of the graph's input, with a batch of 1
    height: int
    width: int
    channels: int  # 1 or 3
    last: bool = False  # channels are the last dimension, as in TensorFlow

    @property
    def is_the_modules(self) -> bool:
        """Whether it is [1, 3, H, W]."""
        return self.dimensions == [1, 3, self.height, self.width]

    def words(self) -> str:
        """What it is, for messages."""
        if len(self.dimensions) == 2:
            return f"a row of {self.dimensions[1]} numbers, {self.dimensions}"
        colour = "gray pictures" if self.channels == 1 else "pictures"
        order = ", channels last," if self.last else ""
        return f"{colour}{order} {self.dimensions}"


def picture_of(graph: Graph, stated: list[int], size: tuple[int, int] | None) -> Picture:
    """The picture that a graph takes, where the recipe file and the graph agree on it.

    Args:
        stated: the size in the recipe file.
        size: height and width that the picture is to be padded to; None leaves it as it is.

    Raises:
        PipelineError: the two are of different sizes, or it is no picture.
    """
    found = onnx_graph.shape(onnx_graph.input_of(graph.model)) or ["?"] * len(stated)
    is_open = [not isinstance(dimension, int) or dimension < 1 for dimension in found]
    fixed = _filled(found, is_open, stated)
    if is_open[0] or len(fixed) == 4:
        if found[0] != 1 and (found[0] == 0 or not is_open[0]):
            graph.remarks.append(f"its batch is {found[0]}: taken as 1, one picture at a time")
        fixed[0] = 1
    picture = _picture(fixed)
    if picture is None:
        raise PipelineError(
            _(
                "the graph's input {input} is {found}, no picture of one or three "
                "channels: the module feeds one picture, [1, 3, H, W]"
            ).format(input=graph.input, found=found)
        )
    _require_stated(picture, stated, found, size)
    if any(is_open[1:]):
        graph.remarks.append(
            f"it leaves its size open: {fixed} is taken from the recipe file; a network reads "
            "pictures of the size that it was trained on"
        )
    return picture


def _filled(found: list[int | str], is_open: list[bool], stated: list[int]) -> list[int]:
    """Dimensions of the graph; open ones are as the recipe file says."""
    if len(stated) != len(found):
        if any(is_open[1:]):
            raise PipelineError(
                _(
                    "{key}: the graph's input is {found}, {stated} is written there: write "
                    "{count} numbers"
                ).format(key=_KEY, found=found, stated=stated, count=len(found))
            )
        stated = [1] * len(found)  # the batch
    if len(found) == 4 and found[3] in _CHANNELS and is_open[1] and stated[3] not in _CHANNELS:
        stated = [stated[0], stated[2], stated[3], stated[1]]
    return [
        said if opened else int(dimension)
        for dimension, opened, said in zip(found, is_open, stated, strict=True)
    ]


def _picture(size: list[int]) -> Picture | None:
    if len(size) == 4 and size[1] in _CHANNELS:
        return Picture(size, size[2], size[3], size[1])
    if len(size) == 4 and size[3] in _CHANNELS:
        return Picture(size, size[1], size[2], size[3], last=True)
    if len(size) == 3 and size[0] == 1:
        return Picture(size, size[1], size[2], 1)
    side = math.isqrt(size[1]) if len(size) == 2 else 0
    if side >= _SMALLEST_SIDE and side * side == size[1]:
        return Picture(size, side, side, 1)
    return None


def _require_stated(
    picture: Picture, stated: list[int], found: list[int | str], size: tuple[int, int] | None
) -> None:
    height, width = picture.height, picture.width
    same = [picture.dimensions, [1, 3, height, width], [1, 3, *(size or (height, width))]]
    if not picture.is_the_modules:
        same += [[1, picture.channels, height, width], [1, height, width, picture.channels]]
    if stated in same:
        return
    wanted = picture.dimensions if picture.is_the_modules else [1, 3, height, width]
    cure = f"write [{wanted}]"
    if stated == [1, 3, width, height]:
        cure = f"height and width are exchanged: {cure}"
    elif stated == [1, height, width, 3]:
        cure = f"channels come first here: {cure}"
    elif len(stated) == 4 and stated[1:] == wanted[1:]:
        cure = f"the module gives one picture at a time: {cure}"
    raise PipelineError(
        _("{key}: the graph's input is {found}, {stated} is written there: {cure}").format(
            key=_KEY, found=found, stated=stated, cure=cure
        )
    )


def require_the_modules(graph: Graph, picture: Picture) -> None:
    """Refuse a graph for other pictures than the module gives, and say what makes it fit.

    Raises:
        PipelineError: names the options of `mnist-rknn export`.
    """
    if picture.is_the_modules:
        return
    options = "--to-rgb"
    if picture.width % STEP:
        options += f" --pad-to {-(-max(picture.height, picture.width) // STEP) * STEP}"
    other = ""
    if picture.channels == 3:
        other = f"; or export it with channels first (tf2onnx --inputs-as-nchw {graph.input})"
    raise PipelineError(
        _(
            "the graph takes {words}, and the module gives [1, 3, {height}, "
            "{width}]: add {options}, which makes it take these and keeps its "
            "answers{other}"
        ).format(
            words=picture.words(),
            height=picture.height,
            width=picture.width,
            options=options,
            other=other,
        )
    )


def target_size(picture: Picture, pad_to: int | None) -> tuple[int, int]:
    """Height and width of the module's picture.

    Raises:
        PipelineError: `pad_to` is too small.
    """
    if pad_to is None:
        return picture.height, picture.width
    if pad_to < max(picture.height, picture.width):
        raise PipelineError(
            _(
                "--pad-to {pad_to}: the graph's own picture is {width}x{height}, which "
                "is larger: choose a multiple of 16 above it"
            ).format(pad_to=pad_to, width=picture.width, height=picture.height)
        )
    return pad_to, pad_to


def adapt(graph: Graph, picture: Picture, size: tuple[int, int]) -> list[int]:
    """Make a graph take the module's picture, in place, with the answers it gave to its own.

    Args:
        picture: that the graph takes.
        size: height and width of the module's picture; of a larger one the middle is read.

    Returns:
        The new shape of its input, [1, 3, H, W].
    """
    model, shape = graph.model, [1, 3, *size]
    set_input_shape(graph, picture.dimensions)
    chain = _to_first_convolution(model, graph.input) if picture.channels == 1 else []
    inner = _fresh(model, f"{graph.input}_inner")
    for node in model.graph.node:
        node.input[:] = [inner if name == graph.input else name for name in node.input]
    front, last = [], graph.input
    if size != (picture.height, picture.width):
        front.append(_crop(model, picture, size, last))
        last = front[-1].output[0]
        graph.remarks.append(
            f"of {size[1]}x{size[0]} pixels it reads the middle, {picture.width}x{picture.height}"
        )
    if chain:
        _widen(model, chain, last)
        graph.remarks.append("its first convolution counts the three channels by a third each")
    else:
        front += _conversion(model, picture, last, inner)
        graph.remarks.append(f"layers in front make {picture.words()} of the module's picture")
    for node in reversed(front):
        model.graph.node.insert(0, node)
    set_input_shape(graph, shape)
    return shape


def _fresh(model: onnx.ModelProto, name: str) -> str:
    """A name that no tensor of the graph has."""
    used = {*onnx_graph.producers(model), *(tensor.name for tensor in model.graph.initializer)}
    while name in used:
        name += "_"
    return name


def _constant(model: onnx.ModelProto, values: np.ndarray | list[int], name: str) -> str:
    array = np.array(values, np.int64) if isinstance(values, list) else values
    name = _fresh(model, name)
    model.graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def _crop(
    model: onnx.ModelProto, picture: Picture, size: tuple[int, int], name: str
) -> onnx.NodeProto:
    """The middle of a picture [1, 3, H, W]."""
    starts = [(size[0] - picture.height) // 2, (size[1] - picture.width) // 2]
    ends = [starts[0] + picture.height, starts[1] + picture.width]
    output = [_fresh(model, "middle_of_the_picture")]
    if _opset(model) < 10:  # its numbers are attributes there
        return helper.make_node(
            "Slice", [name], output, "crop", starts=starts, ends=ends, axes=[2, 3]
        )
    values = [_constant(model, value, "crop") for value in (starts, ends, [2, 3])]
    return helper.make_node("Slice", [name, *values], output, "crop")


def _opset(model: onnx.ModelProto) -> int:
    return next(used.version for used in model.opset_import if used.domain in ("", "ai.onnx"))


def _conversion(
    model: onnx.ModelProto, picture: Picture, name: str, inner: str
) -> list[onnx.NodeProto]:
    """Nodes from the module's picture, of the graph's own size, to the one that the graph takes."""
    if picture.channels == 3:
        turned = [0, 2, 3, 1] if picture.last else [0, 1, 2, 3]
        return [helper.make_node("Transpose", [name], [inner], "channels_last", perm=turned)]
    weights = _constant(model, np.full((1, 3, 1, 1), 1 / 3, np.float32), "gray_weights")
    gray = _fresh(model, "gray_picture")
    shape = _constant(model, picture.dimensions, "picture_shape")
    return [
        helper.make_node("Conv", [name, weights], [gray], "gray", kernel_shape=[1, 1]),
        helper.make_node("Reshape", [gray, shape], [inner], "picture"),
    ]


def _to_first_convolution(model: onnx.ModelProto, name: str) -> list[onnx.NodeProto]:
    """Nodes from the gray picture to the convolution over it, if nothing but these two is there.

    Between them only the shape may change, or all pixels alike: a mean of channels may then be
    taken in the convolution as well as before it.
    """
    values = onnx_graph.values(model)
    graph = shape_inference.infer_shapes(model).graph
    shapes = {value.name: onnx_graph.shape(value) for value in (*graph.input, *graph.value_info)}
    chain: list[onnx.NodeProto] = []
    while True:
        takers = [node for node in model.graph.node if name in node.input]
        if len(takers) != 1 or any(name == value.name for value in model.graph.output):
            return []
        node = takers[0]
        chain.append(node)
        if node.op_type == "Conv":
            weights = values.get(node.input[1])
            fits = node.input[0] == name and weights is not None and weights.shape[1] == 1
            return chain if fits and _attribute(node, "group", 1) == 1 else []
        others = [values.get(other) for other in node.input if other not in ("", name)]
        if node.op_type in _SHIFTS:
            divides = node.op_type == "Div" and node.input[0] != name  # by the picture
            if divides or len(others) != 1 or others[0] is None or others[0].size != 1:
                return []
        elif node.op_type == "Transpose":
            if not _keeps_order(node, shapes.get(name, [])):
                return []
        elif node.op_type not in _SHAPES:
            return []
        name = node.output[0]


def _keeps_order(node: onnx.NodeProto, shape: list[int | str]) -> bool:
    """Whether a Transpose moves only dimensions of 1, and so no pixel."""
    turned = _attribute(node, "perm", [])
    if len(turned) != len(shape):
        return False
    moved = [axis for axis in turned if shape[axis] != 1]
    return moved == sorted(moved)


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    found = [helper.get_attribute_value(a) for a in node.attribute if a.name == name]
    return found[0] if found else default


def _widen(model: onnx.ModelProto, chain: list[onnx.NodeProto], name: str) -> None:
    """Lead a picture of three channels into the convolution at the end of a chain."""
    *between, convolution = chain
    for node in between:
        if node.op_type in _SHIFTS:
            fixed = onnx_graph.values(model)
            node.input[:] = [other if other in fixed else name for other in node.input]
            name = node.output[0]
        else:
            model.graph.node.remove(node)
    weights = onnx_graph.values(model)[convolution.input[1]]
    shared = np.repeat(weights, 3, axis=1) / np.float32(3)
    convolution.input[0] = name
    convolution.input[1] = _constant(model, shared, "weights_of_three_channels")

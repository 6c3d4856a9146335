"""`try.html`: a run's INT8 network on one page, to draw a digit for or to show a photograph.

The page needs nothing else, neither a server nor the network. It computes in plain JavaScript
(`web/network.js`) what `conversion.integer_network` describes. The same numbers are written as an
ONNX graph, `<recipe>.rknn.qdq.onnx`, so that any runtime can check the page.
"""

import base64
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jinja2
import numpy as np
import onnx
from markupsafe import Markup

from ..conversion import calibration, inference, integer_network, onnx_graph, rknn_ranges
from ..conversion.integer_network import IntegerNetwork, Layer, NotPlain, Weights
from ..conversion.rknn_simulator import golden
from ..data import dataset
from ..errors import PipelineError
from ..files import relative, replacing, write_text
from ..pipeline.runs import TRY_GRAPH, TRY_PAGE
from ..recipe import Recipe

WEB = Path(__file__).with_name("web")
SCRIPTS = ("network.js", "picture.js", "upload.js", "draw.js", "photo.js", "page.js")
LARGEST = 800_000  # bytes of a page; one that would be larger does without the float weights
PICTURES = 1000  # test pictures that the page's network is compared with the simulator on
_EXAMPLES = 20  # test pictures on the page
_BRIGHT = 127.5  # a pixel value above which a background is taken for paper


class Agreement(NamedTuple):
    """How the page's network compares with the converter's own, in the RKNN simulator."""

    pictures: int
    logits: int  # of all pictures
    equal: int  # logits that are the same INT8 number
    steps: int  # the largest difference, in steps of the output
    answers: int  # pictures with the same answer

    def __str__(self) -> str:
        return (
            f"{self.answers:,} of {self.pictures:,} answers and {self.equal:,} of "
            f"{self.logits:,} INT8 logits are the same as in the RKNN simulator (largest "
            f"difference, in steps of the output: {self.steps})"
        )


def build(recipe: Recipe, folder: Path, pictures: np.ndarray, logits: np.ndarray) -> str:
    """Write a run's `try.html`, and the ONNX graph of what it computes.

    A page whose network holds something unknown says what, and there is no graph.

    Args:
        pictures: uint8 [N, H, W, 3], test pictures in the network's colour order.
        logits: float32 [N, classes], of the RKNN simulator for them.

    Returns:
        What the page is, for people: how it compares with the simulator, or what is unknown.
    """
    page, graph = folder / TRY_PAGE, folder / f"{recipe.name}{TRY_GRAPH}"
    model = onnx_graph.load(folder / f"{recipe.name}.slim.onnx")
    try:
        integer_network.require_known(model)  # first: the scales of a large network take a while
        ranges = rknn_ranges.of_run(recipe, folder, folder / "ranges.log")
        network = integer_network.read(model, ranges, recipe.image, recipe.rknn.quantized_method)
    except PipelineError as reason:  # a page is no reason to stop the proof
        graph.unlink(missing_ok=True)
        refusal = {code: _why(reason, table) for code, table in _tables().items()}
        write_text(page, _render(recipe, None, refusal))
        return f"{relative(page)} says why it runs nothing: {refusal['en']}"
    with replacing(graph) as temporary:
        onnx.save(integer_network.to_qdq(network), str(temporary))
    with np.load(golden(folder)) as pack:
        shown, answers = pack["images"], pack["logits"]
    found = [
        agreement(network, inference.run_onnx(graph, some, recipe.image), theirs)
        for some, theirs in ((pictures[:PICTURES], logits[:PICTURES]), (shown, answers))
    ]
    labels = dataset.read_labels(folder / "dataset")
    content = {
        "name": recipe.name,
        "labels": labels,
        "graph": graph.name,
        "network": _network(network, with_rest=True),
        "look": _look(recipe, folder),
        "examples": _examples(recipe, shown),
        "agreement": found[0]._asdict(),
        "golden": found[1]._asdict(),
    }
    text = _render(recipe, content)
    if len(text.encode()) > LARGEST:
        content["network"] = _network(network, with_rest=False)
        text = _render(recipe, content)
    write_text(page, text)
    size = len(text.encode())
    large = f", {size / 1000:,.0f} KB as the network has {network.weights:,} weights"
    return f"{relative(page)}{large if size > LARGEST else ''}: {found[0]}"


def agreement(network: IntegerNetwork, ours: np.ndarray, theirs: np.ndarray) -> Agreement:
    """Compare logits of the page's network with the simulator's, both float32 [N, classes]."""
    steps = np.rint(np.abs(ours - theirs) / network.layers[-1].output.scale)
    same = ours.argmax(axis=1) == theirs.argmax(axis=1)
    equal = int((steps == 0).sum())
    return Agreement(len(ours), steps.size, equal, int(steps.max()), int(same.sum()))


class Frame(NamedTuple):
    """The page in a notebook's output."""

    address: str

    def _repr_html_(self) -> str:
        return (
            f'<iframe src="{self.address}" title="Try the model" width="100%" height="760" '
            'style="border:1px solid #999"></iframe>'
        )


def frame(folder: Path) -> Frame:
    """A run's page, as seen from the folder that this process works in: the notebook's."""
    return Frame(Path(os.path.relpath(folder / TRY_PAGE)).as_posix())


# --- what stands in the page ----------------------------------------------------------


def _tables() -> dict[str, dict[str, str]]:
    """All texts of the page by their key, for each language; the one place where they stand."""
    found: dict[str, dict[str, str]] = json.loads((WEB / "strings.json").read_text("utf-8"))
    return found


def _why(reason: PipelineError, table: dict[str, str]) -> str:
    """Why there is no page, in the language of a table."""
    if isinstance(reason, NotPlain):
        return table[f"why_{reason.key}"].format(**reason.values)
    return table["why_other"].format(message=reason)


def _render(
    recipe: Recipe, content: dict[str, Any] | None, refusal: dict[str, str] | None = None
) -> str:
    """The page, or one that says in each language why it runs nothing."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    read = {name: (WEB / name).read_text(encoding="utf-8") for name in (*SCRIPTS, "style.css")}
    strings = _tables()
    template = environment.from_string((WEB / "page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        name=recipe.name,
        refusal=refusal,
        text=strings["en"],
        tables=strings,
        style=Markup(read["style.css"]),
        scripts=[Markup(read[name]) for name in SCRIPTS],
        strings=_inline(strings),
        content=_inline(content),
    )


def _inline(value: Any) -> Markup:
    """JSON that may stand within a script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _network(network: IntegerNetwork, with_rest: bool) -> dict[str, Any]:
    """The numbers that `readNetwork` of network.js reads."""
    image = network.image
    return {
        "colorOrder": image.color_order,
        "mean": image.mean,
        "std": image.std,
        "input": {
            "shape": [3, image.height, image.width],
            "scale": float(np.float32(network.input.scale)),
            "zeroPoint": network.input.zero_point,
            "table": _base64(network.input_table()),
        },
        "layers": [_layer(layer, with_rest) for layer in network.layers],
    }


def _layer(layer: Layer, with_rest: bool) -> dict[str, Any]:
    window, weights = layer.window, layer.weights
    return {
        "kind": "maxPool" if weights is None else "convolution",
        "name": layer.name,
        "kernel": window.kernel,
        "stride": window.stride,
        "padding": window.padding,
        "relu": layer.relu,
        "shape": layer.shape,
        "scale": float(np.float32(layer.output.scale)),
        "zeroPoint": layer.output.zero_point,
        **(_weights(weights, with_rest) if weights else {}),
    }


def _weights(weights: Weights, with_rest: bool) -> dict[str, str | None]:
    """For each place in the window the weights of all output channels, one behind the other."""
    exact = weights.real / weights.scales.reshape(-1, 1, 1, 1) - weights.centered
    rest = np.clip(np.rint(exact * 256), -128, 127).astype(np.int8)
    return {
        "weights": _base64(_by_place(weights.values)),
        "rest": _base64(_by_place(rest)) if with_rest else None,
        "weightScales": _base64(weights.scales.astype(np.float32)),
        "weightZeroPoints": _base64(weights.zero_points),
        "bias": _base64(weights.bias),
        "floatBias": _base64(weights.real_bias.astype(np.float32)),
        "divisors": _base64(weights.divisors),
    }


def _by_place(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1).T


def _look(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """How a drawing has to look, so that it is like the pictures the network was trained with."""
    images = dataset.read_images(calibration.read_list(folder / "calibration.txt"))
    edge = np.concatenate(
        [images[:, 0].reshape(len(images), -1), images[:, -1].reshape(len(images), -1)], axis=1
    )
    bright = float(np.median(edge)) > _BRIGHT
    digits = recipe.dataset.kind == "mnist" or recipe.dataset.redraw is not None
    looks = ["board", "paper"] if recipe.dataset.redraw else ["paper" if bright else "board"]
    return {"looks": looks, "asMnist": digits}


def _examples(recipe: Recipe, images: np.ndarray) -> list[str]:
    """Test pictures, uint8 [N, H, W, 3], as PNG in base64."""
    order = slice(None, None, -1) if recipe.image.color_order == "rgb" else slice(None)
    packed = [cv2.imencode(".png", image[..., order])[1] for image in images[:_EXAMPLES]]
    return [base64.b64encode(one.tobytes()).decode() for one in packed]

"""The model on one page: the same numbers everywhere, mouse and finger, and bad uploads."""

import base64
import io
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from support.browser import DESKTOP, PHONE, Page, browsing
from support.graphs import classifier
from support.runs import PROJECT, TINY
from support.strokes import DIGITS

from mnist_rknn import recipe_file
from mnist_rknn.conversion import inference, integer_network
from mnist_rknn.data import dataset, pictures
from mnist_rknn.verification import try_page

RUN = recipe_file.load("smoke", TINY)
DEFAULT = PROJECT / "output" / "mnist"  # a run of the default recipe, if somebody made one here


@pytest.fixture(params=["tiny", "mnist"], scope="module")
def made(request, tiny_run) -> Path:
    """A run with its page."""
    if request.param == "tiny":
        return tiny_run
    if not (DEFAULT / "try.html").is_file():
        pytest.skip("there is no run of the default recipe here: make rknn")
    return DEFAULT


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Page]:
    """A browser, for all tests of this file."""
    with browsing(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def in_node(task: str, **content: Any) -> Any:
    """What the page's own scripts answer in node."""
    node = shutil.which("node")
    if not node:
        pytest.skip("Debian's package nodejs is not installed")
    result = subprocess.run(
        [node, str(PROJECT / "tests" / "support" / "try_page.js"), str(try_page.WEB), task],
        input=json.dumps(content), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def packed(content: bytes | np.ndarray) -> str:
    return base64.b64encode(bytes(content)).decode()


def pictures_of(folder: Path) -> np.ndarray:
    """The golden pack and up to 1,000 test pictures, in the network's colour order."""
    recipe = recipe_file.load(str(folder / "recipe.yaml"))
    with np.load(folder / "golden.npz") as pack:
        golden = pack["images"]
    files = dataset.read_split(folder / "dataset", "test").files[:1000]
    return np.concatenate(
        [golden, inference.in_network_order(dataset.read_images(files), recipe.image)]
    )


def answers_of(folder: Path, graph: str, images: np.ndarray) -> np.ndarray:
    """Logits of one of a run's ONNX graphs, in onnxruntime."""
    recipe = recipe_file.load(str(folder / "recipe.yaml"))
    return inference.run_onnx(folder / f"{recipe.name}{graph}", images, recipe.image)


# --- the same numbers -----------------------------------------------------------------


def test_page_in_node_gives_the_logits_of_the_graph_in_onnxruntime(made):
    images = pictures_of(made)
    found = in_node(
        "classify", page=str(made / "try.html"), pictures=[packed(image) for image in images]
    )
    int8 = np.array([row["int8"] for row in found])
    assert np.allclose(int8, answers_of(made, ".rknn.qdq.onnx", images), rtol=0, atol=1e-5)
    floats = np.array([row["float"] for row in found])
    expected = answers_of(made, ".slim.onnx", images)
    assert np.abs(floats - expected).max() < 0.01, "the float weights are not the network's"
    assert np.abs(int8 - expected).max() > 0.01, "INT8 would be as good as float"


def test_page_in_a_browser_gives_the_same_logits(made, page):
    page.open(made / "try.html")
    images = pictures_of(made)[:150]
    found = page.run(
        f"{json.dumps([packed(image) for image in images])}.map((text) =>"
        "tryPage.classify(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))).real)"
    )
    expected = answers_of(made, ".rknn.qdq.onnx", images)
    assert np.allclose(np.array(found), expected, rtol=0, atol=1e-5)
    assert page.messages == []


def test_page_gives_the_golden_answers_but_for_a_rounding(made):
    recipe = recipe_file.load(str(made / "recipe.yaml"))
    with np.load(made / "golden.npz") as pack:
        images, golden = pack["images"], pack["logits"]
    model = onnx.load(str(made / f"{recipe.name}.rknn.qdq.onnx"))
    scale = next(
        float(onnx.numpy_helper.to_array(one))
        for one in model.graph.initializer
        if one.name == model.graph.node[-2].input[1]
    )
    steps = np.rint(np.abs(answers_of(made, ".rknn.qdq.onnx", images) - golden) / scale)
    assert steps.max() <= 1 and (steps == 0).mean() > 0.95


def test_every_level_of_onnxruntime_computes_the_graph_alike(tiny_run):
    images = inference.normalize(pictures_of(tiny_run)[:20], RUN.image)
    answers = []
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(
            str(tiny_run / "smoke.rknn.qdq.onnx"), options, providers=["CPUExecutionProvider"]
        )
        answers.append(session.run(None, {session.get_inputs()[0].name: images})[0])
    assert np.array_equal(*answers)


def test_the_page_says_how_it_compares_with_the_simulator(made, page):
    page.open(made / "try.html")
    said = page.text("#how-exact")
    tested = min(1000, len(dataset.read_split(made / "dataset", "test").files))
    assert f" of {tested:,} test pictures have the same answer" in said
    assert re.search(r"Of the golden pack, [\d,]+ of [\d,]+ logits are the same\.$", said)


# --- the page -------------------------------------------------------------------------


def test_page_is_one_file_of_no_more_than_800_kb_without_a_path_of_this_machine(made):
    text = (made / "try.html").read_text(encoding="utf-8")
    assert len(text.encode()) <= 800_000
    assert str(PROJECT) not in text and str(made) not in text
    assert not re.search(r'(src|href)="(?!data:)', text) and "http:" not in text


def test_page_is_valid_html(tiny_run):
    tidy = shutil.which("tidy")
    if not tidy:
        pytest.skip("Debian's package tidy is not installed")
    result = subprocess.run(
        [tidy, "-quiet", "-errors", "--drop-empty-elements", "no", str(tiny_run / "try.html")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not result.stderr


@pytest.mark.parametrize(("size", "touch"), [(DESKTOP, False), (PHONE, True)])
def test_twenty_digits_are_drawn_and_read(made, page, size, touch):
    page.open(made / "try.html", size, touch)
    assert page.run("document.documentElement.scrollWidth") <= size[0]
    right = 0
    for digit, strokes in DIGITS:
        page.run("document.getElementById('clear').click()")
        assert page.text("#answer") == "Nothing to read yet"
        page.draw("#drawing", strokes, touch)
        right += page.text("#answer") == digit
    # The tiny network has seen 2,800 pictures, the default one 180,000. Chance is 2 of 20.
    assert right >= (19 if made == DEFAULT else 10)
    assert page.messages == []


def test_mouse_and_finger_draw_the_same_picture(tiny_run, page):
    drawn = []
    for touch in (False, True):
        page.open(tiny_run / "try.html", DESKTOP, touch)
        page.draw("#drawing", DIGITS[4][1], touch)
        drawn.append(page.run("Array.from(tryPage.picture().data)"))
    assert np.abs(np.subtract(*drawn)).max() <= 8  # pixels of the screen are not halves


def test_a_drawn_digit_lies_where_mnist_has_it(tiny_run, page):
    page.open(tiny_run / "try.html")
    small = [[(0.1 + x / 4, 0.6 + y / 4) for x, y in stroke] for stroke in DIGITS[0][1]]
    page.draw("#drawing", small, touch=False)
    size = RUN.image.height
    image = np.array(page.run("Array.from(tryPage.picture().data)")).reshape(size, size, 3)[..., 0]
    rows, columns = np.nonzero(image > 127)
    assert abs(rows.mean() - size / 2) < 1.5 and abs(columns.mean() - size / 2) < 1.5
    assert abs(np.ptp(rows) - 20 / 28 * size) < 4
    assert image[0, 0] == 0 and image.max() > 240


def test_page_can_be_used_by_keyboard_and_says_what_it_does(tiny_run, page):
    page.open(tiny_run / "try.html")
    page.run("document.getElementById('drawing').focus()")
    page.press("ArrowUp", "ArrowUp", "ArrowUp", " ")
    assert page.text("#pen") == "The pen is down."
    page.press(*["ArrowDown"] * 10, " ")
    assert page.text("#pen") == "The pen is up."
    assert page.text("#answer") in dataset.read_labels(tiny_run / "dataset")
    page.press("Delete")
    assert page.text("#answer") == "Nothing to read yet"
    unnamed = page.run(
        "Array.from(document.querySelectorAll('button, input, canvas[tabindex], canvas[role]'))"
        ".filter((e) => !(e.ariaLabel || e.innerText || e.labels?.[0]?.innerText ||"
        " e.querySelector('img')?.alt)).map((e) => e.outerHTML)"
    )
    assert unnamed == []
    assert page.run("document.getElementById('answer').closest('[role=status]') !== null")


@pytest.mark.parametrize(("size", "touch"), [(DESKTOP, False), (PHONE, True)])
def test_axe_finds_nothing_on_the_page(tiny_run, page, size, touch):
    page.open(tiny_run / "try.html", size, touch)
    for source in ("draw", "photo", "tests"):
        page.run(f"document.querySelector('input[value={source}]').click()")
        if source == "draw":
            page.draw("#drawing", DIGITS[3][1], touch)
        assert [page.faults_of_access(scheme) for scheme in ("light", "dark")] == [[], []], source
    assert page.messages == []


def test_the_tabulator_goes_through_the_page_in_reading_order(tiny_run, page):
    page.open(tiny_run / "try.html")
    order = []
    for _ in range(5):
        page.press("Tab")
        order.append(page.run("document.activeElement.id || document.activeElement.value"))
        outlined = page.run("getComputedStyle(document.activeElement).outlineStyle")
        assert outlined != "none", f"nothing shows that {order[-1]} has the focus"
    assert order == ["draw", "drawing", "clear", "undo", "board"]
    page.run("document.querySelector('input[value=photo]').click()")
    page.run("document.querySelector('input[value=photo]').focus()")
    page.press("Tab")
    assert page.run("document.activeElement.id") == "file"


def test_float_stands_beside_int8(tiny_run, page):
    page.open(tiny_run / "try.html")
    page.run("document.querySelector('input[value=tests]').click()")
    page.run("document.querySelector('#examples button').click()")
    wait(lambda: page.text("#by-float"))
    assert page.text("#by-float").startswith("Float answers ")
    cells = page.run("document.querySelectorAll('#logits td:last-child').length")
    assert cells == len(dataset.read_labels(tiny_run / "dataset"))
    assert page.run(
        "Array.from(document.querySelectorAll('#logits td:last-child'))"
        ".every((cell) => /^−?\\d+\\.\\d\\d$/.test(cell.innerText))"
    )


def wait(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


# --- photographs ----------------------------------------------------------------------


def test_a_photographs_square_is_moved_and_what_is_in_it_is_read(tiny_run, page, tmp_path):
    with np.load(tiny_run / "golden.npz") as pack:
        digit = pack["images"][0]
    photo = np.zeros((480, 640, 3), np.uint8)
    photo[240:432, 400:592] = np.kron(digit, np.ones((4, 4, 1), np.uint8))
    Image.fromarray(photo).save(tmp_path / "photo.png")
    page.open(tiny_run / "try.html", PHONE, touch=True)
    page.run("document.querySelector('input[value=photo]').click()")
    page.choose("#file", tmp_path / "photo.png")
    wait(lambda: page.run("tryPage.picture() !== null"))
    middle = (0.5, 0.5)
    page.draw("#photograph", [[middle, (496 / 640, 336 / 480)]], touch=True)
    for _ in range(4):  # 288 pixels at first, and 192 in the end
        page.run("document.getElementById('smaller').click()")
    seen = np.array(page.run("Array.from(tryPage.picture().data)")).reshape(digit.shape)
    assert np.corrcoef(seen.ravel(), digit.ravel())[0, 1] > 0.9
    before = seen
    page.run("document.getElementById('photograph').focus()")
    page.press("ArrowLeft")
    moved = np.array(page.run("Array.from(tryPage.picture().data)")).reshape(digit.shape)
    assert not np.array_equal(before, moved)
    assert page.messages == []


@pytest.mark.parametrize("shape", [(480, 640), (97, 131), (20, 31), (48, 48)])
def test_pictures_are_squeezed_as_the_data_set_is(shape):
    generator = np.random.default_rng(1)
    image = generator.integers(0, 256, (*shape, 3)).astype(np.uint8)
    picture = {"width": shape[1], "height": shape[0], "data": packed(np.ascontiguousarray(image))}
    [found] = in_node("fit", pictures=[picture], width=48, height=48)
    ours = np.frombuffer(base64.b64decode(found), np.uint8).reshape(48, 48, 3).astype(int)
    assert np.abs(ours - pictures.fit(image, 48, 48)).max() <= 1


KINDS = {"PNG": {}, "JPEG": {}, "GIF": {}, "WEBP": {"lossless": True}, "BMP": {}}


def picture_file(kind: str, size: tuple[int, int] = (60, 40), frames: int = 1, **how: Any) -> bytes:
    """A picture file of noise, or of one colour where it is large."""
    noise = np.random.default_rng(1).integers(0, 256, (frames, size[1], size[0], 3), np.uint8)
    images = [Image.fromarray(one) for one in noise]
    written = io.BytesIO()
    animated = {"save_all": True, "append_images": images[1:]} if frames > 1 else {}
    images[0].save(written, kind, **animated, **how)
    return written.getvalue()


def huge_png() -> bytes:
    written = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(written, "PNG")
    return written.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_picture_is_taken_and_one_cut_short_is_not(kind):
    whole = picture_file(kind, **KINDS[kind])
    shares = [packed(whole[: len(whole) * share // 100]) for share in (3, 30, 60, 90)]
    first, *rest = in_node("examine", files=[packed(whole), *shares, packed(whole[:-1])])
    assert (first["width"], first["height"]) == (60, 40)
    assert set(rest) <= {"cut_short", "no_picture"} and rest[2:] == ["cut_short"] * 3


def test_other_jpegs_and_webps_are_taken():
    thumbnail = picture_file("JPEG", (16, 16))
    exif = b"\xff\xe1" + (len(thumbnail) + 8).to_bytes(2, "big") + b"Exif\0\0" + thumbnail
    plain = picture_file("JPEG", progressive=True)
    with_thumbnail = plain[:2] + exif + plain[2:]
    lossy, alpha = picture_file("WEBP"), io.BytesIO()
    Image.new("RGBA", (60, 40), (1, 2, 3, 100)).save(alpha, "WEBP")
    files = [with_thumbnail, plain + b"trailing", lossy, alpha.getvalue()]
    for found in in_node("examine", files=[packed(file) for file in files]):
        assert (found["width"], found["height"]) == (60, 40)
    [found] = in_node("examine", files=[packed(with_thumbnail[: len(with_thumbnail) // 2])])
    assert found == "cut_short", "the thumbnail's end is not the picture's"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda: b"Only words.", "This file is no picture"),
        (lambda: b"", "This file is no picture"),
        (huge_png, "This picture has 200 megapixels"),
        (lambda: picture_file("GIF", frames=3), "This is an animation"),
        (lambda: picture_file("PNG", frames=3), "This is an animation"),
        (lambda: picture_file("WEBP", frames=3), "This is an animation"),
        (lambda: picture_file("JPEG")[:-900], "This file is cut short"),
        (lambda: picture_file("PNG")[:3000], "This file is cut short"),
        (lambda: picture_file("PNG").replace(b"IDAT", b"IDAX"), "This file begins as a picture"),
    ],
)
def test_a_bad_upload_gets_a_sentence(tiny_run, page, tmp_path, content, sentence):
    file = tmp_path / "upload.jpg"
    file.write_bytes(content())
    page.open(tiny_run / "try.html")
    page.run("document.querySelector('input[value=photo]').click()")
    page.choose("#file", file)
    wait(lambda: page.text("#problem"))
    assert page.text("#problem").startswith(sentence)
    assert page.text("#answer") == "Nothing to read yet"
    assert page.messages == []


# --- other networks, other names ------------------------------------------------------


def built(folder: Path) -> str:
    logits = np.zeros((4, 10), np.float32)
    images = np.zeros((4, RUN.image.height, RUN.image.width, 3), np.uint8)
    return try_page.build(RUN, folder, images, logits)


@pytest.mark.parametrize("operator", ["Sigmoid", "HardSwish", "Erf"])
def test_an_unknown_operator_is_named_instead_of_a_page_that_errs(finished, page, operator):
    (finished / "smoke.slim.onnx").write_bytes(classifier((operator,)).SerializeToString())
    said = built(finished)
    assert f"says why it runs nothing: The network holds {operator}; known are Conv" in said
    assert not (finished / "smoke.rknn.qdq.onnx").exists()
    page.open(finished / "try.html", PHONE, touch=True)
    assert f"The network holds {operator}" in page.text(".refusal")
    assert page.messages == []


def test_a_branch_and_a_grouped_convolution_are_named():
    model = classifier(("Relu",))
    with pytest.raises(integer_network.NotPlain, match="follows: Relu, Flatten"):
        integer_network.require_known(model)
    model = classifier()
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("group", 3))
    with pytest.raises(integer_network.NotPlain, match="has: Conv conv, group 3"):
        integer_network.require_known(model)
    model = classifier()
    model.graph.node[1].input[0] = "x"
    with pytest.raises(integer_network.NotPlain, match="branches: Flatten"):
        integer_network.require_known(model)


def test_class_names_of_any_kind_stand_in_the_page(finished, page):
    names = ["圆形", "三角形", "</script><b>bold", "a & b", *"456789"]
    lines = "".join(f"{index} {name}\n" for index, name in enumerate(names))
    (finished / "dataset" / "label.txt").write_text(lines, encoding="utf-8")
    built(finished)
    page.open(finished / "try.html", PHONE, touch=True)
    shown = page.run("Array.from(document.querySelectorAll('#logits th'), (th) => th.innerText)")
    assert shown == names
    assert page.run("document.documentElement.scrollWidth") <= PHONE[0]
    assert page.messages == []


@pytest.fixture
def chinese(monkeypatch, tmp_path) -> None:
    """A second language in the page's table."""
    web = tmp_path / "web"
    shutil.copytree(try_page.WEB, web)
    strings = json.loads((web / "strings.json").read_text(encoding="utf-8"))
    strings["zh"] = {
        **strings["en"], "language": "中文", "draw": "画图", "no_answer": "还没有",
        "refused": "不能运行", "why_operators": "网络中有 {found}。",
    }  # fmt: skip
    (web / "strings.json").write_text(json.dumps(strings), encoding="utf-8")
    monkeypatch.setattr(try_page, "WEB", web)


def test_a_page_that_runs_nothing_says_so_in_every_language(finished, page, chinese):
    (finished / "smoke.slim.onnx").write_bytes(classifier(("Erf",)).SerializeToString())
    built(finished)
    page.open(finished / "try.html")
    assert "cannot run this network" in page.text(".refusal[lang=en]")
    assert page.text(".refusal[lang=zh]").startswith("不能运行\n\n网络中有 Erf。")
    assert [page.faults_of_access(scheme) for scheme in ("light", "dark")] == [[], []]
    assert page.messages == []


def test_a_second_language_in_the_table_brings_a_switch(finished, page, chinese):
    built(finished)
    page.open(finished / "try.html")
    assert page.text("#languages") == "中文"
    page.run("document.querySelector('#languages a').click()")
    wait(lambda: page.run("document.documentElement?.lang") == "zh")
    assert page.text("#answer") == "还没有" and page.text("[data-text=draw]") == "画图"
    assert page.text("#languages") == "English"
    assert page.messages == []


def test_every_text_of_the_page_stands_in_its_table():
    strings = json.loads((try_page.WEB / "strings.json").read_text(encoding="utf-8"))["en"]
    page_text = (try_page.WEB / "page.html.j2").read_text(encoding="utf-8")
    used = set(re.findall(r'data-(?:text|label)="(\w+)"', page_text))
    used |= set(re.findall(r'\bt\("(\w+)"\)|text\.(\w+)', page_text)[0])
    code = "".join(file.read_text(encoding="utf-8") for file in try_page.WEB.glob("*.js"))
    used |= {key for key in strings if f'"{key}"' in code}
    dynamic = {f"{kind}_hint_other" for kind in ("draw", "photo")}
    assert used - {""} <= set(strings)
    tables = json.loads((try_page.WEB / "strings.json").read_text(encoding="utf-8"))
    assert {code for code, table in tables.items() if set(table) != set(strings)} == set()
    raised = (PROJECT / "mnist_rknn" / "conversion" / "integer_network.py").read_text("utf-8")
    reasons = {f"why_{key}" for key in re.findall(r'NotPlain\(\s*"(\w+)"', raised)} | {"why_other"}
    assert len(reasons) == 6 and reasons <= set(strings)
    others = {"refused", "refused_why", "needs_script", "language"}
    assert set(strings) - used - dynamic - reasons - others == set()


def test_float_weights_give_way_where_the_page_would_be_too_large(finished, page, monkeypatch):
    monkeypatch.setattr(try_page, "LARGEST", 200_000)
    built(finished)
    page.open(finished / "try.html")
    page.draw("#drawing", DIGITS[0][1], touch=False)
    assert page.text("#answer") != "Nothing to read yet"
    wait(lambda: page.text("#by-float"))
    assert page.text("#by-float").startswith("The page holds no float weights")
    assert page.messages == []


def test_a_page_that_stays_too_large_says_so(finished, monkeypatch):
    assert re.match(r"\S+/try.html: \d of 4 answers", built(finished))
    monkeypatch.setattr(try_page, "LARGEST", 20_000)
    assert re.search(r"try.html, \d+ KB as the network has [\d,]+ weights: ", built(finished))


def test_notebook_shows_the_page_of_its_run(tiny_run):
    notebook = json.loads((tiny_run / "notebooks" / "06_verify.ipynb").read_text())
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    frames = [
        "".join(output["data"]["text/html"])
        for output in outputs
        if "<iframe" in "".join(output.get("data", {}).get("text/html", ""))
    ]
    assert len(frames) == 1
    source = re.search(r'src="([^"]+)"', frames[0])
    assert source and (PROJECT / "notebooks" / source[1]).resolve() == tiny_run / "try.html"

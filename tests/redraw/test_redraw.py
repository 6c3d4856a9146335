"""Redrawn digits: the same bytes every time, legible, and of the class they claim."""

import csv
import shutil
from typing import get_args

import cv2
import numpy as np
import pytest
from support.runs import TINY, last_line, run_command, settings

from mnist_rknn import recipe_file
from mnist_rknn.data import dataset, drawing, sources
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import read_json
from mnist_rknn.recipe import Recipe
from mnist_rknn.redraw import skeletons
from mnist_rknn.redraw.config import PaperName, PenName, RedrawConfig
from mnist_rknn.redraw.fields import rng_for
from mnist_rknn.redraw.glyph import glyph_from_mnist
from mnist_rknn.redraw.ink import Illegible, lay_ink
from mnist_rknn.redraw.legibility import legibility
from mnist_rknn.redraw.paper import neighbour_ink
from mnist_rknn.redraw.picture import redraw, reference, try_redraw
from mnist_rknn.redraw.prints import PRINTS
from mnist_rknn.redraw.worlds import CLEAN, HARD_CASES, SIMULATED_CAMERA

CONFIG = RedrawConfig()


@pytest.fixture(scope="module")
def digits(mnist_folder):
    return sources.load_source(recipe_file.load("mnist"))


def test_same_seed_and_index_give_the_same_bytes_in_any_order(digits):
    def draw(order):
        return {
            i: try_redraw(
                digits.train_images[i],
                int(digits.train_classes[i]),
                digits.train_images,
                5,
                i,
                CONFIG,
            )
            for i in order
        }

    first, second = draw(range(12)), draw(reversed(range(12)))
    assert all(np.array_equal(first[i], second[i]) for i in range(12))
    other = try_redraw(digits.train_images[0], 5, digits.train_images, 6, 0, CONFIG)
    assert not np.array_equal(first[0], other)


def test_written_data_set_is_the_same_with_one_process_and_with_several(
    mnist_folder, digits, tmp_path, monkeypatch
):
    run = recipe_file.load("smoke", TINY)
    indices = drawing.split(run, digits)
    indices = {name: chosen[:40] for name, chosen in indices.items()}
    small = run.dataset.redraw.model_copy(
        update={
            "plain": 30,
            "untouched": 10,
            "camera": 600,
            "drawn": 30,
            "written": 20,
            "validation": 10,
            "test": 20,
            "hard": 5,
        }
    )
    run = run.model_copy(update={"dataset": run.dataset.model_copy(update={"redraw": small})})
    for processes in (1, 2):
        monkeypatch.setattr(drawing, "cores", lambda processes=processes: processes)
        drawing.write(tmp_path / str(processes), run, digits, indices)
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.*"))
    assert len(files) > 700
    for file in files:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()


def test_no_picture_is_below_the_legibility_floor(digits):
    """A floor that nothing can reach refuses everything, so the floor is really applied."""
    image, label = digits.train_images[0], int(digits.train_classes[0])
    with pytest.raises(Illegible, match="illegible in eight attempts"):
        redraw(
            image,
            label,
            digits.train_images,
            1,
            0,
            CONFIG.changed(legibility={"min_contrast": 1.0}),
        )
    blank = np.zeros((28, 28), np.uint8)
    assert try_redraw(blank, 0, digits.train_images, 1, 0, CONFIG) is None


@pytest.mark.parametrize("pen, width", [("ballpoint", 0.03), ("marker", 0.22)])
def test_no_pen_breaks_a_stroke_or_closes_a_loop(digits, pen, width):
    config = CONFIG.changed(pen={f"{pen}_width": (width, width)})

    def pieces(ink):  # of the ink, and of the paper: one more than it has loops
        counts = []
        for part in (ink, ~ink):
            _, _, boxes, _ = cv2.connectedComponentsWithStats(
                np.pad(part, 1, constant_values=part is not ink).astype(np.uint8),
                connectivity=8 if part is ink else 4,
            )
            counts.append(int((boxes[1:, cv2.CC_STAT_AREA] > 2).sum()))  # specks do not count
        return counts

    narrower, changed = 0, []
    for index in range(150):
        rng = rng_for(3, index)
        label = int(digits.train_classes[index])
        distance, half_width = glyph_from_mnist(digits.train_images[index], label, rng, CONFIG)
        written = distance < half_width
        ink = lay_ink(distance, half_width, 45, rng, config, pen) > 0.5
        if pieces(ink) != pieces(written):
            changed.append(index)
        narrower += int(ink.sum() < written.sum())
    # A piece may be just large enough to count in one and not in the other.
    assert len(changed) < 6, changed
    assert narrower > 100 if pen == "ballpoint" else narrower < 50  # the pen still shows


def test_a_scan_may_have_fewer_pixels_than_the_input(digits):
    def sharpness(scan_size):
        config = CONFIG.changed(scan={"share": 1.0, "black_and_white": 1.0, "size": scan_size})
        pictures = [
            redraw(digits.train_images[i], 0, digits.train_images, 1, i, config) for i in range(20)
        ]
        return np.mean([cv2.Laplacian(cv2.cvtColor(p, 6), cv2.CV_32F).std() for p in pictures])

    assert sharpness((0.45, 0.45)) < 0.7 * sharpness((1.0, 1.2))


def test_clean_redrawing_is_mnist_again(digits):
    """With every strength at nothing the digit is where and what it was, white on black."""
    for i in range(10):
        label = int(digits.train_classes[i])
        image = try_redraw(digits.train_images[i], label, digits.train_images, 1, i, CLEAN)
        assert image.shape == (48, 48, 3)
        assert image[:4].max() < 40 and image.max() > 200
        ys, xs = np.nonzero(image[..., 0] > 128)
        assert abs(ys.mean() - 23.5) < 6 and abs(xs.mean() - 23.5) < 6


@pytest.mark.parametrize("name", skeletons.SKELETONS)
def test_every_way_of_writing_can_be_drawn_by_name(digits, name):
    label = skeletons.SKELETONS[name][0]
    clean = reference(name, 48)
    assert clean.min() < 60 and clean[0, 0, 0] > 200
    image = redraw(None, label, digits.train_images, 2, 1, CONFIG, name)
    assert image.shape == (48, 48, 3) and image.std() > 2


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("camera", "inverted", 1.0),
        ("camera", "jpeg", 1.0),
        ("camera", "shadow", 1.0),
        ("camera", "noise", (0.05, 0.05)),
        ("writing", "extra_stroke", 1.0),
    ],
)
def test_every_strength_changes_pictures(digits, group, name, value):
    nothing = 0.0 if isinstance(value, float) else (0.0, 0.0)
    base = CLEAN.changed(camera={"inverted": 0.0})
    images = [
        try_redraw(
            digits.train_images[15],
            7,
            digits.train_images,
            3,
            4,
            base.changed(**{group: {name: strength}}),
        )
        for strength in (value, nothing)
    ]
    assert not np.array_equal(*images)


def test_simulated_camera_shares_no_paper_and_no_blur_with_training():
    train = set(CONFIG.paper.kinds)
    assert SIMULATED_CAMERA.paper.kinds
    for world in (SIMULATED_CAMERA, *HARD_CASES.values()):
        assert not train & set(world.paper.kinds)
        assert world.camera.defocus_kernel != CONFIG.camera.defocus_kernel


def test_legibility_counts_the_edge_of_a_shadow_as_no_clutter():
    """A stroke half in the shade is as legible as one in the light; on a print it is not."""
    ink = np.zeros((48, 48), np.float32)
    ink[8:40, 22:26] = 1
    light = np.full((48, 48), 200, np.uint8)
    shade = light.copy()
    shade[24:] = 120
    print_ = light.copy()
    print_[::2, ::2] = 90
    measured = {}
    for name, paper in {"light": light, "shade": shade, "print": print_}.items():
        gray = np.where(ink > 0.5, paper // 3, paper).astype(np.uint8)
        measured[name] = legibility(np.repeat(gray[..., None], 3, 2), ink)
    assert measured["light"][0] > 0.4 and measured["light"][1] < 0.02
    assert measured["shade"][0] > 0.3
    assert measured["shade"][1] < measured["print"][1] / 2


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("dataset.redraw.camera=-1", "greater than or equal to 0"),
        ("dataset.redraw.camra=1", "unknown key dataset.redraw.camra"),
        ("image.height=32", "redrawn pictures are square"),
    ],
)
def test_impossible_redrawing_is_refused(override, expected):
    with pytest.raises(PipelineError, match=expected):
        recipe_file.load("mnist", [override])


HERE = "dataset.redraw.strengths"


@pytest.mark.parametrize(
    ("strength", "value", "expected"),
    [
        ("nosuch", "1", "the keys here are writing, pen, place, paper, camera, scan, plain"),
        ("camera.shdow", "1", "the keys here are supersample, stretch, gradient, shadow, "),
        ("camera.shadow", "7", "less than or equal to 1"),
        ("camera.shadow", "[0, 1]", "valid number"),
        ("camera.shadow", "true", "valid number"),
        ("camera.shadow", ".nan", "finite number"),
        ("camera.supersample", "0", "greater than or equal to 1"),
        ("camera.noise", "[0.2, 0.1]", "[low, high], in order and from 0 to 1"),
        ("camera.noise", "[0.2, .nan]", "[low, high], in order and from 0 to 1"),
        ("camera.noise", "[0.2]", "[low, high], in order and from 0 to 1"),
        ("camera.jpeg_quality", "[0, 90]", "in order and from 1 to 100"),
        ("camera.defocus_kernel", "disk", "'gauss' or 'disc'"),
        ("place.heights", "[[1, 0.1]]", "[weight, low, high], such as [[1, 0.3, 0.95]]"),
        ("place.heights", "[]", "[weight, low, high]"),
        ("paper.kinds", "{squard: 1}", "'squard' does not exist; there are plain, ruled, squared"),
        ("paper.kinds", "[[squared, 1]]", "names with weights, such as {ruled: 1}; there are"),
        ("paper.kinds", "{ruled: -1}", "0 or more"),
        ("pen.kinds", "{own: 0, pencil: 0}", "not all of them 0"),
        ("pen.kinds", "{quill: 1}", "there are own, ballpoint, pencil, marker"),
        # As they were called before they stood in groups.
        ("shadow", "0.5", f"it is {HERE}.camera.shadow now"),
        ("papers", "[[squard, 1]]", f"it is {HERE}.paper.kinds now"),
        ("paper_luma", "[0.1, 0.2]", f"it is {HERE}.paper.luma now"),
        ("scan", "0.1", f"it is {HERE}.scan.share now"),
    ],
)
def test_impossible_strength_names_key_and_cure(strength, value, expected):
    with pytest.raises(PipelineError) as error:
        recipe_file.load("mnist", [f"{HERE}.{strength}={value}"])
    message = str(error.value)
    assert f"{HERE}.{strength}" in message and expected in message
    assert "\n" not in message


def test_a_strength_of_the_recipe_reaches_the_drawing_and_leaves_the_others():
    run = recipe_file.load(
        "mnist", [f"{HERE}.camera.noise=[0.3, 0.4]", f"{HERE}.pen.kinds={{own: 1}}"]
    )
    wanted = CONFIG.changed(camera={"noise": (0.3, 0.4)}, pen={"kinds": {"own": 1.0}})
    assert run.dataset.redraw.config(48) == wanted
    assert Recipe.model_validate(recipe_file.dump(run)) == run


def test_every_paper_and_every_pen_that_a_recipe_may_name_can_be_drawn(digits):
    assert set(get_args(PaperName)) == {"plain", *PRINTS}
    for pen in get_args(PenName):
        config = CONFIG.changed(pen={"kinds": {pen: 1}})
        assert try_redraw(digits.train_images[0], 5, digits.train_images, 1, 0, config) is not None


def test_camera_is_measured_beside_the_test_images(tiny_run):
    verify = read_json(tiny_run / "verify.json")
    assert list(verify["camera"]) == ["paddle", "onnx", "slim", "rknn"]
    assert 50 < verify["camera"]["rknn"]["accuracy"]["images"] <= 100
    for stage in ("slim", "rknn"):
        assert set(verify["hard_cases"][stage]) == {*HARD_CASES, "all"}
        assert 15 < verify["hard_cases"][stage]["small"]["images"] <= 20
    assert verify["hard_cases"]["rknn"]["all"]["images"] == sum(
        verify["hard_cases"]["rknn"][case]["images"] for case in HARD_CASES
    )


# --- a folder of real pictures -----------------------------------------------------------


@pytest.fixture
def album(tiny_run, tmp_path):
    """Forty test digits as pictures of another size, with an index."""
    folder = tmp_path / "my album"
    folder.mkdir()
    test = dataset.read_split(tiny_run / "dataset", "test")
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "group"])
        for number, (source, label) in enumerate(
            zip(test.files[:40], test.classes[:40], strict=True)
        ):
            picture = cv2.resize(cv2.imread(str(source)), (90, 70))
            cv2.imwrite(str(folder / f"数字 {number}.png"), picture)
            writer.writerow([f"数字 {number}.png", label, "ab"[number % 2]])
    return folder


def evaluate(tiny_run, folder):
    return run_command("evaluate", str(folder), "--run", str(tiny_run))


def test_evaluate_reports_groups_with_intervals_and_pictures(tiny_run, album):
    result = evaluate(tiny_run, album)
    assert result.returncode == 0, result.stderr
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if "%" in line}
    assert rows["a"][1] == rows["b"][1] == "20" and rows["all"][1] == "40"
    target = tiny_run / "evaluate" / "my album"
    saved = read_json(target / "results.json")
    assert saved["accuracy"]["rknn"]["all"]["images"] == 40
    assert len(saved["wrong"]["rknn"]) == 40 - saved["accuracy"]["rknn"]["all"]["correct"]
    for name in ("confusion.png", "wrong_slim.png", "wrong_rknn.png"):
        assert cv2.imread(str(target / name)) is not None


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda f: (f / "index.csv").unlink(), "index.csv is missing"),
        (
            lambda f: (f / "index.csv").write_text("name,class\na,1\n"),
            "needs a first line with file,label",
        ),
        (
            lambda f: (f / "index.csv").write_text("file,label\nx.png,1\n"),
            "line 2: x.png is not there",
        ),
        (lambda f: (f / "index.csv").write_text("file,label\nx.png,ten\n"), "has no class 'ten'"),
        (
            lambda f: (f / "数字 3.png").write_bytes(b"no picture"),
            "cannot be read as a picture: no known format",
        ),
    ],
)
def test_evaluate_names_what_is_wrong_with_a_folder(tiny_run, album, damage, expected):
    damage(album)
    result = evaluate(tiny_run, album)
    assert result.returncode == 1 and expected in last_line(result)
    assert "Traceback" not in result.stderr


def test_notebook_07_shows_the_failure_and_the_cure(tiny_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    result = run_command("run", "07", "--recipe", "smoke", "--output", str(folder), *settings(TINY))
    assert result.returncode == 0, result.stderr
    scores = read_json(folder / "camera.json")["accuracy"]
    assert scores["plain"]["MNIST"] > 0.8 > scores["plain"]["camera"]


@pytest.mark.parametrize("upright", [True, False])
def test_of_a_neighbour_at_most_half_of_the_ink_is_seen_however_narrow_it_is(upright):
    one = np.zeros((1, 28, 28), np.uint8)
    one[0, 4:24, 10:14], one[0, 4:24, 14:18] = 255, 128  # its left and right half can be told apart
    if not upright:  # its upper and lower half
        one = one.transpose(0, 2, 1).copy()
    seen = {"before": 0, "behind": 0}
    for index in range(100):
        ink = np.zeros((96, 96), np.float32)
        neighbour_ink(ink, (30, 30, 66, 66), one, rng_for(0, index))
        ink = ink if upright else ink.T
        parts = {"before": ink[30:66, :30], "behind": ink[30:66, 66:]}
        assert not (parts["before"] > 0.8).any()
        assert not ((parts["behind"] > 0.1) & (parts["behind"] < 0.7)).any()
        for side, part in parts.items():
            seen[side] += part.any()
    assert min(seen.values()) > 20

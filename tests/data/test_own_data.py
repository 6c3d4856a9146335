"""Every kind of data set goes to a `.rknn`, and the import says what it found.

Notebook 09 takes a Labelme set with Chinese names through all steps. The PaddleX set is trained
too. A folder and an IDX set of the same classes lend its network and go the rest of the way with
their own pictures: dataset, calibration, conversion.
"""

import json
import shutil
import warnings

import nbformat
import numpy as np
import pytest
from support.own_sets import folder_set, idx_set, labelme_set, paddlex_set
from support.runs import last_line, run_command, settings

from mnist_rknn import files, fonts, plots, recipe_file
from mnist_rknn.cli import main
from mnist_rknn.conversion import calibration, preflight, rknn_file, rknn_toolkit
from mnist_rknn.data import contact_sheets, dataset, drawing, importing, shapes, sources
from mnist_rknn.data.listing import Answers
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import sha256
from mnist_rknn.pipeline.cells import Processes
from mnist_rknn.verification import metrics, quantstudy

OPEN = ("verify.min_accuracy=0.0", "verify.max_drop=1.0", "verify.min_cosine=-1.0")
SMALL = (
    "dataset.validation=0.2", "image.height=32", "image.width=32",
    "model.arguments={stem: 8, stem_stride: 2, stages: [[16], [16]]}", "train.epochs=1",
    "train.batch_size=8", "train.processes=1", "train.warmup_epochs=0.1", "calibration.images=20",
    "verify.workers=1", *OPEN,
)  # fmt: skip


def own(kind, path) -> tuple[str, ...]:
    return (f"dataset.kind={kind}", f"dataset.path='{path}'", *SMALL)


# --- to a .rknn -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_data_run(tmp_path_factory):
    """Notebook 09, run headless on a small set with Chinese names."""
    folder = tmp_path_factory.mktemp("own") / "run"
    changes = f"changes={json.dumps(['train.epochs=1', *OPEN])}"
    result = run_command(
        "run", "09", "--recipe", "smoke", "--output", str(folder),
        "--parameter", "each=14", "--parameter", "chinese=true", "--parameter", changes,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr + result.stdout
    return folder


def test_labelme_set_with_chinese_names_goes_through_all_steps(own_data_run):
    run = own_data_run / "own_data" / "run"
    names = list(shapes.NAMES.values())
    assert (run / "labels.txt").read_text(encoding="utf-8").splitlines() == names
    file = rknn_file.read(run / "shapes.rknn")
    assert f"labels={','.join(names)};" in file.custom_string and file.labels == names
    assert not rknn_file.problems(file)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["verified"] and manifest["output"]["shape"] == [1, 5]
    assert manifest["input"]["shape"] == [1, 3, 64, 96]
    assert manifest["recipe"]["dataset"]["kind"] == "labelme"


def test_notebook_shows_every_mistake_as_one_line(own_data_run):
    notebook = nbformat.read(own_data_run / "notebooks" / "09_own_data.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    said = "\n".join(output.get("text", "") for output in outputs)
    for mistake in ("two flags or more", "no flag set", "flags.txt lacks", "cannot be read: ",
                    "have no image", "cannot be read as pictures", "under different labels",
                    "leaves its folder", "without annotation"):  # fmt: skip
        assert mistake in said


@pytest.fixture(scope="module")
def paddlex_run(tmp_path_factory):
    """A PaddleX set with spaces in its names, up to its `.rknn`."""
    folder = tmp_path_factory.mktemp("own")
    data = paddlex_set(folder / "my set", {"train": 20, "val": 4, "test": 2})
    overrides = settings(own("paddlex", data))
    result = run_command(
        "run", "01-05", "--recipe", "mnist_plain", "--output", str(folder / "run"), *overrides
    )
    assert result.returncode == 0, result.stderr + result.stdout
    return folder / "run"


def test_paddlex_set_goes_to_a_model(paddlex_run):
    file = rknn_file.read(paddlex_run / "mnist_plain.rknn")
    assert not rknn_file.problems(file)
    assert file.custom_string.startswith('labels=["a circle", "square", "tri,angle"];onnx=')
    assert file.labels == ["a circle", "square", "tri,angle"]
    assert file.output.shape[-1] == 3


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("folder", lambda root: folder_set(root, 20)),
        ("idx", lambda root: idx_set(root, {"train": 20, "t10k": 3})),
    ],
)
def test_folder_and_idx_sets_go_to_a_model(paddlex_run, tmp_path, kind, make):
    """With the network of the PaddleX run, whose classes are as many: training knows no kinds."""
    wanted = recipe_file.load("mnist_plain", own(kind, make(tmp_path / "my set")))
    source = sources.load_source(wanted)
    data = tmp_path / "dataset"
    drawing.write(data, wanted, source, drawing.split(wanted, source))
    train = dataset.read_split(data, "train")
    chosen = calibration.choose(train.classes, wanted.calibration.images, wanted.seed)
    listed = tmp_path / "calibration.txt"
    calibration.write_list(listed, [train.files[index] for index in chosen])
    preflight.check_calibration(listed, wanted, data)
    slim = paddlex_run / "mnist_plain.slim.onnx"
    custom = preflight.custom_string(dataset.read_labels(data), slim)
    arguments, log = rknn_toolkit.config_arguments(wanted, custom), tmp_path / "log"
    with rknn_toolkit.captured(log):
        rknn = rknn_toolkit.build(arguments, slim, listed, log, verbose=True)
        assert rknn.export_rknn(str(tmp_path / "own.rknn")) == 0
        rknn.release()
    rknn_toolkit.require_runnable(rknn_toolkit.parse_log(log))
    image = wanted.image
    file = rknn_file.read(tmp_path / "own.rknn")
    rknn_file.require_deployable(file, [1, 3, 32, 32], image.mean, image.std, custom)
    assert sha256(tmp_path / "own.rknn") != sha256(paddlex_run / "mnist_plain.rknn")


def test_study_leaves_out_lists_that_a_small_set_cannot_give(paddlex_run):
    wanted = recipe_file.load("mnist_plain", own("paddlex", paddlex_run.parent / "my set"))
    cells = [
        quantstudy.Cell("normal", "channel", 500, 1),
        quantstudy.Cell("normal", "channel", 20, 1),
        quantstudy.Cell("normal", "channel", 100, 1, "one class"),
    ]
    rows = quantstudy.run(wanted, paddlex_run, cells, pictures=10, pool=Processes(1))
    assert [(row["images"], row["calibration"]) for row in rows] == [
        (20, "balanced"), (60, "one class"),
    ]  # fmt: skip
    with pytest.raises(PipelineError, match="longer than the 60 pictures that 3 classes"):
        quantstudy.run(wanted, paddlex_run, cells[:1], pictures=10)


# --- import ---------------------------------------------------------------------------


@pytest.fixture
def configs(tmp_path, monkeypatch):
    folder = tmp_path / "configs"
    folder.mkdir()
    monkeypatch.setattr(recipe_file, "CONFIGS", folder)
    monkeypatch.setattr(contact_sheets, "SHEETS", tmp_path / "sheets")
    return folder


SETS = {
    "folder": lambda root: folder_set(root, 20),
    "labelme": lambda root: labelme_set(root, 20),
    "paddlex": lambda root: paddlex_set(root, {"train": 20, "val": 4}),
    "idx": lambda root: idx_set(root, {"train": 40, "t10k": 10}),
}


@pytest.mark.parametrize("kind", SETS)
def test_import_recognises_the_kind_and_its_recipe_loads_the_set(kind, tmp_path, configs, capsys):
    made = SETS[kind](tmp_path / "my set")
    assert main(["import", str(made), "--into", "mine"]) == 0
    said = capsys.readouterr().out
    assert f"a {kind} set in" in said and "3 classes" in said and "make rknn RECIPE=mine" in said
    written = recipe_file.load("mine")
    assert written.dataset.kind == kind and written.dataset.redraw is None
    source = sources.load_source(written)
    split = drawing.split(written, source)
    trained = f"for {len(split['train'])} training pictures"
    assert trained in (configs / "mine.yaml").read_text(encoding="utf-8")
    assert written.train.batch_size <= len(split["train"])
    assert written.image.width % 16 == 0


def test_import_counts_what_the_split_will_make(tmp_path):
    found = importing.examine(str(folder_set(tmp_path / "set", 23)))
    wanted = recipe_file.load(
        "mnist_plain", [*own("folder", tmp_path / "set"), "dataset.validation=0.15"]
    )
    source = sources.load_source(wanted)
    split = drawing.split(wanted, source)
    assert [int(found.counts[name].sum()) for name in drawing.SPLITS] == [
        len(split[name]) for name in drawing.SPLITS
    ]


def test_import_of_a_wrong_set_says_all_problems_and_writes_nothing(tmp_path, configs, capsys):
    made = labelme_set(tmp_path / "set", 12)
    (made / "images" / "方块 1.JPG").write_bytes(b"no picture")
    (made / "annotations" / "方块 2.json").write_text("{")
    assert main(["import", str(made), "--into", "mine"]) == 1
    said = capsys.readouterr()
    assert said.out.count("problem    1 ") == 2
    assert said.err.startswith("error: no recipe is written: 1 annotations cannot be read")
    assert not list(configs.iterdir())


def test_import_says_how_many_pictures_a_class_needs(tmp_path, configs, capsys):
    made = folder_set(tmp_path / "set", 3)
    assert main(["import", str(made), "--into", "mine"]) == 1
    assert "with about 11 pictures a class 7 remain for training" in capsys.readouterr().err


def test_number_of_pictures_that_import_names_is_enough(tmp_path):
    assert importing.examine(str(folder_set(tmp_path / "set", 11))).problems == []


def test_import_overwrites_no_recipe(tmp_path, configs, capsys):
    (configs / "mine.yaml").write_text("mine")
    made = folder_set(tmp_path / "set", 20)
    assert main(["import", str(made), "--into", "mine"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert (configs / "mine.yaml").read_text() == "mine"
    assert main(["import", str(made), "--into", "../mine"]) == 1
    assert "use letters" in capsys.readouterr().err


def test_rendered_set_is_the_same_for_a_seed_and_spares_other_folders(tmp_path):
    for name in ("a", "b"):
        result = run_command("practice-set", "--into", str(tmp_path / name), "--each", "2")
        assert result.returncode == 0, result.stderr
    hashes = [
        {f.name: sha256(f) for f in sorted((tmp_path / name).rglob("*")) if f.is_file()}
        for name in ("a", "b")
    ]
    assert hashes[0] == hashes[1] and len(hashes[0]) == 2 * 2 * len(shapes.NAMES) + 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    result = run_command("practice-set", "--into", str(tmp_path / "mine"))
    assert result.returncode == 1 and "no Labelme set: name another folder" in last_line(result)
    assert (tmp_path / "mine" / "letter.txt").exists()


# --- nothing behind dataset knows of digits -------------------------------------------


def test_plots_and_figures_take_two_classes_or_fifty(tmp_path):
    plots.use_style()
    for classes in (2, 50):
        labels = [f"a long class name {number}" for number in range(classes)]
        truth = np.arange(classes).repeat(3)
        logits = np.eye(classes)[truth] + np.random.default_rng(0).normal(0, 0.1, (len(truth), 1))
        row = metrics.stage_row(logits, logits, logits, truth, labels)
        assert row.accuracy.top1 == 1
        figure = plots.confusion({"a": np.array(row.confusion_matrix)}, labels)
        figure.savefig(tmp_path / "confusion.png")
        assert max(figure.get_size_inches()) < 20
        plots.class_balance({"train": truth}, labels).savefig(tmp_path / "balance.png")


@pytest.mark.skipif(
    not (files.PROJECT / recipe_file.load("fashion").dataset.path).is_dir(),
    reason="Debian's package dataset-fashion-mnist is not installed",
)
def test_fashion_recipe_names_the_clothes_of_debians_package():
    wanted = recipe_file.load("fashion").dataset
    folder = sources.open_path(wanted.path)
    listing, images = sources.idx_listing(folder, Answers(labels=wanted.labels))
    assert images.shape == (70_000, 28, 28)
    assert (listing.splits.count("train"), listing.splits.count("test")) == (60_000, 10_000)
    assert listing.labels[listing.classes[0]] == "Ankle boot"
    assert set(np.bincount(listing.classes)) == {7_000}


def test_refused_set_stops_the_run_with_one_line(tmp_path):
    made = folder_set(tmp_path / "set", 12)
    shutil.copy(made / "circle" / "circle 0.PNG", made / "square" / "x.png")
    result = run_command(
        "run", "01", "--recipe", "mnist_plain", "--output", str(tmp_path / "run"),
        *settings(own("folder", made)),
    )  # fmt: skip
    assert result.returncode == 1
    assert "under different labels" in last_line(result) and "Traceback" not in result.stderr
    assert not (tmp_path / "run" / "dataset").exists()


def test_chinese_class_names_are_drawn_and_not_boxes(tmp_path, monkeypatch):
    """Where no font with Chinese characters is installed, the project's own draws them."""
    monkeypatch.setattr(fonts, "installed_cjk_font", lambda: None)
    plots.use_style()
    assert plots.plt.rcParams["font.family"][1] == fonts.SHIPPED_FAMILY
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a missing glyph
        plots.class_balance({"train": np.array([0, 1])}, ["圆形", "cat"]).savefig(
            tmp_path / "a.png"
        )

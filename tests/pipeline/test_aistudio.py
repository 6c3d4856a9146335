"""The zip for AI Studio: built from one source, installs beside Paddle, runs from top to end."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from support.machine import can_cut_network
from support.runs import PROJECT, run_command

from mnist_rknn.data import archives, mnist
from mnist_rknn.errors import PipelineError
from mnist_rknn.pipeline import aistudio, environment, steps
from mnist_rknn.pipeline import aistudio_bundle as builder

# --- the zip --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "aistudio.zip"
    result = run_command("aistudio", "--output", str(path))
    assert result.returncode == 0, result.stderr
    assert re.search(r"aistudio\.zip  [\d.,]+ KB  sha256 [0-9a-f]{64}", result.stdout)
    return path


def test_two_builds_are_byte_equal(bundle, tmp_path):
    result = run_command("aistudio", "--output", str(tmp_path / "again.zip"))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_zip_holds_what_a_run_needs_and_nothing_of_this_machine(bundle):
    with zipfile.ZipFile(bundle) as opened:
        names = opened.namelist()
        contents = {name: opened.read(name) for name in names}
        assert {info.date_time for info in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names == sorted(names)
    inside = {name.removeprefix("mnist-rknn/") for name in names}
    package = {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("mnist_rknn/**/*.py")}
    notebooks = {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("notebooks/*.ipynb")}
    assert package | notebooks <= inside
    assert {
        "main.ipynb", "main.en.ipynb", "mnist_rknn/verification/report.html.j2",
        "configs/smoke.yaml", "scripts/run.py",
        "requirements.txt", "LICENSE", "README.md", "data/README.md",
    } <= inside  # fmt: skip
    assert not [name for name in inside if re.match(r"output|data/(?!README)|tests|\.", name)]
    assert not [name for name, content in contents.items() if str(PROJECT).encode() in content]


@pytest.mark.parametrize(("main", "code"), builder.MAIN.items())
def test_main_notebook_has_one_configuration_cell_and_compiles(bundle, main, code):
    spoken = code
    with zipfile.ZipFile(bundle) as opened:
        notebook = nbformat.reads(opened.read(f"mnist-rknn/{main}").decode(), as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == code[:1]
    assert f'language = "{spoken}"' in tagged[0].source
    assert builder.assigned(tagged[0].source) == {
        "dataset", "model", "changes", "extras", "language",
    }  # fmt: skip
    assert not [cell for cell in code if cell.outputs or cell.execution_count]
    for cell in code:
        compile(cell.source, cell.id, "exec")
    words = "\n".join(cell.source for cell in notebook.cells)
    for step in steps.STEPS:
        assert words.count(f'runs.Run("{step.name}"') == (0 if step.extra else 1)
    assert "<!--" not in words
    text = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert len([part for part in text if re.search(r"^# ", part, re.MULTILINE)]) == 1
    chinese = [part for part in text if re.search("[\u4e00-\u9fff]", part)]
    assert len(chinese) == (len(text) if spoken == "zh" else 0)


def test_chinese_comes_first_on_ai_studio():
    assert builder.MAIN["main.ipynb"] == "zh"


def test_no_notebook_reuses_the_names_of_the_configuration():
    for name, notebook in builder.numbered_notebooks().items():
        for cell in notebook.cells:
            if cell.cell_type == "code":
                taken = builder.assigned(cell.source) & {"RECIPE", "OUTPUT", "CHANGES", "EXTRAS"}
                assert not taken, f"{name} assigns {taken}"


def edited(name: str, change) -> dict:
    notebooks = builder.numbered_notebooks()
    change(notebooks[name])
    return notebooks


def drop_parameters(notebook) -> None:
    notebook.cells = [c for c in notebook.cells if "tags" not in c.metadata]


def add_parameter(notebook) -> None:
    next(c for c in notebook.cells if "tags" in c.metadata).source += "\nepochs = 3"


def reword(old: str, new: str):
    def change(notebook) -> None:
        for cell in notebook.cells:
            cell.source = cell.source.replace(old, new)

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("02_train", drop_parameters, "02_train: one cell must be tagged `parameters`, not 0"),
        ("03_export", add_parameter, "03_export: its parameters must be output, overrides, recipe"),
        ("05_convert", reword("**Next:**", "Next:"), "05_convert: its last text must end"),
        ("00_environment", reword("The next cell", "This cell"), "no notebook has the text"),
    ],
)
def test_a_text_to_replace_that_is_gone_is_one_line(name, change, message):
    with pytest.raises(PipelineError) as error:
        builder.combine(builder.read(builder.TEMPLATE), edited(name, change))
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


@pytest.mark.parametrize("mark", ["steps", "extras", "first"])
def test_a_mark_that_is_gone_from_the_template_is_one_line(mark):
    template = builder.read(builder.TEMPLATE)
    reword(f"<!-- {mark} -->", "")(template)
    with pytest.raises(PipelineError, match=f"lost its mark <!-- {mark} -->"):
        builder.combine(template, builder.numbered_notebooks())


# --- packages -------------------------------------------------------------------------


def fake_distribution(folder: Path, name: str, version: str) -> None:
    """What `pip` leaves of an installed package, without the package."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_preinstalled_gpu_paddle_is_kept_and_not_asked_of_pip(tmp_path, monkeypatch):
    """`fake-site` stands for AI Studio's Python: its only Paddle is the GPU build."""
    site = tmp_path / "fake-site"
    fake_distribution(site, "paddlepaddle-gpu", "3.2.0")
    pins = environment.pinned_packages()
    fake_distribution(site, "PyYAML", pins["pyyaml"])
    fake_distribution(site, "numpy", "1.24.0")
    asked = []

    def remember(names, folder):  # pip itself is tried in a real environment, see README
        asked.extend(names)
        shutil.rmtree(folder, ignore_errors=True)
        for name in names:
            fake_distribution(folder, name, pins[name])

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setenv(environment.KEPT_PADDLE, "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "path", [str(site)])
    monkeypatch.setattr(aistudio, "pip_install", remember)
    lines = []
    aistudio.install(lines.append)
    assert "paddlepaddle-gpu 3.2.0 is preinstalled and kept; this project was measured" in lines[0]
    assert "paddlex" in asked and "numpy" in asked
    assert not [name for name in asked if name.startswith("paddlepaddle") or name == "pyyaml"]
    text = aistudio.requirements_of(asked)
    assert not re.search(r"^paddlepaddle", text, re.MULTILINE)
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) >= len(asked) and all("--hash=sha256:" in block for block in blocks)
    assert environment.installed_version("paddlepaddle") == "3.2.0"
    assert sys.path[0] == os.environ["PYTHONPATH"] == str(aistudio.packages_folder())
    asked.clear()
    aistudio.install(lines.append)
    assert not asked, "what was there was installed again"
    fake_distribution(aistudio.packages_folder(), "paddlepaddle", pins["paddlepaddle"])
    aistudio.install(lines.append)
    assert asked and environment.installed_version("paddlepaddle") == "3.2.0", "the GPU is hidden"


def test_without_paddle_it_is_installed_and_another_cpu_version_is_kept(tmp_path):
    pins = environment.pinned_packages()
    assert "paddlepaddle" in aistudio.missing(pins, aistudio.installed_packages([str(tmp_path)]))
    fake_distribution(tmp_path, "paddlepaddle", "3.1.1")
    installed = aistudio.installed_packages([str(tmp_path)])
    assert aistudio.preinstalled_paddle(installed) == ("paddlepaddle", "3.1.1")


def test_pip_that_fails_leaves_the_old_packages_and_says_why(tmp_path, monkeypatch):
    folder = tmp_path / "packages"
    fake_distribution(folder, "old", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(PipelineError, match=r"pip could not install .*six.*registry") as error:
        aistudio.pip_install(["six"], folder)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["packages"]
    assert (folder / "old-1.dist-info").is_dir()


def test_package_imported_before_its_version_came_asks_for_a_new_kernel(tmp_path):
    (tmp_path / "numpy").mkdir()
    __import__("numpy")
    with pytest.raises(PipelineError, match=r"numpy was imported before .* restart the kernel"):
        aistudio.require_fresh_kernel(tmp_path)


# --- attached data sets ---------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home with two attached data sets; unpacked ones go beside it."""
    home = tmp_path / "home" / "aistudio"
    (home / "data" / "data12345").mkdir(parents=True)
    (home / "data" / "data7").mkdir()
    archives.pack({"dogs/1.png": b"1", "cats/2.png": b"2"}, home / "data/data12345/my set.zip")
    (home / "data" / "data7" / "note.txt").write_text("no archive")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(aistudio, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(aistudio, "ATTACHED", tmp_path / "project" / "data" / "attached")
    return home


def test_attached_archives_are_unpacked_once_and_again_when_they_change(home):
    lines = []
    (folder,) = aistudio.unpack_data_sets(lines.append)
    assert lines == [f"{folder}: from my set.zip"]
    (folder / "dogs" / "1.png").write_bytes(b"mine")
    aistudio.unpack_data_sets(lines.append)
    assert (folder / "dogs" / "1.png").read_bytes() == b"mine", "it was unpacked again"
    archives.pack({"dogs/1.png": b"new"}, home / "data" / "data12345" / "my set.zip")
    aistudio.unpack_data_sets(lines.append)
    assert (folder / "dogs" / "1.png").read_bytes() == b"new"


def test_attached_archive_that_would_escape_is_refused(home):
    archives.pack({"../../out.txt": b"1"}, home / "data" / "data7" / "bad.zip")
    with pytest.raises(PipelineError, match=r"bad\.zip holds .* leaves its folder"):
        aistudio.unpack_data_sets()
    assert not list(home.parents[1].rglob("out.txt"))


def test_data_sets_are_found_by_number_path_or_part_and_named_when_missing(home):
    (folder,) = aistudio.unpack_data_sets()
    assert aistudio.find_data_set("data12345") == folder
    assert aistudio.find_data_set(str(home / "data" / "data7")) == home / "data" / "data7"
    assert aistudio.find_data_set("data7") == home / "data" / "data7"
    assert aistudio.recipe_name(folder).startswith("own_data12345_")
    with pytest.raises(PipelineError, match="data9 was not found: attached are data12345, data7"):
        aistudio.find_data_set("data9")


def test_no_two_sets_share_a_recipe_and_a_choice_is_asked_for(home):
    """Chinese names leave no letters for a recipe's; two archives of one name hold other things."""
    for number, name in enumerate(("手写.zip", "花朵.zip", "data/data7/my set.zip")):
        archives.pack({f"{number}/1.png": b"%d" % number}, home / name)
    names = ("手写.zip", "花朵.zip", "data7", "data12345", "data/data12345/my set.zip")
    found = [aistudio.recipe_name(aistudio.find_data_set(name)) for name in names]
    assert len(set(found)) == 4 and found[3] == found[4]
    for name, pixel in (
        ("手", b"1"),
        ("衣", b"2"),
    ):  # as MNIST and Fashion-MNIST
        (home / name).mkdir()
        (home / name / "train-images-idx3-ubyte").write_bytes(pixel * 9)
    keys = {aistudio.recipe_name(aistudio.find_data_set(name)) for name in ("手", "衣")}
    assert len(keys) == 2
    archives.pack({"b/1.png": b"b"}, home / "data/data7/第二版 (1).zip")
    with pytest.raises(
        PipelineError, match='holds 2 archives: name one, "data7/my set" or "data7/'
    ):
        aistudio.find_data_set("data7")
    assert aistudio.find_data_set("data7/第二版 (1)").name == "第二版 (1)"


@pytest.mark.parametrize("name", [".", "..", "", "/", "data", "~"])
def test_a_folder_of_all_sets_is_no_set(home, name):
    with pytest.raises(PipelineError, match="attached are data12345, data7"):
        aistudio.find_data_set(name)


def test_a_name_with_blanks_a_whole_path_and_an_archive_that_is_not_read(home):
    (folder,) = aistudio.unpack_data_sets()
    assert aistudio.find_data_set(" data12345 ") == folder
    assert aistudio.find_data_set(f"{home}/data/data12345/") == folder
    (home / "data" / "data7" / "set.rar").write_bytes(b"Rar!\x1a\x07\x00" + bytes(20))
    with pytest.raises(PipelineError, match=r"data7 holds set\.rar, which is a RAR archive"):
        aistudio.find_data_set("data7")


def test_attached_set_that_only_looks_like_mnist_is_passed_over(home):
    fashion = home / "data" / "data7"
    for name in mnist.SHA256:
        (fashion / name).write_bytes(b"other pictures")
    lines = []
    aistudio.use_attached_mnist(lines.append)
    assert len(lines) == 1 and "is not MNIST" in lines[0]


def test_the_command_that_imports_a_data_set_is_there():
    assert "--into" in aistudio.run_python("-m", "mnist_rknn", "import", "--help")


# --- the whole of it ------------------------------------------------------------------


def test_run_all_leaves_what_single_notebooks_leave(bundle, mnist_folder, tmp_path):
    """In the layout of AI Studio, MNIST attached, the network cut where this machine allows it.

    The packages are those of this Python: nothing is missing, so pip is not called.
    """
    home = tmp_path / "home" / "aistudio"
    attached = home / "data" / "data12345"
    attached.mkdir(parents=True)
    with zipfile.ZipFile(attached / "mnist.zip", "w") as packed:
        for name in mnist.SHA256:
            packed.write(mnist_folder / name, f"mnist/{name}")
    archives.unpack(bundle, home / "projects")
    root = home / "projects" / "mnist-rknn"

    code = (
        "import json, sys; from pathlib import Path; from mnist_rknn.pipeline import runner\n"
        "runner.execute(Path('main.ipynb'), Path('executed.ipynb'), json.loads(sys.argv[1]))"
    )
    cut = ["unshare", "-rn"] if can_cut_network() else []
    chosen = {"model": "smoke", "changes": list(FEW)}
    run = subprocess.run(
        [*cut, sys.executable, "-c", code, json.dumps(chosen)],
        cwd=root,
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert (root / "data" / "mnist").is_dir() and (root / "data" / "attached").is_dir()

    settings = [argument for change in chosen["changes"] for argument in ("--set", change)]
    listed = subprocess.run(
        [sys.executable, "scripts/run.py", "--list", "--recipe", "smoke", *settings],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.stdout.count("up to date") == 7, listed.stdout + listed.stderr
    manifest = json.loads((root / "output" / "smoke" / "manifest.json").read_text())
    assert manifest["verified"] and list(manifest["accuracy"]) == ["paddle", "onnx", "slim", "rknn"]
    with zipfile.ZipFile(root / "output" / "smoke.zip") as results:
        assert {name.removeprefix("smoke/") for name in results.namelist()} == {
            "smoke.rknn", "smoke.onnx", "smoke.slim.onnx", "smoke.lockzhiner.yaml",
            "labels.txt", "manifest.json", "report.html", "try.html",
        }  # fmt: skip
    assert not (home / "external-libraries").exists(), "nothing was missing"


# Smaller than TINY: only the way is looked at, not how well the model reads.
FEW = (
    "dataset.redraw=null",
    "dataset.samples.train=400",
    "dataset.samples.validation=60",
    "dataset.samples.test=60",
    "calibration.images=20",
    "verify.min_accuracy=0",
    "verify.max_drop=1",
    "verify.min_cosine=0",
    "verify.workers=1",
)

"""The house: what lies where, how long a file may be, what runs before anything is installed."""

import subprocess
import sys

import pytest
from support.runs import PROJECT

PACKAGE = PROJECT / "mnist_rknn"
GROUND = {
    "errors",
    "files",
    "file_kinds",
    "text",
    "records",
    "machine",
    "capture",
    "fonts",
    "plots",
    "lesson",
    "checking",
    "language",
}
RECIPE = {"recipe", "recipe_file"}
COMMAND = {"__init__", "__main__", "cli", "study_commands", "command"}
BARE = (sys.executable, "-S", "-s", "-E")  # no packages but the standard library


def lines_of(folder, pattern: str = "*.py") -> dict[str, int]:
    return {
        path.relative_to(PROJECT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in folder.rglob(pattern)
    }


def test_nothing_lies_at_the_packages_top_but_the_ground_and_the_command():
    assert {path.stem for path in PACKAGE.glob("*.py")} <= GROUND | RECIPE | COMMAND


def test_no_file_is_too_long_to_read():
    found = lines_of(PACKAGE) | lines_of(PROJECT / "scripts")
    assert len(found) > 60
    assert {name: lines for name, lines in found.items() if lines > 600} == {}


def test_each_step_of_the_redrawing_is_short():
    found = lines_of(PACKAGE / "redraw")
    assert len(found) > 8
    assert {name: lines for name, lines in found.items() if lines > 300} == {}


@pytest.mark.parametrize("wing", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_every_wing_says_what_it_is_for_and_brings_nothing_along(wing):
    text = (PACKAGE / wing / "__init__.py").read_text(encoding="utf-8")
    assert text.startswith('"""') and text.endswith('"""\n')
    assert 3 <= len(text.splitlines()) <= 8
    assert "import" not in text.replace("May import", "").replace("imports", "")


def test_the_platform_is_checked_before_anything_is_installed():
    result = subprocess.run(
        [*BARE, str(PROJECT / "scripts" / "check.py"), "--platform"],
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("module", ["errors", "files", "data.archives", "pipeline.environment"])
def test_what_runs_before_the_set_up_needs_the_standard_library_only(module):
    code = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); import mnist_rknn.{module}"
    result = subprocess.run([*BARE, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_reading_a_recipe_does_not_load_the_drawing_engine():
    code = (
        "import sys; from mnist_rknn import recipe_file; recipe_file.load('mnist')\n"
        "print(sorted({'numpy', 'cv2', 'paddle', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert result.stdout == "[]\n", result.stderr


def test_an_import_upward_breaks_the_contract(tmp_path):
    """The linter's own check, seen to fail: a copy of the package with one import too many."""
    import shutil

    shutil.copytree(PACKAGE, tmp_path / "mnist_rknn", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)

    def lint() -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()",
             "--no-cache"],
            cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "PATH": ""}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip

    assert lint().returncode == 0
    lowest = tmp_path / "mnist_rknn" / "data" / "idx.py"
    lowest.write_text("from mnist_rknn.verification import metrics\n" + lowest.read_text())
    result = lint()
    assert result.returncode == 1
    assert "mnist_rknn.data is not allowed to import mnist_rknn.verification" in result.stdout

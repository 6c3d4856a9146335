"""`make setup` on machines as they are: the environment is whole, or one line says why it is not.

The real scripts, venv and pip, on a lock of one small package that is made here: no network.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.runs import PROJECT

NEEDED = (
    "__init__.py",
    "errors.py",
    "files.py",
    "language.py",
    "machine.py",
    "pipeline/__init__.py",
    "pipeline/environment.py",
    "pipeline/places.py",
)


def wheel(folder: Path, name: str = "tiny_package", version: str = "1.0") -> Path:
    """A wheel with one module."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        record = ""
        for member, content in files.items():
            archive.writestr(member, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest())
            record += f"{member},sha256={digest.rstrip(b'=').decode()},{len(content)}\n"
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A project with a lock of one package, and an environment without it."""
    folder = tmp_path_factory.mktemp("set-up") / "project"
    for name in NEEDED:
        (folder / "mnist_rknn" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / "mnist_rknn" / name, folder / "mnist_rknn" / name)
    shutil.copytree(PROJECT / "scripts", folder / "scripts")
    made = wheel(folder)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    lock = f"tiny_package==1.0 \\\n    --hash=sha256:{digest}\n"
    (folder / "requirements.txt").write_text(lock)
    subprocess.run([sys.executable, "-m", "venv", str(folder / ".venv")], check=True)
    return folder


@pytest.fixture
def project(base, tmp_path) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(base, folder, symlinks=True, copy_function=_copied)
    return folder


def _copied(source: str, target: str) -> str:
    """A copy; of the environment's many packages, which nobody writes into, a second name."""
    (os.link if "/site-packages/" in source else shutil.copy2)(source, target)
    return target


def install(project: Path, settings: str = "", **environment: str) -> subprocess.CompletedProcess:
    """`scripts/install.py packages`, with pip's settings of a user."""
    home = project / "home"
    (home / ".config" / "pip").mkdir(parents=True, exist_ok=True)
    index = "" if "index-url" in settings else f"no-index = true\nfind-links = {project}\n"
    (home / ".config" / "pip" / "pip.conf").write_text(f"[global]\n{index}{settings}\n")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))
    }
    kept |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), **environment}
    command = [sys.executable, "scripts/install.py", "packages", ".venv", "2.3.2"]
    return subprocess.run(
        command, cwd=project, env=kept, capture_output=True, text=True, check=False
    )


def is_installed(project: Path) -> bool:
    code = "import tiny_package, sys; print(tiny_package.__file__.startswith(sys.prefix))"
    command = [str(project / ".venv" / "bin" / "python"), "-I", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() == "True"


# Each of them alone would keep the package out of the environment, or stop pip.
HARMLESS = {
    "target": "$PROJECT/elsewhere", "user": "true", "require-virtualenv": "true",
    "constraint": "$PROJECT/none.txt", "no-binary": ":all:", "prefix": "$PROJECT/elsewhere",
}  # fmt: skip


@pytest.mark.parametrize("settings", [{}, HARMLESS], ids=["plain", "all"])
def test_settings_of_pip_for_other_projects_do_not_count_here(project, settings):
    lines = "\n".join(f"{key} = {value}" for key, value in settings.items())
    result = install(project, lines.replace("$PROJECT", str(project)))
    assert result.returncode == 0, result.stderr
    assert is_installed(project) and not (project / "elsewhere").exists()
    # The machine's own settings may be named beside the user's.
    said = result.stdout.partition("left out of pip's settings")[2]
    assert all(key in said for key in settings)


def test_packages_of_another_path_do_not_stand_for_the_environments(project):
    foreign = project / "foreign"
    with zipfile.ZipFile(project / "tiny_package-1.0-py3-none-any.whl") as archive:
        archive.extractall(foreign)
    result = install(project, PYTHONPATH=str(foreign))
    assert result.returncode == 0 and is_installed(project), result.stderr


def refusal(result: subprocess.CompletedProcess) -> str:
    assert result.returncode == 1 and "Traceback" not in result.stderr, result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_dead_index_is_named_without_its_password(project):
    said = refusal(install(project, "index-url = http://me:secret@127.0.0.1:9/simple\nretries = 0"))
    assert "127.0.0.1 cannot be reached" in said and "secret" not in said
    assert not is_installed(project)


def test_index_without_the_package_is_named(project):
    (project / "empty").mkdir()
    (project / "tiny_package-1.0-py3-none-any.whl").unlink()
    assert "does not have tiny_package==1.0" in refusal(install(project))


def test_other_file_than_the_locked_one_is_refused(project):
    lock = project / "requirements.txt"
    lock.write_text(lock.read_text()[:-9] + "00000000\n")
    assert "another file than the locked one" in refusal(install(project))


def offline_kit(project: Path, python: str) -> Path:
    """The project as an offline kit has it: the packages lie in data/wheels."""
    wheels = project / "data" / "wheels"
    wheels.mkdir(parents=True)
    (project / "tiny_package-1.0-py3-none-any.whl").rename(
        wheels / "tiny_package-1.0-py3-none-any.whl"
    )
    (wheels / "python.txt").write_text(f"{python}\n")
    return wheels


THIS = "{}.{}".format(*sys.version_info[:2])


def test_a_kit_asks_no_index_whatever_pip_is_told(project):
    offline_kit(project, THIS)
    result = install(project, "index-url = http://127.0.0.1:9/simple", PIP_INDEX_URL="http://x.y")
    assert result.returncode == 0 and is_installed(project), result.stderr
    assert result.stdout == ""


def test_a_kit_for_another_python_and_one_with_a_file_too_few_say_so(project):
    wheels = offline_kit(project, "3.9")
    said = refusal(install(project))
    assert f"are for Python 3.9, and this is {THIS}" in said and "PYTHON=python3.9" in said
    (wheels / "python.txt").write_text(THIS)
    (wheels / "tiny_package-1.0-py3-none-any.whl").unlink()
    said = refusal(install(project))
    assert "data/wheels of this kit does not hold" in said and "tiny_package==1.0" in said


def test_settings_that_pip_cannot_read_are_named(project):
    assert "pip's own settings cannot be read" in refusal(install(project, "]what"))


def test_environment_of_another_python_is_refused(project):
    settings = project / ".venv" / "pyvenv.cfg"
    settings.write_text(
        settings.read_text().replace(f"version = 3.{sys.version_info[1]}", "version = 3.9")
    )
    said = refusal(install(project))
    assert ".venv is of Python 3.9" in said and "PYTHON=python3.9" in said


def run_as(project: Path, setting: str, script: str, *arguments: str):
    """Run a script of the project in a Python that says something else of itself."""
    code = (
        f"import runpy, sys\nsys.argv = {[script, *arguments]!r}\nsys.path[0] = 'scripts'\n"
        f"{setting}\nrunpy.run_path({script!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False
    )


def test_python_without_ensurepip_names_the_package_to_install(project):
    shutil.rmtree(project / ".venv")
    # What Debian's python3 says where python3-venv is not installed.
    fake = project / "python"
    fake.write_text("#!/bin/sh\necho 'ensurepip is not available' >&2\nexit 1\n")
    fake.chmod(0o755)
    result = run_as(
        project, f"sys.executable = {str(fake)!r}", "scripts/install.py", "packages", ".venv", "x"
    )
    said = refusal(result)
    assert "lacks ensurepip: install python3." in said and "-venv" in said
    assert not (project / ".venv").exists()


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 6, 9)])
def test_old_python_is_told_which_one_to_install(project, version):
    setting = f"sys.version_info = {version!r}"
    said = refusal(run_as(project, setting, "scripts/check.py", "--platform"))
    assert "the pinned packages exist for 3.10 and 3.11: install one" in said
    source = (PROJECT / "scripts" / "check.py").read_text()
    assert 'f"' not in source and "print(" not in source and "->" not in source


def test_old_python_named_after_a_set_up_is_told_the_same(project):
    """It can read scripts/check.py and nothing else of the project."""
    old = project / "python2.7"
    old.write_text(
        f'#!/bin/sh\ncase "$1" in *check.py) ;; *) echo SyntaxError >&2; exit 1 ;; esac\n'
        f"exec {sys.executable} -c 'import sys, runpy; sys.version_info = (2, 7, 18)\n"
        'sys.path[0] = "scripts"; runpy.run_path("scripts/check.py", run_name="__main__")\'\n'
    )
    old.chmod(0o755)
    shutil.copy(PROJECT / "Makefile", project)
    command = ["make", "other_python", f"PYTHON={old}"]
    result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "SyntaxError" not in result.stderr
    assert "the pinned packages exist for 3.10 and 3.11: install one" in result.stderr


def test_foreign_packages_on_the_path_are_found_by_check(tmp_path, monkeypatch):
    from mnist_rknn.pipeline import environment

    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    assert environment.check_path().status == "OK"
    (tmp_path / "numpy").mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT}{os.pathsep}{tmp_path}")
    found = environment.check_path()
    assert found.status == "FAIL" and f"puts numpy of {tmp_path} before" in found.detail


def test_command_that_foreign_packages_break_says_so(tmp_path):
    (tmp_path / "click.py").write_text("raise ImportError('another click')\n")
    path = f"{tmp_path}{os.pathsep}{PROJECT}"
    command = [sys.executable, "-m", "mnist_rknn", "list"]
    result = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert "PYTHONPATH puts click of" in refusal(result)


@pytest.mark.parametrize("option", ["environment", "-OO"])
def test_command_keeps_its_checks_and_its_help_without_assertions(option):
    switch, more = (["-OO"], {}) if option == "-OO" else ([], {"PYTHONOPTIMIZE": "2"})
    command = [sys.executable, *switch, "-m", "mnist_rknn", "--help"]
    result = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **more}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0 and "From a handwritten digit" in result.stdout, result.stderr

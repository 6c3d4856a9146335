"""The one command: its help, its options, its exit statuses, and what programs read from it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from support.runs import COMMAND, PROJECT, TINY, last_line, run_command, run_script, settings

import mnist_rknn
from mnist_rknn import cli, command, recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.pipeline import environment, graph, runs, steps
from mnist_rknn.pipeline.environment import Check

INSTALLED = Path(sys.executable).with_name(command.NAME)
HEAVY = {"numpy", "pandas", "matplotlib", "cv2", "onnx", "paddle", "rknn", "papermill"}


def of(folder) -> list[str]:
    """Options that name a run of the tests."""
    return ["--recipe", "smoke", "--output", str(folder), *settings(TINY)]


def answer(*arguments, status: int = 0, cwd: Path | str = "/"):
    """What `--json` prints, which must be all of stdout."""
    result = run_command(*arguments, "--json", cwd=cwd)
    assert result.returncode == status, result.stderr
    return json.loads(result.stdout)


# --- help and command line ------------------------------------------------------------


@pytest.mark.parametrize("name", cli.cli.commands)
def test_help_of_every_command_lists_its_options(name, capsys):
    assert cli.main([name, "--help"]) == 0
    said = capsys.readouterr().out
    for parameter in cli.cli.commands[name].params:
        if not getattr(parameter, "hidden", False):
            shown = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.metavar
            assert (shown or parameter.human_readable_name) in said
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{parameter.opts[0]} explains nothing"
    assert "--json" in said
    assert max(map(len, said.splitlines())) <= 100


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help_names_every_command_the_statuses_and_the_completion(arguments, capsys):
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert all(re.search(rf"^  {name} ", said, re.MULTILINE) for name in cli.cli.commands)
    for status, meaning in command.EXIT_STATUS.items():
        assert re.search(rf"^  {status} +{re.escape(meaning)}", said, re.MULTILINE)
    assert command.COMPLETION in said


@pytest.mark.parametrize("arguments", [("--help",), ("list", "--help"), ("--version",)])
def test_command_starts_without_the_large_packages(arguments):
    code = (
        "import sys; from mnist_rknn import cli; status = cli.main(sys.argv[1:]);"
        f"assert not status and not {HEAVY!r} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], check=False)
    assert result.returncode == 0


def test_list_inspect_make_and_its_summary_start_without_the_large_packages(finished):
    code = (
        "import sys; from mnist_rknn import cli; status = cli.main(sys.argv[1:]);"
        f"found = {HEAVY!r} & set(sys.modules); assert not found, found"
    )
    for arguments in (
        ["list", *of(finished)],
        ["run", *of(finished)],
        ["run", "--summary", *of(finished)],
        ["inspect", str(finished / "smoke.rknn")],
    ):
        result = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr


def test_version_is_the_one_that_is_installed(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"mnist-rknn {mnist_rknn.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "No such command 'rnu'"),
        (["run", "--forse"], "'--force'"),
        (["run", "01", "02"], "unexpected extra argument"),
        (["inspect"], "Missing argument 'FILE'"),
        (["import", "x", "--as", "zip"], "'zip' is not one of 'labelme', 'paddlex'"),
        (["quantstudy", "--sizes", "20,many"], "write whole numbers, such as 20,100"),
        (["costs", "--pictures", "few"], "'few' is not a valid integer"),
    ],
)
def test_wrong_command_line_is_one_line_and_status_2(arguments, message, capsys):
    assert cli.main(arguments) == command.WRONG
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1
    assert said.err.startswith("error: ") and message in said.err and "--help`" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--recipe", "nosuch"], "unknown recipe 'nosuch'"),
        (["list", "99"], "unknown step '99'"),
        (["run", "01", "--parameter", "epochs"], "write it as NAME=VALUE"),
        (["inspect", "/nothing.rknn"], "is missing"),
        (["compare", "/nothing", "/nothing"], "is missing"),
        (["golden", "/nothing", "/nothing"], "nothing"),
        (["import", "/nothing", "--into", "mnist"], "is there already"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_1(arguments, message, tmp_path, capsys):
    if arguments[0] in ("run", "list"):
        arguments = [*arguments, "--output", str(tmp_path)]
    assert cli.main(arguments) == command.NO
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1
    assert said.err.startswith("error: ") and message in said.err


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("list", "run again to go on"),
        ("quantstudy", "finished cells are kept, run again to go on"),
        ("board", "nothing half-written is left, run again"),
    ],
)
def test_ctrl_c_says_what_is_left_and_ends_with_130(name, remark, tiny_run, monkeypatch, capsys):
    from mnist_rknn.deployment import board
    from mnist_rknn.verification import quantstudy

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(graph.Graph, "stale_reason", interrupted)
    monkeypatch.setattr(quantstudy, "run", interrupted)
    monkeypatch.setattr(board, "measure", interrupted)
    host = ["10.1.1.144"] if name == "board" else []
    of_run = of(tiny_run) if name == "list" else ["--run", str(tiny_run)]
    assert cli.main([name, *host, *of_run]) == command.INTERRUPTED
    assert capsys.readouterr().err.strip() == f"error: interrupted; {remark}"


def test_reader_who_has_seen_enough_gets_no_traceback(tmp_path):
    for arguments in (["--help"], ["list", "--output", str(tmp_path)]):
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait()


def test_run_ends_with_its_reader(tiny_run, tmp_path):
    """`mnist-rknn run | head -1`: neither the notebook nor its kernel go on."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    process = subprocess.Popen(
        [*COMMAND, "run", "00-01", "--force", *of(folder)], stdout=subprocess.PIPE
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == -signal.SIGPIPE
    assert not (folder / "steps" / "01_data.json").stat().st_mtime > time.time() + 1


# --- installed ------------------------------------------------------------------------


@pytest.mark.skipif(not INSTALLED.exists(), reason="this Python has no mnist-rknn: make setup")
def test_installed_command_works_in_any_folder_and_is_the_module(tmp_path):
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    said = [
        subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=True)
        for command in ([str(INSTALLED), "--help"], [*COMMAND, "--help"])
    ]
    assert said[0].stdout == said[1].stdout and not list(tmp_path.iterdir())


@pytest.mark.skipif(not INSTALLED.exists(), reason="this Python has no mnist-rknn: make setup")
def test_command_of_a_copied_folder_does_not_work_in_the_old_one(tmp_path):
    copied = tmp_path / "copy" / ".venv" / "bin" / command.NAME
    copied.parent.mkdir(parents=True)
    shutil.copy(INSTALLED, copied)
    result = subprocess.run([str(copied), "list"], capture_output=True, text=True, check=False)
    assert result.returncode == command.NO and "moved since: run `make setup` in" in last_line(
        result
    )
    assert str(tmp_path / "copy") in last_line(result)


def test_notebook_of_a_copied_folder_does_not_work_in_the_old_one(tmp_path, monkeypatch):
    for name in ("notebooks", "mnist_rknn"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    with pytest.raises(PipelineError, match=r"its kernel was set up in .*: run `make setup` in"):
        runs.Run("00_environment", "smoke", str(tmp_path / "run"))


def test_check_before_set_up_needs_no_new_python_and_no_package():
    """`scripts/check.py --platform` is what `make setup` asks any Python from 3.8 on."""
    for path in (
        "scripts/check.py",
        "mnist_rknn/pipeline/environment.py",
        "mnist_rknn/errors.py",
        "mnist_rknn/machine.py",
    ):
        compile((PROJECT / path).read_text(), path, "exec", dont_inherit=True)
        __import__("ast").parse((PROJECT / path).read_text(), feature_version=(3, 8))
    result = run_script("check.py", "--platform", env={"PYTHONNOUSERSITE": "1"})
    assert result.returncode == 0 and not result.stdout + result.stderr
    command = [sys.executable, "-S", str(PROJECT / "scripts" / "check.py"), "--platform"]
    assert subprocess.run(command, check=False).returncode == 0


# --- completion -----------------------------------------------------------------------


def completed(*words: str) -> set[str]:
    """What bash would offer for the last word."""
    environment = {"_MNIST_RKNN_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words)}
    environment["COMP_CWORD"] = str(len(words) - 1)
    result = run_command(env={**os.environ, **environment})
    assert result.returncode == 0, result.stderr
    return {line.partition(",")[2] for line in result.stdout.splitlines()}


def test_commands_steps_and_recipes_are_completed():
    assert completed("mnist-rknn", "qu") == {"quantstudy"}
    assert completed("mnist-rknn", "list", "--recipe", "mnist") == {"mnist", "mnist_plain"}
    assert completed("mnist-rknn", "run", "02") == {"02_train"}
    assert completed("mnist-rknn", "run", "--for") == {"--force"}


# --- changes of a recipe through make -------------------------------------------------


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("", []),
        ("seed=7", ["seed=7"]),
        ("  seed=7\n\ttrain.epochs=2  ", ["seed=7", "train.epochs=2"]),
        ("description=two words seed=2", ["description=two words", "seed=2"]),
        (
            "train.transforms=[{RandCrop: {size: 48}}, {A: {b: 1}}] seed=2",
            ["train.transforms=[{RandCrop: {size: 48}}, {A: {b: 1}}]", "seed=2"],
        ),
        ("description='a b=c' seed=2", ["description='a b=c'", "seed=2"]),
        ("description={a: \"x y=1 z=2\"} seed=2", ["description={a: \"x y=1 z=2\"}", "seed=2"]),
        ("description=it's $HOME `x` (y) seed=2", ["description=it's $HOME `x` (y)", "seed=2"]),
        ("a=[1, 2 b=3", ["a=[1, 2 b=3"]),
    ],
)  # fmt: skip
def test_changes_in_one_text_are_told_apart(text, changes):
    assert recipe_file.split(text) == changes


def make(*arguments: str) -> subprocess.CompletedProcess:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=PROJECT, env=inherited, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.skipif(not (PROJECT / ".venv").exists(), reason="needs the set-up of make")
def test_set_reaches_the_command_through_make_whatever_is_in_it():
    text = """{a: "$HOME $(x) it's `(y)` b=c \\\\ * & ; #"}"""
    for target in ("list", "smoke"):  # `smoke` starts another make
        result = make(target, "RECIPE=smoke", f"SET=train.transforms=[{{A: 1}}] description={text}")
        shown = """description: {'a': "$HOME $(x) it's `(y)` b=c \\\\ * & ; #"} cannot work"""
        assert result.returncode and shown in result.stderr
    heights = "dataset.redraw.strengths.place.heights=[[1, 0.3, 0.9]]"
    changes = f"{heights} train.transforms=[{{Rand: {{size: 4}}}}] train.epochs=2"
    result = make("list", "RECIPE=smoke", f"SET={changes}")
    assert result.returncode == 0 and "01_data" in result.stdout, result.stderr


@pytest.mark.parametrize("step", steps.STEPS, ids=lambda step: step.name)
def test_make_takes_the_number_of_a_step(step):
    number = step.name.partition("_")[0]
    assert make("-n", number).stdout == make("-n", step.name).stdout != ""


# --- answers for programs -------------------------------------------------------------


def test_run_and_list_answer_in_json(finished):
    found = answer("list", *of(finished), "--set", "rknn.quantized_method=layer")
    assert [row["step"] for row in found] == [step.name for step in steps.select("all")]
    assert {row["step"]: row["to_run"] for row in found}["05_convert"].startswith("its settings")
    found = answer("run", "03-04", "--force", *of(finished))
    assert found["ran"] == ["03_export", "04_calibration"]
    summary = answer("run", "--summary", *of(finished))
    assert summary["verified"] is True and summary["model"].endswith("smoke.rknn")
    manifest = json.loads((finished / "manifest.json").read_text())
    assert summary["accuracy"] == manifest["accuracy"] and summary["board"] == "not measured"


def test_scripts_run_is_the_command_run(finished):
    for mode in ("--list", "--summary"):
        texts = [run("run", mode, *of(finished)).stdout for run in (run_command, run_py)]
        assert texts[0] == texts[1] != ""


def run_py(_command: str, *arguments) -> subprocess.CompletedProcess:
    return run_script("run.py", *arguments)


def test_reports_bundles_and_comparisons_answer_in_json(finished, tmp_path):
    assert Path(answer("report", "--run", finished)["report"]).is_file()
    bundle = answer("deploy", "--run", finished)
    assert Path(bundle["zip"]).stat().st_size == bundle["bytes"] and len(bundle["sha256"]) == 64
    assert answer("inspect", finished / "smoke.rknn")["problems"] == []
    assert answer("compare", finished, finished)["recipe"] == {}
    pictures = finished / "dataset"
    lines = (pictures / "test.txt").read_text().splitlines()[:4]
    rows = [",".join(line.rsplit(" ", 1)) for line in lines]
    (pictures / "index.csv").write_text("\n".join(["file,label", *rows]) + "\n")
    measured = answer("evaluate", pictures, "--run", finished)
    assert measured["accuracy"]["rknn"]["all"]["images"] == 4
    packed = answer("aistudio", "--output", tmp_path / "aistudio.zip")
    assert packed["zip"] == str(tmp_path / "aistudio.zip") and packed["bytes"] > 100_000
    log = tmp_path / "golden.log"
    log.write_text("")
    assert run_command("golden", finished / "deploy/golden", log, "--json").stdout == ""


def test_conversion_and_study_print_only_json_to_stdout(finished, tmp_path):
    """rknn-toolkit2's C++ and the study's progress bar write to the descriptors themselves."""
    made = answer(
        "export", "--config_path", finished / "smoke.lockzhiner.yaml", "--model_load_path",
        finished / "smoke.onnx", "--model_save_path", tmp_path / "x.rknn", cwd=finished,
    )  # fmt: skip
    assert Path(made["rknn"]).is_file() and made["problems"] == []
    assert made["estimate"]["cycles"] > 0
    study = answer(
        "quantstudy", "--run", finished, "--sizes", "20", "--seeds", "1", "--pictures", "40",
    )  # fmt: skip
    assert study["winner"]["images"] == 20 and study["written"] is None


def test_import_and_practice_set_answer_in_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recipe_file, "CONFIGS", tmp_path / "configs")
    made = answer("practice-set", "--into", tmp_path / "shapes", "--each", "20")
    assert made["pictures"] == 20 * made["classes"]
    looked = answer("import", made["folder"], "--sheets", tmp_path / "sheets")
    assert len(list((tmp_path / "sheets").glob("*.png"))) == made["classes"]
    assert looked["kind"] == "labelme" and not (tmp_path / "configs").exists()
    sheets = ["--sheets", str(tmp_path / "sheets")]
    assert cli.main(["import", made["folder"], "--into", "mine", "--json", *sheets]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "labelme" and found["problems"] == []
    assert (tmp_path / "configs" / "mine.yaml").is_file()
    (tmp_path / "shapes" / "images" / "star 000.jpg").write_bytes(b"no picture")
    assert cli.main(["import", made["folder"], "--into", "other", "--json", *sheets]) == command.NO
    said = capsys.readouterr()
    assert json.loads(said.out)["problems"] and said.err.startswith("error: no recipe is written")


def test_check_answers_in_json_and_with_its_status(monkeypatch, capsys):
    checks = [Check("platform", "OK", "Linux"), Check("disk", "FAIL", "full", "free some")]
    monkeypatch.setattr(environment, "check_all", lambda: iter(checks))
    assert cli.main(["check", "--json"]) == command.NO
    said = capsys.readouterr()
    assert json.loads(said.out) == {"ready": False, "checks": [c._asdict() for c in checks]}
    assert "1 failed: disk" in said.err


def test_costs_and_board_answer_in_json(finished, monkeypatch, capsys):
    from mnist_rknn.deployment import board
    from mnist_rknn.verification import costs

    content = {"golden": {"match": False}}
    monkeypatch.setattr(
        costs, "measure", lambda *_: {"cycles": 1, "weights_kb": 2, "internal_kb": 3}
    )
    monkeypatch.setattr(board, "measure", lambda *_: content)
    monkeypatch.setattr(board, "text", lambda *_: "")
    assert cli.main(["costs", "--json", "--output", str(finished / "costs")]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(costs.REFERENCES)
    assert cli.main(["board", "10.1.1.144", "--json", "--run", str(finished)]) == command.NO
    assert json.loads(capsys.readouterr().out) == content

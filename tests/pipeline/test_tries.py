"""A try is a try: changed settings work beside the finished run, which stays as it is."""

import os
import shutil

import pytest
from support.runs import TINY, command_json, everything, last_line, run_command, settings

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import FolderLock
from mnist_rknn.pipeline import graph, runs, steps, tries


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["train.epochs=3"], "train.epochs-3"),
        (["rknn.quantized_algorithm=mmse", "seed=2"], "rknn.quantized_algorithm-mmse+seed-2"),
    ],
)
def test_a_try_is_named_after_what_it_changes(tmp_path, overrides, name):
    assert tries.folder(tmp_path, overrides) == tmp_path / "tries" / name


def test_names_that_were_cut_or_cleaned_do_not_collide(tmp_path):
    names = {
        tries.folder(tmp_path, [change]).name
        for change in ("a.b=[1, 2]", "a.b=[1 2]", "a.b=../x", "a.b=" + 99 * "x", "a.b=" + 98 * "x")
    }
    assert len(names) == 5
    for name in names:
        assert " " not in name and "/" not in name and len(name) < 100 and not name.startswith(".")


def test_a_try_of_the_quantization_trains_nothing_and_leaves_the_run_alone(finished):
    before = everything(finished)
    arguments = ("--recipe", "smoke", "--output", str(finished))
    change = ("--set", "rknn.quantized_method=layer")
    result = run_command("run", *arguments, "--try", *change)
    assert result.returncode == 0, result.stderr
    assert "02_train" not in result.stdout and "05_convert: done" in result.stdout
    rows = [line for line in result.stdout.splitlines() if line.startswith("test images, INT8")]
    assert len(rows) == 1 and rows[0].count("%") == 2
    assert everything(finished) == before

    folder = finished / "tries" / "rknn.quantized_method-layer"
    assert (folder / "train").is_symlink() and not os.path.isabs(os.readlink(folder / "train"))
    assert not (folder / "smoke.rknn").is_symlink()
    assert runs.read_recipe(folder).rknn.quantized_method == "layer"
    assert runs.made_with(folder).overrides == [*TINY, "rknn.quantized_method=layer"]

    again = run_command("run", *arguments, "--try", *change)
    assert again.returncode == 0 and "done in" not in again.stdout

    listed = command_json("tries", "--run", str(finished))
    assert listed["tries"] == ["rknn.quantized_method-layer"]
    wrong = run_command("tries", "--run", str(finished), "--clean", "other")
    assert wrong.returncode == 1 and "has no try 'other'; its tries: rknn." in last_line(wrong)
    cleaned = command_json("tries", "--run", str(finished), "--clean-all")
    assert cleaned == {"tries": [], "removed": ["rknn.quantized_method-layer"]}
    assert everything(finished) == before


def test_a_try_in_a_notebook_writes_beside_the_run_even_where_a_step_clears_its_folder(
    finished, monkeypatch
):
    """Notebook 02 clears train/ before it trains: in a try that is a link to the model."""
    monkeypatch.setattr(runs, "OUTPUT", finished.parent)
    shutil.move(finished, finished.parent / "smoke")
    finished = finished.parent / "smoke"
    before = everything(finished)
    run = runs.Run("02_train", "smoke", None, ["train.learning_rate=0.01"])
    try:
        assert run.folder == finished / "tries" / "train.learning_rate-0.01"
        assert (run.folder / "dataset").is_symlink()
        assert not (run.folder / "train").exists()
        assert run.recipe.dataset.samples.train == 2400, "the run's own settings are kept"
    finally:
        run._lock.release()
    assert everything(finished) == before


def test_a_try_without_a_change_or_without_a_run_is_refused(finished, tmp_path):
    result = run_command("run", "--try", "--recipe", "smoke", "--output", str(finished))
    assert result.returncode == 1 and "add --set KEY=VALUE" in last_line(result)
    nowhere = str(tmp_path / "none")
    change = ("--set", "seed=5")
    result = run_command("run", "--try", *change, "--recipe", "smoke", "--output", nowhere)
    assert result.returncode == 1 and "is no run: run it without a try first" in last_line(result)


def test_a_run_that_was_trained_anew_is_linked_anew(finished):
    """An old try must not go on with files that the run no longer has."""
    recipe = recipe_file.load("smoke", [*TINY, "rknn.quantized_method=layer"])
    folder = tries.folder(finished, ["rknn.quantized_method=layer"])
    tries.start(finished, folder, runs.read_recipe(finished), recipe)
    assert graph.Graph(recipe, folder).stale_reason(steps.find("03")) is None
    shutil.rmtree(finished / "train")
    graph.record_file(steps.find("02"), finished).unlink()
    assert graph.Graph(recipe, folder).stale_reason(steps.find("02"))
    with pytest.raises(PipelineError, match="run 02_train first"):
        graph.Graph(recipe, folder).require_ancestors(steps.find("05"))


def test_a_try_says_what_ran_and_its_state_is_its_own(finished):
    arguments = ("--recipe", "smoke", "--output", str(finished), "--set", "calibration.images=60")
    for wrong in (("--only",), ("--parameter", "sizes=[20]")):
        result = run_command("run", "04", "--try", *arguments, *wrong)
        assert result.returncode == 2 and "--try takes no --parameter" in last_line(result)
    assert command_json("run", "04", "--try", *arguments)["ran"] == ["04_calibration"]
    state = command_json("run", "03-05", "--try", "--list", *arguments)
    assert [row["to_run"] is None for row in state] == [True, True, False]
    result = run_command("run", "--try", "--summary", *arguments)
    assert result.returncode == 1, "the finished run's results are not the try's"


def test_a_try_waits_for_nobody_and_nobody_removes_one_at_work(finished):
    change = ("--set", "calibration.images=60")
    arguments = ("--recipe", "smoke", "--output", str(finished))
    with FolderLock(finished, "test"):
        result = run_command("run", "04", "--try", *arguments, *change)
        assert result.returncode == 1 and "is in use by process" in last_line(result)
    folder = tries.folder(finished, [change[1]])
    folder.mkdir(parents=True)
    (folder.parent / "notes.txt").write_text("no try")
    with FolderLock(folder, "test"):
        result = run_command("tries", "--run", str(finished), "--clean-all")
        assert result.returncode == 1 and "is in use by process" in last_line(result)
        assert folder.is_dir()
    assert tries.clean(finished, []) == [folder.name]
    assert (folder.parent / "notes.txt").is_file()


def test_no_try_is_held_against_a_run_that_is_half_rebuilt(finished):
    arguments = ("--recipe", "smoke", "--output", str(finished))
    changed = settings((*TINY, "rknn.quantized_algorithm=mmse"))
    assert run_command("run", "00", "--force", *arguments, *changed).returncode == 0
    result = run_command("run", "04", "--try", "--set", "calibration.images=60", *arguments)
    assert result.returncode == 1
    assert "is half rebuilt: 05_convert was made with other settings" in last_line(result)


# --- the run owns its recipe ----------------------------------------------------------


def test_commands_that_read_a_run_need_no_settings_again(finished):
    """evaluate, report and the others once took the recipe of configs/ for the run's own."""
    run = runs.read_recipe(finished)
    assert run == recipe_file.load("smoke", TINY)
    result = run_command("report", "--run", str(finished))
    assert result.returncode == 0, result.stderr
    assert "--set" not in run_command("report", "--help").stdout


def test_a_folder_that_is_no_run_is_refused_with_those_there_are(tmp_path):
    result = run_command("report", "--run", str(tmp_path))
    assert result.returncode == 1
    assert "is no finished run: make it with `mnist-rknn run --recipe NAME`" in last_line(result)


def test_the_manifest_says_what_was_done_and_refuses_what_was_not(finished):
    manifest = finished / "manifest.json"
    before = manifest.read_bytes()
    overrides = settings((*TINY, "train.epochs=3", "rknn.quantized_algorithm=mmse"))
    result = run_command(
        "run", "06", "--only", "--recipe", "smoke", "--output", str(finished), *overrides
    )
    assert result.returncode == 1
    assert "run 02_train first" in last_line(result)
    assert not manifest.exists() or manifest.read_bytes() == before


def test_where_nothing_runs_the_recipe_stays(finished):
    before = everything(finished)
    changed = settings((*TINY, "rknn.quantized_algorithm=mmse"))
    arguments = ("--recipe", "smoke", "--output", str(finished))
    assert command_json("run", "00", *arguments, *changed)["ran"] == []
    assert everything(finished) == before


def test_a_run_is_not_built_over_another_recipes(finished, monkeypatch):
    before = everything(finished)
    result = run_command("run", "00", "--recipe", "mnist", "--output", str(finished))
    assert result.returncode == 1 and "holds a run of recipe smoke, not of mnist" in last_line(
        result
    )
    assert everything(finished) == before
    result = run_command("run", "00", "--recipe", str(finished / "recipe.yaml"))
    assert result.returncode == 1 and "is the own recipe of that run" in last_line(result)
    # By hand in a notebook, another file of the same name is not the run's recipe either.
    monkeypatch.setattr(runs, "OUTPUT", finished.parent)
    other = finished.parent / "other" / f"{finished.name}.yaml"
    other.parent.mkdir()
    shutil.copyfile(recipe_file.find("smoke"), other)
    other.write_text(other.read_text() + f"name: {finished.name}\n")
    with pytest.raises(PipelineError, match="was made with recipe smoke, not with"):
        runs.own_overrides(str(other), finished)


def test_what_reads_a_run_continues_it_with_its_own_changes(finished):
    arguments = ("--recipe", "smoke", "--output", str(finished))
    before = everything(finished)
    assert command_json("run", "--continue", *arguments)["ran"] == []
    assert everything(finished) == before
    assert runs.made_with(finished).overrides == list(TINY)


def test_a_failing_command_writes_no_manifest_of_old_figures(finished):
    changed = settings((*TINY, "dataset.samples.test=300"))
    arguments = ("--only", "--recipe", "smoke", "--output", str(finished), *changed)
    assert run_command("run", "01", *arguments).returncode == 0
    result = run_command("run", "06", *arguments)
    assert result.returncode == 1 and "run 02_train first" in last_line(result)
    assert not (finished / "manifest.json").exists()


def test_a_model_that_nobody_measured_is_not_packed(finished):
    """A try's files may be links to a run that was converted again since."""
    model = finished / "smoke.rknn"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    result = run_command("deploy", "--run", str(finished))
    assert result.returncode == 1
    assert "smoke.rknn is not the file that manifest.json speaks of" in last_line(result)
    assert not (finished / "deploy.zip").exists()


def test_a_manifest_of_another_version_is_written_anew(finished):
    (finished / "manifest.json").write_text("{}")
    result = run_command("run", "--summary", "--recipe", "smoke", "--output", str(finished))
    assert result.returncode == 1 and "manifest.json" in last_line(result)
    assert "Traceback" not in result.stderr
    arguments = ("--recipe", "smoke", "--output", str(finished), *settings(TINY))
    assert command_json("run", *arguments)["summary"]["verified"]


def test_output_may_be_a_link_and_not_a_file(finished, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(finished.parent)
    through = str(link / finished.name)
    arguments = ("--recipe", "smoke", "--output", through, *settings(TINY))
    result = run_command("run", "00", "--force", *arguments)
    assert result.returncode == 0, result.stderr
    (tmp_path / "file").write_text("")
    result = run_command("run", "00", "--recipe", "smoke", "--output", str(tmp_path / "file"))
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert str(tmp_path / "file") in last_line(result)

"""A try is a try: changed settings work beside the finished run, which stays as it is."""

import os
import shutil

import pytest
from support.runs import TINY, command_json, everything, last_line, run_command, settings

from mnist_rknn import recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.pipeline import graph, runs, steps, tries


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["train.epochs=3"], "train.epochs=3"),
        (["rknn.quantized_algorithm=mmse", "seed=2"], "rknn.quantized_algorithm=mmse+seed=2"),
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

    folder = finished / "tries" / "rknn.quantized_method=layer"
    assert (folder / "train").is_symlink() and not os.path.isabs(os.readlink(folder / "train"))
    assert not (folder / "smoke.rknn").is_symlink()
    assert runs.read_recipe(folder).rknn.quantized_method == "layer"
    assert runs.made_with(folder).overrides == [*TINY, "rknn.quantized_method=layer"]

    again = run_command("run", *arguments, "--try", *change)
    assert again.returncode == 0 and "done in" not in again.stdout

    listed = command_json("tries", "--run", str(finished))
    assert listed["tries"] == ["rknn.quantized_method=layer"]
    wrong = run_command("tries", "--run", str(finished), "--clean", "other")
    assert wrong.returncode == 1 and "has no try 'other'; its tries: rknn." in last_line(wrong)
    cleaned = command_json("tries", "--run", str(finished), "--clean-all")
    assert cleaned == {"tries": [], "removed": ["rknn.quantized_method=layer"]}
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
        assert run.folder == finished / "tries" / "train.learning_rate=0.01"
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
    tries.start(finished, folder, recipe)
    assert graph.Graph(recipe, folder).stale_reason(steps.find("03")) is None
    shutil.rmtree(finished / "train")
    graph.record_file(steps.find("02"), finished).unlink()
    assert graph.Graph(recipe, folder).stale_reason(steps.find("02"))
    with pytest.raises(PipelineError, match="run 02_train first"):
        graph.Graph(recipe, folder).require_ancestors(steps.find("05"))


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

"""The table of the lab is what the lessons' files say, and its front is a Pareto front."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_rknn import recipe_file, records
from mnist_rknn.errors import PipelineError
from mnist_rknn.files import sha256
from mnist_rknn.pipeline import steps
from mnist_rknn.verification import metrics, tradeoffs

RECIPE = recipe_file.load("smoke")


def share(correct: int, images: int = 100) -> records.Accuracy:
    low, high = metrics.wilson(correct, images)
    return records.Accuracy(
        top1=correct / images, low=low, high=high, correct=correct, images=images
    )


def row(name="a", test=90, camera=80, cycles=100, size=10, **changes) -> records.CompressionRow:
    return records.CompressionRow(
        **{
            "lesson": "12_small_files",
            "name": name,
            "recipe": "smoke",
            "recipe_sha256": tradeoffs.recipe_hash(RECIPE),
            "measured": records.SIMULATED,
            "seeds": [1],
            "test": [share(test)],
            "camera": [] if camera is None else [share(camera)],
            "cycles": cycles,
            "weights": size,
            "files": [records.Artifact(path="a", bytes=size, sha256="0" * 64)],
            "seconds": 1.0,
            "packages": {},
            **changes,
        }
    )


NUMBERS = st.integers(0, 100)
ROWS = st.lists(
    st.builds(row, test=NUMBERS, camera=st.none() | NUMBERS, cycles=st.none() | NUMBERS),
    max_size=12,
)


@settings(deadline=None)
@given(ROWS, st.sampled_from(("cycles", "bytes")), st.sampled_from(("test", "camera")))
def test_nothing_is_better_than_the_front_and_all_else_is_no_better(rows, name, of):
    def better(first, second) -> bool:
        costs = tradeoffs.cost(first, name), tradeoffs.cost(second, name)
        reads = tradeoffs.top1(first, of), tradeoffs.top1(second, of)
        as_good = costs[0] <= costs[1] and reads[0] >= reads[1]
        return as_good and (costs[0] < costs[1] or reads[0] > reads[1])

    known = [
        entry
        for entry in rows
        if tradeoffs.cost(entry, name) is not None and tradeoffs.top1(entry, of) is not None
    ]
    best = tradeoffs.front(rows, name, of)
    assert all(not better(other, entry) for entry in best for other in known)
    for entry in known:
        equal = any(
            (tradeoffs.cost(entry, name), tradeoffs.top1(entry, of))
            == (tradeoffs.cost(other, name), tradeoffs.top1(other, of))
            for other in best
        )
        assert equal or any(better(other, entry) for other in best)
    assert bool(best) == bool(known)


def test_what_is_float_is_drawn_and_stands_on_no_front():
    rows = [row(), row(test=99, cycles=None, camera=None, measured="float on this PC")]
    assert tradeoffs.front(rows, "bytes", "test") == rows[:1]
    panels = tradeoffs.panels(rows)
    assert [len(panel.points) for panel in panels] == [1, 2, 2, 1, 1, 1]
    assert [point.int8 for point in panels[1].points] == [True, False]
    table = tradeoffs.table(rows)
    assert table.loc[1, "cycles"] == "100 *" and table.loc[2, "cycles"] == "-"
    assert table.loc[2, "measured"] == "float, this PC"


def test_several_seeds_are_a_mean_and_the_reach_of_all_their_intervals():
    entry = row(test=90, camera=None).model_copy(update={"test": [share(90), share(96)]})
    assert tradeoffs.top1(entry, "test") == pytest.approx(0.93)
    low, high = 100 * share(90).low, 100 * share(96).high
    assert tradeoffs.share_text(entry.test) == f"93.00 [{low:.2f}, {high:.2f}]"


def test_a_row_is_made_from_files_that_are_there(tmp_path):
    file = tmp_path / "small_files" / "network.packed"
    arguments = {"weights": 3, "test": [share(9)], "camera": [], "seconds": 1.23, "seeds": [1]}
    with pytest.raises(PipelineError, match=r"network.packed is missing: run 12_small_files again"):
        tradeoffs.row("12_small_files", "a", RECIPE, tmp_path, [file], **arguments)
    file.parent.mkdir()
    file.write_bytes(b"abc")
    found = tradeoffs.row("12_small_files", "a", RECIPE, tmp_path, [file], **arguments)
    assert found.files == [
        records.Artifact(path="small_files/network.packed", bytes=3, sha256=sha256(file))
    ]
    assert found.recipe_sha256 != tradeoffs.recipe_hash(recipe_file.load("smoke", ["seed=2"]))
    assert found.recipe_sha256 == tradeoffs.recipe_hash(
        recipe_file.load("smoke", ["description=x"])
    )
    assert set(found.packages) == set(steps.find("12").packages)


def test_a_row_without_an_accuracy_for_each_seed_is_no_row():
    for changes in ({"seeds": [1, 2]}, {"test": []}, {"files": []}):
        with pytest.raises(ValueError, match="accuracies for each seed, and a file"):
            records.CompressionRow(**{**dict(row()), **changes})


def test_the_table_is_put_together_from_the_runs_that_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr(tradeoffs, "OUTPUT", tmp_path)
    digest = hashlib.sha256(b"abc").hexdigest()
    files = [records.Artifact(path="model", bytes=3, sha256=digest)]
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "recipe.yaml").touch()
        (tmp_path / run / "model").write_bytes(b"abc")
        table = records.CompressionTable(rows=[row(run, files=files)])
        table.write(tmp_path / run / "small_files")
    assert [entry.name for entry in tradeoffs.gather(tmp_path / "first").rows] == [
        "first",
        "second",
    ]
    (tmp_path / "second" / "model").write_bytes(b"abd")  # another network
    assert [entry.name for entry in tradeoffs.gather(tmp_path / "first").rows] == ["first"]
    place = tmp_path / "compression" / "table.json"
    assert records.CompressionTable.read(place).rows == [row("first", files=files)]
    own = tmp_path / "first" / "tries" / "a"
    table = records.CompressionTable(rows=[row("a try", files=files)])
    table.write(own / "pruning")
    (own / "model").write_bytes(b"abc")
    assert [entry.name for entry in tradeoffs.gather(own).rows] == ["a try"]
    assert records.CompressionTable.read(place).rows == [row("first", files=files)]


def test_rows_of_another_recipe_are_left_out():
    found = records.CompressionTable(rows=[row("a"), row("b", recipe_sha256="0" * 64)])
    assert [entry.name for entry in tradeoffs.of_recipe(found, RECIPE)] == ["a"]


def test_every_lesson_of_the_lab_leaves_its_rows():
    assert tradeoffs.LESSONS == (
        "pruning", "small_files", "distillation", "qat", "architectures", "runtimes",
    )  # fmt: skip

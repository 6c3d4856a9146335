"""README and docs: short, with links that lead somewhere and figures that runs gave."""

import csv
import json
import re
from pathlib import Path

import pytest

from mnist_rknn import files, recipe_file
from mnist_rknn.errors import PipelineError
from mnist_rknn.verification import figures, quotes

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "data" / "README.md", *(PROJECT / "docs").rglob("*.md")]
NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
TRIALS = sorted((PROJECT / "docs" / "trials").glob("*.csv"))
COMMANDS = {
    "run", "list", "check", "import", "evaluate", "report", "quantstudy", "costs", "deploy",
    "board", "clean", "golden", "inspect", "compare", "export", "aistudio", "practice-set",
    "unpack", "smallest",
}  # fmt: skip
OTHERS = {"utils/export.py", "tools/train.py", "configs/flowers.yaml"}  # not ours, or an example
STALE = (
    "121,000 parameters",
    "nobody looks at before the very end",
    "only place in the whole pipeline",
    "the plain one hardly any",
    "about nine in ten of the images that 1 has",
    "about a quarter of the weights",
    "read in `06_verify` only",
    "178,826 trained",
    "above 99.3 %",
)


def text_of(path: Path) -> str:
    """A page's text, or that of a notebook's Markdown cells."""
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return content
    cells = json.loads(content)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    text = re.sub(r"^```.*?^```", "", text_of(path), flags=re.M | re.S)
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number, anchor = 0, slug
        while anchor in found:
            number += 1
            anchor = f"{slug}-{number}"
        found.add(anchor)
    return found


def links(path: Path) -> list[str]:
    text = without_code(text_of(path))
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def named(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


# --- how long, and what leads where ------------------------------------------------------


def test_readme_is_read_in_one_go():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    assert len(text) <= 8000


def test_decisions_stay_short():
    text = (PROJECT / "docs" / "choices.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=named)
def test_every_link_leads_somewhere(path):
    for link in links(path):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(PROJECT), f"{link} leads out of the project"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


def test_a_broken_link_would_be_seen(tmp_path):
    """The checker itself: a heading's anchor, a missing one, code that only looks like a link."""
    page = tmp_path / "page.md"
    page.write_text("# A `b`: c, d!\n\n## A b c d\n\n[x](#a-b-c-d) `[y](no)`\n", encoding="utf-8")
    assert anchors(page) == {"a-b-c-d", "a-b-c-d-1"}
    assert links(page) == ["#a-b-c-d"]


def test_every_page_can_be_reached_from_the_readme():
    reached, ahead = set(), [PROJECT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
    assert {named(page) for page in PAGES} == {named(page) for page in reached if page in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_file_of_code_that_is_named_exists(path):
    for name in set(re.findall(r"(?<![\w/.])(?:\w+/)+\w+\.(?:py|cpp|yaml)\b", text_of(path))):
        known = (PROJECT / name).exists() or (PROJECT / "mnist_rknn" / name).exists()
        assert known or name in OTHERS, f"{name} is not there"


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_command_that_is_named_exists(path):
    text = re.sub(r"\[\[\[cog.*?\]\]\]", "", text_of(path))
    used = set(re.findall(r"(?<=bin/mnist-rknn )([a-z][\w-]*)", text))
    used |= set(re.findall(r"`mnist-rknn ([a-z][\w-]*)", text))
    assert used <= COMMANDS
    assert "python -m mnist_rknn" not in text


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_make_target_that_is_named_exists(path):
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    numbers = {notebook.stem[:2] for notebook in NOTEBOOKS} | {n.stem for n in NOTEBOOKS} | {"NN"}
    found = re.findall(r"^```sh\n(.*?)^```|`(make [^`\n]*)`", text_of(path), re.M | re.S)
    code = "\n".join(block or inline for block, inline in found)
    for target in re.findall(r"^make ([\w-]+)", code, re.M):
        assert target in numbers or re.search(rf"^{target}:", makefile, re.M), target


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=named)
def test_no_text_names_this_machine(path):
    assert not re.search(r"(?<![\w.<])/(?:work|tmp|root|home/(?!aistudio))", text_of(path))


# --- figures -----------------------------------------------------------------------------


def test_texts_say_what_the_figures_say():
    assert [named(path) for path in quotes.refresh(write=False)] == []


def copy_of(path: Path, folder: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    changed = re.sub(rf"(?m)^(?!.*\[\[\[cog)(.*){re.escape(old)}", rf"\g<1>{new}", text)
    assert changed != text
    copy = folder / path.name
    copy.write_text(changed, encoding="utf-8")
    return copy


INT8 = f"{100 * figures.read()['mnist'].figures.test['rknn'].top1:.2f}"


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("README.md", INT8, "12.34"),
        ("docs/recipes.md", "177,184", "177,185"),
        ("notebooks/05_convert.ipynb", "recipe 87,486 cycles", "recipe 86,486 cycles"),
    ],
)
def test_a_figure_changed_by_hand_is_found_and_mended(path, old, new, tmp_path, monkeypatch):
    copy = copy_of(PROJECT / path, tmp_path, old, new)
    monkeypatch.setattr(quotes, "texts", lambda: iter([copy]))
    assert quotes.refresh(write=False) == [copy]
    assert new in copy.read_text(encoding="utf-8")
    assert quotes.refresh(write=True) == [copy]
    assert copy.read_bytes() == (PROJECT / path).read_bytes()


def test_a_new_run_makes_every_text_that_quotes_it_stale(monkeypatch):
    entries = figures.read()
    entries["mnist"].figures.test["rknn"].top1 = 0.5
    monkeypatch.setattr(figures, "read", lambda: entries)
    stale = {named(path) for path in quotes.refresh(write=False)}
    quotes._entries.cache_clear()
    assert {"README.md", "docs/proof.md", "notebooks/06_verify.ipynb"} <= stale


def test_a_figure_that_is_not_there_is_named():
    with pytest.raises(PipelineError, match="no run nobody"):
        quotes.say("{nobody cycles}")
    with pytest.raises(PipelineError, match="has no mnist dreams"):
        quotes.say("{mnist dreams}")


def test_figures_file_says_where_each_figure_comes_from():
    for name, entry in figures.read().items():
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", entry.date), name
        assert re.match(r"\d+ cores?, x86_64, ", entry.machine), name
        assert entry.recipe in recipe_file.names(), name
        if entry.source.startswith("output/"):
            assert re.fullmatch(r"[0-9a-f]{40}", entry.commit or ""), name
            assert entry.model, name
        else:
            assert entry.source.startswith("by hand, from "), name
    text = figures.FILE.read_text(encoding="utf-8")
    assert not re.search(r'"/|\\\\', text), "a path of a machine"


def test_the_default_recipes_entry_has_what_the_texts_need():
    found = figures.read()["mnist"].figures
    assert {"paddle", "onnx", "slim", "rknn"} == set(found.test) == set(found.camera)
    assert set(found.seconds) >= {
        f"0{n}" + s
        for n, s in enumerate(
            ("_environment", "_data", "_train", "_export", "_calibration", "_convert", "_verify")
        )
    }
    assert found.photographs and found.cosine and found.cycles and found.file_bytes


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=named)
def test_no_text_has_a_figure_that_was_found_wrong(path):
    text = text_of(path)
    assert [phrase for phrase in STALE if phrase in text] == []


def test_what_is_said_of_the_networks_values():
    """Of 178,826 values 3,456 are not trained; the exercise's network is less than a fifth."""
    from mnist_rknn.training import networks

    chosen = recipe_file.load("mnist").model.arguments
    network = networks.DigitNet(**chosen)
    values = sum(int(value.size) for value in network.state_dict().values())
    trained = sum(int(p.size) for p in network.parameters() if not p.stop_gradient)
    stem = sum(int(value.size) for value in network.features[0].state_dict().values())
    text = text_of(PROJECT / "docs" / "recipes.md")
    for number in (values, trained, stem, values - trained, values - trained - stem):
        assert f"{number:,}" in text
    assert figures.read()["mnist"].figures.values == values
    small = networks.DigitNet(**{**chosen, "stages": [[16], [24, 24], [32, 32]]})
    assert sum(int(value.size) for value in small.state_dict().values()) < values / 5


# --- what `make figures` takes of a run --------------------------------------------------


def a_run(folder: Path, top1: float = 0.5, **changes) -> Path:
    """A finished run, as small as it can be."""
    chosen = recipe_file.dump(recipe_file.load("mnist")) | changes
    accuracy = {"top1": top1, "low": 0.4, "high": 0.6, "correct": 50, "images": 100}
    files.write_json(
        folder / "manifest.json",
        {
            "recipe": chosen,
            "artifacts": {"mnist.rknn": {"bytes": 2048, "sha256": f"{top1:<064}"}},
            "estimate": {"cycles": 10, "weights_kb": 1.5, "internal_kb": 2.5},
            "training": {"val_top1": 0.9, "parameters": 7},
            "durations": {"02_train": 60.0},
        },
    )
    row = {"accuracy": accuracy, "cosine": {"mean": 0.9}}
    files.write_json(
        folder / "verify.json", {"stages": {"rknn": row}, "camera": None, "hard_cases": None}
    )
    layer = {"operator": "ConvRelu", "input_shape": "(1,3,48,48),(24,3,6,6),(24)"}
    files.write_json(folder / "layers.json", {"layers": [layer]})
    return folder


def test_figures_of_a_finished_run_are_taken(tmp_path):
    a_run(tmp_path / "mnist-seed2", seed=2)
    entries, lines = figures.take(tmp_path, {})
    assert lines == ["taken      mnist-seed2"]
    entry = entries["mnist-seed2"]
    assert (entry.recipe, entry.seed, entry.figures.values) == ("mnist", 2, 7)
    assert entry.figures.int8_weights == 24 * 3 * 6 * 6
    figures.write(entries, tmp_path / "figures.json")
    assert figures.read(tmp_path / "figures.json") == entries


def test_a_run_with_other_settings_does_not_pass_for_the_recipe(tmp_path):
    changed = recipe_file.dump(recipe_file.load("mnist"))["train"] | {"epochs": 1}
    a_run(tmp_path / "mnist", train=changed)
    entries, lines = figures.take(tmp_path, {})
    assert entries == {}
    assert "train.epochs" in lines[0]


def test_entries_without_a_run_stay_and_those_with_one_are_replaced(tmp_path):
    known = figures.read()
    a_run(tmp_path / "mnist", top1=0.25)
    entries, _ = figures.take(tmp_path, known)
    assert entries["fashion"] == known["fashion"]
    assert entries["mnist"].figures.test["rknn"].top1 == 0.25


def test_the_same_run_seen_again_keeps_its_commit(tmp_path):
    a_run(tmp_path / "mnist")
    first, _ = figures.take(tmp_path, {})
    first["mnist"].commit = "0" * 40
    again, _ = figures.take(tmp_path, first)
    assert again["mnist"].commit == "0" * 40


def test_photographs_of_one_model_are_never_told_of_another(tmp_path):
    a_run(tmp_path / "mnist")
    first, _ = figures.take(tmp_path, {})
    share = figures.Share(top1=0.5, images=10)
    first["mnist"].figures.photographs = {"album": figures.Photographs(rknn=share)}
    again, _ = figures.take(tmp_path, first)
    assert again["mnist"].figures.photographs == first["mnist"].figures.photographs
    a_run(tmp_path / "mnist", top1=0.75)
    other, _ = figures.take(tmp_path, first)
    assert other["mnist"].figures.photographs == {}


# --- trials and pictures -----------------------------------------------------------------


@pytest.mark.parametrize("path", TRIALS, ids=named)
def test_trials_have_a_name_for_every_column(path):
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert rows
    assert all(re.fullmatch(r"[a-z][a-z0-9_\-]*", name) for name in head), head
    assert all(len(row) == len(head) for row in rows)


def test_every_file_of_trials_is_described():
    described = set(links(PROJECT / "docs" / "trials" / "README.md"))
    assert {path.name for path in TRIALS} <= described


def test_pictures_are_small():
    for path in (PROJECT / "docs").glob("*.png"):
        assert path.stat().st_size < 60_000, path.name

"""Trees put together from the parts that people's sets have: nothing is lost or relabelled.

Whatever the tree, every picture is used once under its own label, or named as left out, or the set
is refused in one line; and what import accepts, step 01 accepts with as many pictures.
"""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.trees import Tree, labelme

from mnist_rknn import recipe_file
from mnist_rknn.data import archives, drawing, importing, sources
from mnist_rknn.errors import PipelineError

NAMES = st.lists(
    st.sampled_from(
        ["cat", "Dog", "正常", "划痕", "cafe\u0301", "a b", "10", "9", "$5", "x,y", "train"]
    ),
    min_size=2, max_size=3, unique=True,
)  # fmt: skip
SPLITS = st.sampled_from(
    [
        ("train", "val", "test"),
        ("Train_data", "", "Test_data"),
        ("训练集", "验证集", ""),
        ("", "", ""),
    ]
)
WRAPS = st.sampled_from(["", "set/", "data set (1)/Images/", "数据集/"])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "gb18030"])
EXTRAS = st.lists(
    st.sampled_from(["test/", "screenshots/", "unlabelled/", ".hidden/", "docs/"]),
    max_size=2, unique=True,
)  # fmt: skip
LAYOUTS = st.sampled_from(["folder", "list", "table", "labelme"])


@st.composite
def trees(draw) -> Tree:
    """A set in any layout, with what may lie beside."""
    names, wrap, encoding, layout = draw(NAMES), draw(WRAPS), draw(ENCODINGS), draw(LAYOUTS)
    if encoding == "gb18030":  # which has no letter with a combining accent
        names = [unicodedata.normalize("NFC", name) for name in names]
    tree = Tree()
    if layout == "folder":
        for split in draw(SPLITS):
            tree.classes(f"{wrap}{split}/" if split else wrap, names, 5)
        tree.truth = {p: unicodedata.normalize("NFC", label) for p, label in tree.truth.items()}
    else:
        end = draw(st.sampled_from(["\n", "\r\n"]))
        styles = st.sampled_from(["{}", ".\\{}", "D:\\set\\{}"])
        _listed(tree, layout, wrap, names, end, encoding, lambda path: draw(styles).format(path))
    for extra in draw(EXTRAS):
        tree.loose(wrap + extra, 2)
    return tree


def _listed(tree, layout, wrap, names, end, encoding, style) -> None:
    """A set whose pictures a list, a table or annotations name."""
    lines = ["file,label"] if layout == "table" else []
    for number in range(15 * len(names)):
        index = number % len(names)
        path = tree.add(f"{wrap}images/d{number % 2}/{number}.png", names[index])
        seen = style(path.removeprefix(wrap))
        lines.append(f'{seen},"{names[index]}"' if layout == "table" else f"{seen}\t{index}")
        if layout == "labelme":
            flags = {other: other == names[index] for other in names}
            note = labelme(flags, f"../{path.removeprefix(wrap)}")
            tree.text(f"{wrap}annotations/{number}.json", note)
    file = {"list": "train_list.txt", "table": "all.csv", "labelme": "flags.txt"}[layout]
    tree.text(wrap + file, end.join(names if layout == "labelme" else lines), encoding)
    if layout == "list":
        tree.text(f"{wrap}labels.txt", end.join(names), encoding)


@pytest.fixture(autouse=True, scope="module")
def configs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recipe_file, "CONFIGS", tmp_path_factory.mktemp("configs"))
        patched.setattr(sources, "UNPACKED", tmp_path_factory.mktemp("unpacked"))
        yield


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=trees(), packed=st.booleans(), number=st.integers(0, 10**9))
def test_every_picture_is_used_once_under_its_label_or_named(
    tmp_path_factory, tree, packed, number
):
    place = tmp_path_factory.mktemp("tree")
    root = tree.write(place / f"set{number}")
    if packed:
        archives.pack({name: root / name for name in tree.files}, place / f"set{number}.zip")
        root = place / f"set{number}.zip"
    try:
        found = importing.examine(str(root))
    except PipelineError as error:
        assert "\n" not in str(error)
        return
    listing = found.listing
    pairs = zip(listing.files, listing.classes, strict=True)
    used = {listing.name(file): listing.labels[index] for file, index in pairs}
    assert len(used) == len(listing.files)
    assert used.items() <= tree.truth.items()
    left = {listing.name(file) for file in listing.left}
    pictures = {name for name in tree.files if Path(name).suffix == ".png"}
    if not found.findings:
        assert pictures <= used.keys() | left
        assert set(used) == set(tree.truth)
        recipe = recipe_file.CONFIGS / f"r{number}.yaml"
        recipe.unlink(missing_ok=True)
        importing.write_recipe(found, recipe)
        wanted = recipe_file.load(recipe.stem)
        source = sources.load_source(wanted)
        split = drawing.split(wanted, source)
        assert sum(len(indices) for indices in split.values()) == len(used)

"""Sets as people bring them: read with the right labels, or refused in one true line.

tests/field/README.md names the kinds. A set is given by its files; each of its pictures says which
label it should get, or that it is to be left out.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.trees import Tree, labelme, labelme_set, listed, picture

from mnist_rknn import recipe_file
from mnist_rknn.data import drawing, importing, sources
from mnist_rknn.data.listing import Answers
from mnist_rknn.errors import PipelineError

AB = ("cat", "dog")


@pytest.fixture(autouse=True)
def configs(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe_file, "CONFIGS", tmp_path / "configs")
    monkeypatch.setattr(sources, "UNPACKED", tmp_path / "unpacked")


def labels_of(found: importing.Found) -> dict[str, str]:
    listing = found.listing
    pairs = zip(listing.files, listing.classes, strict=True)
    return {listing.name(file): listing.labels[index] for file, index in pairs}


def read(tree: Tree, root: Path, said: Answers | None = None) -> importing.Found:
    """Import a set, and check the rule that matters, and that step 01 agrees."""
    found = importing.examine(str(tree.write(root / "set")), said)
    assert found.problems == []
    assert labels_of(found) == tree.truth
    left = {found.listing.name(file) for file in found.listing.left}
    pictures = {path for path in tree.files if Path(path).suffix in (".png", ".jpg", ".jfif", "")}
    assert pictures <= set(tree.truth) | left
    importing.write_recipe(found, recipe_file.CONFIGS / "mine.yaml")
    recipe = recipe_file.load("mine")
    source = sources.load_source(recipe)
    split = drawing.split(recipe, source)
    assert {name: len(indices) for name, indices in split.items()} == {
        name: int(count.sum()) for name, count in found.counts.items()
    }
    return found


def refusal(tree: Tree, root: Path, said: Answers | None = None) -> str:
    """Why a set is refused, with the answers, in one line."""
    try:
        found = importing.examine(str(tree.write(root / "set")), said)
    except PipelineError as error:
        return str(error)
    assert found.findings, "it was accepted"
    return "; ".join(importing.asked(finding, "import SET") for finding in found.findings)


# --- folders --------------------------------------------------------------------------

SPLITS = (
    ("train", "val", "test"), ("Training_set", "Validation_set", "Test_set"),
    ("seg_train/seg_train", "dev", "seg_test/seg_test"), ("训练集", "验证集", "测试集"),
    ("flowers_train", "flowers_valid", "flowers_test"),
    ("imgs/TrainData", "imgs/ValData", "imgs/TestData"),
    ("train", "dev", "eval"), ("Trainingsdaten", "Validierung", "Testdaten"),
    ("entrenamiento", "validacion", "prueba"),
)  # fmt: skip


@pytest.mark.parametrize("names", SPLITS)
def test_a_split_is_known_by_any_common_name(names, tmp_path):
    tree = Tree()
    for name in names:
        tree.classes(f"{name}/", AB)
    found = read(tree, tmp_path)
    assert {split: int(count.sum()) for split, count in found.counts.items()} == dict.fromkeys(
        ("train", "val", "test"), 28
    )


FOLDERS: dict[str, Callable[[], Tree]] = {
    "flat test beside train": lambda: Tree().classes("train/", AB).loose("test/"),
    "flat test beside classes": lambda: Tree().classes("", AB).loose("test/"),
    "test in one folder": lambda: Tree().classes("train/", AB).loose("test/unknown/"),
    "pictures to predict": lambda: Tree()
    .classes("seg_train/", AB).classes("seg_test/", AB, 4).loose("seg_pred/seg_pred/"),
    "a class called train": lambda: Tree().classes("", ("bus", "train")),
    "splits in classes": lambda: Tree().classes("", AB, inside="train/", labels=None),
    "days in classes": lambda: Tree()
    .classes("", AB, inside="day1/").classes("", AB, inside="day2/"),
    "folds above classes": lambda: Tree().classes("fold1/", AB).classes("fold2/", AB),
    "first letters": lambda: Tree().classes("a/", ("ant", "ape")).classes("b/", ("bat", "bee")),
    "wrapped": lambda: Tree().classes("images/Images/", AB).text("notes/1", "x"),
    "screenshots": lambda: Tree().classes("set/", AB).loose("screenshots/", 20),
    "few screenshots": lambda: Tree().classes("", AB).loose("screenshots/", 1),
    "no_label": lambda: Tree().classes("", AB).loose("no_label/").text("synsets.txt", AB),
    "a hidden copy": lambda: Tree().classes("", AB).loose(".ipynb_checkpoints/"),
    "no endings": lambda: Tree().classes("", AB, ending=""),
    "jfif": lambda: Tree().classes("", AB, ending=".jfif"),
    "names of numbers": lambda: Tree()
    .classes("", ("0", "1"), labels={"0": "合格", "1": "划痕"})
    .text("classes.txt", "合格\r\n划痕\r\n", "gb18030"),
    "names of synsets": lambda: Tree()
    .classes("", ("n01440764", "n01443537"), labels={"n01440764": "tench", "n01443537": "goldfish"})
    .text("LOC_synset_mapping.txt", "n01440764 tench\nn01443537 goldfish\nn01484850 shark\n"),
    "names by number": lambda: Tree()
    .classes("", ("0", "2"), labels={"0": "合格", "2": "划痕"})
    .text("labels.txt", "合格\n污\n划痕\n"),
    "odd names": lambda: Tree().classes("", ("$5", "a,b;c=d", "{x}", "%s", "-rf")),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOLDERS)
def test_class_folders_are_found(kind, tmp_path):
    read(FOLDERS[kind](), tmp_path)


def test_a_copy_of_the_set_inside_itself_is_left_out(tmp_path):
    tree = Tree().classes("flowers/", AB)
    for path, content in list(tree.files.items()):
        tree.files[f"flowers/{path}"] = content
    found = read(tree, tmp_path)
    assert any("28 pictures are left out, flowers/flowers/ is a copy" in n for n in found.notes)


def test_two_forms_of_an_accent_are_one_class(tmp_path):
    tree = Tree().classes("train/", ("cafe\u0301", "x"), labels={"cafe\u0301": "café"})
    tree.classes("valid/", ("café", "x"), 4)
    read(tree, tmp_path)


ASKED: dict[str, tuple[Callable[[], Tree], str]] = {
    "two levels": (
        lambda: Tree().classes("animals/", AB).classes("plants/", ("rose", "fern")),
        r"animals/ with cat, dog; plants/ .*: which .* SET --take '\*' \(or --take '\*/\*'\)",
    ),
    "as large as a class": (
        lambda: Tree().classes("", AB).loose("screenshots/", 14),
        r"screenshots/ holds 14 pictures, as a class does.*--take '\*'",
    ),
    "only in test": (
        lambda: Tree().classes("train/", AB).classes("test/", (*AB, "bird"), 4),
        "class bird is only among the test images",
    ),
    "missing in a split": (
        lambda: Tree().classes("train/", AB).classes("val/", ("cat",), 4).text("val/dog/.keep", ""),
        r"class dog has no validation image \(val/dog/ is empty\).* import SET --split new",
    ),
    "case": (
        lambda: Tree().classes("train/", ("Cat", "dog")).classes("valid/", AB, 4),
        r"Cat \(train/Cat\) and cat \(valid/cat\) differ by case only",
    ),
    "blank": (
        lambda: Tree().classes("train/", ("cat ", "dog")).classes("valid/", AB, 4),
        r"'cat ' \(train/cat \) and cat \(valid/cat\) differ by a blank only",
    ),
    "flat splits": (
        lambda: Tree().loose("train/").loose("test/"),
        "it holds 12 pictures in test/, train/, without class folders",
    ),
    "HEIC": (
        lambda: Tree().classes("", AB).text("bird/1.HEIC", "\0\0\0\x18ftypheic\0\0\0\0"),
        "bird/ holds 1 files, the first is a HEIC photograph",
    ),
    "sets in a set": (
        lambda: (
            Tree()
            .classes("fold1/train/", AB)
            .classes("fold1/test/", AB, 4)
            .classes("fold2/train/", AB)
            .classes("fold2/test/", AB, 4)
        ),
        r"fold1, fold2 are sets of their own, each with test, train: .* --take fold1",
    ),
    "one class, named in the files": (
        lambda: listed(AB, "", "train/train/{label}.")[0].loose("test1/test1/"),
        "too few to tell apart: train; its pictures are named cat, dog with numbers",
    ),
    "empty": (lambda: Tree().text("x/.keep", ""), "none of the known layouts: it is empty"),
    "boxes": (
        lambda: Tree().loose("images/train/").text("data.yaml", "nc: 2"),
        "annotations of YOLO: here whole pictures are told apart",
    ),
    "pixels": (
        lambda: Tree().text("train.csv", "label,pixel0,pixel1\n1,0,0\n"),
        "train.csv holds pixels as numbers",
    ),
}


@pytest.mark.parametrize("kind", ASKED)
def test_what_is_not_clear_is_asked_with_the_true_reason(kind, tmp_path):
    make, expected = ASKED[kind]
    assert re.search(expected, refusal(make(), tmp_path))


def test_answers_are_taken_and_reach_the_recipe(tmp_path):
    upper = Tree()
    for top, names in (("animals", AB), ("plants", ("rose", "fern"))):
        upper.classes(f"{top}/", names, labels=dict.fromkeys(names, top))
    read(upper, tmp_path / "upper", Answers(take="*"))
    lower = Tree().classes("animals/", AB).classes("plants/", ("rose", "fern"))
    read(lower, tmp_path / "lower", Answers(take="*/*"))
    own = Tree().classes("train/", AB).classes("val/", ("cat",), 4)
    read(own, tmp_path / "split", Answers(split="new"))
    inside = Tree().classes("set/", AB).loose("more/one/").loose("more/two/")
    found = importing.examine(str(inside.write(tmp_path / "inside")), Answers(take="set"))
    importing.write_recipe(found, recipe_file.CONFIGS / "mine.yaml")
    source = sources.load_source(recipe_file.load("mine"))
    assert source.labels == list(AB) and len(source.train_images) + len(source.test_images) == 28
    assert 'take: "set"' in (recipe_file.CONFIGS / "mine.yaml").read_text(encoding="utf-8")


def test_lists_beside_class_folders_are_named_with_what_to_do(tmp_path):
    tree = Tree().classes("train/", AB).loose("test/")
    names = [path.removeprefix("test/") for path in tree.files if path.startswith("test/")]
    tree.text("test.csv", ["file,label", *(f"{name},cat" for name in names)])
    tree.text("val_annotations.txt", [f"{name}\tcat\t0\t0" for name in names])
    notes = " | ".join(read(tree, tmp_path).notes)
    assert "1 files are left out, lists whose labels are not read beside class folders" in notes
    assert "(`--as table` reads them instead): test.csv" in notes
    assert "lists of the pictures that this layout does not read: val_annotations.txt" in notes


def test_six_bad_files_get_six_reasons(tmp_path):
    tree = Tree().classes("", AB)
    tree.files |= {
        f"cat/bad{number}.jpg": content
        for number, content in enumerate(
            (b"", bytes(99), b"<html>sign in", b"version https://git-lfs", b"Rar!\x1a\x07\x00\0\0",
             picture(0)[:200])
        )
    }  # fmt: skip
    said = refusal(tree, tmp_path)
    for reason in ("empty", "zero bytes", "web page", "Git LFS", "RAR", "damaged"):
        assert said.count(reason) == 1


# --- lists, tables, Labelme -----------------------------------------------------------


def of_lists(line: str, encoding: str = "utf-8", end: str = "\n", **files: str) -> Tree:
    tree, lines = listed(("zebra", "蚂蚁"), line)
    tree.text("train_list.txt", end.join(lines) + end, encoding)
    for name, content in files.items():
        tree.text(f"{name}.txt", content, encoding)
    return tree


def of_table(line: str, head: str, name: str = "labels.csv", encoding: str = "utf-8") -> Tree:
    tree, lines = listed(("合格", "划痕"), line)
    return tree.text(name, [head, *lines], encoding)


def of_objects(form: dict, lines: bool) -> Tree:
    """A set whose labels stand in JSON: an object a picture in a list, or one a line."""
    tree, rows = listed(("合格", "划痕"), "{path} {name} {label}")
    words = [
        dict(zip(("{path}", "{name}", "{label}"), row.split(" "), strict=True)) for row in rows
    ]
    objects = []
    for named_as in words:
        content = json.dumps(form, ensure_ascii=False)
        for place, word in named_as.items():
            content = content.replace(place, word)
        objects.append(content)
    return tree.text(
        "a.jsonl" if lines else "a.json", objects if lines else f"[{','.join(objects)}]"
    )


LISTED: dict[str, Callable[[], Tree]] = {
    "PaddleX 1": lambda: of_lists("{path} {index}", end="\r\n", labels="zebra\n蚂蚁\n"),
    "PaddleClas": lambda: of_lists("set/{path} {index}", label_list="0 zebra\n1 蚂蚁\n"),
    "of Windows": lambda: of_lists("C:\\set\\{path}\t{index}", "utf-16", label="0 zebra\n1 蚂蚁"),
    "in GBK": lambda: of_lists(".\\{path} {index}", "gb18030", "\r\n", label="0 zebra\n1 蚂蚁"),
    "without names": lambda: of_lists("{path} {label}"),
    "with commas": lambda: of_lists("{path},{index}", labels="zebra\n蚂蚁"),
    "table": lambda: of_table("{name},{label}", "filename,label"),
    "table of Excel": lambda: of_table("{name},{label}", "文件名,类别", encoding="gb18030"),
    "table with ;": lambda: of_table("{stem};{label}", "sep=;\nimage_id;Label"),
    "table with tabs": lambda: of_table("{name}\t{label}", " Image\tClass", encoding="utf-16"),
    "a column a class": lambda: of_table("{name},{other},{index}", "file, 合格, 划痕"),
    "Label Studio": lambda: of_table("/data/upload/1/{name},7,{label}", "image,id,choice"),
    "no head": lambda: of_table("{name},{label}", ""),
    "numbers, named in another file": lambda: of_table("{name},{index}", "Path,ClassId")
    .text("classes.txt", "合格\n划痕\n"),
    "a list without names, and synsets.txt": lambda: of_lists(
        "{path} {index}", synsets="zebra\n蚂蚁\n"
    ),
    "Hugging Face": lambda: of_objects({"file_name": "{name}", "label": "{label}"}, True),
    "SageMaker": lambda: of_objects(
        {"source-ref": "s3://b/{path}", "a": 0, "a-metadata": {"class-name": "{label}"}}, True
    ),
    "Label Studio's whole JSON": lambda: of_objects(
        {
            "id": 7,
            "data": {"image": "/data/upload/2/0123abcd-{name}"},
            "annotations": [{"result": [{"value": {"choices": ["{label}"]}}]}],
        },
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LISTED)
def test_lists_and_tables_are_followed(kind, tmp_path):
    read(LISTED[kind](), tmp_path)


def test_a_table_goes_before_the_names_of_folders_and_the_order_of_a_list_stays(tmp_path):
    tree = Tree().classes("a/", ("x", "y"))
    tree.truth = {path: "xy"["x/" in path] for path in tree.truth}
    lines = [f"{path},{label}" for path, label in tree.truth.items()]
    read(tree.text("labels.csv", ["file,label", *lines]), tmp_path / "table")
    tree = of_lists("{path} {index}", labels="zebra\n蚂蚁\n")
    assert read(tree, tmp_path / "list").listing.labels == ["zebra", "蚂蚁"]


LABELME = {  # a picture, its annotation, and what that calls it
    "side by side": ("a/{label}{number}.jpg", "a/{label}{number}.json", "{label}{number}.jpg"),
    "by folder": ("images/{label}/{number}.jpg", "j/{label}_{number}.json",
                  "..\\images\\{label}\\{number}.jpg"),
    "mirrored": ("images/{label}/{number}.jpg", "annotations/{label}/{number}.json",
                 "{number}.jpg"),
    "another case": ("{label}{number}.jpg", "{label}{number}.json", "{label}{number}.JPG"),
    "another machine": ("p/{label}{number}.jpg", "j/{other}.json",
                        "D:\\x\\y\\{label}{number}.jpg"),
    "with others above": ("images/d/{other}.jpg", "annotations/d/{other}.json",
                          "..\\..\\images\\d\\{other}.jpg"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LABELME)
def test_labelme_image_path_is_followed(kind, tmp_path):
    tree = labelme_set(*LABELME[kind])
    if kind == "with others above":
        for number in range(5):  # of the same names, and not labelled yet
            tree.add(f"images/{number}.jpg", None)
    read(tree, tmp_path)


@pytest.mark.parametrize("flags", [{"ok": 1, "bad": 0}, {"ok": "true"}, {" ok": True}])
def test_flags_that_are_ticked_in_another_way_are_read(flags, tmp_path):
    tree = labelme_set("{label}{number}.jpg", "{label}{number}.json", "{label}{number}.jpg")
    read(tree.text("ok0.json", labelme(flags, "ok0.jpg")), tmp_path)


BOX = {"label": "ok", "points": [[1, 1], [9, 9]], "shape_type": "rectangle"}
NO_FLAG = {
    "null": (labelme(None, "ok0.jpg"), "flags is null"),
    "missing": ('{"imagePath": "ok0.jpg"}', "have no flags: start Labelme with --flags"),
    "list": (labelme(["ok"], "ok0.jpg"), "a list of flags"),
    "none": (labelme({"ok": False}, "ok0.jpg"), "no flag set"),
    "odd": (labelme({"ok": "yes"}, "ok0.jpg"), "neither true nor false"),
    "boxes": (labelme({}, "ok0.jpg", shapes=[BOX]), "boxes drawn and no flag set"),
    "on a box": (
        labelme({}, "ok0.jpg", shapes=[BOX | {"flags": {"ok": True}}]),
        "their flag on a box and not on the picture",
    ),
    "no picture": (labelme({"ok": True}, "gone.jpg", imageData="x"), "hold it inside"),
}


@pytest.mark.parametrize("kind", NO_FLAG)
def test_an_annotation_without_a_flag_says_what_it_has_instead(kind, tmp_path):
    tree = labelme_set("{label}{number}.jpg", "{label}{number}.json", "{label}{number}.jpg")
    content, expected = NO_FLAG[kind]
    if kind == "no picture":
        del tree.files["ok0.jpg"]
    said = refusal(tree.text("ok0.json", content), tmp_path)
    assert expected in said and "ok0.json" in said and "without annotation" not in said


def test_a_class_that_flags_txt_names_and_nothing_ticks_is_named(tmp_path):
    tree = labelme_set("{label}{number}.jpg", "{label}{number}.json", "{label}{number}.jpg")
    said = refusal(tree.text("flags.txt", "ok\nbad\nThumbs.db\n"), tmp_path)
    assert said == "flags.txt names Thumbs.db, and no picture is of that: remove it"

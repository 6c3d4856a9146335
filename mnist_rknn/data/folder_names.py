"""What names of folders say: a split, a group of pictures inside a class, or nothing."""

import re
from collections.abc import Iterable, Sequence

from ..text import folded

WORDS = {
    "train": ("train", "training", "trainings", "trn", "训练", "訓練", "entrenamiento", "treino"),
    "val": (
        "val", "valid", "validation", "validate", "validierung", "validierungs", "validacion",
        "dev", "验证", "驗證",
    ),
    "test": ("test", "testing", "tst", "测试", "測試", "prueba", "teste"),
    "eval": ("eval", "evaluation", "评估"),  # validation, or a test beside another validation
    "unlabelled": (
        "pred", "predict", "prediction", "predictions", "unlabelled", "unlabeled", "unlabel",
        "nolabel", "nolabels", "infer", "inference", "submission", "holdout", "预测", "未标注",
    ),
}  # fmt: skip
SPLIT_OF = {word: split for split, words in WORDS.items() for word in words}
# What stands beside such a word and says nothing: training_set, seg_train, Train_data.
DECORATION = frozenset((
    "set", "sets", "data", "daten", "dataset", "datasets", "seg", "images", "image", "imgs", "img",
    "pictures", "picture", "pics", "folder", "split", "samples", "sample", "raw", "final",
    "new", "all", "files", "photos", "dir", "full", "small", "un", "classes",
    "集", "数据", "数据集", "图片", "图像",
))  # fmt: skip
COMPOUND = re.compile(rf"({'|'.join(sorted(SPLIT_OF, key=len, reverse=True))})(\D*)")
# Folders beside classes that hold pictures, and are hardly ever classes.
NO_CLASS = frozenset((
    "screenshots", "screenshot", "截图", "models", "model", "weights", "checkpoints", "output",
    "outputs", "results", "result", "runs", "logs", "docs", "doc", "documentation", "readme",
    "annotations", "annotation", "labels", "masks", "thumbnails", "thumbs", "previews",
    "preview", "samples", "sample", "examples", "example", "figures", "figure", "assets",
    "scripts", "code", "src", "utils", "notebooks", "old", "backup", "备份", "tmp", "temp",
    "trash", "cache", "vis", "visualization", "predictions",
))  # fmt: skip
DATE = re.compile(r"(19|20)\d\d[-_.]?\d\d([-_.]?\d\d)?([-_ .T].*)?")
# Before a number these name a class; other words name a day, a person, a part of the set.
CLASS_STEMS = frozenset(("class", "label", "cat", "category", "digit", "type", "grade", "n"))


def tokens(name: str) -> list[str]:
    """Words and numbers of a name, in lower case; wherever the case changes a word begins."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\D)(?=\d)|(?<=\d)(?=\D)", " ", name)
    words = [word for word in re.split(r"[\W_]+", spaced.casefold()) if word]
    if "".join(words) in SPLIT_OF:  # un-labelled, no_label
        return ["".join(words)]
    return [part for word in words for part in _parts(word)]


def _parts(word: str) -> list[str]:
    """A word, or two where a split's is joined with one that says nothing: trainset, 训练集."""
    found = COMPOUND.fullmatch(word)
    whole = word in SPLIT_OF or word in DECORATION
    return [found[1], found[2]] if found and found[2] in DECORATION and not whole else [word]


def splits(names: Sequence[str]) -> dict[str, str]:
    """Which of some sibling folders are splits: train, val, test or unlabelled.

    A name with words beside the split's counts if a sibling differs from it by that one only:
    asl_train beside asl_test, and not "train station" beside "beach".
    """
    read: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name in names:
        words = tokens(name)
        found = [word for word in words if word in SPLIT_OF]
        rest = [w for w in words if w not in SPLIT_OF and w not in DECORATION and not w.isdigit()]
        if len(set(found)) == 1:
            read[name] = SPLIT_OF[found[0]], tuple(rest)
    sure = {
        name: split
        for name, (split, rest) in read.items()
        if not rest or any(r == rest and s != split for s, r in read.values())
    }
    validated = "val" in sure.values()
    return {
        name: ("test" if validated else "val") if split == "eval" else split
        for name, split in sure.items()
    }


def is_grouping(names: Iterable[str]) -> bool:
    """Whether names look like days, persons or parts of a set: day1 and day2, 2021-05-01."""
    names = [folded(name) for name in names]
    if all(DATE.fullmatch(name) for name in names):
        return True
    stems = {re.sub(r"[\d\W_]+", "", name) for name in names}
    numbered = all(re.search(r"\d", name) for name in names)
    return numbered and len(stems) == 1 and bool(stems - {""} - CLASS_STEMS)


def is_no_class(name: str) -> bool:
    """Whether a folder of this name is hardly ever a class."""
    return folded(name) in NO_CLASS


def natural(name: str) -> list:
    """Sort key with numbers by value: "2" before "10"."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if number % 2 else part.casefold() for number, part in enumerate(parts)]

"""What would spoil a model that learns from a set of pictures: said at the import and at step 01.

Both ask here, with the pictures as the network will see them, so that they agree.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .. import text
from ..text import shown
from . import tree
from .listing import Finding, Listing, named
from .pictures import Look

PRIORITY = ("test", "val", "train", "")  # of the split that keeps a picture found in two
CALLED = {"train": "training", "val": "validation", "test": "test"}
REASONS = 6  # why pictures cannot be read, in one message


class Examination(NamedTuple):
    """What is to be said about a list of pictures."""

    kept: np.ndarray  # indices of the pictures that stay, int64 [N]
    notes: list[str]
    problems: list[Finding]


def examine(listing: Listing, looks: Sequence[Look]) -> Examination:
    """Find the pictures of a list that must not be in it, and what is wrong with it.

    Left out, with a note: pictures of one flat tone, and all but one of those that are the same
    picture. The one in the test images stays, else the one in validation, so that no model is
    tested on what it learned from.

    Args:
        looks: what is known about each picture of the list.
    """
    problems = [*listing.problems, *_of_names(listing)]
    notes, unreadable = [], [index for index, seen in enumerate(looks) if seen.problem]
    if unreadable:
        problems.append(_unreadable(listing, looks, unreadable))
    flat = [i for i, seen in enumerate(looks) if seen.flat]
    if flat:
        notes.append(
            f"{len(flat):,} pictures of one flat tone are left out: "
            f"{listing.names(listing.files[i] for i in flat)}"
        )
    scaled = [listing.files[i] for i, seen in enumerate(looks) if seen.twelve_bits]
    if scaled:
        notes.append(
            f"{len(scaled):,} pictures hold values up to 4095 in 16 bits, as 12-bit cameras write: "
            f"4095 is taken for white: {listing.names(scaled)}"
        )
    same: dict[bytes, list[int]] = defaultdict(list)
    for index, seen in enumerate(looks):
        if not seen.problem and not seen.flat:
            same[seen.digest].append(index)
    groups = [group for group in same.values() if len(group) > 1]
    torn = [group for group in groups if len({listing.classes[i] for i in group}) > 1]
    if torn:
        problems.append(_torn(listing, torn))
    kept = {min(g, key=lambda i: PRIORITY.index(listing.splits[i])) for g in same.values()}
    extra = sorted(set(range(len(looks))) - kept - set(flat) - set(unreadable))
    if extra and not torn:
        leaking = sum(len({listing.splits[i] for i in group}) > 1 for group in groups)
        notes.append(
            f"{len(extra):,} pictures that are there already are left out: "
            f"{listing.names(listing.files[i] for i in extra)}"
            + (f"; {leaking:,} of them stood in two splits" if leaking else "")
        )
    return Examination(np.array(sorted(kept), np.int64), notes, problems)


def only(listing: Listing, found: Examination) -> Listing:
    """A list of the pictures that stay."""
    return replace(
        listing,
        files=[listing.files[i] for i in found.kept],
        classes=[listing.classes[i] for i in found.kept],
        splits=[listing.splits[i] for i in found.kept],
        notes=listing.notes + found.notes,
    )


def _of_names(listing: Listing) -> list[Finding]:
    problems = []
    odd = [ascii(name) for name in listing.labels if not text.is_text(name)]
    if odd:
        problems.append(Finding(f"class names of no known encoding, rename them: {named(odd)}"))
    repeated = sorted({name for name in listing.labels if listing.labels.count(name) > 1})
    if repeated:
        problems.append(Finding(f"two classes have one name: {named(repeated)}"))
    if listing.problems:
        return problems  # from which classes may be missing
    used = set(listing.classes)
    unused = [shown(name) for i, name in enumerate(listing.labels) if i not in used]
    if unused and listing.files:
        by = listing.named_by or "its list of classes"
        problems.append(
            Finding(f"{by} names {named(unused)}, and no picture is of that: remove it")
        )
    if len(listing.labels) < 2:
        found = f": {shown(listing.labels[0])}" if listing.labels else ""
        if stems := tree.stems(listing.files):
            found += f"; its pictures are named {named(stems, 3)} with numbers: sort them by that"
        problems.append(Finding(f"{len(listing.labels)} classes are too few to tell apart{found}"))
    return problems


def _unreadable(listing: Listing, looks: Sequence[Look], indices: list[int]) -> Finding:
    """Pictures that cannot be read, by the reason why."""
    reasons: dict[str, list[int]] = defaultdict(list)
    for index in indices:
        kind = tree.kind_of(listing.files[index])
        known = kind.key and kind.key not in ("text", "json", "xml")
        broken = (
            looks[index].problem if kind.key in ("png", "jpg", "gif", "bmp", "tif", "webp") else ""
        )
        reason = str(kind) if known else "is no picture"
        reasons[f"is damaged ({broken})" if broken else reason].append(index)
    said = [
        f"{listing.names(listing.files[i] for i in group)}{': each' if group[1:] else ''} {reason}"
        for reason, group in reasons.items()
    ]
    return Finding(
        f"{len(indices):,} files cannot be read as pictures, mend or delete them: "
        f"{'; '.join(said[:REASONS])}"
    )


def _torn(listing: Listing, groups: list[list[int]]) -> Finding:
    names = [
        " = ".join(
            f"{shown(listing.name(listing.files[i]))} ({shown(listing.labels[listing.classes[i]])})"
            for i in group
        )
        for group in groups
    ]
    return Finding(
        f"{len(groups):,} pictures stand there under different labels, delete the wrong ones: "
        f"{named(names)}"
    )


def missing(listing: Listing, counts: Mapping[str, np.ndarray]) -> list[Finding]:
    """Classes that cannot be learned, or not be measured, whatever is held out.

    Args:
        listing: whose splits are those that the set brings.
        counts: pictures of every class by split, as they will be used.
    """
    own, problems = set(listing.splits) - {""}, []
    total = np.sum(list(counts.values()), axis=0)
    for index, label in enumerate(listing.labels):
        there = [split for split, count in counts.items() if count[index]]
        if total[index] and "train" not in there:
            reason = listing.empty.get((label, "train"), "no picture of it to train on")
            problems.append(
                Finding(
                    f"class {shown(label)} is only among the {_called(there)} images ({reason}): "
                    "add training pictures, or move it away"
                )
            )
        elif total[index]:
            problems += [
                Finding(
                    f"class {shown(label)} has no {CALLED[split]} image ("
                    f"{listing.empty.get((label, split), 'the set brings others there')}): add "
                    "some, or split all pictures anew",
                    (("split", "new"),),
                )
                for split in ("val", "test")
                if split in own and not counts[split][index]
            ]
    return problems


def _called(splits: Sequence[str]) -> str:
    return " and ".join(CALLED[split] for split in splits)

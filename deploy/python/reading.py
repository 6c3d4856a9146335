"""From a frame to digits: the classifier reads each crop, and judges where digits that touch are
to be cut.

The same in `deploy/cpp/reading.cpp`.
"""

from locator import MOST_DIGITS, Page, reading_order

GAIN = 0.2  # that the reading of two parts must be surer than that of the whole
DOUBT = 0.8  # score below which an answer is doubtful, unless another is asked for


class Digit:
    """A digit that was read.

    Attributes:
        box: (x, y, width, height) in pixels of the frame.
        label: the class, as the classifier answered it.
        score: its certainty, 0-1.
        second: what else it may be, where that was asked and another look found it; else None.
    """

    def __init__(self, box, label, score):
        self.box, self.label, self.score = box, label, score
        self.second = None


class Reading:
    """What was read in a frame.

    Attributes:
        digits: at most `MOST_DIGITS`, in reading order.
        more: how many further digits there were.
    """

    def __init__(self, digits, more):
        self.digits, self.more = digits, more


def read(frame, classify, doubt=0.0):
    """Find and read the digits of a frame.

    Args:
        frame: as for `locator.locate`.
        classify: uint8 [S, S, 3], BGR -> the class and its certainty.
        doubt: digits read with less certainty are looked at again.

    Returns:
        A list of `Digit` in reading order, at most `MOST_DIGITS`.
    """
    return read_page(Page(frame), classify, doubt).digits


def read_page(page, classify, doubt=0.0):
    """As `read`, of a frame in which the digits have been found; returns a `Reading`."""
    found = [digit for box in page.boxes for digit in judged(page, box, classify)]
    for digit in found:
        if digit.score < doubt:
            again, _ = classify(page.crop(digit.box, wider=True))
            digit.second = None if again == digit.label else again
    edges = []
    for number, digit in enumerate(found):
        x, y, w, h = digit.box
        edges.append((y, x, y + h, x + w, number))
    ordered = [found[number] for *_, number in reading_order(edges)]
    # Boxes of digits that touch may have become more digits than there were boxes.
    return Reading(ordered[:MOST_DIGITS], page.more + max(0, len(ordered) - MOST_DIGITS))


def judged(page, box, classify, whole=None):
    """The digits of a box: one, or more where the reading of the parts is surer."""
    if whole is None:
        whole = Digit(box, *classify(page.crop(box)))
    width, height = box[2:]
    best = None
    for pair in page.cuts(box):
        parts = [Digit(part, *classify(page.crop(part))) for part in pair]
        score = min(part.score for part in parts)
        if best is None or score > best[0]:
            best = score, parts
    if width > 2 * height:
        if best is None:
            return []  # no digit is as wide
    elif best is None or best[0] < whole.score + (0 if 2 * width > 3 * height else GAIN):
        return [whole]
    return [digit for part in best[1] for digit in judged(page, part.box, classify, part)]

"""From a frame to digits: the classifier reads each crop, and judges where digits that touch are
to be cut.

The same in `deploy/cpp/reading.cpp`.
"""

from locator import MOST_DIGITS, Page, reading_order

CUTS = 2  # of a box, one after another; a box wider than two digits gets one more
SURE = 0.8  # so sure is the reading of a whole that no cut is tried
SURELY_WIDE = 0.9  # the same of a box that is wider than digits are
# The reading of the parts must be so much surer than that of the whole: mostly, where the box is
# wider than others, and where a part may be a mere stroke, since any stroke is read as a 1.
GAIN, WIDE_GAIN, STROKE_GAIN = 0.3, 0.15, 0.5
LEAST = 0.3  # what is read with less certainty is no digit
USUAL = 0.95  # the certainty of a digit, counted once beside those of a frame's other digits
COMPANY = 2  # times the mean certainty of the others counts beside a digit's own
BELIEF = 1.5  # less of the two together: print, and no digits
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
    found = believed([digit for box in page.boxes for digit in judged(page, box, classify)])
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


def believed(found):
    """Those that are digits, by how surely they and the others of the frame were read: print,
    letters and scribbles are read less surely, one and all.
    """
    total = USUAL + sum(digit.score for digit in found)
    return [
        digit
        for digit in found
        if digit.score >= LEAST
        and digit.score + COMPANY * (total - digit.score) / len(found) >= BELIEF
    ]


def judged(page, box, classify, depth=None):
    """The digits of a box: one, or more where the reading of the parts is surer."""
    width, height = box[2:]
    if depth is None:
        depth = CUTS + (width > 2 * height)
    whole = Digit(box, *classify(page.crop(box)))
    if not depth or (whole.score >= SURE and 2 * width <= 3 * height):
        return [whole]
    # No digit is as wide.
    refused = width > 2 * height and (whole.score < SURELY_WIDE or width > 3 * height)
    best, score = [] if refused else [whole], -1.0
    for pair in page.cuts(box):
        parts = [judged(page, part, classify, depth - 1) for part in pair]
        if not all(parts):
            continue
        parts = parts[0] + parts[1]
        least = min(part.score for part in parts)
        if least > score and (refused or least > whole.score + gain(page, box, pair, parts)):
            best, score = parts, least
    return best


def gain(page, box, pair, parts):
    """How much surer than the whole box the parts must be."""
    width, height = box[2:]
    if any(part.label == 1 and 5 * part.box[3] < 4 * height for part in parts):
        return STROKE_GAIN
    if pair[0][1] + pair[0][3] <= pair[1][1]:  # one above the other
        return GAIN
    if 2 * width > 3 * height:
        return 0.0
    widths = sorted(other[2] for other in page.boxes)
    wide = len(widths) > 2 and 5 * width >= 7 * widths[len(widths) // 2]
    return WIDE_GAIN if wide else GAIN

"""Where the digits are in a camera frame, and each alone on its paper, with numpy alone.

1. The frame becomes a gray picture of 640 pixels or so.
2. *Ink* is what is darker than the paper beside it. The paper under a stroke is what a
   morphological closing leaves: it fills everything thinner than its window, and nothing that is
   wider. So a stroke shows and the edge of a shadow or of a sheet does not.
3. Printed lines are taken out (`ruling.py`).
4. Connected pieces of ink are cut out at a threshold of their own, frames are dropped, pieces of
   one digit are joined, and what has the shape of a digit is kept.
5. The picture for the classifier holds one digit's ink on the tone of its paper.

Everything is integer arithmetic, in the same order as in `deploy/cpp/locator.cpp`: the two give
the same boxes and pictures, to the pixel, and a test compares them.
"""

import numpy as np
from ruling import without_lines

LONG_SIDE = 640  # the gray picture's longer side, about
DARK_FRAME = 112  # median gray below which light strokes are looked for
CLEAR = 12  # gray levels between a light stroke and what is around it
DARKNESS = 64  # gray levels added to the paper's, so that noise in shadows is no ink
LEAST_INK = 12  # of 255: fainter is texture of the paper
PALEST = 18  # mean ink of a piece: paler is a stain, or the grain of a table
MOST_PIECES = 320  # in the order of their ink
DENSE = 4  # times that the threshold is raised where there are more
NOISE = 1200  # pieces: so many are no writing
MOST_DIGITS = 48
ROUNDS = 8  # of raising the threshold of a piece that is too large
CROP = 96  # pixels: no picture for the classifier is larger

# Columns of an array of pieces: the box (end exclusive), its pixels, the sum of their ink,
# the number of their runs (unbroken stretches of a row), and the number of the component.
TOP, LEFT, BOTTOM, RIGHT, AREA, INK, RUNS, NAME = range(8)


def locate(frame):
    """Boxes of the digits in a frame.

    Digits are found from about 7 % of the frame's height up, dark on light or, in a dark frame,
    light on dark.

    Args:
        frame: uint8 [H, W], [H, W, 1], [H, W, 3] (BGR) or [H, W, 4] (BGRA).

    Returns:
        A list of (x, y, width, height) in pixels of the frame, in reading order: lines from the
        top, each from the left. At most `MOST_DIGITS`.

    Raises:
        ValueError: the frame is none of these.
    """
    return Page(frame).boxes


def crop(frame, box):
    """The picture of one digit for the classifier: see `Page.crop`."""
    return Page(frame).crop(box)


def as_bgr(frame):
    """A frame as uint8 [H, W, 3]."""
    frame = np.asarray(frame)
    if frame.dtype != np.uint8:
        raise ValueError(f"the frame has values of {frame.dtype}: 8 bits a channel are read")
    if frame.ndim == 2:
        frame = frame[:, :, None]
    if frame.ndim != 3 or frame.shape[2] not in (1, 3, 4):
        raise ValueError(f"a frame of {frame.shape} is no picture of 1, 3 or 4 channels")
    return frame.repeat(3, axis=2) if frame.shape[2] == 1 else frame[:, :, :3]


class Page:
    """A frame whose digits have been found.

    Attributes:
        boxes: as `locate` returns them.
        more: how many further digits there were.
    """

    def __init__(self, frame):
        self.frame = as_bgr(frame)
        self.boxes, self.more = [], 0
        if min(self.frame.shape[:2]) < 16:
            return
        gray, self.scale = reduced_gray(self.frame)
        if min(gray.shape) < 16:
            return
        self.dark = is_light_on_dark(gray)
        if self.dark:
            gray = 255 - gray
        self.paper = paper_of(gray)
        ink = without_lines(ink_on(gray, self.paper), LEAST_INK, max(2, max(gray.shape) // 42))
        pieces, self.names, lowest = find_pieces(ink)
        self.areas = pieces[:, AREA]
        pieces = drop_lines(pieces, lowest, *gray.shape)
        self.kept = np.zeros(len(self.areas) + 1, bool)
        self.kept[pieces[:, NAME] + 1] = True
        self.free = (self.names == 0) & (ink < lowest)
        pieces = choose_digits(join_pieces(pieces, *gray.shape), *gray.shape)
        digits = reading_order(pieces.tolist())
        self.more = max(0, len(digits) - MOST_DIGITS)
        self.boxes = [
            tuple(
                int(side) * self.scale
                for side in (d[LEFT], d[TOP], d[RIGHT] - d[LEFT], d[BOTTOM] - d[TOP])
            )
            for d in digits[:MOST_DIGITS]
        ]

    def own(self, box):
        """The ink that belongs to a box, bool, and its place (rows, columns) in the gray picture.

        A piece belongs to the box that holds half of it, and to the box of which it is half the
        ink: that is what the parts of a cut are.
        """
        x, y, w, h = (side // self.scale for side in box)
        place = slice(y, y + h), slice(x, x + w)
        names = self.names[place]
        inside = np.bincount(names.ravel(), minlength=len(self.kept))
        inside[~self.kept] = 0
        owned = (2 * inside[1:] >= self.areas) | (2 * inside[1:] >= inside.sum())
        owned = np.concatenate([[False], owned & (inside[1:] > 0)])
        return owned[names], place

    def crop(self, box, wider=False):
        """One digit's ink on the tone of its own paper, dark on light, in the middle of a square.

        The digit fills about six tenths of it, which leaves it the paper around that the network
        has seen in training. Other ink, and the paper's lines, are taken out.

        Args:
            box: (x, y, width, height), in pixels of the frame.
            wider: with more paper around, for a second look.

        Returns:
            uint8 [S, S, 3], BGR; S is at most `CROP`.
        """
        x, y, w, h = box
        side = max(w, h) * (10 if wider else 8) // 5 + 2
        factor = -(-side // CROP)
        size = side // factor
        left, top = x + (w - size * factor) // 2, y + (h - size * factor) // 2
        # Where the middle of each pixel of the picture lies in the gray picture.
        middles = np.arange(size) * factor + factor // 2
        rows, columns = (top + middles) // self.scale, (left + middles) // self.scale
        mine, free, paper = self._around(box, rows, columns)
        blocks = self._blocks(left, top, size, factor)
        # The tone is the mean of every second pixel of every second row that is bare.
        free[1::2] = free[:, 1::2] = False
        count = np.count_nonzero(free)
        tone = (blocks[free].sum(axis=0) + count // 2) // count if count else np.full(3, 200)
        gray = int(29 * tone[0] + 150 * tone[1] + 77 * tone[2]) >> 8
        # The paper's own light and shade are taken out with it.
        inked = np.minimum(blocks * gray // np.maximum(paper, 1)[:, :, None], tone)
        return np.where(mine[:, :, None], inked, tone).astype(np.uint8)

    def _around(self, box, rows, columns):
        """For each pixel of a picture: is it this digit's ink or beside it, is it bare paper, and
        the paper's gray.
        """
        height, width = self.names.shape
        reach = 1 + max(box[2:]) // self.scale // 32
        own, place = self.own(box)
        edge = reach + 1
        y0, x0 = place[0].start - edge, place[1].start - edge
        around = np.zeros((own.shape[0] + 2 * edge, own.shape[1] + 2 * edge), np.uint8)
        around[edge:-edge, edge:-edge] = own
        near = over_windows(np.maximum, around, reach)
        # Ink of others, and the lines' paper, is kept off, but where the digit itself is.
        inside = rows[(rows >= 0) & (rows < height)], columns[(columns >= 0) & (columns < width)]
        mine = np.zeros((len(rows), len(columns)), bool)
        free = np.zeros_like(mine)
        paper = np.ones(mine.shape, np.int64)
        if not len(inside[0]) or not len(inside[1]):
            return mine, free, paper
        at = np.ix_((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
        grid = np.ix_(*inside)
        free[at] = self.free[grid]
        paper[at] = self.paper[grid]
        r, c = rows - y0, columns - x0
        in_rows, in_columns = (r >= 0) & (r < len(around)), (c >= 0) & (c < around.shape[1])
        in_rows &= (rows >= 0) & (rows < height)
        in_columns &= (columns >= 0) & (columns < width)
        local = np.ix_(in_rows, in_columns)
        there = np.ix_(r[in_rows], c[in_columns])
        names = self.names[np.ix_(rows[in_rows], columns[in_columns])]
        mine[local] = (near[there] > 0) & ((names == 0) | (around[there] > 0))
        return mine, free & ~mine, paper

    def _blocks(self, left, top, size, factor):
        """Means of blocks of the frame, int64 [size, size, 3]; outside the frame 0."""
        height, width = self.frame.shape[:2]
        sums = np.zeros((size * factor, size * factor, 3), np.uint8)
        y0, x0 = max(top, 0), max(left, 0)
        y1, x1 = min(top + len(sums), height), min(left + len(sums), width)
        if y1 > y0 and x1 > x0:
            part = self.frame[y0:y1, x0:x1]
            sums[y0 - top : y1 - top, x0 - left : x1 - left] = 255 - part if self.dark else part
        sums = sums.reshape(size, factor, size, factor, 3).sum(axis=(1, 3), dtype=np.int64)
        return (sums + factor * factor // 2) // (factor * factor)

    def cuts(self, box):
        """Ways of cutting a box in two, should it hold digits that touch: pairs of boxes.

        A box as wide as two digits is cut from top to bottom, where its ink is lowest; one as
        tall as two of its neighbours from side to side.
        """
        own, place = self.own(box)
        height, width = own.shape
        heights = sorted(other[3] for other in self.boxes)
        pairs = []
        if 4 * width >= 3 * height:
            for column in thinnest(extents(own)):
                pairs.append(
                    (
                        self._trimmed(own, place, 0, 0, height, column),
                        self._trimmed(own, place, 0, column, height, width),
                    )
                )
        if len(heights) > 2 and 2 * box[3] >= 3 * heights[len(heights) // 2]:
            for row in thinnest(extents(own.T)):
                pairs.append(
                    (
                        self._trimmed(own, place, 0, 0, row, width),
                        self._trimmed(own, place, row, 0, height, width),
                    )
                )
        least = 2 * min(box[3], heights[len(heights) // 2])
        return [pair for pair in pairs if all(part and 5 * part[3] >= least for part in pair)]

    def _trimmed(self, own, place, top, left, bottom, right):
        """The box, in the frame, of the ink in a part of a box; None if there is none."""
        ink = own[top:bottom, left:right]
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        if not len(rows):
            return None
        return tuple(
            int(side) * self.scale
            for side in (
                place[1].start + left + columns[0],
                place[0].start + top + rows[0],
                columns[-1] - columns[0] + 1,
                rows[-1] - rows[0] + 1,
            )
        )


def extents(ink):
    """From the first to the last ink of each column: least where two digits touch."""
    first, last = ink.argmax(axis=0), len(ink) - ink[::-1].argmax(axis=0)
    return np.where(ink.any(axis=0), last - first, 0)


def thinnest(amounts):
    """Up to three places, apart from each other and from the ends, where `amounts` is least."""
    length = len(amounts)
    order = sorted(
        range(length // 5, length - length // 5),
        key=lambda at: (int(amounts[at]), abs(2 * at - length), at),
    )
    chosen = []
    for at in order:
        if len(chosen) < 3 and all(8 * abs(at - other) >= length for other in chosen):
            chosen.append(at)
    return chosen


# --- from the frame to ink ------------------------------------------------------------


def reduced_gray(frame):
    """Gray picture of whole blocks of `scale` x `scale` pixels, and `scale`."""
    scale = max(1, (max(frame.shape[:2]) + LONG_SIDE // 2) // LONG_SIDE)
    height, width = frame.shape[0] // scale, frame.shape[1] // scale
    used = frame[: height * scale, : width * scale]
    # Weights of ITU-R BT.601, times 256; the sum stays below 65,536.
    luma = used[:, :, 0].astype(np.uint16) * np.uint16(29)
    luma += used[:, :, 1].astype(np.uint16) * np.uint16(150)
    luma += used[:, :, 2].astype(np.uint16) * np.uint16(77)
    total = np.zeros((height, width), np.uint32)
    for row in range(scale):
        for column in range(scale):
            total += luma[row::scale, column::scale]
    gray = ((total + 128 * scale * scale) // (256 * scale * scale)).astype(np.uint8)
    return (smoothed(gray) if scale == 1 else gray), scale


def smoothed(gray):
    """Mean of 3 x 3 pixels: what reducing does to the noise of a larger frame."""
    padded = np.pad(gray, 1, mode="edge").astype(np.uint16)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return ((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4) // 9).astype(np.uint8)


def ink_on(gray, paper):
    """Ink, uint8: the part of the paper's light that a stroke takes away, 255 for all."""
    paper = paper.astype(np.uint32)
    taken = paper - np.minimum(gray, paper)
    return (taken * (255 * 256 // (paper + DARKNESS)) >> 8).astype(np.uint8)


def paper_of(gray):
    """Gray of the paper, from a picture of half the size where that has pixels enough."""
    if max(gray.shape) < LONG_SIDE * 5 // 8:
        return paper_under(gray, min(gray.shape) // 12)
    height, width = gray.shape
    padded = np.pad(gray, ((0, height % 2), (0, width % 2)), mode="edge").astype(np.uint16)
    half = padded[::2, ::2] + padded[::2, 1::2] + padded[1::2, ::2] + padded[1::2, 1::2]
    half = ((half + 2) >> 2).astype(np.uint8)
    paper = paper_under(half, min(half.shape) // 12)
    return paper.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]


def is_light_on_dark(gray):
    """Whether the thin things in a dark frame are lighter than what is around them."""
    if quantile(gray, 2) >= DARK_FRAME:
        return False
    dark, light = clear_pixels(gray), clear_pixels(255 - gray)
    return 2 * light > 3 * dark


def clear_pixels(gray):
    """Number of pixels that are clearly darker than what is around them."""
    paper = paper_under(gray, max(1, min(gray.shape) // 60))
    return int(np.count_nonzero(paper >= gray.astype(np.uint16) + CLEAR))


def paper_under(gray, reach):
    """Gray of the paper, uint8: a closing with windows that reach `reach` pixels each way."""
    # A line along the border goes on outside, so that it is no stroke but the end of the paper.
    padded = np.pad(smoothed(gray), reach, mode="edge")
    closed = over_windows(np.minimum, over_windows(np.maximum, padded, reach), reach)
    return closed[reach : reach + gray.shape[0], reach : reach + gray.shape[1]]


def over_windows(extreme, picture, reach):
    """Largest or smallest value of the square windows that reach `reach` pixels each way."""
    padded = np.pad(picture, reach, mode="edge")
    return along_columns(extreme, along_columns(extreme, padded, reach).T, reach).T


def along_columns(extreme, picture, reach):
    size, window = 1, 2 * reach + 1
    while size * 2 <= window:
        picture = extreme(picture[:-size], picture[size:])
        size *= 2
    return extreme(picture[: size - window], picture[window - size :])


def quantile(picture, quarters):
    """The value that `quarters` quarters of the pixels do not exceed, of every second pixel of
    every second row of uint8.
    """
    picture = picture[::2, ::2]
    upto = np.cumsum(np.bincount(picture.ravel(), minlength=256))
    return int(np.searchsorted(upto, (picture.size * quarters + 3) // 4))


# --- from ink to pieces ---------------------------------------------------------------


def find_pieces(ink):
    """Connected pieces of ink, int64 [N, 8], each at a threshold that suits it; for every pixel
    the number of its piece and one more, int64 [H, W]; and the lowest threshold.
    """
    lowest = faintest(ink)
    strokes = strokes_of(ink, lowest, across=True)
    if not strokes.any():  # perhaps one digit, as large as the frame
        strokes = strokes_of(ink, lowest, across=False)
    pieces, names = components(strokes, ink)
    numbered = np.zeros(ink.shape, np.int64)
    numbered[strokes] = names + 1
    return pieces, numbered, lowest


def strokes_of(ink, lowest, across):
    """Pixels of pieces of ink, bool [H, W]; `across`: what goes from border to border is none."""
    height, width = ink.shape
    level = lowest
    mask = ink >= lowest
    strokes = np.zeros_like(mask)
    for _ in range(ROUNDS):
        pieces, names = components(mask, ink)
        if not len(pieces):
            break
        # A digit ends where its ink has fallen to five eighths of its mean. What is too large is
        # digits tied together by lines, a pattern or a shade: paler ink is taken away until
        # they come apart.
        large = too_large(pieces, height, width)
        if across:
            large |= pieces[:, BOTTOM] - pieces[:, TOP] == height
        level += level // 4 + 1
        edge = pieces[:, INK] * 5 // (8 * pieces[:, AREA])
        edge = np.where(large, np.maximum(edge, level), edge)
        kept = ink[mask] >= edge[names]
        strokes[mask] = kept & ~large[names]
        mask[mask] = kept & large[names]
    return strokes


def faintest(ink):
    """The least ink of a stroke: above what a print that covers the paper leaves everywhere, and
    so much that the specks of such a print are not without number.
    """
    lowest = max(LEAST_INK, min(4 * quantile(ink, 2), quantile(ink, 3) * 15 // 8))
    for most in (NOISE, *(NOISE // 4,) * (DENSE - 1)):
        pieces, _ = components(ink >= lowest, ink)
        h, w = pieces[:, BOTTOM] - pieces[:, TOP], pieces[:, RIGHT] - pieces[:, LEFT]
        if np.count_nonzero(np.maximum(h, w) >= 4) <= most:
            break
        lowest += lowest // 2
    return lowest


def too_large(pieces, height, width):
    """Which pieces no digit can be: as large as the frame, or wide as a line of digits."""
    h, w = pieces[:, BOTTOM] - pieces[:, TOP], pieces[:, RIGHT] - pieces[:, LEFT]
    fills = (20 * w >= 19 * width) | ((10 * h >= 9 * height) & (10 * w >= 9 * width))
    wide = (3 * w >= width) & (5 * w >= 8 * h)
    blot = (3 * h > w) & (9 * pieces[:, AREA] > 5 * pieces[:, RUNS] * np.maximum(h, w))
    return fills | wide | blot


def components(mask, ink):
    """8-connected components.

    Returns:
        int64 [N, 8] of components, and the number of its component for every pixel of the mask,
        in the mask's order.
    """
    height, width = mask.shape
    # Runs of each row, in one line of all rows; the empty column keeps rows apart.
    line = np.zeros((height, width + 1), np.int8)
    line[:, :width] = mask
    steps = np.diff(line.ravel(), prepend=np.int8(0))
    start, end = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    if not len(start):
        return np.zeros((0, 8), np.int64), np.zeros(0, np.int64)
    row = start // (width + 1)
    # Pairs of a run and one that it touches in the row below.
    first = np.searchsorted(end, start + width, side="right")
    last = np.searchsorted(start, end + width + 2, side="left")
    first = np.maximum(first, np.searchsorted(row, row + 1))
    last = np.minimum(last, np.searchsorted(row, row + 2))
    count = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(start)), count)
    below = np.arange(count.sum()) + np.repeat(first - (np.cumsum(count) - count), count)
    name = np.unique(joined(above, below, len(start)), return_inverse=True)[1].reshape(-1)

    length = end - start
    upto = np.concatenate([[0], np.cumsum(ink[mask].astype(np.int64))])
    until = np.cumsum(length)
    found = np.zeros((name.max() + 1, 8), np.int64)
    found[:, (TOP, LEFT)] = 1 << 30
    np.minimum.at(found[:, TOP], name, row)
    np.minimum.at(found[:, LEFT], name, start - row * (width + 1))
    np.maximum.at(found[:, BOTTOM], name, row + 1)
    np.maximum.at(found[:, RIGHT], name, end - row * (width + 1))
    np.add.at(found[:, AREA], name, length)
    np.add.at(found[:, INK], name, upto[until] - upto[until - length])
    np.add.at(found[:, RUNS], name, 1)
    found[:, NAME] = np.arange(len(found))
    return found, np.repeat(name, length)


def joined(one, other, count):
    """The smallest member of each one's group, when `one[i]` and `other[i]` belong together."""
    name = np.arange(count)
    while True:
        smaller = np.minimum(name[one], name[other])
        lower = name.copy()
        # The pair's names come down too: a whole group follows its first member at once.
        np.minimum.at(lower, name[one], smaller)
        np.minimum.at(lower, name[other], smaller)
        lower = lower[lower]
        if np.array_equal(lower, name):
            return name
        name = lower


# --- from pieces to digits ------------------------------------------------------------


def drop_lines(pieces, lowest, height, width):
    """Pieces without specks, lines, bits at the border, and frames around digits."""
    h, w = pieces[:, BOTTOM] - pieces[:, TOP], pieces[:, RIGHT] - pieces[:, LEFT]
    dropped = np.maximum(h, w) < 4
    if np.count_nonzero(~dropped) > NOISE:
        return pieces[:0]
    dropped |= 5 * pieces[:, INK] < max(6 * lowest, 5 * PALEST) * pieces[:, AREA]
    dropped |= (w >= 6 * h) & (3 * w >= width)
    dropped |= (h >= 8 * w) & (5 * h >= 4 * height)
    pieces = pieces[~dropped]
    near = 1 + min(height, width) // 128
    pieces = pieces[~is_bit(pieces, near, height, width)]
    # The same order in both programs, whatever order the components came in.
    pieces = pieces[np.lexsort((*pieces.T[:4], -pieces[:, INK]))][:MOST_PIECES]

    # Far paler than the writing are printed lines and what shines through from behind.
    shaped = pieces[has_shape(pieces, height, width)]
    strength = pieces[:, INK] // pieces[:, AREA]
    if len(shaped):
        darkness = shaped[:, INK] // shaped[:, AREA]
        weight = shaped[:, INK] * darkness * darkness
        writing = (weight * darkness).sum() // weight.sum()
        pieces = pieces[5 * strength >= 2 * writing]

    t, l, b, r = pieces.T[:4]  # noqa: E741
    inside = (t[:, None] <= t) & (l[:, None] <= l) & (b[:, None] >= b) & (r[:, None] >= r)
    np.fill_diagonal(inside, False)
    h, w = b - t, r - l
    # Ink that goes around a whole digit, or around several, is a printed frame. A part of a digit
    # can lie inside the box of the others too, but it reaches their side.
    clear = (t[:, None] + 2 < t) & (l[:, None] + 2 < l)
    clear &= (b[:, None] > b + 2) & (r[:, None] > r + 2)
    at_border = (np.minimum(t, l) <= near) | (b >= height - near) | (r >= width - near)
    around = inside & (10 * h >= 3 * h[:, None]) & (clear | at_border[:, None])
    within = inside & has_shape(pieces, height, width)
    several = ((within & (8 * h >= h[:, None])).sum(axis=1) >= 2) | (within.sum(axis=1) >= 8)
    return pieces[~(around.any(axis=1) | several)]


def is_bit(pieces, near, height, width):
    """Which pieces are bits at the border: of what goes on outside, or bars along it. What is as
    tall as the digits within is a digit.
    """
    t, l, b, r = pieces.T[:4]  # noqa: E741
    h, w = b - t, r - l
    at_end, at_side = (t <= near) | (b >= height - near), (l <= near) | (r >= width - near)
    tall = typical(pieces[~at_end & ~at_side], height, width)
    small = (tall == 0) | (3 * h < 2 * tall)
    cut_end, cut_side = (t == 0) | (b == height), (l == 0) | (r == width)
    bit = at_end & (3 * h < height) & ((cut_end & small) | (2 * h < w))
    return bit | (at_side & (6 * w < width) & ((cut_side & small) | (3 * w < h)))


def join_pieces(pieces, height, width):
    """Pieces of one digit as one: those inside another, above another, or a stroke's crumbs."""
    while len(pieces):
        one, other = np.nonzero(belong(pieces, height, width))
        name = joined(one, other, len(pieces))
        firsts, name = np.unique(name, return_inverse=True)
        if len(firsts) == len(pieces):
            break
        whole = pieces[firsts]
        for column, gather in enumerate((np.minimum,) * 2 + (np.maximum,) * 2 + (np.add,) * 3):
            if gather is np.add:
                whole[:, column] = 0
            gather.at(whole[:, column], name.reshape(-1), pieces[:, column])
        pieces = whole
    return pieces


def belong(pieces, height, width):
    """Whether two pieces are of one digit, bool [N, N]."""
    t, l, b, r = pieces.T[:4]  # noqa: E741
    h, w = b - t, r - l
    across = np.minimum(r[:, None], r) - np.maximum(l[:, None], l)  # shared; a gap is negative
    along = np.minimum(b[:, None], b) - np.maximum(t[:, None], t)
    reach = np.maximum(h, w * 3 // 4)
    size = np.maximum(reach[:, None], reach)
    extent = np.maximum(h, w)
    smaller = np.minimum(extent[:, None], extent)
    tall = max(typical(pieces, height, width), 1)
    inside = (across >= np.minimum(w[:, None], w)) & (along >= np.minimum(h[:, None], h))
    inside &= 3 * smaller <= 2 * size
    # A whole digit is no part of its neighbour, be it half as tall, and a speck ties no two digits.
    part = (5 * smaller <= 2 * tall) & (8 * smaller >= tall)
    both = np.maximum(b[:, None], b) - np.minimum(t[:, None], t)
    halves = (4 * along <= np.minimum(h[:, None], h)) & (4 * both <= 5 * tall)
    if np.count_nonzero(has_shape(pieces, height, width)) <= 2:
        # Too few to tell the height of the writing: halves of one digit, more likely.
        halves |= 2 * along <= np.minimum(h[:, None], h)
    wide = np.maximum(r[:, None], r) - np.minimum(l[:, None], l)
    halves &= 2 * wide <= 3 * np.maximum(tall, both)
    stacked = (3 * across >= np.minimum(w[:, None], w)) & (-10 * along <= size) & (part | halves)
    crumb = part & (-10 * across <= size) & (-10 * along <= size)
    # The bar of a 5, flat, at the head of the rest and to its right.
    flat = (3 * h <= tall) & (w <= tall) & (4 * w >= tall) & (2 * w >= 3 * h)
    bar = flat[:, None] & ~flat & (l[:, None] >= l) & (10 * (l[:, None] - r) <= size)
    bar &= (10 * (t - b[:, None]) <= size) & (3 * (t[:, None] - t) <= h)
    strength = pieces[:, INK] // pieces[:, AREA]
    alike = 2 * strength[:, None] >= strength
    return (inside | stacked | crumb | bar | bar.T) & alike & alike.T


def typical(pieces, height, width):
    """Height of the writing: the median of what is not far smaller than the tallest; 0 if no
    piece has the shape of a digit.
    """
    pieces = pieces[has_shape(pieces, height, width)]
    h = np.sort(pieces[:, BOTTOM] - pieces[:, TOP])
    if not len(h):
        return 0
    h = h[6 * h >= h[-1]]
    return int(h[len(h) // 2])


def has_shape(pieces, height, width):
    """Which pieces have the size and the proportions of a digit, and are no blots."""
    h, w = pieces[:, BOTTOM] - pieces[:, TOP], pieces[:, RIGHT] - pieces[:, LEFT]
    high = h >= max(8, min(height, width) // 30)
    blot = (3 * w > h) & (20 * pieces[:, AREA] > 17 * h * w)
    whole = (20 * h >= 19 * height) & (20 * w >= 19 * width)
    return high & (w <= 2 * h) & (h <= 14 * w) & ~blot & ~whole


def choose_digits(pieces, height, width):
    """Of the pieces that have a digit's shape, or that of digits that touch, those about as tall
    and as dark as the others.
    """
    tall = typical(pieces, height, width)
    if not tall:
        return pieces[:0]
    h, w = pieces[:, BOTTOM] - pieces[:, TOP], pieces[:, RIGHT] - pieces[:, LEFT]
    mean = pieces[:, INK] // pieces[:, AREA]
    shaped = has_shape(pieces, height, width)
    shaped |= (w > 2 * h) & (w <= 8 * h) & (10 * h >= 6 * tall) & (10 * h <= 16 * tall)
    # A scribble crosses a row more often than a digit, or its pen is too thin for its size.
    runs = pieces[:, RUNS]
    shaped &= (8 * runs <= 7 * np.maximum(4 * h, 5 * w)) & (12 * pieces[:, AREA] >= h * w)
    shaped &= 36 * pieces[:, AREA] >= runs * np.maximum(h, w)
    writing = shaped & (2 * h >= tall)
    if not writing.any():
        return pieces[:0]
    darkest = mean[writing].max()
    shaped &= (3 * h >= tall) & (3 * mean >= darkest)
    # What is left of a line is thinner than the pen that wrote the others.
    thick = 16 * pieces[:, AREA] // pieces[:, RUNS]
    sliver = 5 * w < h
    others = np.sort(thick[shaped & ~sliver])
    if len(others):
        shaped &= ~sliver | (3 * thick >= others[len(others) // 2])
        # And a line's piece is taller than any digit.
        shaped &= (4 * w >= h) | (2 * h <= 3 * h[shaped & ~sliver].max())
    return pieces[shaped]


def reading_order(pieces):
    """Sequences that begin with a box's edges (top, left, bottom, right), in the order of reading:
    from the left, each goes on the line whose end it stands beside.
    """
    lines = []
    for piece in sorted(pieces, key=lambda p: (p[LEFT], p[TOP], p[RIGHT], p[BOTTOM])):
        for line in lines:
            end = line[-1]
            beside = min(piece[BOTTOM], end[BOTTOM]) - max(piece[TOP], end[TOP])
            if 2 * beside >= min(piece[BOTTOM] - piece[TOP], end[BOTTOM] - end[TOP]):
                line.append(piece)
                break
        else:
            lines.append([piece])
    lines.sort(key=lambda line: (line[0][TOP] + line[0][BOTTOM], line[0][LEFT]))
    return [piece for line in lines for piece in line]

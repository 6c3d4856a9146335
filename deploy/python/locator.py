"""Where the digits are in a camera frame, with numpy alone.

1. The frame becomes a small gray picture.
2. *Ink* is what is darker than the paper beside it. The paper under a stroke is what a
   morphological closing leaves: it fills everything thinner than its window, and nothing that is
   wider. So a stroke shows and the edge of a shadow or of a sheet does not.
3. Connected pieces of ink are cut out at a threshold of their own, lines and frames are dropped,
   pieces of one digit are joined, and what has the shape of a digit is kept.

Everything is integer arithmetic, in the same order as in `deploy/cpp/locator.cpp`: the two give
the same boxes, to the pixel, and a test compares them.
"""

import numpy as np

LONG_SIDE = 320  # the gray picture's longer side, about
DARK_FRAME = 112  # median gray below which light strokes are looked for
CLEAR = 12  # gray levels between a light stroke and what is around it
DARKNESS = 64  # gray levels added to the paper's, so that noise in shadows is no ink
LEAST_INK = 12  # of 255: fainter is texture of the paper
MOST_PIECES = 128  # more ink than this is no writing
MOST_DIGITS = 48
ROUNDS = 8  # of raising the threshold of a piece that is too large

# Columns of an array of pieces: the box (end exclusive), its pixels, the sum of their ink,
# and the number of their runs: unbroken stretches of a row.
TOP, LEFT, BOTTOM, RIGHT, AREA, INK, RUNS = range(7)


def locate(frame):
    """Boxes of the digits in a frame.

    Digits are found from about 7 % of the frame's height up, dark on light or, in a dark frame,
    light on dark.

    Args:
        frame: uint8 [H, W, 3], BGR.

    Returns:
        A list of (x, y, width, height) in pixels of the frame, in reading order: lines from the
        top, each from the left. At most `MOST_DIGITS`.
    """
    gray, scale = reduced_gray(frame)
    if min(gray.shape) < 16:
        return []
    ink = ink_of_frame(gray)
    digits = choose_digits(join_pieces(drop_lines(*find_pieces(ink), *gray.shape)), *gray.shape)
    return [
        (
            int(piece[LEFT]) * scale,
            int(piece[TOP]) * scale,
            int(piece[RIGHT] - piece[LEFT]) * scale,
            int(piece[BOTTOM] - piece[TOP]) * scale,
        )
        for piece in reading_order(digits)
    ]


def square(box, height, width):
    """The square around a box that is given to the classifier.

    The digit fills about six tenths of it, which leaves it the paper around that the network has
    seen in training.

    Args:
        box: (x, y, width, height).
        height, width: of the frame.

    Returns:
        (x, y, width, height) inside the frame; no square where the frame is too narrow for it.
    """
    x, y, w, h = box
    side = max(w, h) * 8 // 5 + 2
    across, along = min(side, width), min(side, height)
    left = min(max((2 * x + w - across) // 2, 0), width - across)
    top = min(max((2 * y + h - along) // 2, 0), height - along)
    return left, top, across, along


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


def ink_of_frame(gray):
    """Ink, uint8: the part of the paper's light that a stroke takes away, 255 for all."""
    if is_light_on_dark(gray):
        gray = 255 - gray
    paper = paper_under(gray, min(gray.shape) // 12).astype(np.uint32)
    taken = paper - np.minimum(gray, paper)
    return (taken * 255 // (paper + DARKNESS)).astype(np.uint8)


def is_light_on_dark(gray):
    """Whether the thin things in a dark frame are lighter than what is around them."""
    if median(gray) >= DARK_FRAME:
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


def median(picture):
    """The lower median of a uint8 picture."""
    upto = np.cumsum(np.bincount(picture.ravel(), minlength=256))
    return int(np.searchsorted(upto, (picture.size + 1) // 2))


# --- from ink to pieces ---------------------------------------------------------------


def find_pieces(ink):
    """Connected pieces of ink, int64 [N, 7], each at a threshold that suits it."""
    height, width = ink.shape
    lowest = level = max(LEAST_INK, 4 * median(ink))
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
        level += level // 4 + 1
        edge = pieces[:, INK] * 5 // (8 * pieces[:, AREA])
        edge = np.where(large, np.maximum(edge, level), edge)
        kept = ink[mask] >= edge[names]
        strokes[mask] = kept & ~large[names]
        mask[mask] = kept & large[names]
    return components(strokes, ink)[0], lowest


def too_large(pieces, height, width):
    """Which pieces no digit can be: as large as the frame, or wide as a line of digits."""
    h, w = pieces[:, BOTTOM] - pieces[:, TOP], pieces[:, RIGHT] - pieces[:, LEFT]
    fills = (20 * w >= 19 * width) | ((10 * h >= 9 * height) & (10 * w >= 9 * width))
    wide = (3 * w >= width) & (5 * w >= 8 * h)
    blot = (3 * h > w) & (5 * pieces[:, AREA] > 2 * pieces[:, RUNS] * np.maximum(h, w))
    return fills | wide | blot


def components(mask, ink):
    """8-connected components.

    Returns:
        int64 [N, 7] of components, and the number of its component for every pixel of the mask,
        in the mask's order.
    """
    height, width = mask.shape
    # Runs of each row, in one line of all rows; the empty column keeps rows apart.
    line = np.zeros((height, width + 1), np.int8)
    line[:, :width] = mask
    steps = np.diff(line.ravel(), prepend=np.int8(0))
    start, end = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    if not len(start):
        return np.zeros((0, 7), np.int64), np.zeros(0, np.int64)
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
    found = np.zeros((name.max() + 1, 7), np.int64)
    found[:, (TOP, LEFT)] = 1 << 30
    np.minimum.at(found[:, TOP], name, row)
    np.minimum.at(found[:, LEFT], name, start - row * (width + 1))
    np.maximum.at(found[:, BOTTOM], name, row + 1)
    np.maximum.at(found[:, RIGHT], name, end - row * (width + 1))
    np.add.at(found[:, AREA], name, length)
    np.add.at(found[:, INK], name, upto[until] - upto[until - length])
    np.add.at(found[:, RUNS], name, 1)
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
    near = 1 + min(height, width) // 64
    at_end = (pieces[:, TOP] <= near) | (pieces[:, BOTTOM] >= height - near)
    at_side = (pieces[:, LEFT] <= near) | (pieces[:, RIGHT] >= width - near)
    dropped = (np.maximum(h, w) < 4) | (5 * pieces[:, INK] < 6 * lowest * pieces[:, AREA])
    dropped |= (w >= 6 * h) & (3 * w >= width)
    dropped |= (h >= 8 * w) & (5 * h >= 4 * height)
    dropped |= at_end & (3 * h < height)
    dropped |= at_side & (6 * w < width)
    pieces = pieces[~dropped]
    # The same order in both programs, whatever order the components came in.
    pieces = pieces[np.lexsort((*pieces.T[:4], -pieces[:, INK]))][:MOST_PIECES]

    # Far paler than the writing are printed lines and what shines through from behind.
    shaped = pieces[has_shape(pieces, height, width)]
    strength = pieces[:, INK] // pieces[:, AREA]
    if len(shaped):
        amount = shaped[:, INK]
        writing = (amount * (amount // shaped[:, AREA])).sum() // amount.sum()
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


def join_pieces(pieces):
    """Pieces of one digit as one: those inside another, above another, or a stroke's crumbs."""
    while len(pieces):
        one, other = np.nonzero(belong(pieces))
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


def belong(pieces):
    """Whether two pieces are of one digit, bool [N, N]."""
    t, l, b, r = pieces.T[:4]  # noqa: E741
    h, w = b - t, r - l
    across = np.minimum(r[:, None], r) - np.maximum(l[:, None], l)  # shared; a gap is negative
    along = np.minimum(b[:, None], b) - np.maximum(t[:, None], t)
    reach = np.maximum(h, w * 3 // 4)
    size = np.maximum(reach[:, None], reach)
    extent = np.maximum(h, w)
    smaller = np.minimum(extent[:, None], extent)
    inside = (across >= np.minimum(w[:, None], w)) & (along >= np.minimum(h[:, None], h))
    stacked = (3 * across >= np.minimum(w[:, None], w)) & (-10 * along <= size)
    crumb = (2 * smaller <= size) & (-10 * across <= size) & (-10 * along <= size)
    strength = pieces[:, INK] // pieces[:, AREA]
    alike = 2 * strength[:, None] >= strength
    return (inside | stacked | crumb) & alike & alike.T


def has_shape(pieces, height, width):
    """Which pieces have the size and the proportions of a digit, and are no blots."""
    h, w = pieces[:, BOTTOM] - pieces[:, TOP], pieces[:, RIGHT] - pieces[:, LEFT]
    high = h >= max(8, min(height, width) // 30)
    blot = (3 * w > h) & (20 * pieces[:, AREA] > 17 * h * w)
    whole = (20 * h >= 19 * height) & (20 * w >= 19 * width)
    return high & (w <= 2 * h) & (h <= 14 * w) & ~blot & ~whole


def choose_digits(pieces, height, width):
    """Of the pieces that have a digit's shape, those about as tall and as dark as the tallest."""
    pieces = pieces[has_shape(pieces, height, width)]
    if not len(pieces):
        return pieces
    h = pieces[:, BOTTOM] - pieces[:, TOP]
    mean = pieces[:, INK] // pieces[:, AREA]
    tall = 2 * h >= h.max()
    return pieces[(5 * h >= 2 * h.max()) & (3 * mean >= mean[tall].max())][:MOST_DIGITS]


def reading_order(pieces):
    """The pieces as a list: from the left, each goes on the line whose end it stands beside."""
    lines = []
    for piece in sorted(pieces.tolist(), key=lambda p: (p[LEFT], p[TOP], p[RIGHT], p[BOTTOM])):
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

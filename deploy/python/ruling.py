"""Printed lines of a paper: where they run, and ink without them.

A line is found as staff lines are in music: in narrow strips of the frame, where it is a thin
ridge of ink in nearly every column, and from strip to strip, where it goes straight on. So it may
be curved, slanting, pale, or broken by the strokes that cross it. What a line is, and the bar of a
7 is not: it goes on to the border of the frame or to another line, or it is longer than a digit.
It is taken out column by column, but where a stroke crosses it.

Integer arithmetic in the same order as in `deploy/cpp/ruling.cpp`.
"""

import numpy as np

STRIP = 8  # columns
FEWEST = 5  # columns of a strip in which the ridge is seen
ONE = 16  # a pixel, in the unit that places of lines are kept in
CREST = 3  # pixels
GAP = 5  # strips a line may be lost for
LONG_GAP = 20  # where it has been seen in eight
SHORTEST = 3  # strips
DARKER = 10  # eighths of a line's ink, at most: darker is a stroke that runs along it


def ridges(ink, floor, reach):
    """Pixels on the crest of thin level strokes: nearly the darkest of their column within `CREST`
    pixels, with bare paper within `reach` pixels above and below. bool [H, W].
    """
    half = ink >> 1
    upside_down = ink[::-1]
    darkest = np.maximum(most_above(ink, CREST), most_above(upside_down, CREST)[::-1])
    return (
        (ink >= floor)
        & (255 - most_above(255 - ink, reach, 255) <= half)
        & (255 - most_above(255 - upside_down, reach, 255)[::-1] <= half)
        & (9 * ink.astype(np.uint16) >= 8 * darkest.astype(np.uint16))
    )


def most_above(ink, reach, outside=0):
    """The largest of the `reach` pixels above each pixel; above the frame `outside`."""
    padded = np.pad(ink, ((reach, 0), (0, 0)), constant_values=outside)
    size = 1
    while 2 * size <= reach:
        padded = np.maximum(padded[:-size], padded[size:])
        size *= 2
    rest = reach - size
    if rest:
        padded = np.maximum(padded[:-rest], padded[rest:])
    return padded[: ink.shape[0]]


def candidates(ink, floor, reach):
    """Per strip: the places (in sixteenths of a pixel, increasing) of what may be a line."""
    height, width = ink.shape
    strips = width // STRIP
    # The middles of the crests of each column, counted by strip.
    columns = np.zeros((strips * STRIP, height + 1), np.int8)
    columns[:, :height] = ridges(ink, floor, reach).T[: strips * STRIP]
    steps = np.diff(columns.ravel(), prepend=np.int8(0))
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    middles = starts % (height + 1) + (ends - starts - 1) // 2
    counts = np.zeros((height, strips), np.int64)
    np.add.at(counts, (middles, starts // (height + 1) // STRIP), 1)
    padded = np.pad(counts, ((2, 2), (0, 0)))
    near = padded[1:-3] + padded[2:-2] + padded[3:-1]
    before, after = (
        padded[0:-4] + padded[1:-3] + padded[2:-2],
        padded[2:-2] + padded[3:-1] + padded[4:],
    )
    rows = np.arange(height)[:, None]
    moment = ONE * (rows * near + padded[3:-1] - padded[1:-3])
    peak = (near >= FEWEST) & (near >= before) & (near > after)
    found = []
    for strip in range(strips):
        at = np.flatnonzero(peak[:, strip])
        found.append((moment[at, strip] // near[at, strip]).tolist())
    return found


class Chain:
    """A line so far: strips and places."""

    __slots__ = ("places", "strips")

    def __init__(self, strip, place):
        self.strips, self.places = [strip], [place]

    def slope(self):
        """Per strip, in the unit of places."""
        back = max(-len(self.places), -8)
        steps = self.strips[-1] - self.strips[back]
        return (self.places[-1] - self.places[back]) // steps if steps else 0

    def next(self, strip):
        return self.places[-1] + self.slope() * (strip - self.strips[-1])


def chains(found):
    """Candidates joined from strip to strip."""
    active, done = [], []
    for strip, places in enumerate(found):
        still = []
        for chain in active:
            lost = strip - chain.strips[-1]
            (still if lost <= (GAP if len(chain.strips) < 8 else LONG_GAP) else done).append(chain)
        active = still
        wanted = []
        for number, chain in enumerate(active):
            gap = strip - chain.strips[-1]
            place = chain.next(strip)
            reach = (24 if len(chain.places) < 4 else 14) + min(4 * gap, 24)
            for index, other in enumerate(places):
                if abs(other - place) <= reach:
                    wanted.append(
                        (abs(other - place) - 4 * min(len(chain.places), 8), number, index)
                    )
        wanted.sort()
        used_chains, used_places = set(), set()
        for _, number, index in wanted:
            if number in used_chains or index in used_places:
                continue
            used_chains.add(number)
            used_places.add(index)
            active[number].strips.append(strip)
            active[number].places.append(places[index])
        active += [Chain(strip, place) for i, place in enumerate(places) if i not in used_places]
    done += active
    return [
        chain
        for chain in done
        if len(chain.strips) >= SHORTEST
        and 5 * len(chain.strips) >= 2 * (chain.strips[-1] - chain.strips[0] + 1)
    ]


def course(chain, width):
    """Places of a chain in every column from its first strip to its last, and the columns."""
    left = chain.strips[0] * STRIP
    right = (chain.strips[-1] + 1) * STRIP
    middles = [strip * STRIP + STRIP // 2 for strip in chain.strips]
    columns = np.arange(left, min(right, width))
    places = np.empty(len(columns), np.int64)
    for i in range(len(middles) - 1):
        a, b = middles[i], middles[i + 1]
        start = left if i == 0 else a
        end = right if i == len(middles) - 2 else b
        x = np.arange(start, min(end, width))
        places[start - left : start - left + len(x)] = chain.places[i] + (
            chain.places[i + 1] - chain.places[i]
        ) * (x - a) // (b - a)
    return columns, places


def without_lines(ink, floor, reach):
    """Ink without printed lines.

    Args:
        ink: uint8 [H, W].
        floor: the least ink of a line.
        reach: how thick a line may be, about, in pixels.

    Returns:
        uint8 [H, W], 0 where a line was.
    """
    level = lines_of(ink, floor, reach)
    upright = lines_of(np.ascontiguousarray(ink.T), floor, reach)
    level, upright = anchored(level, upright, *ink.shape)
    removed = np.zeros(ink.shape, bool)
    remove(ink, removed, level, floor, reach)
    ink = np.where(removed, 0, ink).astype(np.uint8)
    # Where two lines cross, each is alone once the other is gone.
    remove(ink.T, removed.T, upright, floor, reach)
    return np.where(removed, 0, ink).astype(np.uint8)


class Line:
    """A line's course: row `rows[i]` in column `start + i`; `strength` is the median of its ink,
    `thick` that of its rows of ink.
    """

    __slots__ = ("rows", "start", "strength", "thick")

    def __init__(self, start, rows, ink, floor, reach):
        self.start, self.rows = start, rows
        columns = np.arange(start, start + len(rows))
        values = np.sort(ink[rows, columns])
        self.strength = int(values[len(values) // 2])
        up, down = spread(ink, rows, columns, max(floor // 2, self.strength * 3 // 8), reach)
        thick = np.sort(up + down)
        self.thick = int(thick[len(thick) // 2]) + 1

    @property
    def end(self):
        return self.start + len(self.rows)

    def row(self, x):
        """Row in a column; beyond its ends the line goes straight on."""
        rows, last = self.rows, len(self.rows) - 1
        place = x - self.start
        back = min(last, 64)
        if place < 0:
            return int(rows[0]) + int(rows[back] - rows[0]) * place // max(back, 1)
        if place > last:
            return int(rows[last]) + int(rows[last] - rows[last - back]) * (place - last) // max(
                back, 1
            )
        return int(rows[place])


def lines_of(ink, floor, reach):
    """What may be lines: thin, and with ink all along, be it a stroke's that crosses."""
    lines = []
    for chain in chains(candidates(ink, floor, reach)):
        columns, places = course(chain, ink.shape[1])
        rows = np.clip((places + ONE // 2) // ONE, 0, ink.shape[0] - 1)
        start = int(columns[0])
        for first, last in inked(ink, start, rows):
            if last - first >= SHORTEST * STRIP:
                line = Line(start + first, rows[first:last], ink, floor, reach)
                if line.thick <= reach + 2:
                    lines.append(line)
    return lines


def inked(ink, start, rows):
    """The parts, as (first, last), of a course between stretches of bare paper."""
    columns = np.arange(start, start + len(rows))
    most = ink[rows, columns].astype(np.int64)
    for step in (-2, -1, 1, 2):
        most = np.maximum(most, ink[np.clip(rows + step, 0, ink.shape[0] - 1), columns])
    middle = int(np.sort(most)[len(most) // 2])
    bare = np.concatenate([[False], 2 * most < middle, [False]])
    steps = np.diff(bare.astype(np.int8))
    parts, first = [], 0
    for begin, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        if end - begin >= STRIP:
            parts.append((first, int(begin)))
            first = int(end)
    parts.append((first, len(rows)))
    return parts


def anchored(level, upright, height, width):
    """Those lines that are paper's: see `is_paper` and `is_parallel`."""
    every, most = (level, upright), max(height, width)
    level = [line for line in level if not is_stray(line, level, width)]
    upright = [line for line in upright if not is_stray(line, upright, height)]
    while True:
        kept = [line for line in level if is_paper(line, level, upright, width, most)]
        kept_upright = [line for line in upright if is_paper(line, upright, level, height, most)]
        if len(kept) == len(level) and len(kept_upright) == len(upright):
            break
        level, upright = kept, kept_upright
    return (
        level + [x for x in every[0] if x not in level and is_parallel(x, level, width)],
        upright + [x for x in every[1] if x not in upright and is_parallel(x, upright, height)],
    )


def is_paper(line, along, across, length, most):
    """Whether a line is very long, or goes on to the border of the frame or to lines like it."""
    size = len(line.rows)
    firm, same = 0, 0
    for x, y in ((line.start, line.rows[0]), (line.end, line.rows[-1])):
        if at_border(x, length):
            firm, same = firm + 1, same + 1
            continue
        met = [other for other in across if meets(other, x, y, STRIP + 3)]
        firm += bool(met)
        same += any(alike(line, other) for other in met)
    slender = 24 * line.thick <= size
    if same == 2 and 2 * size < length:
        # What goes from line to line beside long lines is like them, or a stroke.
        peers = [other for other in along if 2 * len(other.rows) >= length]
        if peers and not any(
            3 * abs(other.thick - line.thick) <= other.thick + 1 for other in peers
        ):
            return False
    return same == 2 or (slender and (4 * size >= 3 * length or (firm and 10 * size >= 3 * most)))


def is_stray(line, family, length):
    """Whether a short piece stands among long lines where none of theirs would be: those are
    found whole, or by `is_parallel`, so it is a stroke that goes from line to line.
    """
    size = len(line.rows)
    if 4 * size >= 3 * length or not is_family(family, length):
        return False
    return 10 * size < 3 * length or not is_spaced(line, family, length)


def is_family(lines, length):
    """Whether there are so many long lines that they are a ruling."""
    return sum(2 * len(line.rows) >= length for line in lines) >= 3


def at_border(x, length):
    near = min(2 * STRIP, max(STRIP, length // 24))
    return x <= near or x >= length - near


def alike(line, other):
    """Whether two lines are about as dark."""
    dark, pale = max(line.strength, other.strength), min(line.strength, other.strength)
    thick, thin = max(line.thick, other.thick), min(line.thick, other.thick)
    # A short line is more easily a stroke.
    if len(line.rows) < 8 * STRIP:
        return 2 * dark <= 3 * pale and 2 * thick <= 3 * thin + 1
    return dark <= 2 * pale and thick <= 2 * thin


def is_parallel(line, family, length):
    """Whether a piece of a line runs as its neighbour in a family of lines does."""
    size = len(line.rows)
    if not (at_border(line.start, length) or at_border(line.end, length) or size >= 12 * STRIP):
        return False
    neighbour = nearest(line, family, length)
    if neighbour is None or not alike(line, neighbour):
        return False
    if 3 * abs(line.thick - neighbour.thick) > neighbour.thick + 1:
        return False
    middle = size // 2
    away = [int(line.rows[i]) - neighbour.row(line.start + i) for i in (0, middle, size - 1)]
    if 24 * (max(away) - min(away)) > size + 48:
        return False
    return is_spaced(line, family, length)


def is_spaced(line, family, length):
    """Whether two long lines, neighbours or but one, stand as far apart as a piece stands from its
    nearest: a stroke stands anywhere.
    """
    x, y = line.start + len(line.rows) // 2, int(line.rows[len(line.rows) // 2])
    places = sorted(
        other.row(x) for other in family if other is not line and 2 * len(other.rows) >= length
    )
    away = min(abs(y - place) for place in places)
    gaps = [places[i + step] - places[i] for step in (1, 2) for i in range(len(places) - step)]
    return any(abs(gap - away) <= max(2, away // 12) for gap in gaps)


def nearest(line, family, length):
    """The nearest line of a family that is half as long as the frame; None if there is none, or
    no family: two lines do not make one.
    """
    best = None
    if not is_family(family, length):
        return None
    for other in family:
        if other is not line and 2 * len(other.rows) >= length:
            middle = line.start + len(line.rows) // 2
            away = abs(int(line.rows[len(line.rows) // 2]) - other.row(middle))
            if best is None or away < best[0]:
                best = away, other
    return best and best[1]


def extended(line, family, height, width):
    """Rows of a line in the columns from `start` on, beyond its ends: a long line goes on as its
    neighbour does, a short one for a little.
    """
    size = len(line.rows)
    neighbour = nearest(line, family, width) if 2 * size < width else None
    far = width if neighbour or 10 * size >= 3 * width else 2 * STRIP
    start, end = max(0, line.start - far), min(width, line.end + far)
    rows = []
    for x in range(start, line.start):
        if neighbour:
            rows.append(int(line.rows[0]) + neighbour.row(x) - neighbour.row(line.start))
        else:
            rows.append(line.row(x))
    rows += line.rows.tolist()
    for x in range(line.end, end):
        if neighbour:
            rows.append(int(line.rows[-1]) + neighbour.row(x) - neighbour.row(line.end - 1))
        else:
            rows.append(line.row(x))
    rows = np.array(rows)
    inside = (rows >= 0) & (rows < height)
    return np.arange(start, end)[inside], rows[inside]


def meets(other, x, y, near):
    """Whether an upright line passes a point."""
    place = min(max(y - other.start, 0), len(other.rows) - 1)
    off = max(other.start - y, y - other.end, 0)
    near += other.thick // 2
    return off <= near and abs(other.rows[place] - x) <= near


def spread(ink, rows, columns, edge, reach):
    """How far there is ink above and below the points of a line, int64 [N] each."""
    height = ink.shape[0]
    up, down = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    going_up = going_down = np.ones(len(rows), bool)
    for step in range(1, 2 * reach + 1):
        above, below = rows - step, rows + step
        going_up = going_up & (above >= 0) & (ink[np.maximum(above, 0), columns] >= edge)
        going_down = going_down & (below < height)
        going_down &= ink[np.minimum(below, height - 1), columns] >= edge
        up += going_up
        down += going_down
    return up, down


def remove(ink, removed, lines, floor, reach):
    """Mark the pixels of level lines in `removed`, but where strokes cross."""
    height, width = ink.shape
    for line in lines:
        level = line.strength
        columns, rows = extended(line, lines, height, width)
        # The darkest row nearby: the course is good to a pixel or two.
        best, values = rows, ink[rows, columns].astype(np.int64)
        for step in (-1, 1, -2, 2):
            other = np.clip(rows + step, 0, height - 1)
            darker = ink[other, columns] > values
            best = np.where(darker, other, best)
            values = np.maximum(values, ink[other, columns])
        rows = best
        edge = max(floor // 2, level * 3 // 8)
        up, down = spread(ink, rows, columns, edge, reach)
        # Much darker than the line is a stroke that runs along it.
        alone = (8 * values <= DARKER * level + 32) & (2 * values >= edge)
        alone &= up + down < line.thick + max(2, line.thick // 4)
        for step in range(-2 * reach, 2 * reach + 1):
            inside = alone & (rows + step >= 0) & (rows + step < height)
            inside &= (-step <= up + 1) & (step <= down + 1)
            removed[(rows + step)[inside], columns[inside]] = True

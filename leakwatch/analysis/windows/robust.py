"""Estimates from a few values in plain Python, as the daemon loads no numpy: slope, noise, and where a rise began.

``robust_rows`` has the same of many series at once. Both are held against each other and against scipy by tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from math import inf, isfinite, nan
from statistics import median

from leakwatch.analysis.time_plan import BLOCKS, COARSE_OF, FINE_KEPT, TimePlan

MAD_SIGMA = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""


def theil_sen(y: Sequence[float]) -> float:
    """Return the slope a step (Theil 1950, Sen 1968), 0 for fewer than two values."""
    slopes = [(y[j] - y[i]) / (j - i) for i in range(len(y)) for j in range(i + 1, len(y))]
    return median(slopes) if slopes else 0.0


def residuals_of(y: Sequence[float], slope: float) -> list[float]:
    """Return what a line of this slope leaves, with a median of 0."""
    rest = [value - slope * at for at, value in enumerate(y)]
    middle = median(rest)
    return [value - middle for value in rest]


def mad_sigma(values: Iterable[float]) -> float:
    """Return the standard deviation about 0 that normal values of this median absolute deviation would have."""
    return MAD_SIGMA * median(map(abs, values))


def step_noise(y: Sequence[float]) -> float:
    """Return the noise of values by their differences: a trend is not in it."""
    steps = [after - before for before, after in itertools.pairwise(y)]
    middle = median(steps)
    return mad_sigma(step - middle for step in steps) / 2**0.5


def bend_noise(y: Sequence[float]) -> float:
    """Return the noise of values by their second differences: neither a trend nor a bend is in it."""
    return mad_sigma(a - 2 * b + c for a, b, c in zip(y, y[1:], y[2:], strict=False)) / 6**0.5


SURE = 4.0
"""A flat part is added when the hinge explains more than a line does by this share of a point: 95 % of F(1, n)."""
EARLY = 6
"""A rise that began within the oldest sixth of what was looked at may have begun before: more is looked at."""
MARGIN = 4 * BLOCKS
"""Blocks of each level that are left out, the oldest: a checkpoint that is settled late must see what one that was
settled at once saw."""
_EXACT = 1e-9


def onset(t: Sequence[float], y: Sequence[float]) -> tuple[int, float]:
    """Return the index where the growth began and the level there: the least-squares fit of a flat part and a line.

    Without a flat part that explains clearly more than the line alone it is the first point.
    """
    n = len(y)
    shift, origin = sum(y) / n, t[0]
    power = sum((value - shift) ** 2 for value in y)
    count = sum_t = sum_tt = sum_y = sum_ty = 0.0
    fits: list[tuple[float, int, float]] = []
    for k in range(n - 1, -1, -1):
        at, value = t[k] - origin, y[k] - shift
        count, sum_t, sum_tt = count + 1, sum_t + at, sum_tt + at * at
        sum_y, sum_ty = sum_y + value, sum_ty + at * value
        if k > max(0, n - 3):
            continue
        x, xx, xy = sum_t - count * at, sum_tt - at * (2 * sum_t - count * at), sum_ty - at * sum_y
        spread = xx - x * x / n
        rise = max(0.0, xy / spread) if spread > 0 else 0.0  # the values' own sum is zero
        fits.append((power - rise * xy, k, shift - rise * x / n))
    least = min(fits, key=lambda fit: (fit[0], fit[1]))
    line = fits[-1]
    _, at_index, level = line if line[0] <= least[0] * (1 + SURE / n) + _EXACT * power else least
    return at_index, min(max(level, min(y)), max(y))


def climb_onset(lows: Sequence[float], window: int) -> tuple[int, float, bool]:
    """Return the block in which the climb began that a window of so many newest blocks shows, and the level there.

    Minima of a twelfth of the window are looked at, in the window and as much again before it; twice as far back as
    long as the climb fills what was looked at. The last is True where it may have begun before all of them.
    """
    size, reach = max(1, window // BLOCKS), 2 * window
    while True:
        points = _troughs(lows, max(0, len(lows) - reach), size)
        at, level = onset([float(place) for place, _ in points], [low for _, low in points])
        begins_early = at <= len(points) // EARLY
        if not begins_early or reach >= len(lows):
            return points[at][0], level, begins_early
        reach *= 2


def _troughs(lows: Sequence[float], first: int, size: int) -> list[tuple[int, float]]:
    """Return the place and the lowest of each ``size`` blocks from ``first`` on, but where there are none with data."""
    parts = ((at, [low for low in lows[at : at + size] if isfinite(low)]) for at in range(first, len(lows), size))
    found = [(at, min(part)) for at, part in parts if part]
    return found or [(first, 0.0)]


def climb_began(
    fine: tuple[int, Sequence[float]], coarse: tuple[int, Sequence[float]], first: int, window: int, plan: TimePlan
) -> tuple[int, float]:
    """Return when a climb began, in UTC milliseconds, and the level there.

    ``fine`` and ``coarse`` are the index of the oldest block held and the lows up to a checkpoint, ``window`` the fine
    blocks in which growth was seen at it, ``first`` the fine block the life began with.
    """
    start, lows = _newest(*fine, FINE_KEPT - MARGIN)
    found: tuple[int, float] | None = None
    if 2 * window <= len(lows) or start <= first or not len(coarse[1]):
        at, level, is_open = climb_onset(lows, window)
        found = (start + at) * plan.base_s * 1000, level
        if not is_open or start <= first or not len(coarse[1]):
            return found
    start, lows = _newest(*coarse, plan.coarse_kept - MARGIN // COARSE_OF)
    at, level, _ = climb_onset(lows, max(1, window // COARSE_OF))
    return max(start + at, first // COARSE_OF) * plan.coarse_s * 1000, level


def _newest(start: int, lows: Sequence[float], most: int) -> tuple[int, Sequence[float]]:
    left_out = max(0, len(lows) - most)
    return start + left_out, lows[left_out:]


RECENT_HOURS = 2.0
"""What a checkpoint sees of the newest blocks, in rule hours."""
COURSE_PARTS = 12
"""Of a climb, to see whether it levels off."""


def noise_of(lows: Sequence[float], plan: TimePlan) -> float:
    """Return the noise of troughs a sixth of a rule hour long over the newest two, NaN where they are not all held."""
    q = max(1, round(plan.blocks_of(RECENT_HOURS) / 12))
    if len(lows) < 12 * q:
        return nan
    newest = lows[-12 * q :]
    y = [min((x for x in newest[i : i + q] if isfinite(x)), default=inf) for i in range(0, 12 * q, q)]
    return nan if inf in y else step_noise(y)


def course_of(medians: Sequence[float], end: int, length: int) -> tuple[float, ...]:
    """Return the medians of twelve equal parts of the ``length`` blocks before ``end``, nothing where one is empty."""
    size = length // COURSE_PARTS
    first = end - size * COURSE_PARTS
    if size < 1 or first < 0:
        return ()
    parts = [[x for x in medians[i : i + size] if isfinite(x)] for i in range(first, end, size)]
    return tuple(median(part) for part in parts) if all(parts) else ()

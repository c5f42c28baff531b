"""Geometry of the charts: values in, coordinates out. The templates draw them as SVG, so no chart needs a script.

Coordinates are in the units of a ``viewBox``; shapes are classes, never inline styles (the content policy forbids them).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil, floor, isfinite, log10

from bastide.core.decision import Decision
from bastide.core.standing import Standing

BAR_ORDER = (
    Standing.TRUSTED,
    Standing.RESTRICTED,
    Standing.PENDING,
    Standing.QUARANTINED,
    Standing.UNKNOWN,
    Standing.RETIRED,
)
# A standing with one device in ten thousand must still be seen.
_THINNEST = 6.0
_GAP = 3.0


@dataclass(frozen=True, slots=True)
class Segment:
    standing: Standing
    count: int
    x: float
    width: float


def standing_bar(counts: Mapping[Standing, int], width: float = 1000.0) -> tuple[Segment, ...]:
    """The fleet as one bar, best to worst; every standing that occurs is at least a few units wide."""
    present = [(standing, counts.get(standing, 0)) for standing in BAR_ORDER if counts.get(standing, 0) > 0]
    total = sum(count for _, count in present)
    if not total:
        return ()
    room = width - _GAP * (len(present) - 1)
    raw = [max(_THINNEST, room * count / total) for _, count in present]
    spare = sum(raw) - room
    widest = raw.index(max(raw))
    raw[widest] -= spare
    segments, x = [], 0.0
    for (standing, count), wide in zip(present, raw, strict=True):
        segments.append(Segment(standing, count, round(x, 2), round(wide, 2)))
        x += wide + _GAP
    return tuple(segments)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which a device stood as it stood."""

    standing: Standing
    x: float
    width: float
    label: str


def standing_strip(
    decisions: Sequence[Decision], standing: Standing, since: datetime, until: datetime, width: float = 1000.0
) -> tuple[Stretch, ...]:
    """One device's standing over time, oldest first. ``decisions`` newest first; ``standing`` is the one of ``until``."""
    span = max((until - since).total_seconds(), 1.0)
    stretches, end = [], until
    for decision in [each for each in decisions if each.changed and since < each.at < until]:
        stretches.append((standing, decision.at, end))
        standing, end = decision.previous, decision.at
    stretches.append((standing, since, end))
    drawn = []
    for each, begins, ends in reversed(stretches):
        # A minute in a week must still be seen, at the right edge too.
        wide = max(_THINNEST, round((ends - begins).total_seconds() / span * width, 2))
        x = round((begins - since).total_seconds() / span * width, 2)
        label = f"{each.capitalize()} from {begins:%d %b %H:%M:%S} to {ends:%d %b %H:%M:%S} UTC"
        drawn.append(Stretch(each, min(x, width - wide), wide, label))
    return tuple(drawn)


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line chart: path of the line, path of the area under it, and the points as ``x,y,label`` for the cursor."""

    line: str
    area: str
    points: tuple[tuple[float, float, str], ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    width: float
    height: float
    last: str
    lowest: str
    highest: str


def line(
    series: Sequence[tuple[datetime, float]],
    since: datetime,
    until: datetime,
    *,
    width: float = 272.0,
    height: float = 112.0,
    steps: bool = False,
    floor_at: float | None = None,
) -> Line | None:
    """Scales a series into a box. A silence longer than eight usual intervals breaks the line: nothing is made up there."""
    kept = [(at, value) for at, value in series if isfinite(value) and since <= at <= until]
    if not kept:
        return None
    values = [value for _, value in kept]
    bottom, top, step = _scale(min(values) if floor_at is None else min(floor_at, *values), max(values))
    if steps and step < 1 and all(value.is_integer() for value in values):
        # A count: there is no half of a device.
        bottom, top, step = floor(bottom), ceil(top), 1.0
    span = max((until - since).total_seconds(), 1.0)

    def x(at: datetime) -> float:
        return round((at - since).total_seconds() / span * width, 1)

    def y(value: float) -> float:
        return round(height - (value - bottom) / (top - bottom) * height, 1)

    parts, areas = [], []
    for run in [kept] if steps else _runs(kept):
        path = f"M{x(run[0][0])} {y(run[0][1])}"
        for at, value in run[1:]:
            path += f"H{x(at)}V{y(value)}" if steps else f"L{x(at)} {y(value)}"
        end = width if steps else x(run[-1][0])
        if steps:
            path += f"H{width}"
        elif len(run) == 1:
            path += "h0.1"
        parts.append(path)
        areas.append(f"{path}L{end} {height}L{x(run[0][0])} {height}Z")
    decimals = max(0, -floor(log10(step))) if step < 1 else 0
    return Line(
        line="".join(parts),
        area="".join(areas),
        points=tuple((x(at), y(value), f"{_number(value)} · {at:%d %b %H:%M:%S} UTC") for at, value in kept),
        rows=tuple(Tick(y(value), f"{value:.{decimals}f}") for value in _between(bottom, top, step)),
        columns=tuple(Tick(x(at), label) for at, label in _moments(since, until)),
        width=width,
        height=height,
        last=_number(values[-1]),
        lowest=_number(min(values)),
        highest=_number(max(values)),
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """One part of a heat strip: ``level`` 0 is nothing, 1 to 5 are shades."""

    x: float
    width: float
    level: int
    label: str


def heat_strip(times: Sequence[datetime], until: datetime, hours: int = 24, width: float = 1000.0) -> tuple[Cell, ...]:
    """A device's day: one cell an hour, darker where more was recorded."""
    end = until.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    start = end - timedelta(hours=hours)
    counts = [0] * hours
    for at in times:
        place = int((at - start).total_seconds() // 3600)
        if 0 <= place < hours:
            counts[place] += 1
    most = max(counts) or 1
    wide = width / hours
    return tuple(
        Cell(
            x=round(place * wide, 2),
            width=round(wide - 3, 2),
            level=0 if not count else 1 + round(4 * count / most),
            label=f"{start + timedelta(hours=place):%d %b %H}:00 UTC: {count} records",
        )
        for place, count in enumerate(counts)
    )


def _scale(low: float, high: float) -> tuple[float, float, float]:
    """A range of round numbers around the values, and the step between its rows."""
    if high - low < 1e-12:
        pad = abs(high) * 0.1 or 1.0
        low, high = low - (pad if low != 0 else 0), high + pad
    rough = (high - low) / 3
    magnitude = 10.0 ** floor(log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough)
    bottom = floor(low / step) * step
    top = bottom
    while top < high - step * 1e-9:
        top += step
    return bottom, top, step


def _between(bottom: float, top: float, step: float) -> list[float]:
    return [bottom + step * place for place in range(round((top - bottom) / step) + 1)]


def _runs(series: Sequence[tuple[datetime, float]]) -> list[list[tuple[datetime, float]]]:
    gaps = sorted((after - before).total_seconds() for (before, _), (after, _) in pairwise(series))
    longest = 8 * gaps[len(gaps) // 2] if gaps else 0.0
    runs = [[series[0]]]
    for before, point in pairwise(series):
        if (point[0] - before[0]).total_seconds() > longest:
            runs.append([])
        runs[-1].append(point)
    return runs


def _moments(since: datetime, until: datetime) -> list[tuple[datetime, str]]:
    """At most five round times in the span, so that their labels do not touch."""
    span = until - since
    for step in _STEPS:
        if span / step <= 5:
            break
    pattern = "%d %b" if step >= timedelta(days=1) else "%H:%M"
    zero = since.replace(hour=0, minute=0, second=0, microsecond=0)
    at = zero + step * (int((since - zero) / step) + 1)
    found = []
    while at < until:
        found.append((at, f"{at:{pattern}}"))
        at += step
    return found


_STEPS = tuple(
    timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440, 2880, 10080)
)


def _number(value: float) -> str:
    """A measured value with as many digits as say something."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.3g}"
    digits = max(0, min(4, 3 - floor(log10(abs(value)))))
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"

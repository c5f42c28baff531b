"""What held-out answers teach: the cut-off, how far a probability can be trusted, and which types are siblings.

Each judged sample is (its type, the probability of every type, the same without its own type, the types' names). The second
stands for a device that the base never saw.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bastide.network.traffic.identity.match import Array

Judged = tuple[str, Array, Array, tuple[str, ...]]

CUT_OFF = 0.25
"""A quarter's doubt is enough to say *unknown*: two models of one maker that differ in a word leave about that much."""

UNTRIED = 0.5
"""The cut-off of a base too small to be tried on parts of itself."""

KNOWN_LOST = 0.05
"""Of the known types' captures at most this share may be answered unknown."""

APART = 0.2
"""Two types whose captures give their own type less than this much more than the other's cannot be told apart."""

MAX_POINTS = 12


def cut_off_of(judged: Sequence[Judged]) -> float:
    """One number for the whole base: a quarter, more only where that would lose more than 5 % of the known."""
    if not judged:
        return UNTRIED
    known = [max(1.0 - float(probabilities.sum()), 0.0) for _, probabilities, _, _ in judged]
    return round(min(max(CUT_OFF, float(np.quantile(known, 1 - KNOWN_LOST)) + 1e-6), 0.99), 6)


def calibration_of(judged: Sequence[Judged]) -> tuple[tuple[float, float], ...]:
    """Rising points (probability, share that was right), among known devices and as many of types never seen.

    Pool-adjacent-violators (isotonic regression); each pool is smoothed by one right and one wrong answer, so that no
    finite experience gives certainty.
    """
    cut = cut_off_of(judged)
    seen: list[tuple[float, float]] = []
    for label, known, without, names in judged:
        for probabilities, right in ((known, names[int(known.argmax())] == label), (without, False)):
            if 1.0 - float(probabilities.sum()) <= cut:
                seen.append((float(probabilities.max()), float(right)))
    if len(seen) < 20:
        return ()
    seen.sort()
    pools: list[list[float]] = []  # sum of probabilities, right, size
    size = max(len(seen) // (2 * MAX_POINTS), 5)
    for at in range(0, len(seen), size):
        part = seen[at : at + size]
        pools.append([sum(p for p, _ in part), sum(r for _, r in part), float(len(part))])
        while len(pools) > 1 and pools[-2][1] / pools[-2][2] >= pools[-1][1] / pools[-1][2]:
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    points = [(total / count, (right + 1) / (count + 2)) for total, right, count in pools]
    rising: list[tuple[float, float]] = []
    for x, y in points:
        if rising and x - rising[-1][0] < 1e-5:
            continue
        rising.append((round(x, 6), round(max(y, rising[-1][1] if rising else 0.0), 6)))
    return tuple(rising)


def siblings_of(judged: Sequence[Judged]) -> tuple[tuple[str, ...], ...]:
    """Groups of types that the held-out samples could not tell apart, in the order of their names."""
    margins: dict[tuple[str, str], list[float]] = defaultdict(list)
    for label, known, _, names in judged:
        own = float(known[names.index(label)])
        for number in np.argsort(-known)[:3]:
            other = names[int(number)]
            if other != label and float(known[number]) > 0.05:
                margins[min(label, other), max(label, other)].append(own - float(known[number]))
    totals: dict[str, int] = defaultdict(int)
    for label, *_ in judged:
        totals[label] += 1
    group_of: dict[str, set[str]] = {}
    for (one, other), found in sorted(margins.items()):
        if 2 * len(found) < totals[one] + totals[other] or float(np.mean(found)) >= APART:
            continue
        merged = group_of.get(one, {one}) | group_of.get(other, {other})
        for name in merged:
            group_of[name] = merged
    return tuple(sorted({tuple(sorted(group)) for group in group_of.values()}))

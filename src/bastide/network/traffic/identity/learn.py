"""A fingerprint base from labelled observations.

1. The samples of a type that differ much become variants of it (two firmwares of one plug).
2. The weights of the facets are fitted so that each sample, compared with all the *others*, is given to its own type, and
   to none when its own type is taken away. The second half is what makes the base say *unknown*. With few samples the
   weights stay near ``facets.PRIOR``.
3. In five parts, each judged by a base learned from the other four: the cut-off for *unknown*, how often a probability
   was right (calibration), and which types cannot be told apart (siblings).

A second view of each sample leaves some facets out and replaces others by what nobody says, as a capture that began late or
a device with another firmware would. Without it the base is at a loss with every network but the one that it was learned
in. The choice of what is left out comes from a generator with a fixed seed: the same samples in the same order always give
the same base.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bastide.core.error import Refused
from bastide.network.traffic.identity.base import (
    MAX_NAME,
    MAX_TOKENS,
    MAX_TYPES,
    MAX_VARIANTS,
    Base,
    DeviceType,
    Variant,
)
from bastide.network.traffic.identity.calibrate import calibration_of, cut_off_of, siblings_of
from bastide.network.traffic.identity.facets import FACETS, PRIOR
from bastide.network.traffic.identity.match import (
    DIMENSIONS,
    Array,
    Matcher,
    Table,
    features,
    rates,
    table_of,
    token_weights,
    weights_of,
)

MAX_SAMPLES = 20_000

FITTED = 1200
"""Samples that the weights are fitted on at most, the same number of each type: they are 60 numbers, more adds nothing."""

PARTS = 5

ALIKE = 0.5
"""Weighted Jaccard similarity from which a sample belongs to a variant."""

_PRIOR_MASS, _PRIOR_BIAS = (1.0, 2.5), -0.5
_PRIOR_SAMPLES = 10.0
"""How many samples' worth the prior has."""

_STEPS, _RATE = 300, 0.1

_SEED = 20261123
_SHARE_ELSEWHERE = 0.5
_LOST, _CHANGED = 0.3, 0.15
_CHANGES = np.array([name in ("firmware", "stack", "banner", "names", "web", "tls") for name in FACETS])
"""The facets that an update of the firmware may change."""


class TooFew(Refused):
    """There is nothing to learn from."""

    code = "fingerprints:samples:too-few"


@dataclass(frozen=True, slots=True)
class Sample:
    """The tokens of one labelled device in one capture."""

    tokens: frozenset[str]
    label: str


def learn(samples: Sequence[Sample], note: str = "") -> Base:
    """The base that the samples teach. ``TooFew`` without samples; ``Refused`` where there are too many or a bad label."""
    _check(samples)
    parts = parts_of(samples)
    held_out: list[tuple[str, Array, Array, tuple[str, ...]]] = []
    for part in range(PARTS):
        taught = [sample for sample, own in zip(samples, parts, strict=True) if own != part]
        asked = [sample for sample, own in zip(samples, parts, strict=True) if own == part]
        names = {sample.label for sample in taught}
        if len(names) < 2:
            continue
        matcher = Matcher(_base(taught, note))
        for sample in asked:
            if sample.label in names:
                held_out.append(_judged(matcher, sample))
    base = _base(samples, note)
    return Base(
        types=base.types,
        weights=base.weights,
        cut_off=cut_off_of(held_out),
        calibration=calibration_of(held_out),
        siblings=siblings_of(held_out),
        note=note,
    )


def _judged(matcher: Matcher, sample: Sample) -> tuple[str, Array, Array, tuple[str, ...]]:
    """(its type, the probabilities of all types, the same when its own type is taken away, the types)."""
    known, _ = matcher.probabilities(sample.tokens)
    number = matcher.names.index(sample.label)
    return sample.label, known, without(known, number), matcher.names


def without(probabilities: Array, number: int) -> Array:
    """The probabilities that the same scores give when one type is not among them."""
    rest = probabilities.copy()
    rest[number] = 0.0
    return np.asarray(rest / max(1.0 - float(probabilities[number]), 1e-9), dtype=np.float64)


def _check(samples: Sequence[Sample]) -> None:
    if not samples:
        raise TooFew(
            "There is no labelled device to learn from; the labels name captures and MAC addresses that are not there."
        )
    if len(samples) > MAX_SAMPLES:
        raise Refused(
            f"{len(samples)} samples are more than the {MAX_SAMPLES} that one base is learned from; take fewer of each type."
        )
    labels = {sample.label for sample in samples}
    if len(labels) > MAX_TYPES:
        raise Refused(f"{len(labels)} types are more than the {MAX_TYPES} that one base holds.")
    for label in labels:
        if not 1 <= len(label) <= MAX_NAME or not label.isprintable():
            raise Refused(
                f"The label {label[:40]!r} cannot be a type's name; use 1 to {MAX_NAME} characters that can be printed."
            )


def parts_of(samples: Sequence[Sample], count: int = PARTS) -> list[int]:
    """The part of each sample, 0 to ``count`` - 1: those of one type are dealt out in turn."""
    dealt: Counter[str] = Counter()
    parts = []
    for sample in samples:
        parts.append(dealt[sample.label] % count)
        dealt[sample.label] += 1
    return parts


def _base(samples: Sequence[Sample], note: str) -> Base:
    names = sorted({sample.label for sample in samples})
    number = {name: at for at, name in enumerate(names)}
    place, rows = _variants(samples)
    table = table_of(
        [tokens for _, _, tokens in rows],
        [size for _, size, _ in rows],
        [number[name] for name, _, _ in rows],
        len(names),
    )
    values, bias = _fit(samples, place, table)
    types = tuple(
        DeviceType(name, tuple(Variant(size, _frequent(tokens)) for owner, size, tokens in rows if owner == name))
        for name in names
    )
    return Base(types, weights_of(values, bias), note=note)


def _frequent(tokens: dict[str, int]) -> dict[str, int]:
    if len(tokens) <= MAX_TOKENS:
        return tokens
    return dict(sorted(tokens.items(), key=lambda item: (-item[1], item[0]))[:MAX_TOKENS])


def _variants(samples: Sequence[Sample]) -> tuple[list[int], list[tuple[str, int, dict[str, int]]]]:
    """(the row of each sample, the rows as (type, samples, how many of them say each token))."""
    members: dict[str, list[int]] = defaultdict(list)
    for at, sample in enumerate(samples):
        members[sample.label].append(at)
    place = [0] * len(samples)
    rows: list[tuple[str, int, dict[str, int]]] = []
    for label in sorted(members):
        groups: list[tuple[Counter[str], list[int]]] = []
        for at in members[label]:
            tokens = samples[at].tokens
            best = max(range(len(groups)), key=lambda one: _similarity(tokens, *groups[one]), default=-1)
            if best < 0 or (_similarity(tokens, *groups[best]) < ALIKE and len(groups) < MAX_VARIANTS):
                groups.append((Counter(tokens), [at]))
            else:
                groups[best][0].update(tokens)
                groups[best][1].append(at)
        for counts, group in groups:
            for at in group:
                place[at] = len(rows)
            rows.append((label, len(group), dict(counts)))
    return place, rows


def _similarity(tokens: frozenset[str], counts: Counter[str], group: list[int]) -> float:
    shared = sum(counts[token] for token in tokens) / len(group)
    return shared / max(len(tokens) + sum(counts.values()) / len(group) - shared, 1e-9)


def _fit(samples: Sequence[Sample], place: list[int], table: Table) -> tuple[Array, float]:
    """The weights that give each sample to its own type, and to none when that type is taken away."""
    chosen = _chosen(samples)
    whole = len(chosen)
    chosen = chosen + chosen  # once as it was captured, once as another place and time would show it
    rows = len(table.samples)
    space = np.zeros((len(chosen), rows, DIMENSIONS))
    mine = np.zeros((len(chosen), rows), bool)
    usable = np.ones((len(chosen), rows), bool)
    chance = np.random.default_rng(_SEED)
    for at, index in enumerate(chosen):
        own = place[index]
        present, unseen = table.presence(samples[index].tokens)
        counts, size = table.counts.copy(), table.samples.copy()
        counts[own] -= present
        if at >= whole:
            present, unseen = _elsewhere(chance, table, present, unseen)
        size[own] -= 1
        rate = rates(counts, size)
        nobody = counts.sum(0) <= 0
        lone = present * nobody
        unseen = unseen + np.bincount(table.facet[lone > 0], minlength=len(FACETS))
        weight = token_weights(rate, table.owner, table.types)
        space[at] = features(table, rate, weight, present - lone, unseen)
        mine[at] = table.owner == table.owner[own]
        usable[at, own] = size[own] > 0
    sizes = Counter(samples[index].label for index in chosen)
    share = np.array(
        [(1.0 if at < whole else _SHARE_ELSEWHERE) / sizes[samples[index].label] for at, index in enumerate(chosen)]
    )
    return _ascend(space, mine & usable, usable, share / share.mean())


def _elsewhere(chance: np.random.Generator, table: Table, present: Array, unseen: Array) -> tuple[Array, Array]:
    """The sample as a capture that missed some facets, of a device with a newer firmware, would show it."""
    lost = chance.random(len(FACETS)) < _LOST
    changed = (chance.random(len(FACETS)) < _CHANGED) & _CHANGES & ~lost
    replaced = np.bincount(table.facet, weights=present, minlength=len(FACETS)) * changed
    return present * ~(lost | changed)[table.facet], unseen * ~lost + replaced


def _chosen(samples: Sequence[Sample]) -> list[int]:
    if len(samples) <= FITTED:
        return list(range(len(samples)))
    each = max(FITTED // len({sample.label for sample in samples}), 2)
    taken: Counter[str] = Counter()
    chosen = []
    for at, sample in enumerate(samples):
        if taken[sample.label] < each:
            taken[sample.label] += 1
            chosen.append(at)
    return chosen[: FITTED * 2]


def _ascend(space: Array, mine: np.ndarray, usable: np.ndarray, share: Array) -> tuple[Array, float]:
    """Projected gradient with Adam's step sizes; weights stay at or above zero, so nothing ever speaks the wrong way."""
    prior = np.array([*(value for _ in range(4) for value in PRIOR), *_PRIOR_MASS, _PRIOR_BIAS])
    values = prior.copy()
    first, second = np.zeros_like(values), np.zeros_like(values)
    pull = _PRIOR_SAMPLES / (len(space) * 10.0)
    has_own = mine.any(1)
    for step in range(1, _STEPS + 1):
        scores = space @ values[:-1] + values[-1]
        slope = pull * (values - prior)
        for target, allowed, active in ((mine, usable, has_own), (None, usable & ~mine, np.ones(len(space), bool))):
            error = _error(scores, target, allowed) * (share * active)[:, None]
            slope[:-1] += np.tensordot(error, space, ([0, 1], [0, 1])) / len(space)
            slope[-1] += error.sum() / len(space)
        first = 0.9 * first + 0.1 * slope
        second = 0.99 * second + 0.01 * slope * slope
        move = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        values = values - _RATE * move
        values[:-1] = np.maximum(values[:-1], 0.0)
    return values[:-1], float(values[-1])


def _error(scores: Array, target: np.ndarray | None, allowed: np.ndarray) -> Array:
    """Probability given less probability wanted, for each candidate; without a target all should go to *none of these*."""
    given = _softmax(scores, allowed, outside=True)
    return given if target is None else given - _softmax(scores, target, outside=False)


def _softmax(scores: Array, allowed: np.ndarray, *, outside: bool) -> Array:
    kept = np.where(allowed, scores, -np.inf)
    top = np.where(allowed.any(1), kept.max(1, initial=-1e9), 0.0)
    if outside:
        top = np.maximum(top, 0.0)
    raised = np.exp(kept - top[:, None])
    total = raised.sum(1) + (np.exp(-top) if outside else 0.0)
    return np.asarray(raised / np.maximum(total, 1e-300)[:, None], dtype=np.float64)

"""How well a device's tokens fit each known type, and the answer that follows.

For each variant of a type and each facet two questions are asked: how much of what the device says does the type not say
(*unexplained*), and how much of what the type always says does the device not say (*missing*). A token weighs more the
fewer types say it and the more reliably they do. The learned weights turn the answers into one score for each variant;
the scores and an outside option of score 0 (*none of these*) share a softmax. So a device that contradicts every type is
unknown, however much one of them is the nearest.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bastide.core.error import Refused
from bastide.network.traffic.identity.base import PER_FACET, Base, Weights
from bastide.network.traffic.identity.facets import FACETS, facet_of
from bastide.network.traffic.identity.tokens import BLOCK

Array = NDArray[np.float64]

UNSEEN_WEIGHT = 2.0
"""Of a token that no type says: about that of one which two in twenty types say."""

ENOUGH = 6.0
"""Unexplained or missing weight of a facet beyond which more makes no difference."""

MAX_CANDIDATES = 5
MAX_BECAUSE = 6
NEAR = 0.5
"""A candidate that is at least this share as probable as the first one is not told apart from it."""

BLOCK_SHARE = 0.9
"""What a block of addresses gives to one of the types that say the same; the others keep the rest."""

MAX_CELLS = 50_000_000
"""Variants times tokens of a base in memory: 400 MB."""

DIMENSIONS = PER_FACET * len(FACETS) + 2


class TooLarge(Refused):
    """The base has more types and tokens than fit into memory."""

    code = "fingerprints:base:too-large"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A type that it may be. ``because`` are the tokens that speak for it, strongest first."""

    type: str
    confidence: float
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """``value`` is None where the answer is *unknown*. ``siblings`` are types that this answer cannot be told from."""

    value: str | None
    confidence: float
    unknown: float
    candidates: tuple[Candidate, ...]
    because: tuple[str, ...]
    siblings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """The variants as arrays: ``counts`` and ``samples`` by variant, ``owner`` is the number of a variant's type.

    ``groups`` has a row for each token and a 1 in the column of its facet.
    """

    vocabulary: dict[str, int]
    facet: NDArray[np.int64]
    groups: Array
    counts: Array
    samples: Array
    owner: NDArray[np.int64]
    types: int

    def presence(self, tokens: Iterable[str]) -> tuple[Array, Array]:
        """(1 for each known token that is there, how many unknown ones in each facet)."""
        present = np.zeros(len(self.vocabulary))
        unseen = np.zeros(len(FACETS))
        for token in tokens:
            if token.startswith(BLOCK):
                continue
            number = self.vocabulary.get(token)
            if number is None:
                unseen[facet_of(token)] += 1
            else:
                present[number] = 1
        return present, unseen


def table_of(counts: list[dict[str, int]], samples: list[int], owner: list[int], types: int) -> Table:
    said = sorted(token for token in set().union(*counts) if not token.startswith(BLOCK))
    vocabulary = {token: number for number, token in enumerate(said)}
    if len(counts) * len(vocabulary) > MAX_CELLS:
        raise TooLarge(
            f"{len(counts)} variants with {len(vocabulary)} different tokens are more than one base holds; "
            "keep fewer types in it."
        )
    array = np.zeros((len(counts), len(vocabulary)))
    for row, tokens in enumerate(counts):
        for token, count in tokens.items():
            if token in vocabulary:
                array[row, vocabulary[token]] = count
    facet = np.array([facet_of(token) for token in vocabulary], np.int64)
    groups = np.zeros((len(vocabulary), len(FACETS)))
    groups[np.arange(len(vocabulary)), facet] = 1
    return Table(vocabulary, facet, groups, array, np.array(samples, float), np.array(owner, np.int64), types)


def rates(counts: Array, samples: Array) -> Array:
    """How reliably each variant says each token, 0 to 1."""
    return np.asarray(counts / np.maximum(samples, 1.0)[:, None], dtype=np.float64)


def token_weights(rate: Array, owner: NDArray[np.int64], types: int) -> Array:
    """More for what few types say, and for what is said reliably by those that say it."""
    by_type = np.zeros((types, rate.shape[1]))
    np.maximum.at(by_type, owner, rate)
    spread = (by_type > 0.1).sum(0)
    rare = np.log((1 + types) / np.maximum(spread, 1))
    return np.asarray(rare * np.sqrt(by_type.max(0)) + 0.05, dtype=np.float64)


def features(table: Table, rate: Array, weight: Array, present: Array, unseen: Array) -> Array:
    """One row for each variant, ``DIMENSIONS`` columns; all but the last two speak against it."""
    heard = weight * present
    said = heard @ table.groups + unseen * UNSEEN_WEIGHT
    explained = (rate * heard) @ table.groups
    expected = (rate * weight) @ table.groups
    unexplained = np.maximum(said - explained, 0)
    missing = np.maximum(expected - explained, 0)
    mass = explained.sum(1, keepdims=True)
    return np.concatenate(
        [
            -unexplained / (said + 0.5),
            -np.minimum(unexplained, ENOUGH) / ENOUGH,
            -missing / (expected + 0.5),
            -np.minimum(missing, ENOUGH) / ENOUGH,
            mass / (mass + 2),
            mass / (mass + 8),
        ],
        axis=1,
    )


def parameters(weights: Weights) -> tuple[Array, float]:
    """The weights in the order of the features' columns, and the bias."""
    columns = [[weights.facets[name][part] for name in FACETS] for part in range(PER_FACET)]
    return np.array([*(value for column in columns for value in column), *weights.mass]), weights.bias


def weights_of(values: Array, bias: float) -> Weights:
    """The inverse of :func:`parameters`."""
    facets = len(FACETS)
    parts = values[: PER_FACET * facets].reshape(PER_FACET, facets)
    return Weights(
        facets={
            name: (float(parts[0, at]), float(parts[1, at]), float(parts[2, at]), float(parts[3, at]))
            for at, name in enumerate(FACETS)
        },
        mass=(float(values[-2]), float(values[-1])),
        bias=float(bias),
    )


def shares(scores: Array) -> Array:
    """Softmax with the outside option of score 0; what is missing to 1 is the probability of *none of these*."""
    top = max(float(scores.max(initial=0.0)), 0.0)
    raised = np.exp(scores - top)
    return np.asarray(raised / (raised.sum() + np.exp(-top)), dtype=np.float64)


def calibrated(points: tuple[tuple[float, float], ...], probability: float) -> float:
    """How often answers of this probability were right; the probability itself where nothing was learned about that."""
    if not points:
        return probability
    xs, ys = zip(*points, strict=True)
    return float(np.interp(probability, xs, ys))


class Matcher:
    """A fingerprint base made ready to be asked. It holds nothing of who asked."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.names = tuple(each.name for each in base.types)
        rows = [(number, variant) for number, each in enumerate(base.types) for variant in each.variants]
        self._table = table_of(
            [dict(variant.tokens) for _, variant in rows],
            [variant.samples for _, variant in rows],
            [number for number, _ in rows],
            len(base.types),
        )
        self._rate = rates(self._table.counts, self._table.samples)
        self._weight = token_weights(self._rate, self._table.owner, self._table.types)
        self._values, self._bias = parameters(base.weights)
        self._facet_value = np.array([sum(base.weights.facets[name]) for name in FACETS])
        self._blocks = tuple(
            frozenset(token for variant in each.variants for token in variant.tokens if token.startswith(BLOCK))
            for each in base.types
        )
        self._siblings = {name: group for group in base.siblings for name in group}

    def probabilities(self, tokens: Iterable[str]) -> tuple[Array, float]:
        """(of each type in the order of ``names``, of *none of these*), before calibration."""
        by_type, _ = self._probabilities(*self._table.presence(tokens))
        return by_type, float(max(1.0 - by_type.sum(), 0.0))

    def _probabilities(self, present: Array, unseen: Array) -> tuple[Array, Array]:
        rows = features(self._table, self._rate, self._weight, present, unseen)
        each = shares(rows @ self._values + self._bias)
        by_type = np.zeros(self._table.types)
        np.add.at(by_type, self._table.owner, each)
        return by_type, each

    def answer(self, tokens: Iterable[str]) -> Identity:
        """The ranked candidates, or *unknown* with the nearest ones. A device of which nothing is known is unknown."""
        tokens = frozenset(tokens)
        present, unseen = self._table.presence(tokens)
        by_type, by_variant = self._probabilities(present, unseen)
        by_type, block = self._by_block(tokens, by_type)
        unknown = float(max(1.0 - by_type.sum(), 0.0))
        order = np.argsort(-by_type, kind="stable")[:MAX_CANDIDATES]
        first = float(by_type[order[0]])
        certainty = calibrated(self.base.calibration, first)
        candidates = tuple(
            Candidate(
                self.names[number],
                round(certainty * float(by_type[number]) / first, 4) if first > 0 else 0.0,
                self._because(int(number), present, by_variant, block if number == order[0] else ""),
            )
            for number in order
            if by_type[number] >= 0.01 or number == order[0]
        )
        if unknown > self.base.cut_off or not candidates[0].because:
            return Identity(None, round(unknown, 4), round(unknown, 4), candidates, ())
        return Identity(
            value=candidates[0].type,
            confidence=candidates[0].confidence,
            unknown=round(unknown, 4),
            candidates=candidates,
            because=candidates[0].because,
            siblings=self._alike(candidates),
        )

    def _by_block(self, tokens: frozenset[str], by_type: Array) -> tuple[Array, str]:
        """Between types that say the same, the one whose units came from the device's block of addresses, where it is one only;
        (the probabilities, what decided)."""
        near = np.flatnonzero(by_type >= NEAR * by_type.max())
        if len(near) < 2 or by_type.max() <= 0:
            return by_type, ""
        own = {token for token in tokens if token.startswith(BLOCK)}
        fitting = [int(number) for number in near if own & self._blocks[number]]
        if len(fitting) != 1:
            return by_type, ""
        decided, together = by_type.copy(), float(by_type[near].sum())
        decided[near] *= (1 - BLOCK_SHARE) * together / max(together - float(by_type[fitting[0]]), 1e-12)
        decided[fitting[0]] = BLOCK_SHARE * together
        return decided, f"address {next(iter(own)).replace('=', ': ', 1)}"

    def _alike(self, candidates: tuple[Candidate, ...]) -> tuple[str, ...]:
        first = candidates[0]
        near = {each.type for each in candidates if each.confidence >= NEAR * first.confidence}
        group = set(self._siblings.get(first.type, ())) | near
        return tuple(sorted(group)) if len(group) > 1 else ()

    def _because(self, number: int, present: Array, by_variant: Array, block: str) -> tuple[str, ...]:
        """The tokens of the best variant of a type that the device says, those first that tell most; before them what
        decided between several."""
        rows = np.flatnonzero(self._table.owner == number)
        row = rows[int(np.argmax(by_variant[rows]))]
        worth = present * self._rate[row] * self._weight * self._facet_value[self._table.facet]
        best = np.argsort(-worth, kind="stable")[:MAX_BECAUSE]
        words = list(self._table.vocabulary)
        told = tuple(words[at].replace("=", ": ", 1) for at in best if worth[at] > 0)
        return (block, *told)[:MAX_BECAUSE] if block else told

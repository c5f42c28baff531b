"""How good a fingerprint base is on labelled devices: plain figures for people and for ``--json``."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from bastide.network.traffic.identity.learn import Sample, learn
from bastide.network.traffic.identity.match import Identity, Matcher

EDGES = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)


def figures(answers: Sequence[tuple[str, Identity]], learned: frozenset[str]) -> dict[str, Any]:
    """The figures of (label, answer) pairs. ``learned`` are the types of the base: whatever else is a device never seen.

    ``accuracy`` is the share of the ``n`` devices of learned types whose first answer is their type; *unknown* is wrong.
    ``accuracy_with_siblings`` also takes an answer that names the type among those that it cannot be told from.
    """
    known = [(label, answer) for label, answer in answers if label in learned]
    strange = [(label, answer) for label, answer in answers if label not in learned]
    right = sum(answer.value == label for label, answer in known)
    near = sum(_near(label, answer) for label, answer in known)
    unknown = sum(answer.value is None for _, answer in known)
    caught = sum(answer.value is None for _, answer in strange)
    bins = calibration(known)
    return {
        "accuracy": _share(right, len(known)),
        "accuracy_with_siblings": _share(near, len(known)),
        "n": len(known),
        "types": len({label for label, _ in known}),
        "per_type": per_type(known),
        "unknown": {
            "known_n": len(known),
            "known_answered_unknown": unknown,
            "known_rate": _share(unknown, len(known)),
            "never_learned_n": len(strange),
            "never_learned_answered_unknown": caught,
            "never_learned_rate": _share(caught, len(strange)),
            "never_learned_per_type": _strange(strange),
        },
        "calibration": bins,
        "calibration_error": _error(bins),
    }


def _near(label: str, answer: Identity) -> bool:
    return answer.value is not None and (answer.value == label or label in answer.siblings)


def per_type(known: Sequence[tuple[str, Identity]]) -> dict[str, Any]:
    """For each type: how many, how many right, unknown, and what the others were taken for."""
    grouped: dict[str, list[Identity]] = defaultdict(list)
    for label, answer in known:
        grouped[label].append(answer)
    return {
        label: {
            "n": len(answers),
            "right": sum(answer.value == label for answer in answers),
            "right_with_siblings": sum(_near(label, answer) for answer in answers),
            "unknown": sum(answer.value is None for answer in answers),
            "taken_for": dict(
                Counter(answer.value for answer in answers if answer.value not in (None, label)).most_common()
            ),
        }
        for label, answers in sorted(grouped.items())
    }


def _strange(strange: Sequence[tuple[str, Identity]]) -> dict[str, Any]:
    grouped: dict[str, list[Identity]] = defaultdict(list)
    for label, answer in strange:
        grouped[label].append(answer)
    return {
        label: {
            "n": len(answers),
            "unknown": sum(answer.value is None for answer in answers),
            "taken_for": dict(Counter(answer.value for answer in answers if answer.value is not None).most_common()),
        }
        for label, answers in sorted(grouped.items())
    }


def calibration(known: Sequence[tuple[str, Identity]]) -> list[dict[str, Any]]:
    """By stated confidence: how many answers, the mean confidence, and how many were right."""
    answered = [(answer.confidence, answer.value == label) for label, answer in known if answer.value is not None]
    found = []
    for low, high in pairwise(EDGES):
        inside = [(c, r) for c, r in answered if low <= c < high or (high == 1.0 and c == 1.0)]
        if inside:
            found.append(
                {
                    "from": low,
                    "to": high,
                    "n": len(inside),
                    "confidence": round(sum(c for c, _ in inside) / len(inside), 4),
                    "accuracy": _share(sum(r for _, r in inside), len(inside)),
                }
            )
    return found


def _error(bins: Sequence[dict[str, Any]]) -> float | None:
    total = sum(int(each["n"]) for each in bins)
    if not total:
        return None
    apart = sum(float(each["n"]) * abs(float(each["confidence"]) - float(each["accuracy"])) for each in bins)
    return round(apart / total, 4)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def cross_validated(samples: Sequence[Sample], parts: Sequence[int]) -> list[tuple[str, Identity]]:
    """The answer on each sample of a base that was learned without the samples of its part."""
    answers: list[tuple[str, Identity]] = []
    for part in sorted(set(parts)):
        taught = [sample for sample, own in zip(samples, parts, strict=True) if own != part]
        matcher = Matcher(learn(taught))
        answers += [
            (sample.label, matcher.answer(sample.tokens))
            for sample, own in zip(samples, parts, strict=True)
            if own == part
        ]
    return answers

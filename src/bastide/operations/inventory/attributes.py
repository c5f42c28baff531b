"""Every attribute is a statement: who said it, when, and how sure that source is of such a thing. None overwrites another.

A source that says something again replaces what it said before. Of what may have one value only, several values at once are
a conflict: it is shown, and what is shown first is the surest after age is taken into account, a person's word before all.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bastide.core.device import Attribute
from bastide.operations.inventory.sighting import Sighting

MOST = 200
"""Statements kept of one device, the newest first."""

PERSON: Final = "person"

EVIDENCE: Final = "type-evidence"
"""Attributes of this name are the tokens that speak for the type, the strongest first."""

CONFIDENCE: Final[Mapping[str, float]] = {
    "mac": 0.9,
    "vendor": 0.6,
    "address": 0.7,
    "host-name": 0.7,
    "protocol": 0.8,
    "service": 0.9,
    "model": 0.7,
    "firmware": 0.7,
    "mud-url": 0.7,
}
"""How sure a scan is: an address prefix says who bought the block; a name, model or firmware is what a device says of itself."""

SINGLE: Final = ("vendor", "type", "model", "firmware", "serial", "location", "support-ends", "maintenance-window")
"""What a device has one of at a time."""

DESCRIBED: Final = (
    "address",
    "cell",
    "model",
    "firmware",
    "type",
    "vendor",
    "serial",
    "location",
    "support-ends",
    "maintenance-window",
    "notes",
)
"""What a person may state of a device beside its owner, site and zone."""

HALVES_IN = timedelta(days=90)
"""After this time a scan's statement counts half as much as on the day that it was made. A person's does not age."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """``values`` with the attribute behind each, the surest first."""

    name: str
    values: tuple[Attribute, ...]


def stated(seen: Sighting, source: str) -> tuple[Attribute, ...]:
    """What a sighting states."""
    said: list[tuple[str, str, float]] = []
    for name, values in (
        ("mac", (seen.mac,)),
        ("vendor", (seen.vendor,)),
        ("address", seen.addresses),
        ("host-name", seen.host_names),
        ("protocol", seen.protocols),
        ("service", seen.services),
        ("model", seen.models),
        ("firmware", seen.firmware),
        ("mud-url", seen.mud_urls),
    ):
        # What says several models or firmwares at once is less sure of each.
        shared = len(values) if name in SINGLE else 1
        said += [(name, value, CONFIDENCE[name] / max(shared, 1)) for value in values if value]
    if seen.type:
        said.append(("type", seen.type, seen.type_confidence))
        said += [(EVIDENCE, token, seen.type_confidence) for token in seen.type_because]
    return tuple(Attribute(name, value, source, round(sure, 4), seen.last_seen) for name, value, sure in said)


def merged(known: Iterable[Attribute], fresh: Iterable[Attribute], source: str) -> tuple[Attribute, ...]:
    """What other sources said stays, what this one said is replaced. Bounded: the newest, a person's before all."""
    fresh = tuple(fresh)
    kept = [one for one in known if one.source != source]
    everything = (*fresh, *kept)
    if len(everything) <= MOST:
        return everything
    ranked = sorted(everything, key=lambda one: (one.source.startswith(PERSON), one.observed_at), reverse=True)
    return tuple(ranked[:MOST])


def described(known: Iterable[Attribute], facts: Mapping[str, str], source: str, at: datetime) -> tuple[Attribute, ...]:
    """With what a person states; an empty value takes a person's earlier statement back."""
    kept = tuple(one for one in known if not (one.source.startswith(PERSON) and one.name in facts))
    fresh = tuple(Attribute(name, value, source, 1.0, at) for name, value in sorted(facts.items()) if value)
    return (*fresh, *kept)[:MOST]


def weight(attribute: Attribute, now: datetime) -> float:
    """The confidence that is left of a statement now."""
    if attribute.source.startswith(PERSON):
        return attribute.confidence
    age = max((now - attribute.observed_at) / HALVES_IN, 0.0)
    return attribute.confidence * float(0.5**age)


def best(attributes: Iterable[Attribute], name: str, now: datetime) -> Attribute | None:
    """The statement to show first: a person's, else the one that weighs most now."""
    named = [one for one in attributes if one.name == name]
    return max(
        named,
        key=lambda one: (one.source.startswith(PERSON), weight(one, now), one.observed_at, one.value),
        default=None,
    )


def conflicts(attributes: Iterable[Attribute], now: datetime) -> tuple[Conflict, ...]:
    """Where sources contradict each other on what a device has one of."""
    by_name: dict[str, dict[str, Attribute]] = defaultdict(dict)
    for one in attributes:
        if one.name in SINGLE:
            before = by_name[one.name].get(one.value.casefold())
            if before is None or weight(one, now) > weight(before, now):
                by_name[one.name][one.value.casefold()] = one
    return tuple(
        Conflict(name, tuple(sorted(values.values(), key=lambda one: (-weight(one, now), one.value))))
        for name, values in sorted(by_name.items())
        if len(values) > 1
    )

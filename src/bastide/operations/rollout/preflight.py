"""Before the first octet leaves: what a release would do to each device, told from what devices last reported.

Counter and hardware are judged as ``device.boot.image.verify`` judges them on the device.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from bastide.operations.component.vendor import vendor_version

EXAMPLES = 20
"""Devices that are named for each hindrance; all are counted."""
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Hindrance(StrEnum):
    """Why a device is left out."""

    RUNS_IT = "runs-it"
    """It has this version already."""
    HARDWARE = "hardware"
    """The release does not name its hardware: the boot chain would refuse the image."""
    COUNTER = "counter"
    """Its confirmed security counter is above the release's: the boot chain would refuse the image."""
    INTERMEDIATE = "intermediate"
    """It runs a version below the one that must run before."""
    REQUIRES = "requires"
    """Another component is missing or older than the release needs."""
    SPACE = "space"
    """The image does not fit the slot."""
    KEY = "key"
    """It does not trust the key that signed, or trusts it no longer at this time."""
    UNKNOWN = "unknown"
    """It never reported what must be known; nothing is guessed."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What a device last reported as measured. None: never reported. ``keys`` is each trusted key with the end of its trust."""

    device: str
    hardware: str | None
    version: str | None
    counter: int | None
    slot_octets: int | None
    keys: Mapping[str, datetime]
    components: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a release demands. ``after`` is the oldest version that may take it; ``requires`` the oldest of other components;
    ``key`` the key that must be trusted, None where the boot chain alone judges it."""

    version: str
    counter: int
    hardware: frozenset[str]
    octets: int
    key: str | None
    after: str | None = None
    requires: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class Preflight:
    """Devices that can take it, devices that cannot by each reason (one device may have several), and a few of them by name.

    ``no_way_back`` counts those that can take it and whose running image the boot chain refuses once the new one is confirmed.
    """

    devices: int
    ready: int
    no_way_back: int
    hindered: Mapping[Hindrance, int]
    examples: Mapping[Hindrance, tuple[str, ...]]


class Judging:
    """A fleet judged device by device: each is added once and not held. ``now`` has a time zone."""

    def __init__(self, offer: Offer, now: datetime) -> None:
        self._offer, self._now, self._compare = offer, now, _Older()
        self._counts: Counter[Hindrance] = Counter()
        self._examples: dict[Hindrance, list[str]] = {}
        self._devices = self._ready = self._no_way_back = 0

    def add(self, one: Installed) -> None:
        self._devices += 1
        found = _hindrances(one, self._offer, self._now, self._compare)
        if not found:
            self._ready += 1
            self._no_way_back += (one.counter or 0) < self._offer.counter
        for hindrance in found:
            self._counts[hindrance] += 1
            named = self._examples.setdefault(hindrance, [])
            if len(named) < EXAMPLES:
                named.append(one.device)

    def result(self) -> Preflight:
        examples = {key: tuple(names) for key, names in self._examples.items()}
        return Preflight(self._devices, self._ready, self._no_way_back, dict(self._counts), examples)


def preflight(fleet: Iterable[Installed], offer: Offer, now: datetime) -> Preflight:
    """Judges a fleet that is at hand."""
    judging = Judging(offer, now)
    for one in fleet:
        judging.add(one)
    return judging.result()


def hindrances(one: Installed, offer: Offer, now: datetime) -> tuple[Hindrance, ...]:
    """Why this device is left out; empty where it can take the release."""
    return tuple(_hindrances(one, offer, now, _Older()))


class _Older:
    """Whether one version is older than another; a fleet runs few versions, so each pair is compared once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], bool] = {}

    def __call__(self, one: str, other: str) -> bool:
        told = self._known.get((one, other))
        if told is None:
            told = self._known[one, other] = vendor_version(one) < vendor_version(other)
        return told


def _hindrances(one: Installed, offer: Offer, now: datetime, older: _Older) -> list[Hindrance]:
    if one.version == offer.version:
        return [Hindrance.RUNS_IT]
    found = []
    if one.hardware is None or one.version is None or one.counter is None or one.slot_octets is None:
        found.append(Hindrance.UNKNOWN)
    if one.hardware is not None and one.hardware not in offer.hardware:
        found.append(Hindrance.HARDWARE)
    if one.counter is not None and one.counter > offer.counter:
        found.append(Hindrance.COUNTER)
    if offer.after is not None and one.version is not None and older(one.version, offer.after):
        found.append(Hindrance.INTERMEDIATE)
    for name, least in offer.requires.items():
        has = one.components.get(name)
        if has is None or older(has, least):
            found.append(Hindrance.REQUIRES)
            break
    if one.slot_octets is not None and one.slot_octets < offer.octets:
        found.append(Hindrance.SPACE)
    if offer.key is not None and ((ends := one.keys.get(offer.key)) is None or ends <= now):
        found.append(Hindrance.KEY)
    return found

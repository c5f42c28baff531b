"""What is new between two folds of a device: the things that an operator wants to hear of, and no more."""

from collections.abc import Iterable
from dataclasses import dataclass

from bastide.core.device import Attribute

WATCHED = ("type", "model", "firmware", "vendor")
"""What a scan says again each time; another value is a change. Addresses and leases change by themselves and are none."""

ADDED = ("service",)
"""Of these only what was never seen before counts: a service that was quiet in one capture has not gone."""


@dataclass(frozen=True, slots=True)
class Change:
    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name}: {self.before or 'nothing'} -> {self.after}"


def changes(before: Iterable[Attribute], fresh: Iterable[Attribute]) -> tuple[Change, ...]:
    """How what a source says now differs from what was known. What nobody spoke of before is no change."""
    known: dict[str, list[Attribute]] = {}
    for one in before:
        known.setdefault(one.name, []).append(one)
    now: dict[str, set[str]] = {}
    for one in fresh:
        now.setdefault(one.name, set()).add(one.value)
    found: list[Change] = []
    for name in WATCHED:
        earlier = {one.value for one in known.get(name, ())}
        for value in sorted(now.get(name, set()) - earlier):
            if earlier and not now[name] & earlier:
                newest = max(known[name], key=lambda one: (one.observed_at, one.value))
                found.append(Change(name, newest.value, value))
    for name in ADDED:
        earlier = {one.value for one in known.get(name, ())}
        if earlier:
            found += [Change(name, "", value) for value in sorted(now.get(name, set()) - earlier)]
    return tuple(found)

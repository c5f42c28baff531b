"""Rules that are not as they were loaded, from what the kernel lists (libnftables JSON). Pure.

Chains and fixed sets are compared with a snapshot that was taken when they were loaded; devices' elements with what the
plan says now. Sets that end by a clock (resolved names, exceptions) are not: elements leave them by themselves.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bastide.network.segmentation.ruleset import Ruleset

_MOVING = ("handle", "elem", "index")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was loaded: each table, chain, set and rule without its elements."""

    parts: Mapping[str, int]
    fixed: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Differences:
    """In words, at most a few of each; empty (false) where there are none."""

    found: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.found)


def snapshot(listing: Iterable[Mapping[str, Any]]) -> Snapshot:
    """Of a listing that is known to be as loaded."""
    parts: dict[str, int] = {}
    fixed: dict[str, frozenset[str]] = {}
    for one in listing:
        for kind, value in one.items():
            if kind != "metainfo":
                said = _said(kind, value)
                parts[said] = parts.get(said, 0) + 1
            if kind in ("set", "map"):
                fixed[_name(value)] = _elements(value)
    return Snapshot(parts, fixed)


def differences(
    loaded: Snapshot | None,
    listing: Iterable[Mapping[str, Any]],
    wanted: Mapping[str, frozenset[str]] | None,
    most: int = 8,
) -> Differences:
    """What is there and should not be, and the other way round. ``wanted`` is :func:`expected`, or None
    where nothing but the closed ruleset is loaded."""
    now = list(listing)
    found = snapshot(now)
    if not any("table" in one for one in now):
        return Differences(("the table is missing",))
    if loaded is None:
        return Differences(("nothing is known to have been loaded",))
    words: list[str] = []
    for said in sorted({*found.parts, *loaded.parts}):
        more = found.parts.get(said, 0) - loaded.parts.get(said, 0)
        if more:
            words.append(f"{'added' if more > 0 else 'removed'}: {said[:160]}")
    if wanted is not None:
        for value in (inner for one in now for inner in (one.get("set"), one.get("map")) if inner):
            if value["family"] != "inet" or "timeout" in value.get("flags", ()):
                continue
            own, held = value["name"], found.fixed[_name(value)]
            # An interval is listed in a form of the kernel's own.
            interval = "interval" in value.get("flags", ())
            right = loaded.fixed.get(_name(value), frozenset()) if interval else wanted.get(own, frozenset())
            words += [f"added to {own}: {element}" for element in sorted(held - right)[:most]]
            words += [f"removed from {own}: {element}" for element in sorted(right - held)[:most]]
    return Differences(tuple(words[: most * 2]))


def expected(ruleset: Ruleset, generation: int) -> dict[str, frozenset[str]]:
    """The elements of each set as the kernel lists them."""
    found: dict[str, frozenset[str]] = {"generation": frozenset({str(generation % 2**32)})}
    for one in ruleset.sets:
        if one.name == "generation":
            continue
        keys = [" . ".join(element).replace('"', "") for element in one.elements]
        if one.verdicts is not None:
            keys = [f"{key} : {chain}" for key, chain in zip(keys, one.verdicts, strict=True)]
        found[one.name] = frozenset(keys)
    return found


def _said(kind: str, value: Mapping[str, Any]) -> str:
    fixed = {key: one for key, one in value.items() if key not in _MOVING}
    if "expr" in fixed:  # libnftables lists counters even where they are not asked for
        fixed["expr"] = ["counter" if "counter" in one else one for one in fixed["expr"]]
    return f"{kind} " + json.dumps(fixed, sort_keys=True)


def _name(value: Mapping[str, Any]) -> str:
    return f"{value['family']} {value['name']}"


def _elements(value: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(_element(one) for one in value.get("elem", ()))


def _element(one: Any) -> str:
    if isinstance(one, list) and len(one) == 2 and isinstance(one[1], dict):
        verdict = next(iter(one[1].values()))
        target = verdict.get("target", "") if isinstance(verdict, dict) else ""
        return f"{_element(one[0])} : {target}"
    if isinstance(one, dict):
        if "concat" in one:
            return " . ".join(_element(part) for part in one["concat"])
        if "prefix" in one:
            return f"{one['prefix']['addr']}/{one['prefix']['len']}"
        if "elem" in one:
            return _element(one["elem"]["val"])
        return json.dumps(one, sort_keys=True)
    return str(one)

"""What a device says when it asks for an update, and what it is answered: JSON over its own TLS certificate.

    -> {"hardware": "rev-b", "version": "1.0", "counter": 1, "slot_octets": 8388608, "sha256": "…", "on_trial": false,
        "components": {"loader": "1.2"}, "attempt": {"rollout": "u-…", "because": "…"}}
    <- {"update": {"rollout": "u-…", "name": "door-camera", "version": "2.0", "target": "door-camera/2.0/image.bin",
        "octets": 4194304, "sha256": "…"}, "because": "", "again_in": 60}

``sha256`` is what the device measured: the digest over the image in the slot that runs, header and content, as it lies there.
``attempt`` is there when an update did not stay, and says why. The answer only names a release; that it is genuine the device
learns from the repository's signed metadata (TUF), and from its boot chain.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bastide.core.error import Unreadable
from bastide.core.ids import is_name

MAX_REPORT_BYTES = 16_384
MOST_COMPONENTS = 64
_LONGEST = 128
_BECAUSE = 500
_COUNTER = 2**32 - 1
_OCTETS = 2**48
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ROLLOUT = re.compile(r"u-[a-z2-7]{20}")
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Attempt:
    """An update that did not stay: whose it was, and why."""

    rollout: str
    because: str


@dataclass(frozen=True, slots=True)
class Report:
    """What runs on a device, as it measured it. Empty texts and None: it does not know."""

    hardware: str
    version: str
    counter: int | None
    slot_octets: int | None
    sha256: str
    on_trial: bool
    components: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """What a device is told to take. ``target`` is the TUF target path."""

    rollout: str
    name: str
    version: str
    target: str
    octets: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: the update to take now, or why there is none; when to ask again, in seconds."""

    update: Update | None
    because: str
    again_in: int


def read_report(octets: bytes) -> Report:
    """``Unreadable`` names the member that is wrong."""
    if len(octets) > MAX_REPORT_BYTES:
        raise _unreadable(f"it has more than {MAX_REPORT_BYTES:,} octets")
    try:
        told = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise _unreadable("it is no JSON") from error
    members = _members(
        told,
        "the report",
        {"hardware", "version", "counter", "slot_octets", "sha256", "on_trial"},
        {"components", "attempt"},
    )
    sha256 = _text(members, "sha256", 64)
    if sha256 and not _SHA256.fullmatch(sha256):
        raise _unreadable("sha256 is not 64 digits of lower-case hex")
    if not isinstance(members["on_trial"], bool):
        raise _unreadable("on_trial is neither true nor false")
    return Report(
        _text(members, "hardware"),
        _text(members, "version"),
        _number(members, "counter", _COUNTER),
        _number(members, "slot_octets", _OCTETS),
        sha256,
        members["on_trial"],
        _components(members.get("components") or {}),
        _attempt(members.get("attempt")),
    )


def report_octets(report: Report) -> bytes:
    """A report as it is sent."""
    told: dict[str, Any] = {
        "hardware": report.hardware,
        "version": report.version,
        "counter": report.counter,
        "slot_octets": report.slot_octets,
        "sha256": report.sha256,
        "on_trial": report.on_trial,
    }
    if report.components:
        told["components"] = dict(report.components)
    if report.attempt is not None:
        told["attempt"] = {"rollout": report.attempt.rollout, "because": report.attempt.because[:_BECAUSE]}
    return json.dumps(told).encode()


def read_told(octets: bytes) -> Told:
    """An answer, as the device reads it. ``Unreadable`` where it is none."""
    try:
        told = json.loads(octets) if len(octets) <= MAX_REPORT_BYTES else None
    except (ValueError, RecursionError) as error:
        raise _unreadable("it is no JSON") from error
    members = _members(told, "the answer", {"update", "because", "again_in"}, set())
    seconds = _number(members, "again_in", 86_400)
    if seconds is None:
        raise _unreadable("again_in is missing")
    return Told(_update(members["update"]), _text(members, "because", _BECAUSE), seconds)


def told_octets(told: Told) -> bytes:
    """An answer as it is sent."""
    update = None
    if (one := told.update) is not None:
        update = {
            "rollout": one.rollout,
            "name": one.name,
            "version": one.version,
            "target": one.target,
            "octets": one.octets,
            "sha256": one.sha256,
        }
    return json.dumps({"update": update, "because": told.because, "again_in": told.again_in}).encode()


def _update(told: Any) -> Update | None:
    if told is None:
        return None
    members = _members(told, "update", {"rollout", "name", "version", "target", "octets", "sha256"}, set())
    rollout, sha256 = _text(members, "rollout"), _text(members, "sha256", 64)
    octets = _number(members, "octets", _OCTETS)
    if not _ROLLOUT.fullmatch(rollout) or not _SHA256.fullmatch(sha256) or octets is None:
        raise _unreadable("update has no rollout, octets or sha256")
    target = _text(members, "target", 512)
    return Update(rollout, _text(members, "name"), _text(members, "version"), target, octets, sha256)


def _components(told: Any) -> Mapping[str, str]:
    if not isinstance(told, dict) or len(told) > MOST_COMPONENTS:
        raise _unreadable(f"components is no object of at most {MOST_COMPONENTS} names")
    for name, version in told.items():
        if not is_name(name) or not isinstance(version, str) or not 0 < len(version) <= _LONGEST:
            raise _unreadable(f"components: {name[:64]!r} is no name with a version")
    return told


def _attempt(told: Any) -> Attempt | None:
    if told is None:
        return None
    members = _members(told, "attempt", {"rollout", "because"}, set())
    rollout = _text(members, "rollout")
    if not _ROLLOUT.fullmatch(rollout):
        raise _unreadable("attempt names no rollout")
    return Attempt(rollout, _text(members, "because", _BECAUSE))


def _members(told: Any, what: str, needed: set[str], others: set[str]) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise _unreadable(f"{what} is no object")
    if missing := sorted(needed - set(told)):
        raise _unreadable(f"{what} has no {', '.join(missing)}")
    if unknown := sorted(set(told) - needed - others):
        raise _unreadable(f"{what} has {unknown[0][:64]!r}, which it must not")
    return told


def _text(members: Mapping[str, Any], name: str, most: int = _LONGEST) -> str:
    value = members[name]
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise _unreadable(f"{name} is no printable text of at most {most} characters")
    return value


def _number(members: Mapping[str, Any], name: str, most: int) -> int | None:
    value = members[name]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise _unreadable(f"{name} is no whole number from 0 to {most}")
    return value


def _unreadable(why: str) -> Unreadable:
    return Unreadable(
        f"This is not what a device and its Bastide say of updates: {why}.", code="update:report:unreadable"
    )

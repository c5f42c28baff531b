"""The learned fingerprint base as plain data, and its one document form.

The document is JSON, plain or compressed with gzip, and nothing else: no code is loaded from it. Rules: format and version
first; every size is bounded; numbers are finite; unknown keys, words and repeated keys are refused, so that a base of a
later version is never half understood.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from bastide.core.error import Unreadable
from bastide.network.traffic.identity.facets import FACET_OF, FACETS
from bastide.network.traffic.identity.tokens import MAX_TOKEN

FORMAT: Final = "bastide-fingerprints"
VERSION: Final = 1

MAX_OCTETS: Final = 64 * 1024 * 1024
"""Of a document, unpacked: some 5,000 types."""

MAX_TYPES: Final = 5000
MAX_VARIANTS: Final = 8
MAX_TOKENS: Final = 4096
MAX_NAME: Final = 120
MAX_KNOTS: Final = 32

PER_FACET: Final = 4
MASS: Final = 2


class BadBase(Unreadable):
    """The document is not a fingerprint base of this version."""

    code = "fingerprints:document:malformed"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which a type shows itself (a firmware, a hardware revision): in how many of ``samples`` a token was."""

    samples: int
    tokens: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DeviceType:
    name: str
    variants: tuple[Variant, ...]

    @property
    def samples(self) -> int:
        return sum(variant.samples for variant in self.variants)


@dataclass(frozen=True, slots=True)
class Weights:
    """What was learned of the facets: ``facets[name]`` are the weights of unexplained (share, mass) and missing (share, mass)
    evidence, ``mass`` those of explained evidence, ``bias`` is added to all."""

    facets: Mapping[str, tuple[float, float, float, float]]
    mass: tuple[float, float]
    bias: float


@dataclass(frozen=True, slots=True)
class Base:
    """``cut_off``: *unknown* is answered where it is more probable than this. ``calibration`` maps the model's probability
    to how often such answers were right. ``siblings``: types that the learned captures could not tell apart."""

    types: tuple[DeviceType, ...]
    weights: Weights
    cut_off: float = 0.5
    calibration: tuple[tuple[float, float], ...] = ()
    siblings: tuple[tuple[str, ...], ...] = ()
    note: str = ""


def encode(base: Base) -> bytes:
    """The document, the same octets for the same base; gzip (without a time in its header)."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "note": base.note,
        "cut_off": round(base.cut_off, 6),
        "calibration": [[round(x, 6), round(y, 6)] for x, y in base.calibration],
        "siblings": [list(group) for group in base.siblings],
        "weights": {
            "facets": {name: [round(value, 6) for value in base.weights.facets[name]] for name in FACETS},
            "mass": [round(value, 6) for value in base.weights.mass],
            "bias": round(base.weights.bias, 6),
        },
        "types": {
            each.name: [
                {"samples": variant.samples, "tokens": dict(sorted(variant.tokens.items()))}
                for variant in each.variants
            ]
            for each in sorted(base.types, key=lambda one: one.name)
        },
    }
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()) + packer.flush()


def decode(octets: bytes) -> Base:
    """The base of a document. ``BadBase`` says what is wrong with it."""
    try:
        document = json.loads(_unpacked(octets), object_pairs_hook=_once, parse_constant=_not_finite)
    except (ValueError, RecursionError) as error:
        raise _bad(f"it is not JSON ({error})") from error
    root = _object(
        document,
        "the document",
        ("format", "version", "note", "cut_off", "calibration", "siblings", "weights", "types"),
    )
    if root["format"] != FORMAT:
        raise _bad(f"its format is {root['format']!r}, not {FORMAT!r}")
    if root["version"] != VERSION:
        raise _bad(f"its version is {root['version']!r}; this Bastide reads version {VERSION}; learn it again")
    types = root["types"]
    if not isinstance(types, dict) or not 1 <= len(types) <= MAX_TYPES:
        raise _bad(f"types must be an object with 1 to {MAX_TYPES} members")
    known = tuple(DeviceType(_name(name), _variants(variants, name)) for name, variants in types.items())
    names = {each.name for each in known}
    siblings = tuple(
        tuple(_name(name) for name in _list(group, "siblings", 64))
        for group in _list(root["siblings"], "siblings", MAX_TYPES)
    )
    if any(name not in names for group in siblings for name in group):
        raise _bad("siblings name a type that is not there")
    calibration = tuple(_pair(point) for point in _list(root["calibration"], "calibration", MAX_KNOTS))
    if any(a[0] >= b[0] or a[1] > b[1] for a, b in pairwise(calibration)):
        raise _bad("the points of the calibration must rise")
    return Base(
        types=known,
        weights=_weights(root["weights"]),
        cut_off=_number(root["cut_off"], "cut_off", 0.0, 1.0),
        calibration=calibration,
        siblings=siblings,
        note=_text(root["note"], "note", 400),
    )


def _unpacked(octets: bytes) -> bytes:
    if len(octets) > MAX_OCTETS:
        raise _bad(f"it is larger than {MAX_OCTETS >> 20} MiB")
    if octets[:2] != b"\x1f\x8b":
        return octets
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(octets, MAX_OCTETS)
    except zlib.error as error:
        raise _bad(f"it cannot be unpacked ({error})") from error
    if not unpacker.eof:
        raise _bad(f"it is cut off, or larger than {MAX_OCTETS >> 20} MiB when unpacked")
    return plain


def _weights(value: object) -> Weights:
    root = _object(value, "weights", ("facets", "mass", "bias"))
    facets = _object(root["facets"], "weights.facets", FACETS)
    return Weights(
        facets={name: _four(facets[name], name) for name in FACETS},
        mass=_pair(root["mass"], 100.0),
        bias=_number(root["bias"], "bias", -100.0, 100.0),
    )


def _four(value: object, name: str) -> tuple[float, float, float, float]:
    numbers = [_number(one, f"weights.facets.{name}", 0.0, 100.0) for one in _list(value, name, PER_FACET)]
    if len(numbers) != PER_FACET:
        raise _bad(f"weights.facets.{name} must have {PER_FACET} numbers")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _variants(value: object, name: str) -> tuple[Variant, ...]:
    variants = _list(value, f"types.{name[:40]}", MAX_VARIANTS)
    if not variants:
        raise _bad(f"type {name[:40]!r} has no variant")
    return tuple(_variant(one, name) for one in variants)


def _variant(value: object, name: str) -> Variant:
    root = _object(value, f"a variant of {name[:40]}", ("samples", "tokens"))
    samples, tokens = root["samples"], root["tokens"]
    if type(samples) is not int or not 1 <= samples <= 1_000_000:
        raise _bad(f"a variant of {name[:40]!r} must have 1 to 1,000,000 samples")
    if not isinstance(tokens, dict) or len(tokens) > MAX_TOKENS:
        raise _bad(f"a variant of {name[:40]!r} must have at most {MAX_TOKENS} tokens")
    for token, count in tokens.items():
        if len(token) > MAX_TOKEN or token.split("=", 1)[0] not in FACET_OF or "=" not in token:
            raise _bad(f"{token[:60]!r} is not a token of this version")
        if type(count) is not int or not 1 <= count <= samples:
            raise _bad(f"token {token[:60]!r} is counted {count!r} times in {samples} samples")
    return Variant(samples, tokens)


def _object(value: object, what: str, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != set(keys):
        raise _bad(f"{what} must be an object with the members {', '.join(keys)}")
    return value


def _list(value: object, what: str, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise _bad(f"{what} must be a list of at most {most}")
    return value


def _pair(value: object, most: float = 1.0) -> tuple[float, float]:
    numbers = [_number(one, "a pair", 0.0, most) for one in _list(value, "a pair", 2)]
    if len(numbers) != 2:
        raise _bad("a pair must have two numbers")
    return numbers[0], numbers[1]


def _number(value: object, what: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise _bad(f"{what} must be a number from {least} to {most}")
    return float(value)


def _name(value: object) -> str:
    return _text(value, "the name of a type", MAX_NAME, least=1)


def _text(value: object, what: str, most: int, least: int = 0) -> str:
    if not isinstance(value, str) or not least <= len(value) <= most or not value.isprintable():
        raise _bad(f"{what} must be text of {least} to {most} characters that can be printed")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _bad(why: str) -> BadBase:
    return BadBase(f"The fingerprints cannot be read: {why}.")

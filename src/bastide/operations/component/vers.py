"""Version ranges: VERS (package-url/vers-spec), read strictly, answered in three values.

``vers:<scheme>/<constraint>|<constraint>|…`` in canonical form: no white space, constraints sorted by version and each version
once, versions percent-encoded once with upper-case hex digits. ``vers:<scheme>/*``, ``vers:all/*`` hold every version,
``vers:none/*`` none. Where a version has no place in the scheme's order, the answer is *unknown* and says why, except where the
text itself decides (the same version is named by ``=`` or ``!=``).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cmp_to_key
from itertools import pairwise
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from univers.version_range import RANGE_CLASS_BY_SCHEMES

from bastide.core.error import Unreadable
from bastide.operations.component.version import SCHEMES, Order, Scheme, compare, place, scheme_named

LONGEST = 65_536  # characters of one range; OSV's longest enumerations stay under it
MOST_CONSTRAINTS = 4_096


class Answer(StrEnum):
    YES = "true"
    NO = "false"
    UNKNOWN = "unknown"


class Comparator(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    AT_MOST = "<="
    AT_LEAST = ">="
    BELOW = "<"
    ABOVE = ">"


@dataclass(frozen=True, slots=True)
class Constraint:
    """One bound: ``version`` is the text as the maintainer writes it, decoded."""

    comparator: Comparator
    version: str


@dataclass(frozen=True, slots=True)
class Contained:
    """Whether a version is in a range; ``because`` says which constraint decided, or why nothing can be said."""

    answer: Answer
    because: str


@dataclass(frozen=True, slots=True)
class Range:
    """``constraints`` empty and ``everything`` True is ``*``; empty and False holds nothing."""

    scheme: Scheme
    constraints: tuple[Constraint, ...]
    everything: bool = False

    def __str__(self) -> str:
        if not self.constraints:
            return f"vers:{self.scheme.name}/*" if self.everything else "vers:none/*"
        return f"vers:{self.scheme.name}/" + "|".join(
            ("" if one.comparator is Comparator.EQUAL else one.comparator) + _encoded(one.version, self.scheme)
            for one in self.constraints
        )


_HEAD = re.compile(r"vers:([a-z][a-z0-9.-]*)/(.*)", re.DOTALL)
_TRIPLET = re.compile(r"%(..?)?")
_UNRESERVED = "~._-!*'()+"


def _encoded(version: str, scheme: Scheme) -> str:
    return quote(version, safe=_UNRESERVED + (":" if scheme.name == "datetime" else ""))


def _wrong(what: str) -> Unreadable:
    return Unreadable(f"non-canonical VERS: {what}", code="vers:form")


def parse(text: str) -> Range:
    """Reads a canonical VERS. ``Unreadable``: ``vers:form`` says what is not canonical, ``version:scheme`` an unknown scheme."""
    if len(text) > LONGEST:
        raise _wrong(f"longer than {LONGEST} characters")
    if any(one.isspace() for one in text):
        raise _wrong("whitespace is not permitted")
    head = _HEAD.fullmatch(text)
    if head is None:
        raise _wrong("expected vers:<scheme>/<constraints>, such as vers:npm/>=1.0.0|<2.0.0")
    name, body = head[1], head[2]
    if name in ("all", "none"):
        if body != "*":
            raise _wrong(f"vers:{name}/ takes * only")
        return Range(SCHEMES["lexicographic"], (), everything=name == "all")
    scheme = scheme_named(name)
    if body == "*":
        return Range(scheme, (), everything=True)
    _check_pipes(body)
    parts = body.split("|")
    if len(parts) > MOST_CONSTRAINTS:
        raise _wrong(f"more than {MOST_CONSTRAINTS} constraints")
    constraints = tuple(_constraint(part, scheme) for part in parts)
    _check_order(constraints, scheme)
    return Range(scheme, constraints)


def _check_pipes(body: str) -> None:
    if not body:
        raise _wrong("no constraint")
    if body.startswith("|"):
        raise _wrong("leading pipe is not permitted")
    if body.endswith("|"):
        raise _wrong("trailing pipe is not permitted")
    if "||" in body:
        raise _wrong("consecutive pipes are not permitted")


def _constraint(part: str, scheme: Scheme) -> Constraint:
    comparator = Comparator.EQUAL
    for sign in ("!=", "<=", ">=", "<", ">"):
        if part.startswith(sign):
            comparator, part = Comparator(sign), part.removeprefix(sign)
            break
    else:
        if part.startswith("="):
            raise _wrong("the equal comparator is not written")
    if not part or part == "*":
        raise _wrong("a constraint needs a version; * stands alone")
    return Constraint(comparator, _decoded(part, scheme))


def _decoded(text: str, scheme: Scheme) -> str:
    for triplet in _TRIPLET.finditer(text):
        if re.fullmatch(r"[0-9A-Fa-f]{2}", triplet[1] or "") is None:
            raise _wrong("invalid percent-encoding in version")
        if triplet[1] != triplet[1].upper():
            raise _wrong("percent-encoding in version is not canonical")
    if scheme.name == "datetime":
        if "%3A" in text:
            raise _wrong("datetime time colons must be unencoded")
        if re.search(r"[tz]", text):
            raise _wrong("datetime must use uppercase T and Z")
    try:
        version = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise _wrong("a version is not UTF-8") from None
    if re.search(r"[<>=!,|*]", text) is None and "%" in text and _encoded(version, scheme) != text:
        raise _wrong("percent-encoding in version is not canonical")
    return version


def _check_order(constraints: tuple[Constraint, ...], scheme: Scheme) -> None:
    seen: set[str] = set()
    for one in constraints:
        if one.version in seen:
            raise _wrong("a version stands in more than one constraint")
        seen.add(one.version)
    for before, after in pairwise(constraints):
        if compare(scheme, before.version, after.version).order in (Order.AFTER, Order.SAME):
            raise _wrong("constraints are not sorted by version")


def contains(range_: Range, version: str) -> Contained:
    """Whether the version is in the range (vers-spec, "Checking if a version is contained within a range")."""
    if not range_.constraints:
        return (
            Contained(Answer.YES, "* holds every version")
            if range_.everything
            else Contained(Answer.NO, "none holds no version")
        )
    scheme = range_.scheme
    for one in range_.constraints:
        if one.version == version or compare(scheme, one.version, version).order is Order.SAME:
            held = one.comparator in (Comparator.EQUAL, Comparator.AT_MOST, Comparator.AT_LEAST)
            if held or one.comparator is Comparator.NOT_EQUAL:
                return Contained(
                    Answer.YES if held else Answer.NO, f"it is {one.comparator}{one.version}".replace("is =", "is ")
                )
    bounds = [one for one in range_.constraints if one.comparator not in (Comparator.EQUAL, Comparator.NOT_EQUAL)]
    here = place(scheme, version)
    if not here.known:
        return Contained(Answer.UNKNOWN, here.because)
    for one in range_.constraints:
        there = place(scheme, one.version)
        if not there.known:
            return Contained(Answer.UNKNOWN, f"the range's {there.because}")
    if not bounds:
        only_not = all(one.comparator is Comparator.NOT_EQUAL for one in range_.constraints)
        return Contained(Answer.YES if only_not else Answer.NO, f"no constraint of {range_} names it")
    return _between(scheme, bounds, version)


def _between(scheme: Scheme, bounds: list[Constraint], version: str) -> Contained:
    upper = (Comparator.BELOW, Comparator.AT_MOST)
    lower: Constraint | None = None
    for one in bounds:
        order = compare(scheme, version, one.version).order
        if order is Order.UNKNOWN:
            return Contained(Answer.UNKNOWN, f"{version!r} and {one.version!r} have no common order in {scheme.name}")
        if one.comparator in upper:
            if order is Order.BEFORE and (lower is not None or one is bounds[0]):
                span = f"{lower.comparator}{lower.version}|" if lower else ""
                return Contained(Answer.YES, f"it is within {span}{one.comparator}{one.version}")
            lower = None
        else:
            if order is not Order.AFTER:
                break  # sorted: it stands before this span, and after the last one
            lower = lower or one
    else:
        if lower is not None:
            return Contained(Answer.YES, f"it is {lower.comparator}{lower.version}")
    return Contained(Answer.NO, "it is outside every span")


def from_native(scheme: str, text: str) -> Range:
    """An ecosystem's own range (npm ``^1.2``, gem ``~> 2.0``) as VERS. ``Unreadable`` (``vers:native``) where there is none."""
    known = scheme_named(scheme)
    if len(text) > 4_096:
        raise Unreadable(f"The {known.name} range is longer than 4,096 characters; give one range.", code="vers:native")
    reader = RANGE_CLASS_BY_SCHEMES.get(known.name)
    try:
        read: Any = reader.from_native(text) if reader else None  # type: ignore[no-untyped-call]
    except Exception as error:  # univers' readers raise whatever they stumble over, UnboundLocalError included
        raise Unreadable(
            f"{text!r} is not a range of {known.name} that Bastide can read.", code="vers:native"
        ) from error
    if read is None:
        raise Unreadable(
            f"{known.name} has no ranges of its own that Bastide can read; write it as VERS.", code="vers:native"
        )
    if any(one.comparator == "*" for one in read.constraints):
        return Range(known, (), everything=True)
    return Range(known, tuple(Constraint(Comparator(one.comparator), str(one.version)) for one in read.constraints))


def ordered(scheme: Scheme, versions: list[str]) -> list[str]:
    """The versions in the scheme's order. ``Unreadable`` (``version:form``) names the first that has no place in it."""
    for version in versions:
        if not (there := place(scheme, version)).known:
            raise Unreadable(f"{there.because}.", code="version:form")
    step = {Order.BEFORE: -1, Order.AFTER: 1}

    def stand(one: str, other: str) -> int:
        return step.get(compare(scheme, one, other).order, 0)

    return sorted(versions, key=cmp_to_key(stand))

"""Versions as device makers write them: ``V4.1 SP1 Update 2``, ``5.00.03``, ``3.40S``, ``2018 R2``, ``1.4 Build 160062919``.

There is no standard, so the order is partial and says so. What decides:

1. the numbers, dot by dot, absent ones zero: ``V4.1`` < ``V4.1.2`` < ``V4.2 SP1``, whatever follows;
2. with equal numbers, the levels in this order: service pack, release, update, hotfix, patch, build; an absent one is before
   the first, except a build, which is only compared with a build;
3. everything else (letters, dates beside numbers, wildcards, hardware or serial limits) has no order, except to itself.

A year as first number and a small first number are two ways of counting: they are not compared.

:func:`read_range` reads the ranges of CSAF product trees in the same spirit: what it cannot read it returns as such.
"""

import re
from dataclasses import dataclass

_PREFIX = re.compile(r"(?:versions?|firmware|rel(?:ease)?|rev(?:ision)?|ver|fw|sw|v|r)?[\s.:_]*(?=\d)", re.IGNORECASE)
_NUMBERS = re.compile(r"\d{1,18}(?:\.\d{1,18}){0,15}", re.ASCII)
_LEVELS = (
    ("service pack", r"(?:sp|service\s*pack|servicepack)"),
    ("release", r"(?:r|rel|release)"),
    ("update", r"(?:upd?|update|u)"),
    ("hotfix", r"(?:hf|hot\s*fix|hotfix)"),
    ("patch", r"(?:p|pl|patch|patch\s*level)"),
    ("build", r"(?:b|build|bld)"),
)
_LEVEL = re.compile(
    r"[\s._,()-]*(?:"
    + "|".join(rf"(?P<l{place}>{form})" for place, (_, form) in enumerate(_LEVELS))
    + r")[\s.#_-]*(?P<n>\d{1,18})(?!\d)",
    re.IGNORECASE | re.ASCII,
)
_BUILD = len(_LEVELS) - 1


@dataclass(frozen=True, slots=True, eq=False)
class VendorVersion:
    """``numbers`` without trailing zeros, ``levels`` by place in the table, ``rest`` what has no order. Comparing raises
    ``TypeError`` where there is no order between two."""

    text: str
    numbers: tuple[int, ...]
    levels: tuple[int | None, ...]
    rest: str
    padded: bool = False

    def _order(self, other: "VendorVersion") -> int:
        if self.text == other.text:
            return 0
        mine, theirs = (*self.numbers, 0), (*other.numbers, 0)
        if (mine[0] >= 1900) != (theirs[0] >= 1900):
            raise TypeError("a year and a number")
        if self.padded != other.padded and len(self.numbers) == len(other.numbers) == 2 and mine[0] == theirs[0]:
            raise TypeError("6.03 beside 6.3: nobody knows whether the maker counts decimally")
        width = max(len(mine), len(theirs))
        one, two = mine + (0,) * (width - len(mine)), theirs + (0,) * (width - len(theirs))
        if one != two:
            # A wildcard or a letter stands for the numbers that would follow: it must not decide beyond them.
            if self.rest or other.rest:
                common = min(len(self.numbers), len(other.numbers))
                if one[:common] == two[:common]:
                    raise TypeError("letters beside numbers")
            return -1 if one < two else 1
        if self.rest != other.rest:
            raise TypeError("letters without an order")
        for place, (here, there) in enumerate(zip(self.levels, other.levels, strict=True)):
            if here == there:
                continue
            if place == _BUILD and (here is None or there is None):
                raise TypeError("a build beside none")
            return -1 if (here or 0) < (there or 0) else 1
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VendorVersion) and self._order(other) == 0

    def __lt__(self, other: "VendorVersion") -> bool:
        return self._order(other) < 0

    def __hash__(self) -> int:
        raise TypeError("equality is partial, so there is no hash")


def vendor_version(text: str) -> VendorVersion:
    """``ValueError`` where there is no number to begin with."""
    body = text.strip()
    start = _PREFIX.match(body)
    numbers = _NUMBERS.match(body, start.end() if start else 0)
    if numbers is None:
        raise ValueError(text)
    parts = [int(part) for part in numbers[0].split(".")]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    levels: list[int | None] = [None] * len(_LEVELS)
    place = numbers.end()
    while (found := _LEVEL.match(body, place)) is not None:
        level = next(index for index in range(len(_LEVELS)) if found[f"l{index}"])
        if levels[level] is not None:
            break
        levels[level] = int(found["n"])
        place = found.end()
    return VendorVersion(
        text=" ".join(body.lower().split()),
        numbers=tuple(parts),
        levels=tuple(levels),
        rest=body[place:].strip(" .").lower(),
        padded=re.fullmatch(r"\d+\.0\d+", numbers[0]) is not None,
    )


@dataclass(frozen=True, slots=True)
class Bound:
    """One end: ``sign`` is one of ``< <= > >= =``."""

    sign: str
    version: str


@dataclass(frozen=True, slots=True)
class VendorRange:
    """``bounds`` hold together, ``named`` are single versions, ``everything`` is all; ``unread`` is what could not be read."""

    bounds: tuple[Bound, ...] = ()
    named: tuple[str, ...] = ()
    everything: bool = False
    unread: str = ""


_ALL = re.compile(
    r"(?:vers:\w+/)?(?:\*|all(?:\s+(?:known\s+)?(?:firmware\s+|software\s+)?versions?)?|any(?:\s+version)?)",
    re.IGNORECASE,
)
_VERSION = r"(?:[Vv]ersions?\s+)?(?P<v>[^<>=|,;]*?\d[^<>=|,;]*?)"
_SIGNED = re.compile(rf"\s*(?P<s><=|=<|≤|>=|=>|≥|<|>|=|==)\s*{_VERSION}\s*(?=$|[<>=≤≥|&,]|\band\b)", re.IGNORECASE)
_JOIN = re.compile(r"\s*(?:\||&|,|\band\b)?\s*", re.IGNORECASE)
_OLDER = r"(?:prior|earlier|below|older|lower|previous)"
_WORDED = (
    (re.compile(rf"(?:prior\s+to|before|earlier\s+than|lower\s+than|below)\s+{_VERSION}", re.IGNORECASE), "<"),
    (re.compile(rf"{_VERSION}\s*,?\s*(?:and|or|&)\s+{_OLDER}(?: versions?)?", re.IGNORECASE), "<="),
    (re.compile(rf"(?:up\s+to|through|until)(?:\s+and\s+including)?\s+{_VERSION}", re.IGNORECASE), "<="),
    (re.compile(rf"{_VERSION}\s*(?:and|or)\s+(?:later|newer|above|higher)(?:\s+versions?)?", re.IGNORECASE), ">="),
)  # fmt: skip
_NAMED = re.compile(r"[Vv]?\d[\w.-]{0,60}", re.ASCII)
_OPENING = re.compile(
    r"^(?:vers:\w+/|all\s+(?:firmware\s+|software\s+)?versions?\s+(?=[<>=≤≥]|prior|before|up|through|earlier))",
    re.IGNORECASE,
)
_SIGNS = {"=<": "<=", "≤": "<=", "=>": ">=", "≥": ">=", "==": "="}
LONGEST = 400


def read_range(text: str) -> VendorRange:
    """A range as makers and CSAF documents write it. Never raises; what cannot be read is ``unread``."""
    body = " ".join(text.split())
    if not body or len(body) > LONGEST:
        return VendorRange(unread=body[:LONGEST] or "nothing")
    if _ALL.fullmatch(body):
        return VendorRange(everything=True)
    rest = re.sub(
        r"^(?:vers:\w+/|all\s+(?:firmware\s+|software\s+)?versions?\s+(?=[<>=≤≥]|prior|before|up|through|earlier))",
        "",
        body,
        flags=re.IGNORECASE,
    )
    for form, sign in _WORDED:
        if (found := form.fullmatch(rest)) is not None:
            return _checked((Bound(sign, found["v"].strip()),), body)
    listed = [part.strip() for part in re.split(r"[|,;]", rest)]
    if len(listed) > 1 and all(_NAMED.fullmatch(part) for part in listed):
        return VendorRange(named=tuple(listed))
    bounds: list[Bound] = []
    place = 0
    while place < len(rest):
        found = _SIGNED.match(rest, place)
        if found is None:
            return VendorRange(unread=body)
        bounds.append(Bound(_SIGNS.get(found["s"], found["s"]), found["v"].strip()))
        joined = _JOIN.match(rest, found.end())
        place = joined.end() if joined else found.end()
    return _checked(tuple(bounds), body)


def _checked(bounds: tuple[Bound, ...], body: str) -> VendorRange:
    lower = [one for one in bounds if one.sign[0] == ">"]
    upper = [one for one in bounds if one.sign[0] == "<"]
    if not bounds or len(lower) > 1 or len(upper) > 1 or (len(bounds) > 1 and any(one.sign == "=" for one in bounds)):
        return VendorRange(unread=body)
    for one in bounds:
        try:
            read = vendor_version(one.version)
        except ValueError:
            return VendorRange(unread=body)
        if read.rest and re.search(
            r"[\s()]", read.rest
        ):  # more words than a version: a condition that we do not understand
            return VendorRange(unread=body)
    return VendorRange(bounds)

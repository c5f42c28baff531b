"""Banners recognised by recog's fingerprints (github.com/rapid7/recog, XML): who made what, in which version.

``<fingerprints matches="ssh.banner">`` holds ``<fingerprint pattern="..." flags="REG_ICASE">`` with ``<param pos name value>``:
position 0 is a constant, others are groups of the pattern; ``{name}`` in a value is another parameter. The first fingerprint of a
file that matches is the answer.

A base is somebody else's text. XML with a document type is refused; sizes are bounded; a pattern that Python cannot compile, or
that repeats nothing but repetitions (whose time doubles with each sign), is left out and counted; texts are cut to 255 signs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final
from xml.etree import ElementTree

from bastide.core.error import Unreadable

# What a pattern is made of; re offers it under no other name.
parser: Any = import_module("re._parser")

MAX_OCTETS = 16 << 20
MAX_FINGERPRINTS = 50_000
MAX_PATTERN = 2000
MAX_TEXT = 255
_FLAGS: Final = {
    "REG_ICASE": re.IGNORECASE,
    "REG_MULTILINE": re.MULTILINE,
    "REG_DOT_NEWLINE": re.DOTALL,
    "REG_LINE_ANY_CRLF": 0,
}
_REPEATS = frozenset((parser.MAX_REPEAT, parser.MIN_REPEAT))
_LONG = 16
"""Repeated so often and more, a repetition counts as one without an end."""

# The words of our dissectors, and the kinds of text in recog that they may be.
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "server": (
        "ssh.banner", "http_header.server", "ftp.banner", "telnet.banner", "smtp.banner", "rtsp_header.server", "pop3.banner",
        "imap4.banner",
    ),
    "upnp-server": ("http_header.server", "ssdp_header.server"),
    "sign-in": ("http_header.wwwauth",),
    "user-agent": ("sip_header.user_agent", "http_header.user_agent"),
    "snmp-description": ("snmp.sys_description",),
}  # fmt: skip


class BadRecog(Unreadable):
    """The document is none of recog's."""

    code = "recog:document:malformed"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    pattern: re.Pattern[str]
    constants: Mapping[str, str]
    groups: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a text says of whom. ``kind`` is recog's name of the kind of text."""

    kind: str
    text: str
    vendor: str
    product: str
    version: str
    certainty: float

    def as_json(self) -> dict[str, Any]:
        return {
            "vendor": self.vendor, "product": self.product, "version": self.version, "confidence": self.certainty,
            "source": f"recog {self.kind}", "text": self.text,
        }  # fmt: skip


@dataclass(slots=True)
class Recog:
    """Fingerprints by the kind of text. ``left_out`` counts patterns that are not used."""

    by_kind: dict[str, list[Fingerprint]]
    left_out: int = 0

    def add(self, octets: bytes) -> None:
        """Adds a document. ``BadRecog`` where it is none."""
        if len(octets) > MAX_OCTETS:
            raise BadRecog(f"A document of fingerprints is larger than {MAX_OCTETS >> 20} MiB.")
        if b"<!DOCTYPE" in octets[:4096] or b"<!ENTITY" in octets:
            raise BadRecog("A document of fingerprints has a document type, which recog's have not.")
        try:
            root = ElementTree.fromstring(octets)  # noqa: S314 - no document type, so no entity
        except ElementTree.ParseError as error:
            raise BadRecog(f"A document of fingerprints is no XML: {error}.") from error
        if root.tag != "fingerprints" or not root.get("matches"):
            raise BadRecog("A document is none of recog's: it begins with <fingerprints matches=...>.")
        kept = self.by_kind.setdefault(str(root.get("matches")), [])
        for each in root.iter("fingerprint"):
            made = _fingerprint(each)
            if made is None or len(kept) >= MAX_FINGERPRINTS:
                self.left_out += 1
            else:
                kept.append(made)

    def recognise(self, said: Iterable[tuple[str, str]]) -> tuple[Recognised, ...]:
        """What the (word, value) pairs of one device tell, each text by the first kind that knows it."""
        found: dict[tuple[str, str, str], Recognised] = {}
        for word, value in sorted(said):
            for kind in _KINDS.get(word, ()):
                told = self._of(kind, value)
                if told is not None:
                    found.setdefault((told.vendor, told.product, told.version), told)
                    break
        return tuple(found.values())

    def _of(self, kind: str, value: str) -> Recognised | None:
        text = _text(kind, value)
        if text is None:
            return None
        for fingerprint in self.by_kind.get(kind, ()):
            match = fingerprint.pattern.search(text)
            if match is None:
                continue
            facts = dict(fingerprint.constants)
            for name, group in fingerprint.groups.items():
                if match[group]:
                    facts[name] = match[group]
            vendor, product, version = (_first(facts, part) for part in ("vendor", "product", "version"))
            if vendor or product or version:
                return Recognised(kind, text, vendor, product, version, _certainty(facts))
        return None


def _text(kind: str, value: str) -> str | None:
    """The text as recog has it: of SSH's identification only the software, of FTP's and mail's greeting what follows the code."""
    value = value[:MAX_TEXT]
    if kind == "ssh.banner":
        return value.split("-", 2)[2] if value.startswith("SSH-") and value.count("-") >= 2 else None
    if value.startswith("SSH-"):
        return None
    if kind in ("ftp.banner", "smtp.banner"):
        return value[4:] if value[:3] == "220" else None
    return value


def _first(facts: Mapping[str, str], part: str) -> str:
    """Of the service, else of the operating system, else of the hardware; ``{name}`` stands for another fact."""
    for of in ("service", "os", "hw"):
        value = facts.get(f"{of}.{part}", "")
        if value:
            return re.sub(r"\{([\w.]+)\}", lambda named: facts.get(named[1], ""), value)[:120].strip()
    return ""


def _certainty(facts: Mapping[str, str]) -> float:
    for name in ("service.certainty", "os.certainty", "hw.certainty"):
        try:
            return min(max(float(facts[name]), 0.0), 1.0)
        except (KeyError, ValueError):
            continue
    return 0.85


def _fingerprint(element: ElementTree.Element) -> Fingerprint | None:
    text = element.get("pattern") or ""
    if not text or len(text) > MAX_PATTERN:
        return None
    flags = 0
    for name in (element.get("flags") or "").replace("|", ",").split(","):
        flags |= _FLAGS.get(name.strip(), 0)
    try:
        if _grows(parser.parse(text, flags)):
            return None
        pattern = re.compile(text, flags)
    except (re.error, RecursionError, OverflowError, ValueError):
        return None
    constants: dict[str, str] = {}
    groups: dict[str, int] = {}
    for param in element.iter("param"):
        name, place = param.get("name") or "", param.get("pos") or "0"
        if place == "0":
            constants[name] = param.get("value") or ""
        elif place.isdigit() and int(place) <= pattern.groups:
            groups[name] = int(place)
    return Fingerprint(pattern, constants, groups)


def _grows(parsed: Any, inside: bool = False) -> bool:
    """True where an endless repetition holds nothing but repetitions: ``(a+)+`` takes a time that doubles with each sign.

    ``(?:\\d+\\.)+`` holds a full stop that must be there each time, and does not.
    """
    items = list(parsed)
    repeats = [argument for operation, argument in items if operation in _REPEATS and int(argument[1]) >= _LONG]
    if inside and repeats and all(operation in _REPEATS for operation, _ in items):
        return True
    return any(
        _grows(each, endless) for operation, argument in items for each, endless in _within(operation, argument, inside)
    )


def _within(operation: Any, argument: Any, inside: bool) -> Iterator[tuple[Any, bool]]:
    """The parts of an operation, and whether each stands in an endless repetition."""
    if operation in _REPEATS:
        yield argument[2], int(argument[1]) >= _LONG
    elif operation is parser.SUBPATTERN:
        yield argument[-1], inside
    elif operation is parser.BRANCH:
        yield from ((each, inside) for each in argument[1])
    elif operation in (parser.ASSERT, parser.ASSERT_NOT):
        yield argument[1], False

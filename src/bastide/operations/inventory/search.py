"""Finding devices as one types: ``philips firmware:1.9 site:main standing:unknown conflict:``.

Words without a colon are looked for in everything that is known; ``name:value`` in one attribute or field, ``name:=value``
where it is just that; ``name:`` finds devices that have any such attribute, ``-`` before a term turns it round; double quotes
keep spaces together. All terms must hold.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bastide.core.device import Device
from bastide.core.error import Refused
from bastide.operations.inventory.attributes import conflicts

MAX_TERMS = 20
FIELDS = ("id", "name", "class", "owner", "site", "zone", "profile", "standing", "stage")


@dataclass(frozen=True, slots=True)
class Term:
    field: str
    value: str
    turned: bool = False
    exact: bool = False


def parse_query(text: str) -> tuple[Term, ...]:
    """The terms of a query. ``Refused`` where quotes do not end or there are too many."""
    lexer = shlex.shlex(text.casefold(), posix=True)
    # Only the double quote is one: an apostrophe is a sign like others, and so are # and \\.
    lexer.quotes, lexer.commenters, lexer.escape, lexer.whitespace_split = '"', "", "", True
    try:
        words = list(lexer)
    except ValueError as error:
        raise Refused("A quotation mark in the search has no end; close it.", code="inventory:search:quotes") from error
    if len(words) > MAX_TERMS:
        raise Refused(f"The search has more than {MAX_TERMS} terms; take fewer.", code="inventory:search:terms")
    return tuple(_term(word) for word in words if word.strip("-"))


def _term(word: str) -> Term:
    turned = word.startswith("-")
    word = word.removeprefix("-")
    name, colon, value = word.partition(":")
    # A bare MAC address has colons too.
    if not colon or not name.replace("-", "").isalpha() or len(name) <= 2:
        return Term("", word, turned)
    return Term(name, value.removeprefix("="), turned, exact=value.startswith("=") and len(value) > 1)


def words_of(terms: Sequence[Term]) -> tuple[str, ...]:
    """Words that the record of every device which matches holds somewhere: a sieve for a store, which may let more through."""
    return tuple(
        term.value
        for term in terms
        if term.value and term.value.isascii() and not term.turned and '"' not in term.value
    )


def matches(device: Device, terms: Sequence[Term], now: datetime) -> bool:
    """True where every term holds."""
    return all(_holds(device, term, now) != term.turned for term in terms)


def _holds(device: Device, term: Term, now: datetime) -> bool:
    if term.field == "conflict":
        return any(term.value in ("", each.name) for each in conflicts(device.attributes, now))
    fields = _fields(device)
    if term.field in fields:
        kept = fields[term.field].casefold()
        return _fits(term, kept) if term.value else bool(kept)
    said = [(one.name, one.value.casefold()) for one in device.attributes]
    if term.field:
        return any(name == term.field and _fits(term, value) for name, value in said)
    return any(term.value in value.casefold() for value in fields.values()) or any(term.value in v for _, v in said)


def _fits(term: Term, value: str) -> bool:
    return term.value == value if term.exact else term.value in value


def _fields(device: Device) -> dict[str, str]:
    return {
        "id": device.id,
        "name": device.name,
        "class": device.device_class,
        "owner": device.owner,
        "site": device.site,
        "zone": device.zone,
        "profile": device.profile,
        "standing": device.standing.value,
        "stage": device.stage.value,
    }

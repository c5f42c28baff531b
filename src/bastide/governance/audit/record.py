"""What a record's bytes are: one canonical JSON text per record, typed and versioned.

- UTF-8 JSON without white space, keys sorted, numbers in their shortest form; the only text that is accepted for a record
  is the one that writing it again gives, so one record has one hash.
- The members are ``actor at body form id kind subject version``. ``form`` is this form's number (1), ``version`` that of
  the record's kind. ``at`` is UTC with microseconds and ``Z``.
- A fact about a person stands as ``{"$personal": <hex>}``, a salted commitment (:mod:`bastide.governance.audit.personal`).
  Names that begin with ``$`` are reserved for such marks.
- At most 65,535 bytes, so that records fit the entry bundles of c2sp.org/tlog-tiles.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache, lru_cache
from math import isfinite
from typing import Any

import msgspec

from bastide.core.audit import Personal, Record, Recorded
from bastide.core.error import Refused, Unreadable
from bastide.core.ids import RecordId

FORM = 1
MAX_RECORD_BYTES = 65_535
# Nobody nests deeper on purpose, and whatever walks a body may do so by recursion.
MAX_DEPTH = 32
PERSONAL_MARK = "$personal"
ERASED = Personal("[erased]")

Commit = Callable[[str], str]
"""From the value of a personal fact to its commitment in hex; whoever gives it keeps salt and value."""

Reveal = Callable[[str], Personal]
"""From a commitment in hex to the fact, or to ``ERASED``."""


class RecordRefused(Refused):
    """The record cannot be written in the ledger's form."""

    code = "audit:record:refused"


class MalformedRecord(Unreadable):
    """The bytes are not a record in its canonical form."""

    code = "audit:record:malformed"


class Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record as it is in the tree. The members are declared in the order in which they are written: sorted."""

    actor: str | dict[str, str]
    at: str
    body: dict[str, Any]
    form: int
    id: str
    kind: str
    subject: str
    version: int


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Stored)
_SCALARS = frozenset((str, int, bool, type(None)))
_NAMES = frozenset((str,))


def write_record(
    record_id: str,
    kind: str,
    subject: str,
    actor: str | Personal,
    at: str,
    body: Mapping[str, Recorded],
    version: int,
    commit: Commit | None,
) -> bytes:
    """The canonical bytes of a record.

    ``at`` is as :func:`instant` writes it, ``body`` as :func:`plain` gives it, the other texts as :func:`presentable` does.
    ``commit`` may be None only where nothing in actor and body is personal.
    """
    if commit is not None:
        body = _sealed(body, commit)
        if isinstance(actor, Personal):
            actor = {PERSONAL_MARK: commit(actor.value)}  # type: ignore[assignment]
    stored = Stored(actor, at, body, FORM, record_id, kind, subject, version)  # type: ignore[arg-type]
    try:
        encoded = _encoder.encode(stored)
    except UnicodeEncodeError:
        # Text from a device may hold half a surrogate pair, which is no Unicode text; that must not stop the record of it.
        encoded = _encoder.encode(
            msgspec.structs.replace(stored, subject=_scrubbed(subject), body=_scrubbed(stored.body))
        )
    except (OverflowError, RecursionError) as wrong:
        raise RecordRefused(f"A {kind} record cannot be written: {wrong}. Shorten its body.") from wrong
    if len(encoded) > MAX_RECORD_BYTES:
        raise RecordRefused(
            f"A {kind} record has {len(encoded)} bytes and may have {MAX_RECORD_BYTES}: record a digest of what is large."
        )
    return encoded


def read_record(data: bytes) -> Stored:
    """The record in the bytes; ``MalformedRecord`` where they are none, or not in the one canonical form."""
    if len(data) > MAX_RECORD_BYTES:
        raise MalformedRecord(f"{len(data)} bytes are no record, which has at most {MAX_RECORD_BYTES}.")
    try:
        stored = _decoder.decode(data)
        again = _encoder.encode(stored)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as wrong:
        raise MalformedRecord(f"The bytes are not a record: {str(wrong)[:200]}.") from wrong
    if again != data:
        raise MalformedRecord("The record is not in its canonical form.")
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _deeper(stored.body, MAX_DEPTH):
        raise MalformedRecord(f"The body of the record is nested deeper than {MAX_DEPTH}.")
    if stored.form != FORM:
        raise MalformedRecord(f"The record has form {stored.form}, and this release reads form {FORM}.")
    if not isinstance(stored.actor, str) and list(stored.actor) != [PERSONAL_MARK]:
        raise MalformedRecord("The actor of the record is neither a name nor a commitment.")
    parse_instant(stored.at)
    return stored


def opened(stored: Stored, reveal: Reveal) -> Record:
    """The record with its personal facts filled in, as far as they are still there."""
    actor = stored.actor if isinstance(stored.actor, str) else reveal(stored.actor[PERSONAL_MARK])
    body = {name: _revealed(value, reveal) for name, value in stored.body.items()}
    at = parse_instant(stored.at)
    return Record(RecordId(stored.id), stored.kind, stored.subject, actor, at, body, stored.version)


def commitments(stored: Stored) -> list[str]:
    """The commitments in a record, the actor's first."""
    found: list[str] = []
    for value in (stored.actor, *stored.body.values()):
        if type(value) is dict or type(value) is list:
            _find(value, found)
    return found


def _find(value: Any, found: list[str]) -> None:
    if isinstance(value, dict):
        if list(value) == [PERSONAL_MARK] and isinstance(value[PERSONAL_MARK], str):
            found.append(value[PERSONAL_MARK])
        else:
            for one in value.values():
                _find(one, found)
    elif isinstance(value, list):
        for one in value:
            _find(one, found)


def flat(body: Any) -> Mapping[str, Recorded] | None:
    """A copy of a body of names and plain values, which most are, for little work; None where :func:`plain` must look."""
    if type(body) is not dict or not _NAMES.issuperset(map(type, body)) or PERSONAL_MARK in body:
        return None
    return body.copy() if _SCALARS.issuperset(map(type, body.values())) else None


def plain(body: Any) -> Mapping[str, Recorded]:
    """A mapping or one of core's dataclasses as nothing but mappings, lists, text, numbers and ``Personal``."""
    try:
        value = _plain(body)
        too_deep = _deeper(value, MAX_DEPTH)
    except RecursionError:
        too_deep = True
    if too_deep:
        raise RecordRefused(f"A record's body is nested deeper than {MAX_DEPTH}: record a digest of it.")
    if not isinstance(value, dict):
        raise TypeError(f"the body of a record is a mapping or a dataclass, not {type(body).__name__}")
    return value


@lru_cache(1024)
def presentable(text: str) -> str:
    """Text that every database and every JSON reader can hold: no NUL, no half of a surrogate pair."""
    if text.isascii():
        return text if "\0" not in text else text.replace("\0", "\ufffd")
    return _scrubbed(text.replace("\0", "\ufffd"))  # type: ignore[no-any-return]


def instant(at: datetime) -> str:
    """A time as records write it."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:26] + "Z"


def parse_instant(text: str) -> datetime:
    """The time that :func:`instant` wrote."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None and instant(at) == text:
            return at.astimezone(UTC)
    except ValueError:
        pass
    raise MalformedRecord(f"{text[:40]!r} is not a time as records write it.")


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _SCALARS or kind is Personal:
        return value
    if kind is float:
        # JSON has no infinity and no NaN; said as text they are still said.
        return value if isfinite(value) else str(value)
    if kind is dict or isinstance(value, Mapping):
        return {_name(name): one if type(one) in _SCALARS else _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if is_dataclass(kind):
        return {name: _plain(getattr(value, name)) for name in _fields(kind)}
    if isinstance(value, str | int | float):  # a subclass, NewType's or an enum's cousin
        return _plain(kind.__mro__[-2](value))
    raise TypeError(f"{kind.__name__} has no form in the ledger")


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(one, levels - 1) for one in inner)


def _name(name: Any) -> str:
    if type(name) is str and not name.startswith("$"):
        return name
    text = str(name)
    if text.startswith("$"):
        raise RecordRefused(f"A record's body may not have the name {text[:40]!r}: names with $ are reserved.")
    return text


@cache
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


def _sealed(value: Any, commit: Commit) -> Any:
    """The value with each ``Personal`` replaced by its commitment; the value itself where there is none."""
    if type(value) is dict:
        for one in value.values():
            if type(one) not in _SCALARS and type(one) is not float:
                return {name: _sealed(each, commit) for name, each in value.items()}
        return value
    if type(value) is list:
        return [_sealed(one, commit) for one in value]
    return {PERSONAL_MARK: commit(value.value)} if type(value) is Personal else value


def _revealed(value: Any, reveal: Reveal) -> Any:
    if isinstance(value, dict):
        if list(value) == [PERSONAL_MARK] and isinstance(value[PERSONAL_MARK], str):
            return reveal(value[PERSONAL_MARK])
        return {name: _revealed(one, reveal) for name, one in value.items()}
    return [_revealed(one, reveal) for one in value] if isinstance(value, list) else value


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_scrubbed(name): _scrubbed(one) for name, one in value.items()}
    return [_scrubbed(one) for one in value] if isinstance(value, list) else value

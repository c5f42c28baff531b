"""Evidence between processes: the JSON array ``[1, evidence]`` in canonical form, strict in, canonical out.

Kinds are dotted words, bodies are small and flat: what cannot be one fact is refused as a whole.
"""

import re
from typing import Literal

import msgspec

from bastide.core.error import Unreadable
from bastide.core.evidence import Evidence, Fact

# One fact is a few hundred bytes; what is larger is no fact but somebody's data.
MAX_BYTES = 16 * 1024
MAX_FACTS = 32
MAX_TEXT = 1024

_KIND = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+){0,7}")


class _Form(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Literal[1]
    fact: Evidence


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(_Form)


def encode_evidence(fact: Evidence) -> bytes:
    """The canonical bytes."""
    return _encoder.encode(_decoder.decode(_encoder.encode(_Form(1, fact))))


def decode_evidence(data: bytes) -> Evidence:
    """The fact in the bytes; Unreadable where they are not exactly one."""
    try:
        if len(data) > MAX_BYTES:
            raise ValueError("too long")
        form = _decoder.decode(data)
        canonical = _encoder.encode(form) == data
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise Unreadable(f"This is not evidence: {error}.", code="wire:evidence:unreadable") from error
    if not canonical:
        raise Unreadable("This evidence is not in canonical form.", code="wire:evidence:unreadable")
    fact = form.fact
    if (wrong := _wrong(fact)) != "":
        raise Unreadable(f"This evidence {wrong}.", code="wire:evidence:unreadable")
    return fact


def _wrong(fact: Evidence) -> str:
    if not _KIND.fullmatch(fact.kind) or len(fact.kind) > 100:
        return "has no kind of dotted words"
    if not all(0 < len(text) <= 200 for text in (fact.id, fact.subject.id, fact.source)):
        return "lacks an id, a subject or a source of at most 200 characters"
    if fact.observed_at.tzinfo is None or fact.received_at.tzinfo is None:
        return "has a time without a zone"
    if not 1 <= fact.count <= 2**53:
        return "counts nothing"
    if len(fact.body) > MAX_FACTS or any(len(name) > 100 or _long(value) for name, value in fact.body.items()):
        return f"has a body of more than {MAX_FACTS} facts, or a too long one"
    return ""


def _long(value: Fact) -> bool:
    return isinstance(value, str) and len(value) > MAX_TEXT

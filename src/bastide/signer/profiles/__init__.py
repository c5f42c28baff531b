"""The named signing profiles: one module each, and the table of them. What a profile does not allow is refused.

A profile has two functions. ``sign`` checks the request and signs; it also returns what the journal must note. ``again`` makes
the same answer from the request and that note, for a request that was already answered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bastide.core.merkle import EMPTY_ROOT
from bastide.signer.authority import Authorities


@dataclass(frozen=True, slots=True)
class Limits:
    """What the profiles allow, from the settings."""

    device_lifetime: timedelta = timedelta(days=398)
    server_lifetime: timedelta = timedelta(days=90)
    crl_lifetime: timedelta = timedelta(days=7)
    server_names: tuple[str, ...] = ("localhost",)


@dataclass(frozen=True, slots=True)
class Past:
    """What must never be forgotten: the last tree head that was signed, and the last CRL's number."""

    tree_size: int = 0
    tree_root: bytes = EMPTY_ROOT
    crl_number: int = 0


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that a profile may look at. ``entropy`` is 32 random bytes of this request's own."""

    authorities: Authorities
    limits: Limits
    past: Past
    now: datetime
    entropy: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """What leaves the signer, and what the journal notes of it."""

    body: bytes
    what: Mapping[str, Any]


Sign = Callable[[Any, Desk], Signed]
Again = Callable[[Any, Mapping[str, Any], Authorities], bytes]

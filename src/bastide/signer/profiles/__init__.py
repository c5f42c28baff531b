"""The named signing profiles: one module each, and the table of them. What a profile does not allow is refused.

A profile has two functions. ``sign`` checks the request and signs; it also returns what the journal must note. ``again`` makes
the same answer from the request and that note, for a request that was already answered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from bastide.core.merkle import EMPTY_ROOT
from bastide.device.identity.certificate import Issuer
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
    """What must never be forgotten: the last tree head that was signed, the last CRL's number, and what each ceremony
    installed (base64 of DER)."""

    tree_size: int = 0
    tree_root: bytes = EMPTY_ROOT
    crl_number: int = 0
    ceremonies: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that a profile may look at. ``entropy`` is 32 random bytes of this request's own; ``next_key`` gives the key
    that waits for an issuing CA, and makes it first where there is none."""

    authorities: Authorities
    limits: Limits
    past: Past
    now: datetime
    entropy: bytes
    next_key: Callable[[], EllipticCurvePrivateKey]

    @property
    def issuing(self) -> Issuer:
        """The issuing CA that is in use."""
        return self.authorities.issuing_at(self.now)


@dataclass(frozen=True, slots=True)
class Signed:
    """What leaves the signer, and what the journal notes of it."""

    body: bytes
    what: Mapping[str, Any]


Sign = Callable[[Any, Desk], Signed]
Again = Callable[[Any, Mapping[str, Any], Authorities], bytes]

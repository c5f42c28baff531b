"""The signer as the rest sees it: named profiles, no key ever leaves.

All methods are idempotent by ``request_id``: the same request again gives the same answer, another request under the
same id is refused. Each lets out ``Refused`` (the profile does not allow it; nothing was signed) and ``Unavailable``
(the signer does not answer; trying again with the same id is safe).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.core.error import BastideError
from bastide.core.ids import DeviceClass, DeviceId, RequestId


class Signer(Protocol):
    async def device_certificate(
        self,
        request_id: RequestId,
        *,
        csr: bytes,
        device: DeviceId,
        device_class: DeviceClass,
        not_before: datetime,
        not_after: datetime,
    ) -> bytes:
        """A device's client certificate (DER) over the key of the PKCS#10 request (DER). Subject and extensions are ours."""
        ...

    async def server_certificate(self, request_id: RequestId, *, csr: bytes, names: Sequence[str]) -> bytes:
        """A TLS server leaf (DER) for our own listeners. ``names`` are DNS names or IP addresses that the signer allows."""
        ...

    async def ocsp_certificate(self, request_id: RequestId, *, csr: bytes, issuer: str) -> bytes:
        """A delegated OCSP responder's certificate (DER, RFC 6960 4.2.2.2), a day long, by the issuing CA whose key identifier
        (hex) is ``issuer``. Subject and extensions are ours."""
        ...

    async def crl(
        self, request_id: RequestId, *, revoked: Sequence[tuple[int, datetime]], this_update: datetime, issuer: str
    ) -> bytes:
        """A full CRL (DER) of the issuing CA whose key identifier (hex) is ``issuer``: serial numbers with the time each was
        revoked."""
        ...

    async def next_issuing(self, request_id: RequestId) -> bytes:
        """The PKCS#10 request (DER) for the next issuing CA, over a key that is made for it and waits for its certificate."""
        ...

    async def take_authority(self, request_id: RequestId, *, certificates: Sequence[bytes]) -> str:
        """Installs what a ceremony signed (DER, device/identity/hierarchy.py): the next issuing CA, and the next root where it
        changes. The key identifier (hex) of the issuing CA."""
        ...

    async def checkpoint(
        self, request_id: RequestId, *, origin: str, size: int, root: bytes, consistency: Sequence[bytes]
    ) -> str:
        """A C2SP signed note over a tree head. Refused unless ``consistency`` (RFC 6962 2.1.2) proves that it extends the
        last one that the signer signed."""
        ...

    async def broker_user(self, request_id: RequestId, *, claims: bytes) -> str:
        """A NATS JWT over the claims (JSON), signed by the devices' account key.

        ``nats.type`` is ``user``, or ``authorization_response``, whose ``jwt`` may be the user's claims themselves: then both
        are signed in one request.
        """
        ...

    async def plan(self, request_id: RequestId, *, plan: bytes) -> bytes:
        """An Ed25519 signature over an encoded plan."""
        ...

    async def last_checkpoint(self) -> tuple[int, bytes] | None:
        """Size and root of the last tree head that was signed; None before the first."""
        ...


MOST_ISSUING = 32


def issuing_names() -> list[str]:
    """What the issuing CAs' keys are called in a store, oldest first."""
    return ["issuing", *(f"issuing-{number}" for number in range(2, MOST_ISSUING + 1))]


class KeysUnusable(BastideError):
    """The authority keys are missing, cannot be opened, or are not those of this installation."""

    code = "signer:keys:unusable"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The authority keys, inside the signer and nowhere else. Each does one thing.

    The types are those of ``cryptography``; the keys of a token are subclasses that sign inside the token. ``account`` is
    the NATS account of the devices. ``root`` is there until it is taken offline. ``issuing`` are those of the issuing CAs,
    oldest first; the last may wait for its certificate.
    """

    root: EllipticCurvePrivateKey | None
    issuing: tuple[EllipticCurvePrivateKey, ...]
    checkpoint: Ed25519PrivateKey
    account: Ed25519PrivateKey
    plan: Ed25519PrivateKey


class KeyStore(Protocol):
    """Where the authority keys are. Lets out ``KeysUnusable``."""

    @property
    def exists(self) -> bool:
        """True where all the keys are there."""
        ...

    @property
    def blocking(self) -> bool:
        """True where signing waits for something outside the process, and belongs on a thread of its own."""
        ...

    def create(self) -> KeyRing: ...

    def open(self) -> KeyRing: ...

    def with_next_issuing(self, ring: KeyRing) -> KeyRing:
        """The ring with one more issuing key, which is in the store then."""
        ...

    def without_root(self, ring: KeyRing) -> KeyRing:
        """The ring without the root's key, which is gone from the store, too, where keys can leave it at all."""
        ...

    def close(self) -> None: ...

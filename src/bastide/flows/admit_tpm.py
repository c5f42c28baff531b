"""A device proves itself by its TPM, in two steps: it is challenged, and enrols with what only its TPM could read.

    endorsement certificate, AK, key, the AK's word on the key    checked; a secret sealed for that TPM and AK is answered
    simpleenroll with the secret, a request over that key         let in as by a manufacturer certificate (admit_device)

So a certificate is issued only over a key that its TPM made and never gives away. A challenge is kept in memory, for minutes:
after a restart the device asks for another.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

from cryptography.hazmat.primitives.asymmetric import ec

from bastide.core.error import Refused, Unavailable
from bastide.device.credential.issuance import Certificate
from bastide.device.identity.manufacturer import Manufactured, read_endorsement
from bastide.device.identity.request import accept_request, key_digest
from bastide.device.identity.tpm import check_attestation_key, check_certified, make_credential, read_key
from bastide.flows.admit_device import Admitting, admit_made
from bastide.wire.tpm import Asked, Challenge

LASTS = timedelta(minutes=5)
MOST, MOST_OF_ONE = 4096, 8
SECRET_BYTES = 32
USERNAME = "t-"


@dataclass(frozen=True, slots=True)
class _Open:
    """A challenge that may be answered. ``secret`` is its digest, ``key`` that of the device's key."""

    made: Manufactured
    key: bytes
    secret: bytes
    ends: datetime


@dataclass(slots=True)
class TPMs:
    """``entropy`` gives random octets."""

    admitting: Admitting
    entropy: Callable[[int], bytes]
    _open: OrderedDict[str, _Open] = field(default_factory=OrderedDict)

    async def challenge(self, asked: Asked) -> Challenge:
        """``Refused`` says what does not prove that the key is in a TPM of a vendor who was named."""
        now = self.admitting.enrolling.clock.now()
        vendors = await self.admitting.admissions.vendors()
        made, endorsement = read_endorsement((asked.ek_certificate, *asked.chain), vendors, now)
        attestation, key = read_key(asked.ak, "attestation key"), read_key(asked.key, "key")
        check_attestation_key(attestation)
        check_certified(key, asked.attest, asked.signature, attestation)
        while self._open and next(iter(self._open.values())).ends <= now:
            self._open.popitem(last=False)
        same = [name for name, one in self._open.items() if one.made.serial == made.serial]
        if (
            len(same) >= MOST_OF_ONE
        ):  # an endorsement certificate is public: who has a copy takes no more room than this
            del self._open[same[0]]
        elif len(self._open) >= MOST:
            raise Unavailable("Too many devices are at this step. Ask again in a minute.", code="enrolment:tpm:full")
        secret = self.entropy(SECRET_BYTES)
        name = self.admitting.enrolling.ids.mint(USERNAME.rstrip("-"))
        self._open[name] = _Open(made, _digest_of(key.public), sha256(secret.hex().encode()).digest(), now + LASTS)
        credential = make_credential(endorsement, attestation.name, secret, self.entropy)
        return Challenge(name, credential, int(LASTS.total_seconds()))

    async def admit(self, name: str, secret: str, csr: bytes, label: str, source: str) -> Certificate:
        """The certificate of a device that answers its challenge; the same one where its answer was lost and it asks again."""
        request = accept_request(csr)
        held = self._open.get(name)
        answered = held is not None and compare_digest(held.secret, sha256(secret.encode()).digest())
        if held is None or not answered or held.ends <= self.admitting.enrolling.clock.now():
            raise Refused(
                "The challenge was not answered, or has ended. Ask for another one at /v1/tpm.",
                code="enrolment:tpm:secret",
            )
        if held.key != request.key_digest:
            raise Refused(
                "The request is over another key than the one that the TPM certified.", code="enrolment:tpm:key"
            )
        return await admit_made(held.made, request, label, source, self.admitting)


def _digest_of(key: object) -> bytes:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key_digest(key)
    raise Refused(
        "The device's key is not on P-256 or P-384; make it with tpm2_create -G ecc.", code="enrolment:tpm:key"
    )

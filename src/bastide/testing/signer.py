"""A signer in memory: it really signs, with keys that die with it, and really refuses.

What it checks is what every signer behind ``ports.keys`` checks (tests/ports/test_signer.py runs over both): proof of
possession and key rules, ids, validity, server names of this machine, plans, types of broker claims, a tree head that
extends the last one, one answer per request id. The real one checks broker claims line by line; here their type and the
device are enough.
"""

import ipaddress
import json
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from bastide.core.error import Refused, Unavailable
from bastide.core.ids import DeviceClass, DeviceId, RequestId, is_device_id, is_name
from bastide.core.merkle import EMPTY_ROOT, extends
from bastide.device.identity.ceremony import issuing_name
from bastide.device.identity.certificate import (
    Issuer,
    authority_certificate,
    common_name,
    device_certificate,
    ocsp_certificate,
    serial_number,
    server_certificate,
)
from bastide.device.identity.hierarchy import Hierarchy, key_id
from bastide.device.identity.request import accept_request
from bastide.ports.clock import Clock
from bastide.wire.checkpoint import head_text
from bastide.wire.nkeys import sign_jwt
from bastide.wire.note import VerifierKey, write_note

T = TypeVar("T")

DER = serialization.Encoding.DER
SERVER_LIFETIME = timedelta(days=30)
DEVICE_LIFETIME = timedelta(days=398)
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{7,127}")
EARLIEST, LATEST = timedelta(hours=1), timedelta(minutes=5)


class MemorySigner:
    """``root`` and ``issuing`` are its authorities. ``stop()`` makes it unavailable until ``start()``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[RequestId, tuple[object, object]] = {}
        self._last: tuple[int, bytes] | None = None
        self._crl_number = 0
        self._stopped = False
        self.root = _authority("Bastide test root", None, clock.now())
        first = _authority("Bastide test issuing CA", self.root, clock.now())
        self.hierarchy = Hierarchy((self.root.certificate,), (first.certificate,))
        self._keys = [first.key]
        self._waiting: ec.EllipticCurvePrivateKey | None = None
        self.plan_key = ed25519.Ed25519PrivateKey.generate()
        self.account_key = ed25519.Ed25519PrivateKey.generate()
        self.checkpoint_key = ed25519.Ed25519PrivateKey.generate()

    @property
    def issuing(self) -> Issuer:
        """The issuing CA that is in use."""
        return self._issuing_of(key_id(self.hierarchy.current(self._clock.now())))

    def stop(self) -> None:
        self._stopped = True

    def start(self) -> None:
        self._stopped = False

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
        def sign() -> bytes:
            if not is_device_id(device):
                raise Refused(f"{device[:64]!r} is not a device id.", code="signer:device:id")
            if not is_name(device_class):
                raise Refused(f"{device_class[:64]!r} is not the name of a device class.", code="signer:device:class")
            now = self._clock.now()
            in_time = now - EARLIEST <= not_before <= now + LATEST
            if not in_time or not timedelta(0) < not_after - not_before <= DEVICE_LIFETIME:
                raise Refused(
                    f"A device certificate cannot hold from {not_before} to {not_after}; it is {now}.",
                    code="signer:device:validity",
                )
            key = accept_request(csr).public_key
            builder = device_certificate(
                key,
                device,
                serial=serial_number(secrets.token_bytes(32)),
                not_before=not_before.replace(microsecond=0),
                not_after=not_after.replace(microsecond=0),
                issuer=self.issuing.certificate,
            )
            return self._signed(builder)

        return self._once(request_id, ("device", csr, device, device_class, not_before, not_after), sign)

    async def server_certificate(self, request_id: RequestId, *, csr: bytes, names: Sequence[str]) -> bytes:
        def sign() -> bytes:
            allowed = [_server_name(name) for name in names]
            if not allowed or len(set(allowed)) != len(allowed):
                raise Refused("A server certificate needs names, each once.", code="signer:server:names")
            now = self._clock.now().replace(microsecond=0)
            builder = server_certificate(
                accept_request(csr).public_key,
                allowed,
                serial=serial_number(secrets.token_bytes(32)),
                not_before=now - LATEST,
                not_after=now + SERVER_LIFETIME,
                issuer=self.issuing.certificate,
            )
            return self._signed(builder)

        return self._once(request_id, ("server", csr, tuple(names)), sign)

    async def ocsp_certificate(self, request_id: RequestId, *, csr: bytes, issuer: str) -> bytes:
        def sign() -> bytes:
            now, by = self._clock.now().replace(microsecond=0), self._issuing_of(issuer)
            builder = ocsp_certificate(
                accept_request(csr).public_key,
                serial=serial_number(secrets.token_bytes(32)),
                not_before=now - LATEST,
                not_after=now + timedelta(days=1),
                issuer=by.certificate,
            )
            return builder.sign(by.key, hashes.SHA256()).public_bytes(DER)

        return self._once(request_id, ("ocsp", csr, issuer), sign)

    async def crl(
        self, request_id: RequestId, *, revoked: Sequence[tuple[int, datetime]], this_update: datetime, issuer: str
    ) -> bytes:
        def sign() -> bytes:
            if abs(this_update - self._clock.now()) > LATEST:
                raise Refused(f"A revocation list cannot be dated {this_update}.", code="signer:crl:validity")
            serials = [serial for serial, _ in revoked]
            if len(set(serials)) != len(serials) or any(serial < 1 for serial in serials):
                raise Refused("A revocation list names a serial twice, or one that is none.", code="signer:crl:entries")
            by = self._issuing_of(issuer)
            self._crl_number += 1
            builder = (
                x509.CertificateRevocationListBuilder()
                .issuer_name(by.certificate.subject)
                .last_update(this_update)
                .next_update(this_update + timedelta(days=1))
                .add_extension(x509.CRLNumber(self._crl_number), critical=False)
            )
            for serial, at in revoked:
                one = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=at.astimezone(UTC))
                builder = builder.add_revoked_certificate(one.build())
            return builder.sign(by.key, hashes.SHA256()).public_bytes(DER)

        return self._once(request_id, ("crl", tuple(revoked), this_update, issuer), sign)

    async def next_issuing(self, request_id: RequestId) -> bytes:
        def sign() -> bytes:
            self._waiting = self._waiting or ec.generate_private_key(ec.SECP256R1())
            subject = common_name(issuing_name(self._waiting.public_key()))
            builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
            return builder.sign(self._waiting, hashes.SHA256()).public_bytes(DER)

        return self._once(request_id, ("next-issuing",), sign)

    async def take_authority(self, request_id: RequestId, *, certificates: Sequence[bytes]) -> str:
        def sign() -> str:
            if self._waiting is None:
                raise Refused("No key waits for an issuing CA.", code="authority:no-request")
            try:
                read = [x509.load_der_x509_certificate(der) for der in certificates]
            except ValueError as error:
                raise Refused(f"A certificate cannot be read: {error}.", code="authority:unreadable") from error
            self.hierarchy = self.hierarchy.with_next(read, self._waiting.public_key())
            self._keys.append(self._waiting)
            self._waiting = None
            return key_id(self.hierarchy.issuing[-1])

        return self._once(request_id, ("authority", tuple(certificates)), sign)

    async def checkpoint(
        self, request_id: RequestId, *, origin: str, size: int, root: bytes, consistency: Sequence[bytes]
    ) -> str:
        def sign() -> str:
            old_size, old_root = self._last or (0, EMPTY_ROOT)
            if not extends(old_size, old_root, size, root, consistency):
                raise Refused(
                    f"The tree head of size {size} does not extend the last one signed, of size {old_size}; the ledger "
                    "was set back or changed, restore the newest copy.",
                    code="signer:checkpoint:not-an-extension",
                )
            self._last = (size, root)
            key = VerifierKey(origin, self.checkpoint_key.public_key().public_bytes_raw())
            return write_note(head_text(origin, size, root), key, self.checkpoint_key.sign)

        return self._once(request_id, ("checkpoint", origin, size, root, tuple(consistency)), sign)

    async def broker_user(self, request_id: RequestId, *, claims: bytes) -> str:
        def sign() -> str:
            read = _object(claims, "signer:broker-user:claims")
            nats = read.get("nats")
            inner = nats.get("jwt") if isinstance(nats, dict) else None
            if isinstance(inner, dict):
                # The answer to an auth callout with the user's claims inside: both are signed in one request.
                read = {**read, "nats": {**read["nats"], "jwt": sign_jwt(inner, self.account_key)}}
            if not isinstance(nats, dict) or nats.get("type") not in ("user", "authorization_response"):
                raise Refused("The claims are neither a user's nor a response.", code="signer:broker-user:claims")
            return sign_jwt(read, self.account_key)

        return self._once(request_id, ("broker-user", claims), sign)

    async def plan(self, request_id: RequestId, *, plan: bytes) -> bytes:
        def sign() -> bytes:
            read = _object(plan, "signer:plan:unreadable")
            device, generation = read.get("device"), read.get("generation")
            if not isinstance(device, str) or not is_device_id(device) or type(generation) is not int or generation < 1:
                raise Refused("A plan to sign names no device, or no generation.", code="signer:plan:unreadable")
            return self.plan_key.sign(plan)

        return self._once(request_id, ("plan", plan), sign)

    async def last_checkpoint(self) -> tuple[int, bytes] | None:
        self._running()
        return self._last

    def _once(self, request_id: RequestId, asked: object, sign: Callable[[], T]) -> T:
        self._running()
        if not _REQUEST_ID.fullmatch(request_id):
            raise Refused(f"{request_id[:64]!r} is not a request id.", code="signing:request:unreadable")
        if request_id in self._answers:
            before, answer = self._answers[request_id]
            if before != asked:
                raise Refused(
                    f"Request {request_id} was used for something else; ask under a new id.",
                    code="signer:request:reused",
                )
            return answer  # type: ignore[return-value]  # what was asked is the same, so the answer's type is too
        signed = sign()
        self._answers[request_id] = (asked, signed)
        return signed

    def _issuing_of(self, identifier: str) -> Issuer:
        for certificate, key in zip(self.hierarchy.issuing, self._keys, strict=True):
            if key_id(certificate) == identifier:
                return Issuer(certificate, key)
        raise Refused(f"There is no issuing CA {identifier}.", code="signer:issuer:unknown")

    def _running(self) -> None:
        if self._stopped:
            raise Unavailable("The signer does not answer; start it again and repeat the request under the same id.")

    def _signed(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self.issuing.key, hashes.SHA256()).public_bytes(DER)


def _authority(name: str, parent: Issuer | None, now: datetime) -> Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = authority_certificate(
        key.public_key(),
        name,
        serial=serial_number(secrets.token_bytes(32)),
        not_before=now.replace(microsecond=0),
        not_after=now + timedelta(days=3650),
        issuer=parent.certificate if parent else None,
    )
    return Issuer(builder.sign(parent.key if parent else key, hashes.SHA256()), key)


def _server_name(name: str) -> str | IPv4Address | IPv6Address:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        if name == "localhost":
            return name
    else:
        if address.is_loopback:
            return address
    raise Refused(f"The signer makes no server certificate for {name!r}.", code="signer:server:names")


def _object(text: bytes, code: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise Refused("What is to be signed is not a JSON object.", code=code)
    return read

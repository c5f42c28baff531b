"""A signer in memory: it really signs, with keys that die with it, and really refuses.

What it checks is what every signer behind ``ports.keys`` checks: proof of possession, P-256 or P-384, a validity that is
not upside down, server names of this machine, a tree head that extends the last one, one answer per request id.
"""

import base64
import ipaddress
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bastide.core.error import Refused, Unavailable
from bastide.core.ids import DeviceClass, DeviceId, RequestId
from bastide.core.merkle import EMPTY_ROOT, extends
from bastide.ports.clock import Clock

T = TypeVar("T")

DER = serialization.Encoding.DER
SERVER_LIFETIME = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class MemorySigner:
    """``root`` and ``issuing`` are its authorities. ``stop()`` makes it unavailable until ``start()``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: dict[RequestId, tuple[object, object]] = {}
        self._last: tuple[int, bytes] | None = None
        self._stopped = False
        self.root = _authority("Bastide test root", None, clock.now())
        self.issuing = _authority("Bastide test issuing CA", self.root, clock.now())
        self.plan_key = ed25519.Ed25519PrivateKey.generate()
        self.account_key = ed25519.Ed25519PrivateKey.generate()
        self.checkpoint_key = ed25519.Ed25519PrivateKey.generate()

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
            if not_after <= not_before:
                raise Refused(
                    f"A certificate cannot end ({not_after}) before it begins ({not_before}).",
                    code="signer:device:validity",
                )
            subject = x509.Name([_common_name(device), _unit(device_class)])
            return self._leaf(_request(csr), subject, (), ExtendedKeyUsageOID.CLIENT_AUTH, not_before, not_after)

        return self._once(request_id, ("device", csr, device, device_class, not_before, not_after), sign)

    async def server_certificate(self, request_id: RequestId, *, csr: bytes, names: Sequence[str]) -> bytes:
        def sign() -> bytes:
            general = [_server_name(name) for name in names]
            if not general:
                raise Refused("A server certificate needs a name, and none was given.", code="signer:server:names")
            now = self._clock.now()
            subject = x509.Name([_common_name(names[0])])
            usage = ExtendedKeyUsageOID.SERVER_AUTH
            return self._leaf(_request(csr), subject, general, usage, now, now + SERVER_LIFETIME)

        return self._once(request_id, ("server", csr, tuple(names)), sign)

    async def crl(
        self, request_id: RequestId, *, revoked: Sequence[tuple[int, datetime]], this_update: datetime
    ) -> bytes:
        def sign() -> bytes:
            builder = x509.CertificateRevocationListBuilder(
                issuer_name=self.issuing.certificate.subject,
                last_update=this_update,
                next_update=this_update + timedelta(days=1),
            )
            for serial, at in revoked:
                one = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=at.astimezone(UTC))
                builder = builder.add_revoked_certificate(one.build())
            return builder.sign(self.issuing.key, hashes.SHA256()).public_bytes(DER)

        return self._once(request_id, ("crl", tuple(revoked), this_update), sign)

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
            text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
            signature = self.checkpoint_key.sign(text.encode())
            return f"{text}\n— {origin} {base64.b64encode(self._key_hash(origin) + signature).decode()}\n"

        return self._once(request_id, ("checkpoint", origin, size, root, tuple(consistency)), sign)

    async def broker_user(self, request_id: RequestId, *, claims: bytes) -> str:
        def sign() -> str:
            try:
                readable = isinstance(json.loads(claims), dict)
            except ValueError:
                readable = False
            if not readable:
                raise Refused("The claims of a broker user are not a JSON object.", code="signer:broker-user:claims")
            body = f"{_url64(json.dumps({'typ': 'JWT', 'alg': 'ed25519-nkey'}).encode())}.{_url64(claims)}"
            return f"{body}.{_url64(self.account_key.sign(body.encode()))}"

        return self._once(request_id, ("broker-user", claims), sign)

    async def plan(self, request_id: RequestId, *, plan: bytes) -> bytes:
        return self._once(request_id, ("plan", plan), lambda: self.plan_key.sign(plan))

    async def last_checkpoint(self) -> tuple[int, bytes] | None:
        self._running()
        return self._last

    def _once(self, request_id: RequestId, asked: object, sign: Callable[[], T]) -> T:
        self._running()
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

    def _running(self) -> None:
        if self._stopped:
            raise Unavailable("The signer does not answer; start it again and repeat the request under the same id.")

    def _leaf(
        self,
        request: x509.CertificateSigningRequest,
        subject: x509.Name,
        names: Sequence[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        not_before: datetime,
        not_after: datetime,
    ) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.issuing.certificate.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.issuing.key, hashes.SHA256()).public_bytes(DER)

    def _key_hash(self, origin: str) -> bytes:
        """The key id of a C2SP signed note: SHA-256 over name, newline, algorithm 1 and the key, the first 4 bytes."""
        public = self.checkpoint_key.public_key().public_bytes_raw()
        digest = hashes.Hash(hashes.SHA256())
        digest.update(origin.encode() + b"\n\x01" + public)
        return digest.finalize()[:4]


def _authority(name: str, parent: Authority | None, now: datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([_common_name(name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent.certificate.subject if parent else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0 if parent else 1), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Authority(builder.sign(parent.key if parent else key, hashes.SHA256()), key)


def _request(csr: bytes) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_der_x509_csr(csr)
        possessed = request.is_signature_valid
        key = request.public_key()
    except (ValueError, InvalidSignature) as unreadable:
        raise Refused(
            "The certificate request cannot be read as PKCS#10.", code="signer:csr:unreadable"
        ) from unreadable
    if not possessed:
        raise Refused("The request's signature does not match its key.", code="signer:csr:possession")
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in ("secp256r1", "secp384r1"):
        raise Refused("The request's key is not on P-256 or P-384; make such a key.", code="signer:csr:key")
    return request


def _server_name(name: str) -> x509.GeneralName:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        if name != "localhost":
            raise Refused(f"The signer allows no server of the name {name}.", code="signer:server:names") from None
        return x509.DNSName(name)
    if not address.is_loopback:
        raise Refused(f"The signer allows no server at {name}.", code="signer:server:names")
    return x509.IPAddress(address)


def _common_name(name: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COMMON_NAME, name)


def _unit(name: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, name)


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")

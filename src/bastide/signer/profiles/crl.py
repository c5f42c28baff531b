"""Profile ``crl``: full revocation lists of one issuing CA (RFC 5280 section 5).

- 5.1.2: version 2, with thisUpdate and nextUpdate; 5.2.1, 5.2.3: authority key identifier and a CRL number, which grows by
  one for each list. It allows a thisUpdate within five minutes of now, and each serial once, revoked in the past.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bastide.core.error import Refused
from bastide.device.identity.certificate import SIGNED_OVER, Issuer
from bastide.signer.authority import Authorities
from bastide.signer.profiles import Desk, Signed
from bastide.wire.signing import CRL

SLACK = timedelta(minutes=5)


def sign(ask: CRL, desk: Desk) -> Signed:
    this_update = datetime.fromtimestamp(ask.this_update, UTC)
    if abs(this_update - desk.now) > SLACK:
        raise Refused(
            f"A revocation list would be dated {this_update:%Y-%m-%d %H:%M:%S}Z, and now is {desk.now:%Y-%m-%d %H:%M:%S}Z.",
            code="signer:crl:validity",
        )
    if len({serial for serial, _ in ask.revoked}) != len(ask.revoked):
        raise Refused("A revocation list names one certificate twice.", code="signer:crl:entries")
    if any(at > ask.this_update or not any(serial) or serial[0] > 0x7F for serial, at in ask.revoked):
        raise Refused(
            "A revocation list names a certificate that is revoked in the future, or a serial that is not a positive "
            "number of at most 20 octets.",
            code="signer:crl:entries",
        )
    number = desk.past.crl_number + 1
    seconds = int(desk.limits.crl_lifetime.total_seconds())
    der = _build(ask, number, seconds, desk.authorities.issuing_of(ask.issuer))
    digest = sha256(der).hexdigest()
    noted = {"issuer": ask.issuer, "number": number, "entries": len(ask.revoked)}
    return Signed(der, {**noted, "seconds": seconds, "sha256": digest})


def again(ask: CRL, what: Mapping[str, Any], authorities: Authorities) -> bytes:
    return _build(ask, int(what["number"]), int(what["seconds"]), authorities.issuing_of(ask.issuer))


def _build(ask: CRL, number: int, seconds: int, by: Issuer) -> bytes:
    issuing = by.certificate
    this_update = datetime.fromtimestamp(ask.this_update, UTC)
    identifier = issuing.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuing.subject)
        .last_update(this_update)
        .next_update(this_update + timedelta(seconds=seconds))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial, at in ask.revoked:
        entry = x509.RevokedCertificateBuilder(
            serial_number=int.from_bytes(serial, "big"), revocation_date=datetime.fromtimestamp(at, UTC)
        )
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(by.key, SIGNED_OVER[by.key.curve.name]).public_bytes(Encoding.DER)

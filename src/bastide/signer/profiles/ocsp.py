"""Profile ``ocsp``: delegated OCSP responders of one issuing CA (RFC 6960 4.2.2.2), a day long.

It allows an acceptable PKCS#10 request; name, purpose and validity are the signer's own. What such a certificate can do is say
that a certificate is good or revoked, for a day: it can issue nothing, and be no client and no server.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from bastide.device.identity.certificate import ocsp_certificate, serial_number
from bastide.device.identity.request import accept_request
from bastide.signer.authority import Authorities
from bastide.signer.issue import issue
from bastide.signer.profiles import Desk, Signed
from bastide.wire.signing import OCSPResponder

BACKDATED = timedelta(minutes=5)
LIFETIME = timedelta(days=1)


def sign(ask: OCSPResponder, desk: Desk) -> Signed:
    request = accept_request(ask.csr)
    issuing = desk.authorities.issuing_of(ask.issuer)
    begins = (desk.now - BACKDATED).replace(microsecond=0)
    serial = serial_number(desk.entropy)
    builder = ocsp_certificate(
        request.public_key,
        serial=serial,
        not_before=begins,
        not_after=min(begins + BACKDATED + LIFETIME, issuing.certificate.not_valid_after_utc),
        issuer=issuing.certificate,
    )
    der = issue(builder, issuing).public_bytes(Encoding.DER)
    return Signed(der, {"serial": f"{serial:x}", "certificate": b64encode(der).decode()})


def again(_ask: OCSPResponder, what: Mapping[str, Any], _authorities: Authorities) -> bytes:
    return b64decode(str(what["certificate"]))

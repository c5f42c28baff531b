"""Profile ``next-issuing``: the request (PKCS#10) for the next issuing CA, over a key that this signer makes and keeps.

One key waits at a time: who asks again before its certificate is there gets a request over the same key.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bastide.device.identity.ceremony import issuing_name
from bastide.device.identity.certificate import SIGNED_OVER, common_name
from bastide.signer.authority import Authorities
from bastide.signer.profiles import Desk, Signed
from bastide.wire.signing import NextIssuing


def sign(_ask: NextIssuing, desk: Desk) -> Signed:
    key = desk.next_key()
    name = issuing_name(key.public_key())
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(name))
    der = builder.sign(key, SIGNED_OVER[key.curve.name]).public_bytes(Encoding.DER)
    return Signed(der, {"name": name, "request": b64encode(der).decode()})


def again(_ask: NextIssuing, what: Mapping[str, Any], _authorities: Authorities) -> bytes:
    return b64decode(str(what["request"]))

"""EST as a device speaks it (RFC 7030): simpleenroll with a claim, simplereenroll with the certificate that it has.

- 4.2.1: the request is PKCS#10 in base64 (RFC 8951: without a Content-Transfer-Encoding header), ``application/pkcs10``.
- 4.2.3: the answer is a certs-only PKCS#7, base64.
- 3.2.3: without a certificate the device authenticates by HTTP Basic inside TLS; here the user name and password of a claim.
"""

import base64
import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from bastide.core.error import Refused, Unavailable, Unreadable
from bastide.testing.fleet.identity import Identity, load_key, new_key, request_for, save

PATH = "/.well-known/est"
TIMEOUT_S = 30
MAX_ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where EST is, and the root (PEM file) that the device was made to trust."""

    host: str
    port: int
    trust: Path


@dataclass(frozen=True, slots=True)
class Claim:
    """What `bastide claim create` gave: good for one enrolment."""

    username: str
    password: str


def enrol(endpoint: Endpoint, claim: Claim, folder: Path, name: str) -> Identity:
    """Makes a key, has it certified under a claim and keeps both in a folder. ``Refused`` says why the server would not."""
    key = new_key()
    secret = base64.b64encode(f"{claim.username}:{claim.password}".encode()).decode()
    answer = _post(endpoint, "simpleenroll", request_for(key, name), _context(endpoint), f"Basic {secret}")
    return save(folder, key, _chain(answer, endpoint), endpoint.trust)


def renew(endpoint: Endpoint, identity: Identity, *, new: bool = True) -> Identity:
    """Re-enrols with the current certificate, by default under a new key (RFC 7030 4.2.2)."""
    context = _context(endpoint)
    context.load_cert_chain(identity.certificate, identity.key)
    key = new_key() if new else load_key(identity)
    answer = _post(endpoint, "simplereenroll", request_for(key, identity.device), context, None)
    return save(identity.folder, key, _chain(answer, endpoint), endpoint.trust)


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(endpoint.trust))


def _post(endpoint: Endpoint, operation: str, csr: bytes, context: ssl.SSLContext, authorization: str | None) -> bytes:
    headers = {"Content-Type": "application/pkcs10"}
    if authorization is not None:
        headers["Authorization"] = authorization
    connection = http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=TIMEOUT_S, context=context)
    try:
        connection.request("POST", f"{PATH}/{operation}", base64.b64encode(csr), headers)
        answer = connection.getresponse()
        body = answer.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as broken:
        raise Unavailable(f"EST at {endpoint.host}:{endpoint.port} does not answer: {broken}") from broken
    finally:
        connection.close()
    if answer.status in (202, 429, 503):
        raise Unavailable(f"EST asks to come back later ({answer.status}).")
    if answer.status != 200:
        reason = body.decode(errors="replace").strip() or answer.reason
        raise Refused(f"EST refused {operation} ({answer.status}): {reason[:500]}", code=f"est:{answer.status}")
    return body


def _chain(answer: bytes, endpoint: Endpoint) -> list[x509.Certificate]:
    """The leaf first, then what links it to the root; where the answer holds the leaf alone (RFC 7030 4.2.3), the rest is
    asked for."""
    try:
        certificates = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer))
    except ValueError as unreadable:
        raise Unreadable(
            f"EST answered with something that is not a PKCS#7 of certificates: {unreadable}"
        ) from unreadable
    issuers = {each.issuer for each in certificates}
    leaf = next((each for each in certificates if each.subject not in issuers), None)
    if leaf is None:
        raise Unreadable("EST answered without a leaf certificate.")
    behind = certificates if len(certificates) > 1 else cacerts(endpoint)
    # The root stays at home: a peer trusts its own copy or none.
    return [leaf, *(each for each in behind if each != leaf and each.subject != each.issuer)]


def cacerts(endpoint: Endpoint) -> list[x509.Certificate]:
    """The CA certificates that the server offers (RFC 7030 4.1), over a connection that is trusted already."""
    connection = http.client.HTTPSConnection(
        endpoint.host, endpoint.port, timeout=TIMEOUT_S, context=_context(endpoint)
    )
    try:
        connection.request("GET", f"{PATH}/cacerts")
        answer = connection.getresponse()
        body = answer.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as broken:
        raise Unavailable(f"EST at {endpoint.host}:{endpoint.port} does not answer: {broken}") from broken
    finally:
        connection.close()
    if answer.status != 200:
        raise Refused(f"EST gave no CA certificates ({answer.status}).", code=f"est:{answer.status}")
    return pkcs7.load_der_pkcs7_certificates(base64.b64decode(body))

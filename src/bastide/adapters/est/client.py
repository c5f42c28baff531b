"""EST as a device speaks it (RFC 7030, with the clarifications of RFC 8951).

- 4.2.1: the request is PKCS#10 in base64, without a Content-Transfer-Encoding header, ``application/pkcs10``.
- 4.2.3: the answer is a certs-only PKCS#7 in base64; or 202 with Retry-After, until a person approved.
- 3.2.3: a device without a certificate shows a claim by HTTP Basic, its maker's certificate in TLS, or nothing.
"""

import base64
import http.client
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from bastide.core.error import Refused, Unavailable, Unreadable
from bastide.device.identity.hierarchy import vouched

PATH = "/.well-known/est"
TIMEOUT_S = 30
MAX_ANSWER_BYTES = 64 * 1024
_LATER_S = 60


class Later(Unavailable):
    """The server asks to come back: ``seconds`` from now. ``waiting``: a person must approve first."""

    def __init__(self, sentence: str, seconds: int, *, waiting: bool) -> None:
        super().__init__(sentence, code="est:later")
        self.seconds = seconds
        self.waiting = waiting


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


# A certificate and its key, as PEM files; the same file twice where one holds both.
Shown = tuple[Path, Path]


def enrol(
    endpoint: Endpoint, csr: bytes, *, claim: Claim | None = None, shown: Shown | None = None, label: str = ""
) -> list[x509.Certificate]:
    """The new certificate and what links it to the root. ``Later`` and ``Refused`` carry the server's own sentence."""
    secret = base64.b64encode(f"{claim.username}:{claim.password}".encode()).decode() if claim else ""
    path = f"{label}/simpleenroll" if label else "simpleenroll"
    answer = _post(endpoint, path, csr, _context(endpoint, shown), f"Basic {secret}" if secret else None)
    return _chain(answer, endpoint)


def renew(endpoint: Endpoint, csr: bytes, shown: Shown) -> list[x509.Certificate]:
    """The same by the current certificate (4.2.2)."""
    return _chain(_post(endpoint, "simplereenroll", csr, _context(endpoint, shown), None), endpoint)


def cacerts(endpoint: Endpoint) -> list[x509.Certificate]:
    """The CA certificates that the server offers (4.1), over a connection that is trusted already."""
    status, reason, _, body = _ask(endpoint, "GET", "cacerts", None, {}, _context(endpoint, None))
    if status != 200:
        raise Refused(f"EST gave no CA certificates ({status} {reason}).", code=f"est:{status}")
    return _certificates(body)


def _context(endpoint: Endpoint, shown: Shown | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(endpoint.trust))
        if shown is not None:
            context.load_cert_chain(*shown)
    except (OSError, ssl.SSLError) as error:
        raise Unreadable(f"The certificates for EST cannot be loaded: {error}.", code="est:files") from error
    return context


def _post(endpoint: Endpoint, operation: str, csr: bytes, context: ssl.SSLContext, authorization: str | None) -> bytes:
    headers = {"Content-Type": "application/pkcs10"}
    if authorization is not None:
        headers["Authorization"] = authorization
    status, reason, later, body = _ask(endpoint, "POST", operation, base64.b64encode(csr), headers, context)
    told = body.decode(errors="replace").strip()[:500] or reason
    if status in (202, 429, 503):
        seconds = int(later) if later.isdigit() and 0 < int(later) <= 86_400 else _LATER_S
        raise Later(f"EST asks to come back later ({status}): {told}", seconds, waiting=status == 202)
    if status != 200:
        raise Refused(f"EST refused {operation} ({status}): {told}", code=f"est:{status}")
    return body


def _ask(
    endpoint: Endpoint,
    method: str,
    operation: str,
    body: bytes | None,
    headers: dict[str, str],
    context: ssl.SSLContext,
) -> tuple[int, str, str, bytes]:
    connection = http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=TIMEOUT_S, context=context)
    try:
        connection.request(method, f"{PATH}/{operation}", body, headers)
        answer = connection.getresponse()
        content = answer.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as broken:
        raise Unavailable(f"EST at {endpoint.host}:{endpoint.port} does not answer: {broken}") from broken
    finally:
        connection.close()
    return answer.status, answer.reason, answer.headers.get("Retry-After", ""), content


def _certificates(answer: bytes) -> list[x509.Certificate]:
    try:
        return pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer))
    except ValueError as unreadable:
        raise Unreadable(
            f"EST answered with something that is not a PKCS#7 of certificates: {unreadable}"
        ) from unreadable


def _chain(answer: bytes, endpoint: Endpoint) -> list[x509.Certificate]:
    """The leaf first, then what links it to the root; where the answer holds the leaf alone (4.2.3), the rest is asked for."""
    certificates = _certificates(answer)
    issuers = {each.issuer for each in certificates}
    leaf = next((each for each in certificates if each.subject not in issuers), None)
    if leaf is None:
        raise Unreadable("EST answered without a leaf certificate.")
    behind = certificates if len(certificates) > 1 else cacerts(endpoint)
    # The root stays at home: a peer trusts its own copy or none. Of several issuing CAs only its own belongs to a leaf.
    return [leaf, *(each for each in behind if each.subject == leaf.issuer and each.subject != each.issuer)]


def newer_trust(endpoint: Endpoint) -> list[x509.Certificate]:
    """What to trust from now on, where the server offers roots that a trusted one vouches for (4.1.3), these first; empty
    where it offers none."""
    try:
        trusted = x509.load_pem_x509_certificates(endpoint.trust.read_bytes())
    except (OSError, ValueError) as error:
        raise Unreadable(f"What this device trusts cannot be read: {error}.", code="est:files") from error
    found = vouched(trusted, cacerts(endpoint))
    return [*found, *trusted] if found else []

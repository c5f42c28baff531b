"""How a gateway joins: it makes its keys here, has its certificate issued under a claim (EST, RFC 7030), registers its key to
the broker over mutual TLS with that certificate, and pins whose plans it takes. Keys never leave the gateway.
"""

import base64
import http.client
import json
import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key, pkcs7
from cryptography.x509.oid import NameOID

from bastide.core.error import Refused, Unavailable, Unreadable
from bastide.core.ids import is_device_id
from bastide.wire.nkeys import Kind, encode_public, encode_seed

SECONDS = 30
MAX_ANSWER_BYTES = 64 * 1024
_PEM = serialization.Encoding.PEM


def join(server: str, trust: Path, username: str, password: str, identity: Path, rules: Path) -> tuple[str, str]:
    """Gives the gateway's device id and where the broker is. ``Refused`` where the server would not; nothing is kept then."""
    address = urlsplit(server)
    if address.scheme != "https" or not address.hostname:
        raise Refused(f"{server} is not an https address of the device endpoints.", code="gateway:join:server")
    if not trust.is_file():
        raise Refused(f"{trust} is not there: copy the platform's root.pem here first.", code="gateway:join:trust")
    at = (address.hostname, address.port or 9443)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    context = ssl.create_default_context(cafile=str(trust))
    secret = base64.b64encode(f"{username}:{password}".encode()).decode()
    answer = _post(
        at,
        "/.well-known/est/simpleenroll",
        base64.b64encode(request.public_bytes(serialization.Encoding.DER)),
        {"Content-Type": "application/pkcs10", "Authorization": f"Basic {secret}"},
        context,
    )
    leaf = _leaf(answer)
    name = str(leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    if not is_device_id(name):
        raise Unreadable(f"EST issued a certificate for {name!r}, which is no device id.", code="gateway:join:answer")
    for folder in (identity, rules):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(identity / "key.pem", private)
    _write(identity / "certificate.pem", leaf.public_bytes(_PEM))
    _write(identity / "trust.pem", trust.read_bytes())
    broker_key = Ed25519PrivateKey.generate()
    _write(identity / "broker.seed", f"{encode_seed(Kind.USER, broker_key.private_bytes_raw())}\n".encode())
    own = ssl.create_default_context(cafile=str(trust))
    own.load_cert_chain(identity / "certificate.pem", identity / "key.pem")
    public = encode_public(Kind.USER, broker_key.public_key().public_bytes_raw())
    told = json.loads(_post(at, "/v1/gateway", public.encode(), {"Content-Type": "text/plain"}, own))
    if told.get("gateway") != name or not isinstance(load_pem_public_key(told["plan_key"].encode()), Ed25519PublicKey):
        raise Unreadable("The platform answered with another gateway, or no plan key.", code="gateway:join:answer")
    _write(identity / "gateway.id", f"{name}\n".encode())
    _write(rules / "plan.pub", told["plan_key"].encode())
    _write(rules / "gateway.id", f"{name}\n".encode())
    return name, str(told["broker"])


def _post(at: tuple[str, int], path: str, body: bytes, headers: dict[str, str], context: ssl.SSLContext) -> bytes:
    connection = http.client.HTTPSConnection(*at, timeout=SECONDS, context=context)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"{at[0]}:{at[1]} does not answer: {error}", code="gateway:join:unavailable") from error
    finally:
        connection.close()
    if answer.status != 200:
        reason = content.decode(errors="replace").strip()[:500]
        raise Refused(f"{path} was refused ({answer.status}): {reason}", code=f"gateway:join:{answer.status}")
    return content


def _leaf(answer: bytes) -> x509.Certificate:
    try:
        found = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer))
    except ValueError as error:
        raise Unreadable("EST answered with what is no PKCS#7 of certificates.", code="gateway:join:answer") from error
    issuers = {one.issuer for one in found}
    leaf = next((one for one in found if one.subject not in issuers), None)
    if leaf is None:
        raise Unreadable("EST answered without a leaf certificate.", code="gateway:join:answer")
    return leaf


def _write(path: Path, content: bytes) -> None:
    aside = path.with_suffix(".new")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)

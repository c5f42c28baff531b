"""Profile ``server``: TLS leaves for Bastide's own listeners, short-lived, from the issuing CA.

It allows: an acceptable PKCS#10 request, and names that are ``localhost``, a loopback address, or in the settings
(``server_names``); no wildcards. The validity is the signer's own choice.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from bastide.core.error import Refused
from bastide.device.identity.certificate import serial_number, server_certificate
from bastide.device.identity.request import accept_request
from bastide.signer.authority import Authorities
from bastide.signer.issue import issue
from bastide.signer.profiles import Desk, Signed
from bastide.wire.signing import ServerCertificate

BACKDATED = timedelta(minutes=5)


def sign(ask: ServerCertificate, desk: Desk) -> Signed:
    names = [_allowed(name, desk.limits.server_names) for name in ask.names]
    if len(set(names)) != len(names):
        raise Refused("A server certificate is asked for with one name twice.", code="signer:server:names")
    request = accept_request(ask.csr)
    issuing = desk.issuing
    begins = (desk.now - BACKDATED).replace(microsecond=0)
    serial = serial_number(desk.entropy)
    builder = server_certificate(
        request.public_key,
        names,
        serial=serial,
        not_before=begins,
        not_after=min(begins + desk.limits.server_lifetime, issuing.certificate.not_valid_after_utc),
        issuer=issuing.certificate,
    )
    der = issue(builder, issuing).public_bytes(Encoding.DER)
    what = {"names": list(ask.names), "serial": f"{serial:x}", "certificate": b64encode(der).decode()}
    return Signed(der, what)


def again(_ask: ServerCertificate, what: Mapping[str, Any], _authorities: Authorities) -> bytes:
    return b64decode(str(what["certificate"]))


def _allowed(name: str, more: tuple[str, ...]) -> str | IPv4Address | IPv6Address:
    try:
        address = ip_address(name)
    except ValueError:
        if name == "localhost" or name in more:
            return name
    else:
        if address.is_loopback or name in more:
            return address
    raise Refused(
        f"The signer makes no server certificate for {name!r}. Loopback names are allowed, and those in "
        "BASTIDE_SIGNER_SERVER_NAMES: add it there if this machine is to answer by it.",
        code="signer:server:names",
    )

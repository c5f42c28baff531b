"""Profile ``device``: client certificates for devices, ``CN=<device id>``, from the issuing CA.

It allows: an acceptable PKCS#10 request (device/identity/request.py), a well-formed device id and class, a validity that
begins within an hour before and five minutes after now, lasts at most the configured time, and ends before the CA's does.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from bastide.core.error import Refused
from bastide.core.ids import DeviceId, is_device_id, is_name
from bastide.device.identity.certificate import device_certificate, serial_number
from bastide.device.identity.request import accept_request
from bastide.signer.authority import Authorities
from bastide.signer.issue import issue
from bastide.signer.profiles import Desk, Signed
from bastide.wire.signing import DeviceCertificate

EARLIEST = timedelta(hours=1)
LATEST = timedelta(minutes=5)


def sign(ask: DeviceCertificate, desk: Desk) -> Signed:
    if not is_device_id(ask.device):
        raise Refused(f"{ask.device[:64]!r} is not a device id.", code="signer:device:id")
    if not is_name(ask.device_class):
        raise Refused(f"{ask.device_class[:64]!r} is not the name of a device class.", code="signer:device:class")
    begins, ends = datetime.fromtimestamp(ask.not_before, UTC), datetime.fromtimestamp(ask.not_after, UTC)
    _check_validity(begins, ends, desk)
    request = accept_request(ask.csr)
    issuing = desk.issuing
    serial = serial_number(desk.entropy)
    builder = device_certificate(
        request.public_key,
        DeviceId(ask.device),
        serial=serial,
        not_before=begins,
        not_after=ends,
        issuer=issuing.certificate,
    )
    der = issue(builder, issuing).public_bytes(Encoding.DER)
    what = {
        "device": ask.device,
        "class": ask.device_class,
        "serial": f"{serial:x}",
        "not_after": ask.not_after,
        "certificate": b64encode(der).decode(),
    }
    return Signed(der, what)


def again(_ask: DeviceCertificate, what: Mapping[str, Any], _authorities: Authorities) -> bytes:
    return b64decode(str(what["certificate"]))


def _check_validity(begins: datetime, ends: datetime, desk: Desk) -> None:
    longest = desk.limits.device_lifetime
    if not desk.now - EARLIEST <= begins <= desk.now + LATEST:
        raise Refused(
            f"A device certificate would begin at {begins:%Y-%m-%d %H:%M:%S}Z, and now is {desk.now:%Y-%m-%d %H:%M:%S}Z; it "
            "may begin at most an hour before and five minutes after now.",
            code="signer:device:validity",
        )
    if not timedelta(0) < ends - begins <= longest:
        raise Refused(
            f"A device certificate would hold from {begins:%Y-%m-%d %H:%M}Z to {ends:%Y-%m-%d %H:%M}Z; at most "
            f"{longest.days} days are allowed.",
            code="signer:device:validity",
        )
    if ends > desk.issuing.certificate.not_valid_after_utc:
        raise Refused(
            "A device certificate would outlive the CA that issues it. Ask for a shorter validity, and plan the roll-over "
            "of the CA.",
            code="signer:device:validity",
        )

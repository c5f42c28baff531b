"""A device renews (or changes the key of) its certificate, with the current one (RFC 7030 4.2.2).

The certificate in use must be one that was issued here, and valid by the platform's state, not only by its dates: a suspended or
revoked device cannot renew itself back. The request's subject must be that of the certificate. The old certificate stays good
until it ends, so that a device may fail half-way and try again; the same certificate with the same new key again gives
the same answer.
"""

from cryptography import x509

from bastide.core.error import Conflict, Refused
from bastide.core.ids import RecordId, RequestId
from bastide.core.plan import CredentialState
from bastide.device.credential.issuance import Certificate, Issuance, Purpose
from bastide.device.identity.certificate import device_of, fingerprint
from bastide.device.identity.request import CertificateRequest, accept_request
from bastide.flows.issue_certificate import Enrolling, finish_issuance, intend
from bastide.ports.platform.stores import DeviceReads

# One in use, one to change to, and some whose answers were lost; a device that holds more is not renewing.
MOST_AT_ONCE = 8


class RenewalRefused(Refused):
    """A renewal that is not granted."""

    code = "renewal:refused"


async def renew_device(current: bytes, csr: bytes, devices: DeviceReads, with_: Enrolling) -> Certificate:
    """The next certificate of the device whose TLS certificate (DER) is ``current``. ``Refused`` says what is wrong."""
    held = await known(current, with_)
    request = accept_request(csr)
    _check_subject(request, current)
    request_id = RequestId(f"renew:{held.serial}:{request.key_digest.hex()[:32]}")
    before = await with_.reads.issuance(request_id)
    if before is not None:
        return await with_.reads.certificate_for(request_id) or await finish_issuance(before, with_)
    issuance = await _issuance(request_id, held, request, devices, with_)
    try:
        async with with_.units(f"device:{held.device}") as work:
            work.credentials.must_be_valid(held.serial)
            issuance = intend(work, issuance)
    except Conflict:
        await known(current, with_)  # refused by now?
        before = await with_.reads.issuance(request_id)
        if before is None:
            raise
        issuance = before
    return await finish_issuance(issuance, with_)


async def known(current: bytes, with_: Enrolling) -> Certificate:
    """The stored certificate that a device showed in TLS, if it may be used now."""
    held = await with_.reads.certificate(fingerprint(current))
    if held is None:
        raise RenewalRefused(
            "This certificate is not among those that this platform issued. Enrol with a claim.",
            code="renewal:certificate:unknown",
        )
    if held.state is not CredentialState.VALID:
        raise RenewalRefused(
            f"The certificates of {held.device} are {held.state.value}, so it gets no new one. `bastide device explain "
            f"{held.device}` says why.",
            code=f"renewal:certificate:{held.state.value}",
        )
    if with_.clock.now() >= held.not_after:
        raise RenewalRefused(
            f"The certificate of {held.device} ended at {held.not_after:%Y-%m-%d %H:%M:%S}Z. Enrol again, with a new claim.",
            code="renewal:certificate:expired",
        )
    return held


def _check_subject(request: CertificateRequest, current: bytes) -> None:
    device = device_of(x509.load_der_x509_certificate(current))
    if request.common_names != (device,) or len(list(request.subject)) != 1:
        raise RenewalRefused(
            f"The request's subject is {request.subject.rfc4514_string()[:120]!r}; to renew, it must be that of the current "
            f"certificate, CN={device}.",
            code="renewal:subject",
        )


async def _issuance(
    request_id: RequestId, held: Certificate, request: CertificateRequest, devices: DeviceReads, with_: Enrolling
) -> Issuance:
    now = with_.clock.now()
    alive = [one for one in await with_.reads.certificates(held.device, 64) if one.not_after > now]
    if len(alive) >= MOST_AT_ONCE:
        raise RenewalRefused(
            f"{held.device} has {len(alive)} certificates that have not ended, and may have {MOST_AT_ONCE}. Use the newest one.",
            code="renewal:too-many",
        )
    device = await devices.get(held.device)
    begins, ends = with_.validity()
    return Issuance(
        request=request_id,
        purpose=Purpose.RENEW,
        device=held.device,
        device_class=device.device_class,
        owner=device.owner,
        site=device.site,
        claim=None,
        csr=request.der,
        key=request.key_digest.hex(),
        not_before=begins,
        not_after=ends,
        record=RecordId(""),
    )

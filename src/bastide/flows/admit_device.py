"""A device enrols without a claim: by its manufacturer certificate, or by asking and waiting for a person.

    manufacturer certificate, serial on the list     let in at once; the same device again, after a reset
    TPM, its endorsement key on the list             the same (flows/admit_tpm.py)
    manufacturer certificate, serial not expected    may ask, where its vendor's devices may
    no proof at all                                  may ask, while a window is open

What is asked is kept by the request's key, so the same device asking again is the same request, and one approval lets in one key.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography.x509 import Name

from bastide.core.device import Attribute
from bastide.core.error import Conflict, Refused, Unavailable
from bastide.core.ids import DeviceClass, DeviceId, OwnerName, RecordId, RequestId, SiteName
from bastide.core.plan import CredentialState
from bastide.core.standing import Standing
from bastide.device.credential.admission import (
    MOST_WAITING,
    RETRY_AFTER,
    WAITS,
    Answered,
    EnrolmentRequest,
    EnrolmentRequestId,
    Expected,
    Waiting,
    Window,
)
from bastide.device.credential.issuance import Certificate, Issuance, Purpose
from bastide.device.identity.manufacturer import Manufactured, ManufacturerRefused, read_manufactured
from bastide.device.identity.request import CertificateRequest, accept_request
from bastide.flows.enrol_device import report_shared
from bastide.flows.issue_certificate import ACTOR, Enrolling, admit, intend
from bastide.operations.inventory.attributes import merged
from bastide.ports.platform.admissions import AdmissionReads
from bastide.ports.platform.credentials import CredentialUnitOfWork
from bastide.ports.platform.stores import DeviceReads

UNDESCRIBED = DeviceClass("generic")
MUD_URL = "mud-url"
# A maker's signature is behind it; a person's word is 1.
SURE = 0.95
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Admitting:
    """What these flows work with, beside what enrolment does."""

    enrolling: Enrolling
    admissions: AdmissionReads
    devices: DeviceReads


async def admit_manufactured(
    shown: tuple[bytes, ...], csr: bytes, label: str, source: str, with_: Admitting
) -> Certificate:
    """The certificate of the device that showed a manufacturer certificate in TLS (DER, its own first).

    ``Refused`` says what is wrong, ``Waiting`` that a person must approve.
    """
    made = read_manufactured(shown, await with_.admissions.vendors(), with_.enrolling.clock.now())
    return await admit_made(made, accept_request(csr), label, source, with_)


async def admit_made(
    made: Manufactured, request: CertificateRequest, label: str, source: str, with_: Admitting
) -> Certificate:
    """The certificate of the device that proved to be that one of its maker's."""
    expected = await with_.admissions.expected(made.vendor.name, made.serial)
    if expected is not None:
        _check_label(expected.device_class, label)
        certificate = await _admit_expected(expected, request, with_)
        await _note(certificate.device, made, with_)
        return certificate
    if not made.vendor.unexpected:
        raise ManufacturerRefused(
            f"No device of {made.vendor.name} with the serial number {made.serial!r} is expected. Put it on the list with "
            "`bastide vendor expect`, or enrol with a claim.",
            code="enrolment:manufacturer:unexpected",
        )
    held = await with_.admissions.request(request.key_digest.hex())
    certificate = await _ask(request, held, source, label, made, None, with_)
    await _note(certificate.device, made, with_)
    return certificate


async def admit_anybody(csr: bytes, label: str, source: str, with_: Admitting) -> Certificate | None:
    """The certificate of a device that proves nothing, once a person approved; None where no window is open for it."""
    windows = await with_.admissions.windows(with_.enrolling.clock.now())
    fitting = [one for one in windows if not label or one.device_class == label]
    window = fitting[0] if len(fitting) == 1 else None
    request = accept_request(csr)
    held = await with_.admissions.request(request.key_digest.hex())
    if window is None and held is None:
        return None
    return await _ask(request, held, source, label, None, window, with_)


async def _note(id: DeviceId, made: Manufactured, with_: Admitting) -> None:
    """Keeps what the maker's certificate says of the device: its serial number, and its MUD URL (RFC 8520 11) where it names one.

    The device is answered after it: one whose answer was lost asks again, so a crash loses nothing.
    """
    said_by = f"manufacturer:{made.vendor.name}"
    for _ in range(_TRIES):
        device, now = await with_.devices.get(id), with_.enrolling.clock.now()
        known = {(one.name, one.value) for one in device.attributes if one.source == said_by}
        told = {(name, value) for name, value in _said(made) if value}
        if known == told:
            return
        fresh = [Attribute(name, value, said_by, SURE, now) for name, value in sorted(told)]
        try:
            async with with_.enrolling.units(ACTOR) as work:
                work.devices.put(replace(device, attributes=merged(device.attributes, fresh, said_by)))
                work.ledger.record("inventory:device:stated", f"device:{id}", {"by": said_by, **dict(sorted(told))})
        except Conflict:
            continue  # the loop wrote it meanwhile
        return
    raise Unavailable("The device's entry changes faster than it can be written; ask again.", code="enrolment:busy")


def _said(made: Manufactured) -> list[tuple[str, str]]:
    if made.tpm:
        return [("tpm", made.serial), ("key-storage", "TPM 2.0")]
    return [("serial", made.serial), (MUD_URL, made.mud_url)]


def _check_label(device_class: DeviceClass, label: str) -> None:
    if label and label != device_class:
        raise ManufacturerRefused(
            f"The device is expected as {device_class!r}, and the path asks for {label!r}. Enrol without a path label.",
            code="enrolment:manufacturer:class",
        )


async def _admit_expected(expected: Expected, request: CertificateRequest, with_: Admitting) -> Certificate:
    again = expected.device is not None
    if again:
        device = await with_.devices.get(DeviceId(str(expected.device)))
        if device.standing is Standing.RETIRED:
            raise ManufacturerRefused(
                f"{device.id} was retired, and a retired device does not come back by itself. Whoever runs this platform can let "
                "it in with a claim.",
                code="enrolment:manufacturer:retired",
            )
    name = f"enrol:{expected.id}:{request.key_digest.hex()[:32]}"
    return await _issue(
        name, f"expected:{expected.id}", expected, request, expected.device, with_, lambda work, device, now: (
            work.admissions.arrived(expected.id, device, now)
        )
    )  # fmt: skip


async def _ask(
    request: CertificateRequest,
    held: EnrolmentRequest | None,
    source: str,
    label: str,
    made: Manufactured | None,
    window: Window | None,
    with_: Admitting,
) -> Certificate:
    now, key = with_.enrolling.clock.now(), request.key_digest.hex()
    if held is None or held.state_at(now) == "ended":
        if made is None and window is None:
            raise Refused(
                "The approval ended before it was used. Ask whoever runs this platform to open a window, and ask again.",
                code="enrolment:request:ended",
            )
        held = await _take(request, source, label, made, window, now, with_)
    state = held.state_at(now)
    if state == "waiting":
        raise Waiting(
            f"The request {held.id} waits for a person's approval. The key's fingerprint is {key[:16]}; ask again in "
            f"{RETRY_AFTER.total_seconds():.0f} s, with the same key."
        )
    if state == "declined":
        raise Refused(
            f"The request {held.id} was declined. Ask whoever runs this platform.", code="enrolment:request:declined"
        )
    taken = held
    return await _issue(
        f"enrol:{held.id}", f"request:{held.id}", held, request, None, with_, lambda work, device, at: (
            work.admissions.answer(taken.answered(Answered.ENROLLED, taken.answered_by, taken.answered_at or at))
        )
    )  # fmt: skip


async def _take(
    request: CertificateRequest,
    source: str,
    label: str,
    made: Manufactured | None,
    window: Window | None,
    now: datetime,
    with_: Admitting,
) -> EnrolmentRequest:
    """Keeps that a device asked."""
    reads, enrolling = with_.admissions, with_.enrolling
    full = await reads.waiting(now) >= MOST_WAITING or (window and await reads.asked(window.id) >= window.most)
    if full:
        raise Unavailable(
            "As many devices as may ask have asked already, and wait for a person. Ask again later.",
            code="enrolment:request:full",
        )
    device_class = DeviceClass(label) if label else UNDESCRIBED
    asked = EnrolmentRequest(
        id=EnrolmentRequestId(enrolling.ids.mint("q")),
        key=request.key_digest.hex(),
        device_class=window.device_class if window else device_class,
        owner=window.owner if window else OwnerName(""),
        site=window.site if window else SiteName(""),
        source=source,
        asked_at=now,
        ends_at=now + WAITS,
        vendor=made.vendor.name if made else "",
        serial=made.serial if made else "",
        asked_for=_printable(request.subject),
        window=window.id if window else None,
    )
    try:
        async with enrolling.units(ACTOR) as work:
            work.admissions.ask(asked)
            work.ledger.record(
                "enrolment:request:asked",
                f"request:{asked.id}",
                {
                    "key": asked.key,
                    "class": asked.device_class,
                    "vendor": asked.vendor,
                    "serial": asked.serial,
                    "source": source,
                },
            )
    except Conflict:
        return await reads.request(asked.key) or asked
    return asked


def _printable(subject: Name) -> str:
    return "".join(one for one in subject.rfc4514_string()[:200] if one.isprintable())


async def _issue(
    name: str,
    way: str,
    admitted: Expected | EnrolmentRequest,
    request: CertificateRequest,
    existing: DeviceId | None,
    with_: Admitting,
    also: Callable[[CredentialUnitOfWork, DeviceId, datetime], None],
) -> Certificate:
    """The certificate for a device that is let in: the same one for the same key, as long as that one holds."""
    enrolling = with_.enrolling
    now = enrolling.clock.now()
    request_id = RequestId(name)
    before = await enrolling.reads.issuance(request_id)
    if before is not None:
        held = await enrolling.reads.certificate_for(request_id) or await admit(before, enrolling)
        good = now < held.not_after and held.state is not CredentialState.REVOKED
        if existing is None or good:
            return held
        request_id = RequestId(f"{name}:{now.timestamp():.0f}")
    begins, ends = enrolling.validity()
    issuance = Issuance(
        request=request_id,
        purpose=Purpose.REENROL if existing else Purpose.ENROL,
        device=existing or DeviceId(enrolling.ids.mint("d")),
        device_class=admitted.device_class,
        owner=admitted.owner,
        site=admitted.site,
        claim=None,
        csr=request.der,
        key=request.key_digest.hex(),
        not_before=begins,
        not_after=ends,
        record=RecordId(""),
        name=admitted.name,
        way=way,
    )
    try:
        async with enrolling.units(way) as work:
            also(work, issuance.device, now)
            issuance = intend(work, issuance)
    except Conflict:
        first = await enrolling.reads.issuance(request_id)
        if first is None:
            raise
        issuance = first
    except Refused as refused:
        await report_shared(request, refused, enrolling)
        raise
    return await admit(issuance, enrolling)

"""A device enrols with a claim: it gets its id and its first certificate, once. A claim for a known device makes it that
device again: after a reset, or an absence that its certificate did not outlive; its older certificates are revoked.

The claim is used in the same transaction that records the intent, so of any number of attempts one is committed. The same claim
with the same key again gives the same certificate until the claim expires (the answer may have been lost on the way); with
another key it is refused, and the device that used it gets evidence of that.
"""

from bastide.core.error import Conflict, Refused
from bastide.core.evidence import Evidence, Fact, Subject, SubjectKind, Trust
from bastide.core.ids import ClaimId, DeviceId, EvidenceId, RecordId, RequestId
from bastide.core.plan import CredentialState
from bastide.device.credential.claim import Claim, ClaimRefused, ClaimState, check_secret, check_usable, spent, used
from bastide.device.credential.issuance import Certificate, Issuance, Progress, Purpose
from bastide.device.identity.request import CertificateRequest, accept_request
from bastide.flows.issue_certificate import ACTOR, Enrolling, admit, finish_issuance, intend, observe


async def enrol_device(name: str, secret: str, csr: bytes, label: str, with_: Enrolling) -> Certificate:
    """The device's certificate. ``label`` is the class that the path named, or empty. ``Refused`` says what is wrong."""
    claim = check_secret(await with_.reads.claim(ClaimId(name)), secret)
    check_usable(claim, label, with_.clock.now())
    request = accept_request(csr)
    if claim.state is ClaimState.USED:
        return await _again(claim, request, with_)
    if claim.device is not None:
        held = await with_.reads.held(claim.device)
        if held is not None and held[0] is CredentialState.REVOKED:
            raise ClaimRefused(
                f"{claim.device} was retired after the claim was made, and does not come back. Enrol as a new device, "
                "with a claim for its class.",
                code="enrolment:claim:retired",
            )
    begins, ends = with_.validity()
    issuance = Issuance(
        request=RequestId(f"enrol:{claim.id}"),
        purpose=Purpose.REENROL if claim.device else Purpose.ENROL,
        device=claim.device or DeviceId(with_.ids.mint("d")),
        device_class=claim.device_class,
        owner=claim.owner,
        site=claim.site,
        claim=claim.id,
        csr=csr,
        key=request.key_digest.hex(),
        not_before=begins,
        not_after=ends,
        record=RecordId(""),
        name=claim.name,
        way=f"claim:{claim.id}",
    )
    try:
        async with with_.units(f"claim:{claim.id}") as work:
            work.credentials.use_claim(claim.id, issuance.request, with_.clock.now())
            issuance = intend(work, issuance)
    except Conflict:
        current = check_secret(await with_.reads.claim(claim.id), secret)
        check_usable(current, label, with_.clock.now())
        return await _again(current, request, with_)
    except Refused as refused:
        await report_shared(request, refused, with_)
        raise
    return await admit(issuance, with_)


async def _again(claim: Claim, request: CertificateRequest, with_: Enrolling) -> Certificate:
    issuance = await with_.reads.issuance(claim.request) if claim.request else None
    if issuance is None:
        raise used(claim)
    if issuance.key != request.key_digest.hex():
        # A mistake of whoever sets devices up, or a claim that was read by somebody else.
        await _tell("identity.claim.reused", issuance.device, {"claim": claim.id}, with_)
        raise used(claim)
    certificate = await with_.reads.certificate_for(issuance.request)
    if certificate is not None:
        return certificate
    if issuance.progress is Progress.REFUSED:
        raise spent(claim)
    return await finish_issuance(issuance, with_)


async def report_shared(request: CertificateRequest, refused: Refused, with_: Enrolling) -> None:
    """A key that comes from two devices: the one that has it learns that it is no secret any more."""
    holder = await with_.reads.holder(request.key_digest.hex())
    if refused.reason == "enrolment:key:shared" and holder is not None:
        await _tell("identity.key.shared", holder, {"key": request.key_digest.hex()}, with_)


async def _tell(kind: str, device: DeviceId, body: dict[str, Fact], with_: Enrolling) -> None:
    """Evidence against a device that is enrolled, for what was tried in its place."""
    now = with_.clock.now()
    async with with_.units(ACTOR) as work:
        fact = Evidence(
            id=EvidenceId(with_.ids.mint("e")),
            kind=kind,
            subject=Subject(SubjectKind.DEVICE, device),
            source="est",
            trust=Trust.MEASURED,
            observed_at=now,
            received_at=now,
            body=body,
        )
        observe(work, fact)

"""A device that comes again, by a claim that is for it; and one that is retired, and does not."""

from datetime import timedelta

import pytest
from cryptography import x509

from bastide.core.error import Refused
from bastide.core.ids import DeviceId
from bastide.core.plan import CredentialState
from bastide.core.standing import Stage, Standing
from bastide.device.identity.certificate import issuer_key_id
from bastide.flows.change_policy import ensure_policy
from bastide.flows.claims import create_claim
from bastide.flows.describe_kinds import ensure_generic
from bastide.flows.govern_device import Governing, govern_device
from bastide.flows.operator_acts import quarantine, retire
from tests.scenarios.enrolment.platform import Platform, new_request
from tests.scenarios.enrolment.test_refusals import leaf, post, speaking


async def governing(town: Platform) -> Governing:
    """The loop with the two points that are tables."""
    made = Governing(town.stores, town.units, [town.credential, town.update], town.enrolling.clock)
    await ensure_policy(made)
    await ensure_generic(made)
    return made


async def enrolled(town: Platform) -> x509.Certificate:
    claim = await town.claim("camera")
    async with speaking(town) as client:
        return leaf(await post(client, "simpleenroll", new_request()[1], (claim.claim.id, claim.secret)))


def named(certificate: x509.Certificate) -> DeviceId:
    return DeviceId(certificate.subject.rfc4514_string().removeprefix("CN="))


async def states(town: Platform, device: DeviceId) -> list[CredentialState]:
    """Newest first."""
    return [one.state for one in await town.stores.credentials.certificates(device, 10)]


async def again(town: Platform, device: DeviceId) -> tuple[str, str]:
    held = await town.stores.devices.get(device)
    made = await create_claim("", "system:test", town.claiming, again=held, ttl=timedelta(hours=1))
    assert (made.claim.device, made.claim.device_class, made.claim.owner) == (device, "camera", "facilities")
    return made.claim.id, made.secret


async def test_a_claim_for_a_device_makes_its_holder_that_device_and_revokes_what_it_had(town: Platform) -> None:
    await governing(town)
    device = named(await enrolled(town))
    csr = new_request()[1]
    async with speaking(town) as client:
        who = await again(town, device)
        second = leaf(await post(client, "simpleenroll", csr, who))
        assert leaf(await post(client, "simpleenroll", csr, who)) == second
        assert (await post(client, "simpleenroll", new_request()[1], who)).status_code == 403
    assert named(second) == device
    assert await states(town, device) == [CredentialState.VALID, CredentialState.REVOKED]
    issuers = [issuer_key_id(second)]
    serials = {serial for serial, _ in await town.stores.credentials.revoked(town.enrolling.clock.now(), 10, issuers)}
    assert second.serial_number not in serials
    assert len(serials) == 1


async def test_a_device_in_quarantine_stays_there_however_it_comes_again(town: Platform) -> None:
    loop = await governing(town)
    device = named(await enrolled(town))
    await quarantine(device, "it scans", "system:test", loop, town.claiming.ids)
    async with speaking(town) as client:
        leaf(await post(client, "simpleenroll", new_request()[1], await again(town, device)))
    assert (await states(town, device))[0] is CredentialState.SUSPENDED


async def test_a_retired_device_has_nothing_left_and_does_not_come_again(town: Platform) -> None:
    loop = await governing(town)
    first = await enrolled(town)
    device = named(first)
    claim = await again(town, device)
    await govern_device(device, loop)
    await retire(device, "sold", "system:test", loop)
    held = await town.stores.devices.get(device)
    assert (held.stage, held.standing) == (Stage.RETIRED, Standing.RETIRED)
    assert await states(town, device) == [CredentialState.REVOKED]
    assert "operator:device:retired" in await town.kinds()
    with pytest.raises(Refused):
        await retire(device, "sold", "system:test", loop)
    with pytest.raises(Refused):
        await again(town, device)
    async with speaking(town) as client:  # a claim that was made before
        assert (await post(client, "simpleenroll", new_request()[1], claim)).status_code == 403
    assert await states(town, device) == [CredentialState.REVOKED]

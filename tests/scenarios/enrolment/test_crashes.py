"""Enrolment is cut off at every point where it can be, and goes on: one claim, one device, one certificate, all on record."""

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from bastide.core.error import Refused, Unavailable
from bastide.core.ids import RecordId
from bastide.device.credential.issuance import Progress
from bastide.flows.enrol_device import enrol_device
from bastide.flows.issue_certificate import Enrolling, finish_issuances
from bastide.wire.journal import GENESIS, Entry, read_lines
from tests.scenarios.enrolment.platform import Platform, new_request


class Cut(Exception):
    """The process is gone: nothing after this line runs."""


class CutOff:
    """Something of the platform that ends the process before or after it did its work."""

    def __init__(self, real: Any, name: str, *, before: bool) -> None:
        self._real, self._name, self._before = real, name, before

    def __getattr__(self, name: str) -> Any:
        if name != self._name:
            return getattr(self._real, name)

        async def cut(*given: Any, **named: Any) -> Any:
            if not self._before:
                await getattr(self._real, name)(*given, **named)
            raise Cut

        return cut


def journal(town: Platform) -> list[Entry]:
    lines = read_lines((town.data / "signer" / "journal.log").read_bytes(), GENESIS, 0, "journal")
    return [line.entry for line in lines if line.entry.profile == "device"]


async def check_books(town: Platform, devices: int) -> None:
    """Journal, ledger and state tell one story."""
    signed = {entry.what["serial"]: entry for entry in journal(town)}
    assert len(signed) == devices == sum((await town.stores.devices.count_by_standing()).values())
    issued = [record for record in await town.ledger.recent(5000) if record.kind == "signing:device:issued"]
    assert {record.body["serial"] for record in issued} == set(signed)
    intended = {record.body["request"] for record in await town.ledger.recent(5000, "signing:device:intended")}
    assert {entry.request for entry in signed.values()} <= intended
    assert await town.stores.credentials.unfinished(9) == []


POINTS: dict[str, Callable[[Enrolling], Enrolling]] = {
    "before the intent is under a tree head": lambda e: replace(e, ledger=CutOff(e.ledger, "integrated", before=True)),
    "before the signer is asked": lambda e: replace(e, signer=CutOff(e.signer, "device_certificate", before=True)),
    "after the signer signed": lambda e: replace(e, signer=CutOff(e.signer, "device_certificate", before=False)),
}


@pytest.mark.parametrize("point", POINTS)
async def test_a_controller_that_dies_in_the_middle_is_followed_by_one_that_ends_it(town: Platform, point: str) -> None:
    claim = await town.claim()
    who = (claim.claim.id, claim.secret)
    _, csr = new_request()
    with pytest.raises(Cut):
        await enrol_device(*who, csr, "", POINTS[point](town.enrolling))
    assert sum((await town.stores.devices.count_by_standing()).values()) == 0
    assert await finish_issuances(town.enrolling) == 1
    certificate = await enrol_device(*who, csr, "", town.enrolling)
    assert [entry.what["serial"] for entry in journal(town)] == [certificate.serial]
    assert await finish_issuances(town.enrolling) == 0
    await check_books(town, 1)


@pytest.mark.parametrize("point", POINTS)
async def test_the_device_itself_may_ask_again_after_a_crash(town: Platform, point: str) -> None:
    claim = await town.claim()
    who = (claim.claim.id, claim.secret)
    _, csr = new_request()
    with pytest.raises(Cut):
        await enrol_device(*who, csr, "", POINTS[point](town.enrolling))
    first, second = await asyncio.gather(*(enrol_device(*who, csr, "", town.enrolling) for _ in range(2)))
    assert first.der == second.der
    await check_books(town, 1)


async def test_what_the_signer_refuses_is_ended_and_recorded(town: Platform) -> None:
    claim = await town.claim()
    _, csr = new_request()
    with pytest.raises(Refused, match="at most 398 days"):
        await enrol_device(claim.claim.id, claim.secret, csr, "", replace(town.enrolling, lifetime=timedelta(days=500)))
    with pytest.raises(Refused, match="the signer refused the certificate"):
        await enrol_device(claim.claim.id, claim.secret, csr, "", town.enrolling)
    assert claim.claim.request is None
    stored = await town.stores.credentials.claim(claim.claim.id)
    assert stored is not None
    assert stored.request is not None
    issuance = await town.stores.credentials.issuance(stored.request)
    assert issuance is not None
    assert issuance.progress is Progress.REFUSED
    assert isinstance(issuance.record, str)
    assert issuance.record != RecordId("")
    assert "signing:device:refused" in await town.kinds()
    assert journal(town) == []


@pytest.mark.parametrize(("kills", "crowd"), [(4, 60), pytest.param(50, 600, marks=pytest.mark.long)])
async def test_kill_9_of_the_signer_while_a_crowd_enrols_loses_no_device_and_makes_none_twice(
    town: Platform, kills: int, crowd: int
) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    claims = [await town.claim() for _ in range(crowd)]
    requests = [new_request()[1] for _ in claims]

    async def device(number: int) -> bytes:
        """As a device does: the same request again until there is an answer."""
        claim = claims[number]
        await asyncio.sleep(number * 0.05)
        async with asyncio.timeout(100):
            while True:
                try:
                    return (await enrol_device(claim.claim.id, claim.secret, requests[number], "", town.enrolling)).der
                except Unavailable:
                    await asyncio.sleep(0.05)

    enrolling = [asyncio.create_task(device(number)) for number in range(len(claims))]
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.05, 0.3))
        town.signer.kill()
        town.signer.start()
    certificates = [x509.load_der_x509_certificate(der) for der in await asyncio.gather(*enrolling)]
    assert len({certificate.subject.rfc4514_string() for certificate in certificates}) == len(claims)
    assert [certificate.public_key() for certificate in certificates] == [
        x509.load_der_x509_csr(csr).public_key() for csr in requests
    ]
    await check_books(town, len(claims))

"""Devices that enrol without a claim: by their maker's certificate, or because a person approved."""

import asyncio
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from httpx import ReadError, RemoteProtocolError

from bastide.core.error import Refused
from bastide.core.evidence import Subject, SubjectKind
from bastide.core.ids import DeviceId
from bastide.core.plan import CredentialState
from bastide.flows.admissions import approve, decline, expect, open_window, put_vendor, remove_vendor
from bastide.flows.claims import DEFAULT_TTL
from bastide.flows.fetch_reach import url_of
from tests.domain.device.makers import Maker
from tests.peers import require
from tests.scenarios.enrolment.platform import Platform, new_request, run, save_key
from tests.scenarios.enrolment.test_refusals import leaf, post, speaking

LIST = b"serial,class,owner,site,name\nSN-1,camera,facilities,lyon,front door\nSN-2,camera,,,\n"


async def named(town: Platform, maker: Maker, *, unexpected: bool = True) -> None:
    await put_vendor("acme", maker.pem, unexpected, "system:test", town.people)
    await expect("acme", LIST, "system:test", town.people)
    await asyncio.sleep(0.2)


def saved(maker: Maker, folder: Path, serial: str) -> tuple[Path, Path]:
    key, certificate = maker.device(serial)
    path = folder / f"{serial}.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path, save_key(key, folder / f"{serial}.key")


async def test_curl_enrols_with_the_certificate_that_the_maker_put_in(town: Platform, tmp_path: Path) -> None:
    require("curl"), require("openssl")
    maker = Maker()
    await named(town, maker)
    certificate, key = saved(maker, tmp_path, "SN-1")
    status, out, said = await run(
        "bash", "-c", f"""
        set -e
        openssl ecparam -name prime256v1 -genkey -noout -out key.pem
        openssl req -new -key key.pem -subj "/CN=me" -outform DER | openssl base64 > csr.b64
        curl -sS --fail-with-body --cacert {town.root} --cert {certificate} --key {key} \
          -H "Content-Type: application/pkcs10" --data-binary @csr.b64 {town.est}/simpleenroll \
          | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs -out cert.pem
        openssl x509 -in cert.pem -noout -subject -nameopt multiline | sed -n 's/ *commonName *= //p'
        """, cwd=tmp_path,
    )  # fmt: skip
    assert status == 0, out.decode() + said
    device = await town.stores.devices.get(DeviceId(out.decode().strip()))
    assert (device.name, device.device_class, device.owner, device.site) == (
        "front door",
        "camera",
        "facilities",
        "lyon",
    )
    held = await town.stores.admissions.expected("acme", "SN-1")
    assert held is not None
    assert held.device == device.id
    (fact,) = await town.stores.evidence.recent(Subject(SubjectKind.DEVICE, device.id), 10)
    assert fact.body["way"] == f"expected:{held.id}"


async def test_what_the_makers_certificate_says_is_kept_and_leads_to_its_mud_file(
    town: Platform, tmp_path: Path
) -> None:
    maker = Maker()
    await named(town, maker)
    url = "https://acme.example/mud1"
    own, certificate = maker.device("SN-1", extra=lambda one: one.add_extension(_mud_url(url), critical=False))
    (shown := tmp_path / "own.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    async with speaking(town, shown, save_key(own, tmp_path / "own.key")) as client:
        csr = new_request()[1]
        for _ in range(2):
            device = DeviceId(_name(leaf(await post(client, "simpleenroll", csr))))
    said = {(one.name, one.value, one.source) for one in (await town.stores.devices.get(device)).attributes}
    assert said == {("mud-url", url, "manufacturer:acme"), ("serial", "SN-1", "manufacturer:acme")}
    assert (await town.kinds()).count("inventory:device:stated") == 1
    assert await url_of(device, town.claiming.governing) == url


def _mud_url(url: str) -> x509.UnrecognizedExtension:
    """RFC 8520, section 11: id-pe-mud-url, an IA5String."""
    return x509.UnrecognizedExtension(
        x509.ObjectIdentifier("1.3.6.1.5.5.7.1.25"), bytes([0x16, len(url)]) + url.encode()
    )


def _name(certificate: x509.Certificate) -> str:
    return str(next(iter(certificate.subject)).value)


async def test_after_a_reset_it_is_the_same_device_and_its_old_certificates_are_revoked(
    town: Platform, tmp_path: Path
) -> None:
    maker = Maker()
    await named(town, maker)
    certificate, key = saved(maker, tmp_path, "SN-1")
    async with speaking(town, certificate, key) as client:
        csr = new_request()[1]
        first = leaf(await post(client, "simpleenroll", csr))
        assert leaf(await post(client, "simpleenroll", csr)) == first  # the answer was lost: the same again
        second = leaf(await post(client, "simpleenroll", new_request()[1]))
    assert second.subject == first.subject
    device = DeviceId(first.subject.rfc4514_string().removeprefix("CN="))
    states = {one.serial: one.state for one in await town.stores.credentials.certificates(device, 10)}
    assert states == {
        f"{first.serial_number:x}": CredentialState.REVOKED,
        f"{second.serial_number:x}": CredentialState.VALID,
    }
    facts = await town.stores.evidence.recent(Subject(SubjectKind.DEVICE, device), 10)
    assert {fact.kind for fact in facts} == {"identity.enrolled", "identity.reenrolled"}


async def test_a_maker_that_nobody_named_ends_in_the_handshake_and_on_record(town: Platform, tmp_path: Path) -> None:
    certificate, key = saved(Maker("Nobody"), tmp_path, "SN-1")
    async with speaking(town, certificate, key) as client:
        with pytest.raises((ReadError, RemoteProtocolError)):
            await post(client, "simpleenroll", new_request()[1])
    await asyncio.sleep(0.2)
    assert "enrolment:refused" in await town.kinds()


async def test_a_maker_that_was_taken_back_lets_nobody_in(town: Platform, tmp_path: Path) -> None:
    maker = Maker()
    await named(town, maker)
    await remove_vendor("acme", "system:test", town.people)
    certificate, key = saved(maker, tmp_path, "SN-1")
    async with speaking(town, certificate, key) as client:
        answer = await post(client, "simpleenroll", new_request()[1])
    assert (answer.status_code, "no vendor" in answer.text) == (403, True)


async def test_a_serial_that_nobody_expects_is_refused_or_waits_as_its_vendor_says(
    town: Platform, tmp_path: Path
) -> None:
    maker = Maker()
    await named(town, maker, unexpected=False)
    certificate, key = saved(maker, tmp_path, "SN-9")
    csr = new_request()[1]
    async with speaking(town, certificate, key) as client:
        assert (await post(client, "simpleenroll", csr)).status_code == 403
        await put_vendor("acme", maker.pem, True, "system:test", town.people)
        waits = await post(client, "camera/simpleenroll", csr)
        assert (waits.status_code, waits.headers["retry-after"]) == (202, "10")
        (asked,) = await town.stores.admissions.requests(10)
        assert (asked.vendor, asked.serial, asked.device_class) == ("acme", "SN-9", "camera")
        # It lost its key and asks with another: one device waits once.
        csr = new_request()[1]
        assert (await post(client, "camera/simpleenroll", csr)).status_code == 202
        (again,) = await town.stores.admissions.requests(10)
        assert again.id != asked.id
        asked = again
        await approve(asked.id, "system:test", town.people, name="ninth")
        certificate_ = leaf(await post(client, "simpleenroll", csr))
        assert leaf(await post(client, "simpleenroll", csr)) == certificate_
        # The approval was for one key.
        assert (await post(client, "simpleenroll", new_request()[1])).status_code == 202
    device = await town.stores.devices.get(DeviceId(certificate_.subject.rfc4514_string().removeprefix("CN=")))
    assert device.name == "ninth"


async def test_without_any_proof_nobody_may_ask_unless_a_window_is_open(town: Platform) -> None:
    csr = new_request()[1]
    async with speaking(town) as client:
        assert (await post(client, "simpleenroll", csr)).status_code == 401
        await open_window("lamp", "", "metz", DEFAULT_TTL, 1, "system:test", town.people)
        assert (await post(client, "simpleenroll", csr)).status_code == 202
        assert (await post(client, "simpleenroll", csr)).status_code == 202  # one device asks once
        full = await post(client, "simpleenroll", new_request()[1])
        assert (full.status_code, "Ask again later" in full.text) == (503, True)
        assert (await post(client, "camera/simpleenroll", new_request()[1])).status_code == 401
        (asked,) = await town.stores.admissions.requests(10)
        await decline(asked.id, "system:test", town.people)
        assert (await post(client, "simpleenroll", csr)).status_code == 403
        with pytest.raises(Refused):
            await approve(asked.id, "system:test", town.people)


async def test_strongswan_asks_waits_and_gets_its_certificate_when_a_person_approves(
    town: Platform, tmp_path: Path
) -> None:
    pki = require("pki")
    await open_window("lamp", "", "metz", DEFAULT_TTL, 5, "system:test", town.people)
    key, csr = new_request()
    (tmp_path / "csr.der").write_bytes(csr)
    command: list[str | Path] = [
        pki, "--est", "--url", town.base, "--in", tmp_path / "csr.der", "--interval", "1", "--maxpolltime", "30",
        "--cacert", town.root, "--cacert", town.data / "trust" / "issuing.pem", "--outform", "pem",
    ]  # fmt: skip
    asking = asyncio.create_task(run(*command))
    async with asyncio.timeout(20):
        while not (asked := await town.stores.admissions.requests(1)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await approve(asked[0].id, "system:test", town.people)
    status, out, said = await asking
    assert status == 0, said
    assert x509.load_pem_x509_certificate(out).public_key() == key.public_key()


async def test_one_key_for_two_devices_is_refused_and_told_to_the_first(town: Platform, tmp_path: Path) -> None:
    maker = Maker()
    await named(town, maker)
    csr = new_request()[1]
    answers = []
    for serial in ("SN-1", "SN-2"):
        async with speaking(town, *saved(maker, tmp_path, serial)) as client:
            answers.append(await post(client, "simpleenroll", csr))
    device = DeviceId(leaf(answers[0]).subject.rfc4514_string().removeprefix("CN="))
    assert (answers[1].status_code, "same key" in answers[1].text) == (400, True)
    facts = await town.stores.evidence.recent(Subject(SubjectKind.DEVICE, device), 10)
    assert "identity.key.shared" in {fact.kind for fact in facts}

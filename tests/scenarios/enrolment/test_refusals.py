"""What is refused, and that the refused one is told why, and that it is on record."""

import asyncio
import base64
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from bastide.core.evidence import Subject, SubjectKind
from bastide.core.ids import DeviceId
from bastide.core.plan import BrokerGrant, CredentialState, Plan, UpdateEligibility
from bastide.core.standing import Standing
from bastide.flows.claims import revoke_claim
from tests.peers import require
from tests.scenarios.enrolment.platform import Platform, new_request, run, save_key

PKCS10 = {"Content-Type": "application/pkcs10"}


@asynccontextmanager
async def speaking(
    town: Platform, certificate: Path | None = None, key: Path | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    context = ssl.create_default_context(cafile=str(town.root))
    if certificate is not None and key is not None:
        context.load_cert_chain(certificate, key)
    async with httpx.AsyncClient(verify=context, base_url=town.base, timeout=30) as client:
        yield client


async def post(
    client: httpx.AsyncClient, operation: str, csr: bytes, auth: tuple[str, str] | None = None
) -> httpx.Response:
    path = f"/.well-known/est/{operation}"
    return await client.post(path, content=base64.b64encode(csr), headers=PKCS10, auth=auth or httpx.USE_CLIENT_DEFAULT)


def leaf(answer: httpx.Response) -> x509.Certificate:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pkcs7-mime; smime-type=certs-only"
    assert b"\n" not in answer.content
    (certificate,) = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer.content))
    return certificate


class Enrolled:
    """A device that enrolled: its files, as TLS clients want them."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, folder: Path) -> None:
        self.device = DeviceId(str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value))
        self.key = key
        self.files = folder / f"{self.device}.pem", save_key(key, folder / f"{self.device}.key")
        self.files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        self.certificate = certificate


async def enrolled(town: Platform, folder: Path) -> Enrolled:
    claim = await town.claim()
    key, csr = new_request()
    async with speaking(town) as client:
        return Enrolled(leaf(await post(client, "simpleenroll", csr, (claim.claim.id, claim.secret))), key, folder)


def held(device: DeviceId, generation: int, credential: CredentialState, update: UpdateEligibility) -> Plan:
    standing = Standing.TRUSTED if credential is CredentialState.VALID else Standing.QUARANTINED
    return Plan(device, generation, standing, BrokerGrant(), credential, update, datetime.now(UTC))


async def test_without_a_claim_the_device_is_asked_for_one(town: Platform) -> None:
    async with speaking(town) as client:
        answer = await post(client, "simpleenroll", new_request()[1])
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
        assert "bastide claim create" in answer.text
        answer = await post(client, "simpleenroll", new_request()[1], ("c-" + "a" * 20, "wrong"))
        assert answer.status_code == 401
        claim = await town.claim()
        answer = await post(client, "simpleenroll", new_request()[1], (claim.claim.id, "wrong"))
        assert (answer.status_code, "not that of a claim" in answer.text) == (401, True)
    assert (await town.kinds()).count("enrolment:refused") == 3


async def test_a_used_claim_gives_the_same_certificate_to_the_same_key_and_nothing_to_another(town: Platform) -> None:
    claim = await town.claim()
    who = (claim.claim.id, claim.secret)
    key, csr = new_request()
    async with speaking(town) as client:
        first = leaf(await post(client, "simpleenroll", csr, who))
        assert leaf(await post(client, "simpleenroll", csr, who)) == first
        assert leaf(await post(client, "simpleenroll", new_request(key)[1], who)) == first
        clone = await post(client, "simpleenroll", new_request()[1], who)
    assert (clone.status_code, "already used" in clone.text) == (403, True)
    device = first.subject.rfc4514_string().removeprefix("CN=")
    facts = await town.stores.evidence.recent(Subject(SubjectKind.DEVICE, device), 10)
    assert [fact.kind for fact in facts] == ["identity.claim.reused", "identity.enrolled"]
    assert (await town.kinds()).count("signing:device:issued") == 1


async def test_an_expired_or_revoked_claim_and_one_for_another_class_are_refused(town: Platform) -> None:
    async with speaking(town) as client:
        claim = await town.claim(ttl=timedelta(minutes=1))
        who = (claim.claim.id, claim.secret)
        answer = await post(client, "printer/simpleenroll", new_request()[1], who)
        assert (answer.status_code, "is for devices of class 'camera'" in answer.text) == (403, True)
        later = town.enrolling.clock.now() + timedelta(minutes=2)
        town.enrolling.clock.now = lambda: later  # type: ignore[method-assign]
        answer = await post(client, "simpleenroll", new_request()[1], who)
        assert (answer.status_code, "expired at" in answer.text) == (403, True)
        del town.enrolling.clock.now
        claim = await town.claim()
        await revoke_claim(claim.claim.id, "system:test", town.claiming)
        answer = await post(client, "simpleenroll", new_request()[1], (claim.claim.id, claim.secret))
        assert (answer.status_code, "was revoked" in answer.text) == (403, True)
    assert await town.stores.devices.count_by_standing() == {}


async def test_the_path_label_of_the_claims_class_is_accepted(town: Platform) -> None:
    claim = await town.claim("camera")
    async with speaking(town) as client:
        leaf(await post(client, "camera/simpleenroll", new_request()[1], (claim.claim.id, claim.secret)))


async def test_twenty_uses_of_one_claim_at_once_make_one_device(town: Platform) -> None:
    claim = await town.claim()
    who = (claim.claim.id, claim.secret)
    async with speaking(town) as client:
        answers = await asyncio.gather(*(post(client, "simpleenroll", new_request()[1], who) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 19
    assert sum((await town.stores.devices.count_by_standing()).values()) == 1
    assert (await town.kinds()).count("signing:device:issued") == 1


async def test_twenty_answers_to_one_impatient_device_are_one_certificate(town: Platform) -> None:
    claim = await town.claim()
    _, csr = new_request()
    async with speaking(town) as client:
        answers = await asyncio.gather(
            *(post(client, "simpleenroll", csr, (claim.claim.id, claim.secret)) for _ in range(20))
        )
    assert len({leaf(answer) for answer in answers}) == 1
    assert sum((await town.stores.devices.count_by_standing()).values()) == 1


async def test_a_key_that_another_device_has_is_refused(town: Platform, tmp_path: Path) -> None:
    device = await enrolled(town, tmp_path)
    claim = await town.claim()
    async with speaking(town) as client:
        answer = await post(client, "simpleenroll", new_request(device.key)[1], (claim.claim.id, claim.secret))
    assert (answer.status_code, "key of its own" in answer.text) == (400, True)
    stored = await town.stores.credentials.claim(claim.claim.id)
    assert stored is not None
    assert stored.standing_at(datetime.now(UTC)) == "open"


def _rsa() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    return (
        x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    )


def _tampered() -> bytes:
    csr = bytearray(new_request(name="aaaaaaaa")[1])
    at = csr.index(b"aaaaaaaa")
    csr[at] = ord("b")
    return bytes(csr)


BAD: list[tuple[str, Callable[[], bytes], str]] = [
    ("rsa", _rsa, "only P-256 and P-384"),
    ("tampered", _tampered, "does not prove"),
    ("k1", lambda: new_request(ec.generate_private_key(ec.SECP256K1()))[1], "secp256k1"),
    ("p521", lambda: new_request(ec.generate_private_key(ec.SECP521R1()))[1], "secp521r1"),
    ("noise", lambda: b"\x30\x82\x01\x00" + bytes(100), "cannot be read"),
    ("empty", lambda: b"", "empty"),
    ("huge", lambda: new_request(name="x" * 60)[1] + bytes(9000), "8192"),
]


async def test_a_bad_request_is_refused_with_its_reason_and_leaves_the_claim_open(town: Platform) -> None:
    claim = await town.claim()
    who = (claim.claim.id, claim.secret)
    async with speaking(town) as client:
        for name, make, reason in BAD:
            answer = await post(client, "simpleenroll", make(), who)
            assert (answer.status_code, reason in answer.text) == (400, True), (name, answer.text)
        answer = await client.post("/.well-known/est/simpleenroll", content=b"AAAA", auth=who)
        assert answer.status_code == 415
        answer = await client.post("/.well-known/est/simpleenroll", content=b"A" * 30_000, headers=PKCS10, auth=who)
        assert answer.status_code == 413
        answer = await client.post(
            "/.well-known/est/simpleenroll", content=b"-----BEGIN CERTIFICATE REQUEST-----", headers=PKCS10, auth=who
        )
        assert (answer.status_code, "PEM" in answer.text) == (400, True)
        wrapped = base64.encodebytes(new_request()[1]).replace(b"\n", b"\r\n ")
        leaf(await client.post("/.well-known/est/simpleenroll", content=wrapped, headers=PKCS10, auth=who))


async def test_operations_that_are_not_offered_say_so(town: Platform) -> None:
    async with speaking(town) as client:
        for operation, status in (("fullcmc", 501), ("serverkeygen", 501), ("camera/fullcmc", 501), ("csrattrs", 405)):
            answer = await client.post(f"/.well-known/est/{operation}", content=b"")
            assert answer.status_code == status
            assert answer.text.strip()
        assert (await client.get("/.well-known/est/simpleenroll")).status_code == 405


async def test_a_client_of_cmp_is_refused_clearly(town: Platform, tmp_path: Path) -> None:
    require("openssl")
    save_key(new_request()[0], tmp_path / "key.pem")
    status, out, said = await run(
        *("openssl", "cmp", "-cmd", "ir", "-server", f"localhost:{town.port}", "-path", ".well-known/cmp", "-tls_used"),
        *(
            "-tls_trusted",
            town.root,
            "-ref",
            "x",
            "-secret",
            "pass:x",
            "-newkey",
            tmp_path / "key.pem",
            "-subject",
            "/CN=x",
        ),
        *("-certout", tmp_path / "out.pem", "-recipient", "/CN=x"),
    )
    assert status != 0
    assert "501" in out.decode() + said, out.decode() + said
    assert not (tmp_path / "out.pem").exists()
    async with speaking(town) as client:
        answer = await client.post("/.well-known/cmp/p/camera", content=b"")
        assert (answer.status_code, "EST" in answer.text) == (501, True)


async def test_what_a_request_should_have_is_told(town: Platform) -> None:
    async with speaking(town) as client:
        for path in ("csrattrs", "camera/csrattrs"):
            answer = await client.get(f"/.well-known/est/{path}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/csrattrs")
            assert b"\n" not in answer.content
            key, signature = core.SequenceOf.load(base64.b64decode(answer.content), spec=core.Any, strict=True)
            attribute = key.parse(core.Sequence)
            assert attribute[0].native == "1.2.840.10045.2.1"
            assert [one.native for one in core.SetOf.load(attribute[1].dump(), spec=core.ObjectIdentifier)] == [
                "1.2.840.10045.3.1.7"
            ]
            assert signature.parse(core.ObjectIdentifier).native == "1.2.840.10045.4.3.2"


async def test_a_renewal_needs_the_certificate_in_tls_and_its_subject(town: Platform, tmp_path: Path) -> None:
    device = await enrolled(town, tmp_path)
    async with speaking(town) as client:
        answer = await post(client, "simplereenroll", new_request(name=device.device)[1])
        assert (answer.status_code, "TLS client certificate" in answer.text) == (403, True)
    async with speaking(town, *device.files) as client:
        answer = await post(client, "simplereenroll", new_request(name="d-" + "a" * 20)[1])
        assert (answer.status_code, f"CN={device.device}" in answer.text) == (400, True)
        key, csr = new_request(name=device.device)
        renewed = leaf(await post(client, "simplereenroll", csr))
        assert leaf(await post(client, "simplereenroll", new_request(key, device.device)[1])) == renewed
        for _ in range(6):
            leaf(await post(client, "simplereenroll", new_request(name=device.device)[1]))
        answer = await post(client, "simplereenroll", new_request(name=device.device)[1])
        assert (answer.status_code, "certificates that have not ended" in answer.text) == (403, True)


async def test_a_foreign_certificate_ends_in_the_handshake(town: Platform, tmp_path: Path) -> None:
    device = await enrolled(town, tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device.device)])
    now = datetime.now(UTC)
    foreign = (
        x509.CertificateBuilder().subject_name(name).issuer_name(device.certificate.issuer).public_key(key.public_key())
        .serial_number(device.certificate.serial_number).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    stranger = Enrolled(foreign, key, tmp_path)
    async with speaking(town, *stranger.files) as client:
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            await post(client, "simplereenroll", new_request(name=device.device)[1])
    async with asyncio.timeout(10):
        while not (records := await town.ledger.recent(1, "enrolment:refused")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert records[0].body["code"] == "tls:certificate:foreign"
    assert "did not verify" in str(records[0].body["reason"])


async def test_a_suspended_device_does_not_renew_and_gets_no_update_until_it_is_valid_again(
    town: Platform, tmp_path: Path
) -> None:
    device = await enrolled(town, tmp_path)
    async with speaking(town, *device.files) as client:
        answer = await client.get("/v1/eligibility")
        assert answer.json() == {"device": device.device, "credential": "valid", "update": "none"}

        plan = held(device.device, 1, CredentialState.SUSPENDED, UpdateEligibility.REPAIR)
        outcome = await town.credential.apply(plan)
        await town.update.apply(plan)
        assert outcome.holds == "suspended"
        answer = await client.get("/v1/eligibility")
        assert answer.json() == {"device": device.device, "credential": "suspended", "update": "repair"}
        answer = await post(client, "simplereenroll", new_request(name=device.device)[1])
        assert (answer.status_code, "suspended" in answer.text) == (403, True)

        plan = held(device.device, 2, CredentialState.VALID, UpdateEligibility.NORMAL)
        assert (await town.credential.apply(plan)).holds == "valid"
        await town.update.apply(plan)
        assert (await client.get("/v1/eligibility")).json()["update"] == "normal"
        leaf(await post(client, "simplereenroll", new_request(name=device.device)[1]))


async def test_a_revoked_device_is_on_the_list_that_openssl_checks(town: Platform, tmp_path: Path) -> None:
    require("openssl")
    device, other = await enrolled(town, tmp_path), await enrolled(town, tmp_path)
    await town.credential.apply(held(device.device, 1, CredentialState.REVOKED, UpdateEligibility.NONE))
    revived = await town.credential.apply(held(device.device, 2, CredentialState.VALID, UpdateEligibility.NORMAL))
    assert revived.holds == "revoked"
    async with speaking(town) as client:
        answer = await client.get("/crl")
    assert answer.headers["content-type"] == "application/pkix-crl"
    crl = x509.load_der_x509_crl(answer.content)
    assert [entry.serial_number for entry in crl] == [device.certificate.serial_number]
    (tmp_path / "crl.pem").write_bytes(crl.public_bytes(Encoding.PEM))
    for one, said in ((device, "certificate revoked"), (other, "OK")):
        _, out, err = await run(
            "openssl", "verify", "-crl_check", "-CRLfile", tmp_path / "crl.pem", "-CAfile", town.root,
            "-untrusted", town.data / "trust" / "issuing.pem", one.files[0],
        )  # fmt: skip
        assert said in out.decode() + err


async def test_refusals_fill_the_ledger_at_a_bounded_rate(town: Platform) -> None:
    async with speaking(town) as client:
        await asyncio.gather(*(post(client, "simpleenroll", b"x", ("c-" + "a" * 20, "x")) for _ in range(100)))
    assert 20 <= (await town.kinds()).count("enrolment:refused") <= 40


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_tls_versions_enrol_and_show_the_certificate(
    town: Platform, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    device = await enrolled(town, tmp_path)
    context = ssl.create_default_context(cafile=str(town.root))
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(*device.files)
    async with httpx.AsyncClient(verify=context, base_url=town.base) as client:
        assert (await client.get("/v1/eligibility")).json()["device"] == device.device
        leaf(await post(client, "simplereenroll", new_request(name=device.device)[1]))


async def test_an_older_tls_is_not_spoken(town: Platform) -> None:
    require("openssl")
    status, out, said = await run(
        "openssl", "s_client", "-connect", f"localhost:{town.port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-brief"
    )
    assert status != 0, out.decode() + said


async def test_a_body_that_does_not_come_is_not_waited_for(town: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bastide.controller.endpoints.est.BODY_SECONDS", 0.2)
    claim = await town.claim()

    async def trickle() -> AsyncIterator[bytes]:
        yield b"QUJD"
        await asyncio.sleep(1)

    async with speaking(town) as client:
        answer = await client.post(
            "/.well-known/est/simpleenroll", content=trickle(), headers=PKCS10, auth=(claim.claim.id, claim.secret)
        )
    assert (answer.status_code, "did not come" in answer.text) == (408, True)


async def test_noise_on_the_port_stops_nobody(town: Platform, tmp_path: Path) -> None:
    context = ssl.create_default_context(cafile=str(town.root))
    chance = random.Random(20261123)
    start = b"POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: x\r\n"
    noises = [
        b"\x16\x03\x01" + chance.randbytes(200),
        start + b"Content-Length: -1\r\n\r\n",
        start + b"Content-Length: 99999999999999999999\r\n\r\n",
        start + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        start + b"Authorization: Basic " + b"A" * 60_000 + b"\r\n\r\n",
        start + b"Authorization: Basic \xff\xfe\r\nContent-Type: application/pkcs10\r\nContent-Length: 0\r\n\r\n",
        b"GET /.well-known/est/%00%ff/cacerts HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n",
        *(chance.randbytes(chance.randint(1, 400)) for _ in range(20)),
    ]
    for noise in noises:
        reader, writer = await asyncio.open_connection("localhost", town.port, ssl=context)
        writer.write(noise)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.read(65536)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    assert (await enrolled(town, tmp_path)).device

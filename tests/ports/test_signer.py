"""The signer as flows see it: one suite over the one in memory and the real one behind its socket."""

import asyncio
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bastide.adapters.signer.client import SignerClient
from bastide.core.error import Refused
from bastide.core.ids import DeviceClass, DeviceId, RequestId
from bastide.core.merkle import leaf_hash
from bastide.core.plan import BrokerGrant
from bastide.core.shares import join, read_share
from bastide.device.identity.ceremony import ENTROPY_BYTES, next_issuing
from bastide.device.identity.certificate import Issuer
from bastide.device.identity.hierarchy import key_id
from bastide.network.broker.connect import ConnectRequest, answer_claims
from bastide.ports.keys import Signer
from bastide.signer.config import SignerConfig
from bastide.signer.wiring import serving
from bastide.testing import FakeClock, MemorySigner, SequentialIds
from bastide.testing.ledger import consistency, tree_root
from bastide.wire.checkpoint import open_checkpoint
from bastide.wire.nkeys import Kind, decode_public, encode_public, verify_jwt
from bastide.wire.note import VerifierKey

A = DeviceId(SequentialIds("a").mint("d"))
CLASS = DeviceClass("thermostat")
HOUR = timedelta(hours=1)
DER = serialization.Encoding.DER


@dataclass(frozen=True, slots=True)
class Office:
    """A signer, and what the world knows of it."""

    signer: Signer
    issuing: x509.Certificate
    plan_key: ed25519.Ed25519PublicKey
    account: bytes
    checkpoint: VerifierKey
    root: Issuer


@pytest.fixture(params=["memory", "process"])
async def office(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Office]:
    if request.param == "memory":
        memory = MemorySigner(clock)
        key = VerifierKey("bastide.test/ledger", memory.checkpoint_key.public_key().public_bytes_raw())
        root = Issuer(memory.root.certificate, memory.root.key)
        account = memory.account_key.public_key().public_bytes_raw()
        yield Office(memory, memory.issuing.certificate, memory.plan_key.public_key(), account, key, root)
        return
    home = Path(tempfile.mkdtemp(prefix="bastide-s-"))
    config = SignerConfig(home, home / "run" / "signer.sock")
    for folder in (config.trust, config.socket.parent):
        folder.mkdir(mode=0o700)
    async with serving(config, clock):
        client = SignerClient(config.socket)
        trust = config.trust
        plan_key = serialization.load_pem_public_key((trust / "plan.pub").read_bytes())
        assert isinstance(plan_key, ed25519.Ed25519PublicKey)
        yield Office(
            client,
            x509.load_pem_x509_certificate((trust / "issuing.pem").read_bytes()),
            plan_key,
            decode_public((trust / "devices-account.pub").read_text().strip(), Kind.ACCOUNT),
            VerifierKey.parse((trust / "checkpoint.vkey").read_text()),
            joined(home),
        )
        await client.close()
    shutil.rmtree(home)


def joined(home: Path) -> Issuer:
    """The root, its key from two of its shares."""
    shares = [read_share((home / "root-shares" / f"share-{n}-of-3.txt").read_text()) for n in (1, 3)]
    key = serialization.load_der_private_key(join(shares), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Issuer(x509.load_pem_x509_certificate((home / "trust" / "root.pem").read_bytes()), key)


def csr(key: Any = None, name: str = "anything") -> bytes:
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(own, hashes.SHA256()).public_bytes(DER)


async def device(office: Office, clock: FakeClock, **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "csr": csr(),
        "device": A,
        "device_class": CLASS,
        "not_before": clock.now(),
        "not_after": clock.now() + HOUR,
    }
    request = changes.pop("request", RequestId("request-1"))
    return await office.signer.device_certificate(request, **values | changes)


async def test_a_device_certificate_is_for_the_device_whatever_the_request_calls_itself(
    office: Office, clock: FakeClock
) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = x509.load_der_x509_certificate(await device(office, clock, csr=csr(key, "root")))
    certificate.verify_directly_issued_by(office.issuing)
    assert certificate.subject.rfc4514_string() == f"CN={A}"
    assert certificate.public_key() == key.public_key()
    assert certificate.not_valid_before_utc == clock.now()
    assert certificate.not_valid_after_utc == clock.now() + HOUR
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"csr": b"not a request"},
        {"csr": csr(rsa.generate_private_key(65537, 2048))},
        {"csr": csr(ec.generate_private_key(ec.SECP521R1()))},
        {"device": DeviceId("root")},
        {"device_class": DeviceClass("Not A Name")},
    ],
    ids=["unreadable", "rsa", "p-521", "no device id", "no class"],
)
async def test_what_the_device_profile_does_not_allow_is_refused(
    office: Office, clock: FakeClock, wrong: dict[str, Any]
) -> None:
    with pytest.raises(Refused):
        await device(office, clock, **wrong)


async def test_a_request_that_does_not_prove_possession_is_refused(office: Office, clock: FakeClock) -> None:
    forged = bytearray(csr())
    forged[-1] ^= 1
    with pytest.raises(Refused):
        await device(office, clock, csr=bytes(forged))


@pytest.mark.parametrize(("begins", "ends"), [(0.0, 0.0), (0.0, -1.0), (-25.0, 1.0), (2.0, 3.0), (0.0, 24 * 500.0)])
async def test_a_validity_that_is_not_allowed_is_refused(
    office: Office, clock: FakeClock, begins: float, ends: float
) -> None:
    with pytest.raises(Refused):
        await device(office, clock, not_before=clock.now() + begins * HOUR, not_after=clock.now() + ends * HOUR)


async def test_a_request_id_is_too_short_to_be_unique(office: Office, clock: FakeClock) -> None:
    with pytest.raises(Refused):
        await device(office, clock, request=RequestId("1"))


async def test_the_same_request_again_has_the_same_answer_and_another_under_its_id_is_refused(
    office: Office, clock: FakeClock
) -> None:
    request = csr()
    first = await device(office, clock, csr=request)
    clock.advance(1)
    begins = clock.now() - timedelta(seconds=1)
    again = await device(office, clock, csr=request, not_before=begins, not_after=begins + HOUR)
    assert again == first
    with pytest.raises(Refused):
        await device(office, clock, csr=csr(), not_before=begins, not_after=begins + HOUR)
    other = await device(office, clock, csr=request, not_before=begins, request=RequestId("request-2"))
    assert other != first


async def test_a_server_certificate_carries_the_names_of_this_machine(office: Office) -> None:
    names = ["localhost", "127.0.0.1", "::1"]
    der = await office.signer.server_certificate(RequestId("request-1"), csr=csr(), names=names)
    certificate = x509.load_der_x509_certificate(der)
    certificate.verify_directly_issued_by(office.issuing)
    general = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each.value) for each in general] == names


@pytest.mark.parametrize("names", [["example.org"], ["*"], ["10.0.0.1"], ["localhost", "bank.example"]])
async def test_no_server_certificate_is_made_for_others_names(office: Office, names: list[str]) -> None:
    with pytest.raises(Refused):
        await office.signer.server_certificate(RequestId("request-1"), csr=csr(), names=names)


async def test_a_crl_names_what_is_revoked_and_counts_up(office: Office, clock: FakeClock) -> None:
    earlier = clock.now() - HOUR
    numbers = []
    for request, revoked in (("request-1", [(17, earlier)]), ("request-2", [(17, earlier), (2**150, earlier)])):
        der = await office.signer.crl(
            RequestId(request), revoked=revoked, this_update=clock.now(), issuer=key_id(office.issuing)
        )
        crl = x509.load_der_x509_crl(der)
        issuer_key = office.issuing.public_key()
        assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
        assert crl.is_signature_valid(issuer_key)
        assert [(each.serial_number, each.revocation_date_utc) for each in crl] == revoked
        numbers.append(crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
    assert numbers[1] == numbers[0] + 1


async def test_a_crl_that_names_a_serial_twice_or_is_from_another_day_is_refused(
    office: Office, clock: FakeClock
) -> None:
    now, by = clock.now(), key_id(office.issuing)
    with pytest.raises(Refused):
        await office.signer.crl(RequestId("request-1"), revoked=[(7, now), (7, now)], this_update=now, issuer=by)
    with pytest.raises(Refused):
        await office.signer.crl(RequestId("request-2"), revoked=[], this_update=now - timedelta(days=1), issuer=by)


async def test_tree_heads_are_signed_only_while_they_extend_the_last(office: Office) -> None:
    leaves = [leaf_hash(b"%d" % number) for number in range(9)]
    origin = office.checkpoint.name
    sign = office.signer.checkpoint
    assert await office.signer.last_checkpoint() is None
    first = await sign(RequestId("request-1"), origin=origin, size=4, root=tree_root(leaves[:4]), consistency=())
    assert open_checkpoint(first, office.checkpoint).size == 4
    longer = consistency(4, leaves)
    await sign(RequestId("request-2"), origin=origin, size=9, root=tree_root(leaves), consistency=longer)
    assert await office.signer.last_checkpoint() == (9, tree_root(leaves))
    for number, (size, root, proof) in enumerate(
        [
            (4, tree_root(leaves[:4]), ()),  # set back
            (9, tree_root(leaves[::-1]), ()),  # another story of the same length
            (10, tree_root([*leaves[::-1], leaves[0]]), consistency(9, [*leaves[::-1], leaves[0]])),
        ]
    ):
        with pytest.raises(Refused):
            await sign(RequestId(f"request-{number + 3}"), origin=origin, size=size, root=root, consistency=proof)
    assert await office.signer.last_checkpoint() == (9, tree_root(leaves))


async def test_a_plan_is_signed_as_it_is_and_what_is_no_plan_is_refused(office: Office) -> None:
    plan = json.dumps({"device": A, "generation": 3}).encode()
    office.plan_key.verify(await office.signer.plan(RequestId("request-1"), plan=plan), plan)
    for number, wrong in enumerate((b"{", b"[]", b"{}", json.dumps({"device": A, "generation": 0}).encode())):
        with pytest.raises(Refused):
            await office.signer.plan(RequestId(f"request-{number + 2}"), plan=wrong)


async def test_other_claims_than_a_broker_users_are_refused(office: Office) -> None:
    for number, wrong in enumerate((b"{", b"[]", b'{"nats":{"type":"operator"}}', b'{"nats":{"type":"account"}}')):
        with pytest.raises(Refused):
            await office.signer.broker_user(RequestId(f"request-{number}"), claims=wrong)


async def test_the_claims_that_the_broker_rules_make_are_signed_by_the_devices_account(
    office: Office, clock: FakeClock
) -> None:
    user = encode_public(Kind.USER, bytes(32))
    issuer = encode_public(Kind.ACCOUNT, office.account)
    grant = BrokerGrant((f"devices/{A}/telemetry",), (f"devices/{A}/commands",), 2.0, 4096)
    server = encode_public(Kind.SERVER, bytes(32))
    request = ConnectRequest(server, 7, user, "127.0.0.1", "any", b"")
    at = int(clock.now().timestamp())
    claims = answer_claims(request, A, 3, grant, issuer=issuer, account="DEVICES", at=at)
    answer = verify_jwt(await office.signer.broker_user(RequestId("request-1"), claims=claims), office.account)
    assert (answer["sub"], answer["aud"]) == (user, server)
    let_in = verify_jwt(answer["nats"]["jwt"], office.account)
    assert (let_in["sub"], let_in["name"]) == (user, f"{A}:3")
    assert let_in["nats"] == json.loads(claims)["nats"]["jwt"]["nats"]


async def test_many_requests_at_once_are_each_answered(office: Office, clock: FakeClock) -> None:
    ids = SequentialIds("many")
    devices = [DeviceId(ids.mint("d")) for _ in range(30)]
    answers = await asyncio.gather(
        *(device(office, clock, device=each, request=RequestId(f"request-{each}")) for each in devices)
    )
    names = [x509.load_der_x509_certificate(der).subject.rfc4514_string() for der in answers]
    assert names == [f"CN={each}" for each in devices]


def ceremony(office: Office, csr_der: bytes, root: Issuer, used_from: datetime) -> list[bytes]:
    return [next_issuing(csr_der, root, used_from, secrets.token_bytes(ENTROPY_BYTES)).public_bytes(DER)]


async def test_the_next_issuing_ca_is_asked_for_installed_once_and_used_from_its_hour(
    office: Office, clock: FakeClock
) -> None:
    signer = office.signer
    csr_der = await signer.next_issuing(RequestId("request-1"))
    assert await signer.next_issuing(RequestId("request-1")) == csr_der
    key = x509.load_der_x509_csr(csr_der).public_key()
    assert x509.load_der_x509_csr(await signer.next_issuing(RequestId("request-2"))).public_key() == key
    stranger = ec.generate_private_key(ec.SECP384R1())
    foreign = replace(office.root, key=stranger)
    certificates = ceremony(office, csr_der, foreign, clock.now())
    with pytest.raises(Refused) as refused:
        await signer.take_authority(RequestId("request-3"), certificates=certificates)
    assert refused.value.reason == "authority:refused"
    with pytest.raises(Refused) as refused:
        await signer.take_authority(RequestId("request-4"), certificates=[b"rubbish"])
    assert refused.value.reason == "authority:unreadable"

    certificates = ceremony(office, csr_der, office.root, clock.now() + HOUR)
    made = x509.load_der_x509_certificate(certificates[0])
    identifier = await signer.take_authority(RequestId("request-5"), certificates=certificates)
    assert identifier == key_id(made)
    assert await signer.take_authority(RequestId("request-5"), certificates=certificates) == identifier
    with pytest.raises(Refused) as refused:
        await signer.take_authority(RequestId("request-6"), certificates=certificates)
    assert refused.value.reason == "authority:no-request"

    before = x509.load_der_x509_certificate(await device(office, clock, request=RequestId("device-1")))
    before.verify_directly_issued_by(office.issuing)
    clock.advance(3600)
    after = x509.load_der_x509_certificate(await device(office, clock, request=RequestId("device-2")))
    after.verify_directly_issued_by(made)
    for issuer, request in ((office.issuing, "list-001"), (made, "list-002")):
        asked = {"revoked": [], "this_update": clock.now(), "issuer": key_id(issuer)}
        listed = x509.load_der_x509_crl(await signer.crl(RequestId(request), **asked))  # type: ignore[arg-type]
        assert listed.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
        der = await signer.ocsp_certificate(RequestId(f"ocsp-{request}"), csr=csr(), issuer=key_id(issuer))
        x509.load_der_x509_certificate(der).verify_directly_issued_by(issuer)
    with pytest.raises(Refused) as refused:
        await signer.crl(RequestId("list-003"), revoked=[], this_update=clock.now(), issuer="00" * 20)
    assert refused.value.reason == "signer:issuer:unknown"

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bastide.core.error import Unreadable
from bastide.core.ids import DeviceId
from bastide.core.plan import BrokerGrant
from bastide.network.broker.connect import answer_claims, presented, read_request, read_user_name, user_name

DEVICE = DeviceId("d-" + "a" * 20)
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(*names: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(KEY.public_key())
    builder = builder.serial_number(7).not_valid_before(begins).not_valid_after(begins + timedelta(days=1))
    return builder.sign(KEY, hashes.SHA256())


def token(**changed: Any) -> bytes:
    pem = certificate(DEVICE).public_bytes(serialization.Encoding.PEM).decode()
    nats = {
        "server_id": {"id": "N" + "A" * 55},
        "user_nkey": "U" + "A" * 55,
        "client_info": {"id": 12, "host": "10.0.0.7", "mqtt_id": "anything", "user": "somebody-else"},
        "client_tls": {"verified_chains": [[pem, pem]]},
        **changed,
    }
    body = urlsafe_b64encode(json.dumps({"nats": nats}).encode()).rstrip(b"=")
    return b"e30." + body + b".c2ln"


def test_the_device_is_the_one_that_the_verified_certificate_names() -> None:
    request = read_request(token())
    assert (request.client, request.host, request.mqtt_id) == (12, "10.0.0.7", "anything")
    assert presented(request.certificate).device == DEVICE
    assert presented(request.certificate).serial == 7


def test_a_chain_that_was_not_verified_is_no_certificate() -> None:
    pem = certificate(DEVICE).public_bytes(serialization.Encoding.PEM).decode()
    unverified: list[object] = [None, {}, {"certs": [pem]}, {"verified_chains": []}]
    for tls in unverified:
        request = read_request(token(client_tls=tls))
        with pytest.raises(Unreadable) as refused:
            presented(request.certificate)
        assert refused.value.reason == "broker:certificate:missing"


@pytest.mark.parametrize("names", [("localhost",), (DEVICE, DEVICE), ("d-*",), (DEVICE + "\n",)])
def test_a_certificate_that_does_not_name_one_device_is_refused(names: tuple[str, ...]) -> None:
    der = certificate(*names).public_bytes(serialization.Encoding.DER)
    with pytest.raises(Unreadable) as refused:
        presented(der)
    assert refused.value.reason == "broker:certificate:not-a-device"


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"a.b.c", b"..", token(client_info={}), token(server_id=3), token(user_nkey=None), token(client_info={"id": "x"}),
        token(client_tls={"verified_chains": [[]]}), token(client_tls={"verified_chains": [["no PEM"]]}), token(client_tls=[1]),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_read_is_refused(broken: bytes) -> None:
    with pytest.raises(Unreadable):
        presented(read_request(broken).certificate)


def answer(given: BrokerGrant) -> dict[str, Any]:
    claims = answer_claims(read_request(token()), DEVICE, 7, given, issuer="A1", account="DEVICES", at=100)
    parsed: dict[str, Any] = json.loads(claims)
    return parsed


def test_the_answer_is_for_that_server_and_user_key_and_holds_exactly_the_granted_subjects() -> None:
    given = BrokerGrant((f"devices/{DEVICE}/a",), (f"devices/{DEVICE}/b/#",), 1.0, 300)
    claims = answer(given)
    user = claims["nats"]["jwt"]
    assert (claims["aud"], claims["sub"], user["sub"]) == ("N" + "A" * 55, "U" + "A" * 55, "U" + "A" * 55)
    assert (user["aud"], user["name"], user["nats"]["payload"]) == ("DEVICES", f"{DEVICE}:7", 300)
    assert user["nats"]["allowed_connection_types"] == ["MQTT"]
    assert user["nats"]["pub"] == {"allow": [f"up.{DEVICE}.a"]}
    assert user["nats"]["sub"]["allow"] == [
        f"devices.{DEVICE}.b", f"devices.{DEVICE}.b.>", "$MQTT.sub.>", "$MQTT.deliver.pubrel.>",
    ]  # fmt: skip


def test_nothing_granted_is_written_as_everything_denied() -> None:
    """An empty list of allowed subjects means everything to NATS."""
    nothing = answer(BrokerGrant())["nats"]["jwt"]["nats"]
    assert nothing["pub"] == {"deny": [">"]}
    assert nothing["sub"] == {"deny": [">"]}


def test_the_user_name_holds_device_and_generation() -> None:
    assert read_user_name(user_name(DEVICE, 12)) == (DEVICE, 12)
    for other in ("", DEVICE, f"{DEVICE}:", f"{DEVICE}:x", f"{DEVICE}:-1", "x:1", "bastide-ingest", f"{DEVICE}:١"):
        assert read_user_name(other) is None

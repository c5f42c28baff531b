"""One connection to the broker: what nats-server asks, and what it is answered (NATS auth callout, ADR-26; JWT v2).

- The server asks with a JWT that names a fresh user key, itself, the client, and the **verified** TLS chain. Whoever the
  client says it is (MQTT client id, user name) plays no part: the device is the common name of the first certificate.
- The answer is a JWT for that user key and that server, with the JWT of a user inside; the signer signs both with the key
  of the devices' account. An empty answer refuses at once (a JWT with an error would only cost another signature).
- The user's name is ``<device>:<generation>``. The server repeats it in its connection events, so that a session which
  was let in under an older plan can be told from a newer one, by any controller and after a restart.
- The user may use the ``$MQTT`` subjects that the server itself needs for QoS 1 and 2 deliveries to it; the server refuses
  MQTT clients that name them.
"""

import json
from base64 import b64decode, urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from bastide.core.error import Unreadable
from bastide.core.ids import DeviceId, is_device_id
from bastide.core.plan import BrokerGrant
from bastide.network.broker.grant import publish_subjects, subscribe_subjects

MAX_REQUEST_BYTES = 128 * 1024
# Deliveries of QoS 1 and 2 arrive on these; they are random names of the server's own choosing.
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_DELIVERIES = ("$MQTT.sub.>", "$MQTT.deliver.pubrel.>")


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """What the server knows of a connection that waits. ``certificate`` is DER, empty where no chain was verified."""

    server: str
    client: int
    user_key: str
    host: str
    mqtt_id: str
    certificate: bytes


def read_request(token: bytes) -> ConnectRequest:
    """The request in the server's JWT. Its signature is not checked: only the server can publish where it arrives."""
    try:
        if len(token) > MAX_REQUEST_BYTES:
            raise ValueError("too long")
        body = token.split(b".")[1]
        claims = json.loads(urlsafe_b64decode(body + b"=" * (-len(body) % 4)))["nats"]
        client, chains = claims["client_info"], (claims.get("client_tls") or {}).get("verified_chains") or ()
        return ConnectRequest(
            server=_text(claims["server_id"]["id"]),
            client=int(client["id"]),
            user_key=_text(claims["user_nkey"]),
            host=_text(client.get("host", "")),
            mqtt_id=_text(client.get("mqtt_id", "")),
            certificate=_der(chains[0][0]) if chains else b"",
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, Base64Error) as error:
        raise Unreadable(
            f"The broker's request to let a connection in cannot be read: {type(error).__name__}.",
            code="broker:callout:unreadable",
        ) from error


@dataclass(frozen=True, slots=True)
class Presented:
    """The device that a verified certificate names, and the certificate's serial number."""

    device: DeviceId
    serial: int


def presented(certificate: bytes) -> Presented:
    """Whose certificate it is; Unreadable where it names no device."""
    if not certificate:
        raise Unreadable(
            "The connection presented no verified certificate; connect with a device certificate.",
            code="broker:certificate:missing",
        )
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        names = [str(name.value) for name in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        serial = parsed.serial_number
    except ValueError as error:
        raise Unreadable("The certificate cannot be read.", code="broker:certificate:unreadable") from error
    if len(names) != 1 or not is_device_id(names[0]):
        raise Unreadable(
            "The certificate's common name is not one device id; enrol the device and use what it was given.",
            code="broker:certificate:not-a-device",
        )
    return Presented(DeviceId(names[0]), serial)


def user_name(device: DeviceId, generation: int) -> str:
    return f"{device}:{generation}"


def read_user_name(text: str) -> tuple[DeviceId, int] | None:
    """Device and generation of a connection's user name; None for the platform's own connections."""
    device, colon, generation = text.partition(":")
    if not colon or not is_device_id(device) or not generation.isascii() or not generation.isdigit():
        return None
    return DeviceId(device), int(generation[:18])


def answer_claims(
    request: ConnectRequest,
    device: DeviceId,
    generation: int,
    given: BrokerGrant,
    *,
    issuer: str,
    account: str,
    at: int,
) -> bytes:
    """The claims of the answer as JSON, for the signer's ``broker-user`` profile. ``at`` is seconds since 1970."""
    common = {"iat": at, "iss": issuer, "jti": request.user_key, "sub": request.user_key}
    user = {**common, "aud": account, "name": user_name(device, generation), "nats": _rights(given)}
    nats = {"type": "authorization_response", "version": 2, "jwt": user}
    return json.dumps({**common, "aud": request.server, "nats": nats}, separators=(",", ":"), sort_keys=True).encode()


def _rights(given: BrokerGrant) -> Mapping[str, Any]:
    hears = subscribe_subjects(given)
    return {
        "allowed_connection_types": ["MQTT"],
        "data": -1,
        "payload": given.max_payload_bytes or -1,
        # An empty list of allowed subjects would mean everything: what is not granted is said to be denied.
        "pub": {"allow": list(publish_subjects(given))} if given.publish else {"deny": [">"]},
        "sub": {"allow": [*hears, *_DELIVERIES]} if hears else {"deny": [">"]},
        "subs": -1,
        "type": "user",
        "version": 2,
    }


def _der(pem: str) -> bytes:
    """The bytes between the lines BEGIN and END (RFC 7468); whether they are a certificate shows when they are read."""
    body = pem.split(_BEGIN)[1].split(_END)[0]
    return b64decode(body)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 65_535:
        raise ValueError("not a text")
    return value

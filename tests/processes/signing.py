"""What the signer's tests ask for: requests with sensible values, and claims of a broker user."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bastide.adapters.signer.client import SignerClient
from bastide.core.ids import DeviceClass, DeviceId, RequestId, mint
from bastide.wire.nkeys import Kind, encode_public
from tests.scenarios.enrolment.platform import new_request


def new_device() -> DeviceId:
    return DeviceId(mint("d", os.urandom(13)))


async def certificate(
    signer: SignerClient, request: str, csr: bytes | None = None, device: DeviceId | None = None, days: int = 30
) -> bytes:
    now = datetime.now(UTC).replace(microsecond=0)
    return await signer.device_certificate(
        RequestId(request),
        csr=csr or new_request()[1],
        device=device or new_device(),
        device_class=DeviceClass("camera"),
        not_before=now,
        not_after=now + timedelta(days=days),
    )


def user_claims(device: DeviceId, **nats: Any) -> dict[str, Any]:
    """The claims of a device's broker user."""
    return {
        "sub": encode_public(Kind.USER, os.urandom(32)),
        "aud": "DEVICES",
        "name": f"{device}:1",
        "nats": {
            "type": "user",
            "version": 2,
            "pub": {"allow": [f"up.{device}.status"]},
            "sub": {"deny": [">"]},
            "subs": -1,
            "data": -1,
            "payload": -1,
            "allowed_connection_types": ["MQTT"],
            **nats,
        },
    }


def encoded(claims: Mapping[str, Any]) -> bytes:
    return json.dumps(claims).encode()

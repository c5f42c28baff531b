"""Profile ``plan``: an Ed25519 signature over an encoded plan, so that an enforcement point far away can trust it.

It allows a JSON object that names a device and a generation, and signs the bytes as they are.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from bastide.core.error import Refused
from bastide.core.ids import is_device_id
from bastide.signer.authority import Authorities
from bastide.signer.profiles import Desk, Signed
from bastide.wire.signing import PlanToSign


def sign(ask: PlanToSign, desk: Desk) -> Signed:
    try:
        plan = json.loads(ask.plan)
    except (ValueError, RecursionError) as error:
        raise Refused("A plan to sign is not JSON.", code="signer:plan:unreadable") from error
    device = plan.get("device") if isinstance(plan, dict) else None
    generation = plan.get("generation") if isinstance(plan, dict) else None
    if not isinstance(device, str) or not is_device_id(device) or type(generation) is not int or generation < 1:
        raise Refused("A plan to sign names no device, or no generation from 1 up.", code="signer:plan:unreadable")
    what = {"device": device, "generation": generation, "sha256": sha256(ask.plan).hexdigest()}
    return Signed(desk.authorities.keys.plan.sign(ask.plan), what)


def again(ask: PlanToSign, _what: Mapping[str, Any], authorities: Authorities) -> bytes:
    return authorities.keys.plan.sign(ask.plan)

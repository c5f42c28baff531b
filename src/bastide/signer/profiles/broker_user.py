"""Profile ``broker-user``: NATS JWTs (github.com/nats-io/jwt version 2) that let one device onto the broker, or refuse it.

Two claim types are signed, with the key of the devices' account:

- ``user``: for the account ``DEVICES``, named for one device and the generation of its plan (``<device>:<generation>``), over
  MQTT only. What it may do is written out: publish below ``up.<its id>.`` (to where the account maps what devices publish),
  subscribe below ``devices.<its id>.`` and, of the broker's own subjects, ``$MQTT.sub.`` and ``$MQTT.deliver.pubrel.``, which
  deliveries of QoS 1 and 2 need. **An empty permission list means everything to NATS**: one must allow something or deny ``>``.
- ``authorization_response``: the auth-callout service's answer to one server about one connection: an ``error``, or ``jwt``.
  ``jwt`` is the user's claims (an object, signed here in the same request) or a user JWT that this key signed.

``iss`` is set here, and ``iat`` where it is missing; ``exp`` may not be more than a day ahead.
"""

import json
import re
from base64 import b32encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from bastide.core.error import Refused, Unreadable
from bastide.core.ids import is_device_id
from bastide.signer.authority import Authorities
from bastide.signer.profiles import Desk, Signed
from bastide.wire.nkeys import Kind, decode_public, sign_jwt, verify_jwt
from bastide.wire.signing import BrokerUser

ACCOUNT = "DEVICES"
MAX_SUBJECTS = 512
MAX_DEPTH = 8
MAX_EXPIRY_SECONDS = 86_400
_TOP = frozenset({"jti", "iat", "exp", "iss", "sub", "aud", "name", "nats"})
_USER = frozenset({"type", "version", "pub", "sub", "subs", "data", "payload", "allowed_connection_types", "tags"})
_RESPONSE = frozenset({"type", "version", "jwt", "error"})
# Where the broker delivers QoS 1 and 2; a device that could publish there could forge another's deliveries.
_INTERNAL = {"pub": (), "sub": ("$MQTT.sub.", "$MQTT.deliver.pubrel.")}
# The account maps what devices publish from ``devices.>`` to ``up.>``, and the server checks permissions after that.
_OWN = {"pub": "up", "sub": "devices"}
_SUBJECT = re.compile(r"[!-~]{1,256}")


class ClaimsRefused(Refused):
    """Claims that the profile does not allow."""

    code = "signer:broker-user:claims"


def sign(ask: BrokerUser, desk: Desk) -> Signed:
    iat = int(desk.now.timestamp())
    token, device = _sign(ask, iat, desk.authorities)
    return Signed(token.encode(), {"device": device, "iat": iat})


def again(ask: BrokerUser, what: Mapping[str, Any], authorities: Authorities) -> bytes:
    return _sign(ask, int(what["iat"]), authorities)[0].encode()


def _sign(ask: BrokerUser, iat: int, authorities: Authorities) -> tuple[str, str]:
    try:
        claims = json.loads(ask.claims, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise ClaimsRefused(f"The claims of a broker user cannot be read as JSON: {error}.") from error
    nats = claims.get("nats") if isinstance(claims, dict) else None
    match nats:
        case {"type": "user"}:
            device = _check_user(claims, iat, authorities)
            return _finish(claims, iat, authorities), device
        case {"type": "authorization_response"}:
            device, inner = _check_response(claims, iat, authorities)
            return _finish({**claims, "nats": inner}, iat, authorities), device
        case _:
            raise ClaimsRefused(
                "The claims are of another type than 'user' and 'authorization_response', the two that are signed."
            )


def _check_user(claims: Mapping[str, Any], iat: int, authorities: Authorities) -> str:
    _check_top(claims, iat, authorities)
    device, nats = _device(claims.get("name")), claims["nats"]
    if not device:
        raise ClaimsRefused(
            "A broker user must be named for one device and a generation (name: <device>:<generation>)."
        )
    if claims.get("aud") != ACCOUNT:
        raise ClaimsRefused(f"A device may only be a user of the account {ACCOUNT}, and the claims say another.")
    if unknown := sorted(set(nats) - _USER):
        raise ClaimsRefused(f"The claims of a broker user may not set {', '.join(map(str, unknown))[:100]}.")
    if nats.get("version", 2) != 2 or nats.get("allowed_connection_types") != ["MQTT"]:
        raise ClaimsRefused("A device connects by MQTT only: version must be 2, allowed_connection_types ['MQTT'].")
    for name in ("subs", "data", "payload"):
        limit = nats.get(name, -1)
        if type(limit) is not int or limit < -1:
            raise ClaimsRefused(f"The limit {name} of a broker user is not a number from -1 up.")
    for direction in ("pub", "sub"):
        _check_permissions(direction, nats.get(direction), device)
    return device


def _check_permissions(direction: str, permissions: object, device: str) -> None:
    if not isinstance(permissions, dict) or set(permissions) - {"allow", "deny"}:
        raise ClaimsRefused(f"The permissions {direction} of {device} must be written out, as allow and deny.")
    allow, deny = permissions.get("allow", []), permissions.get("deny", [])
    for subjects in (allow, deny):
        if not isinstance(subjects, list) or len(subjects) > MAX_SUBJECTS:
            raise ClaimsRefused(
                f"The permissions {direction} of {device} are no list of up to {MAX_SUBJECTS} subjects."
            )
        for subject in subjects:
            if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
                raise ClaimsRefused(f"A subject in the permissions {direction} of {device} is not a NATS subject.")
    if not allow and ">" not in deny:
        raise ClaimsRefused(
            f"The permissions {direction} of {device} allow nothing by name, which NATS reads as everything. Deny '>'."
        )
    own = f"{_OWN[direction]}.{device}"
    for subject in allow:
        if not subject.startswith((f"{own}.", *_INTERNAL[direction])) and subject != own:
            raise ClaimsRefused(
                f"{device} would be allowed to {direction} {subject[:80]!r}, which is not below {own}.",
                code="signer:broker-user:subject",
            )


def _device(name: object) -> str:
    """The device in ``<device>:<generation>``; empty where it is not of that form."""
    device, colon, generation = name.partition(":") if isinstance(name, str) else ("", "", "")
    named = is_device_id(device) and bool(colon) and generation.isascii() and generation.isdigit()
    return device if named and len(generation) <= 18 else ""


def _check_response(claims: Mapping[str, Any], iat: int, authorities: Authorities) -> tuple[str, dict[str, Any]]:
    _check_top(claims, iat, authorities)
    nats = claims["nats"]
    if unknown := sorted(set(nats) - _RESPONSE):
        raise ClaimsRefused(f"An authorization response may not set {', '.join(map(str, unknown))[:100]}.")
    try:
        decode_public(str(claims.get("aud")), Kind.SERVER)
    except Unreadable as error:
        raise ClaimsRefused("An authorization response must be for one server (aud: its public nkey).") from error
    match nats.get("jwt", ""), nats.get("error", ""):
        case "", str(error_text) if error_text and len(error_text) <= 512:
            return "", {**nats}
        case {"nats": {"type": "user"}} as user, "":
            device = _check_user(user, iat, authorities)
            token = _finish(user, iat, authorities)
        case str(token), "" if token:
            try:
                user = verify_jwt(token, authorities.keys.account.public_key().public_bytes_raw())
            except Unreadable as error:
                raise ClaimsRefused("The user JWT in the authorization response was not signed here.") from error
            device = _device(user.get("name"))
            if not device:
                raise ClaimsRefused("The JWT in the authorization response is not a user's.")
        case _:
            raise ClaimsRefused("An authorization response holds either an error or one user's jwt.")
    if user.get("sub") != claims.get("sub"):
        raise ClaimsRefused("The authorization response is for another user key than the user JWT in it.")
    return device, {**nats, "jwt": token}


def _check_top(claims: Mapping[str, Any], iat: int, authorities: Authorities) -> None:
    if unknown := sorted(set(claims) - _TOP):
        raise ClaimsRefused(f"The claims may not set {', '.join(map(str, unknown))[:100]}.")
    try:
        decode_public(str(claims.get("sub")), Kind.USER)
    except Unreadable as error:
        raise ClaimsRefused(
            "The claims must be for one connection (sub: the user nkey that the server made)."
        ) from error
    if claims.get("iss", authorities.account) != authorities.account:
        raise ClaimsRefused("The claims name another issuer than the devices' account. Leave iss out.")
    for name in ("iat", "exp"):
        moment = claims.get(name, iat)
        if type(moment) is not int or moment < 0 or moment > iat + MAX_EXPIRY_SECONDS:
            raise ClaimsRefused(f"The claims' {name} is not a time in seconds at most a day ahead.")


def _finish(claims: Mapping[str, Any], iat: int, authorities: Authorities) -> str:
    whole = {**claims, "iss": authorities.account, "iat": claims.get("iat", iat)}
    whole.pop("jti", None)
    canonical = json.dumps(whole, separators=(",", ":"), sort_keys=True).encode()
    whole["jti"] = b32encode(sha256(canonical).digest()).decode().rstrip("=")
    return sign_jwt(whole, authorities.keys.account)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return read

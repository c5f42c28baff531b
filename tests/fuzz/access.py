"""What somebody who is not signed in can send: tokens, cookies, links, a passkey's answer, a password."""

import json
from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime

from bastide.core.error import Refused
from bastide.governance.access import passkey, password, secret
from bastide.governance.access.passkey import Passkey, RelyingParty
from bastide.governance.access.person import Person, PersonId
from bastide.governance.access.roles import Role
from tests.controller.authenticator import Authenticator, binary
from tests.fuzz import Target

_PARTY = RelyingParty("localhost", "https://localhost:8443")
_NOW = datetime(2026, 1, 5, tzinfo=UTC)
_ADA = Person(PersonId("p-" + "a" * 20), "ada", Role.OPERATOR, _NOW)
_CHALLENGE = b"c-" + b"a" * 20 + b"." + b"a" * 43
_KEY = Authenticator()
_CREATED = _KEY.create(passkey.registration_options(_PARTY, _ADA, (), _CHALLENGE))
_HELD: Passkey = passkey.registered(_PARTY, _ADA, _CREATED, _CHALLENGE, "laptop", _NOW)
_SIGNED = _KEY.get(passkey.sign_in_options(_PARTY, _CHALLENGE))


def _secret(data: bytes) -> None:
    text = data.decode(errors="replace")
    handle = secret.handle(text, "t")
    assert handle is None or text.startswith(handle)
    secret.is_it(text, secret.digest("other"))


def _passkey(data: bytes) -> None:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(answer, dict):
        return
    with suppress(Refused):
        passkey.registered(_PARTY, _ADA, answer, _CHALLENGE, "laptop", _NOW)
    with suppress(Refused):
        passkey.used(_PARTY, _HELD, answer, _CHALLENGE)
    passkey.credential_id(answer)


def _attestation(data: bytes) -> None:
    """The bytes as what the key itself says, inside an answer that is otherwise well formed."""
    said = urlsafe_b64encode(data).decode().rstrip("=")
    made = _CREATED | {"response": _CREATED["response"] | {"attestationObject": said}}
    used = _SIGNED | {"response": _SIGNED["response"] | {"authenticatorData": said}}
    with suppress(Refused):
        passkey.registered(_PARTY, _ADA, made, _CHALLENGE, "laptop", _NOW)
    with suppress(Refused):
        passkey.used(_PARTY, _HELD, used, _CHALLENGE)


def _password(data: bytes) -> None:
    with suppress(Refused):
        password.check(data.decode(errors="replace"), "operator")


TARGETS = [
    Target("access-secret", _secret, (secret.compose("t-" + "a" * 20, bytes(32)).encode(),)),
    Target("access-passkey", _passkey, (json.dumps(_CREATED).encode(), json.dumps(_SIGNED).encode())),
    Target(
        "access-attestation",
        _attestation,
        (
            binary(_CREATED["response"]["attestationObject"]),
            binary(_SIGNED["response"]["authenticatorData"]),
        ),
    ),
    Target("access-password", _password, (b"tulip forklift seven", b"qwertyuiop12", "Ἑλλὰς ἡμετέρα".encode())),
]

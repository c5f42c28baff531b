"""Passkeys: WebAuthn level 2, section 7 (registration 7.1, authentication 7.2), checked by the ``webauthn`` library.

Discoverable credentials with user verification, so that a passkey is both factors and no name is typed. Attestation is
not asked for: which maker's key somebody uses is none of our business. A signature counter that went back means a
cloned key and is refused.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import webauthn
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from bastide.governance.access.error import AccessRefused
from bastide.governance.access.person import Person, PersonId

MAX_ANSWER_BYTES = 16_384
PASSKEYS_EACH = 20
MAX_LABEL = 80
CHALLENGE_BYTES = 32


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks, as browsers know it: ``id`` is a host name (never an IP address), ``origin`` the console's address."""

    id: str
    origin: str
    name: str = "Bastide"


@dataclass(frozen=True, slots=True)
class Passkey:
    """One registered key. ``id`` is the credential id in base64url, ``public_key`` COSE, ``label`` its owner's word."""

    id: str
    person: PersonId
    public_key: bytes
    sign_count: int
    label: str
    created_at: datetime
    last_used: datetime | None = None


def registration_options(
    party: RelyingParty, person: Person, held: Sequence[Passkey], challenge: bytes
) -> dict[str, Any]:
    """What ``navigator.credentials.create`` is called with."""
    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=party.name,
        user_id=person.id.encode(),
        user_name=person.name,
        user_display_name=person.display or person.name,
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=webauthn.base64url_to_bytes(passkey.id)) for passkey in held
        ],
    )
    return _as_object(webauthn.options_to_json(options))


def sign_in_options(party: RelyingParty, challenge: bytes) -> dict[str, Any]:
    """What ``navigator.credentials.get`` is called with; the key says whose it is."""
    options = webauthn.generate_authentication_options(
        rp_id=party.id, challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
    )
    return _as_object(webauthn.options_to_json(options))


def registered(
    party: RelyingParty, person: Person, answer: Mapping[str, Any], challenge: bytes, label: str, now: datetime
) -> Passkey:
    """The passkey that an authenticator made. Raises where the answer does not hold."""
    if not label.strip() or len(label) > MAX_LABEL or not label.isprintable():
        raise AccessRefused(
            f"A passkey needs a label of at most {MAX_LABEL} printable characters, such as the device it is on.",
            code="access:passkey:label",
        )
    try:
        verified = webauthn.verify_registration_response(
            credential=dict(answer),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
    except _UNREADABLE as error:
        raise _refused("The browser's answer does not register a passkey here; begin again.") from error
    return Passkey(
        id=webauthn.helpers.bytes_to_base64url(verified.credential_id),
        person=person.id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        label=label.strip(),
        created_at=now,
    )


def used(party: RelyingParty, passkey: Passkey, answer: Mapping[str, Any], challenge: bytes) -> int:
    """The signature count after a sign-in that holds. Raises where it does not."""
    try:
        verified = webauthn.verify_authentication_response(
            credential=dict(answer),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except _UNREADABLE as error:
        raise _refused("This passkey's answer does not hold here; try again or use another way to sign in.") from error
    return verified.new_sign_count


def credential_id(answer: Mapping[str, Any]) -> str:
    """The credential id that an answer names; empty where it names none."""
    named = answer.get("id")
    return named if isinstance(named, str) and len(named) <= 1400 else ""


# The library raises its own errors for what does not hold, and these for what is not even shaped as an answer.
_UNREADABLE = (WebAuthnException, ValueError, TypeError, KeyError, AttributeError, IndexError)


def _refused(sentence: str) -> AccessRefused:
    return AccessRefused(sentence, code="access:passkey:refused")


def _as_object(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value

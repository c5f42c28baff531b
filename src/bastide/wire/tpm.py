"""What a device with a TPM sends before it enrols, and what it is answered: one JSON object each, octets in base64.

The public areas are TPM2B_PUBLIC, the attestation a TPMS_ATTEST, the signature a TPMT_SIGNATURE, the credential what
``tpm2_activatecredential -i`` reads: the files of tpm2-tools as they are.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from bastide.core.error import Unreadable

MAX_BODY_BYTES = 32_768
Certificate = Annotated[bytes, Meta(min_length=1, max_length=4096)]
Structure = Annotated[bytes, Meta(min_length=1, max_length=2048)]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``ek_certificate`` with what links it to its vendor in ``chain``; ``ak`` and ``key`` are public areas; ``attest`` and
    ``signature`` are by the AK over the key."""

    ek_certificate: Certificate
    ak: Structure
    key: Structure
    attest: Structure
    signature: Structure
    chain: Annotated[list[Certificate], Meta(max_length=4)] = []


class Challenge(msgspec.Struct, frozen=True):
    """The user name for HTTP Basic at simpleenroll, and the credential; its secret in hex is the password."""

    username: str
    credential: bytes
    seconds: int


_asked = msgspec.json.Decoder(Asked)
_encoder = msgspec.json.Encoder()


def decode_asked(body: bytes) -> Asked:
    """``Unreadable`` where it is something else."""
    if len(body) > MAX_BODY_BYTES:
        raise Unreadable(f"The body has more than {MAX_BODY_BYTES} bytes.", code="enrolment:tpm:unreadable")
    try:
        return _asked.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(
            f"This is not what a device with a TPM sends: {error}.", code="enrolment:tpm:unreadable"
        ) from error


def encode_challenge(challenge: Challenge) -> bytes:
    return _encoder.encode(challenge)

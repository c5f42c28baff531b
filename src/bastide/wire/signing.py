"""What is said to the signer over its unix socket: one bounded, strict request form, and one answer form.

- A frame is a 32-bit big-endian length and that many bytes; a length over :data:`FRAME_LIMIT_BYTES` is refused unread.
- A request is the MessagePack array ``[1, correlation, request id, profile, body]``; the body is the array that
  :data:`BODIES` names for the profile, with exactly its fields, each of its type and within its bounds.
- An answer is ``[1, correlation, outcome, code, sentence, body]``. Answers may come in another order than the requests.

``correlation`` pairs answer and request on one connection; the request id is the caller's, and idempotent: the same
request under the same id gives the same answer, also on another connection and after the signer was restarted.
"""

from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bastide.core.error import Refused, Unreadable

FRAME_HEADER_BYTES = 4
# A CRL request with about 35,000 entries. Everything else is a few kilobytes.
FRAME_LIMIT_BYTES = 1 << 20


class Profile(StrEnum):
    """The named signing profiles, and ``last-checkpoint``, the one question that signs nothing."""

    DEVICE = "device"
    SERVER = "server"
    CRL = "crl"
    OCSP = "ocsp"
    CHECKPOINT = "checkpoint"
    BROKER_USER = "broker-user"
    PLAN = "plan"
    NEXT_ISSUING = "next-issuing"
    AUTHORITY = "authority"
    LAST_CHECKPOINT = "last-checkpoint"


RequestIdText = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{7,127}\Z", max_length=128)]
Seconds = Annotated[int, Meta(ge=0, le=253_402_300_799)]  # up to the year 9999, the last that RFC 5280 can write
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
Serial = Annotated[bytes, Meta(min_length=1, max_length=20)]  # RFC 5280 4.1.2.2
KeyIdentifier = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z", max_length=40)]  # RFC 5280 4.2.1.2 (1), in hex
CSRBytes = Annotated[bytes, Meta(min_length=1, max_length=8192)]


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Everything here is an array with exactly the fields that its type declares."""


class DeviceCertificate(Message, frozen=True):
    csr: CSRBytes
    device: Annotated[str, Meta(max_length=64)]
    device_class: Annotated[str, Meta(max_length=64)]
    not_before: Seconds
    not_after: Seconds


class ServerCertificate(Message, frozen=True):
    csr: CSRBytes
    names: Annotated[list[Annotated[str, Meta(min_length=1, max_length=253)]], Meta(min_length=1, max_length=16)]


class OCSPResponder(Message, frozen=True):
    csr: CSRBytes
    issuer: KeyIdentifier


class CRL(Message, frozen=True):
    revoked: list[tuple[Serial, Seconds]]
    this_update: Seconds
    issuer: KeyIdentifier


class Checkpoint(Message, frozen=True):
    origin: Annotated[str, Meta(min_length=1, max_length=200)]
    size: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    root: Digest
    consistency: Annotated[list[Digest], Meta(max_length=64)]


class BrokerUser(Message, frozen=True):
    claims: Annotated[bytes, Meta(min_length=2, max_length=65_536)]


class PlanToSign(Message, frozen=True):
    plan: Annotated[bytes, Meta(min_length=1, max_length=65_536)]


class NextIssuing(Message, frozen=True):
    pass


class Authority(Message, frozen=True):
    certificates: Annotated[
        list[Annotated[bytes, Meta(min_length=1, max_length=4096)]], Meta(min_length=1, max_length=4)
    ]


class LastCheckpoint(Message, frozen=True):
    pass


Body = (
    DeviceCertificate
    | ServerCertificate
    | OCSPResponder
    | CRL
    | Checkpoint
    | BrokerUser
    | PlanToSign
    | NextIssuing
    | Authority
    | LastCheckpoint
)

BODIES: dict[Profile, type[Body]] = {
    Profile.DEVICE: DeviceCertificate,
    Profile.SERVER: ServerCertificate,
    Profile.OCSP: OCSPResponder,
    Profile.CRL: CRL,
    Profile.CHECKPOINT: Checkpoint,
    Profile.BROKER_USER: BrokerUser,
    Profile.PLAN: PlanToSign,
    Profile.NEXT_ISSUING: NextIssuing,
    Profile.AUTHORITY: Authority,
    Profile.LAST_CHECKPOINT: LastCheckpoint,
}
_PROFILE_OF: dict[type[Body], Profile] = {body: profile for profile, body in BODIES.items()}


class _RequestForm(Message, frozen=True):
    version: Literal[1]
    correlation: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    request_id: RequestIdText
    profile: Annotated[str, Meta(max_length=64)]
    body: msgspec.Raw


class Request(msgspec.Struct, frozen=True):
    """One request, read and within its bounds. ``digest`` is the SHA-256 of profile and body: what idempotency compares."""

    correlation: int
    request_id: str
    profile: Profile
    body: Body
    digest: bytes


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


class Answer(Message, frozen=True):
    """``body`` is the signed thing, or empty with ``code`` and ``sentence`` saying why not."""

    version: Literal[1]
    correlation: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    outcome: Outcome
    code: Annotated[str, Meta(max_length=128)] = ""
    sentence: Annotated[str, Meta(max_length=2048)] = ""
    body: bytes = b""


class Head(Message, frozen=True):
    """The body of the answer to ``last-checkpoint``; ``root`` is empty before the first one."""

    size: int
    root: Annotated[bytes, Meta(max_length=32)]


_encoder = msgspec.msgpack.Encoder()
_request = msgspec.msgpack.Decoder(_RequestForm)
_answer = msgspec.msgpack.Decoder(Answer)
_head = msgspec.msgpack.Decoder(Head)
_bodies = {profile: msgspec.msgpack.Decoder(body) for profile, body in BODIES.items()}


def frame(payload: bytes) -> bytes:
    """The payload with its length before it."""
    if len(payload) > FRAME_LIMIT_BYTES:
        raise Refused(
            f"A message of {len(payload)} bytes is too large for the signer, which reads at most {FRAME_LIMIT_BYTES}.",
            code="signer:frame:too-large",
        )
    return len(payload).to_bytes(FRAME_HEADER_BYTES, "big") + payload


def length(header: bytes) -> int:
    """The payload's length that a frame header announces; Unreadable where it is out of bounds."""
    announced = int.from_bytes(header, "big")
    if not 0 < announced <= FRAME_LIMIT_BYTES:
        raise Unreadable(
            f"The frame announces {announced} bytes; 1 to {FRAME_LIMIT_BYTES} are accepted.",
            code="signer:frame:too-large",
        )
    return announced


def encode_request(correlation: int, request_id: str, body: Body) -> bytes:
    """A request; the profile follows from the body's type."""
    profile = _PROFILE_OF[type(body)]
    form = _RequestForm(1, correlation, request_id, profile.value, msgspec.Raw(_encoder.encode(body)))
    return _encoder.encode(form)


def decode_request(payload: bytes) -> Request:
    """The request in the payload; ``Refused`` with a code that says what is wrong with it."""
    try:
        form = _request.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"This is not a signing request: {error}.", code="signer:request:unreadable") from error
    try:
        profile = Profile(form.profile)
    except ValueError as error:
        raise Refused(
            f"There is no signing profile {form.profile!r}; there are {', '.join(sorted(Profile))}.",
            code="signer:profile:unknown",
        ) from error
    try:
        body = _bodies[profile].decode(form.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(
            f"The {profile} request does not have the form of its profile: {error}.", code="signer:request:unreadable"
        ) from error
    # MessagePack can write one value in several ways; only the shortest is taken, so that one request has one digest.
    if _encoder.encode(form) != payload or _encoder.encode(body) != bytes(form.body):
        raise Unreadable(
            "The request is not in its shortest MessagePack form, the only one that is accepted.",
            code="signer:request:unreadable",
        )
    digest = sha256(f"{profile}\0".encode() + bytes(form.body)).digest()
    return Request(form.correlation, form.request_id, profile, body, digest)


def correlation_of(payload: bytes) -> int:
    """The correlation of a request that was refused, so that its sender learns of it; 0 where even that cannot be read."""
    try:
        match msgspec.msgpack.decode(payload):
            case [1, int(correlation), *_] if 0 <= correlation < 2**63:
                return correlation
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    return 0


def encode_answer(answer: Answer) -> bytes:
    return _encoder.encode(answer)


def decode_answer(payload: bytes) -> Answer:
    """The answer in the payload; Unreadable where it is none."""
    try:
        return _answer.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"This is not a signer's answer: {error}.", code="signer:answer:unreadable") from error


def encode_head(head: Head) -> bytes:
    return _encoder.encode(head)


def decode_head(payload: bytes) -> Head:
    """The body of the answer to ``last-checkpoint``."""
    try:
        return _head.decode(payload)
    except msgspec.MsgspecError as error:
        raise Unreadable(f"This is not a tree head: {error}.", code="signer:answer:unreadable") from error

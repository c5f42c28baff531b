"""Which messages come in: declared channels, declared fields, within size and rate. Everything else has a name and is counted.

- A payload is one flat JSON object (RFC 8259). What is kept is the declared fields and nothing more (data minimisation).
- ``malformed``: no JSON object, a declared field of the wrong type or out of its bounds, a required one missing.
- ``undeclared field``: kept without that field, and said, so that a firmware update which starts to tell more is seen.
- A declared field named ``*`` stands for any flat field (the built-in profile of kinds that nobody described).
- Rate is a token bucket: ``rate_per_second`` sustained, ``burst`` at once.

This runs for every message of the fleet, so what can be compiled once for a profile is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from bastide.core.ids import DeviceId
from bastide.core.profile import Direction, FieldType, PayloadField, Profile
from bastide.network.broker.topics import channel_of

Value = float | int | str | bool
ANY_FIELD = "*"
# A flat object of a constrained device has a few fields; the generic profile takes what comes, within this.
MAX_FIELDS = 64
MAX_FIELD_NAME = 64
# Telemetry numbers are stored as 64-bit floats; a larger integer would be changed silently.
MAX_INTEGER = 2**53


class Fault(StrEnum):
    """Why a message, or a part of it, did not come in; the value is the kind of the evidence."""

    MALFORMED = "ingest.payload.malformed"
    OVERSIZED = "ingest.payload.oversized"
    FIELD = "ingest.field.undeclared"
    CHANNEL = "ingest.channel.undeclared"
    RATE = "ingest.rate.exceeded"


@dataclass(frozen=True, slots=True)
class Admitted:
    """The declared fields of a message. ``undeclared`` names the first field that was left out, empty where none was."""

    fields: Mapping[str, Value]
    undeclared: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """``detail`` says what was found, without repeating payload contents."""

    fault: Fault
    detail: str


@dataclass(slots=True)
class Bucket:
    """Tokens left, and when they were counted (seconds). Mutable: one belongs to one device of one worker."""

    tokens: float
    at: float

    def take(self, rate: float, burst: float, now: float) -> bool:
        """True where one more message is within the rate. A clock that goes back adds nothing."""
        elapsed = now - self.at
        if elapsed > 0:
            self.tokens = min(burst, self.tokens + elapsed * rate)
            self.at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class ChannelRule:
    """One channel of a profile, compiled. ``admit`` is a function of the payload alone."""

    __slots__ = ("_any", "_fields", "_required", "max_payload_bytes")

    def __init__(self, fields: tuple[PayloadField, ...], max_payload_bytes: int) -> None:
        self._fields = {field.name: field for field in fields if field.name != ANY_FIELD}
        self._any = next((field for field in fields if field.name == ANY_FIELD), None)
        self._required = tuple(field.name for field in fields if field.required and field.name != ANY_FIELD)
        self.max_payload_bytes = max_payload_bytes

    def admit(self, payload: bytes) -> Admitted | Rejected:
        """The declared fields of a payload, or why it does not come in."""
        if len(payload) > self.max_payload_bytes:
            return Rejected(Fault.OVERSIZED, f"{len(payload)} bytes, {self.max_payload_bytes} allowed")
        try:
            message = _object.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Rejected(Fault.MALFORMED, "not one JSON object")
        if len(message) > MAX_FIELDS:
            return Rejected(Fault.MALFORMED, f"more than {MAX_FIELDS} fields")
        kept: dict[str, Value] = {}
        undeclared = ""
        for name, value in message.items():
            field = self._fields.get(name)
            if field is None:
                if self._any is None:
                    undeclared = undeclared or name[:MAX_FIELD_NAME]
                    continue
                wrong = _wrong_anything(name, value, self._any.max_length)
            else:
                wrong = _wrong(field, value)
            if wrong:
                return Rejected(Fault.MALFORMED, f"{name[:MAX_FIELD_NAME]}: {wrong}")
            if value is not None:
                kept[name] = value
        for name in self._required:
            if name not in kept:
                return Rejected(Fault.MALFORMED, f"{name} is missing")
        return Admitted(kept, undeclared)


class Admission:
    """What one profile lets in, by channel name (the subject's part after the device)."""

    __slots__ = ("burst", "channels", "rate_per_second")

    def __init__(self, profile: Profile) -> None:
        self.rate_per_second = profile.rate_per_second
        self.burst = float(profile.burst)
        sample = DeviceId("d-" + "a" * 20)
        self.channels = {
            channel_of(channel.for_device(sample), sample): ChannelRule(channel.fields, profile.max_payload_bytes)
            for channel in profile.channels
            if channel.direction is Direction.PUBLISH
        }

    def admit(self, channel: str, payload: bytes) -> Admitted | Rejected:
        """The declared fields of a message on a channel, or why it does not come in."""
        rule = self.channels.get(channel)
        if rule is None:
            return Rejected(Fault.CHANNEL, f"{channel[:MAX_FIELD_NAME]} is not declared")
        return rule.admit(payload)

    def fresh_bucket(self, now: float) -> Bucket:
        return Bucket(self.burst, now)


_object = msgspec.json.Decoder(dict[str, float | int | str | bool | None])


def _wrong(field: PayloadField, value: Value | None) -> str:
    kind = field.type
    if kind is FieldType.NUMBER or kind is FieldType.INTEGER:
        if value.__class__ is not int and (value.__class__ is not float or kind is FieldType.INTEGER):
            return f"not a {kind.value}"
        number: float = value
        if not -MAX_INTEGER <= number <= MAX_INTEGER and (value.__class__ is int or not math.isfinite(number)):
            return "out of range"
        if field.minimum is not None and number < field.minimum:
            return f"below {field.minimum:g}"
        if field.maximum is not None and number > field.maximum:
            return f"above {field.maximum:g}"
        return ""
    if kind is FieldType.BOOLEAN:
        return "" if value.__class__ is bool else "not a boolean"
    if value.__class__ is not str:
        return "not a text"
    return "" if len(value) <= field.max_length else "too long"


def _wrong_anything(name: str, value: Value | None, max_length: int) -> str:
    if not name or len(name) > MAX_FIELD_NAME:
        return "not a field name"
    if value.__class__ is str:
        return "" if len(value) <= max_length else "too long"
    if value.__class__ is int or value.__class__ is float:
        number: float = value
        return (
            ""
            if -MAX_INTEGER <= number <= MAX_INTEGER or (value.__class__ is float and math.isfinite(number))
            else "out of range"
        )
    return ""

"""The application part of a profile inside its MUD file: our extension ``bastide-application`` of RFC 8520 (section 3.10).

    "ietf-mud:mud": {
      "extensions": ["bastide-application"],
      "bastide-mud:application": {
        "rate-per-second": "2.0", "burst": 20, "max-payload-bytes": 2048,
        "channels": {"channel": [{
          "topic": "devices/{device}/telemetry", "direction": "publish", "purpose": "Room climate", "essential": true,
          "fields": {"field": [{"name": "temperature", "type": "number", "purpose": "Climate control",
                                "required": true, "minimum": "-40", "maximum": "85"}]}}]}}}

The words and their bounds are those of the document that its author writes (``network.profile.document``); numbers with a
fraction are strings (RFC 7951, section 6.1). Who does not know the extension leaves it out, and the network part stands.
"""

import math
from typing import Any

from bastide.core.error import Unreadable
from bastide.core.profile import Channel, PayloadField
from bastide.network.profile.document import MAX_CHANNELS, MAX_FIELDS, MAX_RATE, channel_of
from bastide.network.profile.mud.members import Members
from bastide.network.profile.mud.words import Application, MUDRefused

NAME = "bastide-mud:application"
EXTENSION = "bastide-application"
_CODE = "mud:application:"


def read_application(value: Any) -> Application:
    """The application part; ``MUDRefused`` (``mud:application:…``) names the place and what is wrong."""
    members = Members(value, NAME)
    rate = _decimal(members, "rate-per-second", 1.0, 0.001, MAX_RATE)
    burst, largest = members.whole("burst", 1, 100_000), members.whole("max-payload-bytes", 1, 1024 * 1024)
    channels: list[Channel] = []
    container = Members(members.take("channels") if "channels" in members else {}, "channels")
    for number, one in enumerate(container.items("channel", MAX_CHANNELS), start=1):
        channels.append(_channel(Members(one, f"channel {number}"), f"channel {number}"))
    if len({(one.topic, one.direction) for one in channels}) != len(channels):
        raise MUDRefused("Two channels have the same topic and direction.", code=f"{_CODE}duplicate")
    _nothing_left(members, container)
    return Application(tuple(channels), rate, 20 if burst is None else burst, 4096 if largest is None else largest)


def write_application(part: Application) -> dict[str, Any]:
    """The strict form of it."""
    return {
        "rate-per-second": _written(part.rate_per_second),
        "burst": part.burst,
        "max-payload-bytes": part.max_payload_bytes,
        "channels": {"channel": [_written_channel(one) for one in part.channels]},
    }


def _channel(members: Members, where: str) -> Channel:
    table: dict[str, Any] = {name: members.take(name) for name in ("topic", "direction", "purpose") if name in members}
    if "essential" in members:
        table["essential"] = members.truth("essential")
    container = Members(members.take("fields") if "fields" in members else {}, f"fields of {where}")
    table["field"] = [
        _field(Members(one, f"{where}, field {number}"))
        for number, one in enumerate(container.items("field", MAX_FIELDS), start=1)
    ]
    _nothing_left(members, container)
    try:
        return channel_of(table, where)
    except Unreadable as error:
        raise MUDRefused(error.sentence, code=f"{_CODE}channel") from error


def _field(members: Members) -> dict[str, Any]:
    table: dict[str, Any] = {name: members.take(name) for name in ("name", "type", "purpose") if name in members}
    if "required" in members:
        table["required"] = members.truth("required")
    for name in ("minimum", "maximum"):
        if name in members:
            table[name] = _decimal(members, name, 0.0, -1e300, 1e300)
    if "max-length" in members:
        table["max_length"] = members.whole("max-length", 1, 65536)
    _nothing_left(members)
    return table


def _decimal(members: Members, name: str, default: float, low: float, high: float) -> float:
    """A number with a fraction: a string in RFC 7951, a whole number in what people write."""
    if name not in members:
        return default
    value = members.take(name)
    try:
        number = float(value) if isinstance(value, str) and len(value) <= 40 else math.nan
        if isinstance(value, int) and not isinstance(value, bool):
            number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or not low <= number <= high:
        raise MUDRefused(
            f"{name} in {members.where} is {str(value)[:40]!r}; it must be a number from {low:g} to {high:g}, as a string.",
            code=f"{_CODE}number",
        )
    return number


def _nothing_left(*members: Members) -> None:
    for one in members:
        for left in one.left():
            raise MUDRefused(f"{one.where} has {left[:80]!r}, which is not known here.", code=f"{_CODE}unknown")


def _written_channel(one: Channel) -> dict[str, Any]:
    written: dict[str, Any] = {"topic": one.topic, "direction": one.direction.value, "purpose": one.purpose}
    if one.essential:
        written["essential"] = True
    if one.fields:
        written["fields"] = {"field": [_written_field(each) for each in one.fields]}
    return written


def _written_field(one: PayloadField) -> dict[str, Any]:
    written: dict[str, Any] = {"name": one.name, "type": one.type.value, "purpose": one.purpose}
    if one.required:
        written["required"] = True
    for name, bound in (("minimum", one.minimum), ("maximum", one.maximum)):
        if bound is not None:
            written[name] = _written(bound)
    if one.max_length != PayloadField.__dataclass_fields__["max_length"].default:
        written["max-length"] = one.max_length
    return written


def _written(number: float) -> str:
    return repr(number)

"""The application part of a profile as its author writes it: TOML.

    name = "thermostat"
    class = "thermostat"
    title = "Room thermostat"
    rate_per_second = 2
    burst = 20
    max_payload_bytes = 2048
    impact = 0.3
    expected_silence = "15m"

    [[channel]]
    topic = "devices/{device}/telemetry"
    direction = "publish"
    purpose = "Room climate"
    essential = true
    [[channel.field]]
    name = "temperature"
    type = "number"          # number, integer, text or boolean; a name of "*" stands for any flat field
    purpose = "Climate control"
    minimum = -40
    maximum = 85

Every topic must hold ``{device}`` as a whole level, so that no profile can let one device speak for another. The
network part (RFC 8520 MUD) has its own form, which can hold this part too (``mud.application``).
"""

import math
import tomllib
from typing import Any

from bastide.core.duration import parse_duration
from bastide.core.error import Unreadable
from bastide.core.ids import DeviceClass, ProfileName, is_name
from bastide.core.profile import Channel, Direction, FieldType, PayloadField, Profile

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_CHANNELS = 64
MAX_FIELDS = 256
MAX_TOPIC_BYTES = 256
MAX_RATE = 10_000.0

_PROFILE_KEYS = {
    "name", "class", "title", "rate_per_second", "burst", "max_payload_bytes", "impact", "expected_silence", "channel",
}  # fmt: skip
_CHANNEL_KEYS = {"topic", "direction", "purpose", "essential", "field"}
_FIELD_KEYS = {"name", "type", "purpose", "required", "minimum", "maximum", "max_length"}

GENERIC = """\
name = "generic"
class = "generic"
title = "Any device that nobody described yet"
rate_per_second = 50
burst = 500
max_payload_bytes = 8192
impact = 0.5

[[channel]]
topic = "devices/{device}/telemetry"
direction = "publish"
purpose = "Whatever it measures, until its kind is described"
essential = true
[[channel.field]]
name = "*"
type = "text"
purpose = "Not described yet"

[[channel]]
topic = "devices/{device}/status"
direction = "publish"
purpose = "How it is"
essential = true
[[channel.field]]
name = "*"
type = "text"
purpose = "Not described yet"

[[channel]]
topic = "devices/{device}/event"
direction = "publish"
purpose = "What happened to it"
[[channel.field]]
name = "*"
type = "text"
purpose = "Not described yet"

[[channel]]
topic = "devices/{device}/commands"
direction = "subscribe"
purpose = "What it is told to do"
"""


def parse_profile(text: str) -> Profile:
    """The profile that a document says. ``Unreadable`` (code ``profile:document:…``) names the place and what is wrong."""
    if len(text.encode()) > MAX_DOCUMENT_BYTES:
        raise _wrong("size", f"it is larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _wrong("toml", f"it is not TOML: {error}") from error
    _only(document, _PROFILE_KEYS, "the profile")
    channels = _tables(document, "channel", MAX_CHANNELS, "the profile")
    parsed = tuple(channel_of(table, f"channel {number}") for number, table in enumerate(channels, start=1))
    if len({(channel.topic, channel.direction) for channel in parsed}) != len(parsed):
        raise _wrong("duplicate", "two channels have the same topic and direction")
    try:
        silence = parse_duration(str(document.get("expected_silence", "15m")))
    except Unreadable as error:
        raise _wrong("value", error.sentence) from error
    return Profile(
        name=ProfileName(_name(document, "name", "the profile")),
        device_class=DeviceClass(_name(document, "class", "the profile")),
        title=_text(document, "title", "the profile", 200),
        channels=parsed,
        rate_per_second=_number(document, "rate_per_second", "the profile", 1.0, 0.001, MAX_RATE),
        burst=int(_number(document, "burst", "the profile", 20, 1, 100_000)),
        max_payload_bytes=int(_number(document, "max_payload_bytes", "the profile", 4096, 1, 1024 * 1024)),
        impact=_number(document, "impact", "the profile", 0.5, 0.0, 1.0),
        expected_silence=silence,
    )


def channel_of(table: Any, where: str) -> Channel:
    """One channel from its table. ``Unreadable`` names ``where`` and what is wrong."""
    _only(table, _CHANNEL_KEYS, where)
    topic = _text(table, "topic", where, MAX_TOPIC_BYTES)
    levels = topic.split("/")
    if "{device}" not in levels or any("+" in level or "#" in level or " " in level or not level for level in levels):
        raise _wrong(
            "topic", f"{where}: topic {topic!r} must hold {{device}} as one level, and no wildcard or empty level"
        )
    if any(ord(character) < 33 or character in ".*>" for character in topic):
        raise _wrong(
            "topic", f"{where}: topic {topic!r} holds a character that topics may not (space, control, '.', '*', '>')"
        )
    try:
        direction = Direction(table.get("direction"))
    except ValueError as error:
        raise _wrong("value", f"{where}: direction must be publish or subscribe") from error
    fields = _tables(table, "field", MAX_FIELDS, where)
    parsed = tuple(_field(one, f"{where}, field {number}") for number, one in enumerate(fields, start=1))
    if len({field.name for field in parsed}) != len(parsed):
        raise _wrong("duplicate", f"{where}: two fields have the same name")
    return Channel(
        topic=topic,
        direction=direction,
        purpose=_text(table, "purpose", where, 200),
        fields=parsed,
        essential=_flag(table, "essential", where),
    )


def _field(table: Any, where: str) -> PayloadField:
    _only(table, _FIELD_KEYS, where)
    try:
        kind = FieldType(table.get("type"))
    except ValueError as error:
        raise _wrong("value", f"{where}: type must be one of {', '.join(FieldType)}") from error
    minimum, maximum = (
        None if key not in table else _number(table, key, where, 0.0, -1e300, 1e300) for key in ("minimum", "maximum")
    )
    if minimum is not None and maximum is not None and minimum > maximum:
        raise _wrong("value", f"{where}: minimum is larger than maximum")
    return PayloadField(
        name=_text(table, "name", where, 64),
        type=kind,
        purpose=_text(table, "purpose", where, 200),
        required=_flag(table, "required", where),
        minimum=minimum,
        maximum=maximum,
        max_length=int(_number(table, "max_length", where, 256, 1, 65536)),
    )


def write_profile(profile: Profile) -> str:
    """The document of a profile: what :func:`parse_profile` reads as the same."""
    lines = [
        f"name = {_quoted(profile.name)}",
        f"class = {_quoted(profile.device_class)}",
        f"title = {_quoted(profile.title)}",
        f"rate_per_second = {profile.rate_per_second!r}",
        f"burst = {profile.burst}",
        f"max_payload_bytes = {profile.max_payload_bytes}",
        f"impact = {profile.impact!r}",
        f"expected_silence = {_quoted(f'{int(profile.expected_silence.total_seconds())}s')}",
    ]
    for channel in profile.channels:
        lines += ["", "[[channel]]", f"topic = {_quoted(channel.topic)}", f"direction = {_quoted(channel.direction)}"]
        lines += [f"purpose = {_quoted(channel.purpose)}", *(["essential = true"] if channel.essential else [])]
        for field in channel.fields:
            lines += ["[[channel.field]]", f"name = {_quoted(field.name)}", f"type = {_quoted(field.type)}"]
            lines += [f"purpose = {_quoted(field.purpose)}", *(["required = true"] if field.required else [])]
            for name, bound in (("minimum", field.minimum), ("maximum", field.maximum)):
                lines += [f"{name} = {bound!r}"] if bound is not None else []
            lines.append(f"max_length = {field.max_length}")
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """A basic string of TOML; what is printable needs no more than its backslashes and quotes escaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _only(table: Any, keys: set[str], where: str) -> None:
    if not isinstance(table, dict):
        raise _wrong("form", f"{where} is not a table")
    if unknown := set(table) - keys:
        raise _wrong("key", f"{where}: {sorted(unknown)[0]!r} is not a key; the keys are {', '.join(sorted(keys))}")


def _tables(table: dict[str, Any], key: str, limit: int, where: str) -> list[Any]:
    found = table.get(key, [])
    if not isinstance(found, list) or len(found) > limit:
        raise _wrong("form", f"{where}: {key} must be at most {limit} [[{key}]] tables")
    return found


def _text(table: dict[str, Any], key: str, where: str, limit: int) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip() or len(value) > limit or not value.isprintable():
        raise _wrong("value", f"{where}: {key} must be a text of 1 to {limit} characters")
    return value.strip()


def _name(table: dict[str, Any], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not is_name(value):
        raise _wrong("value", f"{where}: {key} must be 1 to 63 characters of a-z 0-9 . _ -")
    return value


def _number(table: dict[str, Any], key: str, where: str, default: float, low: float, high: float) -> float:
    value = table.get(key, default)
    if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
        raise _wrong("value", f"{where}: {key} must be a number from {low:g} to {high:g}")
    return float(value)


def _flag(table: dict[str, Any], key: str, where: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise _wrong("value", f"{where}: {key} must be true or false")
    return value


def _wrong(kind: str, what: str) -> Unreadable:
    return Unreadable(f"This profile cannot be used: {what}.", code=f"profile:document:{kind}")

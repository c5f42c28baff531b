"""The demo's devices keep to their profiles, and have a day."""

from datetime import UTC, datetime, timedelta
from importlib import resources
from random import Random

import pytest

from bastide.core.profile import Channel, Direction, FieldType, Profile
from bastide.network.profile.document import parse_profile
from bastide.testing.fleet.behaviour import KINDS, Message

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
TYPES = {FieldType.NUMBER: (int, float), FieldType.INTEGER: (int,), FieldType.TEXT: (str,), FieldType.BOOLEAN: (bool,)}


def profile(kind: str) -> Profile:
    return parse_profile(resources.files("bastide.demo").joinpath(f"profiles/{kind}.toml").read_text())


def days(kind: str, count: int = 7, seed: int = 1) -> list[tuple[datetime, Message]]:
    behaviour = KINDS[kind](Random(seed))
    at, sent = MONDAY, []
    while at < MONDAY + timedelta(days=count):
        sent += [(at, message) for message in behaviour.report(at)]
        at += behaviour.every
    return sent


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_week_of_messages_stays_inside_the_profile(kind: str) -> None:
    declared = {
        channel.topic.rpartition("/")[2]: channel
        for channel in profile(kind).channels
        if channel.direction is Direction.PUBLISH
    }
    sent = days(kind)
    assert len(sent) > 7 * 24 * 8
    for at, message in sent:
        assert not outside(declared[message.channel], message), (at, message)


def outside(channel: Channel, message: Message) -> list[str]:
    fields = {field.name: field for field in channel.fields}
    wrong = [f"{name} is not declared" for name in message.fields if name not in fields]
    wrong += [
        f"{field.name} is missing" for field in channel.fields if field.required and field.name not in message.fields
    ]
    for name, value in message.fields.items():
        field = fields.get(name)
        if field is None:
            continue
        if not isinstance(value, TYPES[field.type]) or (
            isinstance(value, bool) and field.type is not FieldType.BOOLEAN
        ):
            wrong.append(f"{name} is {value!r}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            low = field.minimum if field.minimum is not None else value
            high = field.maximum if field.maximum is not None else value
            wrong += [] if low <= value <= high else [f"{name} is {value}"]
        elif isinstance(value, str) and len(value) > field.max_length:
            wrong.append(f"{name} is too long")
    return wrong


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_told_apart_by_its_profile_and_listens_to_its_commands(kind: str) -> None:
    described = profile(kind)
    assert {str(described.name), str(described.device_class)} == {kind}
    assert [c.topic for c in described.channels if c.direction is Direction.SUBSCRIBE] == ["devices/{device}/commands"]


def test_the_same_seed_behaves_the_same_and_another_differently() -> None:
    assert days("door-camera", 1, seed=7) == days("door-camera", 1, seed=7)
    assert days("door-camera", 1, seed=7) != days("door-camera", 1, seed=8)


def mean(kind: str, field: str, hours: range, seeds: int = 6) -> float:
    values = [
        float(message.fields[field])
        for seed in range(seeds)
        for at, message in days(kind, 5, seed)
        if field in message.fields and at.hour in hours
    ]
    return sum(values) / len(values)


@pytest.mark.parametrize(
    ("kind", "field", "more", "less"),
    [
        ("thermostat", "temperature", range(9, 20), range(2, 5)),
        ("energy-meter", "power", range(7, 19), range(5)),
        ("door-camera", "bitrate", range(10, 16), range(5)),
        ("vibration-sensor", "velocity_rms", range(8, 20), range(5)),
        ("gate-controller", "motor_current", range(7, 19), range(5)),
    ],
)
def test_days_differ_from_nights(kind: str, field: str, more: range, less: range) -> None:
    assert mean(kind, field, more) > 1.1 * mean(kind, field, less)


def test_a_room_is_kept_near_its_set_point() -> None:
    for seed in range(5):
        settled = [m.fields for at, m in days("thermostat", 7, seed) if at.hour in range(12, 20) and at.day > 6]
        off = [abs(float(each["temperature"]) - float(each["setpoint"])) for each in settled]
        assert max(off) < 3

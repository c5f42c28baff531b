"""The application part inside a MUD file: read strictly, written as it is read, the same as its author's document."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.ids import DeviceClass, ProfileName
from bastide.core.profile import Channel, Direction, FieldType, PayloadField, Profile
from bastide.network.profile.change import change
from bastide.network.profile.document import parse_profile, write_profile
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import Application, MUDRefused
from bastide.network.profile.mud.write import write
from bastide.network.profile.plain import channel_sentences
from tests.domain.network.mud.files import encoded, lamp

PART: dict[str, Any] = {
    "rate-per-second": "2.5",
    "burst": 9,
    "max-payload-bytes": 512,
    "channels": {
        "channel": [
            {
                "topic": "devices/{device}/telemetry",
                "direction": "publish",
                "purpose": "Room climate",
                "essential": True,
                "fields": {
                    "field": [
                        {
                            "name": "temperature",
                            "type": "number",
                            "purpose": "Climate control",
                            "minimum": "-40.5",
                            "maximum": 85,
                        }
                    ]
                },
            },
            {"topic": "devices/{device}/commands", "direction": "subscribe", "purpose": "Orders"},
        ]
    },
}
FIELD = PayloadField("temperature", FieldType.NUMBER, "Climate control", minimum=-40.5, maximum=85.0)
TELEMETRY = Channel("devices/{device}/telemetry", Direction.PUBLISH, "Room climate", (FIELD,), essential=True)
COMMANDS = Channel("devices/{device}/commands", Direction.SUBSCRIBE, "Orders")


def with_part(part: Any) -> bytes:
    document = lamp()
    document["ietf-mud:mud"]["bastide-mud:application"] = part
    document["ietf-mud:mud"]["extensions"] = ["bastide-application"]
    return encoded(document)


def test_it_is_read_as_its_author_wrote_it() -> None:
    reading = read(with_part(PART))
    assert reading.file.application == Application((TELEMETRY, COMMANDS), 2.5, 9, 512)
    assert not reading.notes


def test_a_file_without_it_says_nothing_of_the_broker() -> None:
    assert read(encoded(lamp())).file.application is None
    assert "bastide" not in write(read(encoded(lamp())).file).decode()


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"rate-per-second": "many"},
        {"rate-per-second": "1e999"},
        {"rate-per-second": True},
        {"burst": 0},
        {"more": 1},
        {"channels": {"channel": [{"topic": "devices/all/x", "direction": "publish", "purpose": "x"}]}},
        {"channels": {"channel": [{"topic": "devices/{device}/#", "direction": "publish", "purpose": "x"}]}},
        {"channels": {"channel": [{"topic": "devices/{device}/x", "direction": "both", "purpose": "x"}]}},
        {"channels": {"channel": [{"topic": "devices/{device}/x", "direction": "publish"}]}},
        {"channels": {"channel": PART["channels"]["channel"] * 2}},
        {"channels": {"channel": [PART["channels"]["channel"][1]] * 65}},
        {"channels": {"channel": [PART["channels"]["channel"][1] | {"resource": "x"}]}},
        {"channels": {"channel": "all"}},
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(wrong: Any) -> None:
    with pytest.raises(MUDRefused):
        read(with_part(wrong))


printable = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=40).filter(
    lambda text: text.isprintable() and text == text.strip()
)
numbers = st.one_of(st.none(), st.floats(-1e9, 1e9, allow_nan=False))
fields = st.builds(
    lambda name, kind, purpose, required, bounds, length: PayloadField(
        name, kind, purpose, required, *sorted_pair(bounds), length
    ),
    printable,
    st.sampled_from(FieldType),
    printable,
    st.booleans(),
    st.tuples(numbers, numbers),
    st.integers(1, 65536),
)
channels = st.lists(
    st.builds(
        lambda level, direction, purpose, held, essential: Channel(
            f"devices/{{device}}/{level}", direction, purpose, tuple(held), essential
        ),
        st.text("abcdefgh0123456789-_", min_size=1, max_size=12),
        st.sampled_from(Direction),
        printable,
        st.lists(fields, max_size=3, unique_by=lambda field: field.name),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda channel: (channel.topic, channel.direction),
)


def sorted_pair(bounds: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    low, high = bounds
    return (high, low) if low is not None and high is not None and low > high else (low, high)


@given(channels, st.floats(0.001, 10_000), st.integers(1, 100_000), st.integers(1, 1024 * 1024))
def test_both_forms_are_written_as_they_are_read(held: list[Channel], rate: float, burst: int, largest: int) -> None:
    part = Application(tuple(held), rate, burst, largest)
    file = read(with_part({})).file
    again = read(
        write(type(file)(**{name: getattr(file, name) for name in file.__slots__} | {"application": part}))
    ).file
    assert again.application == part
    profile = Profile(
        ProfileName("p"),
        DeviceClass("c"),
        'A "quoted" \\ title',
        part.channels,
        rate,
        burst,
        largest,
        0.25,
        timedelta(minutes=9),
    )
    assert parse_profile(write_profile(profile)) == profile


def test_a_change_of_what_is_said_is_told_with_its_purpose() -> None:
    before, after = read(with_part(PART)).file, read(with_part(PART | {"channels": {}})).file
    found = change(before, after)
    assert found
    assert found.less_said == channel_sentences(before)
    assert found.less_said[0] == (
        "the device may publish to devices/{device}/telemetry (Room climate), with temperature for Climate control"
    )
    assert not found.more_said

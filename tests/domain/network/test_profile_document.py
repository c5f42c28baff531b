"""A profile document is accepted whole or refused with the place and the reason."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Unreadable
from bastide.core.ids import DeviceId
from bastide.core.standing import Standing
from bastide.network.broker.grant import grant
from bastide.network.profile.document import GENERIC, parse_profile

LAMP = """
name = "lamp"
class = "lamp"
title = "A lamp"
[[channel]]
topic = "devices/{device}/telemetry"
direction = "publish"
purpose = "Light level"
essential = true
[[channel.field]]
name = "level"
type = "number"
purpose = "Comfort"
minimum = 0
maximum = 100
"""


def test_the_generic_profile_is_accepted_and_names_no_other_device() -> None:
    profile = parse_profile(GENERIC)
    assert profile.channels
    assert all("{device}" in channel.topic.split("/") for channel in profile.channels)


def test_a_trusted_device_may_use_each_channel_and_a_restricted_one_the_essential_ones() -> None:
    device = DeviceId("d-" + "b" * 20)
    profile = parse_profile(GENERIC)
    trusted, restricted = (grant(profile, device, standing) for standing in (Standing.TRUSTED, Standing.RESTRICTED))
    assert set(restricted.publish) < set(trusted.publish)
    assert all(device in topic for topic in trusted.publish + trusted.subscribe)


@pytest.mark.parametrize("standing", [Standing.QUARANTINED, Standing.PENDING, Standing.UNKNOWN, Standing.RETIRED])
def test_any_other_standing_may_not_connect(standing: Standing) -> None:
    assert not grant(parse_profile(GENERIC), DeviceId("d-" + "b" * 20), standing).may_connect


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("[[", "TOML"),
        (LAMP.replace("{device}", "d-other"), "{device}"),
        (LAMP.replace("devices/{device}", "devices/x{device}"), "{device}"),
        (LAMP.replace("telemetry", "#"), "wildcard"),
        (LAMP.replace("telemetry", "a.b"), "character"),
        (LAMP.replace("telemetry", "a b"), "level"),
        (LAMP.replace('"publish"', '"both"'), "direction"),
        (LAMP.replace('"number"', '"float"'), "type"),
        (LAMP.replace("minimum = 0", "minimum = 200"), "minimum"),
        (LAMP.replace("minimum = 0", "minimum = nan"), "minimum"),
        (LAMP.replace("essential = true", "essential = 1"), "essential"),
        (LAMP.replace('name = "lamp"', 'name = "La mp"'), "name"),
        (LAMP + "colour = 1\n", "colour"),
        ("rate_per_second = 0\n" + LAMP, "rate_per_second"),
        ("channel = 3\n" + LAMP.partition("[[")[0], "channel"),
        ("x" * 300_000, "larger"),
    ],
)
def test_a_document_that_is_wrong_is_refused_with_the_place(document: str, says: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse_profile(document)
    assert says in refused.value.sentence


@given(st.text(max_size=300))
def test_any_text_is_accepted_or_refused(text: str) -> None:
    with suppress(Unreadable):
        parse_profile(text)

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.ids import DeviceClass, DeviceId, ProfileName
from bastide.core.profile import Channel, Direction, Profile
from bastide.core.standing import Standing
from bastide.network.broker.grant import grant, publish_subjects, subscribe_subjects

DEVICE = DeviceId("d-" + "a" * 20)
PUBLISH, SUBSCRIBE = Direction.PUBLISH, Direction.SUBSCRIBE
CHANNELS = (
    Channel("devices/{device}/telemetry", PUBLISH, "climate", essential=True),
    Channel("devices/{device}/event", PUBLISH, "events"),
    Channel("devices/{device}/orders/#", SUBSCRIBE, "orders"),
    Channel("devices/{device}/repair", SUBSCRIBE, "repair", essential=True),
)
PROFILE = Profile(ProfileName("p"), DeviceClass("c"), "P", CHANNELS, rate_per_second=3.0, max_payload_bytes=99)


def test_a_trusted_device_has_every_channel_with_its_own_id() -> None:
    given_ = grant(PROFILE, DEVICE, Standing.TRUSTED)
    assert given_.publish == (f"devices/{DEVICE}/telemetry", f"devices/{DEVICE}/event")
    assert given_.subscribe == (f"devices/{DEVICE}/orders/#", f"devices/{DEVICE}/repair")
    assert (given_.rate_per_second, given_.max_payload_bytes) == (3.0, 99)
    assert publish_subjects(given_) == (f"up.{DEVICE}.telemetry", f"up.{DEVICE}.event")
    assert subscribe_subjects(given_) == (
        f"devices.{DEVICE}.orders", f"devices.{DEVICE}.orders.>", f"devices.{DEVICE}.repair",
    )  # fmt: skip


def test_a_restricted_device_has_what_its_work_cannot_do_without() -> None:
    given_ = grant(PROFILE, DEVICE, Standing.RESTRICTED)
    assert given_.publish == (f"devices/{DEVICE}/telemetry",)
    assert given_.subscribe == (f"devices/{DEVICE}/repair",)


def test_a_quarantined_device_can_be_told_how_to_be_repaired_and_cannot_tell() -> None:
    given_ = grant(PROFILE, DEVICE, Standing.QUARANTINED)
    assert given_.publish == ()
    assert given_.subscribe == (f"devices/{DEVICE}/repair",)
    without = Profile(ProfileName("p"), DeviceClass("c"), "P", CHANNELS[:3])
    assert not grant(without, DEVICE, Standing.QUARANTINED).may_connect


@pytest.mark.parametrize("standing", [Standing.PENDING, Standing.UNKNOWN, Standing.RETIRED])
def test_other_standings_may_not_connect(standing: Standing) -> None:
    assert not grant(PROFILE, DEVICE, standing).may_connect


channels = st.builds(
    Channel,
    topic=st.sampled_from(["telemetry", "a/b", "repair", "repair/now", "repairs", "x"]).map(
        lambda rest: "devices/{device}/" + rest
    ),
    direction=st.sampled_from(Direction),
    purpose=st.just("p"),
    essential=st.booleans(),
)


@given(st.lists(channels, max_size=8))
def test_less_standing_never_gives_more(drawn: list[Channel]) -> None:
    profile = Profile(ProfileName("p"), DeviceClass("c"), "P", tuple(drawn))
    by_rank = [grant(profile, DEVICE, standing) for standing in sorted(Standing, key=lambda one: one.rank)]
    for less, more in pairwise(by_rank):
        if more.may_connect or not less.may_connect:
            assert set(less.publish) <= set(more.publish)
    for one in by_rank:
        for topic in (*one.publish, *one.subscribe):
            assert topic.startswith(f"devices/{DEVICE}/")

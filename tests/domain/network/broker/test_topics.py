import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Refused
from bastide.core.ids import DeviceId
from bastide.network.broker.topics import (
    channel_of,
    filter_subjects,
    subject_of,
    topic_of,
    uplink_of,
    uplink_subject,
)

DEVICE = DeviceId("d-" + "a" * 20)

# As nats-server writes them; each pair was tried against it.
VECTORS = [
    ("devices/d/telemetry", "devices.d.telemetry"),
    ("a", "a"),
    ("/a", "/.a"),
    ("a/", "a./"),
    ("/", "/./"),
    ("//", "/././"),
    ("a//b", "a./.b"),
    ("a///b", "a././.b"),
    ("a//", "a././"),
    ("//a", "/./.a"),
    (".", "//"),
    ("a.", "a//"),
    ("./a", "//.a"),
    ("a/./b", "a.//.b"),
    ("a.b/c", "a//b.c"),
    ("a/+/c", "a.*.c"),
    ("a/#", "a.>"),
    ("#", ">"),
]

levels = st.text(st.characters(codec="utf-8", exclude_characters="/ *>+#\t\r\n\0"), max_size=6)
topics = st.lists(levels, min_size=1, max_size=6).map("/".join).filter(bool)


@pytest.mark.parametrize(("topic", "subject"), VECTORS)
def test_a_topic_becomes_the_subject_that_the_broker_uses(topic: str, subject: str) -> None:
    assert subject_of(topic) == subject


@given(topics)
def test_two_topics_never_become_one_subject(topic: str) -> None:
    assert topic_of(subject_of(topic)) == topic


@given(topics)
def test_no_topic_holds_a_wildcard_of_the_broker(topic: str) -> None:
    assert not re.search(r"[*> ]", subject_of(topic))


@pytest.mark.parametrize("topic", ["", "a b", "a/*", "a>", "a\0", "x" * 2000])
def test_a_topic_without_a_subject_is_refused(topic: str) -> None:
    with pytest.raises(Refused) as refused:
        subject_of(topic)
    assert refused.value.reason == "broker:topic:unusable"


def test_a_filter_that_ends_in_any_depth_also_needs_the_level_above() -> None:
    assert filter_subjects("devices/d/orders/#") == ("devices.d.orders", "devices.d.orders.>")
    assert filter_subjects("devices/d/orders") == ("devices.d.orders",)


def test_what_is_published_leaves_on_the_uplink() -> None:
    assert uplink_subject(f"devices/{DEVICE}/a/b") == f"up.{DEVICE}.a.b"
    assert uplink_of(f"up.{DEVICE}.a.b") == (DEVICE, "a.b")
    with pytest.raises(Refused):
        uplink_subject("other/thing")


@pytest.mark.parametrize("subject", ["up", "up.x", "up.x.", "up..x", "devices.x.y", ""])
def test_other_subjects_are_no_uplink(subject: str) -> None:
    assert uplink_of(subject) is None


def test_a_channel_is_what_follows_the_device() -> None:
    assert channel_of(f"devices/{DEVICE}/a/b", DEVICE) == "a.b"
    for topic in (f"devices/{DEVICE}", "devices/other/a", "a"):
        with pytest.raises(Refused):
            channel_of(topic, DEVICE)

import pytest

from bastide.core.ids import DeviceId
from bastide.network.broker.violations import MAX_LINE_BYTES, MAX_SUBJECT, LoggedViolation, Violation, read_line

HEAD = b"[7] 2026/11/23 02:44:22.509383 [ERR] 127.0.0.1:45920 - mid:31 - "


def test_a_forbidden_publish_and_a_forbidden_subscription_are_read_from_the_servers_own_lines() -> None:
    publish = read_line(HEAD + b'"RNb706" - Publish Violation - Subject "up.d-x.telemetry"')
    assert publish is not None
    assert (publish.violation, publish.client, publish.subject) == (Violation.PUBLISH, 31, "up.d-x.telemetry")
    subscribe = read_line(HEAD + b'"RNb706" - Subscription Violation - Subject "devices.x.y", SID devices.x.y')
    assert subscribe is not None
    assert (subscribe.violation, subscribe.subject) == (Violation.SUBSCRIBE, "devices.x.y")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[7] 2026/11/23 02:44:22.509383 [INF] Server is ready",
        b"[7] 2026/11/23 02:44:22.509383 [WRN] Auth callout violation: x",
        HEAD + b'"x" - authentication error',
        # A client id may say anything, but only within its quotes.
        HEAD + rb'"\" - Publish Violation - Subject \"up.d-x.y\"" - authentication error',
        b'mid:31 - "x" - Publish Violation - Subject "y"',
        HEAD + b'"x" - Publish Violation - Subject "y' + b"z" * 20_000,  # its end is missing
        HEAD + b'"x" - Publish Violation - Subject "' + b"z" * MAX_LINE_BYTES + b'"',
    ],
)
def test_any_other_line_tells_of_no_violation(line: bytes) -> None:
    assert read_line(line) is None


def test_a_client_id_cannot_claim_to_be_another_connection() -> None:
    line = HEAD + rb'"x\" - mid:99 - \"y" - Publish Violation - Subject "up.d-x.y"'
    found = read_line(line)
    assert found is not None
    assert found.client == 31


def test_a_long_subject_is_shortened() -> None:
    found = read_line(HEAD + b'"x" - Publish Violation - Subject "' + b"y" * 5000 + b'"')
    assert found is not None
    assert len(found.subject) == MAX_SUBJECT


@pytest.mark.parametrize("client_id", [b"c" * 65_535, rb"\x01" * 65_535, rb"\"" * 65_535])
@pytest.mark.parametrize("topic", [b"up.d-x.telemetry", b"up.d-x." + rb"\x01" * 65_000])
def test_no_client_id_and_no_topic_is_long_enough_to_hide_a_violation(client_id: bytes, topic: bytes) -> None:
    found = read_line(HEAD + b'"' + client_id + b'" - Publish Violation - Subject "' + topic + b'"')
    assert found is not None
    assert (found.client, found.subject[:7]) == (31, "up.d-x.")


OWN = DeviceId("d-" + "a" * 20)
OTHER = DeviceId("d-" + "b" * 20)


@pytest.mark.parametrize(
    ("kind", "subject", "will"),
    [
        (Violation.PUBLISH, f"devices.{OWN}.status", True),
        (Violation.PUBLISH, f"devices.{OTHER}.status", False),  # a will in another's name is misuse
        (Violation.PUBLISH, f"up.{OWN}.undeclared", False),
        (Violation.PUBLISH, f"devices.{OWN}", False),
        (Violation.SUBSCRIBE, f"devices.{OWN}.status", False),
    ],
)
def test_only_a_will_on_the_devices_own_topics_is_no_misuse(kind: Violation, subject: str, will: bool) -> None:
    assert LoggedViolation(kind, 7, subject).is_last_will_of(OWN) is will

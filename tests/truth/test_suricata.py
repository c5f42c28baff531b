"""What suricata's developers found in their captures, we find too."""

from collections import Counter

from tests.peers import shared_data
from tests.truth.suricata import compare_all

DIFFERS = {
    "modbus.id": "suricata's own running number",
    "dnp3.application.complete": "a response over several transport fragments: we read the first",
    "mqtt.disconnect.reason_code": "two sessions of a test end differently, and the best message is of the other",
    "quic.extensions[].name": "the server's hello, whose packets cannot be opened with the client's keys alone",
    "quic.extensions[].values[]": "a hello over several packets, put together by suricata only",
}


def test_the_fields_of_suricata_verify_are_reproduced() -> None:
    held = compare_all(shared_data("captures", "suricata-verify"))
    differing = {one.field for one in held if one.verdict == "differs"}
    assert differing <= set(DIFFERS), [one for one in held if one.verdict == "differs" and one.field not in DIFFERS]
    agreed = Counter(one.field.partition(".")[0] for one in held if one.verdict == "agreed")
    assert agreed["mqtt"] >= 430
    assert agreed["dhcp"] >= 39
    assert agreed["dnp3"] >= 1700
    assert agreed["tls"] >= 9
    assert agreed["arp"] >= 14
    names = {one.field for one in held if one.verdict == "agreed"}
    assert {"tls.ja4", "quic.ja4", "mqtt.connect.client_id", "modbus.request.function_code"} <= names


def test_no_secret_of_the_captures_is_in_any_message() -> None:
    secret = (".password", ".username", "authentication_data")
    held = [one for one in compare_all(shared_data("captures", "suricata-verify")) if one.field.endswith(secret)]
    assert any(isinstance(one.expected, str) for one in held), "the captures hold passwords"
    # That there was a password is said; what it was is not.
    assert [one for one in held if isinstance(one.found, str)] == []
